//! Answers that came before their query.
//!
//! A datagram is on its way before the call that sends it returns, and only then is the send seen. Where one thread asks and
//! another one reads, on another CPU, the answer can be read before that: by a few microseconds as a rule, by a time slice
//! if the sending thread was interrupted just then. The first query of a socket takes longest, since its connection is
//! made and announced in that moment.

use super::frames::Message;
use super::lookup::Key;
use crate::Direction;
use std::collections::VecDeque;

/// So long a query may come behind its answer, in nanoseconds.
pub(super) const EARLY: u64 = 500_000_000;
/// Most answers of one socket that wait for their query.
const PLACES: usize = 16;

/// Most bytes of answers that wait, of all sockets together: whoever is sent what nobody asked for keeps no more.
pub(super) const ROOM: usize = 256 * 1024;

/// An answer, kept as it came.
#[derive(Debug)]
pub(super) struct Answer {
    key: Key,
    direction: Direction,
    bytes: Box<[u8]>,
    offset: u64,
    size: u64,
    arrival: u64,
    pub(super) time: u64,
}

impl Answer {
    /// The message that it was.
    pub(super) fn message(&self) -> Message<'_> {
        Message {
            direction: self.direction,
            bytes: &self.bytes,
            cut: None,
            offset: self.offset,
            size: self.size,
            start: self.time,
            arrival: self.arrival,
            end: self.time,
        }
    }
}

/// The answers of one socket, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Early {
    answers: VecDeque<Answer>,
}

impl Early {
    /// Keeps an answer; `held` is what all sockets keep. True if one that waited has made room for it, or there is none.
    #[cold]
    pub(super) fn keep(&mut self, key: Key, message: &Message<'_>, held: &mut usize) -> bool {
        let full = self.answers.len() >= PLACES && self.drop_first(held);
        if *held + message.bytes.len() > ROOM {
            return true;
        }
        *held += message.bytes.len();
        self.answers.push_back(Answer {
            key,
            direction: message.direction,
            bytes: message.bytes.into(),
            offset: message.offset,
            size: message.size,
            arrival: message.arrival,
            time: message.end,
        });
        full
    }

    /// The answer to a query that was sent by `time`.
    #[inline]
    pub(super) fn claim(&mut self, key: &Key, time: u64, held: &mut usize) -> Option<Answer> {
        if self.answers.is_empty() {
            return None;
        }
        let is = |answer: &Answer| answer.key == *key && time.saturating_sub(answer.time) <= EARLY;
        let at = self.answers.iter().position(is)?;
        let answer = self.answers.remove(at)?;
        *held = held.saturating_sub(answer.bytes.len());
        Some(answer)
    }

    /// Whether the first of them has waited for too long; it is gone then.
    pub(super) fn expired(&mut self, now: u64, held: &mut usize) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now) && self.drop_first(held)
    }

    fn drop_first(&mut self, held: &mut usize) -> bool {
        let Some(answer) = self.answers.pop_front() else { return false };
        *held = held.saturating_sub(answer.bytes.len());
        true
    }

    /// When that will be.
    #[inline]
    pub(super) fn deadline(&self) -> Option<u64> {
        self.answers.front().map(|answer| answer.time.saturating_add(EARLY))
    }
}
