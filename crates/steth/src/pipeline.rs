//! The one place where the stages meet: records in, exchanges out.
//!
//! ```text
//! record --> flow --> wire --> identity --> Observer (print, window, count)
//!                       `-- answers of DNS --^
//! ```
//!
//! It is the same for the live ring, a recording and a pcap, and it is deterministic: everything it knows, times and
//! processes included, came as a record.

use crate::account::Account;
use crate::deadlines::Deadlines;
use crate::naming::{Naming, Waiting};
use crate::print::address;
use std::sync::Arc;
use steth_event::{
    Chunk, Counters, Event, Open, PROTOCOLS, Process, ROLE_CLIENT, ROLE_NETWORK, ROLE_SERVER, RecordError, SEND,
};
use steth_flow::{Connection, Content, End, Flow, Segment, Sink};
use steth_identity::Hosts;
use steth_ledger::Exchanges;
use steth_probe::Demotion;
use steth_wire::infer::{Guess, PREFIX, infer, infer_datagram};
use steth_wire::{
    Bytes, Context, Direction, Domains, Exchange, Names, Piece, Protocol, Session, Side, State, Statements, Transport,
};

/// Who gets the exchanges.
pub(crate) trait Observer {
    /// What it keeps of each connection.
    type Memo: Default;
    /// An exchange is complete.
    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Self::Memo);
}

/// An exchange with everything that is known around it.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) side: Side,
    pub(crate) connection: u64,
    pub(crate) open: Option<&'a Open>,
    /// What `open` calls local is the server, though this is nobody's end.
    pub(crate) reversed: bool,
    pub(crate) processes: &'a Naming,
    /// Names of ends without a process, as DNS told them.
    pub(crate) client_name: Option<&'a Arc<str>>,
    pub(crate) server_name: Option<&'a Arc<str>>,
    pub(crate) client_pid: u32,
    pub(crate) server_pid: u32,
    pub(crate) names: &'a Names,
    /// Add to a time of the exchange to get nanoseconds since 1970.
    pub(crate) clock: u64,
}

impl Seen<'_> {
    pub(crate) fn client(&self) -> Option<&Process> {
        self.processes.get(self.client_pid).map(AsRef::as_ref)
    }

    /// The name of the client's address, if no process is known there.
    pub(crate) fn client_name(&self) -> Option<&Arc<str>> {
        self.client_name.filter(|_| self.client().is_none())
    }

    /// The name of the server's address, if no process is known there.
    pub(crate) fn server_name(&self) -> Option<&Arc<str>> {
        self.server_name.filter(|_| self.server().is_none())
    }

    pub(crate) fn server(&self) -> Option<&Process> {
        self.processes.get(self.server_pid).map(AsRef::as_ref)
    }
}

/// Limits of the pipeline; each has a counter in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections whose state is kept.
    pub(crate) connections: usize,
    /// Processes that are remembered.
    pub(crate) processes: usize,
    /// Addresses whose names are remembered.
    pub(crate) hosts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 65_536, processes: 16_384, hosts: 16_384 }
    }
}

/// All stages, joined.
pub(crate) struct Pipeline<O: Observer> {
    flow: Flow<Talk<O::Memo>>,
    parse: Parse<O>,
    kernel: Counters,
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
                naming: Naming::new(limits.processes),
                hosts: Hosts::new(limits.hosts),
                deadlines: Deadlines::default(),
                demotions: Vec::new(),
                unparsed: 0,
                clock: 0,
                protocols,
                observer,
            },
            kernel: Counters::default(),
            malformed: 0,
            last: 0,
        }
    }

    /// One record. A malformed one is counted, and changes nothing else.
    #[inline]
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        if let Some((chunk, data)) = Chunk::in_place(bytes) {
            return self.chunk(chunk, data);
        }
        self.other(bytes);
    }

    #[inline]
    fn chunk(&mut self, chunk: &Chunk, data: &[u8]) {
        self.last = self.last.max(chunk.time);
        self.flow.chunk(chunk, data, &mut self.parse);
    }

    fn other(&mut self, bytes: &[u8]) {
        match Event::parse(bytes) {
            Ok(event) => self.event(event),
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
            Event::Open(open) => self.flow.open(&open, &mut self.parse),
            Event::Shutdown(shutdown) => self.flow.shutdown(&shutdown, &mut self.parse),
            Event::Close(books) => self.flow.close(&books, &mut self.parse),
            Event::Progress(books) => self.flow.progress(&books),
            Event::Tick(tick) => {
                self.last = self.last.max(tick.time);
                self.flow.tick(tick.time, tick.swept != 0, &mut self.parse);
                self.time_out(tick.time);
                let ready = self.parse.naming.tick(tick.time);
                self.parse.release(ready);
            }
            Event::Clock(clock) => self.parse.clock = clock.offset,
            Event::Process(process) => {
                let earlier = self.parse.naming.before(&process);
                self.parse.release(earlier);
                self.parse.naming.insert(*process);
            }
            Event::Counters(counters) => self.kernel = *counters,
            // What the resolver made of these came as a process record.
            Event::Exec(..) | Event::Exit(_) => {}
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

    /// Ends every connection: what is outstanding becomes a record or a counted loss.
    pub(crate) fn finish(&mut self) {
        self.flow.finish(self.last, &mut self.parse);
        let rest = self.parse.naming.finish();
        self.parse.release(rest);
    }

    pub(crate) fn observer(&mut self) -> &mut O {
        &mut self.parse.observer
    }

    /// Observer and names, for an observer that resolves names while it is being changed.
    pub(crate) fn observer_and_names(&mut self) -> (&mut O, &Names) {
        (&mut self.parse.observer, &self.parse.names)
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
            hook_runs_missed: self.kernel.missed,
            flow: self.flow.counts(),
            open_connections: self.flow.len(),
            exchanges: self.parse.counts,
            unparsed_bytes: self.parse.unparsed,
            malformed_records: self.malformed,
            domains_folded: self.parse.domains.folded(),
            hosts: self.parse.hosts.len(),
            hosts_evicted: self.parse.hosts.evicted() + self.parse.domains.unlearnt(),
            names_folded: self.parse.names.folded(),
            digests_folded: self.parse.statements.folded(),
            processes_evicted: self.parse.naming.evicted(),
            look_ups_refused: self.parse.naming.refused(),
            named_late: self.parse.naming.late(),
        }
    }
}

/// Which protocols are wanted: one bit per protocol number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected(pub(crate) u32);

impl Selected {
    pub(crate) const ALL: Self = Self(u32::MAX);

    pub(crate) fn only(protocol: Protocol) -> Self {
        Self(1 << protocol as u8)
    }

    fn has(self, protocol: Protocol) -> bool {
        self.0 >> (protocol as u8) & 1 == 1
    }
}

/// What is kept of a connection between flow and wire.
#[derive(Debug, Default)]
pub(crate) struct Talk<M> {
    session: Option<Session>,
    /// No further attempt: the protocol is unknown, unwanted, or has agreed to become something else.
    deaf: bool,
    tries: u8,
    /// A capture joined in mid-stream: who was taken for the client is the server.
    reversed: bool,
    /// When the session is to be told the time.
    deadline: Option<u64>,
    /// Names of the local and the remote address, once they are known: a connection outlives the answer that led to it.
    peers: [Option<Arc<str>>; 2],
    undecided: Option<Box<Undecided>>,
    memo: M,
}

/// The first bytes of a message, too few to tell its protocol.
#[derive(Debug, Default)]
struct Undecided {
    pieces: Vec<(u8, OwnedPiece)>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct OwnedPiece {
    offset: u64,
    opposite: u64,
    time: u64,
    arrival: u64,
    turn: bool,
    bytes: Vec<u8>,
}

/// A message of this many bytes is decided or never will be.
const UNDECIDED_PIECES: usize = PREFIX;
/// Message beginnings that are looked at before a connection counts as unknown.
const TRIES: u8 = 8;
/// Connections that one tick tells the time at most; the next one goes on.
const VISITS: usize = 4096;

struct Parse<O> {
    names: Names,
    statements: Statements,
    domains: Domains,
    out: Vec<Exchange>,
    counts: [Exchanges; PROTOCOLS],
    naming: Naming,
    hosts: Hosts,
    deadlines: Deadlines,
    demotions: Vec<(u64, Demotion)>,
    unparsed: u64,
    clock: u64,
    protocols: Selected,
    observer: O,
}

impl<O: Observer> Sink for Parse<O> {
    type State = Talk<O::Memo>;

    #[inline]
    fn segment(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, segment: &Segment<'_>) {
        if connection.state.session.is_none() && !self.begin(connection, direction, segment) {
            return;
        }
        self.feed(connection, direction, &piece(segment));
    }

    fn shutdown(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, time: u64) {
        let towards = towards(connection, direction);
        self.with_session(connection, |session, cx| session.shutdown(towards, time, cx));
    }

    fn closed(&mut self, connection: &mut Connection<Talk<O::Memo>>, end: End, time: u64) {
        let end = match end {
            End::Closed => steth_wire::End::Closed,
            End::Reset => steth_wire::End::Reset,
            End::TimedOut => steth_wire::End::TimedOut,
            End::Evicted => steth_wire::End::Evicted,
        };
        self.with_session(connection, |session, cx| session.close(end, time, cx));
    }
}

impl<O: Observer> Parse<O> {
    #[inline]
    fn feed(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, piece: &Piece<'_>) {
        let towards = towards(connection, direction);
        self.with_session(connection, |session, cx| session.feed(towards, piece, cx));
    }

    #[inline]
    fn with_session(
        &mut self,
        connection: &mut Connection<Talk<O::Memo>>,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        let Some(session) = &mut connection.state.session else { return };
        let count = &mut self.counts[session.protocol() as usize];
        let Self { names, statements, domains, out, .. } = self;
        act(session, &mut Context { names, statements, domains, out, count });
        let state = session.state();
        let deadline = session.deadline();
        if deadline.is_some() && (connection.state.deadline.is_none() || deadline < connection.state.deadline) {
            connection.state.deadline = deadline;
            self.deadlines.add(deadline.unwrap_or(0), connection.id);
        }
        if !self.domains.is_empty() {
            let Self { domains, hosts, .. } = self;
            domains.drain(|name, address, ttl, time| hosts.learn(name, address, ttl, time));
        }
        if !self.out.is_empty() {
            self.hand_on(connection);
        }
        if state != State::Parsing {
            self.part(connection, state);
        }
    }

    /// The session has had enough.
    #[cold]
    fn part(&mut self, connection: &mut Connection<Talk<O::Memo>>, state: State) {
        if let Some(mut session) = connection.state.session.take() {
            let count = &mut self.counts[session.protocol() as usize];
            let Self { names, statements, domains, out, .. } = self;
            let mut cx = Context { names, statements, domains, out, count };
            session.close(steth_wire::End::Evicted, connection.last_time(), &mut cx);
        }
        self.hand_on(connection);
        connection.protocol = 0;
        connection.state.tries += 1;
        let again = state == State::Misinferred && connection.state.tries < 3;
        connection.state.deaf = !again;
        self.demotions.push((connection.id, if again { Demotion::InferAgain } else { Demotion::Opaque }));
    }

    /// Without a session: whether there is one now.
    #[cold]
    fn begin(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, segment: &Segment<'_>) -> bool {
        if connection.state.deaf {
            self.unparsed += length(&segment.content);
            return false;
        }
        if connection.role == ROLE_NETWORK && connection.protocol == 0 {
            self.infer(connection, direction, segment);
        }
        match Protocol::from_number(connection.protocol) {
            Some(protocol) if self.protocols.has(protocol) => {
                let transport = transport(connection, segment);
                connection.state.session = Some(Session::new(protocol, transport));
                if let Some(undecided) = connection.state.undecided.take() {
                    for (direction, early) in &undecided.pieces {
                        self.feed(connection, *direction, &early.piece());
                    }
                }
                connection.state.session.is_some()
            }
            Some(_) => {
                connection.state.deaf = true;
                self.unparsed += length(&segment.content);
                false
            }
            None if transport(connection, segment) != Transport::Stream => {
                // A datagram is a message of its own: a later one does not tell what this one is.
                self.unparsed += length(&segment.content);
                false
            }
            None => {
                // The kernel side could not tell yet, and has sent what it looked at.
                self.keep(connection, direction, segment);
                false
            }
        }
    }

    /// Packets from a file have not been through the kernel side: the same inference, here.
    fn infer(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, segment: &Segment<'_>) {
        let Content::Captured(bytes) = segment.content else {
            connection.state.undecided = None;
            return;
        };
        let guess = if transport(connection, segment) == Transport::Stream {
            let mut known = match &connection.state.undecided {
                Some(undecided) if !segment.turn => undecided.bytes.clone(),
                _ if segment.turn => {
                    connection.state.undecided = None;
                    Vec::new()
                }
                _ => return,
            };
            known.extend_from_slice(&bytes[..bytes.len().min(PREFIX)]);
            infer(&known)
        } else {
            infer_datagram(bytes, bytes.len())
        };
        match guess {
            Guess::Is { protocol, request } => {
                connection.protocol = protocol as u8;
                // Who answers is the server, whatever the ports suggested.
                connection.state.reversed = request != (direction == SEND);
            }
            Guess::More => {}
            Guess::No => {
                connection.state.undecided = None;
                connection.state.tries += 1;
                connection.state.deaf = connection.state.tries >= TRIES;
            }
        }
    }

    fn keep(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, segment: &Segment<'_>) {
        let Content::Captured(bytes) = segment.content else {
            self.unparsed += length(&segment.content);
            return;
        };
        if segment.turn {
            connection.state.undecided = None;
        }
        let undecided = connection.state.undecided.get_or_insert_default();
        if undecided.pieces.len() >= UNDECIDED_PIECES || bytes.len() > 64 * 1024 {
            connection.state.undecided = None;
            self.unparsed += bytes.len() as u64;
            return;
        }
        undecided.bytes.extend_from_slice(&bytes[..bytes.len().min(PREFIX)]);
        undecided.pieces.push((
            direction,
            OwnedPiece {
                offset: segment.offset,
                opposite: segment.opposite,
                time: segment.time,
                arrival: segment.arrival,
                turn: segment.turn,
                bytes: bytes.to_vec(),
            },
        ));
    }

    fn hand_on(&mut self, connection: &mut Connection<Talk<O::Memo>>) {
        let role = match connection.role {
            ROLE_CLIENT => Side::Client,
            ROLE_SERVER => Side::Server,
            _ => Side::Network,
        };
        let pids = match role {
            Side::Network => [0, 0],
            _ => [connection.tgid, connection.peer_tgid],
        };
        let waits = self.naming.wait_for(pids);
        if !self.hosts.is_empty() {
            self.name_peers(connection, role, pids);
        }
        let out = std::mem::take(&mut self.out);
        for exchange in &out {
            let (mut side, mut reversed) = (role, connection.state.reversed);
            if exchange.reversed() {
                (side, reversed) = match role {
                    Side::Client => (Side::Server, reversed),
                    Side::Server => (Side::Client, reversed),
                    Side::Network => (Side::Network, !reversed),
                };
            }
            let swapped = side == Side::Server || reversed;
            let [local, remote] = &connection.state.peers;
            let [client_pid, server_pid] = order(swapped, pids);
            let [client_name, server_name] = order(swapped, [local, remote]);
            if waits {
                self.hold(Waiting {
                    exchange: *exchange,
                    side,
                    connection: connection.id,
                    open: connection.open,
                    reversed,
                    client_pid,
                    server_pid,
                    client_name: client_name.clone(),
                    server_name: server_name.clone(),
                    clock: self.clock,
                    since: None,
                });
                continue;
            }
            let seen = Seen {
                exchange,
                side,
                connection: connection.id,
                open: connection.open.as_ref(),
                reversed,
                processes: &self.naming,
                client_pid,
                server_pid,
                client_name: client_name.as_ref(),
                server_name: server_name.as_ref(),
                names: &self.names,
                clock: self.clock,
            };
            self.observer.exchange(&seen, &mut connection.state.memo);
        }
        self.out = out;
        self.out.clear();
    }

    /// What DNS called the ends that no process here is behind. An end keeps the first name that was known for it.
    #[cold]
    fn name_peers(&mut self, connection: &mut Connection<Talk<O::Memo>>, role: Side, pids: [u32; 2]) {
        let (Some(open), Some(exchange)) = (&connection.open, self.out.first()) else { return };
        let ends = [(&open.local_address, role == Side::Network), (&open.remote_address, true)];
        for ((peer, pid), (bytes, foreign)) in connection.state.peers.iter_mut().zip(pids).zip(ends) {
            if peer.is_none() && foreign && self.naming.get(pid).is_none() {
                let address = address(open, bytes);
                *peer = address.and_then(|address| self.hosts.name(address, exchange.start)).cloned();
            }
        }
    }

    /// One of the two processes is being looked up.
    #[cold]
    fn hold(&mut self, waiting: Waiting) {
        if let Some(waiting) = self.naming.hold(waiting) {
            self.observer.exchange(&seen(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }

    fn release(&mut self, waiting: Vec<Waiting>) {
        for waiting in waiting {
            self.observer.exchange(&seen(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }
}

fn seen<'a>(waiting: &'a Waiting, naming: &'a Naming, names: &'a Names) -> Seen<'a> {
    Seen {
        exchange: &waiting.exchange,
        side: waiting.side,
        connection: waiting.connection,
        open: waiting.open.as_ref(),
        reversed: waiting.reversed,
        processes: naming,
        client_pid: waiting.client_pid,
        server_pid: waiting.server_pid,
        client_name: waiting.client_name.as_ref(),
        server_name: waiting.server_name.as_ref(),
        names,
        clock: waiting.clock,
    }
}

impl OwnedPiece {
    fn piece(&self) -> Piece<'_> {
        Piece {
            offset: self.offset,
            opposite: self.opposite,
            time: self.time,
            arrival: self.arrival,
            turn: self.turn,
            bytes: Bytes::Captured(&self.bytes),
        }
    }
}

#[inline]
fn piece<'a>(segment: &Segment<'a>) -> Piece<'a> {
    Piece {
        offset: segment.offset,
        opposite: segment.opposite,
        time: segment.time,
        arrival: segment.arrival,
        turn: segment.turn,
        bytes: match segment.content {
            Content::Captured(bytes) => Bytes::Captured(bytes),
            Content::Skipped(n) => Bytes::Skipped(n),
            Content::Lost(n) => Bytes::Lost(n),
        },
    }
}

fn length(content: &Content<'_>) -> u64 {
    match content {
        Content::Captured(bytes) => bytes.len() as u64,
        Content::Skipped(n) | Content::Lost(n) => *n,
    }
}

/// Which way bytes travel, from whose end they were seen. On the network, `SEND` is client to server, unless the reader of
/// the capture took one for the other.
#[inline]
fn towards<M>(connection: &Connection<Talk<M>>, direction: u8) -> Direction {
    let server_sends = connection.role == ROLE_SERVER || connection.state.reversed;
    if server_sends == (direction == SEND) { Direction::Response } else { Direction::Request }
}

/// Local and remote end as client and server.
fn order<T>(swapped: bool, [local, remote]: [T; 2]) -> [T; 2] {
    if swapped { [remote, local] } else { [local, remote] }
}

/// What the connection's bytes travel in.
fn transport<M>(connection: &Connection<Talk<M>>, segment: &Segment<'_>) -> Transport {
    // mDNS (RFC 6762), LLMNR (RFC 4795), and the NetBIOS name service, whose messages look alike (RFC 1002).
    const GROUPS: [u16; 3] = [5353, 5355, 137];
    match (&connection.open, &segment.content) {
        (Some(open), _) if open.transport != UDP => Transport::Stream,
        (Some(open), _) if GROUPS.contains(&open.local_port) || GROUPS.contains(&open.remote_port) => {
            Transport::Multicast
        }
        (Some(_), _) => Transport::Datagrams,
        // The announcement was lost. What makes sense as a datagram does not as the beginning of a stream.
        (None, Content::Captured(bytes)) if infer_datagram(bytes, bytes.len()) != Guess::No => Transport::Datagrams,
        (None, _) => Transport::Stream,
    }
}

/// `IPPROTO_UDP`.
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{CHUNK_TURN, IntoBytes as _, RECEIVE, kind};

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
}
