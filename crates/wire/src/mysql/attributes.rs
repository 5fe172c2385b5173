//! What leaves the parser: OpenTelemetry attributes, and the exchange made of a request and its answer.

use super::command::Command;
use super::reply::{Replies, Seen, UNKNOWN};
use super::request::Request;
use crate::parser::Detail;
use crate::sql::AFFECTED_ROWS;
use crate::status_names::name_in;
use crate::{Database, Exchange, Name, Names, Outcome, Side, Status, System, Value};
use std::borrow::Cow;

/// Names of errors ("Server Error Message Reference").
pub(crate) const ERRORS: &str = include_str!("errors.txt");
/// Those that only MariaDB has.
pub(crate) const MARIADB_ERRORS: &str = include_str!("mariadb_errors.txt");

/// What only MySQL and MariaDB have.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    command: Command,
    /// The server is MariaDB.
    mariadb: bool,
    /// The operation ends with a digest.
    digest: bool,
    /// `SELECT songs`; empty if there is no statement.
    summary: Name,
    /// Schema in use; empty if not known.
    namespace: Name,
    /// Zeros if there was none.
    state: [u8; 5],
    affected: u64,
    rows: u64,
}

impl Detail for Attributes {
    /// What the conventions have no name for
    /// begins with `mysql.`, or `steth.` if other databases have it too.
    fn each<'a>(
        &self,
        exchange: &Exchange,
        _side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
        let mut text = |key, text: &'a str| {
            if !text.is_empty() && text != "*" {
                each(key, Value::Text(text.into()));
            }
        };
        text("db.system.name", self.system().name());
        text("db.namespace", names.get(self.namespace));
        let operation = names.get(exchange.operation);
        if self.digest {
            // A prepared statement's text is the statement's.
            let behind = |word| operation.strip_prefix(word);
            text("db.query.text", behind("PREPARE ").or(behind("FETCH ")).unwrap_or(operation));
            text("db.query.summary", names.get(self.summary));
        } else if self.command != Command::UNSEEN {
            // A command that has no text: nothing is taken out of one.
            text("db.operation.name", self.command.name());
        }
        if self.state != [0; 5] {
            let state = self.state.iter().map(|&byte| char::from(byte)).collect::<String>();
            each("mysql.sqlstate", Value::Text(state.into()));
        }
        if let Status::Code(code) = exchange.status {
            each("db.response.status_code", Value::Text(code.to_string().into()));
        }
        for (key, count) in [("db.response.returned_rows", self.rows), (AFFECTED_ROWS, self.affected)] {
            if count != UNKNOWN {
                each(key, Value::Number(count));
            }
        }
    }

    /// `error.type`: the number. With MariaDB, not if its SQLSTATE says success or warning.
    fn error_type<'a>(&self, status: Status, _side: Side, _names: &'a Names) -> Option<Cow<'a, str>> {
        match status {
            Status::Code(_) if self.mariadb && matches!(self.state, [b'0', b'0' | b'1', ..]) => None,
            Status::Code(code) => Some(code.to_string().into()),
            Status::Unknown | Status::Word(_) => None,
        }
    }

    fn status_name(&self, status: Status, _names: &Names) -> Option<&'static str> {
        let Status::Code(code) = status else { return None };
        let code = code.to_string();
        let own = if self.mariadb { name_in(MARIADB_ERRORS, &code) } else { None };
        own.or_else(|| name_in(ERRORS, &code))
    }

    /// `db.query.summary` of a query; `None` if the request is a command of the protocol.
    fn summary(&self) -> Option<Name> {
        self.digest.then_some(self.summary)
    }

    fn database(&self) -> Option<Database> {
        Some(Database { system: self.system(), namespace: self.namespace })
    }
}

impl Attributes {
    fn system(&self) -> System {
        if self.mariadb { System::Mariadb } else { System::Mysql }
    }
}

/// What is known of the answer when an exchange ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) seen: Seen,
    affected: u64,
    rows: u64,
    first_byte: u64,
    /// Time of its last byte, or of what ended the exchange instead.
    pub(super) end: u64,
    offset: u64,
    bytes: u64,
}

impl Answer {
    /// None.
    pub(super) fn none(end: u64) -> Self {
        Answer { seen: Seen::Nothing, affected: UNKNOWN, rows: UNKNOWN, first_byte: 0, end, offset: 0, bytes: 0 }
    }

    /// One that begins.
    pub(super) fn begin(offset: u64, first_byte: u64) -> Self {
        Answer { offset, first_byte, ..Answer::none(first_byte) }
    }

    /// It goes on up to the position `until`.
    pub(super) fn extend(&mut self, until: u64, time: u64) {
        (self.end, self.bytes) = (time, until.saturating_sub(self.offset));
    }

    /// What it said.
    pub(super) fn said(self, replies: &Replies) -> Self {
        Answer { seen: replies.seen, affected: replies.affected, rows: replies.rows, ..self }
    }
}

/// What a connection adds to its exchanges.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) mariadb: bool,
    pub(super) namespace: Name,
    /// The name of success.
    pub(super) ok: Name,
}

/// The exchange.
#[inline]
pub(super) fn exchange(request: &Request, answer: &Answer, outcome: Outcome, place: Place) -> Exchange {
    let (status, state) = match answer.seen {
        Seen::Nothing => (Status::Unknown, [0; 5]),
        Seen::Error(code, state) => (Status::Code(code), state),
        // In a full table success has no name.
        Seen::Ok if place.ok == Name::OTHER => (Status::Unknown, [0; 5]),
        Seen::Ok => (Status::Word(place.ok), [0; 5]),
    };
    let digest = request.statement.is_some_and(|statement| statement.digest != Name::EMPTY);
    let attributes = Attributes {
        command: request.command,
        mariadb: place.mariadb,
        digest,
        summary: if digest { request.summary } else { Name::EMPTY },
        namespace: place.namespace,
        state,
        // Of an answer that failed, or whose end is missing, the counts say nothing.
        affected: if answer.seen == Seen::Ok { answer.affected } else { UNKNOWN },
        rows: if answer.seen == Seen::Ok { answer.rows } else { UNKNOWN },
    };
    Exchange {
        operation: request.operation,
        status,
        outcome,
        truncated: request.truncated,
        blocking: false,
        start: request.start,
        arrival: request.arrival,
        request_end: request.end,
        first_byte: answer.first_byte,
        end: answer.end,
        request_bytes: request.bytes,
        response_bytes: answer.bytes,
        request_offset: request.offset,
        response_offset: answer.offset,
        attributes: crate::Attributes::Mysql(attributes),
    }
}
