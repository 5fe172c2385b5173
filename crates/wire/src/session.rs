//! A connection's session: its protocol's parser, what it needs, and how it stands.

use crate::http1::Routing;
use crate::joined::{self, Joined, Room};
use crate::parser::Parser as _;
use crate::protocol::Any;
use crate::{Direction, Domains, End, Exchange, Names, Piece, Protocol, Statements, Transport};
use std::sync::Arc;
use steth_ledger::{Exchanges, Lost};

/// One connection's protocol state.
#[derive(Debug)]
pub struct Session {
    any: Any,
    /// Until it is certain what the first response answers.
    joined: Option<Box<Joined>>,
}

impl Session {
    /// A session for a connection of this protocol. Only DNS travels in datagrams.
    #[must_use]
    pub fn new(protocol: Protocol, transport: Transport) -> Self {
        Self { any: Any::new(protocol, transport), joined: None }
    }

    /// The same of a connection to a service, which is known by these bytes: it has its share of `names`.
    #[must_use]
    pub fn to_service(
        protocol: Protocol,
        transport: Transport,
        service: &[u8],
        routing: &Arc<Routing>,
        names: &mut Names,
    ) -> Self {
        Self { any: Any::to_service(protocol, transport, service, routing, names), joined: None }
    }

    /// Said before the first piece: the connection was in use before, so that requests which nobody has seen may still
    /// wait for their responses. What cannot be certain yet is held, as far as there is `room`.
    #[must_use]
    pub fn joined(mut self, room: &Room) -> Self {
        self.any.joined();
        self.joined = self.any.pairs_by_order().then(|| Box::new(Joined::new(room.clone())));
        self
    }

    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.any.protocol()
    }

    /// The next piece of one direction. The caller feeds pieces in causal order: a response never before the request
    /// it answers.
    #[inline]
    pub fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.joined.is_some() {
            return joined::feed(&mut self.joined, &mut self.any, direction, piece, cx);
        }
        self.any.feed(direction, piece, cx);
    }

    /// Bytes that come only now, after they were fed as lost, or from before the first piece. The requests that begin in
    /// them are lost with them.
    #[cold]
    pub fn late(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if direction == Direction::Response {
            return;
        }
        let mut parser = Any::new(self.protocol(), Transport::Stream);
        let (mut out, mut count) = (Vec::new(), Exchanges::default());
        let Context { names, statements, domains, .. } = cx;
        parser.feed(direction, piece, &mut Context { names, statements, domains, out: &mut out, count: &mut count });
        if parser.state() != State::Misinferred {
            // What makes no sense is no request: it may be the middle of one.
            cx.count.lose(Lost::Hole, parser.pending() as u64 + count.reported);
        }
    }

    /// One direction has ended in order: no byte will follow. (A close-delimited body ends here.)
    pub fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        joined::watch(&mut self.joined, &mut self.any, cx, |any, cx| any.shutdown(direction, time, cx));
    }

    /// The connection is gone. Whatever is outstanding becomes a record, or a counted loss. Idempotent.
    pub fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        joined::close(&mut self.joined, &mut self.any, end, time, cx);
    }

    /// When it is to be told the time, should nothing happen before.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let joined = self.joined.as_ref().and_then(|joined| joined.deadline());
        sooner(self.any.deadline(), joined)
    }

    /// Time has come this far.
    pub fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
        joined::tick(&mut self.joined, &mut self.any, now, cx);
    }

    /// Whether it still wants bytes.
    #[inline]
    #[must_use]
    pub fn state(&self) -> State {
        self.any.state()
    }

    /// Requests that wait for their response.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.any.pending()
    }
}

/// The sooner of two deadlines.
#[inline]
pub(crate) fn sooner(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a session needs from outside while it is fed.
#[derive(Debug)]
pub struct Context<'a> {
    /// Interned strings.
    pub names: &'a mut Names,
    /// Digests of SQL texts seen before.
    pub statements: &'a mut Statements,
    /// Names of DNS lookups, and the addresses that they found.
    pub domains: &'a mut Domains,
    /// Where finished exchanges go.
    pub out: &'a mut Vec<Exchange>,
    /// The ledger's account of this protocol. `reported` is counted here too, by [`Context::report`].
    pub count: &'a mut Exchanges,
}

impl Context<'_> {
    /// An exchange is complete. One whose response passed unread, so that no byte of it tells the end, ends no earlier than
    /// it starts.
    #[inline]
    pub fn report(&mut self, mut exchange: Exchange) {
        exchange.end = exchange.end.max(exchange.start);
        self.count.reported += 1;
        self.out.push(exchange);
    }
    /// An exchange whose request was seen will not be reported.
    #[inline]
    pub fn lose(&mut self, reason: Lost) {
        self.count.lose(reason, 1);
    }
}

/// Whether a session still wants bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Parsing,
    /// The connection carries something else by agreement from here on (HTTP 101, CONNECT, PSYNC): L4 only.
    Opaque,
    /// Several messages in a row made no sense: this is not the protocol.
    Misinferred,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;

    /// How many requests are counted as lost with these bytes.
    fn lost_with(protocol: Protocol, direction: Direction, bytes: &[u8]) -> u64 {
        let mut session = Session::new(protocol, Transport::Stream);
        let (mut names, mut statements, mut domains) = (Names::default(), Statements::default(), Domains::default());
        let (mut out, mut count) = (Vec::new(), Exchanges::default());
        let mut cx = Context {
            names: &mut names,
            statements: &mut statements,
            domains: &mut domains,
            out: &mut out,
            count: &mut count,
        };
        let piece = Piece { bytes: Bytes::Captured(bytes), offset: 0, opposite: 0, time: 1, arrival: 0, turn: true };
        session.late(direction, &piece, &mut cx);
        assert_eq!((session.pending(), count.reported, count.lost()), (0, 0, count.lost_by(Lost::Hole)));
        count.lost()
    }

    #[test]
    fn requests_that_come_too_late_are_counted_as_lost() {
        let dns = b"\x00\x13\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01";
        for (protocol, bytes, requests) in [
            (Protocol::Http1, &b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"[..], 2),
            (Protocol::Redis, b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", 3),
            (Protocol::Mysql, b"\x09\x00\x00\x00\x03SELECT 1", 1),
            (Protocol::Postgresql, b"Q\x00\x00\x00\x0dSELECT 1\x00", 1),
            (Protocol::Dns, dns, 1),
            (Protocol::Http1, b"no request at all", 0),
            (Protocol::Http1, b"the end of a body, and no request\r\nat\r\nall\r\n\r\n", 0),
            (Protocol::Dns, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0),
        ] {
            assert_eq!(lost_with(protocol, Direction::Request, bytes), requests, "{}", protocol.name());
            assert_eq!(lost_with(protocol, Direction::Response, bytes), 0, "{}", protocol.name());
        }
    }
}
