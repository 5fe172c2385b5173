//! Far ends that are counted under their address, because nobody is known behind it yet: who is learnt of before their window is over gets
//! what was counted.

use super::{Counter, network};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use steth_identity::{Beyond, Remotes};
use steth_window::{Entities, EntityId};

/// Addresses that wait for a name. More are counted for good under what they are.
const PLACES: usize = 2048;
/// An entity that has become somebody is there for two windows more: an address that has lost its name again by then is another one.
const TOKENS: u64 = 8;

/// Addresses without a name in the windows that are open.
pub(super) struct Unnamed {
    by_address: HashMap<IpAddr, Vec<Bare>, FixedState>,
    held: usize,
    counts: Counts,
}

/// What became of addresses without a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Got the name that was learnt later.
    pub(crate) joined: u64,
    /// Did not: they were counted before whoever was learnt of had the address.
    pub(crate) before: u64,
    /// Did not wait for a name, for want of room.
    pub(crate) no_room: u64,
}

struct Bare {
    /// Of a server; 0 of a client.
    port: u16,
    id: EntityId,
    token: u64,
    /// The earliest that was counted, nanoseconds since 1970: since the last window ended, and in the one before.
    earliest: [u64; 2],
}

const NEVER: u64 = u64::MAX;

impl Unnamed {
    pub(super) fn new() -> Self {
        let by_address = HashMap::with_hasher(FixedState::with_seed(0x756e_6e61));
        Self { by_address, held: 0, counts: Counts::default() }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// A window is over. Who was not seen in it is not waited for any more.
    pub(super) fn turn(&mut self) {
        let held = &mut self.held;
        self.by_address.retain(|_, all| {
            let before = all.len();
            all.retain_mut(|bare| {
                bare.earliest = [NEVER, bare.earliest[0]];
                bare.earliest[1] != NEVER
            });
            *held -= before - all.len();
            !all.is_empty()
        });
    }
}

impl Counter {
    /// The entity of a far end that nobody is known behind, which was talked to at `at`. `port` of a client is 0.
    pub(super) fn unnamed(&mut self, ip: IpAddr, port: u16, at: u64) -> EntityId {
        let Self { unnamed, entities, text, latest, .. } = self;
        let all = unnamed.by_address.get_mut(&ip);
        if let Some(bare) = all.and_then(|all| all.iter_mut().find(|bare| bare.port == port)) {
            bare.earliest[0] = bare.earliest[0].min(at);
            // It may have been forgotten; then this makes the same one again.
            return entities.provisional_address(text, || network(ip, port), bare.token, *latest);
        }
        if Remotes::may_know(ip) {
            // What is unknown has two entries, at the end of its window: no half of the table is for these.
            if unnamed.held < PLACES && entities.len() < Entities::MAX / 2 {
                for token in 0..TOKENS {
                    let id = entities.provisional_address(text, || network(ip, port), token, *latest);
                    if entities.settled(id).is_none() {
                        let bare = Bare { port, id, token, earliest: [at, NEVER] };
                        unnamed.by_address.entry(ip).or_default().push(bare);
                        unnamed.held += 1;
                        return id;
                    }
                }
            }
            unnamed.counts.no_room += 1;
        }
        entities.intern_address(text, || network(ip, port), *latest)
    }

    /// The entity of whoever is known behind an address. A client's port is its own invention; a server's names the service.
    pub(super) fn named(&mut self, beyond: &Beyond, port: u16) -> EntityId {
        if beyond.is_service() {
            let namespace = beyond.namespace().unwrap_or_default();
            return self.entities.intern_in(namespace, beyond.name(), self.latest);
        }
        self.text.clear();
        self.text.push_str(beyond.name());
        if port != 0 {
            let _ = write!(self.text, ":{port}");
        }
        self.entities.intern_as(steth_window::Kind::External, &self.text, self.latest)
    }

    /// Somebody is known behind an address from now on, and has had it since then, if that is known. What was counted before that was
    /// somebody else's.
    pub(super) fn join(&mut self, address: IpAddr, port: u16, who: &dyn Fn() -> Beyond, since: Option<u64>) {
        let Some(mut all) = self.unnamed.by_address.remove(&address) else { return };
        // Most that is learnt nobody has waited for, so that it is not even put into words before.
        let (held, who) = (all.len(), who());
        all.retain(|bare| {
            if port != 0 && bare.port != port {
                return true;
            }
            if since.is_none_or(|since| bare.earliest.into_iter().any(|earliest| earliest < since)) {
                self.unnamed.counts.before += 1;
                return true;
            }
            let is = self.named(&who, bare.port);
            self.entities.settle(bare.id, is);
            if let Some(requests) = &mut self.requests {
                requests.settle(bare.id, is, &self.entities);
            }
            self.unnamed.counts.joined += 1;
            false
        });
        self.unnamed.held -= held - all.len();
        if !all.is_empty() {
            self.unnamed.by_address.insert(address, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{self, Pipeline, Selected};
    use crate::requests::Requests;
    use crate::slow::Thresholds;
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use steth_event::{
        Books, CHUNK_TURN, Chunk, IntoBytes as _, Open, Peer, Pod, Process, RECEIVE, ROLE_CLIENT, ROLE_SERVER, Remote,
        SEND, Workload, kind,
    };
    use steth_window::{Limits, Window};
    use steth_wire::Protocol;

    const SECOND: u64 = 1_000_000_000;
    const THERE: [u8; 4] = [10, 244, 1, 5];
    const BARE: &str = "10.244.1.5:8080";

    /// A client here, process 7, and what it talks to. Times are tenths of seconds.
    struct Bench {
        pipeline: Pipeline<Counter>,
        connections: u64,
    }

    impl Bench {
        fn new() -> Self {
            let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
            let counter = counter.with_requests(1);
            let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter);
            pipeline.record(&Process { pid: 7, name: "shop".into(), ..Process::default() }.to_record());
            Self { pipeline, connections: 0 }
        }

        fn open(&mut self, role: u8, transport: u8, to: ([u8; 4], u16), at: u64) -> Open {
            self.connections += 1;
            let time = at * SECOND / 10;
            let (connection, established) = (self.connections, time);
            let open = Open { kind: kind::OPEN, family: 2, transport, role, tgid: 7, netns: 1, ..Open::default() };
            let mut open = Open { connection, time, established, local_port: 40_000, remote_port: to.1, ..open };
            open.local_address[..4].copy_from_slice(&[10, 244, 0, 1]);
            open.remote_address[..4].copy_from_slice(&to.0);
            self.pipeline.record(open.as_bytes());
            open
        }

        fn exchange(&mut self, open: &Open, protocol: u8, [request, response]: [&[u8]; 2], at: u64) {
            let asks = if open.role == ROLE_CLIENT { SEND } else { RECEIVE };
            for (direction, bytes, opposite) in [(asks, request, 0), (1 - asks, response, request.len())] {
                let chunk = Chunk {
                    kind: kind::CHUNK,
                    direction,
                    protocol,
                    flags: CHUNK_TURN,
                    tgid: 7,
                    connection: open.connection,
                    time: at * SECOND / 10,
                    opposite: opposite as u64,
                    length: bytes.len() as u32,
                    captured: bytes.len() as u16,
                    role: open.role,
                    ..Chunk::default()
                };
                self.pipeline.record(&[chunk.as_bytes(), bytes].concat());
            }
        }

        /// On a connection of its own, whose books are told too.
        fn asks(&mut self, address: [u8; 4], at: u64) {
            let open = self.open(ROLE_CLIENT, 6, (address, 8080), at);
            self.http(&open, at);
        }

        fn http(&mut self, open: &Open, at: u64) {
            let messages = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"HTTP/1.1 204 No Content\r\n\r\n"];
            self.exchange(open, Protocol::Http1 as u8, messages, at);
            let books = Books { kind: kind::PROGRESS, connection: open.connection, bytes_sent: 10, ..Books::default() };
            self.pipeline.record(Books { time: at * SECOND / 10, segments_in: 1, ..books }.as_bytes());
        }

        /// A name server answers that this is the name of an address.
        fn answered(&mut self, name: &str, address: [u8; 4], at: u64) {
            let open = self.open(ROLE_CLIENT, 17, ([10, 0, 0, 53], 53), at);
            let question = [&[name.len() as u8][..], name.as_bytes(), &[0, 0, 1, 0, 1]].concat();
            let head = |flags: [u8; 2], answers| [&[0, 1][..], &flags, &[0, 1, 0, answers, 0, 0, 0, 0]].concat();
            let answer = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat();
            let query = [&head([1, 0], 0)[..], &question].concat();
            let response = [&head([0x81, 0x80], 1)[..], &question, &answer].concat();
            self.exchange(&open, Protocol::Dns as u8, [&query, &response], at);
        }

        fn told(&mut self, who: Option<&str>, since: Option<u64>) {
            let who = who.map(|name| Remote::Pod {
                pod: Pod { name: format!("{name}-1"), namespace: "shop".into(), ..Pod::default() },
                workload: Workload { kind: "Deployment".into(), name: name.into() },
                declared: None,
            });
            let since = since.map(|since| since * SECOND / 10);
            self.pipeline.record(&Peer { address: THERE.into(), port: 8080, netns: 0, who, since }.to_record());
        }

        fn roll(&mut self, seconds: u64) -> Arc<Window> {
            let (counter, tables) = self.pipeline.observer_and_tables();
            counter.roll(seconds * SECOND, tables).expect("a window")
        }

        /// Nothing happens until then.
        fn pass(&mut self, until: u64) {
            let (counter, tables) = self.pipeline.observer_and_tables();
            (12..=until).for_each(|second| while counter.roll(second * SECOND, tables).is_some() {});
        }

        fn counts(&mut self) -> (u64, u64) {
            let counts = self.pipeline.observer().unnamed_counts();
            (counts.joined, counts.before)
        }
    }

    /// HTTP exchanges by server; the books have as much of the same ones.
    fn servers(window: &Window) -> Vec<(String, u64)> {
        let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for row in window.rows.iter().filter(|row| row.labels.key.protocol == steth_window::Protocol::Http) {
            assert!(!window.complete || !row.labels.provisional);
            assert!(row.labels.provisional || row.labels.key.server == EntityId::of(&row.labels.server));
            all.entry(row.labels.server.to_string()).or_default().0 += row.totals.count;
        }
        for row in window.edges.iter().filter(|row| row.server_port == 8080) {
            all.entry(row.server.to_string()).or_default().1 += row.totals.sums.bytes_to_server / 10;
        }
        let same = |(name, (exchanges, requests))| {
            assert_eq!(exchanges, requests, "{name} in books");
            (name, exchanges)
        };
        all.into_iter().map(same).collect()
    }

    fn are(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn who_is_learnt_before_the_window_is_over_gets_what_was_counted_under_the_address() {
        let mut bench = Bench::new();
        bench.asks(THERE, 10);
        let (counter, tables) = bench.pipeline.observer_and_tables();
        let so_far = counter.snapshot(2 * SECOND, tables);
        assert_eq!(servers(&so_far), are(&[(BARE, 1)]));
        assert!(so_far.rows.iter().all(|row| row.labels.provisional) && so_far.edges.iter().all(|row| row.provisional));
        let kept = |bench: &mut Bench, server: &str| {
            let kept = bench.pipeline.observer().requests(SECOND).and_then(Requests::snapshot).expect("some are new");
            kept.iter().filter(|kept| kept.sample.is_of(server)).count()
        };
        assert_eq!(kept(&mut bench, BARE), 1);
        bench.told(Some("web"), Some(5));
        bench.asks(THERE, 30);
        let window = bench.roll(11);
        assert_eq!((servers(&window), bench.counts()), (are(&[("shop/web", 2)]), (1, 0)));
        assert_eq!(kept(&mut bench, "web"), 2, "requests that are kept follow");
    }

    #[test]
    fn what_was_counted_before_somebody_had_the_address_was_another_s() {
        for since in [Some(15), None] {
            let mut bench = Bench::new();
            bench.asks(THERE, 10);
            bench.told(Some("web"), since);
            bench.asks(THERE, 30);
            assert_eq!((servers(&bench.roll(11)), bench.counts()), (are(&[(BARE, 1), ("shop/web", 1)]), (0, 1)));
        }
    }

    #[test]
    fn an_address_that_changes_hands_renames_nothing_that_came_before() {
        // In between nobody has it: that the second pod had it then already, or had not.
        for (since, expected) in [
            (50, are(&[(BARE, 1), ("shop/cart", 1), ("shop/web", 2)])),
            (35, are(&[("shop/cart", 2), ("shop/web", 2)])),
        ] {
            let mut bench = Bench::new();
            bench.asks(THERE, 10);
            bench.told(Some("web"), Some(0));
            bench.asks(THERE, 20);
            bench.told(None, None);
            bench.asks(THERE, 40);
            bench.told(Some("cart"), Some(since));
            bench.asks(THERE, 70);
            assert_eq!(servers(&bench.roll(11)), expected, "since {since}");
        }
    }

    #[test]
    fn a_name_of_dns_is_joined_unless_the_address_had_another_one() {
        let mut bench = Bench::new();
        bench.asks([203, 0, 113, 9], 10);
        bench.answered("db", [203, 0, 113, 9], 20);
        bench.asks([203, 0, 113, 9], 30);
        assert_eq!(servers(&bench.roll(11)), are(&[("db:8080", 2)]));
        // That answer has been over for long, and the next one says something else; and then the same.
        let another = are(&[("203.0.113.9:8080", 1), ("cache:8080", 1)]);
        for (begin, expected) in [(100, another), (200, are(&[("cache:8080", 2)]))] {
            bench.pass(begin + 1);
            bench.asks([203, 0, 113, 9], begin * 10 + 10);
            bench.answered("cache", [203, 0, 113, 9], begin * 10 + 20);
            bench.asks([203, 0, 113, 9], begin * 10 + 30);
            assert_eq!(servers(&bench.roll(begin + 11)), expected);
        }
    }

    #[test]
    fn a_window_that_is_over_keeps_the_address_and_the_next_one_may_still_get_the_name() {
        let mut bench = Bench::new();
        let open = bench.open(ROLE_CLIENT, 6, (THERE, 8080), 10);
        bench.http(&open, 10);
        assert_eq!(servers(&bench.roll(11)), are(&[(BARE, 1)]));
        // Who had it in the window before is not known, and another connection says nothing of this one's end.
        bench.asks(THERE, 120);
        bench.told(Some("web"), Some(5));
        assert_eq!((servers(&bench.roll(21)), bench.counts()), (are(&[("shop/web", 1)]), (1, 0)));
    }

    #[test]
    fn clients_of_a_server_here_are_joined_by_their_address_alone() {
        let mut bench = Bench::new();
        let open = bench.open(ROLE_SERVER, 6, (THERE, 50_000), 10);
        bench.http(&open, 10);
        let who = Some(Remote::Node { name: "n1".into() });
        bench.pipeline.record(&Peer { address: THERE.into(), port: 0, netns: 0, who, since: Some(0) }.to_record());
        let window = bench.roll(11);
        let clients: Vec<_> = window.rows.iter().map(|row| &*row.labels.client).collect();
        assert_eq!((clients, &*window.edges[0].client), (vec!["n1"], "n1"));
    }

    #[test]
    fn more_addresses_than_there_is_room_for_are_counted_for_good() {
        let mut bench = Bench::new();
        let address = |n: usize| [10, 9, (n >> 8) as u8, n as u8];
        for n in 0..PLACES + 3 {
            bench.asks(address(n), 10);
        }
        // Nobody can ever be known behind this one.
        bench.asks([127, 0, 0, 1], 10);
        // Twice, once for the exchange and once for the books.
        assert_eq!(bench.pipeline.observer().unnamed_counts().no_room, 6);
        let window = bench.roll(11);
        assert_eq!(window.rows.iter().map(|row| row.totals.count).sum::<u64>(), PLACES as u64 + 4);
        bench.pass(40);
        assert_eq!(
            (bench.pipeline.observer().unnamed.held, bench.pipeline.observer().unnamed.by_address.len()),
            (0, 0)
        );
    }
}
