//! The client's messages made into requests: the Parse, Bind and Describe that lead to an Execute are one with it.

use super::Session;
use super::attributes::{Answer, exchange};
use super::client::{Message, Opening};
use super::gap::Trust;
use super::prepared::Key;
use super::request::{Kind, Preparation, Request};
use crate::sql::Statement;
use crate::{Context, Cut, Outcome};
use steth_ledger::Lost;

/// Where more of the last execution goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// The next message begins a new one.
    Nowhere,
    /// To the newest request.
    Queue,
    /// To the request that has failed already.
    Failed,
}

impl Session {
    /// A message of the client is complete. `end` is the position behind it.
    #[inline]
    pub(super) fn sent(&mut self, message: Message, end: u64, time: u64, cx: &mut Context<'_>) {
        self.strikes[0] = 0;
        if let Trust::Counted(reason) = self.trust {
            return self.uncounted(&message, reason, cx);
        }
        match self.client.kind {
            b'Q' => {
                let mut request = Request::new(Kind::Query, Key::UNNAMED, message.statement);
                request.several = message.several;
                self.push(request, end, time, cx);
            }
            b'P' => {
                if let Some(statement) = message.statement {
                    self.prepared.parse(message.key, statement);
                }
                self.prepare(Preparation::Parse, message.key, message.statement, end, time, cx);
            }
            b'B' => {
                self.prepared.bind(message.portal, message.key);
                let statement = self.prepared.statement(message.key);
                self.prepare(Preparation::Bind, message.key, statement, end, time, cx);
            }
            b'D' => {
                let (key, statement) = self.target(&message);
                self.prepare(Preparation::Describe, key, statement, end, time, cx);
            }
            b'C' => {
                let (key, statement) = self.target(&message);
                if message.of_portal {
                    self.prepared.forget_portal(message.portal);
                } else {
                    self.prepared.forget(message.key);
                }
                self.prepare(Preparation::Close, key, statement, end, time, cx);
            }
            b'E' => self.execute(message.portal, end, time, cx),
            b'F' => self.push(Request::new(Kind::Function, Key::UNKNOWN, None), end, time, cx),
            // "COPY Operations": the server ignores a Sync while it waits for data.
            b'S' if self.copying => {}
            b'S' => self.push(Request::new(Kind::Sync, Key::UNKNOWN, None), end, time, cx),
            b'd' => self.copied(end, time),
            b'c' | b'f' => {
                self.copied(end, time);
                self.copying = false;
            }
            b'p' => self.challenged = false,
            0 => self.opening(&message, end, time, cx),
            // Flush and Terminate.
            _ => {}
        }
    }

    /// A message that is counted, not paired.
    #[cold]
    fn uncounted(&mut self, message: &Message, reason: Lost, cx: &mut Context<'_>) {
        let n = match self.client.kind {
            b'Q' => message.several.as_ref().map_or(1, |several| several.len() as u64),
            b'E' | b'F' => 1,
            0 if matches!(message.opening, Opening::Startup | Opening::Cancel) => 1,
            _ => 0,
        };
        cx.count.lose(reason, n);
    }

    /// Whose Describe or Close it is.
    fn target(&self, message: &Message) -> (Key, Option<Statement>) {
        if message.of_portal {
            self.prepared.portal(message.portal)
        } else {
            (message.key, self.prepared.statement(message.key))
        }
    }

    /// The execution that is being prepared, if a message about this statement belongs to it.
    #[inline]
    fn opened(&mut self, key: Key) -> Option<&mut Request> {
        let request = match self.open {
            Open::Nowhere => None,
            Open::Queue => self.fifo.back_mut(),
            Open::Failed => self.failed.as_mut().map(|failed| &mut failed.0),
        };
        let request = request?;
        if request.key == key {
            return Some(request);
        }
        // A name that was not seen is taken for that of the execution under way.
        if request.key == Key::UNKNOWN {
            request.key = key;
        } else if key != Key::UNKNOWN {
            return None;
        }
        request.truncated = true;
        Some(request)
    }

    #[inline]
    fn prepare(
        &mut self,
        preparation: Preparation,
        key: Key,
        statement: Option<Statement>,
        end: u64,
        time: u64,
        cx: &mut Context<'_>,
    ) {
        // A Parse begins something new, whatever is prepared already.
        if preparation != Preparation::Parse
            && let Some(request) = self.opened(key)
            && request.prepare(preparation)
        {
            return request.extend(end, time);
        }
        let mut request = Request::new(Kind::Prepare, key, statement);
        request.prepare(preparation);
        self.push(request, end, time, cx);
        if self.trust == Trust::Paired {
            self.open = Open::Queue;
        }
    }

    #[inline]
    fn execute(&mut self, portal: Key, end: u64, time: u64, cx: &mut Context<'_>) {
        let (key, statement) = self.prepared.portal(portal);
        if let Some(request) = self.opened(key) {
            request.kind = Kind::Execute;
            request.extend(end, time);
            self.open = Open::Nowhere;
            return;
        }
        self.push(Request::new(Kind::Execute, key, statement), end, time, cx);
    }

    /// The message just completed begins this request.
    #[inline]
    fn push(&mut self, mut request: Request, end: u64, time: u64, cx: &mut Context<'_>) {
        self.open = Open::Nowhere;
        if std::mem::take(&mut self.turn) {
            let alone = self.deaf || (self.fifo.is_empty() && !self.reply.active && !self.skipping);
            self.overlaps |= !alone;
            request.turn = alone;
        }
        (request.start, request.arrival, request.offset) = (self.client.time, self.client.arrival, self.client.start);
        request.not_before = self.client.opposite;
        request.extend(end, time);
        let (not_before, turn) = (request.not_before, request.turn);
        if let Err(request) = self.fifo.push(request, not_before, turn) {
            self.overflow(&request, cx);
        }
    }

    /// Too many requests are pending. Their replies will come all the same: from here on, both are only counted.
    #[cold]
    fn overflow(&mut self, request: &Request, cx: &mut Context<'_>) {
        cx.count.lose(Lost::Evicted, u64::from(request.outstanding()));
        self.trust = Trust::Counted(Lost::Evicted);
        self.overlaps = true;
        self.fifo.requests_missing(Cut::Lost);
        self.prepared.gap();
    }

    /// Data for COPY FROM STDIN is part of the request.
    fn copied(&mut self, end: u64, time: u64) {
        if self.copying
            && let Some(request) = self.fifo.front_mut()
        {
            request.extend(end, time);
        }
    }

    #[cold]
    fn opening(&mut self, message: &Message, end: u64, time: u64, cx: &mut Context<'_>) {
        // Nothing comes before these.
        self.sure = true;
        match message.opening {
            Opening::Encryption => self.push(Request::new(Kind::Encryption, Key::UNKNOWN, None), end, time, cx),
            Opening::Startup => {
                self.namespace = message.database;
                self.push(Request::new(Kind::Startup, Key::UNKNOWN, None), end, time, cx);
            }
            Opening::Cancel => {
                let mut request = Request::new(Kind::Cancel, Key::UNKNOWN, None);
                (request.start, request.arrival) = (self.client.time, self.client.arrival);
                request.offset = self.client.start;
                request.extend(end, time);
                let naming = self.naming(cx);
                let answer = Answer::none(time);
                let exchange = exchange(&request, None, &answer, Outcome::OneWay, naming, cx.names);
                cx.report(exchange);
            }
            Opening::Unknown => {}
        }
    }
}
