//! Pairing for protocols without request ids: first in, first out, and never by guess across a gap.
//!
//! Every request remembers how far the response direction was when it was sent (`not_before`): its response cannot begin
//! before that position. After a gap in the responses it is not known how many of them were in it; the next response that
//! begins *exactly* at a pending request's `not_before`, where a turn begins, puts both directions in step again. Requests
//! before that one had their responses in the gap.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// Of the pending ones, those that [`DEEP`] has in it.
    deep: usize,
}

/// Requests beyond the first [`SHALLOW`] ones of their connection, in all connections: of the process, as its memory is.
static DEEP: AtomicUsize = AtomicUsize::new(0);

/// Most of those; about ten megabytes.
const DEEP_MAX: usize = 3 * Fifo::<()>::MAX;

/// Requests of a connection for which there is always room.
const SHALLOW: usize = 64;

#[derive(Debug)]
struct Entry<Q> {
    request: Q,
    not_before: u64,
    turn: bool,
}

impl<Q> Fifo<Q> {
    /// Most requests that one connection may have outstanding; fewer, while there are three such pipelines already.
    pub const MAX: usize = 32_768;

    /// A request was seen. `turn`: it is the first one since the other direction moved, and none can have been missed
    /// between that moment and it. Gives the request back when too many are pending.
    ///
    /// # Errors
    /// The request itself, when there is no room for it: [`Fifo::has_room`].
    #[inline]
    pub fn push(&mut self, request: Q, not_before: u64, turn: bool) -> Result<(), Q> {
        if self.pending.len() >= SHALLOW && !self.deepen() {
            // Its response will come all the same and must not be taken for another's.
            self.requests_cut = Some(Cut::Skipped);
            return Err(request);
        }
        self.pending.push_back(Entry { request, not_before, turn });
        Ok(())
    }

    /// Whether one more request may be kept.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        let pending = self.pending.len();
        pending < SHALLOW || (pending < Self::MAX && DEEP.load(Ordering::Relaxed) < DEEP_MAX)
    }

    /// Makes room for one more.
    fn deepen(&mut self) -> bool {
        if self.pending.len() >= Self::MAX || DEEP.fetch_add(1, Ordering::Relaxed) >= DEEP_MAX {
            DEEP.fetch_sub(usize::from(self.pending.len() < Self::MAX), Ordering::Relaxed);
            return false;
        }
        self.deep += 1;
        true
    }

    /// Gives room back that is not needed any more.
    #[inline]
    fn shallow(&mut self) {
        if self.deep > 0 {
            let deep = self.pending.len().saturating_sub(SHALLOW).min(self.deep);
            DEEP.fetch_sub(self.deep - deep, Ordering::Relaxed);
            self.deep = deep;
            if deep == 0 {
                self.pending.shrink_to(SHALLOW);
            }
        }
    }

    /// A response begins at `offset`. `passed` is called for every request that is passed over because its response was
    /// in a gap.
    #[inline]
    pub fn claim(&mut self, offset: u64, passed: impl FnMut(Q, Cut)) -> Claim<Q> {
        if self.responses_cut.is_some() && !self.resume(offset, passed) {
            return Claim::Orphan(Some(Cut::Lost));
        }
        match self.pending.pop_front_if(|entry| entry.not_before <= offset) {
            Some(entry) => {
                self.shallow();
                Claim::Request(entry.request)
            }
            None => Claim::Orphan(self.requests_cut),
        }
    }

    /// Whether a response message begins at `offset` for certain: a turn's first request was sent when the response
    /// direction was exactly there.
    #[must_use]
    pub fn is_boundary(&self, offset: u64) -> bool {
        self.boundary(offset).is_some()
    }

    /// The request that was sent then. Positions never go back, and of several with the same one only the first has a turn.
    fn boundary(&self, offset: u64) -> Option<usize> {
        let at = self.pending.partition_point(|entry| entry.not_before < offset);
        self.pending.get(at).filter(|entry| entry.turn && entry.not_before == offset).map(|_| at)
    }

    /// Puts the directions in step again, if `offset` is where a turn's first response begins. `passed` is called for every
    /// request before that one.
    pub fn resume(&mut self, offset: u64, mut passed: impl FnMut(Q, Cut)) -> bool {
        let Some(at) = self.boundary(offset) else { return false };
        let cut = self.responses_cut.take().unwrap_or(Cut::Lost);
        for entry in self.pending.drain(..at) {
            passed(entry.request, cut);
        }
        self.shallow();
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
        DEEP.fetch_sub(std::mem::take(&mut self.deep), Ordering::Relaxed);
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
        Self { pending: VecDeque::new(), responses_cut: None, requests_cut: None, deep: 0 }
    }
}

impl<Q> Drop for Fifo<Q> {
    fn drop(&mut self) {
        if self.deep > 0 {
            DEEP.fetch_sub(self.deep, Ordering::Relaxed);
        }
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
        assert_eq!(fifo.claim(0, |_, _| ()), Claim::Request(0));
        assert_eq!(fifo.push(9, 0, false), Ok(()));
    }

    /// One test for all of it, since the room is the process's.
    #[test]
    fn deep_pipelines_share_their_room_and_give_it_back() {
        let fill = |fifo: &mut Fifo<usize>| (0..).find(|&n| fifo.push(n, 0, n == 0).is_err()).expect("it ends");
        let mut fifos: Vec<Fifo<usize>> = (0..5).map(|_| Fifo::default()).collect();
        let taken: Vec<usize> = fifos.iter_mut().map(fill).collect();
        assert!(taken.iter().all(|&n| n >= SHALLOW), "there is always room for a few: {taken:?}");
        assert!(taken.iter().sum::<usize>() <= DEEP_MAX + 5 * SHALLOW, "{taken:?}");
        assert_eq!(taken.last(), Some(&SHALLOW));
        let mut last = fifos.pop().expect("five");
        let first = fifos.first_mut().expect("four");
        for n in 0..1000 {
            assert_eq!(first.claim(0, |_, _| ()), Claim::Request(n));
        }
        assert_eq!(fill(&mut last), 1000);
        drop(fifos);
        assert_eq!(last.drain().count(), SHALLOW + 1000);
        assert!(last.pending.capacity() >= SHALLOW);
        assert_eq!(fill(&mut last), Fifo::<usize>::MAX);
    }
}
