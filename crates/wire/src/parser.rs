//! What a protocol's module provides: a parser for each connection, and what it knows of an exchange beyond the common fields.

use crate::http1::Routing;
use crate::{Context, Database, Direction, End, Exchange, Name, Names, Piece, Side, State, Status, Transport, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// How a connection's state is made.
pub(crate) trait Begin: Parser + Sized {
    /// A connection that is about to begin, or is joined under way.
    fn new(transport: Transport) -> Self;

    /// The same of a connection to a service, which is known by these bytes: it has its share of `names`. Of a socket for DNS it is
    /// the service that has the socket.
    fn to_service(transport: Transport, _service: &[u8], _routing: &Arc<Routing>, _names: &mut Names) -> Self {
        Self::new(transport)
    }
}

/// One connection's protocol state.
pub(crate) trait Parser {
    /// The next piece of one direction. Pieces come in causal order: a response never before the request it answers.
    fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>);

    /// One direction has ended in order: no byte will follow.
    fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>);

    /// The connection is gone. Whatever is outstanding becomes a record, or a counted loss. Idempotent.
    fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>);

    /// Whether it still wants bytes.
    fn state(&self) -> State;

    /// Requests that wait for their response, or for its end.
    fn pending(&self) -> usize;

    /// Whether it is known where the next request and the next response begin, and that no request was missed.
    fn in_step(&self) -> bool;

    /// Said before the first piece: the connection was in use before.
    fn joined(&mut self) {}

    /// Whether requests and responses are paired by their order alone, so that one that was missed misleads.
    fn pairs_by_order(&self) -> bool {
        true
    }

    /// When it is to be told the time, should nothing happen before: requests that were not answered by then have timed
    /// out. None for protocols whose clients wait for as long as they like.
    #[inline]
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Time has come this far.
    fn tick(&mut self, _now: u64, _cx: &mut Context<'_>) {}
}

/// What only this protocol knows of an exchange.
pub(crate) trait Detail {
    /// Calls `each` for every attribute that is known, in a fixed order, with its OpenTelemetry name; not for `error.type`.
    fn each<'a>(
        &self,
        exchange: &Exchange,
        side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    );

    /// `error.type` of a response with this status, as seen from `side`; `None` if it is no error.
    fn error_type<'a>(&self, status: Status, side: Side, names: &'a Names) -> Option<Cow<'a, str>>;

    /// See [`Exchange::status_name`].
    fn status_name(&self, _status: Status, _names: &Names) -> Option<&'static str> {
        None
    }

    /// See [`Exchange::summary`].
    fn summary(&self) -> Option<Name> {
        None
    }

    /// See [`Exchange::database`].
    fn database(&self) -> Option<Database> {
        None
    }

    /// See [`Exchange::reversed`].
    fn reversed(&self) -> bool {
        false
    }
}
