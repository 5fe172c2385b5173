//! What leaves the parser: OpenTelemetry attributes, and the exchange made of a request and its reply.

use super::kind::Kind;
use super::reply::Replies;
use super::request::Request;
use super::said::Seen;
use crate::parser::Detail;
use crate::{Database, Exchange, Name, Names, Outcome, Side, Status, System, Value};
use std::borrow::Cow;

/// What only Redis has.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The command as it was sent.
    sent: Name,
    /// Index of the database; empty if not known.
    namespace: Name,
    /// Script or function; empty if there is none.
    procedure: Name,
    /// Of EXEC, how many of the commands that it ran have failed.
    failed: u32,
}

impl Detail for Attributes {
    fn each<'a>(
        &self,
        exchange: &Exchange,
        side: Side,
        names: &'a Names,
        each: &mut dyn FnMut(&'static str, Value<'a>),
    ) {
        each("db.system.name", Value::Text(System::Redis.name().into()));
        for (key, name) in [
            ("db.operation.name", self.sent),
            ("db.namespace", self.namespace),
            ("db.stored_procedure.name", self.procedure),
        ] {
            if name != Name::EMPTY && name != Name::OTHER {
                each(key, Value::Text(names.get(name).into()));
            }
        }
        if self.failed > 0 {
            each("redis.exec.errors", Value::Number(self.failed.into()));
        }
        if let Some(code) = self.error_type(exchange.status, side, names) {
            each("db.response.status_code", Value::Text(code));
        }
    }

    /// `error.type`: the first word of an error reply (`ERR`, `WRONGTYPE`, `MOVED`); none if the reply was not an error.
    fn error_type<'a>(&self, status: Status, _side: Side, names: &'a Names) -> Option<Cow<'a, str>> {
        match status {
            Status::Word(word) => {
                Some(names.get(word)).filter(|word| !matches!(*word, "OK" | "QUEUED")).map(Cow::Borrowed)
            }
            Status::Unknown | Status::Code(_) => None,
        }
    }

    fn database(&self) -> Option<Database> {
        Some(Database { system: System::Redis, namespace: self.namespace })
    }
}

/// What is known of the reply when an exchange ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    seen: Seen,
    failed: u32,
    first_byte: u64,
    /// Time of its last byte, or of what ended the exchange instead.
    pub(super) end: u64,
    offset: u64,
    bytes: u64,
}

impl Answer {
    /// None.
    pub(super) fn none(end: u64) -> Self {
        Answer { seen: Seen::Nothing, failed: 0, first_byte: 0, end, offset: 0, bytes: 0 }
    }

    /// A complete reply.
    #[inline]
    pub(super) fn whole(reply: &Replies) -> Self {
        let Replies { seen, first_byte, end, start: offset, bytes, .. } = *reply;
        Answer { seen, failed: 0, first_byte, end, offset, bytes }
    }

    /// What the commands between MULTI and EXEC have said, EXEC says: the first error among it is what became of the transaction.
    #[inline]
    pub(super) fn of(request: &Request, reply: &Replies) -> Self {
        let answer = Answer::whole(reply);
        if request.named.kind == Kind::Exec && reply.failed > 0 {
            return Answer { seen: reply.first_error, failed: reply.failed, ..answer };
        }
        answer
    }

    /// A reply that ended at the position `until`, before it was complete.
    pub(super) fn part(reply: &Replies, until: u64, end: u64) -> Self {
        Answer { end, bytes: until.saturating_sub(reply.start), ..Answer::whole(reply) }
    }
}

/// The exchange. `ok` is the name of success.
#[inline]
pub(super) fn exchange(request: &Request, namespace: Name, answer: &Answer, outcome: Outcome, ok: Name) -> Exchange {
    let status = match answer.seen {
        Seen::Nothing => Status::Unknown,
        Seen::Error(word) => Status::Word(word),
        // In a full table success has no name, and must not look like an error.
        Seen::Queued(Name::OTHER) => Status::Unknown,
        Seen::Queued(word) => Status::Word(word),
        Seen::Fine | Seen::Ok if ok == Name::OTHER => Status::Unknown,
        Seen::Fine | Seen::Ok => Status::Word(ok),
    };
    let attributes =
        Attributes { sent: request.named.sent, namespace, procedure: request.procedure, failed: answer.failed };
    Exchange {
        operation: request.named.operation,
        status,
        outcome,
        truncated: request.truncated,
        blocking: request.blocking,
        start: request.start,
        arrival: request.arrival,
        request_end: request.end,
        first_byte: answer.first_byte,
        end: answer.end,
        request_bytes: request.bytes,
        response_bytes: answer.bytes,
        request_offset: request.offset,
        response_offset: answer.offset,
        attributes: crate::Attributes::Redis(attributes),
    }
}
