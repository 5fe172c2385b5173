//! What is kept, and what has to go for it.

use crate::dice::Dice;
use crate::operation::{Glance, Operation, State};
use crate::sample::{Kept, Sample, Why};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use steth_window::EntityId;

/// Bounds, each with a count of what it has cost ([`Counts`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of which is known what was their slowest; of others nothing is kept.
    pub operations: usize,
    /// Samples in all; the oldest goes first.
    pub samples: usize,
    /// Bytes of all samples; the oldest goes first.
    pub bytes: usize,
    /// Bytes of one sample; larger ones are not kept.
    pub sample_bytes: usize,
    /// Errors of an operation that are kept at once.
    pub errors: u32,
    /// Nanoseconds after which one more may be kept.
    pub error_every: u64,
}

impl Default for Limits {
    /// 4096 operations and samples, 4 MiB, 16 KiB each; five errors at once and one every ten seconds.
    fn default() -> Self {
        Self {
            operations: 4096,
            samples: 4096,
            bytes: 4 << 20,
            sample_bytes: 16 << 10,
            errors: 5,
            error_every: 10_000_000_000,
        }
    }
}

/// What became of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written down.
    pub kept: u64,
    /// Of these, gone for a slower one, or for another one by chance.
    pub replaced: u64,
    /// Of these, gone because there were too many.
    pub evicted: u64,
    /// Larger than [`Limits::sample_bytes`].
    pub too_large: u64,
    /// Errors beyond their operation's budget.
    pub errors_left_out: u64,
    /// Exchanges of operations that there was no place for.
    pub without_place: u64,
}

/// Chooses samples and keeps them.
#[derive(Debug)]
pub struct Samples {
    limits: Limits,
    dice: Dice,
    /// The current minute, and the nanosecond since 1970 at which it ends.
    minute: u64,
    until: u64,
    operations: HashMap<Operation, State>,
    /// By number, which is their order in time.
    kept: BTreeMap<u64, Kept>,
    number: u64,
    /// Above all numbers that had to go for want of room.
    forgotten: u64,
    bytes: usize,
    changed: bool,
    counts: Counts,
}

const MINUTE: u64 = 60_000_000_000;

impl Samples {
    /// Nothing yet. The same `seed` and the same exchanges choose the same samples.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            dice: Dice::new(seed),
            minute: 0,
            until: 0,
            operations: HashMap::new(),
            kept: BTreeMap::new(),
            number: 0,
            forgotten: 0,
            bytes: 0,
            changed: false,
            counts: Counts::default(),
        }
    }

    /// Whether an exchange is to be kept, and why. What ends before the current minute counts as part of it: it came late.
    #[inline]
    pub fn wants(&mut self, of: &Operation, glance: &Glance) -> Option<Why> {
        if glance.end >= self.until {
            self.turn(glance.end);
        }
        let Self { operations, dice, minute, .. } = self;
        let why = match operations.get_mut(of) {
            Some(state) if state.minute == *minute => state.judge(glance, dice),
            _ => self.open(of, glance)?,
        };
        let why = if glance.failed { self.failed(of, glance, why) } else { why };
        (why != Why::NONE).then_some(why)
    }

    /// An operation's first exchange of a minute.
    #[cold]
    fn open(&mut self, of: &Operation, glance: &Glance) -> Option<Why> {
        let Self { limits, operations, dice, minute, .. } = self;
        let (minute, room) = (*minute, operations.len() < limits.operations);
        if !room && !operations.contains_key(of) {
            self.counts.without_place += 1;
            return None;
        }
        let state = operations.entry(*of).or_insert_with(|| State::new(minute, limits.errors, glance.end));
        if state.minute != minute {
            state.begin(minute);
        }
        Some(state.judge(glance, dice))
    }

    #[cold]
    fn failed(&mut self, of: &Operation, glance: &Glance, why: Why) -> Why {
        let Limits { errors, error_every, .. } = self.limits;
        if self.operations.get_mut(of).is_some_and(|state| state.afford(glance.end, errors, error_every)) {
            return why.and(Why::ERROR);
        }
        self.counts.errors_left_out += 1;
        why
    }

    /// A minute begins. Whoever was not seen in the one before is forgotten.
    #[cold]
    fn turn(&mut self, now: u64) {
        let before = self.minute;
        self.minute = now / MINUTE;
        self.until = (self.minute + 1).saturating_mul(MINUTE);
        self.operations.retain(|_, state| state.minute == before);
    }

    /// Tells the time, nanoseconds since 1970. Once a second is enough; needed after a clock was set back, and to forget.
    pub fn roll(&mut self, now: u64) {
        // Set back by more than exchanges can be late: a new count of time.
        if now >= self.until || now.saturating_add(2 * MINUTE) < self.until {
            self.turn(now);
        }
    }

    /// Keeps what was wanted. What it takes the place of goes. Returns its number; `None`: it is too large.
    pub fn keep(&mut self, of: &Operation, why: Why, sample: Sample) -> Option<u64> {
        let size = sample.size();
        if size > self.limits.sample_bytes.min(self.limits.bytes) {
            self.counts.too_large += 1;
            return None;
        }
        let number = self.number;
        self.number += 1;
        if let Some(state) = self.operations.get_mut(of) {
            let place = |wanted, place: &mut Option<u64>| if why.has(wanted) { place.replace(number) } else { None };
            let slowest = place(Why::SLOWEST, &mut state.slowest);
            let random = place(Why::RANDOM, &mut state.random);
            self.let_go(slowest, Why::SLOWEST);
            self.let_go(random, Why::RANDOM);
        }
        while self.kept.len() >= self.limits.samples.max(1) || self.bytes + size > self.limits.bytes {
            let Some((number, oldest)) = self.kept.pop_first() else { break };
            self.forgotten = number + 1;
            self.bytes -= oldest.sample.size();
            self.counts.evicted += 1;
        }
        self.kept.insert(number, Kept { number, why, server: of.server, sample: Arc::new(sample) });
        self.bytes += size;
        self.counts.kept += 1;
        self.changed = true;
        Some(number)
    }

    /// More is known of a sample by now than when it was written down: `write` gets it, and makes the new text of it. If that does not fit
    /// any more, or the sample is gone, nothing changes.
    pub fn add_to(&mut self, number: u64, write: impl FnOnce(&Sample) -> Option<Box<str>>) {
        let Some(kept) = self.kept.get_mut(&number) else { return };
        let Some(json) = write(&kept.sample) else { return };
        let before = kept.sample.size();
        let size = before - kept.sample.json.len() + json.len();
        if size > self.limits.sample_bytes || self.bytes - before + size > self.limits.bytes {
            return;
        }
        Arc::make_mut(&mut kept.sample).json = json;
        self.bytes = self.bytes - before + size;
        self.changed = true;
    }

    /// It is known by now who an entity is that samples were kept of: they go by that name from now on. What is written down stays
    /// as it was written.
    pub fn settle(&mut self, provisional: EntityId, server: &Arc<str>, namespace: usize) {
        for kept in self.kept.values_mut().filter(|kept| kept.server == provisional) {
            let sample = Arc::make_mut(&mut kept.sample);
            (sample.server, sample.server_namespace) = (server.clone(), namespace);
            self.changed = true;
        }
    }

    /// A sample has one reason less to be there; without any it goes.
    fn let_go(&mut self, number: Option<u64>, why: Why) {
        let Some(number) = number else { return };
        let Some(kept) = self.kept.get_mut(&number) else { return };
        kept.why = kept.why.without(why);
        if kept.why == Why::NONE {
            self.bytes -= kept.sample.size();
            self.kept.remove(&number);
            self.counts.replaced += 1;
        }
    }

    /// Everything that is kept, newest first; `None` if that is the same as the last time.
    pub fn snapshot(&mut self) -> Option<Arc<Vec<Kept>>> {
        std::mem::take(&mut self.changed).then(|| Arc::new(self.kept.values().rev().cloned().collect()))
    }

    /// Above all numbers that had to go for want of room: what is not there any more and has a greater one gave way to a better one.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What became of what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Samples and their bytes.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }
}
