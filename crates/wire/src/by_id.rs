//! Pairing for protocols with request ids: by id, in whatever order the responses come.
//!
//! A gap costs only what was in it: an id that is found belongs to its request for certain. What a gap leaves behind are
//! responses whose request was in it, and requests whose response was; so it is remembered when requests were last missing,
//! which requests were pending when responses were, and why. Requests are kept in the order in which they came, so that those that wait for too long are found without a
//! search.

use crate::Cut;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

/// Requests that wait for their response.
#[derive(Debug)]
pub struct ById<K, Q> {
    /// Numbers of the entries, by key. The entry with number n is at n - `first`. Empty as long as there are few.
    index: HashTable<u64>,
    indexed: bool,
    /// In the order in which they came. Claimed ones leave a space, which goes once it is at an end, or when spaces
    /// outnumber the rest.
    entries: VecDeque<Option<Entry<K, Q>>>,
    first: u64,
    live: usize,
    /// Requests so far.
    serial: u64,
    /// When requests were last missing, and why.
    requests_missing: Option<(u64, Cut)>,
    /// How many requests there had been when responses were last missing, and why.
    responses_missing: Option<(u64, Cut)>,
}

#[derive(Debug)]
struct Entry<K, Q> {
    key: K,
    request: Q,
    time: u64,
    serial: u64,
}

const HASHER: FixedState = FixedState::with_seed(0x6279_6964);

/// Where a request is, until the next one is added or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// Among so many, one is found sooner without the index than with it.
const FEW: usize = 8;

/// Spaces that are not worth closing.
const SPACES: usize = 32;

/// A queue of more than this is given back to the allocator when it is empty.
const LARGE: usize = 1024;

impl<K: Hash + Eq + Copy, Q> ById<K, Q> {
    /// Most requests that one connection may have outstanding.
    pub const MAX: usize = 4096;

    /// A request was seen at `time`. Its key is not pending: who expects repetitions claims the first one before.
    ///
    /// # Errors
    /// The request itself, when [`ById::MAX`] are pending already.
    #[inline]
    pub fn push(&mut self, key: K, request: Q, time: u64) -> Result<(), Q> {
        if self.live >= Self::MAX {
            return Err(request);
        }
        if !self.indexed && self.entries.len() >= FEW {
            self.index();
        }
        if self.indexed {
            let number = self.first + self.entries.len() as u64;
            insert(&mut self.index, &self.entries, self.first, number, &key);
        }
        self.entries.push_back(Some(Entry { key, request, time, serial: self.serial }));
        self.serial += 1;
        self.live += 1;
        Ok(())
    }

    /// The request with this key, which is no longer pending.
    #[inline]
    pub fn claim(&mut self, key: &K) -> Option<Q> {
        let place = self.find(key)?;
        self.take(place)
    }

    /// Where the request with this key is.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &K) -> Option<Place> {
        let is = |entry: &Option<Entry<K, Q>>| entry.as_ref().is_some_and(|entry| entry.key == *key);
        if !self.indexed {
            return self.entries.iter().position(is).map(Place);
        }
        let place = |number: u64| (number - self.first) as usize;
        let found = self.index.find(HASHER.hash_one(key), |&number| self.entries.get(place(number)).is_some_and(is));
        found.map(|&number| Place(place(number)))
    }

    /// The only request with such a key among the newest `among`, for a response that does not tell its whole key. None
    /// if there are two.
    #[must_use]
    pub fn find_only(&self, among: usize, is: impl Fn(&K) -> bool) -> Option<Place> {
        let newest = (self.entries.iter().enumerate().rev().take(2 * among))
            .filter_map(|(at, entry)| Some((at, entry.as_ref()?)))
            .take(among);
        let mut places = newest.filter(|(_, entry)| is(&entry.key)).map(|(at, _)| Place(at));
        let (place, None) = (places.next()?, places.next()) else { return None };
        Some(place)
    }

    /// The request at a place.
    #[inline]
    pub fn at_mut(&mut self, place: Place) -> Option<&mut Q> {
        self.entries.get_mut(place.0)?.as_mut().map(|entry| &mut entry.request)
    }

    /// The request at a place, which is no longer pending.
    #[inline]
    pub fn take(&mut self, place: Place) -> Option<Q> {
        self.leave_index(place);
        let entry = self.entries.get_mut(place.0)?.take()?;
        self.close_space();
        Some(entry.request)
    }

    /// The request at a place is no longer pending.
    #[inline]
    pub fn forget(&mut self, place: Place) {
        self.leave_index(place);
        if let Some(entry @ Some(_)) = self.entries.get_mut(place.0) {
            *entry = None;
            self.close_space();
        }
    }

    /// The oldest request, if it came before `time`; it is no longer pending. With the reason if responses went missing
    /// while it was, so that its own may have been among them.
    pub fn expired(&mut self, time: u64) -> Option<(Q, Option<Cut>)> {
        let serial = self.entries.front()?.as_ref().filter(|entry| entry.time < time)?.serial;
        let cut = self.responses_missing.filter(|(until, _)| serial < *until).map(|(_, cut)| cut);
        Some((self.take(Place(0))?, cut))
    }

    /// When the oldest request came.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.entries.front()?.as_ref().map(|entry| entry.time)
    }

    /// The newest request, if it is still pending.
    pub fn newest_mut(&mut self) -> Option<&mut Q> {
        self.entries.back_mut()?.as_mut().map(|entry| &mut entry.request)
    }

    /// Takes all requests, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = Q> + '_ {
        self.index.clear();
        (self.indexed, self.live) = (false, 0);
        self.first += self.entries.len() as u64;
        self.entries.drain(..).flatten().map(|entry| entry.request)
    }

    /// How many are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Requests of unknown number went missing at `time`.
    pub fn requests_missing(&mut self, time: u64, cut: Cut) {
        self.requests_missing = Some((time, cut));
    }

    /// Responses of unknown number went missing. Not when counts, but before which requests: times of the two directions
    /// are not measured at one point.
    pub fn responses_missing(&mut self, cut: Cut) {
        self.responses_missing = Some((self.serial, cut));
    }

    /// Why a response at or after `time` may answer nobody.
    #[must_use]
    pub fn requests_cut(&self, time: u64) -> Option<Cut> {
        self.requests_missing.filter(|(at, _)| *at >= time).map(|(_, cut)| cut)
    }

    /// An entry is about to be taken out.
    #[inline]
    fn leave_index(&mut self, place: Place) {
        if self.indexed
            && let Some(Some(entry)) = self.entries.get(place.0)
        {
            let number = self.first + place.0 as u64;
            if let Ok(found) = self.index.find_entry(HASHER.hash_one(entry.key), |&other| other == number) {
                found.remove();
            }
        }
    }

    /// An entry has been taken out.
    #[inline]
    fn close_space(&mut self) {
        self.live -= 1;
        if self.live == 0 {
            self.first += self.entries.len() as u64;
            self.entries.clear();
            self.indexed = false;
            if self.entries.capacity() > LARGE {
                (self.entries, self.index) = (VecDeque::new(), HashTable::new());
            }
            return;
        }
        while self.entries.pop_front_if(|entry| entry.is_none()).is_some() {
            self.first += 1;
        }
        while self.entries.pop_back_if(|entry| entry.is_none()).is_some() {}
        if self.entries.len() > 2 * self.live + SPACES {
            self.close_spaces();
        }
    }

    /// One request that waits for long must not make the queue grow behind it.
    #[cold]
    fn close_spaces(&mut self) {
        self.entries.retain(Option::is_some);
        if self.indexed {
            self.index();
        }
    }

    /// Makes the index.
    #[cold]
    fn index(&mut self) {
        self.index.clear();
        self.indexed = true;
        for (number, entry) in (self.first..).zip(&self.entries) {
            if let Some(entry) = entry {
                insert(&mut self.index, &self.entries, self.first, number, &entry.key);
            }
        }
    }
}

/// Adds the entry with this number to the index.
#[inline]
fn insert<K: Hash + Copy, Q>(
    index: &mut HashTable<u64>,
    entries: &VecDeque<Option<Entry<K, Q>>>,
    first: u64,
    number: u64,
    key: &K,
) {
    index.insert_unique(HASHER.hash_one(key), number, |&number| {
        let entry = entries.get((number - first) as usize).and_then(Option::as_ref);
        entry.map_or(0, |entry| HASHER.hash_one(entry.key))
    });
}

impl<K, Q> Default for ById<K, Q> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            indexed: false,
            entries: VecDeque::new(),
            first: 0,
            live: 0,
            serial: 0,
            requests_missing: None,
            responses_missing: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_many_pending_requests_are_given_back() {
        let mut pending = ById::default();
        for n in 0..ById::<usize, usize>::MAX {
            pending.push(n, n, 0).unwrap();
        }
        assert_eq!(pending.push(usize::MAX, 9, 0), Err(9));
        assert_eq!(pending.claim(&17), Some(17));
        assert_eq!(pending.push(usize::MAX, 9, 0), Ok(()));
    }

    #[test]
    fn one_that_waits_for_long_does_not_make_the_queue_grow() {
        let mut pending = ById::default();
        pending.push(0u32, 0, 0).unwrap();
        for n in 1..100_000u32 {
            pending.push(n, n, 1).unwrap();
            pending.push(n + 1_000_000, n, 1).unwrap();
            assert_eq!(pending.claim(&n), Some(n));
            assert_eq!(pending.claim(&(n + 1_000_000)), Some(n));
        }
        assert!(pending.entries.capacity() < 1000);
        assert_eq!(pending.expired(1), Some((0, None)));
    }

    #[test]
    fn a_response_with_half_a_key_is_that_of_the_only_request_it_may_be() {
        let mut pending = ById::default();
        pending.push((1, 'a'), 10, 0).unwrap();
        pending.push((2, 'b'), 20, 0).unwrap();
        pending.push((2, 'c'), 30, 0).unwrap();
        assert_eq!(pending.find_only(9, |key| key.0 == 2), None);
        assert_eq!(pending.find_only(2, |key| key.0 == 1), None, "not among the newest");
        let place = pending.find_only(3, |key| key.0 == 1).expect("it is alone");
        assert_eq!((pending.at_mut(place).copied(), pending.take(place)), (Some(10), Some(10)));
    }

    #[test]
    fn a_gap_explains_what_is_pending_and_what_comes_soon_after() {
        let mut pending = ById::<u8, u8>::default();
        pending.requests_missing(100, Cut::Lost);
        assert_eq!((pending.requests_cut(101), pending.requests_cut(90)), (None, Some(Cut::Lost)));
        pending.push(1, 10, 300).unwrap();
        pending.responses_missing(Cut::Skipped);
        pending.push(2, 20, 300).unwrap();
        assert_eq!(pending.expired(u64::MAX), Some((10, Some(Cut::Skipped))));
        assert_eq!(pending.expired(u64::MAX), Some((20, None)));
    }

    proptest! {
        #[test]
        fn behaves_like_a_list(steps in prop::collection::vec((0u8..4, 0u8..60), 0..400)) {
            let mut pending = ById::default();
            let mut model: Vec<(u8, u64)> = Vec::new();
            for (time, (what, key)) in (0u64..).zip(steps) {
                let at = model.iter().position(|(k, _)| *k == key);
                match (what, at) {
                    (0 | 1, None) => {
                        prop_assert_eq!(pending.push(key, time, time), Ok(()));
                        model.push((key, time));
                    }
                    (3, _) => {
                        let before = u64::from(key) * 4;
                        let expected = (model.first().copied()).filter(|(_, time)| *time < before);
                        prop_assert_eq!(pending.expired(before), expected.map(|(_, time)| (time, None)));
                        if expected.is_some() {
                            model.remove(0);
                        }
                    }
                    (_, at) => prop_assert_eq!(pending.claim(&key), at.map(|at| model.remove(at).1)),
                }
                prop_assert_eq!((pending.len(), pending.oldest()), (model.len(), model.first().map(|(_, time)| *time)));
            }
            prop_assert_eq!(pending.drain().collect::<Vec<_>>(), model.iter().map(|(_, time)| *time).collect::<Vec<_>>());
        }
    }
}
