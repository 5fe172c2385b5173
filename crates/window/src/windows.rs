//! The windows that are being filled.

use crate::admission::{Limits, Operations, Population};
use crate::edges::{EdgeKey, EdgeSeen, Edges, Opened};
use crate::entity::{Entities, Time};
use crate::key::{Key, Labels, Resolve};
use crate::listening::{Listener, Listeners};
use crate::window::{Misplaced, Observation, Row, Totals, Window};
use hashbrown::HashMap;
use std::sync::Arc;

/// Sorts exchanges into windows of ten seconds, aligned to the clock on the wall.
///
/// An exchange belongs to the window in which it *ends*. A window is handed over [`Windows::GRACE`] after its end, so that
/// what is still on its way from the kernel finds it; in the meantime the next one is filled too. What comes later than
/// that is counted in the window of the moment, and as late. There is no clock in here: all times are passed in, in
/// nanoseconds since 1970.
#[derive(Debug)]
pub struct Windows {
    limits: Limits,
    current: Buffer,
    next: Buffer,
    edges: Edges,
    listeners: Listeners,
    operations: Operations,
    /// Windows handed over.
    sequence: u64,
    misplaced: Misplaced,
}

impl Windows {
    /// Length of a window: ten seconds.
    pub const LENGTH: u64 = 10 * 1_000_000_000;
    /// How long after its end a window is kept open: the kernel's records arrive within 50 ms, a busy worker's later.
    pub const GRACE: u64 = 250 * 1_000_000;

    /// Begins with the window that holds `now`.
    #[must_use]
    pub fn new(limits: Limits, now: u64) -> Self {
        let start = align(now.min(LATEST));
        Self {
            limits,
            current: Buffer::new(start),
            next: Buffer::new(start.saturating_add(Self::LENGTH)),
            edges: Edges::new(limits.rows),
            listeners: Listeners::default(),
            operations: Operations::default(),
            sequence: 0,
            misplaced: Misplaced::default(),
        }
    }

    /// Counts one exchange, which ended at `end`.
    #[inline]
    pub fn record(&mut self, end: u64, key: &Key, seen: &Observation) {
        let buffer = if end < self.next.start { &mut self.current } else { &mut self.next };
        if end.wrapping_sub(buffer.start) >= Self::LENGTH {
            let early = end >= buffer.start;
            buffer.misplaced.early += u64::from(early);
            buffer.misplaced.late += u64::from(!early);
        }
        let slot = match buffer.index.get(key) {
            Some(at) if buffer.slots[*at as usize].totals.count > 0 => *at as usize,
            _ => buffer.open(key, &self.limits, &mut self.operations),
        };
        buffer.slots[slot].totals.record(key.protocol, seen);
    }

    /// Counts what the books of a connection have to add, in the window in progress. `opened` is kept with the connection.
    pub fn edge(&mut self, key: &EdgeKey, seen: &EdgeSeen, opened: &mut Opened) {
        let folded = self.edges.record(key, seen, opened);
        self.current.misplaced.folded_edges += u64::from(folded);
    }

    /// A connection is not followed any more: it is not open, so far as is known.
    pub fn shut(&mut self, opened: &mut Opened) {
        self.edges.shut(opened);
    }

    /// Who waits for connections now, instead of what was said before. Windows have it as of their end, so it is to be said before a
    /// window is handed over ([`Windows::is_due`]) and before a snapshot. More than 8192 sockets are left out and counted.
    pub fn listen(&mut self, listeners: impl IntoIterator<Item = Listener>) {
        self.listeners.set(listeners);
    }

    /// Whether [`Windows::roll`] would hand something over.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        let now = now.min(LATEST);
        now >= self.next.start.saturating_add(Self::GRACE) || self.was_set_back(now)
    }

    /// The clock was, so far that the windows in progress are in the future.
    fn was_set_back(&self, now: u64) -> bool {
        now.saturating_add(2 * Self::LENGTH) < self.current.start
    }

    /// Hands over a window whose time is up, if there is one. Call it at least once a second, until it says `None`; with
    /// a recording, whose time only moves with its records, before each of them. Windows without a row and without anybody who
    /// waits for connections are left out.
    pub fn roll(&mut self, now: u64, entities: &mut Entities, name: Resolve<'_, '_>) -> Option<Arc<Window>> {
        let now = now.min(LATEST);
        // A clock that was set back far: close what there is and begin again in the new time.
        if self.was_set_back(now) {
            let window = self.hand_over(entities, name);
            self.begin(align(now));
            return window;
        }
        while now >= self.next.start.saturating_add(Self::GRACE) {
            let end = self.next.start;
            let window = self.hand_over(entities, name);
            // Skip the windows in which nothing happened.
            let start = if self.current.is_empty() { end.max(align(now - Self::GRACE)) } else { end };
            self.begin(start);
            if window.is_some() {
                return window;
            }
        }
        None
    }

    /// Hands over what there is, whatever the time: at the end of a recording or of the program. Call until `None`.
    pub fn close(&mut self, entities: &mut Entities, name: Resolve<'_, '_>) -> Option<Arc<Window>> {
        // Who waits for connections is said before each call; a window of that alone would have another one behind it.
        if self.current.is_empty() && self.edges.is_empty() && self.next.is_empty() {
            self.listeners.clear();
        }
        for _ in 0..2 {
            let end = self.next.start;
            let window = self.hand_over(entities, name);
            self.begin(end);
            if window.is_some() {
                return window;
            }
        }
        None
    }

    /// The current window so far, for live views: a copy, meant to be taken once a second. Its `end` is `now`.
    pub fn snapshot(&mut self, now: u64, entities: &Entities, name: Resolve<'_, '_>) -> Arc<Window> {
        let end = now.clamp(self.current.start, self.next.start);
        let rows = self.current.rows(entities, name, Time::UnderWay);
        let edges = self.edges.rows(entities, Time::UnderWay);
        Arc::new(Window {
            sequence: self.sequence + 1,
            start: self.current.start,
            end,
            complete: false,
            misplaced: self.misplaced_now(),
            rows,
            edges,
            listeners: self.listeners.rows(entities, Time::UnderWay),
        })
    }

    fn misplaced_now(&self) -> Misplaced {
        Misplaced { listeners_left_out: self.listeners.left_out(), ..self.current.misplaced }
    }

    /// What did not go where it belongs, in all windows handed over so far.
    #[must_use]
    pub fn misplaced(&self) -> Misplaced {
        self.misplaced
    }

    /// Rows of the current window.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.current.population.total()
    }

    /// Empties the current window and makes the next one current, which then still has its old start.
    fn hand_over(&mut self, entities: &mut Entities, name: Resolve<'_, '_>) -> Option<Arc<Window>> {
        let (start, end) = (self.current.start, self.next.start);
        let window = (!self.current.is_empty() || !self.edges.is_empty() || !self.listeners.is_empty()).then(|| {
            self.sequence += 1;
            let misplaced = self.misplaced_now();
            self.misplaced.add(&misplaced);
            entities.call_by_name(end);
            let rows = self.current.rows(entities, name, Time::Over);
            let edges = self.edges.rows(entities, Time::Over);
            let listeners = self.listeners.rows(entities, Time::Over);
            let sequence = self.sequence;
            let window = Window { sequence, start, end, complete: true, misplaced, rows, edges, listeners };
            window.everybody().for_each(|who| entities.touch(who.id, end));
            Arc::new(window)
        });
        self.current.reset(&self.limits);
        self.edges.clear();
        // What follows at once is of a time that has passed, too: of its end nothing is known.
        self.listeners.clear();
        self.operations.sweep(end);
        // The next window may have rows of those that were named lately.
        entities.forget_provisional(end.saturating_sub(2 * Self::LENGTH));
        std::mem::swap(&mut self.current, &mut self.next);
        window
    }

    fn begin(&mut self, start: u64) {
        self.current.start = start;
        self.next.start = start.saturating_add(Self::LENGTH);
    }
}

/// Later times (the year 2262) are taken for this one, so that sums of times cannot overflow.
const LATEST: u64 = i64::MAX as u64;

fn align(now: u64) -> u64 {
    now - now % Windows::LENGTH
}

/// One window being filled. Rows stay from one use to the next, emptied, as long as they were used: their labels are
/// known and their sketches have memory.
#[derive(Debug)]
struct Buffer {
    start: u64,
    index: HashMap<Key, u32>,
    slots: Vec<Slot>,
    /// Of the rows that are not empty.
    population: Population,
    misplaced: Misplaced,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    labels: Option<Arc<Labels>>,
    totals: Totals,
    /// Its place among the rows that are being made.
    row: u32,
}

impl Slot {
    /// The labels of `key`: its own, or what that has become.
    fn labels(&mut self, key: Key, entities: &Entities, name: Resolve<'_, '_>) -> Arc<Labels> {
        match &self.labels {
            Some(labels) if labels.key == key => labels.clone(),
            _ => self.labels.insert(Arc::new(Labels::new(key, entities, name))).clone(),
        }
    }
}

impl Buffer {
    fn new(start: u64) -> Self {
        Self {
            start,
            index: HashMap::new(),
            slots: Vec::new(),
            population: Population::default(),
            misplaced: Misplaced::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.population.total() == 0
    }

    /// The slot for a key that has no row in this window yet.
    #[cold]
    fn open(&mut self, key: &Key, limits: &Limits, operations: &mut Operations) -> usize {
        let mut wanted = *key;
        if !operations.admit(key.server, key.operation, self.start, limits) {
            self.misplaced.folded_operations += 1;
            wanted = key.any_of_summary();
        }
        let (index, slots) = (&self.index, &self.slots);
        let exists = |key: &Key| index.get(key).is_some_and(|at| slots[*at as usize].totals.count > 0);
        let admitted = self.population.admit(wanted, limits, exists);
        self.misplaced.folded_rows += u64::from(admitted != wanted);
        let at = *self.index.entry(admitted).or_insert(self.slots.len() as u32) as usize;
        if at == self.slots.len() {
            self.slots.push(Slot { key: admitted, labels: None, totals: Totals::new(key.protocol), row: 0 });
        }
        at
    }

    fn rows(&mut self, entities: &Entities, name: Resolve<'_, '_>, time: Time) -> Vec<Row> {
        if entities.any_provisional() {
            return self.settled_rows(entities, name, time);
        }
        let mut rows = Vec::with_capacity(self.population.total());
        for slot in self.slots.iter_mut().filter(|slot| slot.totals.count > 0) {
            rows.push(Row { labels: slot.labels(slot.key, entities, name), totals: slot.totals.clone() });
        }
        rows
    }

    /// The same, of whom entities have become that were provisional. Rows of two that have become one are one.
    #[cold]
    fn settled_rows(&mut self, entities: &Entities, name: Resolve<'_, '_>, time: Time) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::with_capacity(self.population.total());
        // Nearly all rows are under their own keys. Those that have become another's come behind them, and find them by these.
        let (mut places, mut moved) = (HashMap::new(), Vec::new());
        for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.totals.count > 0) {
            let of = |id| entities.stands_for(id, time);
            let key = Key { client: of(slot.key.client), server: of(slot.key.server), ..slot.key };
            if key != slot.key {
                moved.push((at, key));
                continue;
            }
            slot.row = rows.len() as u32;
            rows.push(Row { labels: slot.labels(key, entities, name), totals: slot.totals.clone() });
        }
        for (at, key) in moved {
            let own = self.index.get(&key).and_then(|at| self.slots.get(*at as usize));
            let own = own.filter(|slot| slot.totals.count > 0).map(|slot| slot.row as usize);
            let slot = &mut self.slots[at];
            match own.or_else(|| places.get(&key).copied()).and_then(|at| rows.get_mut(at)) {
                Some(row) => row.totals.merge(&slot.totals),
                None => {
                    places.insert(key, rows.len());
                    rows.push(Row { labels: slot.labels(key, entities, name), totals: slot.totals.clone() });
                }
            }
        }
        rows
    }

    fn reset(&mut self, limits: &Limits) {
        // Keeping many rows that may never be used again would take more memory than the limits say.
        if self.population.total() > limits.rows / 4 {
            (self.slots, self.index) = (Vec::new(), HashMap::new());
        } else if self.population.total() < self.slots.len() {
            self.slots.retain(|slot| slot.totals.count > 0);
            self.index.clear();
            self.index.extend(self.slots.iter().enumerate().map(|(at, slot)| (slot.key, at as u32)));
        }
        self.slots.iter_mut().for_each(|slot| slot.totals.clear());
        self.population.clear();
        self.misplaced = Misplaced::default();
    }
}
