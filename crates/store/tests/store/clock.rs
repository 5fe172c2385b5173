//! A clock that jumps.

use crate::kit::{T, count, counted, open, options, range, settled, window};
use crate::oracle::same_answers_in_any_order;
use steth_query::{Engine, Tier};
use steth_store::Store;

const YEAR: u64 = 366 * 86_400;

#[test]
fn a_clock_that_jumps_loses_nothing_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    let mut windows = Vec::new();
    // On for a while, a year ahead, back again to ten minutes before it left, and over the same time once more.
    let times =
        (0..70).map(|n| T + 10 * n).chain((0..40).map(|n| T + YEAR + 10 * n)).chain((10..90).map(|n| T + 10 * n));
    for (n, at) in (1..).zip(times) {
        windows.push(window(n, at));
        feed.window_in_time(windows[windows.len() - 1].clone());
    }
    let status = settled(&store, windows.len() as u64);
    assert_eq!((status.written, status.failed, status.out_of_order), (190, 0, 1));
    for tier in Tier::ALL {
        let [now, ahead] = [range(T, T + 1200), range(T + YEAR, T + YEAR + 1200)];
        assert_eq!(count(&store, tier, now) + count(&store, tier, ahead), counted(&windows), "{tier:?}");
    }
    same_answers_in_any_order(&store, &windows, T, T + 1200);
    feed.close(None, None);
    drop(store);
    let (store, _feed) = open(dir.path());
    same_answers_in_any_order(&store, &windows, T, T + 1200);
}

#[test]
fn the_time_in_which_no_agent_ran_is_declared() {
    let dir = tempfile::tempdir().unwrap();
    let run = |now: u64| {
        let (store, writer) = Store::open(dir.path(), options(64 << 20, Some(now)).0).unwrap();
        (store, writer.start().unwrap())
    };
    let (store, feed) = run(T + 3);
    feed.window_in_time(window(1, T));
    // Nothing happens for a while, which is no gap.
    feed.close(None, Some((T + 100) * 1_000_000_000));
    assert_eq!(store.coverage().unwrap().missing, []);
    drop(store);
    let (store, feed) = run(T + 500);
    feed.window_in_time(window(2, T + 500));
    feed.close(None, None);
    let coverage = store.coverage().unwrap();
    assert_eq!(coverage.missing.len(), 1, "{coverage:?}");
    assert_eq!(coverage.missing[0].range, range(T + 100, T + 500));
    assert!(coverage.missing[0].why.contains("did not run"));
    assert_eq!(coverage.tiers[0].range, range(T, T + 510));
    assert_eq!(coverage.tiers[2].range, range(T, T + 600));
}
