//! Redis: RESP2, RESP3 and inline commands.
//!
//! Specification: "Redis serialization protocol specification" and "Redis Pub/Sub" (redis.io/docs), with what
//! redis-server 7 sends where they are silent.
//!
//! * `resp`: lines, numbers, payloads of known length;
//! * `command`: the request direction, up to a `Request`;
//! * `reply`: the response direction, all types, up to what it `said`;
//! * `kind`: what a command word says about its reply;
//! * `pairing`: which reply is whose, and what it changes;
//! * `gap`: what becomes of requests and replies across a gap, and at the end.
//!
//! A command has one reply, in order, with these exceptions: pushes and pub/sub messages answer nobody; SUBSCRIBE and
//! its like are answered by the first of their confirmations; what MONITOR shows are pushes; CLIENT REPLY OFF and SKIP
//! suppress replies; behind PSYNC the connection is a replication stream. A command between MULTI and EXEC is `QUEUED`, which is
//! no error and no success; EXEC has the first error among what they said, and how many there were.
//!
//! Values are never looked at, and arguments only where listed in `command`: passwords and keys stay on the wire.

mod attributes;
mod command;
mod gap;
mod infer;
mod kind;
mod pairing;
mod reply;
mod request;
mod resp;
mod said;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;

use crate::http1::Routing;
use crate::parser::{Begin, Parser};
use crate::{Bytes, Context, Cut, Direction, End, Fifo, Name, Names, Outcome, Piece, ShareOf, State, Transport};
use attributes::{Answer, exchange};
use command::{Commands, Shares, Trust};
pub(crate) use infer::infer;
use kind::{Kind, Verb};
use reply::Replies;
use request::{Mode, Request};
use resp::Progress;
use said::{First, Seen};
use std::sync::Arc;
use steth_ledger::Lost;

/// Messages in a row that make no sense, after which this is not Redis.
const STRIKES: u8 = 5;

/// Words that the server did not know, after which a connection's commands are named only if they are special to us.
const UNKNOWN: u8 = 16;

/// One Redis connection.
#[derive(Debug)]
pub struct Session {
    commands: Commands,
    replies: Replies,
    fifo: Fifo<Request>,
    /// The request whose reply begins where the responses came into step again; it is ahead of all in `fifo`.
    claimed: Option<Request>,
    /// What was seen of the reply to the oldest request before the gap in the responses.
    held: Option<Answer>,
    /// Framing of the responses is unknown.
    deaf: bool,
    /// Requests behind the last one in `fifo`, which was full: counted, and their replies answer nobody.
    unheld: u64,
    /// Position behind the last response byte that passed, and its time.
    passed: (u64, u64),
    /// The command in progress was taken for pending, and its length is not known.
    open_end: bool,
    state: State,
    strikes: [u8; 2],
    unknown: u8,
    /// CLIENT REPLY.
    mode: Mode,
    /// Database, once it is known.
    namespace: Name,
    /// `OK`, once it was needed.
    ok: Name,
    /// The client sends more while it waits for replies.
    overlaps: bool,
    /// When request bytes passed last.
    asked_at: u64,
    /// About the longest that a reply took lately.
    slowest: u64,
    /// A request was seen.
    joined: bool,
    monitor: bool,
    /// PSYNC or SYNC was sent.
    sync: bool,
    /// A pub/sub command was sent.
    pubsub: bool,
    /// There are subscriptions.
    subscribed: bool,
    /// Confirmations still to come for a pub/sub command that is answered already.
    owed: u32,
    owed_for: Verb,
    /// Something was confirmed that nobody was seen to ask for.
    unasked: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            commands: Commands::default(),
            replies: Replies::default(),
            fifo: Fifo::default(),
            claimed: None,
            held: None,
            deaf: false,
            unheld: 0,
            passed: (0, 0),
            open_end: false,
            state: State::Parsing,
            strikes: [0; 2],
            unknown: 0,
            mode: Mode::On,
            namespace: Name::EMPTY,
            ok: Name::EMPTY,
            overlaps: false,
            asked_at: 0,
            slowest: 0,
            joined: false,
            monitor: false,
            sync: false,
            pubsub: false,
            subscribed: false,
            owed: 0,
            owed_for: Verb::Subscribe,
            unasked: false,
        }
    }
}

/// Names of commands and errors of one server. Redis has about 400 commands, in two cases; modules have more.
const WORDS: u32 = 1500;

/// Scripts and functions of one server that are told apart.
const PROCEDURES: u32 = 200;

impl Begin for Session {
    fn new(_: Transport) -> Self {
        Self::default()
    }

    /// A connection to a server, which is known by these bytes: it has its share of `names`.
    fn to_service(_: Transport, service: &[u8], _: &Arc<Routing>, names: &mut Names) -> Self {
        let mut session = Self::default();
        let words = names.share(ShareOf::Commands, service, WORDS);
        let procedures = names.share(ShareOf::Clients, service, PROCEDURES);
        (session.commands.shares, session.replies.words) = (Shares { words, procedures }, words);
        session
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
        if !self.commands.idle() {
            self.end_command(end, time, cx);
        }
    }

    fn state(&self) -> State {
        self.state
    }

    /// Requests that wait for their reply.
    fn pending(&self) -> usize {
        self.fifo.len() + usize::from(self.claimed.is_some())
    }

    fn in_step(&self) -> bool {
        !self.deaf && self.commands.trust == Trust::Paired && !self.unasked
    }
}

impl Session {
    fn requests(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if piece.turn {
            self.turn(piece, cx);
        }
        let fold = self.unknown >= UNKNOWN;
        match piece.bytes {
            Bytes::Captured([]) => {}
            Bytes::Captured(bytes) => {
                if self.commands.trust != Trust::Paired && !self.requests_go_on(piece, bytes, cx) {
                    return;
                }
                let mut at = 0;
                loop {
                    match self.commands.read(bytes, &mut at, piece, fold, cx.names) {
                        Progress::More => break,
                        Progress::Done => self.command(cx),
                        Progress::Bad => return self.bad_request(cx),
                    }
                }
            }
            Bytes::Skipped(n) => self.requests_cut(n, Cut::Skipped, piece, cx),
            Bytes::Lost(n) => self.requests_cut(n, Cut::Lost, piece, cx),
        }
    }

    /// A turn begins: the reply to the first command in it begins where the responses are now, unless another reply is
    /// still to come.
    #[inline]
    fn turn(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.deaf {
            if self.unheld > 0 {
                self.abandon_pending(cx);
            }
            self.commands.turn = self.commands.idle() && self.is_calm(piece);
        } else {
            let alone = self.pending() == 0 && !self.replies.active;
            self.overlaps |= !alone;
            self.commands.turn = self.commands.idle() && alone;
        }
    }

    /// Whether what was asked before is answered by now, though nobody saw it: a client that does not wait for its
    /// replies has been silent for longer than replies take on this connection.
    fn is_calm(&self, piece: &Piece<'_>) -> bool {
        !self.overlaps || piece.time.saturating_sub(self.asked_at) > 2 * self.slowest
    }

    /// A command is complete.
    #[inline]
    fn command(&mut self, cx: &mut Context<'_>) {
        self.joined = true;
        self.strikes[0] = 0;
        let request = self.commands.current;
        if self.commands.trust == Trust::Counted {
            return cx.lose(Lost::Hole);
        }
        if self.commands.mode.is_some() || self.mode != Mode::On {
            let mode = self.commands.mode.take();
            if self.is_silent(mode, request.named.kind) {
                // No reply byte: the next command may still begin the turn.
                self.commands.turn |= request.turn;
                self.make_name(cx);
                let answer = Answer::none(request.end);
                return cx.report(exchange(&request, self.namespace, &answer, Outcome::OneWay, self.ok));
            }
        }
        self.push(request, cx);
    }

    #[inline]
    fn push(&mut self, request: Request, cx: &mut Context<'_>) {
        match request.named.kind {
            Kind::PubSub(_) => self.pubsub = true,
            Kind::Sync => self.sync = true,
            _ => {}
        }
        if self.unheld > 0 || !self.fifo.has_room() {
            self.unheld += 1;
            return cx.lose(Lost::Evicted);
        }
        let (not_before, turn) = (request.not_before, request.turn);
        if self.fifo.push(request, not_before, turn).is_err() {
            cx.lose(Lost::Evicted);
        }
    }

    /// "CLIENT REPLY": whether this command has no reply.
    #[cold]
    fn is_silent(&mut self, mode: Option<Mode>, kind: Kind) -> bool {
        let before = self.mode;
        self.mode = match (mode, before) {
            (Some(Mode::On), _) | (None, Mode::Skip) => Mode::On,
            (Some(Mode::Off), _) | (_, Mode::Off) => Mode::Off,
            (Some(Mode::Skip), _) => Mode::Skip,
            (None, Mode::On) => Mode::On,
        };
        if kind == Kind::Reset {
            self.mode = Mode::On;
            return false;
        }
        mode != Some(Mode::On) && (mode.is_some() || before != Mode::On)
    }

    fn responses(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        match piece.bytes {
            Bytes::Captured([]) => {}
            Bytes::Captured(bytes) => {
                if self.deaf && !self.responses_go_on(piece, bytes, cx) {
                    return;
                }
                let mut at = 0;
                loop {
                    if self.sync && !self.replies.active {
                        self.replies.sync = self.oldest().is_some_and(|request| request.named.kind == Kind::Sync);
                    }
                    match self.replies.read(bytes, &mut at, piece, cx.names) {
                        Progress::More => break,
                        Progress::Done => self.reply(cx),
                        Progress::Bad => return self.bad_reply(cx),
                    }
                    if self.state != State::Parsing {
                        break;
                    }
                }
            }
            Bytes::Skipped(n) => self.responses_cut(n, Cut::Skipped, piece, cx),
            Bytes::Lost(n) => self.responses_cut(n, Cut::Lost, piece, cx),
        }
    }

    /// A reply is complete.
    #[inline]
    fn reply(&mut self, cx: &mut Context<'_>) {
        self.strikes[1] = 0;
        if !self.is_push() {
            let plain = self.replies.first == First::Other && matches!(self.replies.seen, Seen::Fine | Seen::Ok);
            if self.pubsub && plain && matches!(self.asked(), Some(Kind::PubSub(_))) {
                // No confirmation: it answers a command that was not seen.
                return self.bad_reply(cx);
            }
            let end = self.replies.end;
            if let Some(request) = self.claim(cx) {
                let outcome = self.apply(&request, self.replies.seen, cx);
                if !request.blocking {
                    self.slowest = (self.slowest - self.slowest / 64).max(end.saturating_sub(request.start));
                }
                self.make_name(cx);
                let answer = Answer::of(&request, &self.replies);
                cx.report(exchange(&request, self.namespace, &answer, outcome, self.ok));
            }
        }
        self.replies.clear();
    }

    #[inline]
    fn make_name(&mut self, cx: &mut Context<'_>) {
        if self.ok == Name::EMPTY {
            self.ok = cx.names.intern(b"OK");
        }
    }
}
