//! The writer: one window, one transaction.

use crate::directory::{LEDGER, Name};
use crate::error::{Fault, OpenError};
use crate::feed::{MS, Message};
use crate::keep::Keeper;
use crate::ledger::Ledger;
use crate::level::Level;
use crate::partition::Partition;
use crate::status::count;
use crate::store::Shared;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use steth_query::Range;
use steth_samples::Kept;
use steth_window::Window;

/// Writes windows, adds them up, and makes room. It is made by [`Store::open`](crate::Store::open), and started when the thread that
/// starts it has no more privileges than it needs.
pub struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) ledger: Ledger,
    /// The files that are open for writing, one of each level.
    pub(crate) open: BTreeMap<Level, (Name, Partition)>,
    /// Steps that windows have come into since they were added up, or that were not yet.
    pub(crate) pending: BTreeMap<Level, BTreeSet<u64>>,
    /// The number of the last window. Each has one that no other window has, across all starts.
    pub(crate) last: i64,
    /// Where time is: steps that this is in are not over.
    position: u64,
    keeper: Keeper,
    samples: Option<(Arc<Vec<Kept>>, u64)>,
    reached: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, ledger: Ledger, now: Option<u64>) -> Result<Self, OpenError> {
        let file = |fault: Fault| fault.into_open(shared.directory.path().join(LEDGER));
        let (last, newest) = {
            let catalog = shared.catalog();
            let windows = || catalog.of(Level::Seconds10).flat_map(|part| part.steps.iter());
            let last = catalog.parts.values().flat_map(|part| part.steps.values()).copied().max().unwrap_or(0);
            (last, windows().max_by_key(|(_, upto)| **upto).map(|((at, _), _)| *at))
        };
        let last = last.max(ledger.upto().map_err(file)?);
        let reached = ledger.reached().map_err(file)?;
        let until = newest.map(|at| at + Level::Seconds10.step()).into_iter().chain(reached).max();
        shared.reached.store(reached.unwrap_or(0), Ordering::Relaxed);
        if let (Some(from_ms), Some(now)) = (until, now) {
            shared.miss(Range { from_ms, to_ms: now / MS }, "the agent did not run, or could not write");
        }
        let position = now.map(|now| now / MS).or(newest).unwrap_or(0);
        let pending = shared.catalog().pending();
        Ok(Self {
            shared,
            ledger,
            open: BTreeMap::new(),
            pending,
            last,
            position,
            keeper: Keeper::default(),
            samples: None,
            reached: reached.unwrap_or(0),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What was left undone the last time.
    pub(crate) fn begin(&mut self) {
        let since = Instant::now();
        let done = self.catch_up().and_then(|()| self.roll_up()).and_then(|()| self.save_gaps());
        self.after(done);
        self.make_room();
        self.took(since);
    }

    pub(crate) fn take(&mut self, message: Message) {
        let since = Instant::now();
        match message {
            Message::Window(window) => self.window(&window),
            Message::Reached(until) => self.reached(until),
            Message::Samples(samples, forgotten) => self.samples = Some((samples, forgotten)),
        }
        self.took(since);
    }

    pub(crate) fn end(&mut self) {
        self.keep_samples();
        let done = self.save_gaps().and_then(|()| self.ledger.set_reached(self.reached));
        self.after(done);
        self.open.values().for_each(|(_, partition)| partition.settle());
    }

    fn took(&self, since: Instant) {
        count(&self.shared.counters.busy_ns, since.elapsed().as_nanos() as u64);
    }

    fn window(&mut self, window: &Window) {
        let mut done = self.try_window(window);
        if matches!(&done, Err(fault) if fault.damaged() || fault.doubtful()) {
            done = self.try_window(window);
        }
        if let Err(fault) = done {
            count(&self.shared.counters.failed, 1);
            self.shared.unkept_window(window.sequence);
            let why =
                if fault.full() { "the disk was full".to_owned() } else { format!("it could not be written: {fault}") };
            self.shared.miss(Range { from_ms: window.start / MS, to_ms: window.end / MS }, &why);
            self.failed(&fault);
            self.make_room();
            return;
        }
        count(&self.shared.counters.written, 1);
        self.shared.counters.committed.store(window.sequence, Ordering::Release);
        let at = window.start / MS;
        count(&self.shared.counters.out_of_order, u64::from(at < self.position));
        self.position = at;
        let done = self.see(window).and_then(|()| self.roll_up()).and_then(|()| self.save_gaps());
        self.after(done);
        self.keep_samples();
        self.make_room();
    }

    /// Writes a window. What fails is undone.
    fn try_window(&mut self, window: &Window) -> Result<(), Fault> {
        let (at, id) = (window.start / MS, self.last + 1);
        let name = self.place(Level::Seconds10, at)?;
        let done = self.partition(name).and_then(|partition| crate::ingest::write(partition, id, window));
        self.checked(name, done)?;
        self.last = id;
        self.written(name, at, id, id);
        for level in Level::ROLLED {
            self.pending.entry(level).or_default().insert(level.floor(at));
        }
        Ok(())
    }

    /// Says who is in a window that was written. If that did not work for the one before, all since then are read again.
    fn see(&mut self, window: &Window) -> Result<(), Fault> {
        if self.ledger.upto()? + 1 != self.last {
            return self.catch_up();
        }
        let range = Range { from_ms: window.start / MS, to_ms: window.end / MS };
        let everybody = crate::ingest::everybody(window);
        self.ledger.see(everybody.values().map(|who| (*who, range)), self.last)
    }

    fn reached(&mut self, until: u64) {
        let before = std::mem::replace(&mut self.reached, until);
        self.shared.reached.store(until, Ordering::Relaxed);
        // As often as there would be windows.
        if until / Level::Seconds10.step() == before / Level::Seconds10.step() {
            return;
        }
        // Nothing comes any more of the steps that are over. A step in which it has stopped is not over.
        self.position = until;
        let done = self.ledger.set_reached(until);
        let done = done.and_then(|()| self.roll_up()).and_then(|()| self.save_gaps());
        self.after(done);
        self.keep_samples();
    }

    pub(crate) fn save_gaps(&mut self) -> Result<(), Fault> {
        let gaps = self.shared.unsaved_gaps();
        if !gaps.is_empty() {
            self.ledger.miss(&gaps)?;
            self.shared.saved(&gaps);
        }
        Ok(())
    }

    fn keep_samples(&mut self) {
        let Some((samples, forgotten)) = self.samples.take() else { return };
        let done = self.keeper.keep(&self.shared, &samples, forgotten);
        self.after(done);
    }

    pub(crate) fn after(&self, done: Result<(), Fault>) {
        match done {
            Ok(()) => {
                if self.shared.counters.recovered() {
                    (self.shared.say)("windows are kept again");
                }
            }
            Err(fault) => self.failed(&fault),
        }
    }

    fn failed(&self, fault: &Fault) {
        let directory = self.shared.directory.path().display();
        if self.shared.counters.trouble(&fault.to_string()) {
            (self.shared.say)(&format!("windows cannot be kept in {directory}: {fault}; trying on"));
        }
    }

    /// The file that a step is in, or goes to; made if there is none.
    pub(crate) fn place(&mut self, level: Level, at: u64) -> Result<Name, Fault> {
        if let Some(name) = self.shared.catalog().place(level, at) {
            return Ok(name);
        }
        let name = self.shared.new_name(level, at);
        let path = self.shared.directory.create(&name.file())?;
        let partition = Partition::open(&path).inspect_err(|_| drop(self.shared.directory.unlink(&name.file())))?;
        self.shared.enter(name);
        self.put_open(name, partition);
        Ok(name)
    }

    fn put_open(&mut self, name: Name, partition: Partition) {
        if let Some((_, before)) = self.open.insert(name.level, (name, partition)) {
            before.settle();
        }
    }

    pub(crate) fn partition(&mut self, name: Name) -> Result<&mut Partition, Fault> {
        if self.open.get(&name.level).is_none_or(|(open, _)| *open != name) {
            let path = self.shared.directory.path().join(name.file());
            // SQLite would make a new one.
            path.metadata()?;
            let partition = Partition::open(Path::new(&path));
            let partition = self.checked(name, partition)?;
            self.put_open(name, partition);
        }
        let (_, partition) =
            self.open.get_mut(&name.level).ok_or(std::io::Error::from(std::io::ErrorKind::NotFound))?;
        Ok(partition)
    }

    /// After a failure a file is opened anew, and one that is damaged is set aside.
    pub(crate) fn checked<T>(&mut self, name: Name, done: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(fault) = &done {
            self.open.remove(&name.level);
            if self.shared.damaged(&name.file(), fault) {
                self.shared.set_aside(&name.file());
            }
        }
        done
    }

    /// A step was written.
    pub(crate) fn written(&mut self, name: Name, at: u64, id: i64, upto: i64) {
        let bytes = self.shared.directory.size(&name.file());
        let numbers = self.open.get(&name.level).map_or(0, |(_, partition)| partition.numbers());
        let sealed = bytes > self.shared.largest(name.level) || numbers > NUMBERS;
        if let Some(part) = self.shared.catalog_mut().parts.get_mut(&name.number) {
            part.steps.insert((at, id), upto);
            part.bytes = bytes;
            part.sealed |= sealed;
        }
    }

    /// Whether a step of a level is not over.
    pub(crate) fn in_progress(&self, level: Level, at: u64) -> bool {
        level.floor(self.position) == at
    }
}

/// Most names, series and so on in one file: as many are in memory while it is written, about 100 bytes each.
const NUMBERS: usize = 60_000;
