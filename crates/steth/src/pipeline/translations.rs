//! Connections of which the kernel's connection tracking is being asked where they really lead. What is to be counted of them waits for that, as
//! it does for names.

use super::Pipeline;
use super::seen::Observer;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use steth_event::{TRANSLATION_ASKED, TRANSLATION_REFUSED, TRANSLATION_TO, Translation};
use steth_flow::Rewritten;

/// Connections of which it may be asked at a time. Nothing waits for those beyond.
const PLACES: usize = 4096;
/// An answer that has not come by then, in nanoseconds of the stream, never will: whatever waited for it has gone on long ago.
const GIVEN_UP: u64 = 1_000_000_000;

/// Who is being asked about.
pub(super) struct Translations {
    /// And when a tick saw it first.
    asked: HashMap<u64, Option<u64>, FixedState>,
    counts: Counts,
}

/// What the ledger says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections that were not asked about, because too many others were; they are counted where their clients went.
    pub(crate) refused: u64,
    /// Exchanges and books that went on before the answer.
    pub(crate) late: u64,
}

impl Default for Translations {
    fn default() -> Self {
        Self { asked: HashMap::with_hasher(FixedState::with_seed(0x7472_616e)), counts: Counts::default() }
    }
}

impl Translations {
    /// Whether an answer is to come.
    #[inline]
    pub(super) fn are_asked(&self, connection: u64) -> bool {
        !self.asked.is_empty() && self.asked.contains_key(&connection)
    }

    pub(super) fn is_late(&mut self) {
        self.counts.late += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Gives up what will not come.
    pub(super) fn tick(&mut self, time: u64) {
        if !self.asked.is_empty() {
            self.asked.retain(|_, since| time.saturating_sub(*since.get_or_insert(time)) < GIVEN_UP);
        }
    }

    fn ask(&mut self, connection: u64) {
        if self.asked.len() < PLACES {
            self.asked.insert(connection, None);
        } else {
            self.counts.refused += 1;
        }
    }
}

impl<O: Observer> Pipeline<O> {
    /// What connection tracking says, or that it is being asked.
    #[cold]
    pub(super) fn translation(&mut self, told: &Translation) {
        let Self { flow, parse, .. } = self;
        let id = told.connection;
        match told.state {
            TRANSLATION_ASKED => return parse.translations.ask(id),
            TRANSLATION_REFUSED => return parse.translations.counts.refused += 1,
            _ => drop(parse.translations.asked.remove(&id)),
        }
        let to = (told.state == TRANSLATION_TO).then(|| Rewritten::of(told));
        if let Some(to) = to {
            if let Some(connection) = flow.rewrite(id, to) {
                // Whoever is behind the address that it went to is not who answers.
                connection.state.peers[1] = None;
            }
            parse.late.iter_mut().filter(|late| late.is(id)).for_each(|late| late.rewrite(&to));
        }
        let now = flow.find(id).map(|connection| (connection.peer_tgid, connection.open));
        parse.naming.translated(id, to.as_ref(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Counted, Limits, Seen, Selected};
    use steth_event::{
        Books, CHUNK_TURN, Chunk, IntoBytes as _, Open, Peer, ROLE_CLIENT, ROLE_SERVER, Remote, TRANSLATION_NONE, Tick,
        kind,
    };

    const CLIENT: u32 = 10;

    /// Whose server is where, by exchange and by books.
    #[derive(Default)]
    struct Told {
        exchanges: Vec<String>,
        books: Vec<String>,
        /// Of each connection, how often its books were told with what was kept of it before.
        gone: u32,
    }

    impl Observer for Told {
        type Memo = u32;

        fn exchange(&mut self, seen: &Seen<'_>, _: &mut u32) {
            let server = crate::print::ends(seen).1;
            let name = seen.server_beyond().map_or("nobody", |beyond| beyond.name());
            let asked = seen.asked.map_or(0, |(_, port)| port);
            let (ip, port) = (server.ip.unwrap_or_default(), server.port.unwrap_or(0));
            self.exchanges.push(format!("{ip}:{port} {name} {} asked {asked}", seen.server_pid));
        }

        fn counted(&mut self, counted: &Counted<'_>, memo: &mut u32) {
            *memo += 1;
            let open = counted.open;
            let [a, b, c, d, ..] = open.remote_address;
            let name = counted.server_beyond.map_or("nobody", |beyond| beyond.name());
            let opened = if counted.delta.opened { "opened" } else { "" };
            let ended = if counted.delta.is_end() { "ended" } else { "" };
            let books =
                format!("{a}.{b}.{c}.{d}:{} {name} {} {memo} {opened}{ended}", open.remote_port, counted.server_pid);
            self.books.push(books);
        }

        fn gone(&mut self, _: &mut u32) {
            self.gone += 1;
        }
    }

    struct Bench(Pipeline<Told>);

    impl Bench {
        fn new() -> Self {
            let mut bench = Self(Pipeline::new(&Limits::default(), Selected::ALL, Told::default()));
            let who = Some(Remote::Host { name: "real".into() });
            bench.0.record(&Peer { address: [10, 1, 1, 1].into(), port: 0, netns: 0, who, since: Some(0) }.to_record());
            let who = Some(Remote::Host { name: "service".into() });
            bench
                .0
                .record(&Peer { address: [10, 96, 0, 1].into(), port: 0, netns: 0, who, since: Some(0) }.to_record());
            bench
        }

        /// What is told of a connection from 10.0.0.1:40000 to 10.96.0.1:80.
        fn told(&mut self, state: u8) {
            let mut told = Translation { kind: kind::TRANSLATION, state, connection: 1, ..Translation::default() };
            if state == TRANSLATION_TO {
                (told.family, told.port, told.client_port) = (2, 8080, 1024);
                told.address[..4].copy_from_slice(&[10, 1, 1, 1]);
                told.client_address[..4].copy_from_slice(&[192, 0, 2, 1]);
            }
            self.0.record(told.as_bytes());
        }

        fn open(&mut self) {
            self.0.record(open().as_bytes());
        }

        fn exchange(&mut self) {
            let messages = [&b"GET / HTTP/1.1\r\n\r\n"[..], b"HTTP/1.1 204 No Content\r\n\r\n"];
            for (direction, bytes, opposite) in [(0, messages[0], 0), (1, messages[1], messages[0].len())] {
                let chunk = Chunk {
                    kind: kind::CHUNK,
                    direction,
                    protocol: 1,
                    flags: CHUNK_TURN,
                    tgid: CLIENT,
                    connection: 1,
                    time: 2_000_000,
                    opposite: opposite as u64,
                    length: bytes.len() as u32,
                    captured: bytes.len() as u16,
                    role: ROLE_CLIENT,
                    ..Chunk::default()
                };
                self.0.record(&[chunk.as_bytes(), bytes].concat());
            }
        }

        fn books(&mut self, kind: u8) {
            let books = Books { kind, connection: 1, time: 3_000_000, bytes_sent: 18, ..Books::default() };
            self.0.record(Books { sent: 18, received: 27, ..books }.as_bytes());
        }

        fn tick(&mut self, milliseconds: u64) {
            let tick = Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() };
            self.0.record(tick.as_bytes());
        }

        fn late(&self) -> u64 {
            self.0.account().translations_late
        }

        fn seen(&mut self) -> (Vec<String>, Vec<String>) {
            let told = self.0.observer();
            (std::mem::take(&mut told.exchanges), std::mem::take(&mut told.books))
        }
    }

    fn open() -> Open {
        let mut open = Open {
            kind: kind::OPEN,
            family: 2,
            transport: 6,
            role: ROLE_CLIENT,
            tgid: CLIENT,
            netns: 1,
            connection: 1,
            time: 1_000_000,
            established: 1_000_000,
            connect_started: 900_000,
            began_sent: 70,
            began_received: 90,
            local_port: 40_000,
            remote_port: 80,
            ..Open::default()
        };
        open.local_address[..4].copy_from_slice(&[10, 0, 0, 1]);
        open.remote_address[..4].copy_from_slice(&[10, 96, 0, 1]);
        open
    }

    /// The server's own end, which may be on this host.
    fn server() -> Open {
        let mut server = Open {
            role: ROLE_SERVER,
            connection: 2,
            tgid: 20,
            local_port: 8080,
            remote_port: 1024,
            connect_started: 0,
            ..open()
        };
        server.local_address[..4].copy_from_slice(&[10, 1, 1, 1]);
        server.remote_address[..4].copy_from_slice(&[192, 0, 2, 1]);
        server
    }

    fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
        lines.map(str::to_owned).into()
    }

    #[test]
    fn exchange_and_books_wait_for_the_answer_and_lead_to_the_real_server() {
        let mut bench = Bench::new();
        bench.told(TRANSLATION_ASKED);
        bench.open();
        bench.exchange();
        bench.books(kind::PROGRESS);
        bench.tick(10);
        assert_eq!(bench.seen(), (vec![], vec![]));
        bench.told(TRANSLATION_TO);
        bench.tick(20);
        let (exchanges, books) = bench.seen();
        assert_eq!(exchanges, lines(["10.1.1.1:8080 real 0 asked 80"]));
        assert_eq!(books, lines(["10.1.1.1:8080 real 0 1 opened"]));
        // It goes on, with what was kept of it.
        bench.books(kind::CLOSE);
        bench.tick(200);
        let (_, books) = bench.seen();
        assert_eq!(books, lines(["10.1.1.1:8080 real 0 2 ended"]));
        assert_eq!(bench.late(), 0);
    }

    #[test]
    fn a_connection_that_is_over_before_the_answer_leads_there_too() {
        let mut bench = Bench::new();
        bench.told(TRANSLATION_ASKED);
        bench.open();
        bench.exchange();
        bench.books(kind::CLOSE);
        bench.tick(10);
        bench.told(TRANSLATION_TO);
        bench.tick(20);
        bench.tick(120);
        let (exchanges, books) = bench.seen();
        assert_eq!(exchanges, lines(["10.1.1.1:8080 real 0 asked 80"]));
        assert_eq!(books, lines(["10.1.1.1:8080 real 0 1 openedended"]));
    }

    #[test]
    fn without_an_answer_everything_goes_on_in_time_and_that_is_counted() {
        for (answer, late) in [(Some(TRANSLATION_NONE), 0), (None, 2)] {
            let mut bench = Bench::new();
            bench.told(TRANSLATION_ASKED);
            bench.open();
            bench.exchange();
            bench.books(kind::PROGRESS);
            bench.tick(10);
            if let Some(answer) = answer {
                bench.told(answer);
            }
            bench.tick(35);
            bench.tick(120);
            let (exchanges, books) = bench.seen();
            assert_eq!(exchanges, lines(["10.96.0.1:80 service 0 asked 0"]), "{answer:?}");
            assert_eq!(books, lines(["10.96.0.1:80 service 0 1 opened"]), "{answer:?}");
            assert_eq!(bench.late(), late);
            bench.tick(2000);
            assert!(bench.0.parse.translations.asked.is_empty());
        }
    }

    #[test]
    fn later_books_and_exchanges_lead_there_and_a_second_announcement_changes_nothing() {
        let mut bench = Bench::new();
        bench.told(TRANSLATION_ASKED);
        bench.open();
        bench.told(TRANSLATION_TO);
        bench.open();
        bench.exchange();
        bench.books(kind::PROGRESS);
        let (exchanges, books) = bench.seen();
        assert_eq!(exchanges, lines(["10.1.1.1:8080 real 0 asked 80"]));
        assert_eq!(books, lines(["10.1.1.1:8080 real 0 1 opened"]));
    }

    /// Of connections that were there before the agent no sequence numbers are known; what tracking says of both ends joins them.
    #[test]
    fn both_ends_of_an_older_connection_on_this_host_find_each_other() {
        for client_first in [true, false] {
            let older =
                |open: Open| Open { established: 0, connect_started: 0, began_sent: 0, began_received: 0, ..open };
            let mut bench = Bench::new();
            if !client_first {
                bench.0.record(older(server()).as_bytes());
            }
            bench.told(TRANSLATION_ASKED);
            bench.0.record(older(open()).as_bytes());
            bench.told(TRANSLATION_TO);
            if client_first {
                bench.0.record(older(server()).as_bytes());
            }
            bench.exchange();
            let (exchanges, _) = bench.seen();
            assert_eq!(exchanges, lines(["10.1.1.1:8080 real 20 asked 80"]), "{client_first}");
        }
    }

    /// Beyond this host's tracking may be another one: what both ends say themselves counts more.
    #[test]
    fn an_end_that_is_known_already_stays() {
        let mut bench = Bench::new();
        bench.told(TRANSLATION_ASKED);
        bench.open();
        let mut elsewhere = Open { began_sent: 90, began_received: 70, local_port: 9090, ..server() };
        elsewhere.local_address[..4].copy_from_slice(&[10, 2, 2, 2]);
        bench.0.record(elsewhere.as_bytes());
        bench.exchange();
        bench.told(TRANSLATION_TO);
        bench.tick(10);
        assert_eq!(bench.seen().0, lines(["10.2.2.2:9090 nobody 20 asked 80"]));
    }

    #[test]
    fn what_was_not_asked_is_counted_and_there_is_an_end_to_what_waits() {
        let mut bench = Bench::new();
        bench.told(TRANSLATION_REFUSED);
        for connection in 0..PLACES as u64 + 3 {
            let state = TRANSLATION_ASKED;
            let asked = Translation { kind: kind::TRANSLATION, state, connection, ..Translation::default() };
            bench.0.record(asked.as_bytes());
        }
        assert_eq!(bench.0.account().translations_refused, 4);
        // Whatever a recording says of a connection that nobody has heard of.
        bench.told(TRANSLATION_TO);
        bench.told(77);
        bench.tick(1);
        bench.tick(1500);
        assert!(bench.0.parse.translations.asked.is_empty());
    }
}
