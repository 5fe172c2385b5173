//! The response direction, and where exchanges are completed.

use super::answer::Answer;
use super::attributes::Method;
use super::body::{Body, Progress};
use super::head::{Fields, Partial, may_be_response, status_line};
use super::lines::Lines;
use super::{At, Ending, Over, Session};
use crate::{Bytes, Claim, Context, Cut, Outcome, Piece};
use memchr::memchr;
use steth_ledger::Lost;

/// The response direction's state.
#[derive(Debug)]
pub(super) struct Responses {
    pub(super) at: At,
    partial: Partial,
    fields: Fields,
    body: Option<Body>,
    /// The response in progress. Between messages there is one only after an interim response.
    pub(super) current: Option<Answer>,
    /// Time of the last byte.
    pub(super) last: u64,
    /// Position behind the last byte.
    pub(super) position: u64,
    /// How requests are counted whose responses are among bytes that make no sense to us or that were lost.
    pub(super) hole: Lost,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            at: At::Join,
            partial: Partial::default(),
            fields: Fields::default(),
            body: None,
            current: None,
            last: 0,
            position: 0,
            hole: Lost::Hole,
        }
    }
}

impl Responses {
    /// Forgets everything: the connection is gone.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// A piece is through.
    #[inline]
    pub(super) fn passed(&mut self, piece: &Piece<'_>) {
        (self.position, self.last) = (piece.offset + piece.len(), piece.time);
    }

    /// Whether the next response can only begin behind the one in progress.
    pub(super) fn in_progress(&self) -> bool {
        self.current.is_some() && !matches!(self.at, At::Cut(_) | At::Garbage) && !self.is_doubtful()
    }

    /// Whether the response in progress may end before its framing says so.
    fn is_doubtful(&self) -> bool {
        self.ends_with_connection() || self.current.as_ref().is_some_and(|answer| answer.request.is_none())
    }

    pub(super) fn ends_with_connection(&self) -> bool {
        self.at == At::Body && self.body.is_some_and(|body| body.ends_with_connection())
    }
}

impl Session {
    #[inline]
    pub(super) fn response(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        match piece.bytes {
            Bytes::Captured(bytes) => self.response_captured(piece, bytes, cx),
            Bytes::Skipped(n) => self.response_gap(piece, n, Cut::Skipped, cx),
            Bytes::Lost(n) => self.response_gap(piece, n, Cut::Lost, cx),
        }
    }

    fn response_captured(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        match self.responses.at {
            At::Join | At::Cut(_) | At::Garbage => self.response_resync(piece, bytes, cx),
            At::Body => self.response_body_given_up(piece, bytes, cx),
            _ => {}
        }
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.responses.at {
                At::Start => {
                    // Not in the RFC, but some servers send one CRLF too many behind a body.
                    if matches!(rest.first(), Some(b'\r' | b'\n')) {
                        at += 1;
                        continue;
                    }
                    self.response_begins(piece.offset + at as u64, piece.time, cx);
                }
                At::Line | At::Fields => {
                    if self.responses.partial.is_empty() {
                        at += self.response_head(rest, piece.offset + at as u64, piece.time, cx);
                    } else if let Some(end) = memchr(b'\n', rest) {
                        at += end + 1;
                        let line = self.responses.partial.complete(rest.get(..end).unwrap_or_default());
                        self.response_head_line(&line, piece.offset + at as u64, piece.time, cx);
                        self.responses.partial.recycle(line);
                    } else {
                        at = bytes.len();
                        self.response_head_goes_on(rest, cx);
                    }
                    if self.over != Over::No {
                        return;
                    }
                }
                At::Body => {
                    let Some(body) = &mut self.responses.body else { break };
                    let (taken, progress) = body.captured(rest);
                    at += taken;
                    self.response_body(progress, piece.offset + at as u64, piece.time, cx);
                }
                // Bytes that belong to nobody, or to the response whose end is not known.
                At::Join | At::Cut(_) | At::Garbage => break,
            }
        }
    }

    /// Out of step: does a response begin here for certain?
    fn response_resync(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        let boundary = self.fifo.is_boundary(piece.offset);
        let may_be = may_be_response(bytes);
        match self.responses.at {
            At::Join if boundary || (may_be && bytes.len() >= 7) => {}
            // A boundary alone is not enough here: the request that marks it may have been sent while the response
            // before it, of which we do not know the end, was still coming.
            At::Cut(_) | At::Garbage if boundary && may_be => self.finish_at_last_byte(Outcome::Answered, cx),
            At::Garbage => {
                self.nonsense += u8::from(piece.turn);
                return;
            }
            _ => return,
        }
        self.responses.at = At::Start;
    }

    /// A response to a request that was not seen may be one to HEAD, whose Content-Length announces nothing; and some
    /// servers forget to frame a response on a connection they keep. So if a turn's response begins within such a body,
    /// it has ended.
    fn response_body_given_up(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        if self.responses.is_doubtful() && may_be_response(bytes) && self.fifo.is_boundary(piece.offset) {
            self.finish_at_last_byte(Outcome::Answered, cx);
            self.responses.at = At::Start;
        }
    }

    fn response_begins(&mut self, offset: u64, time: u64, cx: &mut Context<'_>) {
        self.responses.at = At::Line;
        self.responses.fields.clear();
        // Behind an interim response the final one answers the same request.
        if let Some(answer) = &mut self.responses.current {
            answer.first_byte = time;
            return;
        }
        self.request_answered_early(cx);
        let (last, hole) = (self.responses.last, self.responses.hole);
        let claim = self.fifo.claim(offset, |request, cut| match cut {
            Cut::Lost => cx.lose(hole),
            Cut::Skipped => Answer::passed_over(request, last).report(cx),
        });
        let (request, orphan) = match claim {
            Claim::Request(request) => (Some(request), None),
            Claim::Orphan(None) => (None, Some(Lost::Orphan)),
            Claim::Orphan(Some(Cut::Skipped)) => (None, Some(Lost::Truncated)),
            Claim::Orphan(Some(Cut::Lost)) => (None, None),
        };
        self.responses.hole = Lost::Hole;
        self.responses.current = Some(Answer {
            request,
            orphan,
            outcome: Outcome::Answered,
            status: None,
            offset,
            bytes: 0,
            size: None,
            first_byte: time,
            end: time,
            truncated: false,
            waits: false,
        });
    }

    /// The head in progress, from the beginning of a line on. Gives the number of bytes that belong to it.
    fn response_head(&mut self, bytes: &[u8], position: u64, time: u64, cx: &mut Context<'_>) -> usize {
        let mut lines = Lines::of(bytes);
        loop {
            match self.responses.at {
                At::Line => match lines.next() {
                    Some(line) => self.response_line(line, cx),
                    None => break,
                },
                At::Fields if self.responses.fields.read(&mut lines, cx.names) => {
                    self.response_head_ends(position + lines.taken() as u64, time, cx);
                }
                At::Fields => break,
                _ => return lines.taken(),
            }
            if self.over != Over::No {
                return lines.taken();
            }
        }
        self.response_head_goes_on(bytes.get(lines.taken()..).unwrap_or_default(), cx);
        bytes.len()
    }

    /// The beginning of a line whose end has not come, or more of it.
    fn response_head_goes_on(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        self.responses.partial.append(bytes);
        if self.responses.at == At::Line && !may_be_response(self.responses.partial.as_bytes()) {
            self.response_garbage(cx);
        }
    }

    /// A line that was split over pieces.
    fn response_head_line(&mut self, line: &[u8], position: u64, time: u64, cx: &mut Context<'_>) {
        if self.responses.at == At::Line {
            self.response_line(line, cx);
        } else if matches!(line, b"" | b"\r") {
            self.response_head_ends(position, time, cx);
        } else {
            self.responses.fields.line(line, cx.names);
        }
    }

    fn response_line(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let Some(status) = status_line(line) else { return self.response_garbage(cx) };
        self.responses.at = At::Fields;
        self.nonsense = 0;
        if let Some(answer) = &mut self.responses.current {
            answer.status = Some(status);
            if let Some(orphan) = answer.orphan.take() {
                cx.lose(orphan);
                #[cfg(test)]
                {
                    self.audit.orphans += 1;
                }
            }
        }
    }

    fn response_head_ends(&mut self, position: u64, time: u64, cx: &mut Context<'_>) {
        let Some(answer) = &mut self.responses.current else { return };
        let status = answer.status.unwrap_or_default();
        let method = answer.request.as_ref().map(|request| request.method);
        if is_upgrade(status, method) {
            return self.upgraded(position, time, cx);
        }
        if status < 200 {
            // Any number of interim responses (RFC 9110 §15.2); the request stays claimed.
            (answer.status, answer.first_byte) = (None, 0);
            self.responses.at = At::Start;
            return;
        }
        // RFC 9112 §6.3, in its order.
        let body = match self.responses.fields {
            _ if method == Some(Method::Head) || matches!(status, 204 | 304) => None,
            Fields { chunked: true, .. } => Some(Body::chunked()),
            Fields { coded: true, .. } => Some(Body::close()),
            Fields { length: Some(0), .. } => None,
            Fields { length: Some(length), .. } => Some(Body::length(length)),
            _ => Some(Body::close()),
        };
        self.responses.body = body;
        answer.waits = self.responses.fields.waits;
        answer.size = Some(0);
        if body.is_some() {
            self.responses.at = At::Body;
        } else {
            self.responses.at = At::Start;
            self.finish(Outcome::Answered, time, position, cx);
        }
    }

    fn response_body(&mut self, progress: Progress, position: u64, time: u64, cx: &mut Context<'_>) {
        if let (Some(answer), Some(body)) = (&mut self.responses.current, &self.responses.body) {
            answer.size = Some(body.size);
        }
        match progress {
            Progress::More => {}
            Progress::Done => {
                self.responses.at = At::Start;
                self.finish(Outcome::Answered, time, position, cx);
            }
            Progress::Broken => self.response_garbage(cx),
        }
    }

    /// These bytes are no response.
    fn response_garbage(&mut self, cx: &mut Context<'_>) {
        self.nonsense += 1;
        self.responses.partial.clear();
        self.responses.at = At::Garbage;
        self.responses.hole = Lost::Parse;
        self.fifo.responses_missing(Cut::Lost);
        self.lose_current(Lost::Parse, cx);
    }

    /// The response in progress will not be reported.
    pub(super) fn lose_current(&mut self, reason: Lost, cx: &mut Context<'_>) {
        if self.responses.current.take().is_some_and(|answer| answer.request.is_some()) {
            cx.lose(reason);
        }
    }

    /// `n` bytes that were not captured.
    fn response_gap(&mut self, piece: &Piece<'_>, n: u64, cut: Cut, cx: &mut Context<'_>) {
        let mut left = n;
        if self.responses.at == At::Body
            && let Some(body) = &mut self.responses.body
        {
            let (taken, progress) = body.passed(n);
            left -= taken;
            match progress {
                Progress::More | Progress::Done => {
                    self.response_body(progress, piece.offset + taken, piece.time, cx);
                }
                Progress::Broken => {
                    // It began, and it was understood; where it ended is not known.
                    if let Some(answer) = &mut self.responses.current {
                        answer.size = None;
                    }
                }
            }
        }
        if left == 0 {
            return;
        }
        match (self.responses.at, cut) {
            // Nothing was in step, and no response is awaited that could be among these bytes.
            (At::Join, _) if self.fifo.is_empty() => return,
            (At::Garbage, _) => return,
            (At::Cut(_), Cut::Skipped) => return,
            // In step, so the first of these bytes begins a response: whose it is is known, even if nothing else is.
            (At::Start, Cut::Skipped) if !self.fifo.is_empty() || self.responses.current.is_some() => {
                self.response_begins(piece.offset + (n - left), piece.time, cx);
                self.response_head_cut(cx);
            }
            (At::Line | At::Fields, Cut::Skipped) => self.response_head_cut(cx),
            _ => {}
        }
        if self.over != Over::No {
            return;
        }
        self.responses.partial.clear();
        self.responses.at = At::Cut(cut);
        self.fifo.responses_missing(cut);
        if cut == Cut::Lost {
            self.lose_current(Lost::Hole, cx);
        }
    }

    /// The rest of a head will not be seen.
    fn response_head_cut(&mut self, cx: &mut Context<'_>) {
        let (at, last) = (self.responses.at, self.responses.last);
        let partial = std::mem::take(&mut self.responses.partial);
        let Some(answer) = &mut self.responses.current else { return };
        answer.truncated = true;
        if at == At::Line {
            answer.status = status_line(partial.as_bytes());
        }
        let method = answer.request.as_ref().map(|request| request.method);
        match answer.status {
            Some(status) if is_upgrade(status, method) => {
                let position = self.responses.position;
                self.upgraded(position, last, cx);
            }
            // An interim response, so the final one is somewhere in the gap.
            Some(..200) => answer.status = None,
            _ => {}
        }
    }

    /// The connection carries something else from here on (RFC 9110 §15.2.2, §9.3.6).
    fn upgraded(&mut self, position: u64, time: u64, cx: &mut Context<'_>) {
        self.settle(cx);
        self.finish(Outcome::Upgraded, time, position, cx);
        self.over = Over::Upgraded;
        // Requests that were sent behind it will never be answered.
        self.give_up(Ending::Outcome(Outcome::Unanswered), time, cx);
    }

    /// The response in progress has ended with the piece before this one.
    pub(super) fn finish_at_last_byte(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        let (last, position) = (self.responses.last, self.responses.position);
        self.finish(outcome, last, position, cx);
    }

    /// The response in progress is over.
    pub(super) fn finish(&mut self, outcome: Outcome, end: u64, position: u64, cx: &mut Context<'_>) {
        let Some(answer) = &mut self.responses.current else { return };
        answer.outcome = outcome;
        answer.end = end;
        answer.bytes = position.saturating_sub(answer.offset);
        match (&answer.request, &self.requests.open) {
            (Some(request), Some(open)) if request.offset == open.offset => {
                self.held = self.responses.current.take().map(Box::new);
                if !self.requests.is_incomplete() {
                    self.settle(cx);
                }
            }
            _ => {
                answer.report(cx);
                self.responses.current = None;
            }
        }
    }
}

/// 101, or 2xx to CONNECT.
fn is_upgrade(status: u16, method: Option<Method>) -> bool {
    status == 101 || (method == Some(Method::Connect) && (200..300).contains(&status))
}
