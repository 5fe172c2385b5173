//! Which answer is whose, and what it changes.

use super::attributes::Answer;
use super::command::{Command, Reply};
use super::frames::Frames;
use super::handshake::capability;
use super::packet::{Event, Run};
use super::reply::{self, Seen, Verdict};
use super::request::{Request, Schema};
use super::{Phase, Session};
use crate::{Claim, Context, Cut, Name, Outcome, State};
use steth_ledger::Lost;

impl Session {
    /// Response bytes. Returns how many were read: behind a login's end, compression may begin.
    #[inline]
    pub(super) fn responses(&mut self, bytes: &[u8], run: &Run, cx: &mut Context<'_>) -> usize {
        if self.deaf && !self.responses_go_on(run, cx) {
            return bytes.len();
        }
        let mut at = 0;
        while self.state == State::Parsing && !self.deaf {
            let alike = self.replies.alike();
            if alike > 0 {
                self.step_over(bytes, &mut at, alike, run);
            }
            if self.packets.whole(bytes, &mut at, run) {
                self.whole_message(bytes, at, run, cx);
                if self.frames.is_some() {
                    return at;
                }
                continue;
            }
            if at == bytes.len() && self.packets.idle() {
                break;
            }
            let spontaneous = self.spontaneous();
            let want = |first| if spontaneous { reply::GREETING } else { reply::want(first) };
            match self.packets.next(bytes, &mut at, run, want) {
                Event::More => break,
                Event::Begun => self.begin_message(cx),
                Event::Head => self.take_head(bytes, Cut::Skipped, cx),
                Event::End => {
                    self.end_message(run.behind(at as u64), run.time, cx);
                    if self.frames.is_some() {
                        return at;
                    }
                }
            }
        }
        bytes.len()
    }

    /// Messages that each mean the same, `most` at most.
    #[inline]
    fn step_over(&mut self, bytes: &[u8], at: &mut usize, most: u64, run: &Run) {
        let passed = self.packets.pass(bytes, at, most, reply::is_row);
        if passed > 0 {
            self.replies.pass(passed);
            self.answer.extend(run.behind(*at as u64), run.time);
        }
    }

    /// A message that was there to its end, which is at `at`.
    #[inline]
    fn whole_message(&mut self, bytes: &[u8], at: usize, run: &Run, cx: &mut Context<'_>) {
        self.begin_message(cx);
        if self.deaf || self.state != State::Parsing {
            return;
        }
        let spontaneous = self.spontaneous();
        self.packets.shorten(bytes, |first| if spontaneous { reply::GREETING } else { reply::want(first) });
        self.take_head(bytes, Cut::Skipped, cx);
        if !self.deaf && self.state == State::Parsing {
            self.end_message(run.behind(at as u64), run.time, cx);
        }
    }

    /// The message in progress answers nobody: a greeting, or what a server says before it ends a connection.
    fn spontaneous(&self) -> bool {
        !self.replies.active && self.packets.sequence == 0
    }

    /// A packet's header is complete.
    #[inline]
    pub(super) fn begin_message(&mut self, cx: &mut Context<'_>) {
        if self.replies.verdict == Verdict::Perhaps && (self.packets.length != 5 || self.packets.sequence == 1) {
            self.reply(cx);
        }
        if self.replies.active && self.packets.sequence == 1 && self.packets.before != 0 {
            // Another answer begins: the one in progress was of another command than was thought.
            return self.bad_reply(cx);
        }
        if self.replies.active || self.spontaneous() {
            return;
        }
        let (start, sequence) = (self.packets.start, self.packets.sequence);
        let claim = self.claim(start.offset, cx);
        match claim {
            Claim::Request(request) => {
                self.answer = Answer::begin(start.offset, start.started);
                self.answering = Some(request);
                if request.sequence != 0 && request.sequence != sequence {
                    // Not the first packet of this answer.
                    return self.responses_deaf(Cut::Lost);
                }
                let Reply::Is(shape) = request.command.reply() else { return };
                self.replies.begin(shape);
                return;
            }
            Claim::Orphan(_) if self.unheld > 0 && self.fifo.is_empty() => self.unheld -= 1,
            Claim::Orphan(None) => cx.lose(Lost::Orphan),
            Claim::Orphan(Some(Cut::Lost)) => {}
            Claim::Orphan(Some(Cut::Skipped)) => cx.lose(Lost::Truncated),
        }
        // Of what shape it is, is not known.
        self.responses_deaf(Cut::Lost);
    }

    /// The request whose answer begins at `offset`.
    #[inline]
    pub(super) fn claim(&mut self, offset: u64, cx: &mut Context<'_>) -> Claim<Request> {
        if self.fifo.responses_cut().is_none() {
            return self.fifo.claim(offset, |_, _| {});
        }
        // In step again; what is passed over had its answer in the gap. The closure may not borrow the session that the
        // queue is part of.
        let mut fifo = std::mem::take(&mut self.fifo);
        let claim = fifo.claim(offset, |request, cut| self.pass(request, None, cut, cx));
        self.fifo = fifo;
        claim
    }

    /// As much of a message as is wanted has come, or as will ever come.
    #[inline]
    pub(super) fn take_head(&mut self, bytes: &[u8], cut: Cut, cx: &mut Context<'_>) {
        let Session { packets, replies, phase, handshake, .. } = self;
        let head = packets.head(bytes);
        if !replies.active {
            if *phase == Phase::Start && handshake.greeting(head) {
                *phase = Phase::Greeted;
            } else if head.first().is_some_and(|&byte| byte != 0xff) {
                self.bad_reply(cx);
            }
            return;
        }
        let verdict = replies.take(head, packets.length, packets.cut);
        match verdict {
            Verdict::Ask => self.dialogue = true,
            Verdict::Unseen => self.responses_deaf(cut),
            Verdict::Bad => self.bad_reply(cx),
            Verdict::More | Verdict::Last | Verdict::Perhaps => {}
        }
    }

    /// A message is complete, at the position `until`.
    #[inline]
    pub(super) fn end_message(&mut self, until: u64, time: u64, cx: &mut Context<'_>) {
        if !self.replies.active {
            return;
        }
        self.answer.extend(until, time);
        if self.replies.verdict == Verdict::Last {
            self.reply(cx);
        }
    }

    /// An answer is complete.
    #[inline]
    pub(super) fn reply(&mut self, cx: &mut Context<'_>) {
        self.strikes[1] = 0;
        let answer = self.answer.said(&self.replies);
        self.replies.end();
        self.dialogue = false;
        let Some(request) = self.answering.take() else { return };
        if answer.seen == Seen::Ok {
            self.apply(&request, Some(self.replies.statement));
        }
        self.slowest = (self.slowest - self.slowest / 64).max(answer.end.saturating_sub(request.start));
        self.report(&request, &answer, Outcome::Answered, cx);
    }

    /// What a command changes when it succeeds. `statement`: the number that was given to a prepared one, if it was seen.
    pub(super) fn apply(&mut self, request: &Request, statement: Option<u32>) {
        match (request.schema, statement) {
            (Schema::Same, _) => {}
            (Schema::Named(name), Some(_)) => self.namespace = name,
            (Schema::Named(_) | Schema::Unknown, _) => self.namespace = Name::EMPTY,
        }
        match request.command {
            Command::STMT_PREPARE => {
                if let (Some(text), Some(number)) = (request.statement, statement) {
                    self.prepared.insert(number, text);
                }
            }
            Command::CHANGE_USER | Command::RESET_CONNECTION => self.prepared.clear(),
            Command::CONNECT => self.logged_in(),
            _ => {}
        }
    }

    /// The command phase begins.
    pub(super) fn logged_in(&mut self) {
        self.phase = Phase::Commands;
        let agreed = |capability| self.handshake.agreed(capability);
        self.replies.eof = agreed(capability::DEPRECATE_EOF).map(|deprecated| !deprecated);
        self.replies.optional = agreed(capability::OPTIONAL_METADATA).unwrap_or(false) && !self.handshake.mariadb;
        if agreed(capability::COMPRESS) == Some(true) {
            self.frames = Some(Box::new(Frames::zlib()));
        } else if agreed(capability::ZSTD) == Some(true) && !self.handshake.mariadb {
            self.frames = Some(Box::new(Frames::zstd()));
        }
    }
}
