//! The request direction where bytes are missing, or are not what they should be.

use crate::http1::body::Progress;
use crate::http1::head::{LONGEST_LINE, may_be_request, request_line, request_line_cut};
use crate::http1::infer;
use crate::http1::infer::{CALENDAR, SELDOM};
use crate::http1::{At, Session};
use crate::infer::Guess;
use crate::{Context, Cut, Piece, Protocol};
use memchr::memchr;
use steth_ledger::Lost;

impl Session {
    /// Out of step: does this piece begin with a request?
    pub(super) fn request_resync(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        let bytes = bytes.get(start..).unwrap_or_default();
        let was = self.requests.at;
        let tentative = match begins_like_a_request(bytes, was != At::Join) {
            Guess::Is { .. } => None,
            // After a gap it takes a turn to try.
            Guess::More if piece.turn || was == At::Join => Some(was),
            _ => {
                // Nonsense where a message may be expected. After a gap it is expected nowhere: a turn may well be in
                // the middle of a body (100 Continue).
                self.nonsense += u8::from(piece.turn && !matches!(was, At::Cut(_)));
                return;
            }
        };
        self.settle(cx);
        let again = piece.turn && !self.is_response_owed();
        if was != At::Join && !again && self.requests.untrusted.is_none() {
            let reason = if was == At::Cut(Cut::Skipped) { Lost::Truncated } else { Lost::Hole };
            self.requests.untrusted = Some(reason);
            // It is counted here, so its response must not be.
            self.fifo.requests_missing(Cut::Lost);
        }
        self.requests.at = At::Start;
        self.requests.tentative = tentative;
    }

    /// Whether the response direction, being in step, still owes an answer. Then requests that nobody saw may stand
    /// between that one and those that begin now.
    pub(super) fn is_response_owed(&self) -> bool {
        let in_step = !matches!(self.responses.at, At::Cut(_) | At::Garbage);
        in_step && (!self.fifo.is_empty() || self.responses.in_progress())
    }

    /// A client that expected `100 Continue` and was refused may leave the body out (RFC 9110 §10.1.1). Its framing
    /// then lies, and the next request stands in place of the body.
    pub(super) fn request_body_given_up(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        let nothing = self.requests.open.is_some_and(|open| open.size == Some(0));
        if nothing
            && self.requests.expects
            && piece.turn
            && self.held.is_some()
            && matches!(begins_like_a_request(bytes, true), Guess::Is { .. })
        {
            self.settle(cx);
            self.requests.at = At::Start;
        }
    }

    /// A response begins while the only request is still in its head: a server that has seen enough of it (408, 431).
    pub(in crate::http1) fn request_answered_early(&mut self, cx: &mut Context<'_>) {
        let requests = &mut self.requests;
        let trusted = requests.untrusted.is_none() && requests.tentative.is_none() && !requests.early;
        if matches!(requests.at, At::Line | At::Fields) && trusted && self.fifo.is_empty() {
            requests.early = true;
            let request = requests.request;
            requests.opened(requests.position, requests.last, None);
            self.request_push(request, cx);
        }
    }

    /// The head of an early answered request ends here without its end.
    pub(super) fn request_early(&mut self, truncated: bool, cx: &mut Context<'_>) {
        self.requests.early = false;
        let mut request = self.requests.request;
        request.truncated |= truncated;
        if let Some(place) = self.find(request.offset) {
            *place = request;
        }
        self.requests.opened(self.requests.position, self.requests.last, None);
        self.settle(cx);
    }

    /// The rest of a head will not be seen.
    pub(in crate::http1) fn request_head_cut(&mut self, cut: Cut, cx: &mut Context<'_>) {
        if !matches!(self.requests.at, At::Line | At::Fields) {
            return;
        }
        self.requests.request.truncated = true;
        if self.requests.at == At::Line {
            let partial = std::mem::take(&mut self.requests.partial);
            let first = request_line_cut(partial.as_bytes());
            let sure = matches!(begins_like_a_request(partial.as_bytes(), true), Guess::Is { .. });
            match first {
                Some(line) if sure || self.requests.tentative.is_none() => {
                    self.requests.tentative = None;
                    self.requests.name(&line, cx);
                }
                _ => return self.request_garbage(cx),
            }
        }
        self.requests.partial.clear();
        let requests = &mut self.requests;
        requests.describe(cx);
        requests.request.bytes = requests.position.saturating_sub(requests.request.offset);
        requests.request.end = requests.last;
        requests.at = At::Cut(cut);
        requests.body = None;
        let request = requests.request;
        if requests.early {
            self.request_early(true, cx);
        } else if cut == Cut::Lost {
            cx.lose(self.requests.untrusted.unwrap_or(Lost::Hole));
        } else {
            if self.requests.untrusted.is_none() {
                self.requests.opened(self.requests.position, self.requests.last, None);
            }
            self.request_push(request, cx);
        }
    }

    /// `n` bytes that were not captured.
    pub(super) fn request_gap(&mut self, piece: &Piece<'_>, n: u64, cut: Cut, cx: &mut Context<'_>) {
        let mut left = n;
        if self.requests.at == At::Body
            && let Some(body) = &mut self.requests.body
        {
            let (taken, progress) = body.passed(n);
            left -= taken;
            let position = piece.offset + taken;
            self.requests.progress(position, piece.time);
            match progress {
                Progress::More => return,
                Progress::Done => self.request_body(Progress::Done, position, piece.time, cx),
                Progress::Broken => self.requests.body = None,
            }
        }
        if left == 0 {
            return;
        }
        // What was lost before is not made better by bytes that were only skipped.
        let lost = cut == Cut::Lost || self.requests.untrusted.is_some() || self.requests.at == At::Cut(Cut::Lost);
        let worst = if lost { Cut::Lost } else { Cut::Skipped };
        if self.requests.at == At::Garbage {
            return;
        }
        self.request_head_cut(cut, cx);
        if self.requests.at == At::Garbage {
            return;
        }
        self.requests.at = At::Cut(worst);
        self.fifo.requests_missing(worst);
        match cut {
            Cut::Skipped => self.request_straggles(piece),
            Cut::Lost => self.settle(cx),
        }
    }

    /// Bytes behind a cut: as long as no turn begins they are taken for the last request's.
    pub(super) fn request_straggles(&mut self, piece: &Piece<'_>) {
        if let (At::Cut(Cut::Skipped), Some(open)) = (self.requests.at, &mut self.requests.open) {
            (open.position, open.time, open.size) = (piece.offset + piece.len(), piece.time, None);
        }
    }
}

/// Like the inference, which knows nine methods, and also for others. At the start of a connection any method will do. Behind
/// a gap a piece may begin anywhere in a head (`OST / HTTP/1.1`), so there it has to be a method that exists.
fn begins_like_a_request(bytes: &[u8], gap: bool) -> Guess {
    match infer(bytes) {
        Guess::No => {}
        guess @ (Guess::Is { protocol: Protocol::Http1, request: true } | Guess::More) => return guess,
        Guess::Is { .. } => return Guess::No,
    }
    let line = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let shouted = line.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let method = line.get(..shouted).unwrap_or_default();
    let complete = shouted < line.len();
    if gap
        && !SELDOM
            .iter()
            .chain([&CALENDAR])
            .any(|known| if complete { *known == method } else { known.starts_with(method) })
    {
        return Guess::No;
    }
    let Some(end) = memchr(b'\n', line) else {
        let may_be = may_be_request(line) && matches!(line.get(shouted), None | Some(b' '));
        return if may_be { Guess::More } else { Guess::No };
    };
    match line.get(..end).and_then(request_line) {
        Some(_) => Guess::Is { protocol: Protocol::Http1, request: true },
        None => Guess::No,
    }
}
