//! What this process may do, and giving up what it no longer needs (capabilities(7)).

use crate::Probe;
use libbpf_rs::{MapCore as _, MapFlags};
use std::fmt;
use std::io;

/// The capabilities that matter here. Whatever is not named is never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Write to a directory that belongs to somebody else.
    DacOverride = 1,
    /// Ask the kernel's connection tracking, and change all of the network.
    NetAdmin = 12,
    /// Read `/proc/PID/exe` of other users' processes.
    SysPtrace = 19,
    /// All of the next two, and much more.
    SysAdmin = 21,
    /// Attach programs to tracepoints, and read kernel memory in them.
    Perfmon = 38,
    /// Load programs, create maps.
    Bpf = 39,
}

impl Capability {
    const ALL: [Self; 6] =
        [Self::DacOverride, Self::NetAdmin, Self::SysPtrace, Self::SysAdmin, Self::Perfmon, Self::Bpf];

    /// As capabilities(7) names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DacOverride => "CAP_DAC_OVERRIDE",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// A set of capabilities, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The effective ones of this thread.
    #[must_use]
    pub fn held() -> Self {
        Self::read("CapEff:")
    }

    fn read(key: &str) -> Self {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let hex = status.lines().find_map(|line| line.strip_prefix(key));
        Self(hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, capability: Capability) -> bool {
        self.0 >> (capability as u32) & 1 == 1
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << (capability as u32))
    }

    /// Their names; one without a name here by its number.
    #[must_use]
    pub fn names(self) -> Vec<String> {
        let name = |bit| {
            let known = Capability::ALL.into_iter().find(|capability| *capability as u32 == bit);
            known.map_or_else(|| format!("capability {bit}"), |capability| capability.name().to_owned())
        };
        (0..u64::BITS).filter(|bit| self.0 >> bit & 1 == 1).map(name).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, capability| bits | 1 << (capability as u32)))
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        f.write_str(if names.is_empty() { "none".to_owned() } else { names.join(", ") }.as_str())
    }
}

/// Gives up everything but `keep`, for good, and the means of gaining anything by starting a program (`no_new_privs`).
///
/// Capabilities belong to threads: this is for the calling one and those that it starts from now on. So are its children,
/// but not those that it has already started.
///
/// # Errors
/// When the kernel refuses; a sandbox may forbid the calls. What was given up by then stays given up.
pub fn keep_only(keep: &[Capability]) -> io::Result<()> {
    let wanted: Capabilities = keep.iter().copied().collect();
    let kept = Capabilities::read("CapPrm:").0 & wanted.0;
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    // SAFETY: numbers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }.into())?;
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |bits: u32| Data { effective: bits, permitted: bits, inheritable: 0 };
    let data = [half(kept as u32), half((kept >> 32) as u32)];
    // SAFETY: version 3 reads one header and two data structs, which live during the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })
}

impl Probe {
    /// What has to be kept so that tables can be read through descriptors that are open: nothing since Linux 5.19; before that CAP_BPF, where
    /// `kernel.unprivileged_bpf_disabled` is set. A thread that gives everything up tells.
    #[must_use]
    pub fn needed_for_tables(&self) -> &'static [Capability] {
        let table = &self.side.scratches;
        let read = || table.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).is_ok();
        let without = std::thread::scope(|scope| scope.spawn(|| keep_only(&[]).is_err() || read()).join());
        if without.unwrap_or(false) { &[] } else { &[Capability::Bpf] }
    }
}

/// The user that this process counts as.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() }
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two halves.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn check(result: i64) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_gone_and_only_for_this_thread() {
        let before = Capabilities::held();
        let kept = std::thread::spawn(|| {
            keep_only(&[Capability::SysPtrace]).expect("giving up needs no privilege");
            let inherited = std::thread::spawn(Capabilities::held).join().expect("no panic");
            assert_eq!(inherited, Capabilities::held());
            inherited
        });
        let kept = kept.join().expect("no panic");
        assert_eq!(kept, Capabilities(before.0 & 1 << 19));
        assert_eq!(Capabilities::held(), before);
    }

    #[test]
    fn sets_have_names() {
        assert_eq!(Capabilities(0).to_string(), "none");
        assert_eq!(Capabilities(1 << 19 | 1 << 1).to_string(), "CAP_DAC_OVERRIDE, CAP_SYS_PTRACE");
        assert_eq!(Capabilities(1 << 41).to_string(), "capability 41");
    }
}
