//! The processes that were running before: looked at once, so that none of them has to be waited for.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use steth_event::Process;

/// Processes that wait to be taken over; the thread waits for room.
const QUEUE: usize = 256;
/// Processes that are kept until they use a socket. Others are looked up when they do.
const KEPT: usize = 4096;
/// Changes that are remembered while the thread is at work.
const CHANGED: usize = 65_536;
const SEED: u64 = 0x7363;

/// Processes that were found and have not used a socket yet.
#[derive(Debug)]
pub(crate) struct Scan {
    found: HashMap<u32, Process, FixedState>,
    /// While the thread is at work: who has ended or become somebody else since it began, which it may not have seen.
    changed: HashSet<u32, FixedState>,
    coming: Option<Receiver<Process>>,
}

impl Scan {
    /// Nothing was found, and nothing will be.
    pub(crate) fn none() -> Self {
        let hasher = || FixedState::with_seed(SEED);
        Self { found: HashMap::with_hasher(hasher()), changed: HashSet::with_hasher(hasher()), coming: None }
    }

    /// Looks at all of these on a thread of its own. From before this call on, [`Scan::forget`] must be told of every change.
    pub(crate) fn start(
        pids: impl FnOnce() -> Vec<u32> + Send + 'static,
        read: impl Fn(u32) -> Option<Process> + Send + 'static,
    ) -> io::Result<Self> {
        let (send, coming) = sync_channel(QUEUE);
        let work = move || {
            for pid in pids() {
                // Kernel threads have no executable.
                let Some(process) = read(pid).filter(|process| !process.executable.is_empty()) else { continue };
                if send.send(process).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("steth-scan".to_owned()).spawn(work)?;
        Ok(Self { coming: Some(coming), ..Self::none() })
    }

    /// Takes over what was found meanwhile. Never waits.
    pub(crate) fn take_over(&mut self) {
        while let Some(coming) = &self.coming {
            match coming.try_recv() {
                Ok(process) => {
                    if self.found.len() < KEPT && !self.changed.contains(&process.pid) {
                        self.found.insert(process.pid, process);
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.coming = None;
                    self.changed = HashSet::with_hasher(FixedState::with_seed(SEED));
                }
            }
        }
    }

    /// Who this is, if it was found. It will not be asked for again.
    pub(crate) fn take(&mut self, pid: u32) -> Option<Process> {
        self.found.remove(&pid)
    }

    /// It has ended, or has a new image.
    pub(crate) fn forget(&mut self, pid: u32) {
        self.found.remove(&pid);
        if self.coming.is_some() {
            self.changed.insert(pid);
        }
        if self.changed.len() > CHANGED {
            // It hangs, or never comes to an end: whoever is left is looked up when it uses a socket.
            (self.coming, self.changed) = (None, HashSet::with_hasher(FixedState::with_seed(SEED)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn named(pid: u32) -> Option<Process> {
        Some(Process { pid, executable: "/bin/x".into(), ..Process::default() })
    }

    fn finish(scan: &mut Scan) {
        let until = Instant::now() + Duration::from_secs(10);
        while scan.coming.is_some() && Instant::now() < until {
            scan.take_over();
            thread::sleep(Duration::from_millis(1));
        }
        assert!(scan.coming.is_none(), "the scan comes to an end");
    }

    #[test]
    fn who_was_found_is_known_once_and_who_has_changed_is_not() {
        let (open, gate) = sync_channel::<()>(0);
        let pids = move || {
            let _ = gate.recv();
            (1..1000).collect()
        };
        let mut scan = Scan::start(pids, named).unwrap();
        scan.forget(7);
        drop(open);
        finish(&mut scan);
        assert!(scan.take(7).is_none() && scan.take(8).is_some() && scan.take(8).is_none());
        scan.forget(9);
        let mut endless = Scan::start(
            || vec![1],
            |_| loop {
                thread::park()
            },
        )
        .unwrap();
        (0..=CHANGED as u32).for_each(|pid| endless.forget(pid));
        assert!(endless.coming.is_none() && endless.changed.is_empty());
        assert!(scan.take(9).is_none() && scan.changed.is_empty());
    }

    #[test]
    fn only_so_many_are_kept_and_no_kernel_threads() {
        let kernel_thread = |pid| Some(Process { pid, ..Process::default() });
        let read = move |pid| if pid % 2 == 0 { named(pid) } else { kernel_thread(pid) };
        let mut scan = Scan::start(|| (0..4 * KEPT as u32).collect(), read).unwrap();
        finish(&mut scan);
        assert!(scan.found.len() == KEPT && scan.found.keys().all(|pid| pid % 2 == 0));
    }
}
