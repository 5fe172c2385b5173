//! flow --> wire --> identity: ordered streams in, exchanges out, with who their ends are.

use super::Selected;
use super::counted::Late;
use super::datagrams::SentTo;
use super::seen::{Observer, Seen, address, held, order};
use super::talk::{Talk, UDP, keep, length, recognise, towards, transport};
use super::translations::Translations;
use crate::deadlines::Deadlines;
use crate::naming::{Naming, Waiting};
use std::sync::Arc;
use steth_event::{Open, PROTOCOLS, ROLE_CLIENT, ROLE_NETWORK, ROLE_SERVER};
use steth_flow::{Connection, Content, Delta, End, Segment, Sink};
use steth_identity::{Beyond, News, Remotes};
use steth_ledger::Exchanges;
use steth_probe::Demotion;
use steth_wire::http1::Routing;
use steth_wire::{
    Bytes, Context, Domains, Exchange, Names, Piece, Protocol, Room, Session, Side, State, Statements, Transport,
};

/// What the sessions share, and what becomes of their exchanges.
pub(super) struct Parse<O: Observer> {
    pub(super) names: Names,
    pub(super) statements: Statements,
    pub(super) domains: Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) counts: [Exchanges; PROTOCOLS],
    pub(super) naming: Naming,
    pub(super) remotes: Remotes,
    pub(super) deadlines: Deadlines,
    pub(super) demotions: Vec<(u64, Demotion)>,
    pub(super) unparsed: u64,
    pub(super) clock: u64,
    pub(super) protocols: Selected,
    pub(super) routing: Arc<Routing>,
    pub(super) room: Room,
    pub(super) late: Vec<Late<O::Memo>>,
    /// Books that went on without waiting for their other end, for want of room.
    pub(super) late_no_room: u64,
    pub(super) sent_to: SentTo,
    pub(super) translations: Translations,
    pub(super) observer: O,
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

    fn late(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, segment: &Segment<'_>) {
        let towards = towards(connection, direction);
        let piece = piece(segment);
        self.with_session(connection, |session, cx| session.late(towards, &piece, cx));
    }

    fn books(&mut self, connection: &mut Connection<Talk<O::Memo>>, delta: &Delta) {
        self.count(connection, delta);
    }

    fn closed(&mut self, connection: &mut Connection<Talk<O::Memo>>, end: End, time: u64) {
        let datagrams = connection.open.is_some_and(|open| open.transport == UDP);
        let end = match end {
            // Who closes a socket on which an answer is still to come has waited for long enough.
            End::Closed if datagrams => steth_wire::End::TimedOut,
            End::Closed => steth_wire::End::Closed,
            End::Reset => steth_wire::End::Reset,
            End::TimedOut => steth_wire::End::TimedOut,
            End::Evicted => steth_wire::End::Evicted,
        };
        self.with_session(connection, |session, cx| session.close(end, time, cx));
        if let Some(open) = &connection.open {
            self.naming.closed(open);
        }
        self.observer.gone(&mut connection.state.memo);
    }
}

impl<O: Observer> Parse<O> {
    #[inline]
    pub(super) fn feed(&mut self, connection: &mut Connection<Talk<O::Memo>>, direction: u8, piece: &Piece<'_>) {
        let towards = towards(connection, direction);
        self.with_session(connection, |session, cx| session.feed(towards, piece, cx));
    }

    #[inline]
    pub(super) fn with_session(
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
            let Self { names, domains, remotes, observer, clock, .. } = self;
            domains.drain(names, |name, address, ttl, time| {
                let Some(news) = remotes.learn(name, address, ttl, time) else { return };
                let since = match news {
                    // Nothing says that it was ever anybody else's.
                    News::Named => 0,
                    News::Renamed => time.wrapping_add(*clock),
                };
                observer.learnt(address.to_canonical(), 0, &|| Beyond::Dns(name.into()), Some(since));
            });
        }
        if !self.out.is_empty() {
            self.hand_on(connection);
        }
        if state != State::Parsing {
            self.part(connection, state);
        }
    }

    /// Other protocols are wanted than so far.
    #[cold]
    pub(super) fn reselect(&mut self, connection: &mut Connection<Talk<O::Memo>>) {
        let unwanted = connection.state.session.as_ref().is_some_and(|s| !self.protocols.has(s.protocol()));
        if unwanted {
            self.end(connection);
            connection.protocol = 0;
            connection.state.deadline = None;
            connection.state.missed = true;
        }
    }

    /// The session has had enough.
    #[cold]
    fn part(&mut self, connection: &mut Connection<Talk<O::Memo>>, state: State) {
        self.end(connection);
        connection.protocol = 0;
        connection.state.tries += 1;
        let again = state == State::Misinferred && connection.state.tries < 3;
        connection.state.deaf = !again;
        self.demotions.push((connection.id, if again { Demotion::InferAgain } else { Demotion::Opaque }));
    }

    /// No more of this conversation: what is outstanding is lost.
    fn end(&mut self, connection: &mut Connection<Talk<O::Memo>>) {
        if let Some(mut session) = connection.state.session.take() {
            let count = &mut self.counts[session.protocol() as usize];
            let Self { names, statements, domains, out, .. } = self;
            let mut cx = Context { names, statements, domains, out, count };
            session.close(steth_wire::End::Evicted, connection.last_time(), &mut cx);
        }
        self.hand_on(connection);
    }

    /// Without a session: whether there is one now.
    #[cold]
    pub(super) fn begin(
        &mut self,
        connection: &mut Connection<Talk<O::Memo>>,
        direction: u8,
        segment: &Segment<'_>,
    ) -> bool {
        if connection.state.deaf {
            self.unparsed += length(&segment.content);
            return false;
        }
        if connection.role == ROLE_NETWORK && connection.protocol == 0 {
            recognise(connection, direction, segment);
        }
        match Protocol::from_number(connection.protocol) {
            Some(protocol) if self.protocols.has(protocol) => {
                let transport = transport(connection, segment);
                let Self { naming, names, routing, room, .. } = self;
                let session = with_service(connection, protocol, naming, |service| {
                    Session::to_service(protocol, transport, service, routing, names)
                });
                let joined = connection.state.missed || connection.open.is_some_and(|open| open.joined != 0);
                connection.state.session = Some(if joined { session.joined(room) } else { session });
                if let Some(undecided) = connection.state.undecided.take() {
                    for (direction, piece) in undecided.pieces() {
                        self.feed(connection, direction, &piece);
                    }
                }
                connection.state.session.is_some()
            }
            Some(_) => {
                connection.state.missed = true;
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
                self.unparsed += keep(connection, direction, segment);
                false
            }
        }
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
        let stranger = match (&connection.open, role, pids) {
            (Some(open), Side::Client | Side::Server, [_, 0]) => self.naming.stranger(open, connection.last_time()),
            _ => None,
        };
        let translating = pids[1] == 0 && self.translations.are_asked(connection.id);
        let waits = stranger.is_some() || translating || self.naming.wait_for(pids);
        if !self.remotes.is_empty() {
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
            let beyond = self.beyond(connection, exchange, side);
            let (open, pids) = match &beyond {
                Some((open, peer)) => (Some(open), [pids[0], *peer]),
                None => (connection.open.as_ref(), pids),
            };
            let waits = waits || (beyond.is_some() && self.naming.wait_for(pids));
            let swapped = side == Side::Server || reversed;
            // A socket that is not connected talks with one and then with another: each is looked up by itself.
            let far = match &beyond {
                Some((open, 0)) if !self.remotes.is_empty() => {
                    let port = if side == Side::Client { open.remote_port } else { 0 };
                    address(open, &open.remote_address)
                        .and_then(|address| self.remotes.who(address, port, open.netns, exchange.start))
                }
                _ => None,
            };
            let [local, remote] = &connection.state.peers;
            let remote = if far.is_some() { &far } else { remote };
            let [client_pid, server_pid] = order(swapped, pids);
            let [client_beyond, server_beyond] = order(swapped, [local, remote]);
            let accept_wait =
                if std::mem::replace(&mut connection.state.exchanged, true) { None } else { accept_wait(open, side) };
            if waits {
                self.hold(Waiting {
                    exchange: *exchange,
                    accept_wait,
                    side,
                    connection: connection.id,
                    open: open.copied(),
                    books: connection.books.clone(),
                    reversed,
                    client_pid,
                    server_pid,
                    client_beyond: client_beyond.clone(),
                    server_beyond: server_beyond.clone(),
                    clock: self.clock,
                    asked: connection.asked,
                    stranger,
                    translating,
                    since: None,
                });
                continue;
            }
            let seen = Seen {
                exchange,
                accept_wait,
                side,
                connection: connection.id,
                open,
                books: connection.books.as_deref(),
                asked: connection.asked,
                reversed,
                processes: &self.naming,
                client_pid,
                server_pid,
                client_beyond: client_beyond.as_ref(),
                server_beyond: server_beyond.as_ref(),
                names: &self.names,
                clock: self.clock,
            };
            self.observer.exchange(&seen, &mut connection.state.memo);
        }
        self.out = out;
        self.out.clear();
    }

    /// What is known of the other end of a datagram socket, of which the kernel knows no pair of addresses: the socket as if
    /// it were connected there, and the process.
    #[inline]
    fn beyond(&self, connection: &Connection<Talk<O::Memo>>, exchange: &Exchange, side: Side) -> Option<(Open, u32)> {
        let open = connection.open.as_ref().filter(|open| open.transport == UDP && side != Side::Network)?;
        // Whoever is asked is sent the request; whoever asks, the response.
        let sent = if side == Side::Server { exchange.response_offset } else { exchange.request_offset };
        let there = connection.state.destinations.as_ref().and_then(|destinations| destinations.connected(open, sent));
        let open = there.unwrap_or(*open);
        let peer = if connection.peer_tgid == 0 { self.naming.datagram_peer(&open) } else { connection.peer_tgid };
        Some((open, peer))
    }

    /// Who one of the two processes is will be known in a moment.
    #[cold]
    fn hold(&mut self, waiting: Waiting) {
        if let Some(waiting) = self.naming.hold(waiting) {
            self.observer.exchange(&held(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }

    pub(super) fn release(&mut self, waiting: Vec<Waiting>) {
        for mut waiting in waiting {
            self.name_far_end(&mut waiting);
            self.observer.exchange(&held(&waiting, &self.naming, &self.names), &mut O::Memo::default());
        }
    }
}

/// How long a server's connection waited for `accept()`; `None`: not known, or nobody waited.
fn accept_wait(open: Option<&Open>, side: Side) -> Option<u64> {
    let open = open.filter(|open| side == Side::Server && open.established != 0 && open.accepted != 0)?;
    Some(open.accepted.saturating_sub(open.established))
}

/// Calls `act` with what tells the server's service from others: its name, or where it is. All ask the same name server, so of DNS it
/// is the service at this end.
fn with_service<M, T>(
    connection: &Connection<Talk<M>>,
    protocol: Protocol,
    naming: &Naming,
    act: impl FnOnce(&[u8]) -> T,
) -> T {
    let here = connection.role == ROLE_SERVER || protocol == Protocol::Dns;
    let server = if here { connection.tgid } else { connection.peer_tgid };
    if connection.role != ROLE_NETWORK
        && let Some(process) = naming.get(server)
    {
        return act(process.service().as_bytes());
    }
    let mut place = [0; 18];
    if let Some(open) = &connection.open {
        let local = connection.role == ROLE_SERVER || connection.state.reversed;
        let (address, port) =
            if local { (&open.local_address, open.local_port) } else { (&open.remote_address, open.remote_port) };
        place[..16].copy_from_slice(address);
        place[16..].copy_from_slice(&port.to_le_bytes());
    }
    act(&place)
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
