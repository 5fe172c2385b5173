//! What is decided of one operation, from exchange to exchange.

use crate::dice::Dice;
use crate::sample::Why;
use std::hash::{Hash, Hasher};
use steth_window::{EntityId, Side};

/// Of what there is a slowest and a random request each minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who answered.
    pub server: EntityId,
    /// Number of the operation's name, in the caller's table.
    pub operation: u32,
    /// Where it was observed.
    pub side: Side,
}

impl Hash for Operation {
    // Two words instead of three fields: this is on the hot path.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.server.0);
        state.write_u64(u64::from(self.operation) << 8 | self.side as u64);
    }
}

/// All that has to be known of an exchange to decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// When it ended, nanoseconds since 1970.
    pub end: u64,
    /// How long it took.
    pub duration_ns: u64,
    /// It failed, as seen from its side.
    pub failed: bool,
    /// It was meant to wait (BLPOP, a stream of events): it is never the slowest.
    pub blocking: bool,
}

/// An operation in its current minute.
#[derive(Debug)]
pub(crate) struct State {
    /// The minute that all below is of, since 1970.
    pub(crate) minute: u64,
    /// Exchanges of this minute.
    seen: u64,
    /// The one of these that is kept at random next, from 1.
    next: u64,
    /// From how long on one is the slowest so far.
    slowest_from: u64,
    /// When the budget for errors grew last.
    paid: u64,
    budget: u32,
    /// Numbers of the samples that may have to go for a better one.
    pub(crate) slowest: Option<u64>,
    pub(crate) random: Option<u64>,
}

impl State {
    pub(crate) fn new(minute: u64, budget: u32, end: u64) -> Self {
        let (slowest, random) = (None, None);
        Self { minute, seen: 0, next: 1, slowest_from: 0, paid: end, budget, slowest, random }
    }

    /// A new minute. The budget for errors goes on.
    pub(crate) fn begin(&mut self, minute: u64) {
        *self = Self { paid: self.paid, ..Self::new(minute, self.budget, self.paid) };
    }

    /// One comparison each for chance, time and failure; all else seldom.
    #[inline]
    pub(crate) fn judge(&mut self, glance: &Glance, dice: &mut Dice) -> Why {
        let mut why = Why::NONE;
        self.seen += 1;
        if self.seen == self.next {
            self.next = dice.next_taken(self.seen);
            why = why.and(Why::RANDOM);
        }
        if glance.duration_ns >= self.slowest_from && !glance.blocking {
            self.slowest_from = glance.duration_ns.saturating_add(1);
            why = why.and(Why::SLOWEST);
        }
        why
    }

    /// Whether an error is to be kept: there is a budget of `most`, which grows by one `every` so many nanoseconds.
    pub(crate) fn afford(&mut self, end: u64, most: u32, every: u64) -> bool {
        let earned = end.saturating_sub(self.paid) / every.max(1);
        if earned > 0 || end < self.paid {
            // A clock that was set back earns nothing and starts anew.
            self.paid = if end < self.paid { end } else { self.paid + earned * every.max(1) };
            self.budget = self.budget.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(most);
        }
        let affordable = self.budget > 0;
        self.budget -= u32::from(affordable);
        affordable
    }
}
