//! MySQL and MariaDB.
//!
//! Specification: "MySQL Internals, Client/Server Protocol" (dev.mysql.com, source documentation, PAGE_PROTOCOL), and
//! MariaDB's "Clients & Utilities, Server Client Protocol", with what mariadbd 10.11 sends where they are silent.
//!
//! * `packet`: the framing of both directions;
//! * `handshake`: greeting and handshake response;
//! * `command`: the commands, and how each is answered;
//! * `request`: the request direction, up to a named `Request`;
//! * `prepared`: which statement an EXECUTE means;
//! * `reply`: how an answer goes on, and what it said;
//! * `asking`: where a command begins, and whether it waits for an answer;
//! * `answering`: which answer is whose, and what it changes;
//! * `late`: whether a connection older than the agent is compressed;
//! * `frames`: the compressed protocol, whose frames are unpacked for all of the above;
//! * `gap`: what becomes of requests and answers across a gap, and at the end.
//!
//! A command begins with sequence number 0, and its answer goes on with the next. So a packet tells by its number whether
//! it can begin a command or an answer: the greeting and what a server says by itself have 0, too, but come from it.
//! COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA and COM_QUIT have no answer. What the client says in the middle of an answer (in a
//! login, or for LOAD DATA LOCAL) belongs to the request that the answer is for.
//!
//! Whether backslashes escape in a text is in the status flags of the answer before it (SERVER_STATUS_NO_BACKSLASH_ESCAPES), by
//! which clients, too, write their strings. It is not known before the first one, for what is sent before the last answer
//! has come, and for texts of several statements. ANSI_QUOTES is never known: no flag tells of it.
//!
//! A login is an exchange, `CONNECT`, from the client's first packet to the server's OK or ERR. Behind an SSLRequest and
//! COM_BINLOG_DUMP the connection is opaque. Of texts only the digest leaves, of parameters and rows nothing, of a login the
//! schema. Which of the two servers it is, is known from the greeting; without one it is called MySQL.

mod answering;
mod asking;
mod attributes;
mod command;
mod frames;
mod gap;
mod handshake;
mod infer;
mod late;
mod packet;
mod prepared;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;
#[cfg(test)]
pub(crate) use attributes::{ERRORS, MARIADB_ERRORS};

use crate::http1::Routing;
use crate::parser::{Begin, Parser};
use crate::sql::Own;
use crate::{Bytes, Context, Cut, Direction, End, Fifo, Name, Names, Outcome, Piece, State, Transport};
use attributes::{Answer, Place, exchange};
use frames::Frames;
use handshake::Handshake;
pub(crate) use infer::infer;
use late::Held;
use packet::{Packets, Run};
use prepared::Prepared;
use reply::Replies;
use request::{Commands, Request};
use std::sync::Arc;

/// Messages in a row that make no sense, after which this is not MySQL.
const STRIKES: u8 = 5;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is known.
    Start,
    /// The server has greeted; the client's next packet is its handshake response.
    Greeted,
    /// Commands.
    Commands,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    commands: Commands,
    /// The responses' framing.
    packets: Packets,
    replies: Replies,
    fifo: Fifo<Request>,
    /// The request whose answer is in progress, or was when the responses were cut; it is ahead of all in `fifo`.
    answering: Option<Request>,
    /// As much of its answer as has come.
    answer: Answer,
    /// Framing of the responses is unknown.
    deaf: bool,
    /// The client speaks within the answer in progress.
    dialogue: bool,
    /// Requests behind the last one in `fifo`, which was full: counted, and their answers are nobody's.
    unheld: u64,
    /// Position behind the last response byte that passed, and its time.
    passed: (u64, u64),
    /// The command in progress was taken for pending, and its length is not known.
    open_end: bool,
    state: State,
    strikes: [u8; 2],
    phase: Phase,
    handshake: Handshake,
    prepared: Prepared,
    /// The first bytes of a connection older than the agent, until it is known whether they are a frame's.
    held: Option<Box<Held>>,
    /// The compressed protocol, once it has begun.
    frames: Option<Box<Frames>>,
    /// What names it may take.
    own: Own,
    /// Schema, once it is known.
    namespace: Name,
    /// `OK`, once it was needed.
    ok: Name,
    /// The client sends more while it waits for answers.
    overlaps: bool,
    /// When request bytes passed last.
    asked_at: u64,
    /// About the longest that an answer took lately.
    slowest: u64,
    /// A request was seen.
    joined: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            commands: Commands::default(),
            packets: Packets::default(),
            replies: Replies::default(),
            fifo: Fifo::default(),
            answering: None,
            answer: Answer::none(0),
            deaf: false,
            dialogue: false,
            unheld: 0,
            passed: (0, 0),
            open_end: false,
            state: State::Parsing,
            strikes: [0; 2],
            phase: Phase::Start,
            handshake: Handshake::default(),
            prepared: Prepared::default(),
            held: None,
            frames: None,
            own: Own::default(),
            namespace: Name::EMPTY,
            ok: Name::EMPTY,
            overlaps: false,
            asked_at: 0,
            slowest: 0,
            joined: false,
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
        if self.phase == Phase::Start && !self.joined && self.hold(direction, piece, cx) {
            return;
        }
        self.go_on(direction, piece, cx);
    }

    /// One direction has ended in order. Behind the responses' end nobody is answered any more.
    fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        self.let_go(cx);
        if direction == Direction::Response {
            self.settle(End::Closed, time, cx);
        }
    }

    fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.let_go(cx);
        self.settle(end, time, cx);
        if !self.commands.idle() {
            self.end_command(end, time, cx);
        }
    }

    fn state(&self) -> State {
        self.state
    }

    /// Requests that wait for their answer.
    fn pending(&self) -> usize {
        self.fifo.len() + usize::from(self.answering.is_some())
    }

    fn in_step(&self) -> bool {
        !self.deaf && self.commands.trust == request::Trust::Paired
    }
}

impl Session {
    fn go_on(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        let Piece { offset, opposite, time, arrival, turn, bytes } = *piece;
        let run = Run { offset, opposite, time, started: time, arrival, turn, frame_end: None };
        if let Some(mut frames) = self.frames.take() {
            frames.feed(direction, bytes, run, self, cx);
            self.frames = Some(frames);
        } else {
            let read = self.pass_on(direction, bytes, &run, cx);
            // Compression has begun in the middle of this piece.
            if let Bytes::Captured(all) = bytes
                && let Some(rest) = all.get(read..).filter(|rest| !rest.is_empty())
                && let Some(mut frames) = self.frames.take()
            {
                let run = Run { offset: offset + read as u64, turn: false, ..run };
                frames.feed(direction, Bytes::Captured(rest), run, self, cx);
                self.frames = Some(frames);
            }
        }
        match direction {
            Direction::Request => self.asked_at = time,
            Direction::Response => {
                self.passed = (offset + piece.len(), time);
                if self.deaf && self.answering.is_some() && self.fifo.is_empty() {
                    self.answer.extend(self.passed.0, time);
                }
            }
        }
    }

    /// Bytes of the protocol, out of a frame if it is compressed. Returns how many were read.
    #[inline]
    fn pass_on(&mut self, direction: Direction, bytes: Bytes<'_>, run: &Run, cx: &mut Context<'_>) -> usize {
        if self.state != State::Parsing {
            return 0;
        }
        match (direction, bytes) {
            (_, Bytes::Captured([]) | Bytes::Skipped(0) | Bytes::Lost(0)) => 0,
            (Direction::Request, bytes) => self.requests(bytes, run, cx),
            (Direction::Response, Bytes::Captured(bytes)) => self.responses(bytes, run, cx),
            (Direction::Response, Bytes::Skipped(n)) => self.responses_cut(n, Cut::Skipped, run, cx),
            (Direction::Response, Bytes::Lost(n)) => self.responses_cut(n, Cut::Lost, run, cx),
        }
    }

    #[cfg(test)]
    fn count_begun(&mut self) {
        self.commands.begun += 1;
    }

    #[inline]
    fn report(&mut self, request: &Request, answer: &Answer, outcome: Outcome, cx: &mut Context<'_>) {
        if self.ok == Name::EMPTY {
            self.ok = cx.names.intern(b"OK");
        }
        let place = Place { mariadb: self.handshake.mariadb, namespace: self.namespace, ok: self.ok };
        cx.report(exchange(request, answer, outcome, place));
    }
}
