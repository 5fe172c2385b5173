//! What leaves the parser: OpenTelemetry attributes, and the exchange made of a request and its reply.

use super::request::{Kind, Request};
use super::said::{Rows, Seen};
use crate::parser::Detail;
use crate::sql::{AFFECTED_ROWS, Statement};
use crate::status_names::name_in;
use crate::{Database, Exchange, Name, Names, Outcome, Side, Status, System, Value};
use std::borrow::Cow;

/// Names of conditions ("PostgreSQL Error Codes").
pub(crate) const CONDITIONS: &str = include_str!("conditions.txt");

/// The transaction's state behind an exchange ("ReadyForQuery"), where it came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transaction {
    Unknown,
    Idle,
    Open,
    Failed,
}

impl Transaction {
    pub(super) fn of(byte: u8) -> Self {
        match byte {
            b'I' => Transaction::Idle,
            b'T' => Transaction::Open,
            b'E' => Transaction::Failed,
            _ => Transaction::Unknown,
        }
    }

    fn name(self) -> Option<&'static str> {
        match self {
            Transaction::Unknown => None,
            Transaction::Idle => Some("idle"),
            Transaction::Open => Some("open"),
            Transaction::Failed => Some("failed"),
        }
    }
}

/// What only PostgreSQL has.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The database; empty if not known.
    namespace: Name,
    /// Verbs and targets of the statement; empty if it was not seen, or there is none.
    summary: Name,
    /// The statement without its literals; likewise.
    text: Name,
    /// The command that was completed, in the server's words (`SELECT`, `CREATE TABLE`).
    tag: Name,
    rows: Rows,
    pub(super) transaction: Transaction,
}

impl Detail for Attributes {
    fn each<'a>(
        &self,
        exchange: &Exchange,
        side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
        each("db.system.name", Value::Text(System::Postgresql.name().into()));
        for (key, name) in [
            ("db.namespace", self.namespace),
            ("db.query.summary", self.summary),
            ("db.query.text", self.text),
            ("postgresql.command_tag", self.tag),
        ] {
            if name != Name::EMPTY && name != Name::OTHER {
                each(key, Value::Text(names.get(name).into()));
            }
        }
        match self.rows {
            Rows::None => {}
            Rows::Returned(n) => each("db.response.returned_rows", Value::Number(n)),
            Rows::Affected(n) => each(AFFECTED_ROWS, Value::Number(n)),
        }
        if let Some(state) = self.transaction.name() {
            each("postgresql.transaction_status", Value::Text(state.into()));
        }
        if let Some(code) = self.error_type(exchange.status, side, names) {
            each("db.response.status_code", Value::Text(code));
        }
    }

    /// `error.type`: the SQLSTATE of an error; of its classes 00 (success) and 01 (warning) are none.
    fn error_type<'a>(&self, status: Status, _side: Side, names: &'a Names) -> Option<Cow<'a, str>> {
        let Status::Word(word) = status else { return None };
        let word = names.get(word);
        let fine = word == "OK" || word.starts_with("00") || word.starts_with("01");
        (!fine).then_some(Cow::Borrowed(word))
    }

    fn status_name(&self, status: Status, names: &Names) -> Option<&'static str> {
        let Status::Word(code) = status else { return None };
        name_in(CONDITIONS, names.get(code))
    }

    /// `db.query.summary` of a statement; `None` if there is none, or its text was not seen.
    fn summary(&self) -> Option<Name> {
        (self.text != Name::EMPTY).then_some(self.summary)
    }

    fn database(&self) -> Option<Database> {
        Some(Database { system: System::Postgresql, namespace: self.namespace })
    }
}

/// What is known of the reply when an exchange ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) seen: Seen,
    pub(super) tag: Name,
    pub(super) rows: Rows,
    pub(super) first_byte: u64,
    /// Time of its last byte, or of what ended the exchange instead.
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// Part of it was not seen.
    pub(super) truncated: bool,
}

impl Answer {
    /// None.
    pub(super) fn none(end: u64) -> Self {
        let (seen, tag, rows) = (Seen::Nothing, Name::EMPTY, Rows::None);
        Answer { seen, tag, rows, first_byte: 0, end, offset: 0, bytes: 0, truncated: false }
    }
}

/// Names that records of a connection share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming {
    pub(super) namespace: Name,
    /// `OK`.
    pub(super) ok: Name,
}

/// The exchange about one statement of a request, or about the request itself.
pub(super) fn exchange(
    request: &Request,
    statement: Option<Statement>,
    answer: &Answer,
    outcome: Outcome,
    naming: Naming,
    names: &mut Names,
) -> Exchange {
    let status = match answer.seen {
        Seen::Nothing => Status::Unknown,
        Seen::Error(code) => Status::Word(code),
        // In a full table success has no name, and must not look like an error.
        Seen::Fine if naming.ok == Name::OTHER => Status::Unknown,
        Seen::Fine => Status::Word(naming.ok),
    };
    let operation = match (request.kind, statement) {
        (Kind::Startup, _) => names.intern(b"CONNECT"),
        (Kind::Cancel, _) => names.intern(b"CANCEL"),
        (Kind::Function, _) => names.intern(b"FUNCTION CALL"),
        (_, Some(statement)) => statement.digest,
        (Kind::Query, None) => names.intern(b"QUERY (unseen)"),
        (_, None) => names.intern(b"EXECUTE (unseen)"),
    };
    Exchange {
        operation,
        status,
        outcome,
        truncated: request.truncated || answer.truncated || statement.is_some_and(|statement| statement.truncated),
        blocking: false,
        start: request.start,
        arrival: request.arrival,
        request_end: request.end,
        first_byte: answer.first_byte,
        end: answer.end,
        // The statements of one query share its bytes.
        request_bytes: if request.replied == 0 { request.bytes } else { 0 },
        response_bytes: answer.bytes,
        request_offset: request.offset,
        response_offset: answer.offset,
        attributes: crate::Attributes::Postgresql(Attributes {
            namespace: naming.namespace,
            summary: statement.map_or(Name::EMPTY, |statement| statement.summary),
            text: statement.map_or(Name::EMPTY, |statement| statement.digest),
            tag: answer.tag,
            rows: answer.rows,
            transaction: Transaction::Unknown,
        }),
    }
}
