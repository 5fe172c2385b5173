//! What becomes of requests and answers when bytes are missing, make no sense, or come no more.
//!
//! Every command whose first byte was recognised becomes a record or is counted, once. An answer that is nobody's is
//! counted where it shows a command that nobody has counted.

use super::attributes::Answer;
use super::command::Command;
use super::packet::Run;
use super::request::{Commands, Request, Trust};
use super::{Phase, STRIKES, Session};
use crate::parser::Parser as _;
use crate::{Claim, Context, Cut, End, Fifo, Outcome, State};
use steth_ledger::Lost;

/// The worse of two: of lost bytes less is known than of skipped ones.
fn worse(one: Cut, other: Option<Cut>) -> Cut {
    if other == Some(Cut::Lost) { Cut::Lost } else { one }
}

impl Session {
    /// Request bytes are missing.
    pub(super) fn requests_cut(&mut self, n: u64, cut: Cut, run: &Run, cx: &mut Context<'_>) -> usize {
        if let Trust::Blind(before) = self.commands.trust {
            let cut = worse(cut, Some(before));
            self.commands.trust = Trust::Blind(cut);
            self.fifo.requests_missing(cut);
            self.extend(run, n);
            return 0;
        }
        // A header of which a part was seen is a command, too.
        let begun = !self.commands.idle() && !self.commands.packets.told();
        #[cfg(test)]
        (self.commands.begun += u64::from(begun));
        let crossed = self.commands.packets.cross(n);
        if crossed.head && !self.name_command(&[], cx) {
            return 0;
        }
        let missing = n - crossed.beyond;
        if crossed.end {
            self.commands.current.extend(run.behind(missing), run.time);
            self.command(cx);
        }
        self.commands.packets.crossed();
        if crossed.beyond == 0 || self.state != State::Parsing {
            return 0;
        }
        let counted = self.commands.trust == Trust::Counted;
        if !self.commands.idle() {
            if counted {
                cx.lose(Lost::Hole);
            } else if cut == Cut::Skipped && !begun {
                self.commands.current.truncated = true;
                self.commands.current.extend(run.behind(n), run.time);
                self.open_command(cx);
            } else {
                cx.lose(if cut == Cut::Lost { Lost::Hole } else { Lost::Truncated });
            }
        }
        self.requests_blind(worse(cut, counted.then_some(Cut::Lost)));
        0
    }

    fn requests_blind(&mut self, cut: Cut) {
        self.commands.packets.abandon();
        self.commands.turn = false;
        self.commands.trust = Trust::Blind(cut);
        self.fifo.requests_missing(cut);
        // There may have been a USE among them.
        self.namespace = crate::Name::EMPTY;
    }

    /// Whether requests can be read again from here.
    pub(super) fn requests_go_on(&mut self, run: &Run, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let blind = matches!(self.commands.trust, Trust::Blind(_));
        if self.may_resume(run) && Commands::begins(bytes, false) {
            self.resume_requests();
            return true;
        }
        if self.commands.trust == Trust::Blind(Cut::Lost) && Commands::begins(bytes, true) {
            self.commands.trust = Trust::Counted;
            self.commands.garbage = false;
            return true;
        }
        if blind {
            if run.turn {
                self.open_end = false;
                if self.commands.garbage {
                    self.strike(0, cx);
                }
            }
            self.extend(run, bytes.len() as u64);
        }
        !blind
    }

    /// Whether a command that begins here can be paired again.
    fn may_resume(&self, run: &Run) -> bool {
        run.turn && (self.deaf || self.pending() == 0) && self.commands.idle() && self.is_calm(run)
    }

    fn resume_requests(&mut self) {
        self.commands.trust = Trust::Paired;
        self.commands.garbage = false;
        self.commands.turn = self.deaf || self.packets.idle();
        self.open_end = false;
        self.fifo.requests_resumed();
    }

    /// A command's first frame could not be unpacked: of the command is known that it is one, and no more. False if not
    /// even that is.
    pub(super) fn unread_command(&mut self, run: &Run, cx: &mut Context<'_>) -> bool {
        self.end_perhaps(cx);
        if self.dialogue || self.state != State::Parsing {
            return false;
        }
        if run.turn {
            self.turn(run, cx);
        }
        if self.commands.trust != Trust::Paired && self.may_resume(run) {
            self.resume_requests();
        }
        if self.commands.trust != Trust::Paired || !self.commands.idle() {
            return false;
        }
        #[cfg(test)]
        self.count_begun();
        let turn = std::mem::take(&mut self.commands.turn);
        self.commands.current = Request { truncated: true, ..Request::begin(Command::UNSEEN, run, turn) };
        self.commands.current.extend(run.behind(0), run.time);
        self.open_command(cx);
        self.requests_blind(Cut::Skipped);
        true
    }

    /// The command in progress waits for its answer, though there may be more of it.
    fn open_command(&mut self, cx: &mut Context<'_>) {
        let before = self.fifo.len();
        self.command(cx);
        if self.fifo.len() > before
            && let Some(request) = self.fifo.back_mut()
        {
            // How many packets there are was not seen.
            request.sequence = 0;
            self.open_end = true;
        }
    }

    /// More of the command that was taken for pending before its end was seen.
    fn extend(&mut self, run: &Run, n: u64) {
        if !self.open_end || run.turn {
            self.open_end = false;
            return;
        }
        if let Some(request) = self.fifo.back_mut() {
            request.extend(run.behind(n), run.time);
        }
    }

    /// The request direction makes no sense.
    #[cold]
    pub(super) fn bad_request(&mut self, cx: &mut Context<'_>) {
        cx.lose(if self.commands.trust == Trust::Counted { Lost::Hole } else { Lost::Parse });
        self.requests_unknown(cx);
    }

    /// Where the next command begins is not known.
    #[cold]
    pub(super) fn requests_unknown(&mut self, cx: &mut Context<'_>) {
        self.requests_blind(Cut::Lost);
        self.commands.garbage = true;
        self.strike(0, cx);
    }

    /// A command follows one whose name is missing, so that it is not known whether the next answer is that one's: it may be
    /// one of those that have none.
    #[cold]
    pub(super) fn doubt(&mut self, cx: &mut Context<'_>) {
        let mut fifo = std::mem::take(&mut self.fifo);
        for request in self.answering.take().into_iter().chain(fifo.drain()) {
            self.pass(request, None, Cut::Lost, cx);
        }
        self.fifo = fifo;
        self.responses_deaf(Cut::Lost);
    }

    /// Response bytes are missing.
    pub(super) fn responses_cut(&mut self, n: u64, cut: Cut, run: &Run, cx: &mut Context<'_>) -> usize {
        if self.deaf {
            self.fifo.responses_missing(cut);
            return 0;
        }
        // Where it ends is known, if not whether an EOF was behind it.
        self.end_perhaps(cx);
        if cut == Cut::Skipped
            && self.packets.idle()
            && !self.replies.active
            && let Claim::Request(request) = self.claim(run.offset, cx)
        {
            // It begins here, and that is all that is known of it.
            self.answer = Answer::begin(run.offset, run.started);
            self.answer.extend(run.behind(n), run.time);
            self.answering = Some(request);
        }
        let crossed = self.packets.cross(n);
        if crossed.head {
            self.take_head(&[], cut, cx);
        }
        if crossed.end && !self.deaf {
            self.end_message(run.behind(n - crossed.beyond), run.time, cx);
        }
        self.packets.crossed();
        if (crossed.beyond > 0 || self.deaf) && self.state == State::Parsing {
            if self.replies.active {
                self.answer.extend(run.behind(n), run.time);
            }
            self.responses_deaf(cut);
        }
        0
    }

    /// Where the next answer begins is not known; the one in progress ends somewhere before it.
    pub(super) fn responses_deaf(&mut self, cut: Cut) {
        self.packets.abandon();
        self.replies.end();
        self.replies.escapes = None;
        self.deaf = true;
        if std::mem::take(&mut self.dialogue) {
            // What the client says next may be a part of that, or a command.
            self.requests_blind(cut);
        }
        if self.phase == Phase::Greeted && self.pending() > 0 {
            // What comes next, comes behind the login.
            self.logged_in();
        }
        self.fifo.responses_missing(cut);
    }

    /// Whether answers can be read again from here.
    pub(super) fn responses_go_on(&mut self, run: &Run, cx: &mut Context<'_>) -> bool {
        if !self.fifo.is_boundary(run.offset) {
            if run.turn && self.strikes[1] > 0 {
                self.strike(1, cx);
            }
            return false;
        }
        let cut = self.fifo.responses_cut().unwrap_or(Cut::Lost);
        if let Some(request) = self.answering.take() {
            self.pass(request, Some(self.answer), cut, cx);
        }
        self.deaf = false;
        true
    }

    /// The answer to this request, or its end, was in the gap.
    pub(super) fn pass(&mut self, request: Request, answer: Option<Answer>, cut: Cut, cx: &mut Context<'_>) {
        self.apply(&request, None);
        if cut == Cut::Lost {
            return cx.lose(Lost::Hole);
        }
        let mut answer = answer.unwrap_or(Answer::none(0));
        answer.end = self.passed.1.max(request.end);
        self.report(&Request { truncated: true, ..request }, &answer, Outcome::Answered, cx);
    }

    /// The response direction makes no sense.
    #[cold]
    pub(super) fn bad_reply(&mut self, cx: &mut Context<'_>) {
        if self.answering.take().is_some() {
            cx.lose(Lost::Parse);
        }
        self.responses_deaf(Cut::Lost);
        if self.joined {
            self.strike(1, cx);
        }
    }

    fn strike(&mut self, direction: usize, cx: &mut Context<'_>) {
        let Some(strikes) = self.strikes.get_mut(direction) else { return };
        *strikes += 1;
        if *strikes < STRIKES {
            return;
        }
        self.state = State::Misinferred;
        for _ in self.answering.take().into_iter().chain(self.fifo.drain()) {
            cx.lose(Lost::Misinferred);
        }
        if !self.commands.idle() {
            #[cfg(test)]
            (self.commands.begun += u64::from(!self.commands.packets.told()));
            cx.lose(Lost::Misinferred);
            self.commands.packets.abandon();
        }
    }

    /// Requests that can neither be paired nor kept.
    pub(super) fn abandon_pending(&mut self, cx: &mut Context<'_>) {
        let cut = self.fifo.responses_cut().unwrap_or(Cut::Lost);
        self.unheld = 0;
        let mut fifo = std::mem::take(&mut self.fifo);
        if let Some(request) = self.answering.take() {
            self.pass(request, Some(self.answer), cut, cx);
        }
        for request in fifo.drain() {
            self.pass(request, None, cut, cx);
        }
        self.fifo = Fifo::default();
        self.fifo.responses_missing(cut);
    }

    /// No answer will come any more: every pending request is accounted for.
    pub(super) fn settle(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.end_perhaps(cx);
        let cut = self.fifo.responses_cut().filter(|_| self.deaf);
        let mut fifo = std::mem::take(&mut self.fifo);
        let first = self.answering.take();
        let mut part = first.map(|_| self.answer);
        if let Some(part) = &mut part
            && cut.is_none()
        {
            // What came of it, it came up to the last byte that passed.
            part.extend(self.passed.0, time);
        }
        for request in first.into_iter().chain(fifo.drain()) {
            match (cut, outcome(end)) {
                // Responses passed behind it, and one of them may have been its own.
                (Some(cut), _) if request.not_before < self.passed.0 => self.pass(request, part.take(), cut, cx),
                (_, None) => cx.lose(Lost::Evicted),
                (_, Some(outcome)) => {
                    let answer = part.take().unwrap_or(Answer::none(time));
                    self.report(&request, &answer, outcome, cx);
                }
            }
        }
        self.fifo = fifo;
        self.replies.end();
        self.packets.abandon();
        self.dialogue = false;
    }

    /// The command in progress will never be complete.
    pub(super) fn end_command(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        if !self.commands.packets.told() {
            // Not even its header is.
            #[cfg(test)]
            self.count_begun();
            let turn = self.commands.turn;
            self.commands.current = Request::begin(Command::UNSEEN, &self.commands.packets.start, turn);
        }
        self.commands.packets.abandon();
        match (self.commands.trust, outcome(end)) {
            (Trust::Counted, _) => cx.lose(Lost::Hole),
            (_, None) => cx.lose(Lost::Evicted),
            (_, Some(outcome)) => {
                let request = Request { truncated: true, ..self.commands.current };
                self.report(&request, &Answer::none(time), outcome, cx);
            }
        }
    }
}

/// What becomes of a request without an answer; `None` if it is not its peer's doing.
fn outcome(end: End) -> Option<Outcome> {
    match end {
        End::Closed => Some(Outcome::Unanswered),
        End::Reset => Some(Outcome::Reset),
        End::TimedOut => Some(Outcome::Timeout),
        End::Evicted => None,
    }
}
