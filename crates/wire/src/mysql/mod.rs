//! MySQL and MariaDB.

use crate::{Context, Direction, End, Exchange, Name, Names, Piece, State, Status, Value};
use std::borrow::Cow;

/// One connection.
#[derive(Debug, Default)]
pub struct Session {}

impl Session {
    /// The next piece of one direction.
    pub fn feed(&mut self, _direction: Direction, _piece: &Piece<'_>, _cx: &mut Context<'_>) {}

    /// One direction has ended in order.
    pub fn shutdown(&mut self, _direction: Direction, _time: u64, _cx: &mut Context<'_>) {}

    /// The connection is gone.
    pub fn close(&mut self, _end: End, _time: u64, _cx: &mut Context<'_>) {}

    /// Whether it still wants bytes.
    #[must_use]
    pub fn state(&self) -> State {
        State::Parsing
    }

    /// Requests that wait for their response.
    #[must_use]
    pub fn pending(&self) -> usize {
        0
    }
}

/// What only this protocol has.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {}

impl Attributes {
    /// Calls `each` for every attribute that is known, with its OpenTelemetry name.
    pub(crate) fn each<'a>(
        &self,
        _exchange: &Exchange,
        _names: &'a Names,
        _each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
    }

    /// `error.type`.
    pub(crate) fn error_type<'a>(&self, _status: Status, _names: &'a Names) -> Option<Cow<'a, str>> {
        None
    }

    /// `db.query.summary` of a query; `None` if the request is a command of the protocol.
    pub(crate) fn summary(&self) -> Option<Name> {
        None
    }
}
