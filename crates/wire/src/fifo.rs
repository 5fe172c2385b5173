//! Pairing for protocols without request ids: first in, first out, and never by guess across a gap.
//!
//! Every request remembers how far the response direction was when it was sent (`not_before`): its response cannot begin
//! before that position. After a gap in the responses it is not known how many of them were in it; the next response that
//! begins *exactly* at a pending request's `not_before`, where a turn begins, puts both directions in step again. Requests
//! before that one had their responses in the gap.

use std::collections::VecDeque;

/// Why the directions are out of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Records were lost.
    Lost,
    /// The capture policy (or an unreadable page) left bytes out; they are known to have passed.
    Skipped,
}

/// Whose response begins here.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim<Q> {
    /// This request's.
    Request(Q),
    /// Nobody's that was seen. With the reason if requests are known to be missing: [`Cut::Lost`] ones were counted by
    /// whoever lost them, [`Cut::Skipped`] ones must be counted now, one for each orphan. Without one the request was sent
    /// before the agent attached.
    Orphan(Option<Cut>),
}

/// Requests that wait for their response.
#[derive(Debug)]
pub struct Fifo<Q> {
    pending: VecDeque<Entry<Q>>,
    /// Responses of unknown number are missing.
    responses_cut: Option<Cut>,
    /// Requests of unknown number are missing behind the last pending one.
    requests_cut: Option<Cut>,
}

#[derive(Debug)]
struct Entry<Q> {
    request: Q,
    not_before: u64,
    turn: bool,
}

impl<Q> Fifo<Q> {
    /// Most requests that one connection may have outstanding.
    pub const MAX: usize = 4096;

    /// A request was seen. `turn`: it is the first one since the other direction moved, and none can have been missed
    /// between that moment and it. Gives the request back when too many are pending.
    ///
    /// # Errors
    /// The request itself, when [`Fifo::MAX`] are pending already.
    #[inline]
    pub fn push(&mut self, request: Q, not_before: u64, turn: bool) -> Result<(), Q> {
        if self.pending.len() >= Self::MAX {
            // Its response will come all the same and must not be taken for another's.
            self.requests_cut = Some(Cut::Skipped);
            return Err(request);
        }
        self.pending.push_back(Entry { request, not_before, turn });
        Ok(())
    }

    /// A response begins at `offset`. `passed` is called for every request that is passed over because its response was
    /// in a gap.
    #[inline]
    pub fn claim(&mut self, offset: u64, passed: impl FnMut(Q, Cut)) -> Claim<Q> {
        if self.responses_cut.is_some() && !self.resume(offset, passed) {
            return Claim::Orphan(Some(Cut::Lost));
        }
        match self.pending.pop_front_if(|entry| entry.not_before <= offset) {
            Some(entry) => Claim::Request(entry.request),
            None => Claim::Orphan(self.requests_cut),
        }
    }

    /// Whether a response message begins at `offset` for certain: a turn's first request was sent when the response
    /// direction was exactly there.
    #[must_use]
    pub fn is_boundary(&self, offset: u64) -> bool {
        self.pending.iter().any(|entry| entry.turn && entry.not_before == offset)
    }

    /// Puts the directions in step again, if `offset` is where a turn's first response begins. `passed` is called for every
    /// request before that one.
    pub fn resume(&mut self, offset: u64, mut passed: impl FnMut(Q, Cut)) -> bool {
        let Some(at) = self.pending.iter().position(|entry| entry.turn && entry.not_before == offset) else {
            return false;
        };
        let cut = self.responses_cut.take().unwrap_or(Cut::Lost);
        for entry in self.pending.drain(..at) {
            passed(entry.request, cut);
        }
        true
    }

    /// Response bytes of unknown framing are missing.
    pub fn responses_missing(&mut self, cut: Cut) {
        // Skipped bytes are known to have passed; lost ones say less, so they win.
        if self.responses_cut != Some(Cut::Lost) {
            self.responses_cut = Some(cut);
        }
    }

    /// Request bytes of unknown framing are missing.
    pub fn requests_missing(&mut self, cut: Cut) {
        self.requests_cut = Some(cut);
    }

    /// The requests are in step again: a turn has begun, and orphans before it are explained.
    pub fn requests_resumed(&mut self) {
        self.requests_cut = None;
    }

    /// Whether responses of unknown number are missing, and why.
    #[must_use]
    pub fn responses_cut(&self) -> Option<Cut> {
        self.responses_cut
    }

    /// The oldest request, which waits longest.
    pub fn front_mut(&mut self) -> Option<&mut Q> {
        self.pending.front_mut().map(|entry| &mut entry.request)
    }

    /// The newest request.
    pub fn back_mut(&mut self) -> Option<&mut Q> {
        self.pending.back_mut().map(|entry| &mut entry.request)
    }

    /// Takes all pending requests, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Q> + '_ {
        self.pending.drain(..).map(|entry| entry.request)
    }

    /// How many are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl<Q> Default for Fifo<Q> {
    fn default() -> Self {
        Self { pending: VecDeque::new(), responses_cut: None, requests_cut: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(_: u32, _: Cut) {
        panic!("no request is passed over here");
    }

    #[test]
    fn pipelined_requests_pair_in_order() {
        let mut fifo = Fifo::default();
        for n in 0..3u32 {
            fifo.push(n, 0, n == 0).unwrap();
        }
        for n in 0..3 {
            assert_eq!(fifo.claim(u64::from(n) * 10, never), Claim::Request(n));
        }
        assert_eq!(fifo.claim(30, never), Claim::Orphan(None));
    }

    #[test]
    fn a_response_from_before_the_request_is_an_orphan() {
        let mut fifo = Fifo::default();
        fifo.push(1u32, 100, true).unwrap();
        assert_eq!(fifo.claim(60, never), Claim::Orphan(None));
        assert_eq!(fifo.claim(100, never), Claim::Request(1));
    }

    #[test]
    fn nothing_is_paired_across_a_gap_until_a_turn_begins_exactly_there() {
        let mut fifo = Fifo::default();
        fifo.push(1u32, 0, true).unwrap();
        fifo.responses_missing(Cut::Lost);
        fifo.push(2, 50, true).unwrap();
        assert_eq!(fifo.claim(40, never), Claim::Orphan(Some(Cut::Lost)));
        let mut passed = Vec::new();
        assert_eq!(fifo.claim(50, |q, cut| passed.push((q, cut))), Claim::Request(2));
        assert_eq!(passed, [(1, Cut::Lost)]);
    }

    #[test]
    fn too_many_pending_requests_are_given_back() {
        let mut fifo = Fifo::default();
        for n in 0..Fifo::<usize>::MAX {
            fifo.push(n, 0, true).unwrap();
        }
        assert_eq!(fifo.push(9, 0, false), Err(9));
    }
}
