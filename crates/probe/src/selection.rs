//! Who is observed: the rules' tables, and the verdicts of single processes.

use crate::attach::{CAPTURE, IGNORE, Probe, ProbeError};
use crate::skeleton::SockTracepointsSkel;
use libbpf_rs::{MapCore, MapFlags};
use std::sync::atomic::{AtomicU32, Ordering};
use steth_verdict::{ROWS, Rules};

/// What is observed, as it can change while the agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// By what a process is.
    pub rules: Rules,
    /// Unix sockets are not observed.
    pub skip_unix: bool,
    /// Connections within this host are not observed: over the loopback device, which carries those to the host's own
    /// addresses too.
    pub skip_local: bool,
}

impl Probe {
    /// Observes this process, and the children it will have.
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub fn select(&mut self, pid: u32) -> Result<(), ProbeError> {
        self.judge(pid, true)?;
        raise_epoch(&mut self.skel);
        Ok(())
    }

    /// The verdict of a process that was running before the rules came, or that they say something else of now. It holds for
    /// sockets that are in use after the next [`Probe::judged`].
    ///
    /// # Errors
    /// When the kernel's table is full.
    pub fn judge(&mut self, pid: u32, selected: bool) -> Result<(), ProbeError> {
        let (verdicts, key) = (&self.skel.maps.verdicts, pid.to_ne_bytes());
        if selected {
            let set = verdicts.update(&key, &CAPTURE.to_ne_bytes(), MapFlags::ANY);
            set.map_err(|error| Self::refused("another selected process", &error))
        } else {
            // It may not have been there.
            let _ = verdicts.delete(&key);
            Ok(())
        }
    }

    /// Processes that are selected one by one, or by rules.
    #[must_use]
    pub fn selected(&self) -> Vec<u32> {
        let keys = self.skel.maps.verdicts.keys();
        keys.filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?))).collect()
    }

    /// Verdicts that sockets remember are looked up anew.
    pub fn judged(&mut self) {
        raise_epoch(&mut self.skel);
    }

    /// From now on new images are judged by these rules. Processes that are running are to be judged by the caller.
    ///
    /// # Errors
    /// When the kernel refuses a table; the old rules stay in force.
    pub fn apply(&mut self, selection: &Selection) -> Result<(), ProbeError> {
        put(&mut self.skel, selection)?;
        if let Some(control) = self.skel.maps.data_control_data.as_deref_mut() {
            control.control.default_verdict = if selection.rules.is_empty() { CAPTURE } else { IGNORE };
        }
        Ok(())
    }
}

/// Writes the tables into the half that is not in use, then makes it the one that is.
pub(crate) fn put(skel: &mut SockTracepointsSkel<'_>, selection: &Selection) -> Result<(), ProbeError> {
    let Some(control) = skel.maps.data_control_data.as_deref_mut() else {
        return Err(Probe::broken("the object has no control section"));
    };
    let generation = (control.control.rules >> 31) ^ 1;
    let mut rules = generation << 31;
    for (n, table) in selection.rules.tables().enumerate() {
        let Some(table) = table else { continue };
        let index = generation * 2 * ROWS as u32 + n as u32;
        skel.maps
            .automata
            .update(&index.to_ne_bytes(), &table.to_bytes(), MapFlags::ANY)
            .map_err(|error| Probe::refused("the table of a rule", &error))?;
        rules |= 1 << n;
    }
    control.control.skip_unix = selection.skip_unix.into();
    control.control.skip_local = selection.skip_local.into();
    // Rows and half in one store: a program that is judging goes on with what it has read.
    control.control.rules = rules;
    Ok(())
}

/// The kernel side raises it too, when the verdict of a process changes with its image.
fn raise_epoch(skel: &mut SockTracepointsSkel<'_>) {
    if let Some(control) = skel.maps.data_control_data.as_deref_mut() {
        let epoch = &raw mut control.control.epoch;
        // SAFETY: an aligned 32-bit integer in a mapping that lives as long as the skeleton; the kernel side changes it by an
        // atomic addition, so it must be an atomic one here too.
        unsafe { AtomicU32::from_ptr(epoch) }.fetch_add(1, Ordering::Relaxed);
    }
}
