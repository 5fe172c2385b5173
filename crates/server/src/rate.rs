//! How much each address may ask.
//!
//! A question costs one, and one more for each 20 ms that its answer takes. Each address gets so many a second, and may save ten
//! seconds' worth. So one tab in a loop never has more than a part of the threads that make answers, however dear its questions are.

use crate::access::network;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds' worth that may be saved.
const SAVED: f64 = 10.0;
/// What costs as much as a question.
const TIME: Duration = Duration::from_millis(20);
/// Addresses that are remembered; beyond, the one that has most left is forgotten.
const MOST_PEERS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Rates {
    each_second: f64,
    peers: Mutex<HashMap<IpAddr, Purse>>,
    /// Questions that were sent away.
    pub(crate) refused: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Purse {
    /// Less than 0 after a dear answer.
    left: f64,
    at: Instant,
}

impl Rates {
    pub(crate) fn new(each_second: u32) -> Self {
        Self { each_second: f64::from(each_second.max(1)), peers: Mutex::default(), refused: AtomicU64::new(0) }
    }

    fn most(&self) -> f64 {
        self.each_second * SAVED
    }

    /// What a purse has by now.
    fn now(&self, purse: &Purse, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(purse.at).as_secs_f64() * self.each_second;
        (purse.left + earned).min(self.most())
    }

    /// A question; or the seconds after which one will be answered.
    pub(crate) fn ask(&self, peer: IpAddr, now: Instant) -> Result<(), u64> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if !peers.contains_key(&peer) && peers.len() >= MOST_PEERS {
            let richest = peers.iter().max_by(|(_, a), (_, b)| self.now(a, now).total_cmp(&self.now(b, now)));
            if let Some(richest) = richest.map(|(peer, _)| *peer) {
                peers.remove(&richest);
            }
        }
        let purse = peers.entry(peer).or_insert(Purse { left: self.most(), at: now });
        *purse = Purse { left: self.now(purse, now), at: now };
        if purse.left < 1.0 {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(((1.0 - purse.left) / self.each_second).ceil().max(1.0) as u64);
        }
        purse.left -= 1.0;
        Ok(())
    }

    /// Its answer took so long.
    pub(crate) fn took(&self, peer: IpAddr, time: Duration) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(purse) = peers.get_mut(&network(peer)) {
            purse.left -= time.as_secs_f64() / TIME.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_much_waits_and_nobody_else_does() {
        let (rates, now) = (Rates::new(20), Instant::now());
        let peer = |n: u8| IpAddr::from([192, 0, 2, n]);
        for n in 0..200 {
            assert_eq!(rates.ask(peer(1), now), Ok(()), "{n}");
        }
        assert_eq!(rates.ask(peer(1), now), Err(1));
        assert_eq!(rates.ask(peer(2), now), Ok(()));
        let later = now + Duration::from_millis(100);
        assert_eq!([(); 3].map(|()| rates.ask(peer(1), later)), [Ok(()), Ok(()), Err(1)]);
        // A dear answer is paid for by waiting.
        rates.took(peer(1), Duration::from_secs(5));
        assert_eq!(rates.ask(peer(1), later), Err(13));
        assert_eq!(rates.ask(peer(1), later + Duration::from_secs(13)), Ok(()));
        assert_eq!(rates.refused.load(Ordering::Relaxed), 3);
        // Nobody saves more than that.
        let much_later = now + Duration::from_secs(3600);
        assert_eq!((0..300).filter(|_| rates.ask(peer(1), much_later).is_ok()).count(), 200);
    }

    #[test]
    fn an_address_of_ipv6_stands_for_its_network_and_addresses_are_bounded() {
        let (rates, now) = (Rates::new(1), Instant::now());
        let address = |high: u16, low: u16| IpAddr::from([0x2001, 0xdb8, high, 0, 0, 0, 0, low]);
        let answered = (0..50).filter(|low| rates.ask(address(0, *low), now).is_ok()).count();
        assert_eq!(answered, 10);
        for high in 1..3000 {
            assert_eq!(rates.ask(address(high, 1), now), Ok(()));
        }
        let peers = rates.peers.lock().expect("no panic");
        assert_eq!(peers.len(), MOST_PEERS);
        assert!(peers.contains_key(&network(address(0, 0))), "who has nothing left is not forgotten");
    }
}
