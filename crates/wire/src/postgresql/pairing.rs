//! Which reply is whose, and what it changes ("Message Flow").
//!
//! Every message of the server that answers something must be what the oldest request expects: one ParseComplete for a
//! Parse, one CommandComplete for an Execute, and so on. So a request that was missed is noticed, and not papered over.

use super::Session;
use super::asking::Open;
use super::attributes::{Answer, Transaction, exchange};
use super::gap::Trust;
use super::request::{Kind, Preparation, Request};
use super::said::{Rows, Said, Seen};
use crate::{Claim, Context, Cut, Outcome, Piece, State, Status};
use steth_ledger::Lost;

impl Session {
    /// The oldest request, if the message in progress may answer it.
    #[inline]
    fn front(&mut self) -> Option<&mut Request> {
        let start = self.server.start;
        while self.fifo.front_mut().is_some_and(|request| request.kind == Kind::Ignored) {
            self.fifo.claim(start, |_, _| {});
        }
        self.fifo.front_mut().filter(|request| request.not_before <= start)
    }

    /// Takes the oldest request, which [`Session::front`] has shown.
    #[inline]
    fn pop(&mut self) -> Option<Request> {
        let Claim::Request(request) = self.fifo.claim(self.server.start, |_, _| {}) else { return None };
        if self.fifo.is_empty() && self.open == Open::Queue {
            self.open = Open::Nowhere;
        }
        Some(request)
    }

    /// "SSLRequest", "GSSENCRequest": one byte, and no message, answers them.
    #[inline]
    pub(super) fn answers_with_a_byte(&mut self, bytes: &[u8], at: &mut usize, piece: &Piece<'_>) -> bool {
        let Some(&byte) = bytes.get(*at) else { return false };
        if !matches!(byte, b'S' | b'N' | b'G' | b'E') {
            return false;
        }
        let start = piece.offset + *at as u64;
        match self.fifo.front_mut() {
            Some(request) if request.kind == Kind::Encryption && request.not_before <= start => {}
            _ => return false,
        }
        self.server.start = start;
        self.pop();
        match byte {
            b'N' => *at += 1,
            b'S' | b'G' => self.state = State::Opaque,
            // A server that is too busy, or too old, says so in the form of any version.
            _ => self.deaf = true,
        }
        true
    }

    /// A message of the server is complete. `end` is the position behind it.
    #[inline]
    pub(super) fn received(&mut self, said: Said, end: u64, time: u64, cx: &mut Context<'_>) {
        let kind = self.server.kind;
        if kind == b'D' {
            self.begin_reply();
            self.reply.rows += 1;
            return;
        }
        // "Asynchronous Operations", and what comes with a start.
        if matches!(kind, b'N' | b'A' | b'S' | b'K' | b'v') {
            if let (b'S', Some(escapes)) = (kind, said.strings) {
                self.escapes = escapes;
            }
            return;
        }
        self.ready = kind == b'Z';
        match kind {
            b'Z' => return self.ready_for_query(said.number, end, time, cx),
            b'E' => {}
            _ => self.release(cx),
        }
        self.begin_reply();
        match kind {
            b'1' => self.prepared(Preparation::Parse, cx),
            b'2' => self.prepared(Preparation::Bind, cx),
            b'3' => self.prepared(Preparation::Close, cx),
            b'T' | b'n' => self.prepared(Preparation::Describe, cx),
            b'C' | b'I' | b's' | b'V' | b'E' => self.answered(kind, &said, end, time, cx),
            b'G' => self.copy_in(),
            b'W' => self.stream(time, cx),
            b'R' => self.challenged |= matches!(said.number, 3 | 5 | 10),
            // ParameterDescription, which comes before RowDescription or NoData; and data that is copied out.
            _ => {}
        }
    }

    #[inline]
    fn begin_reply(&mut self) {
        if !self.reply.active {
            self.reply = super::Reply { active: true, start: self.server.start, first_byte: self.server.time, rows: 0 };
        }
    }

    /// "ParseComplete", "BindComplete", "CloseComplete", and "RowDescription" or "NoData".
    #[inline]
    fn prepared(&mut self, preparation: Preparation, cx: &mut Context<'_>) {
        let skipping = self.skipping;
        let Some(request) = self.front() else { return };
        match request.kind {
            Kind::Query if preparation == Preparation::Describe => {}
            Kind::Prepare | Kind::Execute if !skipping && request.next() == Some(preparation) => {
                request.done += 1;
                if request.kind == Kind::Prepare && request.next().is_none() {
                    self.pop();
                    self.reply.active &= !self.fifo.is_empty();
                }
            }
            _ => self.out_of_step(cx),
        }
    }

    /// What ends a statement: "CommandComplete", "EmptyQueryResponse", "PortalSuspended", "FunctionCallResponse",
    /// "ErrorResponse".
    #[inline]
    fn answered(&mut self, kind: u8, said: &Said, end: u64, time: u64, cx: &mut Context<'_>) {
        let error = kind == b'E';
        let answer = self.answer(kind, said, end, time);
        let naming = self.naming(cx);
        self.copying = false;
        let Some(request) = self.front() else { return self.orphan(said, cx) };
        match request.kind {
            Kind::Query => {
                // If the text could not be parsed, none of its statements was run.
                let whole = said.syntax && request.replied == 0;
                let statement = if whole { request.statement } else { request.current() };
                let exchange = exchange(request, statement, &answer, Outcome::Answered, naming, cx.names);
                request.replied = if error { u32::MAX } else { request.replied.saturating_add(1) };
                self.hold(exchange, cx);
            }
            Kind::Function if kind == b'V' || error => {
                let exchange = exchange(request, None, &answer, Outcome::Answered, naming, cx.names);
                request.replied = u32::MAX;
                self.hold(exchange, cx);
            }
            Kind::Execute if error || request.next().is_none() => {
                let Some(request) = self.pop() else { return };
                if error {
                    self.fail(&request);
                }
                let statement = request.statement;
                self.hold(exchange(&request, statement, &answer, Outcome::Answered, naming, cx.names), cx);
            }
            Kind::Prepare if error => {
                let open = self.open == Open::Queue && self.fifo.len() == 1;
                let Some(request) = self.pop() else { return };
                self.fail(&request);
                self.release(cx);
                if !request.counted {
                    self.failed = Some(Box::new((request, answer)));
                }
                if open {
                    self.open = Open::Failed;
                }
            }
            Kind::Startup if error => {
                let Some(request) = self.pop() else { return };
                self.hold(exchange(&request, None, &answer, Outcome::Answered, naming, cx.names), cx);
            }
            Kind::Sync if error => self.fail_at_commit(&answer),
            _ => return self.out_of_step(cx),
        }
        self.reply.active = false;
    }

    /// The answer that the message just completed completes.
    #[inline]
    fn answer(&self, kind: u8, said: &Said, end: u64, time: u64) -> Answer {
        let rows = self.reply.rows;
        Answer {
            seen: if kind == b'E' { Seen::Error(said.code) } else { Seen::Fine },
            tag: said.tag,
            rows: match said.rows {
                Some(n) if said.returns => Rows::Returned(n),
                None if rows > 0 => Rows::Returned(rows),
                // With RETURNING, both; the rows that came are those that were changed.
                Some(_) if rows > 0 => Rows::Returned(rows),
                Some(n) => Rows::Affected(n),
                None => Rows::None,
            },
            first_byte: self.reply.first_byte,
            end: time,
            offset: self.reply.start,
            bytes: end.saturating_sub(self.reply.start),
            truncated: said.cut,
        }
    }

    /// Everything up to the next Sync is skipped.
    fn fail(&mut self, request: &Request) {
        self.skipping = true;
        self.whose_error |= !self.sure;
        // A statement whose Parse has failed does not exist, or is an older one of that name.
        if request.is_parsing() {
            self.prepared.forget(request.key);
        }
    }

    /// The implicit transaction could not be committed: the last Execute in it has failed after all.
    fn fail_at_commit(&mut self, answer: &Answer) {
        if let (Some(exchange), Seen::Error(code)) = (&mut self.held, answer.seen) {
            exchange.status = Status::Word(code);
            exchange.response_bytes += answer.bytes;
            exchange.end = answer.end;
        }
    }

    /// "CopyInResponse": the Sync that the client has sent behind an Execute is read as if it were data.
    #[cold]
    fn copy_in(&mut self) {
        let Some(request) = self.front() else { return };
        let extended = request.kind == Kind::Execute;
        self.copying = true;
        if let Some(request) = self.fifo.back_mut().filter(|request| extended && request.kind == Kind::Sync) {
            request.kind = Kind::Ignored;
        }
    }

    /// "CopyBothResponse": a replication stream.
    #[cold]
    fn stream(&mut self, time: u64, cx: &mut Context<'_>) {
        let naming = self.naming(cx);
        if self.front().is_some_and(|request| request.kind == Kind::Query)
            && let Some(request) = self.pop()
        {
            let (start, first_byte) = (self.reply.start, self.reply.first_byte);
            let answer = Answer { offset: start, first_byte, ..Answer::none(time) };
            self.hold(exchange(&request, request.current(), &answer, Outcome::Upgraded, naming, cx.names), cx);
        }
        self.sure = true;
        self.release(cx);
        self.believe(cx);
        self.state = State::Opaque;
    }

    /// A reply to nobody that was seen.
    #[cold]
    fn orphan(&mut self, said: &Said, cx: &mut Context<'_>) {
        self.release(cx);
        self.reply.active = false;
        match self.fifo.claim(self.server.start, |_, _| {}) {
            // The server ends the session of its own accord.
            _ if said.fatal => {}
            Claim::Orphan(None) => cx.lose(Lost::Orphan),
            Claim::Orphan(Some(Cut::Skipped)) => cx.lose(Lost::Truncated),
            Claim::Orphan(Some(Cut::Lost)) | Claim::Request(_) => {}
        }
    }

    /// "ReadyForQuery": whatever was sent up to a Sync is done.
    #[inline]
    fn ready_for_query(&mut self, state: u8, end: u64, time: u64, cx: &mut Context<'_>) {
        if let Some(exchange) = &mut self.held
            && let crate::Attributes::Postgresql(attributes) = &mut exchange.attributes
        {
            attributes.transaction = Transaction::of(state);
        }
        self.reply.active = false;
        self.strikes[1] = 0;
        loop {
            let skipping = self.skipping;
            let cut = self.trust != Trust::Paired;
            match self.front().map(|request| (request.kind, request.replied)) {
                None => break,
                Some((Kind::Sync, _)) | Some((Kind::Query | Kind::Function, 1..)) => {
                    self.pop();
                    break;
                }
                Some((Kind::Startup, _)) => {
                    self.started(end, time, cx);
                    break;
                }
                // Its Sync was not seen, or is still to be found.
                Some(_) if skipping || cut => {
                    let Some(request) = self.pop() else { break };
                    self.skip(&request, time, cx);
                }
                Some(_) => return self.out_of_step(cx),
            }
        }
        self.report_failed(Transaction::of(state), cx);
        self.skipping = false;
        if state == b'I' {
            // A Bind may have been sent already.
            if self.fifo.is_empty() && self.client.idle() {
                self.prepared.end_portals();
            }
        }
        self.release(cx);
        if !self.sure {
            self.believe(cx);
        }
    }

    /// A session has begun.
    fn started(&mut self, end: u64, time: u64, cx: &mut Context<'_>) {
        let naming = self.naming(cx);
        let Some(request) = self.pop() else { return };
        let mut answer = self.answer(b'Z', &Said::default(), end, time);
        answer.rows = Rows::None;
        self.hold(exchange(&request, None, &answer, Outcome::Answered, naming, cx.names), cx);
    }

    /// A request that the server has read and not acted on; or, after a gap, one whose reply was not seen.
    #[cold]
    fn skip(&mut self, request: &Request, time: u64, cx: &mut Context<'_>) {
        if request.is_parsing() {
            self.prepared.forget(request.key);
        }
        if !self.skipping {
            return cx.count.lose(Lost::Hole, u64::from(request.outstanding()));
        }
        self.report_failed(Transaction::Unknown, cx);
        let naming = self.naming(cx);
        let answer = Answer::none(time);
        let mut request = request.clone();
        for _ in 0..request.outstanding() {
            let exchange = exchange(&request, request.current(), &answer, Outcome::Skipped, naming, cx.names);
            request.replied += 1;
            self.hold(exchange, cx);
        }
    }

    /// Nothing more belongs to the request that has failed.
    #[inline]
    pub(super) fn report_failed(&mut self, transaction: Transaction, cx: &mut Context<'_>) {
        if let Some(failed) = self.failed.take() {
            let (request, answer) = *failed;
            let naming = self.naming(cx);
            let mut exchange = exchange(&request, request.statement, &answer, Outcome::Answered, naming, cx.names);
            if let crate::Attributes::Postgresql(attributes) = &mut exchange.attributes {
                attributes.transaction = transaction;
            }
            if self.open == Open::Failed {
                self.open = Open::Nowhere;
            }
            self.hold(exchange, cx);
        }
    }
}
