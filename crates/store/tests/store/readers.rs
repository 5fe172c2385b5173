//! Many who ask while windows come.

use crate::kit::{T, counted, open, range, scan, window};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use steth_query::{Dimension, Engine, Scan, Tier};

#[test]
fn fifty_readers_during_ingest_see_whole_windows_only() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    let windows: Vec<_> = (1..=200).map(|n| window(n, T + 10 * n)).collect();
    // After how many windows how much there is.
    let mut sums: Vec<u64> = windows
        .iter()
        .scan(0, |sum, window| {
            *sum += counted([window]);
            Some(*sum)
        })
        .collect();
    sums.insert(0, 0);
    let (done, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for reader in 0..50 {
            let (store, sums, done, answers) = (store.clone(), &sums, &done, &answers);
            scope.spawn(move || {
                let (mut seen, tier) = (0, [Tier::Seconds10, Tier::Minute][reader % 2]);
                while !done.load(Ordering::Relaxed) {
                    let by = [Dimension::Operation];
                    let question = Scan { by: &by, ..scan(tier, range(T, T + 2400)) };
                    let count =
                        store.exchanges(&question).expect("an answer").iter().map(|group| group.sums.count).sum();
                    // Exactly so many windows as were there at some moment, and never fewer than before.
                    let place = sums.binary_search(&count);
                    assert!(place.is_ok_and(|place| place >= seen), "{tier:?}: {count} after {seen} windows");
                    seen = place.unwrap_or(0);
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        windows.iter().for_each(|window| feed.window_in_time(window.clone()));
        feed.close(None, None);
        done.store(true, Ordering::Relaxed);
    });
    let status = store.status();
    assert_eq!((status.written, status.failed, status.dropped), (200, 0, 0));
    assert!(answers.into_inner() >= 50);
}
