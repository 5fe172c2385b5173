//! Windows to keep, and stores to keep them in.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use steth_query::{Dimension, Engine, Filter, Range, Scan, Tier};
use steth_store::{Feed, Options, Status, Store};
use steth_window::{
    EdgeKey, EdgeSeen, EdgeSums, Entities, Key, Kind, Limits, Listener, Observation, Opened, Protocol, Side,
    Status as Code, Transport, Window, Windows,
};

/// Seconds since 1970: the beginning of a day.
pub(crate) const T: u64 = 1_698_624_000;

const NAMES: [&str; 9] =
    ["", "GET /", "GET /cart/{id}", "SELECT ?", "SELECT users", "shop", "timeout", "NXDOMAIN", "500"];

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A window that begins at this second; its sequence is its seed.
pub(crate) fn window(seed: u64, at: u64) -> Arc<Window> {
    let (mut dice, at) = (Dice(seed ^ 0x5eed), at * 1_000_000_000);
    let (mut entities, mut windows) = (Entities::default(), Windows::new(Limits::default(), at));
    for _ in 0..20 + dice.below(20) {
        let protocol = [Protocol::Http, Protocol::Mysql, Protocol::Mariadb, Protocol::Dns][dice.below(4) as usize];
        let (client, server) = (format!("client-{}", dice.below(4)), format!("server-{}", dice.below(3)));
        let failed = dice.below(4) == 0;
        let key = Key {
            client: entities.intern_as([Kind::Service, Kind::External][dice.below(2) as usize], &client, at),
            server: entities.intern_in("shop", &server, at),
            operation: 1 + dice.below(3) as u32,
            summary: [None, Some(4)][dice.below(2) as usize],
            namespace: [0, 5][dice.below(2) as usize],
            status: [Code::NONE, Code::code(200), Code::word(7)][dice.below(3) as usize],
            error_type: if failed { 6 + 2 * dice.below(2) as u32 } else { 0 },
            server_port: 80 + dice.below(2) as u16,
            side: [Side::Client, Side::Server, Side::Network][dice.below(3) as usize],
            protocol,
        };
        for _ in 0..1 + dice.below(5) {
            let bits = 10 + dice.below(24);
            let duration_ns = dice.below(1 << bits);
            let queue_ns = (key.side == Side::Server && dice.below(2) == 0).then_some(duration_ns / 3);
            let seen = Observation {
                duration_ns,
                first_byte_ns: (dice.below(5) > 0).then_some(duration_ns / 2),
                queue_ns,
                request_bytes: dice.below(1000),
                response_bytes: dice.below(100_000),
                blocking: dice.below(9) == 0,
                slow: dice.below(9) == 0,
            };
            // Some come from a window that is not there any more.
            let end = if dice.below(30) == 0 { at - 1 } else { at + dice.below(9_000_000_000) };
            windows.record(end, &key, &seen);
        }
    }
    for _ in 0..4 + dice.below(8) {
        let (client, server) = (dice.below(4), dice.below(3));
        let key = EdgeKey {
            client: entities.intern(&format!("client-{client}"), at),
            server: entities.intern_in("shop", &format!("server-{server}"), at),
            server_port: 80,
            side: [Side::Client, Side::Server][dice.below(2) as usize],
            transport: [Transport::Tcp, Transport::Udp, Transport::Unix][dice.below(3) as usize],
            guessed: client == server,
        };
        let sums = EdgeSums { bytes_to_server: dice.below(1 << 40), refused: dice.below(3), ..EdgeSums::default() };
        let some = |dice: &mut Dice| (dice.below(2) == 0).then(|| dice.below(1 << 30));
        let seen = EdgeSeen {
            sums,
            connect_ns: some(&mut dice),
            accept_ns: some(&mut dice),
            rtt_ns: some(&mut dice),
            rtt_min_ns: some(&mut dice),
            open: dice.below(2) == 0,
        };
        windows.edge(&key, &seen, &mut Opened::default());
    }
    let [waiting, drops] = [(); 2].map(|()| dice.below(3));
    let listener = |service, port| Listener { service, port, transport: Transport::Tcp, waiting, room: 9, drops };
    let service = entities.intern_in("shop", "server-0", at);
    let idle = entities.intern(&format!("idle-{}", dice.below(3)), at);
    windows.listen([listener(service, 80), listener(idle, 9000 + dice.below(3) as u16)]);
    let window = windows.close(&mut entities, &|number| NAMES[number as usize]).expect("it is not empty");
    Arc::new(Window { sequence: seed, ..Arc::unwrap_or_clone(window) })
}

/// What the store has said.
pub(crate) type Said = Arc<Mutex<Vec<String>>>;

pub(crate) fn options(bytes: u64, now: Option<u64>) -> (Options, Said) {
    let said = Said::default();
    let say = {
        let said = said.clone();
        move |what: &str| said.lock().unwrap().push(what.to_owned())
    };
    (Options { bytes, now: now.map(|now| now * 1_000_000_000), say: Box::new(say) }, said)
}

pub(crate) fn open(directory: &Path) -> (Store, Feed) {
    let (store, writer) = Store::open(directory, options(256 << 20, None).0).expect("it opens");
    let feed = writer.start().expect("a thread");
    (store, feed)
}

/// Waits until so many windows were written, or were not.
pub(crate) fn settled(store: &Store, windows: u64) -> Status {
    wait(|| Some(store.status()).filter(|status| status.written + status.failed + status.dropped >= windows))
}

/// Waits for something that takes a moment.
pub(crate) fn wait<T>(mut until: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(there) = until() {
            return there;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The whole of a time, in seconds since 1970.
pub(crate) fn range(from: u64, to: u64) -> Range {
    Range { from_ms: from * 1000, to_ms: to * 1000 }
}

pub(crate) fn scan(tier: Tier, range: Range) -> Scan<'static> {
    let (filter, by): (_, &[Dimension]) = (Filter::default(), &[]);
    Scan { tier, range, step_ms: None, filter, by, sketches: true, limit: 100_000, deadline: deadline() }
}

/// All exchanges of a time.
pub(crate) fn count(store: &Store, tier: Tier, range: Range) -> u64 {
    store.exchanges(&scan(tier, range)).expect("an answer").iter().map(|group| group.sums.count).sum()
}

pub(crate) fn counted<'a>(windows: impl IntoIterator<Item = &'a Arc<Window>>) -> u64 {
    windows.into_iter().flat_map(|window| &window.rows).map(|row| row.totals.count).sum()
}
