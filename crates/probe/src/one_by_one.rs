//! What iterators do, without them: programs that are run for one socket at a time (`bpf/one_by_one.h`). Iterators take the kernel's own type
//! information.

use libbpf_rs::{MapCore as _, MapHandle, ProgramInput, ProgramMut};
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

/// Runs a program with these arguments.
pub(crate) fn run(program: &ProgramMut<'_>, arguments: &[u64]) -> std::io::Result<()> {
    let mut context: Vec<u8> = arguments.iter().flat_map(|argument| argument.to_ne_bytes()).collect();
    let input = ProgramInput { context_in: Some(&mut context), ..ProgramInput::default() };
    program.test_run(input).map(drop).map_err(std::io::Error::other)
}

/// Walks over the states of sockets.
pub(crate) fn sweep(program: &ProgramMut<'_>, connections: &MapHandle) -> std::io::Result<()> {
    // While they come and go the kernel may begin anew, and tell of some twice.
    let most = connections.max_entries() as usize;
    let mut keys: Vec<[u8; 8]> = connections.keys().take(2 * most).filter_map(|key| key.try_into().ok()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().try_for_each(|key| run(program, &[u64::from_ne_bytes(key)]))
}

/// Walks over the open sockets of every process but this one. Each is made a descriptor of ours for as long as it is looked at, which takes
/// CAP_SYS_PTRACE; what goes away meanwhile, or is refused, is passed over.
pub(crate) fn visit(program: &ProgramMut<'_>) -> std::io::Result<()> {
    let processes = fs::read_dir("/proc")?.flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for process in processes.filter(|process| *process != std::process::id()) {
        let folder = format!("/proc/{process}/fd");
        let Ok(files) = fs::read_dir(&folder) else { continue };
        let is_socket = |path: &Path| fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let sockets = files.flatten().filter(|file| is_socket(&file.path()));
        let sockets: Vec<i32> = sockets.filter_map(|file| file.file_name().to_str()?.parse().ok()).collect();
        if sockets.is_empty() {
            continue;
        }
        let Some(of) = call(libc::SYS_pidfd_open, process.cast_signed(), 0) else { continue };
        for socket in sockets {
            if let Some(ours) = call(libc::SYS_pidfd_getfd, of.as_raw_fd(), socket) {
                run(program, &[ours.as_raw_fd() as u64, process.into()])?;
            }
        }
    }
    Ok(())
}

/// One of the two calls that make a descriptor: of a process, or of what a process has.
fn call(number: libc::c_long, of: i32, what: i32) -> Option<OwnedFd> {
    // SAFETY: both take two integers and flags, of which there are none.
    let fd = unsafe { libc::syscall(number, of, what, 0) };
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
