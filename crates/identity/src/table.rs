//! The processes that have been seen.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use steth_event::Process;

/// A bounded table of processes: the oldest entry makes room.
#[derive(Debug)]
pub struct Processes {
    by_id: HashMap<u32, Arc<Process>, FixedState>,
    order: VecDeque<u32>,
    maximum: usize,
    evicted: u64,
    version: u64,
}

impl Processes {
    /// A table of at most `maximum` processes.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        let by_id = HashMap::with_hasher(FixedState::with_seed(0x7072));
        Self { by_id, order: VecDeque::new(), maximum: maximum.max(1), evicted: 0, version: 0 }
    }

    /// A process was looked up; it replaces an earlier one with the same id.
    pub fn insert(&mut self, process: Process) {
        let pid = process.pid;
        self.version += 1;
        if self.by_id.insert(pid, Arc::new(process)).is_none() {
            self.order.push_back(pid);
            if self.order.len() > self.maximum
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_id.remove(&oldest);
                self.evicted += 1;
            }
        }
    }

    /// Who this is, if it is known.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Arc<Process>> {
        self.by_id.get(&pid)
    }

    /// Changes with every change of the table: while it stays, whoever remembers an answer need not ask again.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Entries that made room for others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}
