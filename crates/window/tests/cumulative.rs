//! Counters never go backwards, whatever the limits.

use std::sync::Arc;
use steth_window::{Cumulative, Entities, EntityId, Key, Limits, Observation, Protocol, Side, Status, Window, Windows};

const SECOND: u64 = 1_000_000_000;
const T: u64 = 1_700_000_000 * SECOND;

struct Source {
    windows: Windows,
    entities: Entities,
    now: u64,
}

impl Source {
    fn new() -> Self {
        Self { windows: Windows::new(Limits::default(), T), entities: Entities::default(), now: T }
    }

    fn record(&mut self, server: &str, millis: u64) {
        let key = Key {
            client: EntityId::OTHER,
            server: self.entities.intern(server, self.now),
            operation: 1,
            summary: None,
            namespace: 0,
            status: Status::code(200),
            error_type: 0,
            server_port: 80,
            side: Side::Client,
            protocol: Protocol::Http,
        };
        let seen = Observation { duration_ns: millis * 1_000_000, ..Default::default() };
        self.windows.record(self.now, &key, &seen);
    }

    fn finish(&mut self, seconds: u64) -> Arc<Window> {
        self.now += seconds * SECOND;
        self.windows.roll(self.now, &mut self.entities, &|_| "GET /").expect("a window")
    }

    fn snapshot(&mut self) -> Arc<Window> {
        self.windows.snapshot(self.now, &self.entities, &|_| "GET /")
    }
}

fn count(all: &Cumulative, server: &str) -> u64 {
    all.series().filter(|series| &*series.labels.server == server).map(|series| series.count).sum()
}

#[test]
fn a_window_counts_once_as_current_and_as_finished() {
    let (mut source, mut all) = (Source::new(), Cumulative::new(10));
    source.record("cart", 6);
    let current = source.snapshot();
    assert_eq!(count(&all.with(Some(&current)), "cart"), 1);
    assert_eq!(count(&all.with(Some(&current)), "cart"), 1, "a scrape changes nothing");
    let finished = source.finish(11);
    all.absorb(&finished);
    all.absorb(&finished);
    assert_eq!(count(&all.with(Some(&current)), "cart"), 1, "an old snapshot of the same window");
    source.record("cart", 20_000);
    let scrape = all.with(Some(&source.snapshot()));
    let series = scrape.series().next().expect("one");
    assert_eq!((series.count, series.sum, series.classic()[1], series.classic()[14]), (2, 20_006_000_000, 1, 1));
}

#[test]
fn too_many_series_are_counted_under_other_and_none_changes_sides() {
    let (mut source, mut all) = (Source::new(), Cumulative::new(2));
    source.record("a", 1);
    let early = all.with(Some(&source.snapshot()));
    for server in ["b", "c", "d"] {
        source.record(server, 1);
    }
    all.absorb(&source.finish(11));
    assert_eq!((count(&early, "a"), count(&all, "a"), count(&all, "other"), all.folded()), (1, 1, 2, 2));
    assert_eq!(all.series().map(|series| series.count).sum::<u64>(), 4);
}

#[test]
fn a_series_idle_for_an_hour_is_dropped_and_the_drop_is_counted() {
    let (mut source, mut all) = (Source::new(), Cumulative::new(10));
    source.record("old", 1);
    all.absorb(&source.finish(11));
    source.now += 3700 * SECOND;
    assert!(source.windows.roll(source.now, &mut source.entities, &|_| "").is_none());
    source.record("new", 1);
    all.absorb(&source.finish(11));
    assert_eq!((count(&all, "old"), count(&all, "new"), all.dropped(), all.missed()), (0, 1, 1, 0));
}

#[test]
fn a_missed_window_is_declared() {
    let (mut source, mut all) = (Source::new(), Cumulative::new(10));
    source.record("a", 1);
    source.finish(11);
    source.record("a", 1);
    all.absorb(&source.finish(11));
    assert_eq!(all.missed(), 1);
}
