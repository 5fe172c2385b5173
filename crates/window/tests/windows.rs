//! Windows by their behaviour: which window an exchange is counted in, and what happens at the limits.

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use steth_window::{
    Cumulative, Entities, EntityId, Key, Limits, Listener, Observation, Protocol, Side, Status, Totals, Transport,
    Window, Windows,
};

const SECOND: u64 = 1_000_000_000;
/// A multiple of ten seconds.
const T: u64 = 1_700_000_000 * SECOND;

fn name(n: u32) -> &'static str {
    ["", "GET /a", "GET /b", "GET /c", "503"].get(n as usize).copied().unwrap_or("many")
}

fn key(server: &str, operation: u32) -> Key {
    Key {
        client: EntityId::of("client"),
        server: EntityId::of(server),
        operation,
        summary: None,
        namespace: 0,
        status: Status::code(200),
        error_type: 0,
        server_port: 80,
        side: Side::Server,
        protocol: Protocol::Http,
    }
}

fn seen(millis: u64) -> Observation {
    Observation { duration_ns: millis * 1_000_000, ..Default::default() }
}

fn roll(windows: &mut Windows, now: u64) -> Vec<Arc<Window>> {
    let mut entities = Entities::default();
    std::iter::from_fn(|| windows.roll(now, &mut entities, &name)).collect()
}

fn count(window: &Window) -> u64 {
    window.rows.iter().map(|row| row.totals.count).sum()
}

#[test]
fn an_exchange_belongs_to_the_window_in_which_it_ends() {
    let mut windows = Windows::new(Limits::default(), T + 3 * SECOND);
    let key = key("cart", 1);
    windows.record(T, &key, &seen(1));
    windows.record(T + 10 * SECOND - 1, &key, &seen(9_000));
    windows.record(T + 10 * SECOND, &key, &seen(9_000));
    assert!(roll(&mut windows, T + 10 * SECOND).is_empty(), "kept open for what is under way");
    windows.record(T + 10 * SECOND - 1, &key, &seen(1));
    let finished = roll(&mut windows, T + 10 * SECOND + Windows::GRACE);
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].start, finished[0].end, finished[0].sequence), (T, T + 10 * SECOND, 1));
    assert_eq!((count(&finished[0]), finished[0].complete, finished[0].misplaced.late), (3, true, 0));
    let finished = roll(&mut windows, T + 21 * SECOND);
    assert_eq!((count(&finished[0]), finished[0].start, finished[0].sequence), (1, T + 10 * SECOND, 2));
}

#[test]
fn what_comes_after_its_window_was_handed_over_is_counted_now_and_as_late() {
    let mut windows = Windows::new(Limits::default(), T);
    windows.record(T, &key("cart", 1), &seen(1));
    assert_eq!(roll(&mut windows, T + 11 * SECOND).len(), 1);
    windows.record(T + 9 * SECOND, &key("cart", 1), &seen(1));
    let finished = roll(&mut windows, T + 21 * SECOND);
    assert_eq!((count(&finished[0]), finished[0].misplaced.late, windows.misplaced().late), (1, 1, 1));
}

#[test]
fn windows_without_a_row_are_skipped_and_the_time_moves_on() {
    let mut windows = Windows::new(Limits::default(), T);
    assert!(roll(&mut windows, T + 3600 * SECOND).is_empty());
    windows.record(T + 3601 * SECOND, &key("cart", 1), &seen(1));
    let finished = roll(&mut windows, T + 3611 * SECOND);
    assert_eq!((finished[0].start, finished[0].misplaced.late, finished[0].misplaced.early), (T + 3600 * SECOND, 0, 0));
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let mut windows = Windows::new(Limits::default(), T);
    windows.record(T + 500 * SECOND, &key("cart", 1), &seen(1));
    windows.record(T, &key("cart", 1), &seen(1));
    let ahead = roll(&mut windows, T + 500 * SECOND);
    windows.record(T - 5000 * SECOND, &key("cart", 1), &seen(1));
    let back = roll(&mut windows, T - 5000 * SECOND);
    windows.record(T - 5000 * SECOND, &key("cart", 1), &seen(1));
    let after = roll(&mut windows, T - 4980 * SECOND);
    let all: Vec<_> = ahead.into_iter().chain(back).chain(after).collect();
    assert_eq!(all.iter().map(|window| count(window)).sum::<u64>(), 4);
    assert!(all.iter().zip(&all[1..]).all(|(a, b)| a.sequence + 1 == b.sequence));
    assert!(roll(&mut windows, u64::MAX).is_empty(), "and it ends");
}

#[test]
fn one_operation_too_many_becomes_other_and_stays_it() {
    let limits = Limits { operations_per_service: 2, ..Limits::default() };
    let mut windows = Windows::new(limits, T);
    for n in 0..3 {
        let now = T + n * 10 * SECOND;
        // In another order every time: who is known must not depend on who comes first in this window.
        for operation in if n == 0 { [1, 2, 3] } else { [3, 2, 1] } {
            windows.record(now, &key("cart", operation), &seen(1));
            windows.record(now, &key("shop", operation), &seen(1));
        }
        let window = &roll(&mut windows, now + 11 * SECOND)[0];
        let mut names: Vec<_> = window.rows.iter().map(|row| &*row.labels.operation).collect();
        names.sort_unstable();
        assert_eq!(names, ["GET /a", "GET /a", "GET /b", "GET /b", "other", "other"]);
        assert_eq!(window.misplaced.folded_operations, 2);
    }
}

#[test]
fn operations_that_are_folded_keep_their_summary() {
    let limits = Limits { operations_per_service: 2, ..Limits::default() };
    let mut windows = Windows::new(limits, T);
    for operation in 1..=20 {
        let summary = Some(1 + operation % 2);
        windows.record(T, &Key { summary, protocol: Protocol::Mysql, ..key("db", operation) }, &seen(1));
    }
    let window = &roll(&mut windows, T + 11 * SECOND)[0];
    let mut rows: Vec<_> = (window.rows.iter())
        .map(|row| (&*row.labels.operation, row.labels.summary.as_deref(), row.totals.count))
        .collect();
    rows.sort_unstable();
    let (a, b) = (Some("GET /a"), Some("GET /b"));
    assert_eq!(rows[2..], [("other", a, 9), ("other", b, 9)], "{rows:?}");
    assert_eq!((count(window), window.misplaced.folded_operations), (20, 18));
    let json = serde_json::to_value(&window.rows[0]).expect("JSON");
    assert!(json["summary"].is_string());
}

/// A client names any database it likes.
#[test]
fn databases_are_kept_apart_and_folded_with_their_operations() {
    let mut windows = Windows::new(Limits { rows_per_service: 100, ..Limits::default() }, T);
    for n in 0..1000 {
        // Two thirds in one database.
        let namespace = if n % 3 == 0 { n } else { 1 };
        windows.record(T, &Key { namespace, protocol: Protocol::Mysql, ..key("db", 1) }, &seen(1));
    }
    let window = &roll(&mut windows, T + 11 * SECOND)[0];
    assert_eq!(count(window), 1000);
    let busy = window.rows.iter().find(|row| row.labels.key.namespace == 1).expect("one of the first");
    assert_eq!(busy.totals.count, 666);
    let folded = window.rows.iter().filter(|row| row.labels.key.client == EntityId::OTHER);
    assert_eq!(folded.map(|row| row.totals.count).sum::<u64>(), window.misplaced.folded_rows);
    let other = window.rows.iter().find(|row| row.labels.key.operation == Key::OTHER).expect("the rest");
    assert_eq!(other.labels.key.namespace, 0, "no database where there is no operation");
    assert!(window.rows.len() <= 100 && other.totals.count > 200, "{} {}", window.rows.len(), other.totals.count);
}

#[test]
fn a_service_with_many_clients_leaves_room_for_the_others() {
    let mut windows = Windows::new(Limits { rows_per_service: 100, ..Limits::default() }, T);
    for n in 0..1000 {
        let key = Key { client: EntityId(n + 1), ..key("public", 1 + (n % 3) as u32) };
        windows.record(T, &key, &seen(1));
    }
    windows.record(T, &key("cart", 1), &seen(1));
    let window = &roll(&mut windows, T + 11 * SECOND)[0];
    assert!(window.rows.len() <= 101);
    assert_eq!((count(window), window.misplaced.folded_rows), (1001, 1000 - 80));
    let any = |row: &&steth_window::Row| row.labels.key.client == EntityId::OTHER;
    let operations: BTreeSet<_> = window.rows.iter().filter(any).map(|row| &*row.labels.operation).collect();
    assert_eq!(operations, BTreeSet::from(["GET /a", "GET /b", "GET /c"]), "the client is given up first");
    assert!(window.rows.iter().any(|row| row.labels.key.server == EntityId::of("cart")));
}

#[test]
fn a_snapshot_is_the_window_so_far() {
    let (mut windows, entities) = (Windows::new(Limits::default(), T), Entities::default());
    windows.record(T + SECOND, &key("cart", 1), &seen(1));
    windows.record(T + 12 * SECOND, &key("cart", 1), &seen(1));
    let snapshot = windows.snapshot(T + 2 * SECOND, &entities, &name);
    assert_eq!((count(&snapshot), snapshot.sequence, snapshot.end, snapshot.complete), (1, 1, T + 2 * SECOND, false));
    assert_eq!(roll(&mut windows, T + 11 * SECOND)[0].sequence, 1);
    assert_eq!(count(&windows.snapshot(T + 13 * SECOND, &entities, &name)), 1, "the next window, already begun");
}

#[test]
fn closing_hands_over_everything() {
    let (mut windows, mut entities) = (Windows::new(Limits::default(), T), Entities::default());
    windows.record(T, &key("cart", 1), &seen(1));
    windows.record(T + 11 * SECOND, &key("cart", 1), &seen(1));
    let closed: Vec<_> = std::iter::from_fn(|| windows.close(&mut entities, &name)).collect();
    assert_eq!(closed.iter().map(|window| (window.sequence, count(window))).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
}

#[test]
fn a_wait_by_design_is_counted_but_says_nothing_about_latency() {
    let mut windows = Windows::new(Limits::default(), T);
    windows.record(T, &key("queue", 1), &Observation { blocking: true, ..seen(5000) });
    windows.record(T, &key("queue", 1), &Observation { first_byte_ns: Some(500_000), ..seen(1) });
    let totals = &roll(&mut windows, T + 11 * SECOND)[0].rows[0].totals;
    assert_eq!((totals.count, totals.blocking, totals.duration.count(), totals.first_byte.count()), (2, 1, 1, 1));
    assert_eq!((totals.classic.counts().iter().sum::<u32>(), totals.duration_sum), (2, 5_001_000_000));
}

#[test]
fn the_wait_before_the_read_and_the_servers_own_time_are_kept_apart() {
    let (mut windows, mut entities) = (Windows::new(Limits::default(), T), Entities::default());
    let split = Observation { first_byte_ns: Some(20_000_000), queue_ns: Some(1_980_000_000), ..seen(21) };
    windows.record(T, &key("pool", 1), &split);
    windows.record(T, &key("pool", 1), &Observation { blocking: true, queue_ns: Some(0), ..seen(5000) });
    windows.record(T, &Key { side: Side::Client, ..key("pool", 1) }, &Observation { queue_ns: None, ..split });
    let rows = |window: &Window| {
        let mut rows = window.rows.clone();
        rows.sort_by_key(|row| row.labels.key.side);
        rows
    };
    let both = rows(&windows.snapshot(T + SECOND, &entities, &name));
    let [client, server] = &both[..] else { panic!("{both:?}") };
    assert!(client.totals.queue().is_none() && client.service().is_none(), "nobody knows it there");
    let queue = server.totals.queue().expect("it is known there");
    assert_eq!(
        (queue.count(), queue.max(), queue.zeros()),
        (2, Some(1_980_000_000), 1),
        "a wait by design is read too"
    );
    assert_eq!(server.service().and_then(|service| service.max()), Some(20_000_000));
    let json = serde_json::to_value(server).expect("serialises");
    assert_eq!((&json["queue"]["max_ns"], &json["service"]["count"]), (&1_980_000_000.into(), &1.into()));
    let json = serde_json::to_value(client).expect("serialises");
    assert!(json["queue"].is_null() && json["service"].is_null(), "{json}");

    let mut all = Cumulative::new(10);
    windows.record(T + 11 * SECOND, &key("pool", 1), &seen(1));
    while let Some(window) = windows.close(&mut entities, &name) {
        all.absorb(&window);
        let late = window.sequence == 2;
        assert!(
            !late || window.rows.iter().all(|row| row.totals.queue().is_none()),
            "nothing stays of the last window"
        );
    }
    let series: Vec<_> = all.series().filter(|series| series.labels.key.side == Side::Server).collect();
    assert_eq!((series[0].queue.count, series[0].queue.nanos), (2, 1_980_000_000));
    assert_eq!((series[0].service.count, series[0].service.nanos), (1, 20_000_000));
}

#[test]
fn what_was_slow_is_counted_of_each_row_and_forgotten_with_the_window() {
    let mut windows = Windows::new(Limits::default(), T);
    for (end, operation, slow) in
        [(T, 1, true), (T, 1, false), (T, 1, true), (T, 2, false), (T + 11 * SECOND, 1, false)]
    {
        windows.record(end, &key("cart", operation), &Observation { slow, ..seen(300) });
    }
    let counts = |window: &Window| {
        let mut counts: Vec<_> = window
            .rows
            .iter()
            .map(|row| (row.labels.operation.to_string(), row.totals.count, row.totals.slow))
            .collect();
        counts.sort();
        counts
    };
    let both = roll(&mut windows, T + 22 * SECOND);
    assert_eq!(counts(&both[0]), [("GET /a".into(), 3, 2), ("GET /b".into(), 1, 0)]);
    assert_eq!(counts(&both[1]), [("GET /a".into(), 1, 0)]);
    let json = serde_json::to_value(&*both[0]).expect("serialises");
    assert!(json["rows"].as_array().expect("rows").iter().any(|row| row["slow"] == 2), "{json}");
}

#[test]
fn a_window_has_who_waits_for_connections_at_its_end_even_if_nothing_else_happened() {
    let (mut windows, mut entities) = (Windows::new(Limits::default(), T), Entities::default());
    let listener = |service, port| Listener { service, port, transport: Transport::Tcp, waiting: 0, room: 5, drops: 0 };
    let (shop, cart) = (entities.intern_in("eu", "shop", T), entities.intern("cart", T));
    windows.listen([listener(shop, 80), listener(cart, 81)]);
    assert_eq!(windows.snapshot(T + SECOND, &entities, &name).listeners.len(), 2);
    windows.listen([listener(shop, 80)]);
    assert!(!windows.is_due(T + 10 * SECOND) && windows.is_due(T + 3600 * SECOND));
    let mut finished = Vec::new();
    while let Some(window) = windows.roll(T + 3600 * SECOND, &mut entities, &name) {
        finished.push(window);
    }
    assert_eq!(finished.len(), 1, "nobody knows of the time after that");
    let window = &finished[0];
    assert_eq!((window.start, window.rows.len(), window.listeners.len()), (T, 0, 1));
    assert_eq!(window.listeners[0].service_parts(), ("eu", "shop"));
    let json = serde_json::to_value(&**window).expect("serialises");
    let row = serde_json::json!({"service": "eu/shop", "service_kind": "service", "service_id": format!("{:016x}", shop.0),
        "port": 80, "transport": "tcp", "sockets": 1, "waiting": 0, "room": 5, "drops": 0});
    assert_eq!(json["listeners"], serde_json::json!([row]));
    assert!(windows.snapshot(T + 3601 * SECOND, &entities, &name).listeners.is_empty(), "until it is said again");
}

#[test]
fn closing_comes_to_an_end_while_somebody_listens() {
    let (mut windows, mut entities) = (Windows::new(Limits::default(), T), Entities::default());
    let shop = entities.intern("shop", T);
    let listener = Listener { service: shop, port: 80, transport: Transport::Tcp, waiting: 0, room: 5, drops: 0 };
    windows.record(T, &key("cart", 1), &seen(1000));
    let mut closed = Vec::new();
    while closed.len() < 5 {
        windows.listen([listener]);
        let Some(window) = windows.close(&mut entities, &name) else { break };
        closed.push(window);
    }
    assert_eq!(closed.len(), 1, "one in which something happened");
    assert_eq!((closed[0].rows.len(), closed[0].listeners.len()), (1, 1));
}

#[test]
fn a_window_is_json() {
    let mut windows = Windows::new(Limits::default(), T);
    windows.record(T, &Key { status: Status::word(2), error_type: 4, ..key("cart", 1) }, &seen(1000));
    let json = serde_json::to_value(&*roll(&mut windows, T + 11 * SECOND)[0]).expect("serialises");
    let row = &json["rows"][0];
    assert_eq!(
        (&row["operation"], &row["status"], &row["error_type"]),
        (&"GET /a".into(), &"GET /b".into(), &"503".into())
    );
    assert_eq!((&row["side"], &row["protocol"], &row["server_port"]), (&"server".into(), &"http".into(), &80.into()));
    assert_eq!(
        (&row["server_id"], &row["duration"]["buckets"][0][0]),
        (&format!("{:016x}", key("cart", 1).server.0).into(), &(-1).into())
    );
}

proptest! {
    #[test]
    fn totals_merge_in_any_order(
        seen in proptest::collection::vec((0u64..1 << 40, proptest::option::of(0u64..1 << 40), proptest::bool::ANY), 0..100),
        cut in 0usize..100,
    ) {
        let total = |seen: &[(u64, Option<u64>, bool)]| {
            let mut totals = Totals::new(Protocol::Redis);
            for (duration_ns, queue_ns, blocking) in seen.iter().copied() {
                let (first_byte_ns, request_bytes) = (queue_ns, duration_ns >> 20);
                let seen = Observation { duration_ns, first_byte_ns, queue_ns, request_bytes, blocking, ..Default::default() };
                totals.record(Protocol::Redis, &seen);
            }
            totals
        };
        let (left, right) = seen.split_at(cut.min(seen.len()));
        let (mut a, mut b) = (total(left), total(right));
        let first = a.clone();
        a.merge(&b);
        b.merge(&first);
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(&a, &total(&seen));
        let waits = seen.iter().filter(|(_, queue, _)| queue.is_some()).count() as u64;
        prop_assert_eq!(a.queue().map_or(0, |queue| queue.count()), waits);
    }

    #[test]
    fn every_exchange_is_in_exactly_one_row(
        exchanges in proptest::collection::vec((0u64..60, 0u64..12, 0u64..6, 0u32..20, 200u16..204), 0..600),
    ) {
        let limits = Limits { operations_per_service: 8, rows_per_service: 20, rows: 50 };
        let mut windows = Windows::new(limits, T);
        let (mut finished, mut entities) = (Vec::new(), Entities::default());
        for (n, (delay, client, server, operation, status)) in exchanges.iter().enumerate() {
            let now = T + n as u64 * SECOND / 10;
            finished.extend(std::iter::from_fn(|| windows.roll(now, &mut entities, &name)));
            let key = Key {
                client: EntityId(*client),
                status: Status::code(*status),
                ..key(&server.to_string(), *operation)
            };
            windows.record(now.saturating_sub(delay * SECOND / 4), &key, &seen(1));
        }
        finished.extend(std::iter::from_fn(|| windows.close(&mut entities, &name)));
        prop_assert_eq!(finished.iter().map(|window| count(window)).sum::<u64>(), exchanges.len() as u64);
        for window in &finished {
            let keys: hashbrown::HashSet<_> = window.rows.iter().map(|row| row.labels.key).collect();
            prop_assert_eq!(keys.len(), window.rows.len());
            prop_assert!(window.rows.len() <= limits.rows + 1);
            prop_assert!(window.rows.iter().all(|row| row.totals.duration.count() == row.totals.count));
        }
    }
}
