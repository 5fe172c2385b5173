//! The verdicts of single processes and containers: tables of the kernel side that whoever judges writes, on a thread of its own.

use crate::attach::{CAPTURE, IGNORE};
use crate::error::ProbeError;
use crate::side::{Control, Mapped};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use std::sync::atomic::{AtomicU32, Ordering};
use steth_event::CONTAINER_ID;

/// The tables of verdicts. They are the attached [`Probe`](crate::Probe)'s, and may outlive it.
#[derive(Debug)]
pub struct Verdicts {
    pub(crate) processes: MapHandle,
    pub(crate) containers: MapHandle,
    pub(crate) control: Mapped<Control>,
}

impl Verdicts {
    /// The verdict of a process that was running before the rules came, or that they say something else of now. It holds for
    /// sockets that are in use after the next [`Verdicts::judged`].
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub fn judge(&self, pid: u32, selected: bool) -> Result<(), ProbeError> {
        let key = pid.to_ne_bytes();
        if selected {
            let set = self.processes.update(&key, &CAPTURE.to_ne_bytes(), MapFlags::ANY);
            set.map_err(|error| ProbeError::refused("another selected process", &error))
        } else {
            // It may not have been there.
            let _ = self.processes.delete(&key);
            Ok(())
        }
    }

    /// Whether a process is selected, one by one or by rules.
    #[must_use]
    pub fn has(&self, pid: u32) -> bool {
        let known = self.processes.lookup(&pid.to_ne_bytes(), MapFlags::ANY);
        known.ok().flatten().is_some_and(|verdict| *verdict == CAPTURE.to_ne_bytes())
    }

    /// All processes that are.
    #[must_use]
    pub fn selected(&self) -> Vec<u32> {
        let keys = self.processes.keys();
        keys.filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?))).collect()
    }

    /// Verdicts that sockets remember are looked up anew.
    pub fn judged(&self) {
        raise(self.control.epoch());
    }

    /// The verdict of a container, by the rows of containers: it holds for images that processes in it become from now on, and for
    /// processes that are put into it. Those that are in it are to be judged by the caller. Until this was said, no process of a
    /// container is observed if there are such rows. It is forgotten with the container's cgroup.
    ///
    /// # Errors
    /// When the kernel's table is full: then it stays undecided.
    pub fn judge_container(&self, id: &[u8; CONTAINER_ID], selected: bool) -> Result<(), ProbeError> {
        let verdict = if selected { CAPTURE } else { IGNORE };
        let set = self.containers.update(&id[..CONTAINER_ID / 2], &verdict.to_ne_bytes(), MapFlags::ANY);
        set.map_err(|error| ProbeError::refused("another container's verdict", &error))
    }

    /// The container is undecided again.
    pub fn forget_container(&self, id: &[u8; CONTAINER_ID]) {
        // It may not have been there.
        let _ = self.containers.delete(&id[..CONTAINER_ID / 2]);
    }
}

/// The kernel side raises it too, when the verdict of a process changes with its image.
pub(crate) fn raise(epoch: &AtomicU32) {
    epoch.fetch_add(1, Ordering::Relaxed);
}
