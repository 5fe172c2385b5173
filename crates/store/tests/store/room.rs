//! The budget.

use crate::kit::{T, count, counted, options, range, window};
use steth_query::{Engine, Tier};
use steth_store::Store;

#[test]
fn what_is_beyond_the_budget_goes_the_oldest_first_and_coarser_steps_stay_longer() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 8 << 20;
    let (store, writer) = Store::open(dir.path(), options(budget, None).0).unwrap();
    let feed = writer.start().unwrap();
    let windows: Vec<_> = (0..1000).map(|n| window(n, T + 10 * n)).collect();
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    feed.close(None, None);
    let status = store.status();
    assert!(status.unlinked > 0 && status.bytes <= budget, "{status:?}");
    assert_eq!((status.written, status.failed), (1000, 0));
    let coverage = store.coverage().unwrap();
    // The beginning of a tier is not a gap: the tier says where it begins.
    assert_eq!(coverage.missing, []);
    let from: Vec<_> = coverage.tiers.iter().map(|stretch| stretch.range.from_ms / 1000).collect();
    assert!(from[0] > T && from[0] > from[1], "{from:?}");
    for (tier, from) in Tier::ALL.into_iter().zip(from) {
        let kept = windows.iter().filter(|window| window.start / 1_000_000_000 >= from);
        assert_eq!(count(&store, tier, range(from, T + 10_800)), counted(kept), "{tier:?}");
    }
    let there: u64 = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(there <= budget + (128 << 10), "{there} bytes");
}

/// A file is smaller once its log is folded in, so what was full may have room again after a start. What is written goes behind what is there
/// all the same: otherwise the file that goes first would take newer windows along, and older ones would stay.
#[test]
fn the_oldest_goes_first_over_many_starts_too() {
    let dir = tempfile::tempdir().unwrap();
    let budget = 3 << 20;
    let (mut windows, mut removed) = (Vec::new(), 0);
    for _ in 0..80 {
        let (store, writer) = Store::open(dir.path(), options(budget, None).0).unwrap();
        let feed = writer.start().unwrap();
        for _ in 0..5 {
            let n = windows.len() as u64;
            windows.push(window(n, T + 10 * n));
            feed.window_in_time(windows[windows.len() - 1].clone());
        }
        feed.close(None, None);
        removed += store.status().unlinked;
        let coverage = store.coverage().unwrap();
        // A coarser tier may begin within a step, of which the rest was in a finer one only: that is told of.
        assert!(coverage.missing.iter().all(|gap| !gap.why.contains("10s")), "{coverage:?}");
        let kept = coverage.tiers[0].range;
        let inside = windows.iter().filter(|window| window.start / 1_000_000 >= kept.from_ms);
        assert_eq!(count(&store, Tier::Seconds10, kept), counted(inside), "{} windows", windows.len());
    }
    assert!(removed > 0, "nothing had to go");
}
