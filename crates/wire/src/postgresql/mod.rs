//! PostgreSQL, protocol 3.
//!
//! Specification: "Frontend/Backend Protocol" of the PostgreSQL documentation, versions 3.0 and 3.2, with what PostgreSQL 15
//! does where it is silent.
//!
//! * `frame`: type, length and body, for both directions;
//! * `client`, `server`: the messages, and what of them is looked at; `said`: what the server's say;
//! * `prepared`: which statement a name stands for;
//! * `request`: what is kept of a request; `asking`: the client's messages made into requests;
//! * `pairing`: which reply is whose, and what it changes;
//! * `gap`: what becomes of requests and replies across a gap, and at the end.
//!
//! One exchange is
//!
//! * one statement of a simple query, told by its CommandComplete, EmptyQueryResponse or ErrorResponse. Statements behind
//!   an error are never run, and are no exchanges;
//! * one Execute, together with the Parse, Bind and Describe that lead to it. An error skips everything up to the next Sync:
//!   the Executes that it skips are exchanges whose outcome is [`Skipped`](crate::Outcome::Skipped);
//! * one Parse, Bind or Describe that failed and leads to no Execute;
//! * one function call, one start of a session (`CONNECT`), one cancellation (`CANCEL`, one-way).
//!
//! How strings are to be read, the server tells when a session begins, and when it changes (`standard_conforming_strings`).
//! It is not known on connections older than the agent, behind replies that were not captured, and for what is sent before the
//! last reply has come.
//!
//! An error that a Sync brings, when the implicit transaction commits, belongs to the Execute before it. Notices, settings
//! and notifications answer nobody. Behind an accepted SSLRequest or GSSENCRequest the connection is opaque, and so it is
//! in a replication stream (CopyBoth).

mod asking;
mod attributes;
mod client;
mod frame;
mod gap;
mod infer;
mod pairing;
mod prepared;
mod request;
mod said;
mod server;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;
#[cfg(test)]
pub(crate) use attributes::CONDITIONS;

use crate::http1::Routing;
use crate::parser::{Begin, Parser};
use crate::sql::{Dialect, Own, Reader, Syntax};
use crate::{Bytes, Context, Cut, Direction, End, Exchange, Fifo, Name, Names, Piece, State, Transport};
use asking::Open;
use attributes::{Answer, Naming};
use client::Message;
use frame::{Frames, Step};
use gap::Trust;
pub(crate) use infer::infer;
use prepared::Prepared;
use request::Request;
use said::Said;
use std::sync::Arc;

/// Messages in a row that make no sense, after which this is not PostgreSQL.
const STRIKES: u8 = 5;

/// The reply in progress.
#[derive(Debug, Default)]
struct Reply {
    active: bool,
    start: u64,
    first_byte: u64,
    /// DataRows.
    rows: u64,
}

/// One PostgreSQL connection.
#[derive(Debug)]
pub struct Session {
    client: Frames,
    server: Frames,
    message: Message,
    said: Said,
    prepared: Prepared,
    fifo: Fifo<Request>,
    /// Where more of the last execution goes.
    open: Open,
    trust: Trust,
    /// Request bytes were unreadable, rather than missing.
    garbage: bool,
    /// The next request to begin is the first one since the other direction moved.
    turn: bool,
    reply: Reply,
    /// What was seen of the reply to the oldest request before the gap in the responses.
    part: Option<Answer>,
    /// An error has occurred: everything up to the next Sync is skipped.
    skipping: bool,
    /// The request that it occurred in, if more of it may follow.
    failed: Option<Box<(Request, Answer)>>,
    /// The last exchange: what the next message says may be about it.
    held: Option<Exchange>,
    /// Exchanges from before it is known that no request was missed at the beginning.
    doubtful: Vec<Exchange>,
    /// That is known.
    sure: bool,
    /// A pipeline failed whose beginning may not have been seen, and with it the statement that failed.
    whose_error: bool,
    /// The server waits for copied data.
    copying: bool,
    /// A password was asked for, and did not come yet.
    challenged: bool,
    /// Framing of the responses is unknown.
    deaf: bool,
    /// The last message of the server was ReadyForQuery, or there was none.
    ready: bool,
    /// Position behind the last response byte that passed, and its time.
    passed: (u64, u64),
    state: State,
    strikes: [u8; 2],
    /// What names it may take.
    own: Own,
    /// Database, once it is known.
    namespace: Name,
    /// Whether backslashes escape in strings, once the server has told.
    escapes: Option<bool>,
    /// `OK`, once it was needed.
    ok: Name,
    /// The last command that was completed.
    tag: Name,
    /// The client sends more while it waits for replies.
    overlaps: bool,
    /// When request bytes passed last.
    asked_at: u64,
    /// About the longest that a reply took lately.
    slowest: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            client: Frames::default(),
            server: Frames::default(),
            message: Message::default(),
            said: Said::default(),
            prepared: Prepared::default(),
            fifo: Fifo::default(),
            open: Open::Nowhere,
            trust: Trust::Paired,
            garbage: false,
            turn: false,
            reply: Reply::default(),
            part: None,
            skipping: false,
            failed: None,
            held: None,
            doubtful: Vec::new(),
            sure: false,
            whose_error: false,
            copying: false,
            challenged: false,
            deaf: false,
            ready: true,
            passed: (0, 0),
            state: State::Parsing,
            strikes: [0; 2],
            own: Own::default(),
            namespace: Name::EMPTY,
            escapes: None,
            ok: Name::EMPTY,
            tag: Name::EMPTY,
            overlaps: false,
            asked_at: 0,
            slowest: 0,
        }
    }
}

impl Begin for Session {
    fn new(_: Transport) -> Self {
        Self::default()
    }

    /// A connection to a server, which is known by these bytes: it has its share of `names`.
    fn to_service(_: Transport, service: &[u8], _: &Arc<Routing>, names: &mut Names) -> Self {
        Self { own: Own::of(service, names), ..Self::default() }
    }
}

impl Parser for Session {
    #[inline]
    fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.state != State::Parsing {
            return;
        }
        match direction {
            Direction::Request => {
                self.requests(piece, cx);
                self.asked_at = piece.time;
            }
            Direction::Response => {
                self.responses(piece, cx);
                self.passed = (piece.offset + piece.len(), piece.time);
            }
        }
    }

    /// One direction has ended in order. Behind the responses' end nobody is answered any more; behind the requests' end
    /// all may be.
    fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        if direction == Direction::Response {
            self.settle(End::Closed, time, cx);
        }
    }

    fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.settle(end, time, cx);
        self.end_message(end, time, cx);
    }

    fn state(&self) -> State {
        self.state
    }

    /// Requests that wait for their reply, or for it to be certain that it was theirs.
    fn pending(&self) -> usize {
        let uncertain = if self.sure { 0 } else { self.doubtful.len() + usize::from(self.held.is_some()) };
        self.fifo.len() + uncertain
    }

    fn in_step(&self) -> bool {
        !self.deaf && self.trust == gap::Trust::Paired && !self.whose_error
    }
}

impl Session {
    fn requests(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if piece.turn {
            self.turn = self.client.idle() && (!self.deaf || self.is_calm(piece));
        }
        match piece.bytes {
            Bytes::Captured([]) => {}
            Bytes::Captured(bytes) => {
                if self.trust != Trust::Paired && !self.requests_go_on(piece, bytes, cx) {
                    return;
                }
                let mut at = 0;
                while self.state == State::Parsing {
                    if let Some(body) = self.client.whole(bytes, &mut at, piece, client::rule) {
                        let message = if body.is_empty() { Message::default() } else { self.look(body, cx) };
                        self.sent(message, piece.offset + at as u64, piece.time, cx);
                        continue;
                    }
                    if at == bytes.len() && self.client.idle() {
                        break;
                    }
                    match self.client.read(bytes, &mut at, piece, client::rule) {
                        Step::More => break,
                        Step::Look(body) => self.message = self.look(body, cx),
                        Step::Kept => {
                            let kept = self.client.take_kept();
                            self.message = self.look(&kept, cx);
                        }
                        Step::End => {
                            let message = std::mem::take(&mut self.message);
                            self.sent(message, piece.offset + at as u64, piece.time, cx);
                        }
                        Step::Bad => return self.bad_request(cx),
                    }
                }
            }
            Bytes::Skipped(n) => self.requests_cut(n, Cut::Skipped, piece, cx),
            Bytes::Lost(n) => self.requests_cut(n, Cut::Lost, piece, cx),
        }
    }

    #[inline]
    fn look(&mut self, body: &[u8], cx: &mut Context<'_>) -> Message {
        // What is under way may change it.
        let escapes = self.escapes.filter(|_| self.fifo.is_empty() && !self.deaf);
        Message::read(self.client.kind, body, self.client.is_whole(body), self.reader(escapes), cx)
    }

    /// How texts are read. `escapes`: see [`Syntax`].
    #[inline]
    fn reader(&self, escapes: Option<bool>) -> Reader {
        Reader { syntax: Syntax { dialect: Dialect::Postgresql, escapes }, own: self.own }
    }

    #[inline]
    fn hear(&mut self, body: &[u8], cx: &mut Context<'_>) -> Said {
        let said = Said::read(self.server.kind, body, self.tag, cx.names);
        if self.server.kind == b'C' {
            self.tag = said.tag;
        }
        said
    }

    /// Whether what was asked before is answered by now, though nobody saw it: a client that does not wait for its
    /// replies has been silent for longer than replies take on this connection.
    fn is_calm(&self, piece: &Piece<'_>) -> bool {
        !self.overlaps || piece.time.saturating_sub(self.asked_at) > 2 * self.slowest
    }

    fn responses(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        match piece.bytes {
            Bytes::Captured([]) => {}
            Bytes::Captured(bytes) => {
                if self.deaf && !self.responses_go_on(piece, bytes, cx) {
                    return;
                }
                let mut at = 0;
                while self.state == State::Parsing && !self.deaf {
                    if self.server.idle() && self.answers_with_a_byte(bytes, &mut at, piece) {
                        continue;
                    }
                    if let Some(body) = self.server.whole(bytes, &mut at, piece, server::rule) {
                        let said = if body.is_empty() { Said::default() } else { self.hear(body, cx) };
                        self.received(said, piece.offset + at as u64, piece.time, cx);
                        if self.server.kind == b'D' {
                            self.reply.rows += self.server.pass(bytes, &mut at, b'D', server::ROW);
                        }
                        continue;
                    }
                    if at == bytes.len() && self.server.idle() {
                        break;
                    }
                    match self.server.read(bytes, &mut at, piece, server::rule) {
                        Step::More => break,
                        Step::Look(body) => self.said = self.hear(body, cx),
                        Step::Kept => {
                            let kept = self.server.take_kept();
                            self.said = self.hear(&kept, cx);
                        }
                        Step::End => {
                            let said = std::mem::take(&mut self.said);
                            self.received(said, piece.offset + at as u64, piece.time, cx);
                        }
                        Step::Bad => self.out_of_step(cx),
                    }
                }
            }
            Bytes::Skipped(n) => self.responses_cut(n, Cut::Skipped, piece, cx),
            Bytes::Lost(n) => self.responses_cut(n, Cut::Lost, piece, cx),
        }
    }

    /// What records of this connection are made with.
    #[inline]
    fn naming(&mut self, cx: &mut Context<'_>) -> Naming {
        if self.ok == Name::EMPTY {
            self.ok = cx.names.intern(b"OK");
        }
        Naming { namespace: self.namespace, ok: self.ok }
    }

    /// An exchange is complete, but for what the next message may add.
    #[inline]
    fn hold(&mut self, exchange: Exchange, cx: &mut Context<'_>) {
        self.slowest = (self.slowest - self.slowest / 64).max(exchange.end.saturating_sub(exchange.start));
        self.release(cx);
        self.held = Some(exchange);
    }

    /// Nothing more will be said about the last exchange.
    #[inline]
    fn release(&mut self, cx: &mut Context<'_>) {
        if let Some(exchange) = self.held.take() {
            if self.sure {
                cx.report(exchange);
            } else {
                self.doubtful.push(exchange);
                // Nobody waits with so much unanswered: nothing was missed.
                if self.doubtful.len() >= gap::DOUBTFUL {
                    self.believe(cx);
                }
            }
        }
    }

    /// No request was missed at the beginning.
    fn believe(&mut self, cx: &mut Context<'_>) {
        self.sure = true;
        for exchange in std::mem::take(&mut self.doubtful) {
            cx.report(exchange);
        }
    }
}
