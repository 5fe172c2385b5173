//! Which files there are and which steps are in them: what a question needs to know before it opens a file.

use crate::directory::Name;
use crate::level::Level;
use std::collections::{BTreeMap, BTreeSet};

/// A step in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its beginning, milliseconds since 1970.
    pub(crate) at: u64,
    /// Its number in the file; of windows, the number that no other window has.
    pub(crate) id: i64,
    /// The number of the last window that is in it.
    pub(crate) upto: i64,
}

/// A partition file.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: Name,
    pub(crate) bytes: u64,
    /// By beginning and number: up to which window. A clock that was set back gives two windows of one beginning.
    pub(crate) steps: BTreeMap<(u64, i64), i64>,
    /// It has become too large: steps that are not in it go to another file.
    pub(crate) sealed: bool,
}

impl Part {
    fn within(&self, from: u64, to: u64) -> impl Iterator<Item = Step> {
        let inside = if from < to { (from, i64::MIN)..(to, i64::MIN) } else { (0, 0)..(0, 0) };
        self.steps.range(inside).map(|((at, id), upto)| Step { at: *at, id: *id, upto: *upto })
    }
}

/// What is to be read: steps of one file, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: Name,
    pub(crate) steps: Vec<Step>,
}

/// All partition files, by number: in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) parts: BTreeMap<u64, Part>,
}

impl Catalog {
    pub(crate) fn of(&self, level: Level) -> impl Iterator<Item = &Part> {
        self.parts.values().filter(move |part| part.name.level == level)
    }

    /// The steps of a level within a time, file by file.
    pub(crate) fn steps(&self, level: Level, from: u64, to: u64) -> Vec<Piece> {
        let reach = move |part: &&Part| part.name.start < to && part.name.start.saturating_add(level.period()) > from;
        let piece = |part: &Part| Piece { name: part.name, steps: part.within(from, to).collect() };
        self.of(level).filter(reach).map(piece).filter(|piece| !piece.steps.is_empty()).collect()
    }

    /// What has to be read to know all of a time, at a level. Steps that were not rolled up yet, or not any more, are read at the
    /// next finer level that has them. No window is read twice.
    pub(crate) fn plan(&self, level: Level, from: u64, to: u64) -> Vec<Piece> {
        let mut pieces = self.steps(level, from, to);
        let Some(finer) = level.finer() else { return pieces };
        let there: BTreeSet<u64> = pieces.iter().flat_map(|piece| &piece.steps).map(|step| step.at).collect();
        let mut begin = level.floor(from);
        for at in there.into_iter().chain([to]) {
            if begin < at {
                pieces.extend(self.plan(finer, begin.max(from), at));
            }
            begin = at + level.step();
        }
        pieces
    }

    /// The first beginning and the last end of what is kept at a level, finer levels included.
    pub(crate) fn stretch(&self, level: Level) -> Option<(u64, u64)> {
        let mut all: Option<(u64, u64)> = None;
        let mut next = Some(level);
        while let Some(of) = next {
            for part in self.of(of) {
                let (Some(((first, _), _)), Some(((last, _), _))) =
                    (part.steps.first_key_value(), part.steps.last_key_value())
                else {
                    continue;
                };
                let end = level.floor(last + of.step() - 1) + level.step();
                let (from, to) = all.unwrap_or((u64::MAX, 0));
                all = Some((from.min(level.floor(*first)), to.max(end)));
            }
            next = of.finer();
        }
        all
    }

    /// Which file a step is in, or should go to: the one begun last. An earlier one that was full may have room again, once its log was folded
    /// in; what went there would go with older steps than those beside it.
    pub(crate) fn place(&self, level: Level, at: u64) -> Option<Name> {
        let start = at - at % level.period();
        let of_period = || self.of(level).filter(move |part| part.name.start == start);
        let has = |part: &&Part| level != Level::Seconds10 && part.within(at, at + 1).next().is_some();
        of_period().find(has).or_else(|| of_period().last().filter(|part| !part.sealed)).map(|part| part.name)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.parts.values().map(|part| part.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(parts: &[(Level, &[u64])]) -> Catalog {
        let mut catalog = Catalog::default();
        for (number, (level, steps)) in (1..).zip(parts) {
            let start = steps[0] * 1000 - steps[0] * 1000 % level.period();
            let name = Name { level: *level, start, number };
            let steps = (1..).zip(*steps).map(|(id, at)| ((at * 1000, id), id)).collect();
            catalog.parts.insert(number, Part { name, bytes: 0, steps, sealed: false });
        }
        catalog
    }

    fn plan(catalog: &Catalog, level: Level, from: u64, to: u64) -> Vec<(&'static str, Vec<u64>)> {
        let pieces = catalog.plan(level, from * 1000, to * 1000);
        let at = |piece: &Piece| piece.steps.iter().map(|step| step.at / 1000).collect();
        pieces.iter().map(|piece| (piece.name.level.name(), at(piece))).collect()
    }

    #[test]
    fn what_is_not_rolled_up_is_read_finer() {
        let catalog = catalog(&[
            (Level::Seconds10, &[0, 10, 50, 60, 110, 600, 610, 660, 670]),
            (Level::Minute, &[0, 60, 600]),
            (Level::Minutes10, &[0]),
        ]);
        assert_eq!(plan(&catalog, Level::Seconds10, 10, 60), [("10s", vec![10, 50])]);
        assert_eq!(plan(&catalog, Level::Minute, 0, 120), [("1m", vec![0, 60])]);
        let all = [("10m", vec![0]), ("1m", vec![600]), ("10s", vec![660, 670])];
        assert_eq!(plan(&catalog, Level::Minutes10, 0, 1200), all);
        assert_eq!(plan(&catalog, Level::Hour, 0, 3600), all);
        assert_eq!(catalog.stretch(Level::Minutes10), Some((0, 1_200_000)));
        assert_eq!(catalog.stretch(Level::Seconds10), Some((0, 680_000)));
    }

    #[test]
    fn a_window_of_a_time_that_was_there_before_is_another_step() {
        let catalog = catalog(&[(Level::Seconds10, &[10, 20, 10])]);
        assert_eq!(plan(&catalog, Level::Seconds10, 0, 20), [("10s", vec![10, 10])]);
        assert_eq!(plan(&catalog, Level::Seconds10, 20, 20), []);
    }
}
