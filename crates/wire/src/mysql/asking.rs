//! The request direction: where a command begins, what it is, and whether it waits for an answer.

use super::attributes::Answer;
use super::command::{Command, Reply, want};
use super::handshake::{self, Response};
use super::packet::{Event, Run};
use super::reply::Verdict;
use super::request::{self, Commands, Request, Schema, Trust};
use super::{Phase, Session};
use crate::parser::Parser as _;
use crate::{Bytes, Context, Cut, Outcome, State};
use steth_ledger::Lost;

impl Session {
    #[inline]
    pub(super) fn requests(&mut self, bytes: Bytes<'_>, run: &Run, cx: &mut Context<'_>) -> usize {
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
    pub(super) fn end_perhaps(&mut self, cx: &mut Context<'_>) {
        if self.replies.verdict == Verdict::Perhaps && self.packets.idle() {
            self.reply(cx);
        }
    }

    fn read_requests(&mut self, bytes: &[u8], run: &Run, cx: &mut Context<'_>) -> usize {
        if self.commands.trust != Trust::Paired && !self.requests_go_on(run, bytes, cx) {
            return 0;
        }
        let mut at = 0;
        while self.state == State::Parsing {
            if self.commands.packets.whole(bytes, &mut at, run) {
                if !self.whole_command(bytes, at, run, cx) {
                    break;
                }
                continue;
            }
            if at == bytes.len() && self.commands.idle() {
                break;
            }
            let enough = self.enough();
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

    /// A command that was there to its end, which is at `at`. Whether it is one.
    #[inline]
    fn whole_command(&mut self, bytes: &[u8], at: usize, run: &Run, cx: &mut Context<'_>) -> bool {
        if !self.begin_command(cx) {
            return false;
        }
        let enough = self.enough();
        self.commands.packets.shorten(bytes, enough);
        if !self.name_command(bytes, cx) {
            return false;
        }
        self.commands.current.extend(run.behind(at as u64), run.time);
        self.command(cx);
        true
    }

    /// How much of the command in progress is wanted, by its first byte.
    #[inline]
    fn enough(&self) -> impl Fn(u8) -> usize + use<> {
        let login = self.commands.current.command == Command::CONNECT;
        move |first| if login { handshake::WANT } else { want(first) }
    }

    /// A turn begins: the answer to the first command in it begins where the responses are now, unless another answer is
    /// still to come.
    #[inline]
    pub(super) fn turn(&mut self, run: &Run, cx: &mut Context<'_>) {
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
    pub(super) fn is_calm(&self, run: &Run) -> bool {
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
    pub(super) fn name_command(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        // What is under way may change it.
        let escapes = self.replies.escapes.filter(|_| self.pending() == 0);
        let Session { commands: Commands { packets, current, .. }, prepared, handshake, own, .. } = self;
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
                    current.schema = schema.map_or(Schema::Same, |name| request::schema(name, *own, cx));
                }
            }
            return true;
        }
        if head.first().is_some_and(|&byte| !Command(byte).is_sent()) {
            self.bad_request(cx);
            return false;
        }
        let whole = head.len() as u64 == u64::from(packets.length);
        current.name(head, whole, packets.cut, (escapes, *own), prepared, cx);
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
    pub(super) fn command(&mut self, cx: &mut Context<'_>) {
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
        if self.unheld > 0 || !self.fifo.has_room() {
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
}
