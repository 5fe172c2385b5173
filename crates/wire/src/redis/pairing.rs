//! Which reply is whose, and what it changes.

use super::Session;
use super::kind::{Kind, Verb};
use super::request::Request;
use super::said::{First, Seen};
use crate::{Claim, Context, Cut, Name, Outcome, State};
use steth_ledger::Lost;

impl Session {
    /// The request that the reply in progress answers; without one, the reply is counted.
    #[inline]
    pub(super) fn claim(&mut self, cx: &mut Context<'_>) -> Option<Request> {
        if let Some(request) = self.claimed.take() {
            return Some(request);
        }
        // The responses are in step whenever a reply is read (`responses_go_on`), so that none is passed over here.
        match self.fifo.claim(self.replies.start, |_, _| cx.count.lose(Lost::Hole, 1)) {
            Claim::Request(request) => return Some(request),
            Claim::Orphan(_) if self.unheld > 0 && self.fifo.is_empty() => self.unheld -= 1,
            Claim::Orphan(None) => cx.lose(Lost::Orphan),
            Claim::Orphan(Some(Cut::Lost)) => {}
            Claim::Orphan(Some(Cut::Skipped)) => cx.lose(Lost::Truncated),
        }
        None
    }

    /// The request that waits longest.
    #[inline]
    pub(super) fn oldest(&mut self) -> Option<&Request> {
        match &self.claimed {
            Some(request) => Some(request),
            None => self.fifo.front_mut().map(|request| &*request),
        }
    }

    /// The kind of the request that the reply in progress would answer.
    pub(super) fn asked(&mut self) -> Option<Kind> {
        let start = self.replies.start;
        self.oldest().filter(|request| request.not_before <= start).map(|request| request.named.kind)
    }

    /// Whether the reply in progress answers nobody. ("Pushed data"; RESP2: "Format of pushed messages".)
    #[inline]
    pub(super) fn is_push(&mut self) -> bool {
        match (self.replies.kind, self.replies.first) {
            (b'>', First::Confirm(verb)) => self.confirms(verb),
            (b'>', First::Other | First::Message) => true,
            (b'*', First::Other) | (b'+', _) if !self.monitor => false,
            (b'*', First::Confirm(verb)) if self.pubsub || matches!(self.asked(), None | Some(Kind::Unseen)) => {
                self.pubsub = true;
                self.confirms(verb)
            }
            (b'*', First::Message) => {
                let asked = self.asked();
                self.subscribed |= matches!(asked, None | Some(Kind::Control | Kind::PubSub(_)));
                self.subscribed
            }
            // Confirmations follow each other without a gap.
            (b'*' | b'>', First::Unseen) if self.owed > 0 => {
                self.owed -= 1;
                true
            }
            (b'*' | b'>', First::Unseen) => match self.asked() {
                Some(Kind::PubSub(verb)) => self.confirms(verb),
                _ => self.replies.kind == b'>',
            },
            // MONITOR's lines begin with a time. Replies go on between them.
            (b'+', _) if self.replies.digit => true,
            _ => self.monitor && self.asked().is_none(),
        }
    }

    /// A confirmation: whether it is not the first one of its command.
    #[cold]
    fn confirms(&mut self, verb: Verb) -> bool {
        self.subscribed = verb.adds() || (self.subscribed && !self.replies.zero);
        if self.owed > 0 && self.owed_for == verb {
            self.owed -= 1;
            return true;
        }
        let start = self.replies.start;
        let may_be = |kind| kind == Kind::PubSub(verb) || kind == Kind::Unseen;
        let asked = self.oldest().filter(|q| q.not_before <= start && may_be(q.named.kind));
        let Some(channels) = asked.map(|request| request.argument) else {
            self.unasked = true;
            return true;
        };
        (self.owed, self.owed_for) = (channels.saturating_sub(1), verb);
        false
    }

    /// What a reply changes.
    #[inline]
    pub(super) fn apply(&mut self, request: &Request, seen: Seen, cx: &mut Context<'_>) -> Outcome {
        match (request.named.kind, seen) {
            (Kind::Plain | Kind::Unseen, _) => {
                self.unknown = self.unknown.saturating_add(u8::from(self.replies.unknown));
                Outcome::Answered
            }
            (_, Seen::Error(_)) => Outcome::Answered,
            (kind, _) => self.changed(kind, seen, request.argument, cx),
        }
    }

    pub(super) fn changed(&mut self, kind: Kind, seen: Seen, argument: u32, cx: &mut Context<'_>) -> Outcome {
        match (kind, seen) {
            (Kind::Select, Seen::Ok) if argument != u32::MAX => {
                let digits = [10_000, 1_000, 100, 10, 1].map(|unit| b'0' + (argument / unit % 10) as u8);
                let zeros = digits.iter().take(4).take_while(|&&digit| digit == b'0').count();
                self.namespace = cx.names.intern(digits.get(zeros..).unwrap_or_default());
            }
            // Queued by MULTI, whose EXEC may or may not do it; or in a gap.
            (Kind::Select, _) => self.namespace = Name::EMPTY,
            (Kind::Monitor, Seen::Ok | Seen::Nothing) => self.monitor = true,
            (Kind::Reset, Seen::Fine | Seen::Nothing) => {
                (self.monitor, self.subscribed, self.owed, self.namespace) = (false, false, 0, Name::EMPTY);
            }
            (Kind::Sync, Seen::Fine | Seen::Ok) => {
                self.state = State::Opaque;
                return Outcome::Upgraded;
            }
            _ => {}
        }
        Outcome::Answered
    }
}
