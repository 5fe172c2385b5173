//! Room: which files there may be, and which go.

use crate::catalog::{Catalog, Part};
use crate::directory::{LEDGER, Name};
use crate::level::Level;
use crate::status::count;
use crate::store::Shared;
use crate::writer::Writer;
use std::sync::atomic::Ordering;
use steth_query::{Missing, Range, Tier};

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

    /// What each tier has not any more without a part, which is not in the catalog now. What was before all else only makes a tier shorter.
    /// The rest leaves a gap where no coarser step stands for it, nor finer ones that reach back to it and have no gap there themselves.
    /// `known`: whether the next finer tier has one.
    fn lost(&self, part: &Part, known: impl Fn(Range) -> bool) -> Vec<(Level, Range)> {
        let of = part.name.level;
        let begin = |level: Level| self.stretch(level).map_or(u64::MAX, |(from, _)| from);
        let finer = of.finer().map(begin);
        let mut lost = Vec::new();
        for tier in Tier::ALL.map(Level::of).into_iter().filter(|tier| *tier >= of) {
            let begin = begin(tier);
            for (at, _) in part.steps.keys().filter(|(at, _)| *at >= begin) {
                let range = Range { from_ms: *at, to_ms: at + of.step() };
                let coarser = |level: &Level| (of..=tier).contains(level) && *level != of;
                let stands = |level: Level| self.step(level, level.floor(*at)).is_some();
                let by_coarser = Level::ROLLED.into_iter().filter(coarser).any(stands);
                let by_finer = finer.is_some_and(|begin| begin <= *at && !known(range));
                if !by_coarser && !by_finer {
                    lost.push((tier, range));
                }
            }
        }
        lost
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
            let next = {
                let catalog = shared.catalog();
                catalog.victim(|part| self.needs(&catalog, part))
            };
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

    /// Whether something has still to be added up from a file: the next coarser steps, and from windows those of every level that were
    /// added up before. Whoever asks holds the catalog: to take it once more would wait for whoever waits to change it.
    fn needs(&self, catalog: &Catalog, part: &Part) -> bool {
        let needs = |level: Level, at: u64| {
            let next = level.finer() == Some(part.name.level);
            let late = || part.name.level == Level::Seconds10 && catalog.step(level, at).is_some();
            let has = part.steps.range((at, i64::MIN)..(at + level.step(), i64::MIN)).next().is_some();
            has && (next || late())
        };
        self.pending.iter().any(|(level, pending)| pending.iter().any(|at| needs(*level, *at)))
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

    /// Says what is missing without a part.
    fn declare(&mut self, part: &Part) {
        // Where that cannot be read, too much is said.
        let mut known = self.ledger.gaps().ok();
        if let Some(known) = &mut known {
            let why = part.name.level.finer().map(removed_at);
            known.extend(self.shared.unsaved_gaps());
            known.retain(|gap| why.as_ref() == Some(&gap.why));
        }
        let lost = self.shared.catalog().lost(part, |range| {
            let is = |gap: &Missing| gap.range.and(range).is_some();
            known.as_ref().is_none_or(|known| known.iter().any(is))
        });
        for (level, range) in lost {
            self.shared.miss(range, &removed_at(level));
        }
        let done = self.save_gaps();
        self.after(done);
    }
}

/// Why there is a gap in a tier.
fn removed_at(level: Level) -> String {
    format!("removed at {} to make room", level.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files with these steps, in seconds; each with a window of its own number.
    fn catalog(parts: &[(Level, &[u64])]) -> Catalog {
        let mut catalog = Catalog::default();
        for (number, (level, steps)) in (1..).zip(parts) {
            let name = Name { level: *level, start: 0, number };
            let steps =
                (1..).zip(*steps).map(|(id, at)| ((at * 1000, id), (at + level.step() / 1000) as i64)).collect();
            catalog.parts.insert(number, Part { name, bytes: 0, steps, sealed: false });
        }
        catalog
    }

    /// What is lost when the first file goes, in seconds; these are missing in the next finer tier already.
    fn lost(parts: &[(Level, &[u64])], missing: &[u64]) -> Vec<(&'static str, u64, u64)> {
        let mut catalog = catalog(parts);
        let part = catalog.parts.remove(&1).expect("it is there");
        let known = |range: Range| missing.iter().any(|at| (range.from_ms..range.to_ms).contains(&(at * 1000)));
        let lost = catalog.lost(&part, known);
        lost.iter().map(|(level, range)| (level.name(), range.from_ms / 1000, range.to_ms / 1000)).collect()
    }

    use Level::{Minute, Minutes10, Seconds10};

    #[test]
    fn what_coarser_steps_have_is_missing_only_in_the_tiers_before_those() {
        let old = (Seconds10, &[0_u64][..]);
        assert_eq!(lost(&[(Seconds10, &[0, 10]), (Seconds10, &[20]), (Minute, &[0])], &[]), [], "it begins later");
        let parts = [(Seconds10, &[60, 70][..]), old, (Minute, &[0, 60]), (Seconds10, &[120])];
        assert_eq!(lost(&parts, &[]), [("10s", 60, 70), ("10s", 70, 80)]);
    }

    #[test]
    fn what_a_coarser_tier_had_by_finer_steps_alone_is_missing_there_too() {
        let parts = [(Minute, &[600_u64, 660][..]), (Minutes10, &[0]), (Seconds10, &[660, 670, 720])];
        assert_eq!(lost(&parts, &[]), [("10m", 600, 660)], "a minute is there by its windows");
        assert_eq!(lost(&parts, &[670]), [("1m", 660, 720), ("10m", 600, 660), ("10m", 660, 720)]);
    }

    #[test]
    fn steps_without_their_windows_are_added_up_after_a_start_too() {
        let pending = |parts: &[(Level, &[u64])]| catalog(parts).pending();
        let there = pending(&[(Seconds10, &[720]), (Minute, &[600, 660]), (Minutes10, &[0])]);
        assert_eq!((&there[&Minute], &there[&Minutes10]), (&[720_000].into(), &[600_000].into()));
        let went = pending(&[(Minute, &[0, 600, 1200]), (Minutes10, &[600, 1200])]);
        assert_eq!(went[&Minutes10], [].into(), "what had to go is not made again");
    }
}
