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
//! * `answering`: which answer is whose, and what it changes;
//! * `frames`: the compressed protocol, whose frames are unpacked for all of the above;
//! * `gap`: what becomes of requests and answers across a gap, and at the end.
//!
//! A command begins with sequence number 0, and its answer goes on with the next. So a packet tells by its number whether
//! it can begin a command or an answer: the greeting and what a server says by itself have 0, too, but come from it.
//! COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA and COM_QUIT have no answer. What the client says in the middle of an answer (in a
//! login, or for LOAD DATA LOCAL) belongs to the request that the answer is for.
//!
//! A login is an exchange, `CONNECT`, from the client's first packet to the server's OK or ERR. Behind an SSLRequest and
//! COM_BINLOG_DUMP the connection is opaque. Of texts only the digest leaves, of parameters and rows nothing, of a login the
//! schema. Which of the two servers it is, is known from the greeting; without one it is called MySQL.

mod answering;
mod attributes;
mod command;
mod frames;
mod gap;
mod handshake;
mod packet;
mod prepared;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;

use crate::{Bytes, Context, Cut, Direction, End, Fifo, Name, Outcome, Piece, State};
use attributes::{Answer, Place, exchange};
use command::{Command, Reply, want};
use frames::Frames;
use handshake::{Handshake, Response};
use packet::{Event, Packets, Run};
use prepared::Prepared;
use reply::Replies;
use request::{Commands, Request, Schema, Trust};
use steth_ledger::Lost;

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
    /// The compressed protocol, once it has begun.
    frames: Option<Box<Frames>>,
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
            frames: None,
            namespace: Name::EMPTY,
            ok: Name::EMPTY,
            overlaps: false,
            asked_at: 0,
            slowest: 0,
            joined: false,
        }
    }
}

impl Session {
    /// The next piece of one direction.
    #[inline]
    pub fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.state != State::Parsing {
            return;
        }
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

    /// One direction has ended in order. Behind the responses' end nobody is answered any more.
    pub fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        if direction == Direction::Response {
            self.settle(End::Closed, time, cx);
        }
    }

    /// The connection is gone.
    pub fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.settle(end, time, cx);
        if !self.commands.idle() {
            self.end_command(end, time, cx);
        }
    }

    /// Whether it still wants bytes.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Requests that wait for their answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.fifo.len() + usize::from(self.answering.is_some())
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

    #[inline]
    fn requests(&mut self, bytes: Bytes<'_>, run: &Run, cx: &mut Context<'_>) -> usize {
        self.end_perhaps(cx);
        if self.dialogue {
            if let Some(request) = &mut self.answering {
                request.end = run.time;
                request.bytes += match bytes {
                    Bytes::Captured(bytes) => bytes.len() as u64,
                    Bytes::Skipped(n) | Bytes::Lost(n) => n,
                };
            }
            return 0;
        }
        if run.turn {
            self.turn(run, cx);
        }
        match bytes {
            Bytes::Captured(bytes) => self.read_requests(bytes, run, cx),
            Bytes::Skipped(n) => self.requests_cut(n, Cut::Skipped, run, cx),
            Bytes::Lost(n) => self.requests_cut(n, Cut::Lost, run, cx),
        }
    }

    /// An answer that is complete unless an EOF follows: none does.
    #[inline]
    fn end_perhaps(&mut self, cx: &mut Context<'_>) {
        if self.replies.verdict == reply::Verdict::Perhaps && self.packets.idle() {
            self.reply(cx);
        }
    }

    fn read_requests(&mut self, bytes: &[u8], run: &Run, cx: &mut Context<'_>) -> usize {
        if self.commands.trust != Trust::Paired && !self.requests_go_on(run, bytes, cx) {
            return 0;
        }
        let mut at = 0;
        while self.state == State::Parsing {
            let login = self.commands.current.command == Command::CONNECT;
            let enough = |first| if login { handshake::WANT } else { want(first) };
            match self.commands.packets.next(bytes, &mut at, run, enough) {
                Event::More => break,
                Event::Begun => {
                    if !self.begin_command(cx) {
                        break;
                    }
                }
                Event::Head => {
                    if !self.name_command(bytes, cx) {
                        break;
                    }
                }
                Event::End => {
                    self.commands.current.extend(run.behind(at as u64), run.time);
                    self.command(cx);
                }
            }
        }
        at
    }

    /// A turn begins: the answer to the first command in it begins where the responses are now, unless another answer is
    /// still to come.
    #[inline]
    fn turn(&mut self, run: &Run, cx: &mut Context<'_>) {
        if self.deaf {
            if self.unheld > 0 {
                self.abandon_pending(cx);
            }
            self.commands.turn = self.commands.idle() && self.is_calm(run);
        } else {
            let alone = self.pending() == 0 && self.packets.idle();
            self.overlaps |= !alone;
            self.commands.turn = self.commands.idle() && alone;
        }
    }

    /// Whether what was asked before is answered by now, though nobody saw it: a client that does not wait for its
    /// answers has been silent for longer than answers take on this connection.
    fn is_calm(&self, run: &Run) -> bool {
        !self.overlaps || run.time.saturating_sub(self.asked_at) > 2 * self.slowest
    }

    /// A packet's header is complete. Whether it begins a command.
    fn begin_command(&mut self, cx: &mut Context<'_>) -> bool {
        let packets = &self.commands.packets;
        let login = packets.sequence == 1
            && match self.phase {
                Phase::Greeted => true,
                // The greeting was not seen.
                Phase::Start => !self.joined && packets.length >= 32,
                Phase::Commands => false,
            };
        if !login && packets.sequence != 0 {
            // The client says something within an answer that was not seen.
            self.requests_unknown(cx);
            return false;
        }
        #[cfg(test)]
        self.count_begun();
        if !login && self.phase == Phase::Greeted {
            // The login was not seen.
            self.logged_in();
        }
        let turn = std::mem::take(&mut self.commands.turn);
        let command = if login { Command::CONNECT } else { Command::UNSEEN };
        self.commands.current = Request::begin(command, &self.commands.packets.start, turn);
        if !login && self.commands.packets.length == 0 {
            self.bad_request(cx);
            return false;
        }
        true
    }

    /// As much of a command as is wanted has come. Whether it is one.
    fn name_command(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let Session { commands: Commands { packets, current, .. }, prepared, handshake, .. } = self;
        let head = packets.head(bytes);
        if current.command == Command::CONNECT {
            current.operation = cx.names.intern(b"CONNECT");
            match handshake.response(head, packets.length) {
                Response::Tls => {
                    current.extend(packets.start.behind(4 + u64::from(packets.length)), packets.start.time);
                    self.stream(cx);
                    return false;
                }
                Response::Login(schema) => {
                    current.schema = schema.map_or(Schema::Same, |name| request::schema(name, cx));
                }
            }
            return true;
        }
        if head.first().is_some_and(|&byte| !Command(byte).is_sent()) {
            self.bad_request(cx);
            return false;
        }
        let whole = head.len() as u64 == u64::from(packets.length);
        current.name(head, whole, packets.cut, prepared, cx);
        true
    }

    /// The connection carries something else from here on.
    #[cold]
    fn stream(&mut self, cx: &mut Context<'_>) {
        let request = self.commands.current;
        self.commands.packets.abandon();
        self.state = State::Opaque;
        if self.commands.trust == Trust::Counted {
            return cx.lose(Lost::Hole);
        }
        let answer = Answer::none(request.end);
        self.report(&request, &answer, Outcome::Upgraded, cx);
    }

    /// A command is complete.
    #[inline]
    fn command(&mut self, cx: &mut Context<'_>) {
        self.joined = true;
        self.strikes[0] = 0;
        if self.phase == Phase::Start && self.commands.current.command != Command::CONNECT {
            self.phase = Phase::Commands;
        }
        self.commands.current.sequence = self.commands.packets.last.wrapping_add(1);
        let request = self.commands.current;
        self.commands.current.command = Command::UNSEEN;
        match request.command.reply() {
            Reply::Stream => {
                self.commands.current = request;
                self.stream(cx);
            }
            _ if self.commands.trust == Trust::Counted => cx.lose(Lost::Hole),
            Reply::None => {
                // No byte comes back: the next command may still begin the turn.
                self.commands.turn |= request.turn;
                let answer = Answer::none(request.end);
                self.report(&request, &answer, Outcome::OneWay, cx);
            }
            Reply::Is(_) => self.push(request, cx),
        }
    }

    #[inline]
    fn push(&mut self, request: Request, cx: &mut Context<'_>) {
        if self.unheld > 0 || self.fifo.len() >= Fifo::<Request>::MAX {
            self.unheld += 1;
            return cx.lose(Lost::Evicted);
        }
        if self.fifo.back_mut().is_some_and(|before| before.command == Command::UNSEEN) {
            self.doubt(cx);
        }
        let (not_before, turn) = (request.not_before, request.turn);
        if self.fifo.push(request, not_before, turn).is_err() {
            cx.lose(Lost::Evicted);
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
