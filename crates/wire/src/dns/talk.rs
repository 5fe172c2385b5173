//! Which response is whose, and what becomes of lookups without one.
//!
//! Every query becomes a record or is counted, once; a query that is repeated before it was answered is the same lookup.
//! A response that answers nobody is counted where it shows a lookup that nobody has counted; of datagrams only once its
//! query can no longer come behind it.

use super::answer::{self, Answer};
use super::early::Early;
use super::frames::Message;
use super::lookup::{Key, Lookup};
use super::message::{Header, Question};
use super::mnemonic;
use super::{LIMIT, PATIENCE};
use crate::by_id::Place;
use crate::session::sooner;
use crate::{ById, Context, Cut, Direction, End, Exchange, Outcome, Share};
use std::collections::VecDeque;
use steth_ledger::Lost;

/// Lookups that are remembered because answers are still to come for them.
const OWED: usize = 64;
/// Newest lookups among which a response without its question is looked for.
const AMONG: usize = 64;

/// What a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Nothing that makes sense.
    Bad,
    /// Not enough of it was captured.
    Unseen,
    Query,
    Response,
}

/// Both directions' messages.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Messages travel in a stream.
    pub(super) stream: bool,
    /// The socket was in use before, and nothing has been seen of it yet. Two threads may use it: what was sent is told of
    /// behind the call, and by then another one may have read the answer, of which nothing is known.
    pub(super) joined: bool,
    /// What names the questions may take.
    pub(super) share: Share,
    pending: ById<Key, Lookup>,
    /// Lookups that are over, and how many answers are still to come: as many as were asked for.
    owed: VecDeque<(Key, u16)>,
    /// Datagrams: answers whose query was not seen yet.
    early: Early,
    /// The zone transfer that ended last: should it go on after all, its messages are nobody's else.
    transferred: Option<Key>,
    /// Queries that were counted and cannot be told by their answers, and when the last one was.
    counted: (u32, u64),
    /// The bytes that were captured of a datagram seem not to be all: if so, the next piece tells.
    held: Option<Exchange>,
    /// Lookups that were recognised, for the ledger's identity.
    #[cfg(test)]
    pub(super) begun: u64,
}

impl Talk {
    pub(super) fn new(stream: bool) -> Self {
        Self { stream, ..Self::default() }
    }

    /// A message.
    #[inline]
    pub(super) fn message(&mut self, message: &Message<'_>, cx: &mut Context<'_>) -> Sense {
        let Some(header) = Header::read(message.bytes) else {
            return match message.cut {
                Some(cut) => {
                    self.unreadable(message.direction, message.end, reason(cut), cx);
                    Sense::Unseen
                }
                None => self.bad(message, cx),
            };
        };
        // In a stream it is the client who asks.
        let foreign = self.stream && header.is_response() == (message.direction == Direction::Request);
        if foreign || !header.makes_sense() {
            return self.bad(message, cx);
        }
        let mut question = Question::unread(header);
        let behind = question.read(message.bytes, header);
        // Servers may truncate at any byte.
        let may_be_cut = message.cut.is_some() || (header.is_response() && header.is_truncated());
        if behind.is_none() && !may_be_cut {
            return self.bad(message, cx);
        }
        let asked = behind.map(|behind| (&question, behind));
        let key = Key::of(message, header, asked.map(|(asked, _)| asked));
        if header.is_response() {
            self.response(message, header, key, asked, cx);
            Sense::Response
        } else {
            self.query(message, header, key, asked.map(|(asked, _)| asked), cx);
            Sense::Query
        }
    }

    #[inline]
    fn query(
        &mut self,
        message: &Message<'_>,
        header: Header,
        key: Key,
        question: Option<&Question>,
        cx: &mut Context<'_>,
    ) {
        if key.question != Key::UNSEEN
            && let Some(place) = self.pending.find(&key)
        {
            return self.again(place, message);
        }
        self.begin();
        let mut lookup = Lookup::new(message, key, question, self.share, cx);
        lookup.joined = self.joined;
        if header.opcode() == mnemonic::STATEFUL && header.id == 0 {
            // "Unidirectional messages" (RFC 8490, 5.4.1).
            let exchange = lookup.exchange(Outcome::OneWay, message.end, cx);
            return cx.report(exchange);
        }
        // Two whose questions were not captured, with one id: the older one can be told no more.
        if key.question == Key::UNSEEN && self.pending.claim(&key).is_some() {
            cx.lose(Lost::Truncated);
        }
        let early = self.early.claim(&key, message.end, &mut cx.domains.early);
        if let Some(answer) = &early {
            lookup.left_by(answer.time);
        }
        if self.pending.push(key, lookup, message.end).is_err() {
            cx.lose(Lost::Evicted);
            return if early.is_none() {
                self.count(message.end)
            };
        }
        if let Some(answer) = early {
            self.message(&answer.message(), cx);
            // What follows belongs to the query.
            self.release(cx);
        }
    }

    /// The same is asked once more, and waits from now on.
    #[cold]
    fn again(&mut self, place: Place, message: &Message<'_>) {
        if let Some(mut lookup) = self.pending.take(place) {
            lookup.again(message);
            // It was pending a moment ago, so there is room.
            let _ = self.pending.push(lookup.key, lookup, message.end);
        }
    }

    #[inline]
    fn response(
        &mut self,
        message: &Message<'_>,
        header: Header,
        key: Key,
        question: Option<(&Question, usize)>,
        cx: &mut Context<'_>,
    ) {
        let unasked = header.questions == 0 || question.is_none();
        // It stays where it is until it is over, since it is not small.
        let Some(place) = self.find(key, unasked) else {
            return self.orphan(key, unasked, message, cx);
        };
        let Some(lookup) = self.pending.at_mut(place) else { return };
        let answer = match question {
            Some((asked, behind)) => {
                let (from, domains) = (cx.domains.learning(), &mut *cx.domains);
                let answer = answer::read(message.bytes, header, asked, behind, &mut |address| domains.learn(address));
                if answer.rcode == 0 {
                    domains.learnt(from, lookup.asked.name, asked, answer.ttl, message.end);
                } else {
                    domains.unlearn(from);
                }
                answer
            }
            None => Answer::without_question(header),
        };
        if !lookup.answer(message, header, &answer, self.stream) {
            return self.wait_on(place, message.end);
        }
        let exchange = lookup.exchange(Outcome::Answered, message.end, cx);
        let (key, attempts, transfer) = (lookup.key, lookup.attempts, lookup.transfer);
        self.pending.forget(place);
        self.over(key, attempts, transfer, 1);
        if !self.stream && !answer.complete {
            self.held = Some(exchange);
            return;
        }
        cx.report(exchange);
    }

    /// Part of its response has come: it waits anew.
    #[cold]
    fn wait_on(&mut self, place: Place, time: u64) {
        if let Some(lookup) = self.pending.take(place) {
            // It was pending a moment ago, so there is room.
            let _ = self.pending.push(lookup.key, lookup, time);
        }
    }

    /// The lookup that a response answers. A response need not repeat the question, and a question need not have been
    /// captured: then the id alone decides, if it can.
    #[inline]
    fn find(&self, key: Key, unasked: bool) -> Option<Place> {
        self.pending.find(&key).or_else(|| {
            self.pending.find_only(AMONG, |other| {
                let is = (other.id, other.reversed) == (key.id, key.reversed);
                is && (unasked || other.question == Key::UNSEEN)
            })
        })
    }

    /// A lookup is over, which was asked for so often and has so many answers.
    #[inline]
    fn over(&mut self, key: Key, attempts: u16, transfer: bool, answers: u16) {
        if transfer {
            self.transferred = Some(key);
        }
        if attempts > answers {
            if self.owed.len() >= OWED {
                self.owed.pop_front();
            }
            self.owed.push_back((key, attempts - answers));
        }
    }

    /// A response that answers nobody.
    #[cold]
    fn orphan(&mut self, key: Key, unasked: bool, message: &Message<'_>, cx: &mut Context<'_>) {
        let time = message.end;
        if let Some(at) = self.owed.iter().position(|(owed, _)| *owed == key) {
            if let Some((_, answers)) = self.owed.get_mut(at) {
                *answers -= 1;
                if *answers == 0 {
                    self.owed.remove(at);
                }
            }
            return;
        }
        if self.transferred.is_some_and(|done| (done.id, done.reversed) == (key.id, key.reversed)) {
            return;
        }
        let since = time.saturating_sub(PATIENCE);
        let (counted, at) = &mut self.counted;
        if *counted > 0 && *at >= since {
            *counted -= 1;
            return;
        }
        match self.pending.requests_cut(since) {
            Some(Cut::Lost) => {}
            Some(Cut::Skipped) => cx.lose(Lost::Truncated),
            None if self.stream || unasked => cx.lose(Lost::Orphan),
            None => {
                if self.early.keep(key, message, &mut cx.domains.early) {
                    cx.lose(Lost::Orphan);
                }
            }
        }
    }

    /// A message that makes no sense.
    #[cold]
    fn bad(&mut self, message: &Message<'_>, cx: &mut Context<'_>) -> Sense {
        self.unreadable(message.direction, message.end, Lost::Parse, cx);
        Sense::Bad
    }

    /// A message of which it is not known whose it is. A query is counted here, so that its answer need not be; a response
    /// may be that to any lookup.
    #[cold]
    pub(super) fn unreadable(&mut self, direction: Direction, time: u64, reason: Lost, cx: &mut Context<'_>) {
        match direction {
            Direction::Request => {
                self.begin();
                cx.lose(reason);
                self.count(time);
            }
            Direction::Response => {
                let cut = if reason == Lost::Truncated { Cut::Skipped } else { Cut::Lost };
                self.pending.responses_missing(cut);
            }
        }
    }

    /// A query was counted, so that its answer need not be.
    fn count(&mut self, time: u64) {
        let (counted, at) = self.counted;
        let before = if at >= time.saturating_sub(PATIENCE) { counted } else { 0 };
        self.counted = (before.saturating_add(1), time);
    }

    /// Messages of unknown number passed unseen.
    pub(super) fn missing(&mut self, direction: Direction, time: u64, cut: Cut) {
        match direction {
            Direction::Request => self.pending.requests_missing(time, cut),
            Direction::Response => self.pending.responses_missing(cut),
        }
    }

    /// The rest of the datagram that came last, `n` bytes, was not captured.
    pub(super) fn rest(&mut self, of: Sense, n: u64, cx: &mut Context<'_>) {
        if let (Sense::Query, Some(lookup)) = (of, self.pending.newest_mut()) {
            lookup.more(n);
        }
        if let Some(mut exchange) = self.held.take() {
            exchange.truncated = true;
            exchange.response_bytes += n;
            cx.report(exchange);
        }
    }

    /// There is no rest.
    #[inline]
    pub(super) fn release(&mut self, cx: &mut Context<'_>) {
        if let Some(exchange) = self.held.take() {
            cx.report(exchange);
        }
    }

    /// When the oldest lookup will have waited for too long.
    #[inline]
    pub(super) fn deadline(&self) -> Option<u64> {
        match &self.held {
            Some(exchange) => Some(exchange.end),
            None => {
                let oldest = self.pending.oldest().map(|time| time + PATIENCE);
                sooner(oldest, self.early.deadline())
            }
        }
    }

    /// Time has come this far: who has waited for too long is not answered any more.
    pub(super) fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
        self.release(cx);
        self.nobodys(now, cx);
        while let Some((lookup, cut)) = self.pending.expired((now + 1).saturating_sub(PATIENCE)) {
            self.over(lookup.key, lookup.attempts, lookup.transfer, 0);
            self.end(&lookup, cut, End::TimedOut, lookup.last + LIMIT, cx);
        }
    }

    /// Answers whose query has not come by `now`.
    fn nobodys(&mut self, now: u64, cx: &mut Context<'_>) {
        while self.early.expired(now, &mut cx.domains.early) {
            cx.lose(Lost::Orphan);
        }
    }

    /// No response will come any more: every pending lookup is accounted for.
    pub(super) fn settle(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        self.release(cx);
        self.nobodys(u64::MAX, cx);
        while let Some((lookup, cut)) = self.pending.expired(u64::MAX) {
            let late = lookup.last + LIMIT;
            let (end, time) = if time >= late { (End::TimedOut, late) } else { (end, time) };
            self.end(&lookup, cut, end, time, cx);
        }
    }

    /// This is not DNS.
    pub(super) fn withdraw(&mut self, cx: &mut Context<'_>) {
        self.release(cx);
        // They were answers to lookups, if this had been DNS.
        while self.early.expired(u64::MAX, &mut cx.domains.early) {}
        for _ in self.pending.drain() {
            cx.lose(Lost::Misinferred);
        }
    }

    /// A lookup will not be answered (any further).
    fn end(&mut self, lookup: &Lookup, cut: Option<Cut>, end: End, time: u64, cx: &mut Context<'_>) {
        let outcome = match (end, cut) {
            (End::Evicted, _) => return cx.lose(Lost::Evicted),
            // Part of a zone transfer, of which the end may not have been recognised.
            (End::Closed | End::TimedOut, _) if lookup.is_answered_in_part() => Outcome::Answered,
            (_, Some(cut)) => return cx.lose(reason(cut)),
            _ if lookup.joined => return cx.lose(Lost::Joined),
            (End::Closed, None) => Outcome::Unanswered,
            (End::Reset, None) => Outcome::Reset,
            (End::TimedOut, None) => Outcome::Timeout,
        };
        let exchange = lookup.exchange(outcome, time, cx);
        cx.report(exchange);
    }

    /// Lookups that wait, and an exchange that is not handed out yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.len() + usize::from(self.held.is_some())
    }

    #[inline]
    fn begin(&mut self) {
        #[cfg(test)]
        (self.begun += 1);
    }
}

/// What a lookup of which bytes are missing is counted as.
pub(super) fn reason(cut: Cut) -> Lost {
    match cut {
        Cut::Lost => Lost::Hole,
        Cut::Skipped => Lost::Truncated,
    }
}
