//! A response on its way to become a record.

use super::request::Request;
use crate::{Attributes, Context, Outcome, Status};
use steth_ledger::Lost;

/// A response, from its first byte to its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// None: the request was not seen.
    pub(super) request: Option<Request>,
    /// How that is counted, once it is certain that this is a response.
    pub(super) orphan: Option<Lost>,
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    /// Position of the first byte of the first head, be it an interim one.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) size: Option<u64>,
    /// Time of the first byte of the *final* response: an interim one (100, 103) costs the server nothing, so it says
    /// nothing about how long the server took.
    pub(super) first_byte: u64,
    pub(super) end: u64,
    pub(super) truncated: bool,
    /// A stream of events.
    pub(super) waits: bool,
}

impl Answer {
    /// The answer to a request, of which nothing is known yet.
    fn to(request: Request) -> Self {
        Self {
            request: Some(request),
            orphan: None,
            outcome: Outcome::Answered,
            status: None,
            offset: 0,
            bytes: 0,
            size: None,
            first_byte: 0,
            end: 0,
            truncated: false,
            waits: false,
        }
    }

    /// No response came.
    pub(super) fn none(request: Request, outcome: Outcome, end: u64) -> Self {
        Self { outcome, end, ..Self::to(request) }
    }

    /// The response came among bytes that were skipped. `last` is when the last of them passed, which for the last
    /// request before a turn is the end of its response, and for earlier ones the latest it can have been.
    pub(super) fn passed_over(request: Request, last: u64) -> Self {
        Self { end: last.max(request.end), truncated: true, ..Self::to(request) }
    }

    /// Hands the exchange out.
    pub(super) fn report(&self, cx: &mut Context<'_>) {
        let Some(request) = &self.request else { return };
        let mut exchange = request.exchange();
        exchange.outcome = self.outcome;
        exchange.status = self.status.map_or(Status::Unknown, Status::Code);
        exchange.truncated |= self.truncated;
        exchange.blocking |= self.waits;
        exchange.first_byte = self.first_byte;
        exchange.end = self.end;
        exchange.response_bytes = self.bytes;
        exchange.response_offset = self.offset;
        if let Attributes::Http1(http) = &mut exchange.attributes {
            http.response_size = self.size;
        }
        cx.report(exchange);
    }
}
