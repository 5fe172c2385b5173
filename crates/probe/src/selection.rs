//! Who is observed: the rules' tables, and the verdicts of single processes.

use crate::attach::{CAPTURE, IGNORE, Probe};
use crate::error::ProbeError;
use crate::rows;
use crate::side::Side;
use libbpf_rs::{MapCore, MapFlags};
use std::sync::atomic::{AtomicU32, Ordering};
use steth_event::CONTAINER_ID;
use steth_verdict::{Connections, ROWS, Rules};

/// What is observed, as it can change while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// By what a process is, and its container.
    pub rules: Rules,
    /// By what a connection is.
    pub connections: Connections,
    /// What is analysed, one bit per protocol number. None: connections are announced and counted, and no byte of them is copied.
    pub protocols: u32,
    /// Unix sockets are not observed.
    pub skip_unix: bool,
    /// Connections within this host are not observed: over the loopback device, which carries those to the host's own
    /// addresses too.
    pub skip_local: bool,
}

impl Default for Selection {
    /// Everything.
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            connections: Connections::default(),
            protocols: u32::MAX,
            skip_unix: false,
            skip_local: false,
        }
    }
}

impl Probe {
    /// Observes this process, and the children it will have.
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub fn select(&mut self, pid: u32) -> Result<(), ProbeError> {
        self.judge(pid, true)?;
        raise_epoch(&mut self.side);
        Ok(())
    }

    /// The verdict of a process that was running before the rules came, or that they say something else of now. It holds for
    /// sockets that are in use after the next [`Probe::judged`].
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub fn judge(&mut self, pid: u32, selected: bool) -> Result<(), ProbeError> {
        let (verdicts, key) = (&self.side.verdicts, pid.to_ne_bytes());
        if selected {
            let set = verdicts.update(&key, &CAPTURE.to_ne_bytes(), MapFlags::ANY);
            set.map_err(|error| ProbeError::refused("another selected process", &error))
        } else {
            // It may not have been there.
            let _ = verdicts.delete(&key);
            Ok(())
        }
    }

    /// Processes that are selected one by one, or by rules.
    #[must_use]
    pub fn selected(&self) -> Vec<u32> {
        let keys = self.side.verdicts.keys();
        keys.filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?))).collect()
    }

    /// Verdicts that sockets remember are looked up anew.
    pub fn judged(&mut self) {
        raise_epoch(&mut self.side);
    }

    /// The verdict of a container, by the rows of containers: it holds for images that processes in it become from now on, and for
    /// processes that are put into it. Those that are in it are to be judged by the caller. Until this was said, no process of a
    /// container is observed if there are such rows. It is forgotten with the container's cgroup.
    ///
    /// # Errors
    /// When the kernel's table is full: then it stays undecided.
    pub fn judge_container(&mut self, id: &[u8; CONTAINER_ID], selected: bool) -> Result<(), ProbeError> {
        let verdict = if selected { CAPTURE } else { IGNORE };
        let set = self.side.containers.update(&id[..CONTAINER_ID / 2], &verdict.to_ne_bytes(), MapFlags::ANY);
        set.map_err(|error| ProbeError::refused("another container's verdict", &error))
    }

    /// The container is undecided again.
    pub fn forget_container(&mut self, id: &[u8; CONTAINER_ID]) {
        // It may not have been there.
        let _ = self.side.containers.delete(&id[..CONTAINER_ID / 2]);
    }

    /// From now on new images and connections are judged by these rules, those that are open once [`Probe::judged`] was called.
    /// Processes that are running are to be judged by the caller, and so are containers.
    ///
    /// # Errors
    /// When the kernel refuses a table; the old rules stay in force.
    pub fn apply(&mut self, selection: &Selection) -> Result<(), ProbeError> {
        put(&mut self.side, selection)?;
        self.side.control().control.default_verdict = if selection.rules.is_empty() { CAPTURE } else { IGNORE };
        Ok(())
    }
}

/// `enum rules` of `bpf/state.h`.
const CONTAINER: u32 = 1 << 16;
const CONTAINER_INCLUDES: u32 = 1 << 17;

/// Writes the tables into the half that is not in use, then makes it the one that is.
pub(crate) fn put(side: &mut Side, selection: &Selection) -> Result<(), ProbeError> {
    let generation = (side.control().control.rules >> 31) ^ 1;
    let mut rules = generation << 31;
    rules |= rows::put(side, generation, &selection.connections)?;
    if selection.rules.have_containers() {
        rules |= CONTAINER | if selection.rules.judge_outside().selected { 0 } else { CONTAINER_INCLUDES };
    }
    for (n, table) in selection.rules.tables().enumerate() {
        let Some(table) = table else { continue };
        let index = generation * 2 * ROWS as u32 + n as u32;
        side.automata
            .update(&index.to_ne_bytes(), &table.to_bytes(), MapFlags::ANY)
            .map_err(|error| ProbeError::refused("the table of a rule", &error))?;
        rules |= 1 << n;
    }
    let control = side.control();
    control.control.skip_unix = selection.skip_unix.into();
    control.control.skip_local = selection.skip_local.into();
    control.control.sampling = selection.connections.sampling;
    control.control.protocols = selection.protocols;
    // Rows and half in one store: a program that is judging goes on with what it has read.
    control.control.rules = rules;
    Ok(())
}

/// The kernel side raises it too, when the verdict of a process changes with its image.
fn raise_epoch(side: &mut Side) {
    let epoch = &raw mut side.control().control.epoch;
    // SAFETY: an aligned 32-bit integer in a mapping that lives as long as the kernel side; that changes it by an atomic addition,
    // so it must be an atomic one here too.
    unsafe { AtomicU32::from_ptr(epoch) }.fetch_add(1, Ordering::Relaxed);
}
