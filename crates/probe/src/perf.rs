//! Tracepoints as events of perf: their numbers, and programs on them.

use libbpf_rs::{ErrorExt as _, Link, ProgramMut};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::path::Path;

/// Where the kernel's own file system of tracepoints may be seen. It is root's alone.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Hangs a program on what perf is told at a tracepoint of this system (`sock`), on all CPUs.
pub(crate) fn attach(program: &ProgramMut<'_>, system: &str, name: &str) -> libbpf_rs::Result<Link> {
    let id = format!("events/{system}/{name}/id");
    let number = number(&id).map_err(libbpf_rs::Error::from).with_context(|| format!("tracefs does not tell {id}"))?;
    let event = open(number).map_err(libbpf_rs::Error::from).with_context(|| format!("perf does not take {name}"))?;
    let link = program.attach_perf_event(event.as_raw_fd())?;
    // The link closes it.
    let _ = event.into_raw_fd();
    Ok(link)
}

/// The number that perf has for a tracepoint. Where nobody has mounted the file system, we do for a moment, and in no place.
fn number(id: &str) -> io::Result<u64> {
    let mut text = String::new();
    let seen = PLACES.iter().find_map(|place| File::open(Path::new(place).join(id)).ok());
    seen.map_or_else(|| mounted_nowhere(id), Ok)?.read_to_string(&mut text)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

fn mounted_nowhere(id: &str) -> io::Result<File> {
    let owned = |fd: libc::c_long| {
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    };
    // SAFETY: a string that is there for good, and flags (FSOPEN_CLOEXEC).
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"tracefs".as_ptr(), 1) })?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: a descriptor, a command without arguments (FSCONFIG_CMD_CREATE), no addresses.
    if unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 6, none, none, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor and flags (FSMOUNT_CLOEXEC).
    let root = owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0) })?;
    let path = std::ffi::CString::new(id)?;
    // SAFETY: the path lives during the call.
    let file = unsafe { libc::openat(root.as_raw_fd(), path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    owned(file.into()).map(File::from)
}

/// `struct perf_event_attr` as it was at first (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sampling: [u64; 3],
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    config1: u64,
}

/// Opens the event for all processes on one CPU; a program on it runs on all.
fn open(number: u64) -> io::Result<OwnedFd> {
    const TRACEPOINT: u32 = 2;
    const CLOEXEC: u64 = 8;
    let attributes =
        Attributes { kind: TRACEPOINT, size: size_of::<Attributes>() as u32, config: number, ..Attributes::default() };
    // SAFETY: the attributes live during the call, and are as long as they say.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attributes, -1, 0, -1, CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_as_long_as_they_were_at_first() {
        assert_eq!(size_of::<Attributes>(), 64);
    }

    #[test]
    fn what_is_no_tracepoint_has_no_number() {
        assert!(number("events/sock/none/id").is_err());
    }
}
