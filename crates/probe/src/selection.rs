//! Who is observed: the rules' tables, and the verdicts of single processes.

use crate::attach::{CAPTURE, IGNORE, Probe};
use crate::error::ProbeError;
use crate::rows;
use crate::side::{Mapped, Side};
use crate::verdicts::{Verdicts, raise};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
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
        let set = self.side.verdicts.update(&pid.to_ne_bytes(), &CAPTURE.to_ne_bytes(), MapFlags::ANY);
        set.map_err(|error| ProbeError::refused("another selected process", &error))?;
        self.judged();
        Ok(())
    }

    /// Verdicts that sockets remember are looked up anew.
    pub fn judged(&mut self) {
        raise(self.side.epoch());
    }

    /// The tables of verdicts, for whoever judges: they may be written from any thread, and go on being the kernel side's.
    ///
    /// # Errors
    /// When the process has no descriptor or no memory left for them.
    pub fn verdicts(&self) -> Result<Verdicts, ProbeError> {
        let handle = |map: &MapHandle| {
            MapHandle::try_from(map).map_err(|error| ProbeError::refused("another handle of a table", &error))
        };
        let control = Mapped::map(&self.side.map(".data.control")?);
        let control = control.map_err(|error| ProbeError::broken(&format!("mapping the settings: {error}")))?;
        Ok(Verdicts { processes: handle(&self.side.verdicts)?, containers: handle(&self.side.containers)?, control })
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

/// `enum rules` of `bpf/settings.h`.
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
