//! One connection's protocol state, whatever the protocol.

use crate::{Direction, Domains, End, Exchange, Names, Piece, Protocol, Statements, Transport};
use crate::{dns, http1, mysql, postgresql, redis};
use std::sync::Arc;
use steth_ledger::{Exchanges, Lost};

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

/// One connection's protocol state.
#[derive(Debug)]
pub enum Session {
    /// HTTP/1.x.
    Http1(http1::Session),
    /// Redis.
    Redis(redis::Session),
    /// MySQL and MariaDB.
    Mysql(mysql::Session),
    /// PostgreSQL.
    Postgresql(postgresql::Session),
    /// DNS.
    Dns(dns::Session),
}

macro_rules! each {
    ($session:expr, $inner:ident => $body:expr) => {
        match $session {
            Session::Http1($inner) => $body,
            Session::Redis($inner) => $body,
            Session::Mysql($inner) => $body,
            Session::Postgresql($inner) => $body,
            Session::Dns($inner) => $body,
        }
    };
}

impl Session {
    /// A session for a connection of this protocol. Only DNS travels in datagrams.
    #[must_use]
    pub fn new(protocol: Protocol, transport: Transport) -> Self {
        match protocol {
            Protocol::Http1 => Session::Http1(http1::Session::default()),
            Protocol::Redis => Session::Redis(redis::Session::default()),
            Protocol::Mysql => Session::Mysql(mysql::Session::default()),
            Protocol::Postgresql => Session::Postgresql(postgresql::Session::default()),
            Protocol::Dns => Session::Dns(dns::Session::new(transport)),
        }
    }

    /// The same of a connection to a service, which is known by these bytes: it has its share of `names`.
    #[must_use]
    pub fn to_service(
        protocol: Protocol,
        transport: Transport,
        service: &[u8],
        routing: &Arc<http1::Routing>,
        names: &mut Names,
    ) -> Self {
        match protocol {
            Protocol::Http1 => Session::Http1(http1::Session::of(service, routing, names)),
            Protocol::Redis => Session::Redis(redis::Session::of(service, names)),
            _ => Self::new(protocol, transport),
        }
    }

    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Session::Http1(_) => Protocol::Http1,
            Session::Redis(_) => Protocol::Redis,
            Session::Mysql(_) => Protocol::Mysql,
            Session::Postgresql(_) => Protocol::Postgresql,
            Session::Dns(_) => Protocol::Dns,
        }
    }

    /// The next piece of one direction. The caller feeds pieces in causal order: a response never before the request
    /// it answers.
    #[inline]
    pub fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        each!(self, s => s.feed(direction, piece, cx));
    }

    /// One direction has ended in order: no byte will follow. (A close-delimited body ends here.)
    pub fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        each!(self, s => s.shutdown(direction, time, cx));
    }

    /// The connection is gone. Whatever is outstanding becomes a record, or a counted loss. Idempotent.
    pub fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        each!(self, s => s.close(end, time, cx));
    }

    /// When it is to be told the time, should nothing happen before: requests that were not answered by then have timed
    /// out. None for protocols whose clients wait for as long as they like.
    #[inline]
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        match self {
            Session::Dns(dns) => dns.deadline(),
            _ => None,
        }
    }

    /// Time has come this far.
    pub fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
        if let Session::Dns(dns) = self {
            dns.tick(now, cx);
        }
    }

    /// Whether it still wants bytes.
    #[must_use]
    pub fn state(&self) -> State {
        each!(self, s => s.state())
    }

    /// Requests that wait for their response.
    #[must_use]
    pub fn pending(&self) -> usize {
        each!(self, s => s.pending())
    }
}
