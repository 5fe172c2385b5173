//! Shares of the table of names: what one service may take of it.
//!
//! Some names are made by whoever sends a request: a path, a host. The table never forgets, so a service that is asked for
//! a million paths would leave no room for the others. Each has a share of its own, and what exceeds it gets no name.

use super::{Name, Names};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::hash::BuildHasher;

/// What a share is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShareOf {
    /// Routes of HTTP, behind their methods.
    #[default]
    Routes,
    /// What clients invent: hosts and methods of HTTP, names of scripts and functions.
    Clients,
    /// Commands, and the words of errors.
    Commands,
    /// Schemas and databases, as clients name them before a server has checked anything.
    Schemas,
    /// Digests of SQL, and their summaries.
    Statements,
    /// What is asked of DNS: the share of whoever asks.
    Questions,
}

/// How many kinds there are.
const KINDS: usize = 6;

/// A service's share of a [`Names`] table; by default one without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    number: u32,
    kind: ShareOf,
}

/// Of one owner.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    used: u32,
    most: u32,
}

/// Who has which names.
#[derive(Debug)]
pub(super) struct Shares {
    owners: HashMap<(u64, ShareOf), u32, FixedState>,
    /// By the number of the share; those without a limit have number 0.
    accounts: Vec<Account>,
    /// Share and name, for all names of all shares.
    has: HashSet<u64, FixedState>,
    folded: [u64; KINDS],
}

impl Shares {
    /// Most owners of each kind; all others have one share together.
    const OWNERS: usize = 4096;
    /// Most names of all shares.
    const MOST: usize = 2 * Names::MAX;

    pub(super) fn new(hasher: &FixedState) -> Self {
        Self {
            owners: HashMap::with_hasher(hasher.clone()),
            accounts: vec![Account::default()],
            has: HashSet::with_hasher(hasher.clone()),
            folded: [0; KINDS],
        }
    }

    /// Whether there is room for one more name in this share.
    fn has_room(&self, share: Share) -> bool {
        let account = self.accounts.get(share.number as usize).copied().unwrap_or_default();
        account.used < account.most && self.has.len() < Self::MOST
    }

    fn add(&mut self, share: Share, name: Name) {
        if let Some(account) = self.accounts.get_mut(share.number as usize) {
            account.used += 1;
        }
        self.has.insert(pair(share, name));
    }
}

fn pair(share: Share, name: Name) -> u64 {
    u64::from(share.number) << 32 | u64::from(name.number())
}

impl Names {
    /// The share of the service that is known by these bytes: room for `most` different names.
    pub fn share(&mut self, kind: ShareOf, owner: &[u8], most: u32) -> Share {
        let key = (self.hasher.hash_one(owner), kind);
        let shares = &mut self.shares;
        // Those who come too late are one owner, which these bytes cannot name: nobody is called nothing.
        let key =
            if shares.owners.len() < 2 * Shares::OWNERS || shares.owners.contains_key(&key) { key } else { (0, kind) };
        let next = shares.accounts.len() as u32;
        let number = *shares.owners.entry(key).or_insert(next);
        if number == next {
            shares.accounts.push(Account { used: 0, most });
        }
        Share { number, kind }
    }

    /// Whether there is room in a share for one more name, which counts from now on. For tables that know by themselves what is new.
    pub fn charge(&mut self, share: Share) -> bool {
        if share.number == 0 {
            return true;
        }
        let Some(account) = self.shares.accounts.get_mut(share.number as usize) else { return false };
        if account.used >= account.most {
            self.shares.folded[share.kind as usize] += 1;
            return false;
        }
        account.used += 1;
        true
    }

    /// The number of a string that counts against a share; `None` if that is used up, or the table is.
    pub fn intern_within(&mut self, share: Share, bytes: &[u8]) -> Option<Name> {
        if share.number == 0 {
            return Some(self.intern(bytes));
        }
        let bytes = bytes.get(..Self::MAX_LENGTH).unwrap_or(bytes);
        let hash = super::hash(&self.hasher, bytes);
        let known = self.find(bytes, hash);
        match known {
            Some(name) if self.shares.has.contains(&pair(share, name)) => return Some(name),
            _ if !self.shares.has_room(share) => {}
            _ => {
                let name = known.unwrap_or_else(|| self.insert(bytes, hash, Self::MAX_LENGTH));
                if name == Name::OTHER {
                    return None;
                }
                // What was cleaned on its way in is found by its clean form only.
                if !self.shares.has.contains(&pair(share, name)) {
                    self.shares.add(share, name);
                }
                return Some(name);
            }
        }
        self.shares.folded[share.kind as usize] += 1;
        None
    }

    /// How often a share of this kind was used up.
    #[must_use]
    pub fn folded_within(&self, kind: ShareOf) -> u64 {
        self.shares.folded[kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(names: &mut Names, share: Share, many: std::ops::Range<u32>) -> usize {
        many.filter(|n| names.intern_within(share, format!("GET /{n}").as_bytes()).is_some()).count()
    }

    #[test]
    fn one_who_wants_a_million_leaves_the_others_theirs() {
        let mut names = Names::default();
        let (busy, quiet) = (names.share(ShareOf::Routes, b"busy", 500), names.share(ShareOf::Routes, b"quiet", 500));
        assert_eq!(take(&mut names, busy, 0..1_000_000), 500);
        assert_eq!(names.folded_within(ShareOf::Routes), 999_500);
        assert_eq!(take(&mut names, busy, 0..500), 500, "who has a name keeps it");
        // The same string counts once for each who has it.
        assert_eq!(take(&mut names, quiet, 400..1000), 500);
        assert_eq!((names.folded(), names.folded_within(ShareOf::Clients)), (0, 0));
        assert_eq!(names.share(ShareOf::Routes, b"busy", 500), busy, "the same on every connection");
        let hosts = names.share(ShareOf::Clients, b"busy", 1);
        assert_eq!(take(&mut names, hosts, 0..2), 1, "a share of its own");
    }

    #[test]
    fn without_a_share_there_is_no_limit_but_the_tables() {
        let mut names = Names::default();
        assert_eq!(take(&mut names, Share::default(), 0..10_000), 10_000);
        let share = names.share(ShareOf::Routes, b"late", u32::MAX);
        assert_eq!(take(&mut names, share, 10_000..40_000), Names::MAX - 10_002);
        assert!(names.folded() > 0, "the table is full, and says so");
    }

    #[test]
    fn owners_beyond_the_limit_have_one_share_together() {
        let mut names = Names::default();
        let shares: Vec<_> =
            (0..2 * Shares::OWNERS + 10).map(|n| names.share(ShareOf::Routes, &n.to_le_bytes(), 1)).collect();
        let (last, before) = (shares[shares.len() - 1], shares[shares.len() - 2]);
        assert_eq!(last, before);
        assert_ne!(last, shares[0]);
        assert_eq!(names.share(ShareOf::Routes, &0usize.to_le_bytes(), 1), shares[0]);
        assert_eq!(take(&mut names, last, 0..5), 1);
    }

    #[test]
    fn bytes_that_are_not_text_count_once() {
        let mut names = Names::default();
        let share = names.share(ShareOf::Routes, b"x", 2);
        let name = names.intern_within(share, b"caf\xe9").expect("room");
        assert_eq!(names.intern_within(share, b"caf\xe9"), Some(name));
        assert!(names.intern_within(share, b"other").is_some(), "one is left");
        assert_eq!(names.intern_within(share, &[b'a'; 300]), None);
    }
}
