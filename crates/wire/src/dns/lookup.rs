//! One lookup: a query that waits for its response, and the exchange that becomes of it.

use super::answer::{Addresses, Answer};
use super::attributes::Attributes;
use super::domains::Asked;
use super::frames::Message;
use super::message::{Header, Question};
use super::mnemonic::{AXFR, IXFR, QUERY};
use crate::{Context, Direction, Exchange, Name, Outcome, Share, Status};
use std::hash::{Hash, Hasher};

/// What tells one lookup of a socket from another: the id, the question, and who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Hash of the question; [`Key::UNSEEN`] if it was not captured.
    pub(super) question: u64,
    pub(super) id: u16,
    /// The server asks.
    pub(super) reversed: bool,
}

impl Hash for Key {
    // The question is a hash already.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.question ^ (u64::from(self.id) << 1 | u64::from(self.reversed)));
    }
}

impl Key {
    pub(super) const UNSEEN: u64 = 0;

    /// The key of a query, or of the query that a response answers.
    pub(super) fn of(message: &Message<'_>, header: Header, question: Option<&Question>) -> Self {
        let reversed = header.is_response() == (message.direction == Direction::Request);
        Self { question: question.map_or(Self::UNSEEN, |question| question.hash), id: header.id, reversed }
    }
}

/// A query that waits for its response.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) key: Key,
    pub(super) asked: Asked,
    truncated: bool,
    /// It was the first that was seen of a socket that was in use before: its response may have passed unseen.
    pub(super) joined: bool,
    /// Its response may be many messages.
    pub(super) transfer: bool,
    pub(super) attempts: u16,
    pub(super) start: u64,
    arrival: u64,
    request_end: u64,
    /// When it was last asked for, or last answered in part.
    pub(super) last: u64,
    bytes: u64,
    offset: u64,
    response: Response,
}

/// What has come of the response.
#[derive(Clone, Copy, Debug, Default)]
struct Response {
    rcode: Option<u16>,
    answers: u32,
    authorities: u32,
    addresses: Addresses,
    tc: bool,
    truncated: bool,
    offset: u64,
    bytes: u64,
    first_byte: u64,
    end: u64,
}

impl Lookup {
    pub(super) fn new(
        message: &Message<'_>,
        key: Key,
        question: Option<&Question>,
        share: Share,
        cx: &mut Context<'_>,
    ) -> Self {
        let (asked, transfer) = match question {
            Some(question) => {
                let transfer = matches!(question.kind(), AXFR | IXFR) && question.opcode() == QUERY;
                (cx.domains.asked(question, share, cx.names), transfer)
            }
            None => (Asked { operation: Name::OTHER, name: Name::OTHER }, false),
        };
        Self {
            key,
            asked,
            truncated: message.cut.is_some(),
            joined: false,
            transfer,
            attempts: 1,
            start: message.start,
            arrival: message.arrival,
            request_end: message.end,
            last: message.end,
            bytes: message.size,
            offset: message.offset,
            response: Response::default(),
        }
    }

    /// The same was asked once more.
    pub(super) fn again(&mut self, message: &Message<'_>) {
        self.attempts = self.attempts.saturating_add(1);
        self.bytes += message.size;
        self.last = message.end;
    }

    /// It must have left by then: its answer came.
    pub(super) fn left_by(&mut self, time: u64) {
        self.start = self.start.min(time);
        self.request_end = self.request_end.min(time);
    }

    /// More of the query was there than was captured.
    pub(super) fn more(&mut self, n: u64) {
        self.bytes += n;
        self.truncated = true;
    }

    /// A message of the response. Whether it was the last one: a zone transfer ends with the record that it began with, the
    /// zone's SOA (RFC 5936, 2.2), unless there is nothing to transfer (RFC 1995, 2 and 4).
    pub(super) fn answer(&mut self, message: &Message<'_>, header: Header, answer: &Answer, stream: bool) -> bool {
        let first = self.response.rcode.is_none();
        let response = &mut self.response;
        if first {
            (response.offset, response.first_byte) = (message.offset, message.start);
        }
        response.rcode = Some(answer.rcode);
        response.answers += u32::from(header.records[0]);
        response.authorities += answer.authorities;
        response.addresses = answer.addresses;
        response.tc |= header.is_truncated();
        response.truncated |= message.cut.is_some();
        response.bytes += message.size;
        response.end = message.end;
        self.last = message.end;
        // One SOA and no more is what a zone that has not changed has. A transfer may begin like this too, with the rest in
        // further messages: they will be known for what they are by their id.
        let alone = first && header.records[0] == 1 && answer.ends_with_authority;
        !self.transfer
            || !stream
            || answer.rcode != 0
            || header.records[0] == 0
            || alone
            || (response.authorities > 1 && answer.ends_with_authority)
    }

    /// Part of a response of many messages has come.
    pub(super) fn is_answered_in_part(&self) -> bool {
        self.response.rcode.is_some()
    }

    /// The exchange, which ended at `end` unless the response did.
    pub(super) fn exchange(&self, outcome: Outcome, end: u64, cx: &mut Context<'_>) -> Exchange {
        let response = &self.response;
        let answered = outcome == Outcome::Answered;
        let status = match response.rcode {
            Some(rcode) => Status::Word(cx.domains.rcode(rcode, cx.names)),
            None => Status::Unknown,
        };
        let attributes = Attributes {
            question: self.asked.name,
            addresses: response.addresses,
            answers: response.answers,
            attempts: self.attempts,
            tc: response.tc,
            failed: response.rcode.is_some_and(|rcode| rcode != 0),
            reversed: self.key.reversed,
        };
        Exchange {
            operation: self.asked.operation,
            status,
            outcome,
            truncated: self.truncated || response.truncated,
            blocking: false,
            start: self.start,
            arrival: self.arrival,
            request_end: self.request_end,
            first_byte: response.first_byte,
            end: if answered { response.end } else { end },
            request_bytes: self.bytes,
            response_bytes: response.bytes,
            request_offset: self.offset,
            response_offset: response.offset,
            attributes: crate::Attributes::Dns(attributes),
        }
    }
}
