//! What is kept of which exchanges.

use proptest::prelude::*;
use std::collections::BTreeMap;
use steth_samples::{Counts, Glance, Kept, Limits, Operation, Sample, Samples, Why};
use steth_window::{EntityId, Side};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// The beginning of a minute.
const T: u64 = 28_333_334 * MINUTE;

fn operation(operation: u32) -> Operation {
    Operation { server: EntityId::of("cart"), operation, side: Side::Server }
}

fn ok(end: u64, duration_ns: u64) -> Glance {
    Glance { end, duration_ns, ..Glance::default() }
}

/// Plays exchanges; the text of a sample is the place of its exchange.
fn play(samples: &mut Samples, exchanges: impl IntoIterator<Item = (u32, Glance)>) {
    for (n, (number, glance)) in exchanges.into_iter().enumerate() {
        let of = operation(number);
        if let Some(why) = samples.wants(&of, &glance) {
            let Glance { end, duration_ns, failed, .. } = glance;
            let (operation, json) = (number.to_string().into(), n.to_string().into());
            samples.keep(&of, why, Sample { operation, end, duration_ns, failed, json, ..Sample::default() });
        }
    }
}

fn of(samples: &mut Samples, why: Why) -> Vec<Kept> {
    let mut kept = samples.snapshot().map_or_else(Vec::new, |kept| kept.to_vec());
    kept.retain(|kept| kept.why.has(why));
    kept
}

#[test]
fn the_slowest_of_each_minute_stays_and_the_one_before_it_goes() {
    let mut samples = Samples::new(Limits::default(), 1);
    let times = [(T, 5), (T + SECOND, 9), (T + 2 * SECOND, 9), (T + 3 * SECOND, 7), (T + MINUTE, 2)];
    play(&mut samples, times.map(|(end, duration)| (1, ok(end, duration))));
    let slowest = of(&mut samples, Why::SLOWEST);
    let found: Vec<_> = slowest.iter().map(|kept| (kept.sample.duration_ns, &*kept.sample.json)).collect();
    assert_eq!(found, [(2, "4"), (9, "1")], "newest first; of two that took as long, the first");
    assert!(samples.snapshot().is_none(), "nothing new");
}

#[test]
fn a_wait_by_design_is_never_the_slowest_but_may_be_kept_by_chance() {
    let mut samples = Samples::new(Limits::default(), 1);
    play(&mut samples, [(1, Glance { blocking: true, ..ok(T, 90 * SECOND) })]);
    let kept = samples.snapshot().expect("one");
    assert_eq!(kept.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Why::RANDOM]);
    play(&mut samples, [(1, ok(T + SECOND, 0))]);
    assert_eq!(of(&mut samples, Why::SLOWEST)[0].sample.duration_ns, 0);
}

#[test]
fn errors_are_kept_up_to_a_budget_of_their_operation() {
    let mut samples = Samples::new(Limits { errors: 3, error_every: 10 * SECOND, ..Limits::default() }, 1);
    let error = |end| Glance { failed: true, blocking: true, ..ok(end, 1) };
    play(&mut samples, (0..10).map(|n| (1, error(T + n))));
    assert_eq!((of(&mut samples, Why::ERROR).len(), samples.counts().errors_left_out), (3, 7));
    play(&mut samples, [(2, error(T + 11)), (1, error(T + 12))]);
    assert_eq!((of(&mut samples, Why::ERROR).len(), samples.counts().errors_left_out), (4, 8), "each has its own");
    play(&mut samples, (0..4).map(|n| (1, error(T + 25 * SECOND + n))));
    assert_eq!(of(&mut samples, Why::ERROR).len(), 6, "two more in 25 seconds");
    // A new minute is no new budget, and a clock that is set back does not block it for ever.
    play(&mut samples, [(1, error(T + 26 * SECOND)), (1, error(T - 3600 * SECOND)), (1, error(T - 3580 * SECOND))]);
    assert_eq!(of(&mut samples, Why::ERROR).len(), 7);
}

#[test]
fn the_oldest_goes_when_there_are_too_many_or_they_are_too_large() {
    let mut samples = Samples::new(Limits { samples: 3, ..Limits::default() }, 1);
    play(&mut samples, (0..5).map(|n| (n, ok(T, 1))));
    let left: Vec<_> = samples.snapshot().expect("some").iter().map(|kept| kept.sample.operation.to_string()).collect();
    assert_eq!((left, samples.counts().evicted), (vec!["4".into(), "3".into(), "2".into()], 2));
    let size = samples.held().1 / 3;
    let mut samples = Samples::new(Limits { bytes: 2 * size + 1, ..Limits::default() }, 1);
    play(&mut samples, (0..5).map(|n| (n, ok(T, 1))));
    assert_eq!((samples.held(), samples.counts().evicted), ((2, 2 * size), 3));
    // The slowest of the minute was evicted meanwhile: a slower one has nothing to replace.
    play(&mut samples, [(0, ok(T, 2))]);
    assert_eq!(samples.held().0, 2);
    let huge = Sample { json: "x".repeat(20_000).into(), ..Sample::default() };
    samples.keep(&operation(1), Why::ERROR, huge);
    assert_eq!((samples.counts().too_large, samples.held().0), (1, 2));
}

#[test]
fn operations_have_a_limit_and_make_room_when_they_are_idle() {
    let mut samples = Samples::new(Limits { operations: 2, ..Limits::default() }, 1);
    play(&mut samples, (0..4).map(|n| (n, ok(T, 1))));
    assert_eq!((samples.held().0, samples.counts().without_place), (2, 2));
    samples.roll(T + MINUTE);
    samples.roll(T + 2 * MINUTE);
    play(&mut samples, [(3, ok(T + 2 * MINUTE, 1))]);
    assert_eq!((samples.held().0, samples.counts().without_place), (3, 2));
}

#[test]
fn a_clock_that_was_far_ahead_does_not_end_the_minutes() {
    let mut samples = Samples::new(Limits::default(), 1);
    play(&mut samples, [(1, ok(u64::MAX, 9)), (1, ok(T, 5))]);
    assert_eq!(of(&mut samples, Why::SLOWEST).len(), 1, "late, so of the same minute");
    samples.roll(T);
    play(&mut samples, [(1, ok(T, 5))]);
    assert_eq!(of(&mut samples, Why::SLOWEST).len(), 2);
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_promised(
        exchanges in proptest::collection::vec((0u64..200, 0u32..4, 0u64..50, 0u8..6), 1..300),
        seed: u64,
    ) {
        let mut at = T;
        let exchanges: Vec<_> = exchanges.into_iter().map(|(step, number, duration, kind)| {
            at += step * SECOND / 4;
            (number, Glance { failed: kind == 0, blocking: kind == 1, ..ok(at, duration) })
        }).collect();
        let mut samples = Samples::new(Limits::default(), seed);
        play(&mut samples, exchanges.iter().copied());
        let kept = samples.snapshot().expect("at least one");
        let mut again = Samples::new(Limits::default(), seed);
        play(&mut again, exchanges.iter().copied());
        let texts = |kept: &[Kept]| kept.iter().map(|k| (k.why, k.sample.json.clone())).collect::<Vec<_>>();
        prop_assert_eq!(texts(&kept), texts(&again.snapshot().expect("the same")));

        let mut slowest: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        let mut groups: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        for (number, glance) in &exchanges {
            let group = (*number, glance.end / MINUTE);
            *groups.entry(group).or_default() += 1;
            if !glance.blocking {
                let most = slowest.entry(group).or_default();
                *most = glance.duration_ns.max(*most);
            }
        }
        let group = |kept: &Kept| (kept.sample.operation.parse::<u32>().expect("a number"), kept.sample.end / MINUTE);
        let found: BTreeMap<_, _> = kept.iter().filter(|k| k.why.has(Why::SLOWEST))
            .map(|k| (group(k), k.sample.duration_ns)).collect();
        prop_assert_eq!(&found, &slowest);
        prop_assert_eq!(kept.iter().filter(|k| k.why.has(Why::SLOWEST)).count(), slowest.len());
        let random: Vec<_> = kept.iter().filter(|k| k.why.has(Why::RANDOM)).map(group).collect();
        prop_assert_eq!(random.len(), groups.len(), "one of each operation and minute");
        prop_assert!(groups.keys().all(|group| random.contains(group)));
        let errors = exchanges.iter().filter(|(_, glance)| glance.failed).count() as u64;
        let Counts { errors_left_out, kept: written, replaced, evicted, .. } = samples.counts();
        prop_assert_eq!(kept.iter().filter(|k| k.why.has(Why::ERROR)).count() as u64, errors - errors_left_out);
        prop_assert!(kept.iter().filter(|k| k.why.has(Why::ERROR)).all(|k| k.sample.failed));
        prop_assert_eq!(kept.len() as u64, written - replaced - evicted);
        prop_assert_eq!(samples.held().1, kept.iter().map(|k| k.sample.size()).sum::<usize>());
    }
}
