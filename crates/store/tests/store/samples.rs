//! Requests that are kept one by one.

use crate::kit::{T, deadline, open, range, window};
use steth_query::{Engine, Filter, Order, Recent, SampleScan, Text};
use steth_samples::{Glance, Limits, Operation, Sample, Samples};
use steth_store::{Feed, Store};
use steth_window::{EntityId, Side};

const SECOND: u64 = 1_000_000_000;

struct Kit {
    samples: Samples,
    store: Store,
    feed: Feed,
    windows: u64,
}

impl Kit {
    fn new(path: &std::path::Path, limits: Limits) -> Self {
        let (store, feed) = open(path);
        Self { samples: Samples::new(limits, 1), store, feed, windows: 0 }
    }

    /// A request of a server that ends at this second and took so long.
    fn request(&mut self, server: &str, second: u64, duration_ns: u64, failed: bool) {
        let of = Operation { server: EntityId::of(server), operation: 1, side: Side::Server };
        let end = (T + second) * SECOND;
        let Some(why) = self.samples.wants(&of, &Glance { end, duration_ns, failed, blocking: false }) else { return };
        let namespace = server.find('/').unwrap_or(0);
        let json = format!(r#""exchange":{{"at":{second}}}"#).into();
        let (operation, side) = ("GET /".into(), Side::Server);
        let sample = Sample {
            server: server.into(),
            server_namespace: namespace,
            operation,
            side,
            end,
            duration_ns,
            failed,
            json,
        };
        self.samples.keep(&of, why, sample);
    }

    /// Hands over what there is, and waits until it is written.
    fn write(&mut self) {
        if let Some(samples) = self.samples.snapshot() {
            self.feed.samples(samples, self.samples.forgotten());
        }
        self.windows += 1;
        self.feed.window_in_time(window(self.windows, T + 10 * self.windows));
        crate::kit::settled(&self.store, self.windows);
    }
}

fn seconds(store: &Store, scan: SampleScan<'_>) -> Vec<u64> {
    let found = store.samples(&scan).unwrap();
    assert_eq!(found.matching, found.samples.len() as u64);
    found.samples.iter().map(|kept| kept.end_ns / SECOND - T).collect()
}

pub(crate) fn all() -> SampleScan<'static> {
    SampleScan {
        range: range(T, T + 100_000),
        filter: Filter::default(),
        service: None,
        namespace: None,
        text: None,
        why: None,
        least_ns: 0,
        below_ns: u64::MAX,
        order: Order::Newest,
        limit: 100,
        deadline: deadline(),
    }
}

#[test]
fn requests_are_kept_as_they_are_and_found_by_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut kit = Kit::new(dir.path(), Limits::default());
    kit.request("shop/cart", 1, 500, false);
    kit.write();
    // A slower one takes its place in the same minute; by chance the first one may stay.
    kit.request("shop/cart", 2, 900, false);
    kit.request("shop/pay", 3, 700, true);
    // The next minute.
    kit.request("shop/cart", 70, 100, false);
    let Kit { mut samples, store, feed, .. } = kit;
    let kept = samples.snapshot().unwrap();
    feed.close(Some((kept.clone(), samples.forgotten())), None);
    let mut there: Vec<_> = kept.iter().map(|kept| kept.sample.end / SECOND - T).collect();
    there.sort_by_key(|second| std::cmp::Reverse(*second));
    assert_eq!(seconds(&store, all()), there);
    assert_eq!(seconds(&store, SampleScan { service: Some("cart"), why: Some("slowest"), ..all() }), [70, 2]);
    assert_eq!(seconds(&store, SampleScan { service: Some("shop/pay"), ..all() }), [3]);
    assert_eq!(seconds(&store, SampleScan { service: Some("shop"), ..all() }), [0; 0]);
    assert_eq!(seconds(&store, SampleScan { least_ns: 700, below_ns: 900, ..all() }), [3]);
    let failed = Filter { failed: Some(true), server: Some(EntityId::of("shop/pay")), ..Filter::default() };
    assert_eq!(seconds(&store, SampleScan { filter: failed, why: Some("error"), ..all() }), [3]);
    assert_eq!(seconds(&store, SampleScan { range: range(T + 2, T + 4), ..all() }), [3, 2]);
    assert!(store.samples(&SampleScan { why: Some("because"), ..all() }).is_err());
    let newest = store.samples(&SampleScan { limit: 1, ..all() }).unwrap();
    assert_eq!((newest.matching, newest.samples.len()), (there.len() as u64, 1));
    assert_eq!(&*newest.samples[0].json, r#""exchange":{"at":70}"#);
}

#[test]
fn what_left_memory_for_want_of_room_stays_and_what_was_replaced_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut kit = Kit::new(dir.path(), Limits { samples: 4, ..Limits::default() });
    for minute in 0..12 {
        for second in 0..3 {
            // Each is slower than the one before and fails, so it stays for one reason or another.
            kit.request("shop/cart", 60 * minute + second, 100 * (second + 1), false);
        }
        kit.write();
    }
    let Kit { store, feed, .. } = kit;
    feed.close(None, None);
    let slowest = seconds(&store, SampleScan { why: Some("slowest"), ..all() });
    assert_eq!(slowest, (0..12).rev().map(|minute| 60 * minute + 2).collect::<Vec<_>>());
    assert_eq!(store.status().samples_failed, 0);
    // They survive a new start.
    drop(store);
    let (store, _feed) = open(dir.path());
    assert_eq!(seconds(&store, SampleScan { why: Some("slowest"), ..all() }), slowest);
}

#[test]
fn the_slowest_and_what_has_a_text_are_found_behind_any_number_of_newer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut kit = Kit::new(dir.path(), Limits::default());
    // Two hours, so two files and more.
    for minute in 0..130u64 {
        let server = if minute == 3 { "shop/Pay" } else { "shop/cart" };
        let slow = if minute == 1 { 9_000 } else { minute % 7 };
        kit.request(server, 60 * minute + 1, 100 + slow, minute % 50 == 0);
    }
    let Kit { mut samples, store, feed, .. } = kit;
    let kept = samples.snapshot().unwrap();
    feed.close(Some((kept.clone(), samples.forgotten())), None);
    let recent = Recent::new(vec![], kept, range(T, T));
    let [text, operation, nowhere] = ["PAY", "get", "instants"].map(Text::new);
    let found = |scan: SampleScan<'_>| {
        let both = [&store as &dyn Engine, &recent].map(|engine| engine.samples(&scan).unwrap());
        let told = |samples: &steth_query::Samples| {
            let of = |kept: &steth_query::Kept| (kept.end_ns / SECOND - T, kept.duration_ns, kept.json.clone());
            (samples.matching, samples.samples.iter().map(of).collect::<Vec<_>>())
        };
        assert_eq!(told(&both[0]), told(&both[1]), "{scan:?}");
        told(&both[0])
    };
    let by_duration = SampleScan { order: Order::Duration, limit: 3, ..all() };
    let (matching, slowest) = found(by_duration);
    // Of equal ones the newest.
    let is: Vec<_> = slowest.iter().map(|(second, duration, _)| (*second, *duration)).collect();
    assert_eq!((matching, is), (130, vec![(61, 9100), (125 * 60 + 1, 106), (118 * 60 + 1, 106)]));
    let (matching, with) = found(SampleScan { text: Some(&text), limit: 2, ..all() });
    assert_eq!((matching, with.len(), with[0].0), (1, 1, 181));
    assert_eq!(found(SampleScan { text: Some(&operation), limit: 5, ..by_duration }).0, 130);
    assert_eq!(found(SampleScan { text: Some(&nowhere), ..all() }).0, 0);
    assert_eq!(found(SampleScan { namespace: Some("shop"), limit: 1, ..all() }).0, 130);
    assert_eq!(found(SampleScan { namespace: Some("sho"), ..all() }).0, 0);
}
