//! Room: which files there may be, and which go.

use crate::catalog::{Catalog, Part};
use crate::directory::{LEDGER, Name};
use crate::level::Level;
use crate::status::count;
use crate::store::Shared;
use crate::writer::Writer;
use std::sync::atomic::Ordering;
use steth_query::{Range, Tier};

impl Shared {
    /// The name of a file that is not there yet.
    pub(crate) fn new_name(&self, level: Level, at: u64) -> Name {
        // Never one that was there before: somebody may still read that file, though it was removed.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Name { level, start: at - at % level.period(), number }
    }

    /// There is a file of this name now, with nothing in it.
    pub(crate) fn enter(&self, name: Name) {
        let part = Part { name, bytes: self.directory.size(&name.file()), steps: Default::default(), sealed: false };
        self.catalog_mut().parts.insert(name.number, part);
    }
}

impl Catalog {
    /// The file that goes next: the one that was begun first, of the level that takes most of its share. Not the one begun last of a
    /// level, nor one that something has still to be made of.
    fn victim(&self, needed: impl Fn(&Part) -> bool) -> Option<Name> {
        let level = |level: Level| {
            let bytes: u64 = self.of(level).map(|part| part.bytes).sum();
            let newest = self.of(level).last()?.name.number;
            let first = self.of(level).find(|part| part.name.number != newest && !needed(part))?;
            Some((bytes / level.share(), first.name))
        };
        Level::ALL.into_iter().filter_map(level).max_by_key(|(used, _)| *used).map(|(_, name)| name)
    }
}

impl Writer {
    /// Removes files until the rest is within the budget.
    pub(crate) fn make_room(&mut self) {
        let shared = self.shared.clone();
        let mut damaged = shared.directory.damaged();
        let mut changed = false;
        loop {
            let others = damaged.iter().map(|(_, bytes)| bytes).sum::<u64>() + shared.directory.size(LEDGER);
            shared.counters.other_bytes.store(others, Ordering::Relaxed);
            if shared.catalog().bytes() + others <= shared.budget {
                break;
            }
            if !damaged.is_empty() {
                let (file, _) = damaged.remove(0);
                let _ = shared.directory.unlink(&file);
                continue;
            }
            let next = shared.catalog().victim(|part| self.needs(part));
            let Some(name) = next else { break };
            self.unlink(name);
            changed = true;
        }
        let oldest =
            Level::ALL.into_iter().filter_map(|level| shared.catalog().stretch(level)).map(|(from, _)| from).min();
        if let Some(oldest) = oldest.filter(|_| changed) {
            // Only what is said of times before it goes: it is tried again the next time.
            let _ = self.ledger.forget(oldest);
        }
    }

    /// Whether something has still to be added up from a file.
    fn needs(&self, part: &Part) -> bool {
        let coarser = Level::ROLLED.into_iter().find(|level| level.finer() == Some(part.name.level));
        let Some(coarser) = coarser else { return false };
        let pending = self.pending.get(&coarser).into_iter().flatten();
        pending.copied().any(|at| part.steps.range((at, i64::MIN)..(at + coarser.step(), i64::MIN)).next().is_some())
    }

    fn unlink(&mut self, name: Name) {
        if self.open.get(&name.level).is_some_and(|(open, _)| *open == name) {
            self.open.remove(&name.level);
        }
        let part = self.shared.catalog_mut().parts.remove(&name.number);
        self.shared.pool.forget(&name.file());
        // Told of first: whoever is killed in between has a file more than is said, and not one less.
        if let Some(part) = part {
            self.declare(&part);
        }
        if let Err(error) = self.shared.directory.unlink(&name.file()) {
            (self.shared.say)(&format!("{} cannot be removed: {error}", name.file()));
        }
        count(&self.shared.counters.unlinked, 1);
    }

    /// Says what is missing without a part. What was before all else only makes the tier shorter, and what a finer tier reaches back to is
    /// read there; the rest leaves a gap, after the clock has jumped or where something has still to be made of an older file.
    fn declare(&mut self, part: &Part) {
        let level = part.name.level;
        let Some(tier) = Tier::ALL.into_iter().find(|tier| Level::of(*tier) == level) else { return };
        let begin = |level: Level| self.shared.catalog().stretch(level).map_or(u64::MAX, |(from, _)| from);
        let gaps = begin(level)..level.finer().map_or(u64::MAX, begin);
        for (at, _) in part.steps.keys().filter(|(at, _)| gaps.contains(at)) {
            let range = Range { from_ms: *at, to_ms: at + level.step() };
            self.shared.miss(range, &format!("removed at {} to make room", tier.name()));
        }
        let done = self.save_gaps();
        self.after(done);
    }
}
