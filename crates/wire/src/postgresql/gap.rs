//! What becomes of requests and replies when bytes are missing, make no sense, or come no more.
//!
//! Every request that is an exchange becomes a record or is counted, once. A reply that answers nobody is counted where it
//! shows a request that nobody has counted.

use super::attributes::{Answer, Transaction, exchange};
use super::frame::begins;
use super::prepared::Key;
use super::request::{Kind, Request};
use super::said::{Rows, Seen};
use super::{STRIKES, Session, asking::Open, client, server};
use crate::{Context, Cut, End, Name, Outcome, Piece, State};
use steth_ledger::Lost;

/// Most exchanges that wait until it is known that no request was missed before them.
pub(super) const DOUBTFUL: usize = 256;

/// How far the framing of the requests, and the pairing that rests on it, are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Every request is seen, and goes to its reply.
    Paired,
    /// Requests are seen, but not all that came before them: they are counted under this reason, not paired.
    Counted(Lost),
    /// It is not known where messages begin.
    Blind(Cut),
}

/// The worse of two: of lost bytes less is known than of skipped ones.
fn worse(one: Cut, other: Cut) -> Cut {
    if other == Cut::Lost { Cut::Lost } else { one }
}

impl Session {
    /// Request bytes are missing.
    pub(super) fn requests_cut(&mut self, n: u64, cut: Cut, piece: &Piece<'_>, cx: &mut Context<'_>) {
        let behind = piece.offset + n;
        if self.copying
            && let Some(request) = self.fifo.front_mut()
        {
            // Whatever it is, it is data for COPY, or its end.
            request.extend(behind, piece.time);
        }
        if let Trust::Blind(before) = self.trust {
            let cut = worse(cut, before);
            self.trust = Trust::Blind(cut);
            return self.fifo.requests_missing(cut);
        }
        let (beyond, looked, done) = self.client.cross(n);
        if looked {
            let kept = self.client.take_kept();
            self.message = self.look(&kept, cx);
        }
        if done {
            let message = std::mem::take(&mut self.message);
            self.sent(message, behind - beyond, piece.time, cx);
        }
        if beyond == 0 {
            return;
        }
        if let (Some(b'Q' | b'E' | b'F'), Cut::Lost) = (self.client.in_progress(), cut) {
            // Of a skipped one, its reply will tell.
            cx.lose(Lost::Hole);
        }
        let before = match self.trust {
            Trust::Counted(_) => Cut::Lost,
            _ => cut,
        };
        self.requests_blind(worse(cut, before));
    }

    fn requests_blind(&mut self, cut: Cut) {
        self.client.abandon();
        self.turn = false;
        self.leave_open(cut);
        self.trust = Trust::Blind(cut);
        self.fifo.requests_missing(cut);
        self.prepared.gap();
    }

    /// The rest of an execution is missing. If its Execute was lost, whoever lost it has counted it.
    fn leave_open(&mut self, cut: Cut) {
        let lost = cut == Cut::Lost;
        match self.open {
            Open::Nowhere => {}
            Open::Queue => {
                if let Some(request) = self.fifo.back_mut() {
                    request.truncated = true;
                    request.counted = lost;
                }
            }
            Open::Failed if lost => self.failed = None,
            Open::Failed => {
                if let Some(failed) = &mut self.failed {
                    failed.0.truncated = true;
                }
            }
        }
        self.open = Open::Nowhere;
    }

    /// Whether requests can be read again from here.
    pub(super) fn requests_go_on(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        let blind = matches!(self.trust, Trust::Blind(_));
        if blind
            && self.copying
            && let Some(request) = self.fifo.front_mut()
        {
            request.extend(piece.offset + piece.len(), piece.time);
        }
        let answered = self.deaf || (self.fifo.is_empty() && self.ready && self.server.idle());
        let turn = piece.turn && answered && self.is_calm(piece);
        if turn && self.client.idle() && begins(bytes, client::rule, false) {
            self.trust = Trust::Paired;
            self.garbage = false;
            self.turn = true;
            self.fifo.requests_resumed();
            return true;
        }
        if self.trust == Trust::Blind(Cut::Lost) && !self.copying && begins(bytes, client::rule, true) {
            self.trust = Trust::Counted(Lost::Hole);
            self.garbage = false;
            return true;
        }
        if blind && piece.turn && self.garbage {
            self.strike(0, cx);
        }
        !blind
    }

    /// The request direction makes no sense.
    #[cold]
    pub(super) fn bad_request(&mut self, cx: &mut Context<'_>) {
        cx.lose(if let Trust::Counted(reason) = self.trust { reason } else { Lost::Parse });
        self.requests_blind(Cut::Lost);
        self.garbage = true;
        self.strike(0, cx);
    }

    /// Response bytes are missing.
    pub(super) fn responses_cut(&mut self, n: u64, cut: Cut, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.deaf {
            return self.fifo.responses_missing(cut);
        }
        let (beyond, looked, done) = self.server.cross(n);
        if looked {
            let kept = self.server.take_kept();
            self.said = super::Said { cut: true, ..self.hear(&kept, cx) };
        }
        let end = piece.offset + n;
        if done {
            let said = std::mem::take(&mut self.said);
            self.received(said, end - beyond, piece.time, cx);
        }
        if beyond > 0 && self.state == State::Parsing && !self.deaf {
            self.responses_deaf(cut, end, piece.time, cx);
        }
    }

    fn responses_deaf(&mut self, cut: Cut, until: u64, time: u64, cx: &mut Context<'_>) {
        self.release(cx);
        self.part = self.partial(until, time);
        self.server.abandon();
        self.reply.active = false;
        self.deaf = true;
        self.escapes = None;
        self.fifo.responses_missing(cut);
    }

    /// What is known of the reply to the oldest request, which ended at the position `until` before it was complete.
    fn partial(&self, until: u64, time: u64) -> Option<Answer> {
        let (start, first_byte) = if self.reply.active {
            (self.reply.start, self.reply.first_byte)
        } else if !self.server.idle() {
            (self.server.start, self.server.time)
        } else {
            return None;
        };
        Some(Answer {
            seen: Seen::Nothing,
            tag: Name::EMPTY,
            rows: Rows::None,
            first_byte,
            end: time,
            offset: start,
            bytes: until.saturating_sub(start),
            truncated: true,
        })
    }

    /// The server's message is not one, or not what any request expects.
    #[cold]
    pub(super) fn out_of_step(&mut self, cx: &mut Context<'_>) {
        let doubtful = std::mem::take(&mut self.doubtful).len() + usize::from(!self.sure && self.held.is_some());
        if doubtful > 0 {
            // They were paired as if nothing had been missed.
            self.held = None;
            cx.count.lose(Lost::Hole, doubtful as u64);
        }
        self.report_failed(Transaction::Unknown, cx);
        self.release(cx);
        self.part = None;
        self.skipping = false;
        self.copying = false;
        self.server.abandon();
        self.reply.active = false;
        self.deaf = true;
        self.escapes = None;
        self.fifo.responses_missing(Cut::Lost);
        if self.sure {
            self.strike(1, cx);
        }
    }

    /// Whether replies can be read again from here: where a turn's first reply begins. What was asked before was answered
    /// in the gap.
    pub(super) fn responses_go_on(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) -> bool {
        if !self.fifo.is_boundary(piece.offset) || !begins(bytes, server::rule, false) {
            if piece.turn && self.strikes[1] > 0 {
                self.strike(1, cx);
            }
            return false;
        }
        let mut fifo = std::mem::take(&mut self.fifo);
        fifo.resume(piece.offset, |request, cut| self.pass(request, cut, cx));
        self.fifo = fifo;
        self.between_turns(cx);
        self.deaf = false;
        true
    }

    /// Forgets what belongs to replies that are no more to come.
    fn between_turns(&mut self, cx: &mut Context<'_>) {
        self.end_at_passed();
        self.report_failed(Transaction::Unknown, cx);
        self.release(cx);
        (self.part, self.skipping, self.copying) = (None, false, false);
    }

    /// If the reply whose beginning was seen is the only one in the gap, the whole gap is of it.
    fn end_at_passed(&mut self) {
        if let Some(exchange) = self.held.as_mut().filter(|exchange| exchange.truncated && exchange.first_byte > 0) {
            exchange.response_bytes =
                exchange.response_bytes.max(self.passed.0.saturating_sub(exchange.response_offset));
        }
    }

    /// The reply to this request was in the gap.
    fn pass(&mut self, mut request: Request, cut: Cut, cx: &mut Context<'_>) {
        if request.kind == Kind::Sync {
            self.report_failed(Transaction::Unknown, cx);
            (self.part, self.skipping) = (None, false);
        }
        let outstanding = request.outstanding();
        if cut == Cut::Lost {
            return cx.count.lose(Lost::Hole, u64::from(outstanding));
        }
        let outcome = if self.skipping { Outcome::Skipped } else { Outcome::Answered };
        let naming = self.naming(cx);
        for _ in 0..outstanding {
            let end = self.passed.1.max(request.end);
            let answer = Answer { end, truncated: true, ..self.part.take().unwrap_or(Answer::none(0)) };
            let exchange = exchange(&request, request.current(), &answer, outcome, naming, cx.names);
            request.replied += 1;
            self.hold(exchange, cx);
        }
    }

    fn strike(&mut self, direction: usize, cx: &mut Context<'_>) {
        let Some(strikes) = self.strikes.get_mut(direction) else { return };
        *strikes += 1;
        if *strikes < STRIKES {
            return;
        }
        self.release(cx);
        self.state = State::Misinferred;
        for request in self.fifo.drain() {
            cx.count.lose(Lost::Misinferred, u64::from(request.outstanding()));
        }
        if self.client.in_progress().is_some() {
            cx.lose(Lost::Misinferred);
            self.client.abandon();
        }
    }

    /// No reply will come any more: every pending request is accounted for.
    pub(super) fn settle(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.report_failed(Transaction::Unknown, cx);
        let cut = self.fifo.responses_cut().filter(|_| self.deaf);
        let mut part = if self.deaf { None } else { self.partial(self.passed.0, time) };
        let mut fifo = std::mem::take(&mut self.fifo);
        let naming = self.naming(cx);
        for mut request in fifo.drain() {
            if let Some(cut) = cut
                && request.not_before < self.passed.0
            {
                // Responses passed behind it, and one of them may have been its own.
                self.pass(request, cut, cx);
                continue;
            }
            self.skipping &= request.kind != Kind::Sync;
            for _ in 0..request.outstanding() {
                let Some(outcome) = self.outcome(&request, end) else {
                    cx.lose(Lost::Evicted);
                    request.replied += 1;
                    continue;
                };
                let answer = part.take().unwrap_or(Answer::none(time));
                let exchange = exchange(&request, request.current(), &answer, outcome, naming, cx.names);
                request.replied += 1;
                self.hold(exchange, cx);
            }
        }
        self.fifo = fifo;
        if cut.is_some() {
            self.end_at_passed();
        }
        self.release(cx);
        self.believe(cx);
        self.open = Open::Nowhere;
        self.server.abandon();
        self.reply.active = false;
    }

    /// What becomes of a request without a reply; `None` if it is not its peer's doing.
    fn outcome(&self, request: &Request, end: End) -> Option<Outcome> {
        match end {
            End::Evicted => None,
            _ if self.skipping => Some(Outcome::Skipped),
            // A client that finds that it needs a password often asks its user first, and comes again.
            End::Closed if request.kind == Kind::Startup && self.challenged => Some(Outcome::Cancelled),
            End::Closed => Some(Outcome::Unanswered),
            End::Reset => Some(Outcome::Reset),
            End::TimedOut => Some(Outcome::Timeout),
        }
    }

    /// The message in progress will never be complete.
    pub(super) fn end_message(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        let kind = match self.client.in_progress() {
            Some(b'Q') => Kind::Query,
            Some(b'E') => Kind::Execute,
            Some(b'F') => Kind::Function,
            _ => return self.client.abandon(),
        };
        let kept = self.client.take_kept();
        self.client.abandon();
        if let Trust::Counted(reason) = self.trust {
            return cx.lose(reason);
        }
        let text = self.message.statement.take();
        let statement = match kind {
            Kind::Query if text.is_none() && !kept.is_empty() => {
                client::Message::read(b'Q', &kept, false, self.reader(None), cx).statement
            }
            _ => text,
        };
        let mut request = Request::new(kind, Key::UNKNOWN, statement);
        (request.start, request.arrival) = (self.client.time, self.client.arrival);
        (request.offset, request.end) = (self.client.start, time);
        let Some(outcome) = self.outcome(&request, end) else { return cx.lose(Lost::Evicted) };
        let naming = self.naming(cx);
        let answer = Answer { truncated: true, ..Answer::none(time) };
        let exchange = exchange(&request, statement, &answer, outcome, naming, cx.names);
        self.hold(exchange, cx);
        self.release(cx);
    }
}
