//! What becomes of requests and replies when bytes are missing, make no sense, or come no more.
//!
//! Every command whose first byte was recognised becomes a record or is counted, once. A reply that answers nobody is
//! counted where it shows a command that nobody has counted.

use super::attributes::{Answer, exchange};
use super::command::Trust;
use super::kind::Kind;
use super::reply::Replies;
use super::request::{Mode, Request};
use super::said::{First, Seen};
use super::{STRIKES, Session};
use crate::parser::Parser as _;
use crate::{Claim, Context, Cut, End, Fifo, Name, Outcome, Piece, State};
use steth_ledger::Lost;

/// The worse of two: of lost bytes less is known than of skipped ones.
fn worse(one: Cut, other: Option<Cut>) -> Cut {
    if other == Some(Cut::Lost) { Cut::Lost } else { one }
}

impl Session {
    /// Request bytes are missing.
    pub(super) fn requests_cut(&mut self, n: u64, cut: Cut, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if let Trust::Blind(before) = self.commands.trust {
            let cut = worse(cut, Some(before));
            self.commands.trust = Trust::Blind(cut);
            self.fifo.requests_missing(cut);
            return self.extend(piece);
        }
        let fold = self.unknown >= super::UNKNOWN;
        let (beyond, done) = self.commands.cross(n, piece, fold, cx.names);
        if done {
            self.command(cx);
        }
        if beyond == 0 {
            return;
        }
        let counted = self.commands.trust == Trust::Counted;
        if !self.commands.idle() {
            if counted {
                cx.lose(Lost::Hole);
            } else if cut == Cut::Skipped && self.commands.known {
                self.commands.count_channels();
                let request = &mut self.commands.current;
                (request.truncated, request.end) = (true, piece.time);
                request.bytes = (piece.offset + n).saturating_sub(request.offset);
                let before = self.fifo.len();
                self.command(cx);
                self.open_end = self.fifo.len() > before;
            } else {
                cx.lose(if cut == Cut::Lost { Lost::Hole } else { Lost::Truncated });
            }
        }
        self.requests_blind(worse(cut, counted.then_some(Cut::Lost)));
    }

    fn requests_blind(&mut self, cut: Cut) {
        self.commands.abandon();
        self.commands.turn = false;
        self.commands.trust = Trust::Blind(cut);
        self.fifo.requests_missing(cut);
        // There may have been a SELECT; and CLIENT REPLY SKIP has been used up.
        self.namespace = Name::EMPTY;
        if self.mode == Mode::Skip {
            self.mode = Mode::On;
        }
    }

    /// Whether requests can be read again from here.
    pub(super) fn requests_go_on(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let blind = matches!(self.commands.trust, Trust::Blind(_));
        let turn = piece.turn && (self.deaf || self.pending() == 0) && self.is_calm(piece);
        if turn && self.commands.idle() && self.commands.begins(bytes, false) {
            self.commands.trust = Trust::Paired;
            self.commands.garbage = false;
            self.commands.turn = self.deaf || !self.replies.active;
            self.open_end = false;
            self.fifo.requests_resumed();
            return true;
        }
        if self.commands.trust == Trust::Blind(Cut::Lost) && self.commands.begins(bytes, true) {
            self.commands.trust = Trust::Counted;
            self.commands.garbage = false;
            return true;
        }
        if blind {
            if piece.turn {
                self.open_end = false;
                if self.commands.garbage {
                    self.strike(0, cx);
                }
            }
            self.extend(piece);
        }
        !blind
    }

    /// More of the command that was taken for pending before its end was seen.
    fn extend(&mut self, piece: &Piece<'_>) {
        if !self.open_end || piece.turn {
            self.open_end = false;
            return;
        }
        if let Some(request) = self.fifo.back_mut() {
            request.end = piece.time;
            request.bytes = (piece.offset + piece.len()).saturating_sub(request.offset);
        }
    }

    /// The request direction makes no sense.
    #[cold]
    pub(super) fn bad_request(&mut self, cx: &mut Context<'_>) {
        cx.lose(if self.commands.trust == Trust::Counted { Lost::Hole } else { Lost::Parse });
        #[cfg(test)]
        (self.commands.begun += u64::from(self.commands.idle()));
        self.requests_blind(Cut::Lost);
        self.commands.garbage = true;
        self.strike(0, cx);
    }

    /// Response bytes are missing.
    pub(super) fn responses_cut(&mut self, n: u64, cut: Cut, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.deaf {
            return self.fifo.responses_missing(cut);
        }
        let (beyond, done) = self.replies.cross(n, piece, cx.names);
        if self.replies.first == First::Unseen && self.owed == 0 {
            match self.asked() {
                // A message or a reply, the first of several or the only one: whose is not known.
                Some(Kind::Unseen) => return self.responses_deaf(cut),
                Some(kind) if self.subscribed && !matches!(kind, Kind::PubSub(_)) => return self.responses_deaf(cut),
                _ => {}
            }
        }
        if done {
            self.reply(cx);
        }
        if beyond > 0 && self.state == State::Parsing {
            if self.replies.active && !self.is_push() {
                if self.asked().is_some() {
                    self.held = Some(Answer::part(&self.replies, piece.offset + n, piece.time));
                } else {
                    self.claim(cx);
                }
            }
            self.responses_deaf(cut);
        }
    }

    fn responses_deaf(&mut self, cut: Cut) {
        self.replies.clear();
        self.deaf = true;
        self.owed = 0;
        self.fifo.responses_missing(cut);
    }

    /// Whether replies can be read again from here. If so, the request whose reply begins here is
    /// [`Session::claimed`], because pushes may come before its reply.
    pub(super) fn responses_go_on(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        if !self.fifo.is_boundary(piece.offset) || !bytes.first().is_some_and(|&byte| Replies::begins(byte)) {
            if piece.turn && self.strikes[1] > 0 {
                self.strike(1, cx);
            }
            return false;
        }
        let cut = self.fifo.responses_cut().unwrap_or(Cut::Lost);
        if let Some(request) = self.claimed.take() {
            self.pass(request, cut, cx);
        }
        // The closure may not borrow the session that the queue is part of.
        let mut fifo = std::mem::take(&mut self.fifo);
        if let Claim::Request(request) = fifo.claim(piece.offset, |request, cut| self.pass(request, cut, cx)) {
            self.claimed = Some(request);
        }
        self.fifo = fifo;
        self.held = None;
        self.deaf = false;
        true
    }

    /// The reply to this request was in the gap.
    fn pass(&mut self, request: Request, cut: Cut, cx: &mut Context<'_>) {
        let kind = request.named.kind;
        let answer = self.held.take();
        if cut == Cut::Lost {
            cx.lose(Lost::Hole);
            self.after_gap(kind, cx);
            return;
        }
        let mut answer = answer.unwrap_or(Answer::none(0));
        answer.end = self.passed.1.max(request.end);
        self.after_gap(kind, cx);
        self.report(Request { truncated: true, ..request }, &answer, Outcome::Answered, cx);
    }

    /// Its reply was not seen whole; what it changes may have changed.
    fn after_gap(&mut self, kind: Kind, cx: &mut Context<'_>) {
        if let Kind::PubSub(verb) = kind {
            self.subscribed |= verb.adds();
        } else if kind == Kind::Unseen {
            self.namespace = Name::EMPTY;
        } else if kind != Kind::Plain {
            self.changed(kind, Seen::Nothing, u32::MAX, cx);
        }
    }

    /// The response direction makes no sense, or is nested too deeply.
    #[cold]
    pub(super) fn bad_reply(&mut self, cx: &mut Context<'_>) {
        if !self.is_push() && self.claim(cx).is_some() {
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
        if let Some(_claimed) = self.claimed.take() {
            cx.lose(Lost::Misinferred);
        }
        for _ in self.fifo.drain() {
            cx.lose(Lost::Misinferred);
        }
        if !self.commands.idle() {
            cx.lose(Lost::Misinferred);
            self.commands.abandon();
        }
    }

    /// Requests that can neither be paired nor kept.
    pub(super) fn abandon_pending(&mut self, cx: &mut Context<'_>) {
        let cut = self.fifo.responses_cut().unwrap_or(Cut::Lost);
        self.unheld = 0;
        let mut fifo = std::mem::take(&mut self.fifo);
        let claimed = self.claimed.take();
        for request in claimed.into_iter().chain(fifo.drain()) {
            self.pass(request, cut, cx);
        }
        self.fifo = Fifo::default();
        self.fifo.responses_missing(cut);
    }

    /// No reply will come any more: every pending request is accounted for.
    pub(super) fn settle(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        let cut = self.fifo.responses_cut().filter(|_| self.deaf);
        let mut part = if self.replies.active && !self.is_push() {
            self.asked().map(|_| Answer::part(&self.replies, self.passed.0, time))
        } else {
            None
        };
        let mut fifo = std::mem::take(&mut self.fifo);
        let claimed = self.claimed.take();
        for request in claimed.into_iter().chain(fifo.drain()) {
            match (cut, outcome(end)) {
                // Responses passed behind it, and one of them may have been its own.
                (Some(cut), _) if request.not_before < self.passed.0 => self.pass(request, cut, cx),
                (_, None) => cx.lose(Lost::Evicted),
                (_, Some(outcome)) => {
                    let answer = part.take().unwrap_or(Answer::none(time));
                    self.report(request, &answer, outcome, cx);
                }
            }
        }
        self.fifo = fifo;
        self.replies.clear();
    }

    /// The command in progress will never be complete.
    pub(super) fn end_command(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.commands.abandon();
        match (self.commands.trust, outcome(end)) {
            (Trust::Counted, _) => cx.lose(Lost::Hole),
            (_, None) => cx.lose(Lost::Evicted),
            (_, Some(outcome)) => {
                let request = Request { truncated: true, ..self.commands.current };
                self.report(request, &Answer::none(time), outcome, cx);
            }
        }
    }

    fn report(&mut self, request: Request, answer: &Answer, outcome: Outcome, cx: &mut Context<'_>) {
        self.make_name(cx);
        cx.report(exchange(&request, self.namespace, answer, outcome, self.ok));
    }
}

/// What becomes of a request without a reply; `None` if it is not its peer's doing.
fn outcome(end: End) -> Option<Outcome> {
    match end {
        End::Closed => Some(Outcome::Unanswered),
        End::Reset => Some(Outcome::Reset),
        End::TimedOut => Some(Outcome::Timeout),
        End::Evicted => None,
    }
}
