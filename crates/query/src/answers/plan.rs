//! Which tier answers, which range that is, and what of it is missing.

use crate::engine::{Coverage, Engine, Stretch};
use crate::error::Error;
use crate::meta::{Answer, Meta, Missing};
use crate::range::{Range, Tier};
use std::time::Instant;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// Up to so long a range is read in ten-second windows: 720 of them.
const LONGEST_OF_10S: u64 = 2 * HOUR;
/// Up to so long in minutes: a day, and what it grows when it is aligned.
const LONGEST_OF_1M: u64 = 25 * HOUR;
/// Steps that people like to read, milliseconds; beyond them, whole days.
const STEPS: [u64; 15] = [
    10_000,
    20_000,
    30_000,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
];
/// A tier's newest step may be so much behind, and two of its steps, without anything being missing: it comes when it is full.
const LAG: u64 = 30_000;
/// Most parts that are said to be missing.
const MOST_MISSING: usize = 100;

/// How a question is going to be answered.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) tier: Tier,
    /// What is read.
    pub(super) range: Range,
    pub(super) step_ms: u64,
    /// The time of which something was kept: what rates are divided by. Never 0.
    pub(super) seconds: f64,
    pub(super) deadline: Instant,
    newest_ms: Option<u64>,
    started_ms: Option<u64>,
    missing: Vec<Missing>,
}

impl Plan {
    /// For a range, and for at most so many points in it if points are wanted.
    pub(super) fn new(
        coverage: &Coverage,
        asked: Range,
        points: Option<usize>,
        now_ms: u64,
        deadline: Instant,
    ) -> Result<Self, Error> {
        if asked.length_ms() == 0 {
            return Err(Error::Question("the range ends before it begins".to_owned()));
        }
        let stretch = choose(coverage, asked, points);
        let tier = stretch.map_or(Tier::Seconds10, |stretch| stretch.tier);
        let step_ms = points.map_or(tier.step_ms(), |points| step(tier, asked, points));
        let mut range = asked.aligned(step_ms);
        range.to_ms =
            range.to_ms.min(now_ms.div_ceil(tier.step_ms()).saturating_mul(tier.step_ms())).max(range.from_ms);
        let newest_ms = stretch.map(|stretch| stretch.range.to_ms);
        let behind = |newest: &u64| (1..=2 * tier.step_ms() + LAG).contains(&range.to_ms.saturating_sub(*newest));
        if let Some(newest) = newest_ms.filter(|newest| *newest > range.from_ms).filter(behind) {
            range.to_ms = newest;
        }
        let missing = missing(coverage, stretch.as_ref(), range);
        let seconds = (range.length_ms() - union(&missing)) as f64 / 1e3;
        let seconds = if seconds > 0.0 { seconds } else { (range.length_ms() as f64 / 1e3).max(1.0) };
        let finest = coverage.tiers.iter().min_by_key(|stretch| stretch.tier);
        let started_ms = finest.filter(|_| coverage.began).map(|stretch| stretch.range.from_ms);
        Ok(Self { tier, range, step_ms, seconds, deadline, newest_ms, started_ms, missing })
    }

    /// The beginnings of its steps.
    pub(super) fn times(&self) -> Vec<u64> {
        let Range { from_ms, to_ms } = self.range;
        (from_ms..to_ms).step_by(usize::try_from(self.step_ms).unwrap_or(usize::MAX).max(1)).collect()
    }

    /// Which of its steps one is.
    pub(super) fn place(&self, at_ms: Option<u64>) -> Option<usize> {
        usize::try_from(at_ms?.checked_sub(self.range.from_ms)? / self.step_ms).ok()
    }

    /// The range in parts of whole steps, so short that a part has no more groups than a scan may have, if the whole of it without
    /// steps has so many. Each part is read once, so many are hardly more work than one.
    pub(super) fn parts(&self, groups: usize, most: usize) -> impl Iterator<Item = Range> + use<> {
        let steps = (most / groups.max(1)).max(1) as u64;
        let (Range { from_ms, to_ms }, length) = (self.range, steps.saturating_mul(self.step_ms.max(1)));
        let count = to_ms.saturating_sub(from_ms).div_ceil(length);
        (0..count).map(move |part| {
            let from_ms = from_ms + part * length;
            Range { from_ms, to_ms: from_ms.saturating_add(length).min(to_ms) }
        })
    }

    /// The range before this one, as long, if all of it was kept in the same tier.
    pub(super) fn before(&self, coverage: &Coverage) -> Option<Range> {
        let from_ms = self.range.from_ms.checked_sub(self.range.length_ms())?;
        let range = Range { from_ms, to_ms: self.range.from_ms };
        let stretch = coverage.tiers.iter().find(|stretch| stretch.tier == self.tier);
        (range.length_ms() > 0 && missing(coverage, stretch, range).is_empty()).then_some(range)
    }

    pub(super) fn answer<T>(self, engine: &impl Engine, data: T) -> Result<Answer<T>, Error> {
        let folded = engine.folded(self.tier, self.range)?;
        let complete = self.missing.is_empty();
        let mut missing = self.missing;
        missing.truncate(MOST_MISSING);
        let Self { tier, range, step_ms, newest_ms, started_ms, .. } = self;
        Ok(Answer { meta: Meta { range, tier, step_ms, newest_ms, complete, missing, started_ms, folded }, data })
    }
}

/// The tier that fits the range, or the next one that has about as much of it as any.
fn choose(coverage: &Coverage, asked: Range, points: Option<usize>) -> Option<Stretch> {
    let length = asked.length_ms();
    let by_length = if length <= LONGEST_OF_10S {
        Tier::Seconds10
    } else if length <= LONGEST_OF_1M {
        Tier::Minute
    } else {
        Tier::Minutes10
    };
    let fine = |points: usize| {
        let wanted = length / points.max(1) as u64;
        Tier::ALL.into_iter().rev().find(|tier| tier.step_ms() <= wanted).unwrap_or(Tier::Seconds10)
    };
    let best = points.map_or(by_length, |points| by_length.min(fine(points)));
    let kept = |tier: Tier| coverage.tiers.iter().find(|stretch| stretch.tier == tier).copied();
    // The oldest step of a coarse tier begins before what is in it, by up to a step: that is not more than others have.
    let surely = |stretch: &Stretch| {
        let rounded = stretch.tier.step_ms() - Tier::Seconds10.step_ms();
        Range { from_ms: stretch.range.from_ms.saturating_add(rounded), ..stretch.range }
    };
    let most = coverage.tiers.iter().map(|stretch| surely(stretch).and(asked).map_or(0, Range::length_ms)).max()?;
    let overlap = |stretch: &Stretch| stretch.range.and(asked).map_or(0, Range::length_ms);
    // Coarser ones first: a finer one makes more work.
    let coarser = Tier::ALL.into_iter().filter(|tier| *tier >= best);
    let finer = Tier::ALL.into_iter().rev().filter(|tier| *tier < best);
    // A coarse tier comes late: while it is young that would be much of it.
    coarser.chain(finer).filter_map(kept).find(|stretch| overlap(stretch) as f64 >= most as f64 * 0.95)
}

/// The least step that people like with which a range has at most so many points.
fn step(tier: Tier, asked: Range, points: usize) -> u64 {
    let day = 24 * HOUR;
    let fits =
        |step: &u64| step.is_multiple_of(tier.step_ms()) && asked.aligned(*step).length_ms() / step <= points as u64;
    let days = (2..=1000).map(|days| days * day);
    // With one point alone a range that touches two days does not fit at all; then it is as coarse as it gets.
    STEPS.into_iter().chain(days).find(fits).unwrap_or(1000 * day)
}

fn missing(coverage: &Coverage, stretch: Option<&Stretch>, range: Range) -> Vec<Missing> {
    let Some(Stretch { range: kept, .. }) = stretch else {
        let why = "nothing is kept yet".to_owned();
        return if range.length_ms() == 0 { vec![] } else { vec![Missing { range, why }] };
    };
    let mut all = Vec::new();
    let mut add = |part: Range, why: &str| {
        all.extend(part.and(range).map(|range| Missing { range, why: why.to_owned() }));
    };
    let older = if coverage.began { "the agent had not started" } else { "it is older than what is kept" };
    add(Range { from_ms: 0, to_ms: kept.from_ms }, older);
    add(Range { from_ms: kept.to_ms, to_ms: u64::MAX }, "nothing newer is kept");
    coverage.missing.iter().for_each(|missing| add(missing.range, &missing.why));
    all.sort_by_key(|missing| (missing.range.from_ms, missing.range.to_ms));
    all
}

/// How much time is missing; what is missing twice, once.
fn union(missing: &[Missing]) -> u64 {
    let mut until = 0;
    let mut length = 0;
    for Missing { range, .. } in missing {
        length += range.to_ms.saturating_sub(range.from_ms.max(until));
        until = until.max(range.to_ms);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn plan(tiers: &[(Tier, u64, u64)], from_ms: u64, to_ms: u64, points: Option<usize>) -> Plan {
        let stretch =
            |(tier, from_ms, to_ms): &_| Stretch { tier: *tier, range: Range { from_ms: *from_ms, to_ms: *to_ms } };
        let coverage = Coverage { tiers: tiers.iter().map(stretch).collect(), ..Coverage::default() };
        Plan::new(&coverage, Range { from_ms, to_ms }, points, NOW, Instant::now()).expect("a plan")
    }

    /// All tiers since a month.
    const ALL: [(Tier, u64, u64); 3] = [
        (Tier::Seconds10, NOW - 3 * HOUR, NOW - 2_000),
        (Tier::Minute, NOW - 48 * HOUR, NOW - 50_000),
        (Tier::Minutes10, NOW - 720 * HOUR, NOW - 500_000),
    ];

    #[test]
    fn the_tier_is_as_fine_as_the_range_and_its_points_allow() {
        for (hours, points, tier, step_ms) in [
            (1, None, Tier::Seconds10, 10_000),
            (24, None, Tier::Minute, MINUTE),
            (100, None, Tier::Minutes10, 10 * MINUTE),
            (1, Some(60), Tier::Seconds10, 2 * MINUTE),
            (1, Some(2000), Tier::Seconds10, 10_000),
            (24, Some(120), Tier::Minute, 20 * MINUTE),
            (40, Some(2000), Tier::Minute, 2 * MINUTE),
            (700, Some(100), Tier::Minutes10, 12 * HOUR),
        ] {
            let plan = plan(&ALL, NOW - hours * HOUR, NOW, points);
            assert_eq!((plan.tier, plan.step_ms), (tier, step_ms), "{hours} h, {points:?} points");
            assert!(points.is_none_or(|points| plan.times().len() <= points), "{hours} h: {}", plan.times().len());
            assert!(plan.missing.is_empty() && plan.range.to_ms <= NOW, "{plan:?}");
        }
    }

    #[test]
    fn where_a_tier_has_nothing_another_one_answers_and_what_is_missing_is_said() {
        // The agent runs for a quarter of an hour: ten minutes of a day would be too little.
        let young = [
            (Tier::Seconds10, NOW - 15 * MINUTE, NOW),
            (Tier::Minute, NOW - 15 * MINUTE, NOW - 30_000),
            (Tier::Minutes10, NOW - 15 * MINUTE, NOW - 5 * MINUTE),
        ];
        let plan = plan(&young, NOW - 72 * HOUR, NOW, None);
        assert_eq!(plan.tier, Tier::Minute);
        assert_eq!(plan.missing.len(), 1);
        assert!(plan.missing[0].why.contains("older"), "{plan:?}");
        assert!(
            plan.seconds > 14.0 * 60.0 && plan.seconds < 17.0 * 60.0,
            "rates are of what was kept: {}",
            plan.seconds
        );
        // The newest ten-second windows are gone already.
        let old = self::plan(&ALL, NOW - 30 * HOUR, NOW - 29 * HOUR, Some(100));
        assert_eq!((old.tier, old.step_ms), (Tier::Minute, MINUTE));
        // It has stopped.
        let stopped = self::plan(&[(Tier::Seconds10, NOW - HOUR, NOW - 10 * MINUTE)], NOW - 20 * MINUTE, NOW, None);
        assert_eq!(stopped.missing.len(), 1);
        assert!(stopped.missing[0].why.contains("newer") && stopped.seconds == 600.0, "{stopped:?}");
        let nothing = self::plan(&[], NOW - HOUR, NOW, None);
        assert!(nothing.missing[0].why.contains("nothing is kept yet"));
    }

    #[test]
    fn before_the_agent_started_nothing_was_lost() {
        let of = |began| {
            let range = Range { from_ms: NOW - 4 * MINUTE, to_ms: NOW };
            let coverage =
                Coverage { tiers: vec![Stretch { tier: Tier::Seconds10, range }], began, ..Coverage::default() };
            let asked = Range { from_ms: NOW - 30 * MINUTE, to_ms: NOW };
            let plan = Plan::new(&coverage, asked, None, NOW, Instant::now()).expect("a plan");
            (plan.started_ms, plan.missing[0].why.clone())
        };
        assert_eq!(of(true), (Some(NOW - 4 * MINUTE), "the agent had not started".to_owned()));
        assert_eq!(of(false), (None, "it is older than what is kept".to_owned()));
    }

    #[test]
    fn a_coarse_step_that_has_only_begun_does_not_take_the_place_of_finer_ones() {
        let begun = NOW - NOW % (10 * MINUTE) + 5 * MINUTE;
        let young = [
            (Tier::Seconds10, begun, begun + 30_000),
            (Tier::Minute, begun, begun + MINUTE),
            (Tier::Minutes10, begun - 5 * MINUTE, begun + 30_000),
        ];
        for points in [None, Some(30)] {
            let plan = plan(&young, begun - 4 * MINUTE, begun + MINUTE, points);
            assert_eq!((plan.tier, plan.step_ms), (Tier::Seconds10, 10_000), "{points:?}");
        }
    }

    #[test]
    fn a_range_is_read_in_parts_that_have_no_more_groups_than_they_may() {
        let plan = plan(&ALL, NOW - HOUR, NOW, Some(60));
        let parts = |groups| plan.parts(groups, 50_000).collect::<Vec<_>>();
        assert_eq!((parts(0), parts(800)), (vec![plan.range], vec![plan.range]));
        for groups in [900, 20_000, 50_000, 1_000_000] {
            let parts = parts(groups);
            let steps = |range: &Range| range.length_ms().div_ceil(plan.step_ms) as usize;
            assert!(parts.iter().all(|part| steps(part) * groups <= 50_000 || steps(part) == 1), "{groups}: {parts:?}");
            assert!(parts.iter().all(|part| (part.from_ms - plan.range.from_ms) % plan.step_ms == 0));
            assert!(parts.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms), "{parts:?}");
            assert_eq!(parts.iter().map(|part| part.length_ms()).sum::<u64>(), plan.range.length_ms());
        }
    }

    #[test]
    fn what_is_missing_twice_counts_once() {
        let part = |from_ms, to_ms| Missing { range: Range { from_ms, to_ms }, why: String::new() };
        assert_eq!(union(&[part(0, 10), part(5, 12), part(6, 8), part(20, 21)]), 13);
    }
}
