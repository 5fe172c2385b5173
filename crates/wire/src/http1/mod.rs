//! HTTP/1.0 and HTTP/1.1: RFC 9112 (framing) and RFC 9110 (meaning).
//!
//! Read are the request line, the status line and the fields that frame a message or name its target
//! (Content-Length, Transfer-Encoding, Host, Expect, traceparent). Everything else is skipped, bodies by their length.
//!
//! ```text
//! request pieces  --> Requests  --[ Request ]--> Fifo
//!                        | body still open         | claim
//!                        v                         v
//! response pieces --> Responses --[ Answer ]--> Exchange
//! ```
//!
//! A direction is *in step* while it is known where its next message begins. Bytes that are missing where the framing
//! needs them put it out of step (`At::Cut`), and so does nonsense (`At::Garbage`). Requests come into step again where
//! a turn begins like a request, responses where [`Fifo::is_boundary`] says so and the bytes agree. What is seen between
//! is never paired by guess; it is counted.
//!
//! One case cannot be told from the bytes: a request that was missed in a pipeline, is still unanswered when the next
//! turn begins, and is answered exactly there. Its response is then taken for the next one's. It takes a gap in the
//! requests and pipelining across turns at once.

mod answer;
mod attributes;
mod body;
mod head;
mod infer;
mod lines;
mod request;
mod response;
mod route;
mod routing;
mod rules;
mod segment;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use attributes::REASONS;
pub use attributes::{Attributes, Method};
pub use routing::Routing;
pub use rules::{RuleError, Rules};

use crate::parser::{Begin, Parser};
use crate::{Context, Cut, Direction, End, Fifo, Names, Outcome, Piece, State, Transport};
use answer::Answer;
pub(crate) use infer::infer;
use request::{Request, Requests};
use response::Responses;
use routing::Routes;
use std::sync::Arc;
use steth_ledger::Lost;

/// So many messages in a row that make no sense, and this is not HTTP.
const MISINFERRED: u8 = 5;

/// Where one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum At {
    /// The agent came in the middle: in step as soon as a message begins.
    #[default]
    Join,
    /// Between messages.
    Start,
    /// In the first line of a head.
    Line,
    /// In the lines behind it.
    Fields,
    /// In a body.
    Body,
    /// Out of step: bytes are missing.
    Cut(Cut),
    /// Out of step: the bytes made no sense.
    Garbage,
}

/// What becomes of exchanges that will not be completed.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Outcome(Outcome),
    Lost(Lost),
}

/// One HTTP/1 connection.
#[derive(Debug, Default)]
pub struct Session {
    fifo: Fifo<Request>,
    requests: Requests,
    responses: Responses,
    /// Answered, but the request's body has not ended yet (RFC 9112 §9.3: a server may answer early). It is reported
    /// when that body ends, so that the sizes are right.
    held: Option<Box<Answer>>,
    nonsense: u8,
    over: Over,
    #[cfg(test)]
    audit: Audit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Over {
    #[default]
    No,
    Upgraded,
    Misinferred,
}

/// The other side of the ledger's identity, for tests: `begun + orphans = reported + lost`.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
struct Audit {
    begun: u64,
    orphans: u64,
}

impl Begin for Session {
    fn new(_: Transport) -> Self {
        Self::default()
    }

    /// A connection to a service, which is known by these bytes: it has its share of `names`.
    fn to_service(_: Transport, service: &[u8], routing: &Arc<Routing>, names: &mut Names) -> Self {
        let mut session = Self::default();
        session.requests.serve(Routes::new(routing, service, names));
        session
    }
}

impl Parser for Session {
    #[inline]
    fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.over != Over::No {
            return;
        }
        match direction {
            Direction::Request => {
                self.request(piece, cx);
                self.requests.passed(piece);
            }
            Direction::Response => {
                self.response(piece, cx);
                self.responses.passed(piece);
            }
        }
        if self.nonsense >= MISINFERRED && self.over == Over::No {
            self.over = Over::Misinferred;
            self.give_up(Ending::Lost(Lost::Misinferred), piece.time, cx);
        }
    }

    /// One direction has ended in order: it completes a body that ends with the connection (RFC 9112 §6.3). The last
    /// byte's time stays the end of the response; `time` may be much later.
    fn shutdown(&mut self, direction: Direction, _time: u64, cx: &mut Context<'_>) {
        if direction == Direction::Response && self.responses.ends_with_connection() {
            self.finish_at_last_byte(Outcome::Answered, cx);
            self.responses.at = At::Start;
        }
    }

    /// The connection is gone: whatever is outstanding becomes a record or a counted loss.
    fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        if end == End::Closed {
            self.shutdown(Direction::Response, time, cx);
        }
        let ending = match end {
            End::Closed => Ending::Outcome(Outcome::Unanswered),
            End::Reset => Ending::Outcome(Outcome::Reset),
            End::TimedOut => Ending::Outcome(Outcome::Timeout),
            End::Evicted => Ending::Lost(Lost::Evicted),
        };
        self.give_up(ending, time, cx);
    }

    fn state(&self) -> State {
        match self.over {
            Over::No => State::Parsing,
            Over::Upgraded => State::Opaque,
            Over::Misinferred => State::Misinferred,
        }
    }

    /// Requests that wait for their response, or for its end.
    fn pending(&self) -> usize {
        let current = self.responses.current.as_ref().is_some_and(|answer| answer.request.is_some());
        self.fifo.len() + usize::from(current) + usize::from(self.held.is_some())
    }

    fn in_step(&self) -> bool {
        let known = |at| !matches!(at, At::Cut(_) | At::Garbage);
        known(self.responses.at) && known(self.requests.at) && self.requests.untrusted.is_none()
    }
}

impl Session {
    /// The request that began at this position, wherever it is by now.
    fn find(&mut self, offset: u64) -> Option<&mut Request> {
        let Self { fifo, responses, held, .. } = self;
        // The newest request is the only one that anybody looks for.
        [
            fifo.back_mut(),
            responses.current.as_mut().and_then(|a| a.request.as_mut()),
            held.as_mut().and_then(|a| a.request.as_mut()),
        ]
        .into_iter()
        .flatten()
        .find(|request| request.offset == offset)
    }

    /// The request whose body was open is over, or nothing more will be known of it: its sizes go to where it is.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if let Some(open) = self.requests.open.take() {
            if let Some(request) = self.find(open.offset) {
                request.bytes = open.position.saturating_sub(open.offset);
                request.end = open.time;
                request.size = open.size;
            }
            if let Some(answer) = self.held.take() {
                answer.report(cx);
            }
        }
    }

    /// Nothing more will come.
    fn give_up(&mut self, ending: Ending, time: u64, cx: &mut Context<'_>) {
        self.request_head_cut(Cut::Skipped, cx);
        self.settle(cx);
        self.requests.reset();
        let lost_end = self.responses.at == At::Cut(Cut::Skipped);
        match (&self.responses.current, ending) {
            (None, _) => {}
            // Its end was among the skipped bytes, or it was not; either way the last byte is the best that is known.
            (Some(_), Ending::Outcome(Outcome::Unanswered) | Ending::Lost(Lost::Evicted)) if lost_end => {
                self.finish_at_last_byte(Outcome::Answered, cx);
            }
            (Some(_), Ending::Outcome(outcome)) => {
                let position = self.responses.position;
                self.finish(outcome, time, position, cx);
            }
            (Some(_), Ending::Lost(reason)) => self.lose_current(reason, cx),
        }
        let (position, last) = (self.responses.position, self.responses.last);
        let (cut, hole) = (self.fifo.responses_cut(), self.responses.hole);
        for request in self.fifo.drain() {
            // Bytes came since it was sent, and its response may have been among those that are missing.
            let maybe = cut.filter(|_| request.not_before < position);
            match (ending, maybe) {
                (Ending::Lost(reason), _) => cx.lose(reason),
                (_, Some(Cut::Lost)) => cx.lose(hole),
                (_, Some(Cut::Skipped)) => Answer::passed_over(request, last).report(cx),
                (Ending::Outcome(outcome), None) => Answer::none(request, outcome, time).report(cx),
            }
        }
        self.responses.reset();
    }
}
