//! What is answered is what was handed over.

use crate::kit::{self, T, count, counted, open, range, scan, window};
use crate::oracle::{same_answers, same_answers_in_any_order};
use proptest::prelude::*;
use std::time::Instant;
use steth_query::{Dimension, Engine, EntityScan, Error, Scan, Tier};
use steth_window::EntityId;

#[test]
fn two_hours_are_answered_as_they_were_at_every_tier() {
    let dir = tempfile::tempdir().unwrap();
    let windows: Vec<_> = (1..=100).filter(|n| n % 7 != 0).map(|n| window(n, T + 70 * n)).collect();
    let (store, feed) = open(dir.path());
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    kit::settled(&store, windows.len() as u64);
    same_answers(&store, &windows, T, T + 7210);
    same_answers(&store, &windows, T + 1230, T + 5000);
    feed.close(None, None);
    assert_eq!((store.status().committed, store.status().written), (100, windows.len() as u64));
    drop(store);
    let (store, _feed) = open(dir.path());
    same_answers(&store, &windows, T, T + 7210);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Roll-up and merge: whatever the order in which windows come, and wherever the agent is started anew in between.
    #[test]
    fn any_order_and_any_starts_give_the_same(order in Just((1..=12u64).collect::<Vec<_>>()).prop_shuffle(),
        starts in proptest::collection::vec(1usize..12, 0..3)) {
        let dir = tempfile::tempdir().unwrap();
        let windows: Vec<_> = order.iter().map(|n| window(*n, T + 3000 + 110 * n)).collect();
        let mut starts = starts;
        starts.extend([0, windows.len()]);
        starts.sort_unstable();
        for part in starts.windows(2) {
            let (_, feed) = open(dir.path());
            windows[part[0]..part[1]].iter().for_each(|window| feed.window_in_time(window.clone()));
            feed.close(None, None);
        }
        let (store, feed) = open(dir.path());
        same_answers_in_any_order(&store, &windows, T, T + 7200);
        feed.close(None, None);
    }
}

#[test]
fn limits_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let windows: Vec<_> = (1..=30).map(|n| window(n, T + 10 * n)).collect();
    let (store, feed) = open(dir.path());
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    feed.close(None, None);
    let by = [Dimension::Operation];
    let all = scan(Tier::Seconds10, range(T, T + 310));
    let groups = store.exchanges(&Scan { by: &by, ..all }).unwrap().len();
    assert_eq!(store.exchanges(&Scan { by: &by, limit: groups, ..all }).unwrap().len(), groups);
    let refused = store.exchanges(&Scan { by: &by, limit: groups - 1, ..all });
    assert_eq!(refused, Err(Error::TooMany { limit: groups - 1 }));
    let late = store.exchanges(&Scan { deadline: Instant::now(), ..all });
    assert_eq!(late, Err(Error::TooLong { ms: 0 }));
    assert_eq!(count(&store, Tier::Seconds10, range(T, T + 310)), counted(&windows));
}

#[test]
fn entities_are_found_by_id_and_by_a_part_of_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    (1..=9).for_each(|n| feed.window_in_time(window(n, T + 10 * n)));
    feed.close(None, None);
    let found = store.entities(&EntityScan { text: Some("SHOP/Server-"), limit: 2, ..EntityScan::default() }).unwrap();
    assert_eq!(found.len(), 2);
    let ids = [EntityId::of("client-0"), EntityId::of("nobody")];
    let found = store.entities(&EntityScan { ids: &ids, limit: 10, ..EntityScan::default() }).unwrap();
    assert_eq!(found.iter().map(|who| &*who.name).collect::<Vec<_>>(), ["client-0"]);
}
