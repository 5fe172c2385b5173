//! Names of remote addresses, as DNS answers told them.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;

/// Addresses and the names that they were found under. Bounded, and nothing is kept beyond its time.
///
/// Time is that of the records: every call brings it along. A name holds for its TTL, but for no less than
/// [`Hosts::SHORTEST`], because who resolves a name connects a little later, also when the TTL is 0; and for no longer than
/// [`Hosts::LONGEST`]. Of two names for one address the later one counts. Where the table is full, the hand of a clock
/// goes round and takes out the first entry that is over, or has not been asked for since the hand was there last.
#[derive(Debug)]
pub struct Hosts {
    by_address: HashMap<IpAddr, u32, FixedState>,
    entries: Vec<Entry>,
    maximum: usize,
    hand: usize,
    evicted: u64,
}

/// What an answer says that was not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The name of an address that had none, and as far as is known never had another.
    Named,
    /// Another name of an address than it had before.
    Renamed,
}

/// Addresses that everybody has, or nobody.
pub(crate) fn says_nothing(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_multicast()
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    name: String,
    /// The name for those who have asked for it. Where many names have one address, as they have in front of a web of others, every answer
    /// renames it, and mostly nobody asks in between.
    asked: Option<Arc<str>>,
    until: u64,
    used: bool,
}

impl Hosts {
    /// Shortest time that a name holds, in seconds.
    pub const SHORTEST: u32 = 60;
    /// Longest time that a name holds, in seconds.
    pub const LONGEST: u32 = 86_400;

    /// A table of at most `maximum` addresses.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        let by_address = HashMap::with_hasher(FixedState::with_seed(0x686f_7374));
        Self { by_address, entries: Vec::new(), maximum: maximum.clamp(1, u32::MAX as usize), hand: 0, evicted: 0 }
    }

    /// At `now`, `name` was found to have this address for `ttl` seconds. Addresses that many names have, or nobody (loopback,
    /// unspecified, multicast), are not kept. What is new by it, if anything is.
    pub fn learn(&mut self, name: &str, address: IpAddr, ttl: u32, now: u64) -> Option<News> {
        let address = address.to_canonical();
        if says_nothing(address) || name.is_empty() {
            return None;
        }
        let until = now.saturating_add(u64::from(ttl.clamp(Self::SHORTEST, Self::LONGEST)) * SECOND);
        if let Some(entry) = self.by_address.get(&address).and_then(|at| self.entries.get_mut(*at as usize)) {
            let was_over = entry.until <= now;
            let other = *entry.name != *name;
            if other {
                entry.name.clear();
                entry.name.push_str(name);
                entry.asked = None;
            }
            // An answer from a cache has what is left of the TTL: the earlier one may hold for longer.
            entry.until = entry.until.max(until);
            return match other {
                true => Some(News::Renamed),
                false => was_over.then_some(News::Named),
            };
        }
        let entry = Entry { address, name: name.into(), asked: None, until, used: false };
        if self.entries.len() < self.maximum {
            self.by_address.insert(address, self.entries.len() as u32);
            self.entries.push(entry);
            return Some(News::Named);
        }
        let at = self.free(now);
        if let Some(old) = self.entries.get_mut(at) {
            self.by_address.remove(&old.address);
            self.evicted += u64::from(old.until > now);
            *old = entry;
            self.by_address.insert(address, at as u32);
        }
        Some(News::Named)
    }

    /// The place whose entry makes room. The second time round every entry is unused.
    fn free(&mut self, now: u64) -> usize {
        loop {
            self.hand = (self.hand + 1) % self.entries.len();
            let Some(entry) = self.entries.get_mut(self.hand) else { return self.hand };
            if entry.until <= now || !std::mem::take(&mut entry.used) {
                return self.hand;
            }
        }
    }

    /// The name of an address at `now`.
    #[must_use]
    pub fn name(&mut self, address: IpAddr, now: u64) -> Option<&Arc<str>> {
        let at = *self.by_address.get(&address.to_canonical())?;
        let entry = self.entries.get_mut(at as usize).filter(|entry| entry.until > now)?;
        entry.used = true;
        Some(entry.asked.get_or_insert_with(|| entry.name.as_str().into()))
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Addresses in the table, those whose time is over included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Names that made room for others before their time was over.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn name(hosts: &mut Hosts, address: IpAddr, second: u64) -> Option<String> {
        hosts.name(address, second * SECOND).map(|name| name.to_string())
    }

    #[test]
    fn a_name_holds_for_its_ttl_within_limits() {
        let mut hosts = Hosts::new(10);
        for (n, ttl, until) in [(1, 0, 60), (2, 300, 300), (3, u32::MAX, 86_400)] {
            assert_eq!(hosts.learn("a.example", ip(n), ttl, 0), Some(News::Named));
            assert_eq!(name(&mut hosts, ip(n), until - 1).as_deref(), Some("a.example"));
            assert_eq!(name(&mut hosts, ip(n), until), None);
            assert_eq!(hosts.learn("a.example", ip(n), ttl, SECOND), None, "it has that name");
        }
        assert_eq!(hosts.learn("a.example", ip(1), 0, 500 * SECOND), Some(News::Named), "it had no other");
        assert_eq!(hosts.learn("b.example", ip(2), 60, 200 * SECOND), Some(News::Renamed));
        assert_eq!(name(&mut hosts, ip(2), 299).as_deref(), Some("b.example"), "the later name, the longer time");
    }

    #[test]
    fn addresses_that_say_nothing_are_not_kept() {
        let mut hosts = Hosts::new(10);
        for address in ["127.0.0.1", "0.0.0.0", "::", "::1", "224.0.0.251", "ff02::fb", "::ffff:127.0.0.1"] {
            hosts.learn("blocked.example", address.parse().unwrap(), 60, 0);
        }
        assert!(hosts.is_empty());
        hosts.learn("a.example", "::ffff:192.0.2.1".parse().unwrap(), 60, 0);
        assert_eq!(name(&mut hosts, ip(1), 1).as_deref(), Some("a.example"), "IPv4 mapped into IPv6 is IPv4");
    }

    #[test]
    fn a_full_table_forgets_what_is_over_or_unused() {
        let mut hosts = Hosts::new(3);
        for n in 0..3 {
            hosts.learn(&format!("n{n}"), ip(n), 600, 0);
        }
        let _ = (name(&mut hosts, ip(0), 1), name(&mut hosts, ip(1), 1));
        hosts.learn("n3", ip(3), 600, SECOND);
        assert_eq!((name(&mut hosts, ip(2), 1), hosts.evicted()), (None, 1), "nobody asked for it");
        hosts.learn("n4", ip(4), 600, 700 * SECOND);
        assert_eq!((hosts.len(), hosts.evicted()), (3, 1), "what is over is no loss");
        for n in 0..200 {
            hosts.learn("x", ip(n), 600, 700 * SECOND);
        }
        assert_eq!((hosts.len(), hosts.by_address.len()), (3, 3));
    }
}
