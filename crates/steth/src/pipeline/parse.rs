//! flow --> wire: ordered streams in, exchanges out.

use super::Selected;
use super::seen::Observer;
use super::talk::{Talk, towards};
use crate::deadlines::Deadlines;
use crate::naming::Naming;
use steth_event::PROTOCOLS;
use steth_flow::{Connection, Content, End, Segment, Sink};
use steth_identity::Hosts;
use steth_ledger::Exchanges;
use steth_probe::Demotion;
use steth_wire::{Bytes, Context, Domains, Exchange, Names, Piece, Session, State, Statements};

/// What the sessions share, and what becomes of their exchanges.
pub(super) struct Parse<O> {
    pub(super) names: Names,
    pub(super) statements: Statements,
    pub(super) domains: Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) counts: [Exchanges; PROTOCOLS],
    pub(super) naming: Naming,
    pub(super) hosts: Hosts,
    pub(super) deadlines: Deadlines,
    pub(super) demotions: Vec<(u64, Demotion)>,
    pub(super) unparsed: u64,
    pub(super) clock: u64,
    pub(super) protocols: Selected,
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
