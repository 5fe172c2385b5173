//! Loads the kernel side and drains its ring.
//!
//! ```text
//! bpf/steth.bpf.c            ==[ ring ]==> Probe::drain(|record| …) --> flow
//!                            <--[ control, rules, verdicts, demoted ]-- Probe
//! ```
//!
//! The one crate that names libbpf and the one with `unsafe`. [`Probe::attach`] loads and attaches everything or nothing;
//! dropping the [`Probe`] (or killing the process, however hard) detaches everything, because nothing is pinned.
//!
//! ```no_run
//! use steth_probe::{Probe, Settings};
//! let mut probe = Probe::attach(&Settings::default())?;
//! probe.wait(std::time::Duration::from_millis(20));
//! probe.drain(|record| println!("{} bytes", record.len()));
//! # Ok::<(), steth_probe::ProbeError>(())
//! ```

mod attach;
mod described;
pub mod doctor;
mod error;
mod hooks;
mod inventory;
mod load;
pub mod lookups;
mod one_by_one;
mod own_rings;
mod perf;
pub mod privileges;
mod ring;
mod rings;
mod rows;
mod selection;
mod sent;
mod side;
mod trimmed;
mod types;
mod uring;
mod verdicts;
mod whoami;
// Of this the types alone are used: both objects have the same ones.
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/steth.skel.rs"));
}

pub use attach::{Demotion, Probe, ProgramStatistics, STAGES, Settings};
pub use error::{ProbeError, Refusal};
pub use hooks::{Core, Fallbacks, Family, Rung};
pub use inventory::Inventory;
pub use selection::Selection;
pub use sent::SENT_TO;
pub use verdicts::Verdicts;

/// A compiled BPF object, for the test that compares its types with those of `steth-event`.
#[doc(hidden)]
#[must_use]
pub fn object(core: Core) -> &'static [u8] {
    side::object(core)
}

/// Makes the kernel measure the run time of every BPF program for as long as the value lives (`BPF_ENABLE_STATS`). It
/// slows every program run down by about 60 ns, so it is for benchmarks.
#[derive(Debug)]
pub struct Statistics(#[allow(dead_code)] std::os::fd::OwnedFd);

impl Statistics {
    /// Switches the measurement on.
    ///
    /// # Errors
    /// When the kernel refuses (older than 5.8, or no CAP_SYS_ADMIN).
    pub fn enable() -> std::io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: a system call without pointers.
        let fd = unsafe { libbpf_rs::libbpf_sys::bpf_enable_stats(libbpf_rs::libbpf_sys::BPF_STATS_RUN_TIME) };
        if fd < 0 {
            return Err(std::io::Error::from_raw_os_error(-fd));
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        Ok(Self(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }))
    }
}
