//! The one place where the stages meet: records in, exchanges out.
//!
//! ```text
//! record --> flow --> wire --> identity --> Observer (print, window, count)
//!                       `-- answers of DNS --^
//! ```
//!
//! It is the same for the live ring, a recording and a pcap, and it is deterministic: everything it knows, times and
//! processes included, came as a record.

mod counted;
mod datagrams;
mod destinations;
mod far;
mod parse;
mod seen;
mod talk;
mod translations;

use crate::account::Account;
use crate::deadlines::Deadlines;
use crate::naming::Naming;
pub(crate) use counted::Counted;
use datagrams::SentTo;
use parse::Parse;
pub(crate) use seen::{Observer, Seen, Tables, address};
use std::sync::Arc;
use steth_event::{CGROUP_GONE, Chunk, Counters, Destination, Event, PROTOCOLS, RecordError, counter};
use steth_flow::Flow;
use steth_identity::{Remotes, ServiceRules};
use steth_ledger::Exchanges;
use steth_probe::Demotion;
use steth_wire::http1::Routing;
use steth_wire::{Domains, Names, Protocol, Room, ShareOf, Statements};
use talk::Talk;
use translations::Translations;

/// Limits of the pipeline; each has a counter in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections whose state is kept.
    pub(crate) connections: usize,
    /// Processes that are remembered.
    pub(crate) processes: usize,
    /// Addresses whose names are remembered.
    pub(crate) hosts: usize,
    /// What services are called, before all else.
    pub(crate) services: ServiceRules,
    /// How HTTP's targets become routes, and how many of them a service may have.
    pub(crate) routing: Arc<Routing>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            processes: 16_384,
            hosts: 16_384,
            services: ServiceRules::default(),
            routing: Arc::default(),
        }
    }
}

/// All stages, joined.
pub(crate) struct Pipeline<O: Observer> {
    flow: Flow<Talk<O::Memo>>,
    parse: Parse<O>,
    kernel: Counters,
    /// Images and processes that were not observed because it was not known yet where they are.
    undecided: u64,
    malformed: u64,
    last: u64,
}

impl<O: Observer> Pipeline<O> {
    pub(crate) fn new(limits: &Limits, protocols: Selected, observer: O) -> Self {
        Self {
            flow: Flow::new(limits.connections),
            parse: Parse {
                names: Names::default(),
                statements: Statements::default(),
                domains: Domains::default(),
                out: Vec::with_capacity(64),
                counts: [Exchanges::default(); PROTOCOLS],
                naming: Naming::new(limits.processes, limits.services.clone()),
                remotes: Remotes::new(limits.hosts),
                deadlines: Deadlines::default(),
                demotions: Vec::new(),
                unparsed: 0,
                clock: 0,
                protocols,
                routing: limits.routing.clone(),
                room: Room::default(),
                late: Vec::new(),
                late_no_room: 0,
                sent_to: SentTo::default(),
                translations: Translations::default(),
                observer,
            },
            kernel: Counters::default(),
            undecided: 0,
            malformed: 0,
            last: 0,
        }
    }

    /// One record. A malformed one is counted, and changes nothing else.
    #[inline]
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        if let Some((chunk, data)) = Chunk::in_place(bytes) {
            self.destination(chunk, bytes);
            return self.chunk(chunk, data);
        }
        self.other(bytes);
    }

    #[inline]
    fn chunk(&mut self, chunk: &Chunk, data: &[u8]) {
        self.last = self.last.max(chunk.time);
        self.flow.chunk(chunk, data, &mut self.parse);
    }

    /// Where the datagram in this record went, if it says so: known before what the datagram completes is handed on.
    #[inline]
    fn destination(&mut self, chunk: &Chunk, record: &[u8]) {
        if let Some(destination) = Destination::of(chunk, record)
            && let Some(connection) = self.flow.find(chunk.connection)
        {
            connection.state.destinations.get_or_insert_default().sent(chunk.offset, destination);
        }
    }

    fn other(&mut self, bytes: &[u8]) {
        match Event::parse(bytes) {
            Ok(event) => {
                if let Event::Chunk(chunk, _) = &event {
                    self.destination(chunk, bytes);
                }
                self.event(event);
            }
            Err(error) => self.malformed(&error),
        }
    }

    #[cold]
    fn malformed(&mut self, _: &RecordError) {
        self.malformed += 1;
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Chunk(chunk, data) => self.chunk(&chunk, data),
            Event::Open(open) => {
                self.parse.naming.announced(&open);
                self.flow.open(&open, &mut self.parse);
            }
            Event::Shutdown(shutdown) => self.flow.shutdown(&shutdown, &mut self.parse),
            Event::Close(books) => self.flow.close(&books, &mut self.parse),
            Event::Progress(books) => self.flow.progress(&books, &mut self.parse),
            Event::Tick(tick) => {
                self.last = self.last.max(tick.time);
                self.flow.tick(tick.time, tick.swept != 0, &mut self.parse);
                if tick.swept != 0 {
                    self.parse.naming.listeners.swept();
                    self.parse.settle_datagrams();
                    self.parse.sent_to.swept();
                    self.parse.naming.swept();
                }
                self.time_out(tick.time);
                let ready = self.parse.naming.tick(tick.time);
                self.parse.release(ready);
                self.parse.settle_late(&mut self.flow, tick.time, false);
                self.parse.translations.tick(tick.time);
            }
            Event::Clock(clock) => self.parse.clock = clock.offset,
            Event::Process(process) => {
                let earlier = self.parse.naming.before(&process);
                self.parse.release(earlier);
                self.parse.naming.insert(*process);
            }
            Event::Container(container) => self.parse.naming.insert_container(*container),
            Event::Peer(peer) => self.parse.told(*peer, self.last),
            Event::Counters(counters) => self.kernel = *counters,
            // What the resolver made of these came as a process record.
            Event::Exec(exec, ..) => self.undecided += u64::from(exec.undecided),
            Event::Fork(_) => {}
            Event::Exit(exit) => self.parse.naming.end(exit.tgid),
            Event::Cgroup(change) if change.change == CGROUP_GONE => self.parse.naming.end_container(&change.id),
            Event::Cgroup(change) => self.undecided += u64::from(change.undecided),
            Event::Sent(sent) => self.parse.sent_to.told(&sent),
            Event::Translation(translation) => self.translation(&translation),
            Event::Listen(listen) => self.parse.naming.listeners.told(&listen),
        }
    }

    /// Tells the time to sessions that wait for it.
    fn time_out(&mut self, now: u64) {
        let open = self.flow.len();
        self.parse.deadlines.forget(open, |id| self.flow.find(id).is_some());
        for _ in 0..VISITS {
            let Some((deadline, id)) = self.parse.deadlines.next(now) else { break };
            let Some(connection) = self.flow.find(id).filter(|c| c.state.deadline == Some(deadline)) else { continue };
            connection.state.deadline = None;
            self.parse.with_session(connection, |session, cx| session.tick(now, cx));
        }
    }

    /// Other protocols are wanted. What was under way of one that is not wanted any more is over; what comes of one that is wanted
    /// from now on may begin in the middle.
    pub(crate) fn select(&mut self, protocols: Selected) {
        self.parse.protocols = protocols;
        let Self { flow, parse, .. } = self;
        flow.each(|connection| parse.reselect(connection));
    }

    /// Ends every connection: what is outstanding becomes a record or a counted loss.
    pub(crate) fn finish(&mut self) {
        self.parse.settle_datagrams();
        self.parse.settle_late(&mut self.flow, self.last, true);
        self.flow.finish(self.last, &mut self.parse);
        let rest = self.parse.naming.finish();
        self.parse.release(rest);
    }

    pub(crate) fn observer(&mut self) -> &mut O {
        &mut self.parse.observer
    }

    /// Observer and tables, for an observer that looks things up while it is being changed.
    pub(crate) fn observer_and_tables(&mut self) -> (&mut O, Tables<'_>) {
        let Parse { observer, names, naming, .. } = &mut self.parse;
        (observer, Tables { names, naming })
    }

    /// What to add to a record's time to get nanoseconds since 1970.
    pub(crate) fn clock(&self) -> u64 {
        self.parse.clock
    }

    /// Connections that the kernel side need not follow any more, since the last call.
    pub(crate) fn take_demotions(&mut self) -> std::vec::Drain<'_, (u64, Demotion)> {
        self.parse.demotions.drain(..)
    }

    /// The books.
    pub(crate) fn account(&self) -> Account {
        Account {
            kernel: self.kernel.values,
            hook_runs_missed: self.kernel.missed + self.kernel.values[counter::ENDS_MISSED],
            flow: self.flow.counts(),
            open_connections: self.flow.len(),
            exchanges: self.parse.counts,
            unparsed_bytes: self.parse.unparsed,
            malformed_records: self.malformed,
            undecided: self.undecided,
            domains_folded: self.parse.domains.folded(),
            hosts: self.parse.remotes.len(),
            hosts_evicted: self.parse.remotes.evicted() + self.parse.domains.unlearnt(),
            names_folded: self.parse.names.folded()
                + self.parse.names.folded_within(ShareOf::Clients)
                + self.parse.names.folded_within(ShareOf::Schemas)
                + self.parse.names.folded_within(ShareOf::Commands),
            routes_folded: self.parse.names.folded_within(ShareOf::Routes),
            digests_folded: self.parse.statements.folded(),
            processes_evicted: self.parse.naming.evicted(),
            look_ups_refused: self.parse.naming.refused(),
            named_late: self.parse.naming.late(),
            last_books_no_room: self.parse.late_no_room,
            listeners_no_room: self.parse.naming.listeners.no_room(),
            sockets_no_room: self.parse.naming.sockets_no_room(),
            destinations_unclaimed: self.parse.sent_to.unclaimed(),
            translations_refused: self.parse.translations.counts().refused,
            translations_late: self.parse.translations.counts().late + self.parse.naming.untranslated(),
        }
    }
}

/// Which protocols are wanted: one bit per protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selected(pub(crate) u32);

impl Selected {
    #[cfg(test)]
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) fn only(protocol: Protocol) -> Self {
        Self(1 << protocol as u8)
    }

    fn has(self, protocol: Protocol) -> bool {
        self.0 >> (protocol as u8) & 1 == 1
    }
}

/// Connections that one tick tells the time at most; the next one goes on.
const VISITS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{CHUNK_TURN, IntoBytes as _, Open, RECEIVE, ROLE_NETWORK, SEND, kind};

    #[derive(Default)]
    struct Keep(Vec<(String, Option<u16>)>);

    impl Observer for Keep {
        type Memo = ();

        fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
            let server = crate::print::ends(seen).1.port;
            self.0.push((seen.names.get(seen.exchange.operation).to_owned(), server));
        }
    }

    /// A capture that begins in the middle of a conversation between two unknown ports: the reader of the file took whoever
    /// it saw first for the client, and that was the server.
    #[test]
    fn a_capture_that_begins_with_a_response_still_tells_client_from_server() {
        let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Keep::default());
        let open = Open {
            kind: kind::OPEN,
            family: 2,
            transport: 6,
            role: ROLE_NETWORK,
            connection: 1,
            local_port: 9001,
            remote_port: 40_000,
            ..Open::default()
        };
        pipeline.record(open.as_bytes());
        let response: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let request: &[u8] = b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut at = [0u64; 2];
        for (n, (direction, bytes)) in [(SEND, response), (RECEIVE, request), (SEND, response)].into_iter().enumerate()
        {
            let chunk = Chunk {
                kind: kind::CHUNK,
                direction,
                flags: CHUNK_TURN,
                connection: 1,
                time: n as u64 + 1,
                offset: at[usize::from(direction)],
                opposite: at[usize::from(1 - direction)],
                length: bytes.len() as u32,
                captured: bytes.len() as u16,
                role: ROLE_NETWORK,
                ..Chunk::default()
            };
            at[usize::from(direction)] += bytes.len() as u64;
            pipeline.record(&[chunk.as_bytes(), bytes].concat());
        }
        pipeline.finish();
        assert_eq!(pipeline.observer().0, [("GET /late".to_owned(), Some(9001))]);
        let account = pipeline.account();
        assert_eq!(
            account.of(Protocol::Http1).lost_by(steth_ledger::Lost::Orphan),
            1,
            "the response without its request"
        );
    }

    /// memcached's text protocol begins like inline commands of Redis, so the kernel side says so each time it is asked.
    #[test]
    fn what_is_taken_for_another_protocol_is_given_up_after_three_times() {
        use steth_event::ROLE_SERVER;
        let taken_for = "redis".parse::<Protocol>().expect("a protocol");
        let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Keep::default());
        let (mut at, mut time, mut demotions) = ([0u64; 2], 0, Vec::new());
        let open =
            Open { kind: kind::OPEN, family: 2, transport: 6, role: ROLE_SERVER, connection: 1, ..Open::default() };
        pipeline.record(open.as_bytes());
        for _ in 0..40 {
            for (direction, bytes) in [(RECEIVE, &b"get k\r\n"[..]), (SEND, b"VALUE k 0 5\r\nhello\r\nEND\r\n")] {
                time += 1;
                let chunk = Chunk {
                    kind: kind::CHUNK,
                    direction,
                    protocol: taken_for as u8,
                    flags: CHUNK_TURN,
                    connection: 1,
                    time,
                    offset: at[usize::from(direction)],
                    opposite: at[usize::from(1 - direction)],
                    length: bytes.len() as u32,
                    captured: bytes.len() as u16,
                    role: ROLE_SERVER,
                    ..Chunk::default()
                };
                at[usize::from(direction)] += bytes.len() as u64;
                pipeline.record(&[chunk.as_bytes(), bytes].concat());
                demotions.extend(pipeline.take_demotions());
            }
        }
        pipeline.finish();
        let [again, opaque] = [Demotion::InferAgain, Demotion::Opaque];
        assert_eq!(demotions, [(1, again), (1, again), (1, opaque)]);
        assert_eq!(pipeline.observer().0, []);
        let account = pipeline.account();
        // Every request was counted as what it was taken for, as long as it was; then bytes alone.
        let redis = account.of(taken_for);
        assert!(redis.reported == 0 && (3..=40).contains(&redis.lost()), "{redis:?}");
        assert!(account.unparsed_bytes > 0 && account.open_connections <= 1);
    }

    /// A resolver that no process here is: its address is a service's, which the cluster says. Another one's is known in another
    /// network namespace only.
    #[test]
    fn whom_a_socket_asks_that_is_not_connected_is_named_by_the_cluster() {
        use steth_event::{CHUNK_DESTINATION, Destination, Peer, ROLE_CLIENT, Remote};
        #[derive(Default)]
        struct Servers(Vec<Option<String>>);
        impl Observer for Servers {
            type Memo = ();
            fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
                self.0.push(seen.server_beyond().map(|beyond| beyond.name().to_owned()));
            }
        }
        let mut pipeline = Pipeline::new(&Limits::default(), Selected::ALL, Servers::default());
        let (namespace, name) = ("kube-system".to_owned(), "kube-dns".to_owned());
        let who = Some(Remote::Service { namespace, name, workload: None, declared: None, port: None });
        pipeline.record(&Peer { address: [10, 96, 0, 10].into(), port: 53, netns: 0, who, since: None }.to_record());
        let who = Some(Remote::Process { name: "another".to_owned() });
        pipeline.record(&Peer { address: [10, 0, 0, 9].into(), port: 53, netns: 3, who, since: None }.to_record());
        let open = Open {
            kind: kind::OPEN,
            netns: 4,
            family: 2,
            transport: 17,
            role: ROLE_CLIENT,
            connection: 1,
            tgid: 7,
            ..Open::default()
        };
        pipeline.record(Open { local_port: 40_000, ..open }.as_bytes());
        let message =
            |flags: [u8; 2]| [&[0, 1][..], &flags, &[0, 1, 0, 0, 0, 0, 0, 0], b"\x01a\x01b\0", &[0, 1, 0, 1]].concat();
        let mut at = [0u64; 2];
        let mut address = [0; 16];
        for (n, to) in [[10, 96, 0, 10], [10, 0, 0, 9]].into_iter().enumerate() {
            address[..4].copy_from_slice(&to);
            let destination = Destination { family: 2, port: 53, address };
            for (direction, flags, bytes) in
                [(SEND, CHUNK_DESTINATION, message([1, 0])), (RECEIVE, 0, message([0x81, 0x80]))]
            {
                let chunk = Chunk {
                    kind: kind::CHUNK,
                    direction,
                    protocol: Protocol::Dns as u8,
                    flags: CHUNK_TURN | flags,
                    connection: 1,
                    tgid: 7,
                    time: n as u64 * 1_000_000 + u64::from(direction) + 1,
                    offset: at[usize::from(direction)],
                    opposite: at[usize::from(1 - direction)],
                    length: bytes.len() as u32,
                    captured: bytes.len() as u16,
                    role: ROLE_CLIENT,
                    ..Chunk::default()
                };
                at[usize::from(direction)] += bytes.len() as u64;
                let behind = if flags == 0 { &[][..] } else { destination.as_bytes() };
                pipeline.record(&[chunk.as_bytes(), &bytes, behind].concat());
            }
        }
        pipeline.finish();
        assert_eq!(pipeline.observer().0, [Some("kube-dns".to_owned()), None]);
    }
}
