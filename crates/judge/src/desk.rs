//! The thread that judges, and the queue before it.

use crate::containers::Id;
use crate::judging::{Counts, Judging};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use steth_verdict::{ContainerFacts, Rules};

/// What may wait. Beyond it, what was said of containers is lost and counted, and everybody is judged anew.
pub const ORDERS: usize = 16_384;

/// What has come since the thread looked last.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) rules: Option<Box<Rules>>,
    pub(crate) containers: Vec<(Id, Change)>,
    pub(crate) joined: Vec<u32>,
    pub(crate) everybody: bool,
}

/// What is new of a container.
#[derive(Debug)]
pub(crate) enum Change {
    Made,
    Known(Option<Box<ContainerFacts>>),
    Gone,
}

impl Orders {
    fn is_empty(&self) -> bool {
        self.rules.is_none() && !self.everybody && self.containers.is_empty() && self.joined.is_empty()
    }
}

#[derive(Debug, Default)]
struct Tray {
    orders: Orders,
    at_work: bool,
    over: bool,
    purged: Vec<Id>,
    counts: Counts,
    refused: u64,
}

#[derive(Debug, Default)]
struct Desk {
    tray: Mutex<Tray>,
    changed: Condvar,
}

impl Desk {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        // Whoever holds it only moves things in or out.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what is to be judged. Nothing here waits, but [`Judge::wait`]. The thread ends when this is dropped.
#[derive(Debug)]
pub struct Judge {
    desk: Arc<Desk>,
}

impl Judge {
    /// Goes on with the work on a thread of its own, which has the privileges of the caller's.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(mut judging: Judging) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        desk.tray().counts = judging.counts();
        let shared = desk.clone();
        let work = move || {
            while let Some(orders) = shared.next() {
                let purged = judging.work(orders);
                let mut tray = shared.tray();
                tray.purged.extend(purged);
                tray.counts = judging.counts();
                tray.at_work = false;
                drop(tray);
                shared.changed.notify_all();
            }
        };
        thread::Builder::new().name("steth-judge".to_owned()).spawn(work)?;
        Ok(Self { desk })
    }

    /// Other rules are in force in the kernel side: everybody is judged anew.
    pub fn rules(&self, rules: &Rules) {
        self.desk.tray().orders.rules = Some(Box::new(rules.clone()));
        self.desk.changed.notify_all();
    }

    /// The cgroup of a container was made. Until somebody says more, it is undecided.
    pub fn made(&self, id: &Id) {
        self.change(*id, Change::Made);
    }

    /// What is known of a container, from now on and until [`Judge::gone`]; `None`: nothing any more.
    pub fn known(&self, id: &Id, facts: Option<&ContainerFacts>) {
        self.change(*id, Change::Known(facts.cloned().map(Box::new)));
    }

    /// The cgroup of a container was removed.
    pub fn gone(&self, id: &Id) {
        self.change(*id, Change::Gone);
    }

    fn change(&self, id: Id, change: Change) {
        self.say(|orders| orders.containers.push((id, change)));
    }

    /// A process was put into a container, or out of one.
    pub fn joined(&self, pid: u32) {
        self.say(|orders| orders.joined.push(pid));
    }

    fn say(&self, what: impl FnOnce(&mut Orders)) {
        let mut tray = self.desk.tray();
        if tray.orders.containers.len() + tray.orders.joined.len() < ORDERS {
            what(&mut tray.orders);
        } else {
            tray.refused += 1;
            tray.orders.everybody = true;
        }
        drop(tray);
        self.desk.changed.notify_all();
    }

    /// Whether all that was said is done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.desk.tray().is_idle()
    }

    /// Waits until all that was said is done; false: it is not, after so long.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut tray = self.desk.tray();
        while !tray.is_idle() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            tray = self.desk.changed.wait_timeout(tray, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Containers that were forgotten since the last call because nothing runs in them.
    #[must_use]
    pub fn purged(&self) -> Vec<Id> {
        std::mem::take(&mut self.desk.tray().purged)
    }

    /// What was judged, and what could not be.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let tray = self.desk.tray();
        Counts { refused: tray.refused, ..tray.counts }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.desk.tray().over = true;
        self.desk.changed.notify_all();
    }
}

impl Tray {
    fn is_idle(&self) -> bool {
        !self.at_work && self.orders.is_empty()
    }
}

impl Desk {
    /// What has come; waits for it. `None`: nothing will come any more.
    fn next(&self) -> Option<Orders> {
        let mut tray = self.tray();
        while tray.orders.is_empty() && !tray.over {
            tray = self.changed.wait(tray).unwrap_or_else(PoisonError::into_inner);
        }
        if tray.over {
            return None;
        }
        tray.at_work = true;
        Some(std::mem::take(&mut tray.orders))
    }
}
