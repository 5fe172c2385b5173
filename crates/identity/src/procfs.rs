//! What `/proc/PID` says (proc(5)).

use crate::program::program;
use crate::service::{declared, service};
use crate::{container_id, unit};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, ErrorKind, IoSliceMut, Read};
use std::path::Path;
use steth_event::Process;

/// The processes that there are.
pub(crate) fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Reads what is known of a live process; `None` if there is none with this id.
pub(crate) fn read(pid: u32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let (comm, started) = comm_and_start(&stat)?;
    let executable = fs::read_link(format!("/proc/{pid}/exe"))
        .map(|path| path.to_string_lossy().trim_end_matches(" (deleted)").to_owned())
        .unwrap_or_default();
    // A class path alone may be longer than what is kept of the line.
    let arguments = head(format!("/proc/{pid}/cmdline").as_ref(), ARGUMENTS).unwrap_or_default();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let container = container_id(&cgroup).map(str::to_owned);
    // In a container the unit is the runtime's.
    let unit = unit(&cgroup).filter(|_| container.is_none()).map(str::to_owned);
    let name = name(&executable, &arguments, &comm);
    let mut environment = environment(pid, ENVIRONMENT).unwrap_or_default();
    let declared = declared(&environment);
    wipe(&mut environment);
    Some(Process {
        pid,
        started,
        declared: declared.is_some(),
        service: service(declared, unit.as_deref(), program(&executable, &arguments), &name),
        name,
        executable,
        command_line: join(&arguments),
        container,
        unit,
        ..Process::default()
    })
}

/// Bytes of a command line that are looked at.
const ARGUMENTS: usize = 32 * 1024;
/// Bytes of an environment that are looked at.
const ENVIRONMENT: usize = 128 * 1024;

/// The kernel cuts a task's name off behind so many bytes (`TASK_COMM_LEN`).
const COMM: usize = 15;

/// File name of the executable, as it was started: python3, not the python3.11 that this is a link to, and not what else the file
/// is called (redis-check-rdb, busybox). That is what the record of its exec says, which has no other name. What a process calls
/// itself in its arguments counts only if the kernel's name agrees, or if it is the file's without a version. Else the
/// kernel's name.
///
/// A program that starts itself again by `/proc/self/exe` (applets of busybox's shell, `runc init`, Docker's helpers), or by a descriptor, has a path
/// that names nothing; the kernel calls the task `exe`. What it calls itself is all there is then.
pub(crate) fn name(executable: &str, arguments: &[u8], comm: &str) -> String {
    const AGAIN: &str = "exe";
    let last = executable.rsplit('/').next().unwrap_or_default();
    let again = executable.starts_with("/proc/") || executable.starts_with("/dev/fd/");
    let file = if again { "" } else { last };
    let started_as = arguments.split(|b| matches!(b, 0 | b' ')).next().unwrap_or_default();
    let started_as = String::from_utf8_lossy(started_as.rsplit(|b| *b == b'/').next().unwrap_or_default());
    let agrees = started_as == comm || (comm.len() == COMM && started_as.starts_with(comm));
    let says = (agrees || again || comm == AGAIN) && started_as != AGAIN;
    if !started_as.is_empty() && (says || file.starts_with(&*started_as)) {
        return started_as.into_owned();
    }
    [file, comm, last].into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

/// NUL-separated arguments, as one line.
pub(crate) fn join(arguments: &[u8]) -> String {
    let text = String::from_utf8_lossy(&arguments[..arguments.len().min(Process::COMMAND_LINE)]);
    text.split('\0').filter(|argument| !argument.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The first bytes of a file. The buffer is as large as it will ever be: one that grew would leave copies behind.
pub(crate) fn head(path: &Path, length: usize) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    // Beyond the limit, so that nothing is made larger only to find out that the file has ended.
    let mut bytes = Vec::with_capacity(length + 64);
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Overwrites an environment: there are secrets in it.
pub(crate) fn wipe(environment: &mut [u8]) {
    environment.fill(0);
    std::hint::black_box(environment);
}

/// So many bytes of an environment. Of other users' processes the file cannot be opened: it is theirs alone (0400), and the agent has
/// given up CAP_DAC_OVERRIDE. What it has kept, CAP_SYS_PTRACE, reads the same bytes where the kernel says that they are.
pub(crate) fn environment(pid: u32, limit: usize) -> io::Result<Vec<u8>> {
    match head(format!("/proc/{pid}/environ").as_ref(), limit) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            environment_in_memory(pid, &fs::read(format!("/proc/{pid}/stat"))?, limit)
        }
        read => read,
    }
}

fn environment_in_memory(pid: u32, stat: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    // The kernel says 0 to whoever may not know.
    let place = |number| field(stat, number).and_then(|at| usize::try_from(at).ok()).filter(|at| *at > 0);
    let refused = || io::Error::from(ErrorKind::PermissionDenied);
    let (base, end) = (place(50).ok_or_else(refused)?, place(51).ok_or_else(refused)?);
    let len = end.saturating_sub(base).min(limit);
    let mut bytes = vec![0; len];
    let there = [RemoteIoVec { base, len }];
    let pid = Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?);
    let read = process_vm_readv(pid, &mut [IoSliceMut::new(&mut bytes)], &there)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fields 2 and 22. The name may contain spaces and parentheses, so fields are counted from the last parenthesis.
fn comm_and_start(stat: &[u8]) -> Option<(String, u64)> {
    let (open, close) = (stat.iter().position(|b| *b == b'(')?, stat.iter().rposition(|b| *b == b')')?);
    let comm = String::from_utf8_lossy(stat.get(open + 1..close)?).into_owned();
    Some((comm, started(stat)?))
}

/// Start of the process. USER_HZ is 100 on every architecture Linux has left; the kernel's own record is exact where there is one.
pub(crate) fn started(stat: &[u8]) -> Option<u64> {
    Some(field(stat, 22)?.saturating_mul(10_000_000))
}

/// A number behind the name, counted from 1 as in proc(5).
fn field(stat: &[u8], number: usize) -> Option<u64> {
    let close = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(close + 2..)?).ok()?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let me = read(std::process::id()).unwrap();
        assert!(me.executable.contains("identity") && me.name.contains("identity"), "{me:?}");
        assert!(me.started > 0 && !me.command_line.is_empty());
        assert_eq!(read(u32::MAX), None);
    }

    #[test]
    fn memory_holds_the_environment_that_the_file_shows() {
        let stat = fs::read("/proc/self/stat").unwrap();
        let shown = head("/proc/self/environ".as_ref(), ENVIRONMENT).unwrap();
        assert_eq!(environment_in_memory(std::process::id(), &stat, ENVIRONMENT).unwrap(), shown);
        assert_eq!(environment_in_memory(std::process::id(), &stat, 10).unwrap(), shown[..10]);
        // What is not known is no empty environment.
        for (pid, stat) in [(u32::MAX, &*stat), (u32::MAX >> 1, &stat), (std::process::id(), b"7 (a) S 1")] {
            assert!(environment_in_memory(pid, stat, ENVIRONMENT).is_err());
        }
        let hidden = [&b"7 (a)"[..], &b" 0".repeat(50)].concat();
        assert!(environment_in_memory(std::process::id(), &hidden, ENVIRONMENT).is_err());
    }

    #[test]
    fn a_program_under_several_names_is_called_what_it_was_started_as() {
        assert_eq!(name("/usr/bin/redis-check-rdb", b"redis-server 127.0.0.1:6379\0", "redis-server"), "redis-server");
        assert_eq!(name("/usr/bin/node", b"node\0server.js\0", "MainThread"), "node");
        assert_eq!(name("/usr/sbin/nginx", b"nginx: worker process\0", "nginx"), "nginx");
        assert_eq!(name("", b"", "kworker"), "kworker");
        assert_eq!(name("/usr/bin/python3.11", b"python3\0app.py\0", "python3"), "python3");
        assert_eq!(name("/usr/bin/python3.11", b"/usr/bin/python3\0/srv/app.py\0", "app.py"), "python3");
        assert_eq!(name("/usr/bin/python3.11", b"/usr/bin/python3.11\0", "python3.11"), "python3.11");
        assert_eq!(name("/usr/bin/dash", b"sh\0-c\0exit\0", "sh"), "sh");
        assert_eq!(name("/usr/bin/bash", b"-bash\0", "bash"), "bash");
        assert_eq!(
            name("/opt/a-program-of-a-long-name", b"a-program-of-a-long-name\0", "a-program-of-a-"),
            "a-program-of-a-long-name"
        );
        assert_eq!(name("/usr/bin/node", b"something else\0", "node"), "node");
    }

    #[test]
    fn a_program_that_starts_itself_again_is_not_called_exe() {
        // Gone before /proc was read: the record of its exec has no kernel's name.
        assert_eq!(name("/proc/self/exe", b"busybox\0wget\0-q\0", ""), "busybox");
        assert_eq!(name("/proc/self/exe", b"wget\0-q\0", ""), "wget");
        assert_eq!(name("/proc/self/fd/3", b"/tmp/tool\0", ""), "tool");
        assert_eq!(name("/dev/fd/3", b"", "memfd:x"), "memfd:x");
        assert_eq!(name("/proc/self/exe", b"/proc/self/exe\0--type=zygote\0", ""), "exe", "nothing is known of it");
        // Of which nothing is known but the title that it has given itself: the kernel's name.
        assert_eq!(name("", b"nginx: worker process\0", "nginx"), "nginx");
        // Still there.
        assert_eq!(name("/bin/busybox", b"wget\0-q\0", "exe"), "wget");
        assert_eq!(name("/usr/bin/runc", b"runc\0init\0", "exe"), "runc");
        assert_eq!(name("/opt/chrome/chrome", b"/proc/self/exe\0--type=zygote\0", "exe"), "chrome");
        assert_eq!(name("/srv/exe", b"/srv/exe\0", "exe"), "exe");
    }

    #[test]
    fn a_name_with_parentheses_and_spaces() {
        let rest = (3..=22).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let stat = format!("7 (a) (b c)) {rest} 0");
        assert_eq!(comm_and_start(stat.as_bytes()), Some(("a) (b c)".into(), 220_000_000)));
    }
}
