//! Addresses that were found not to be rewritten: nothing is asked of them for a while.

use crate::Question;
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Of each half. When one is full, the older one goes early, and is counted.
const PLACES: usize = 4096;
/// After this time the younger half is the older one, and after the next one it is forgotten: a rule may have been added.
const HALF: Duration = Duration::from_secs(10);

/// A rule may be for some clients and not for others, and is there for one network namespace.
type Key = (u32, IpAddr, SocketAddr, u8);

fn key(question: &Question) -> Key {
    let tuple = &question.tuple;
    (question.netns, tuple.client.ip(), tuple.server, tuple.transport as u8)
}

#[derive(Debug)]
pub(crate) struct AsItIs {
    halves: [HashSet<Key, FixedState>; 2],
    turned: Instant,
    forgotten: u64,
}

impl AsItIs {
    pub(crate) fn new(now: Instant) -> Self {
        let half = || HashSet::with_hasher(FixedState::with_seed(0x6374));
        Self { halves: [half(), half()], turned: now, forgotten: 0 }
    }

    fn turn(&mut self, now: Instant) {
        self.halves.swap(0, 1);
        self.halves[0].clear();
        self.turned = now;
    }

    /// Whether it was found so, ten to twenty seconds ago at most.
    pub(crate) fn has(&mut self, question: &Question, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.turned);
        if since >= HALF {
            self.turn(now);
        }
        if since >= 2 * HALF {
            self.turn(now);
        }
        let key = key(question);
        self.halves.iter().any(|half| half.contains(&key))
    }

    /// It was found so.
    pub(crate) fn learn(&mut self, question: &Question, now: Instant) {
        if self.halves[0].len() >= PLACES {
            self.forgotten += self.halves[1].len() as u64;
            self.turn(now);
        }
        self.halves[0].insert(key(question));
    }

    /// Those that were forgotten before their time.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Transport, Tuple};

    fn question(netns: u32, client: [u8; 4], server_port: u16) -> Question {
        let tuple = Tuple {
            transport: Transport::Tcp,
            client: (client, 40_000).into(),
            server: ([10, 0, 0, 9], server_port).into(),
        };
        Question { connection: 1, netns, tuple, established: true }
    }

    #[test]
    fn it_holds_for_one_client_in_one_namespace_and_not_for_ever() {
        let begin = Instant::now();
        let mut known = AsItIs::new(begin);
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let one = question(1, [10, 0, 0, 1], 80);
        assert!(!known.has(&one, at(1)));
        known.learn(&one, at(1));
        for (other, expected) in [
            (Question { connection: 2, ..one }, true),
            (question(2, [10, 0, 0, 1], 80), false),
            (question(1, [10, 0, 0, 2], 80), false),
            (question(1, [10, 0, 0, 1], 81), false),
        ] {
            assert_eq!(known.has(&other, at(2)), expected, "{other:?}");
        }
        assert!(known.has(&one, at(11)), "the older half");
        assert!(!known.has(&one, at(21)));
        known.learn(&one, at(22));
        assert!(!known.has(&one, at(60)), "nobody has looked in between");
    }

    #[test]
    fn there_is_an_end_to_what_is_kept_and_it_is_counted() {
        let begin = Instant::now();
        let mut known = AsItIs::new(begin);
        let nth = |n: usize| question(n as u32, [10, 0, 0, 1], 80);
        (0..3 * PLACES).for_each(|n| known.learn(&nth(n), begin));
        assert_eq!(known.halves.iter().map(HashSet::len).sum::<usize>(), 2 * PLACES);
        assert_eq!(known.forgotten(), PLACES as u64);
        assert!(known.has(&nth(3 * PLACES - 1), begin) && !known.has(&nth(0), begin));
    }
}
