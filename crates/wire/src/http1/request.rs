//! The request direction.

mod gap;

use super::attributes::Method;
use super::body::{Body, Progress};
use super::head::{Fields, Partial, RequestLine, may_be_request, request_line, target_host};
use super::lines::Lines;
use super::route::path_of;
use super::routing::Routes;
use super::{At, Session};
use crate::{Attributes, Bytes, Context, Cut, Exchange, Name, Outcome, Piece, Status};
use memchr::memchr;
use steth_ledger::Lost;

/// A request that waits for its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Position of its first byte, which also identifies it.
    pub(super) offset: u64,
    pub(super) not_before: u64,
    pub(super) start: u64,
    arrival: u64,
    /// Time of its last byte so far.
    pub(super) end: u64,
    /// Bytes so far.
    pub(super) bytes: u64,
    /// Bytes of content, if the framing is known.
    pub(super) size: Option<u64>,
    pub(super) truncated: bool,
    /// A long poll, by its own words.
    waits: bool,
    operation: Name,
    pub(super) method: Method,
    host: Name,
    minor: Option<u8>,
    traceparent: Option<[u8; super::attributes::TRACEPARENT]>,
}

impl Request {
    /// The exchange, as far as it is the request's.
    #[inline]
    pub(super) fn exchange(&self) -> Exchange {
        Exchange {
            operation: self.operation,
            status: Status::Unknown,
            outcome: Outcome::Answered,
            truncated: self.truncated,
            blocking: self.waits,
            start: self.start,
            arrival: self.arrival,
            request_end: self.end,
            first_byte: 0,
            end: self.end,
            request_bytes: self.bytes,
            response_bytes: 0,
            request_offset: self.offset,
            response_offset: 0,
            attributes: Attributes::Http1(super::Attributes {
                method: self.method,
                host: self.host,
                minor: self.minor,
                request_size: self.size,
                response_size: None,
                traceparent: self.traceparent,
            }),
        }
    }
}

/// What is known by now of the request whose head is through and whose end is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) offset: u64,
    /// Position behind its last byte so far.
    pub(super) position: u64,
    pub(super) time: u64,
    pub(super) size: Option<u64>,
}

/// The request direction's state.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) at: At,
    partial: Partial,
    /// The head in progress.
    request: Request,
    fields: Fields,
    routes: Routes,
    turn: bool,
    /// The first bytes were too few to tell a request after a gap. If it is none, the gap just goes on.
    tentative: Option<At>,
    /// It was answered (431, 408) while its head was still in progress, so it is in the fifo, or behind it, already.
    early: bool,
    body: Option<Body>,
    pub(super) open: Option<Open>,
    expects: bool,
    /// A gap has left it open whose response is whose: requests are framed, and counted as lost for this reason,
    /// until a turn begins with nothing owed.
    pub(super) untrusted: Option<Lost>,
    /// Position behind the last byte.
    position: u64,
    /// Time of the last byte.
    last: u64,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            at: At::Join,
            partial: Partial::default(),
            request: Request {
                offset: 0,
                not_before: 0,
                start: 0,
                arrival: 0,
                end: 0,
                bytes: 0,
                size: None,
                truncated: false,
                waits: false,
                operation: Name::EMPTY,
                method: Method::Unseen,
                host: Name::EMPTY,
                minor: None,
                traceparent: None,
            },
            fields: Fields::default(),
            routes: Routes::default(),
            turn: false,
            tentative: None,
            early: false,
            body: None,
            open: None,
            expects: false,
            untrusted: None,
            position: 0,
            last: 0,
        }
    }
}

impl Requests {
    /// Forgets everything: the connection is gone.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether more of the newest request is certain to come in step.
    pub(super) fn is_incomplete(&self) -> bool {
        matches!(self.at, At::Line | At::Fields | At::Body)
    }

    /// A piece is through.
    #[inline]
    pub(super) fn passed(&mut self, piece: &Piece<'_>) {
        (self.position, self.last) = (piece.offset + piece.len(), piece.time);
    }

    /// The request in progress, up to this position.
    fn opened(&mut self, position: u64, time: u64, size: Option<u64>) {
        self.open = Some(Open { offset: self.request.offset, position, time, size });
    }

    fn progress(&mut self, position: u64, time: u64) {
        if let Some(open) = &mut self.open {
            (open.position, open.time) = (position, time);
            open.size = self.body.map(|body| body.size);
        }
    }
}

impl Session {
    #[inline]
    pub(super) fn request(&mut self, piece: &Piece<'_>, cx: &mut Context<'_>) {
        match piece.bytes {
            Bytes::Captured(bytes) => self.request_captured(piece, bytes, cx),
            Bytes::Skipped(n) => self.request_gap(piece, n, Cut::Skipped, cx),
            Bytes::Lost(n) => self.request_gap(piece, n, Cut::Lost, cx),
        }
    }

    fn request_captured(&mut self, piece: &Piece<'_>, bytes: &[u8], cx: &mut Context<'_>) {
        // The server would not have spoken in the middle of a request line: it was none.
        if piece.turn && self.requests.at == At::Line && self.requests.tentative.is_some() {
            self.request_garbage(cx);
        }
        match self.requests.at {
            At::Join | At::Cut(_) | At::Garbage => self.request_resync(piece, bytes, cx),
            At::Body => self.request_body_given_up(piece, bytes, cx),
            _ => {}
        }
        // The first message of a turn is the one that begins with the piece: behind the rest of another message it
        // would begin where the response to that one begins.
        let mut fresh = self.requests.at == At::Start;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.requests.at {
                At::Start => {
                    // Empty lines before a request line are ignored (RFC 9112 §2.2).
                    if matches!(rest.first(), Some(b'\r' | b'\n')) {
                        at += 1;
                        continue;
                    }
                    self.request_begins(piece, at as u64, fresh);
                }
                At::Line | At::Fields => {
                    if self.requests.partial.is_empty() {
                        at += self.request_head(rest, piece.offset + at as u64, piece.time, cx);
                    } else if let Some(end) = memchr(b'\n', rest) {
                        at += end + 1;
                        let line = self.requests.partial.complete(rest.get(..end).unwrap_or_default());
                        self.request_head_line(&line, piece.offset + at as u64, piece.time, cx);
                        self.requests.partial.recycle(line);
                    } else {
                        at = bytes.len();
                        self.request_head_goes_on(rest, cx);
                    }
                }
                At::Body => {
                    let Some(body) = &mut self.requests.body else { break };
                    let (taken, progress) = body.captured(rest);
                    at += taken;
                    self.request_body(progress, piece.offset + at as u64, piece.time, cx);
                }
                At::Join | At::Cut(_) | At::Garbage => {
                    self.request_straggles(piece);
                    break;
                }
            }
            fresh = false;
        }
    }

    fn request_begins(&mut self, piece: &Piece<'_>, index: u64, fresh: bool) {
        let turn = piece.turn && fresh;
        // Not before all requests have been answered, those that were not seen too, is it safe to pair again.
        if turn && (self.requests.untrusted.is_none() || !self.is_response_owed()) {
            self.requests.untrusted = None;
            self.fifo.requests_resumed();
        }
        #[cfg(test)]
        {
            self.audit.begun += 1;
        }
        let requests = &mut self.requests;
        requests.at = At::Line;
        requests.early = false;
        requests.fields.clear();
        // While a response is in progress, where it ends is certain, and it is not here.
        requests.turn = turn && !self.responses.in_progress();
        requests.request = Request {
            offset: piece.offset + index,
            not_before: piece.opposite,
            start: piece.time,
            arrival: piece.arrival,
            end: piece.time,
            bytes: 0,
            size: None,
            truncated: false,
            waits: false,
            operation: Name::EMPTY,
            method: Method::Unseen,
            host: Name::EMPTY,
            minor: None,
            traceparent: None,
        };
    }

    /// The head in progress, from the beginning of a line on. Gives the number of bytes that belong to it.
    fn request_head(&mut self, bytes: &[u8], position: u64, time: u64, cx: &mut Context<'_>) -> usize {
        let mut lines = Lines::of(bytes);
        loop {
            match self.requests.at {
                At::Line => match lines.next() {
                    Some(line) => self.request_line(line, cx),
                    None => break,
                },
                At::Fields if self.requests.fields.read(&mut lines, cx.names) => {
                    self.request_head_ends(position + lines.taken() as u64, time, cx);
                }
                At::Fields => break,
                _ => return lines.taken(),
            }
        }
        self.request_head_goes_on(bytes.get(lines.taken()..).unwrap_or_default(), cx);
        bytes.len()
    }

    /// The beginning of a line whose end has not come, or more of it.
    fn request_head_goes_on(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        self.requests.partial.append(bytes);
        if self.requests.at == At::Line && !may_be_request(self.requests.partial.as_bytes()) {
            self.request_garbage(cx);
        }
    }

    /// A line that was split over pieces.
    fn request_head_line(&mut self, line: &[u8], position: u64, time: u64, cx: &mut Context<'_>) {
        if self.requests.at == At::Line {
            self.request_line(line, cx);
        } else if matches!(line, b"" | b"\r") {
            self.request_head_ends(position, time, cx);
        } else {
            self.requests.fields.line(line, cx.names);
        }
    }

    fn request_line(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let Some(line) = request_line(line) else { return self.request_garbage(cx) };
        self.requests.tentative = None;
        self.requests.at = At::Fields;
        self.nonsense = 0;
        self.requests.name(&line, cx);
    }

    /// These bytes are no request.
    fn request_garbage(&mut self, cx: &mut Context<'_>) {
        self.requests.partial.clear();
        if let Some(was) = self.requests.tentative.take() {
            #[cfg(test)]
            {
                self.audit.begun -= 1;
            }
            self.requests.at = was;
            if let At::Cut(cut) = was {
                self.fifo.requests_missing(cut);
            }
            return;
        }
        self.nonsense += 1;
        self.requests.at = At::Garbage;
        self.fifo.requests_missing(Cut::Lost);
        if self.requests.early {
            self.request_early(true, cx);
        } else {
            cx.lose(Lost::Parse);
        }
    }

    fn request_head_ends(&mut self, position: u64, time: u64, cx: &mut Context<'_>) {
        let requests = &mut self.requests;
        requests.describe(cx);
        let (fields, request) = (&requests.fields, &mut requests.request);
        request.end = time;
        request.bytes = position.saturating_sub(request.offset);
        // RFC 9112 §6.3: chunked wins over a length, and a request without either has no body.
        let (body, at) = match (request.method, fields) {
            // What follows is the tunnel's, if it is granted, so it is too early to read it as requests.
            (Method::Connect, _) => (None, At::Join),
            (_, Fields { chunked: true, .. }) => (Some(Body::chunked()), At::Body),
            // Another coding last: no server can find the end either.
            (_, Fields { coded: true, .. }) => (None, At::Join),
            (_, Fields { length: Some(length @ 1..), .. }) => (Some(Body::length(*length)), At::Body),
            _ => (None, At::Start),
        };
        request.size = body.is_none().then_some(0);
        requests.at = at;
        requests.body = body;
        requests.expects = fields.expects;
        let request = *request;
        if requests.early {
            requests.early = false;
            if let Some(place) = self.find(request.offset) {
                *place = request;
            }
        } else {
            self.request_push(request, cx);
        }
        if let Some(body) = body {
            if self.requests.untrusted.is_none() {
                self.requests.opened(position, time, Some(body.size));
            }
        } else if self.requests.open.is_some() {
            self.requests.opened(position, time, Some(0));
            self.settle(cx);
        }
    }

    fn request_push(&mut self, request: Request, cx: &mut Context<'_>) {
        if let Some(reason) = self.requests.untrusted {
            cx.lose(reason);
        } else if self.fifo.push(request, request.not_before, self.requests.turn).is_err() {
            cx.lose(Lost::Evicted);
            self.requests.untrusted = Some(Lost::Evicted);
            self.fifo.requests_missing(Cut::Lost);
        }
    }

    fn request_body(&mut self, progress: Progress, position: u64, time: u64, cx: &mut Context<'_>) {
        self.requests.progress(position, time);
        match progress {
            Progress::More => {}
            Progress::Done => {
                self.requests.at = At::Start;
                self.settle(cx);
            }
            // The request itself is known, and it will be answered; what follows it is not.
            Progress::Broken => {
                self.nonsense += 1;
                self.requests.at = At::Garbage;
                self.fifo.requests_missing(Cut::Lost);
                self.requests.body = None;
                self.requests.progress(position, time);
                self.settle(cx);
            }
        }
    }
}

impl Requests {
    /// What the request line says.
    fn name(&mut self, line: &RequestLine<'_>, cx: &mut Context<'_>) {
        let known = Method::known(line.method);
        let request = &mut self.request;
        request.minor = line.minor;
        request.truncated |= !line.whole;
        request.method = match known {
            Some(method) => method,
            None if line.method.is_empty() => Method::Unseen,
            None => Method::Other(cx.names.intern_within(self.routes.clients, line.method).unwrap_or(Name::OTHER)),
        };
        let target = line.target.filter(|_| known != Some(Method::Connect)).map(path_of);
        request.operation = self.routes.operation(request.method.operation(), target, line.whole, cx.names);
        if let Some(target) = line.target.filter(|target| line.whole && target.first() != Some(&b'/')) {
            self.fields.host = target_host(line.method, target, self.routes.clients, cx.names);
        }
    }

    /// What the fields say of the request, as far as they were seen.
    fn describe(&mut self, cx: &mut Context<'_>) {
        let Self { fields, request, routes, .. } = self;
        request.host = fields.host.unwrap_or(Name::EMPTY);
        request.traceparent = fields.traceparent;
        request.waits = fields.waits;
        if let Some(operation) = routes.with_host(request.method.operation(), request.host, cx.names) {
            request.operation = operation;
        }
    }

    /// Whose connection it is.
    pub(super) fn serve(&mut self, routes: Routes) {
        self.fields.share = routes.clients;
        self.routes = routes;
    }
}
