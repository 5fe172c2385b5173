//! Who waits for connections, and where: tells the server of a connection that nobody has seen begin.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use steth_event::{LISTEN_ENDS, Listen};

/// Sockets that are remembered.
const SOCKETS: usize = 16_384;
/// Sweeps in a row that may miss one: a record of it was lost, then.
const SWEEPS: u32 = 3;
const SEED: u64 = 0x6c69_7374;

/// The listening sockets of this host.
pub(crate) struct Listeners {
    sockets: HashMap<u64, (Listen, u32), FixedState>,
    /// By network namespace and port: the process, and how many sockets share the place.
    places: HashMap<(u32, u16), (u32, u32), FixedState>,
    sweep: u32,
}

impl Default for Listeners {
    fn default() -> Self {
        let hasher = || FixedState::with_seed(SEED);
        Self { sockets: HashMap::with_hasher(hasher()), places: HashMap::with_hasher(hasher()), sweep: 0 }
    }
}

impl Listeners {
    /// What the kernel says of one.
    pub(crate) fn told(&mut self, listen: &Listen) {
        if listen.change == LISTEN_ENDS {
            return self.remove(listen.connection);
        }
        let sweep = self.sweep;
        if let Some((known, seen)) = self.sockets.get_mut(&listen.connection) {
            (*known, *seen) = (*listen, sweep);
            return;
        }
        if self.sockets.len() >= SOCKETS {
            return;
        }
        self.sockets.insert(listen.connection, (*listen, sweep));
        let place = self.places.entry((listen.netns, listen.port)).or_insert((listen.tgid, 0));
        *place = (listen.tgid, place.1 + 1);
    }

    /// A sweep has ended: forgets those that it and the ones before it did not find.
    pub(crate) fn swept(&mut self) {
        self.sweep += 1;
        let gone = |(id, (_, seen)): (&u64, &(Listen, u32))| (self.sweep - seen > SWEEPS).then_some(*id);
        let gone: Vec<_> = self.sockets.iter().filter_map(gone).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: u64) {
        let Some((listen, _)) = self.sockets.remove(&id) else { return };
        let key = (listen.netns, listen.port);
        if let Some((_, sockets)) = self.places.get_mut(&key) {
            *sockets -= 1;
            if *sockets == 0 {
                self.places.remove(&key);
            }
        }
    }

    /// The process that waits for connections on this port of a network namespace.
    pub(crate) fn at(&self, netns: u32, port: u16) -> Option<u32> {
        self.places.get(&(netns, port)).map(|(tgid, _)| *tgid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{LISTEN_BEGINS, LISTEN_GOES_ON};

    fn listen(connection: u64, port: u16, tgid: u32, change: u8) -> Listen {
        Listen { connection, port, tgid, change, netns: 1, ..Listen::default() }
    }

    #[test]
    fn a_place_is_known_while_somebody_waits_there() {
        let mut listeners = Listeners::default();
        listeners.told(&listen(1, 80, 10, LISTEN_BEGINS));
        listeners.told(&listen(2, 80, 11, LISTEN_BEGINS));
        listeners.told(&listen(2, 80, 11, LISTEN_GOES_ON));
        assert_eq!((listeners.at(1, 80), listeners.at(1, 81), listeners.at(2, 80)), (Some(11), None, None));
        listeners.told(&listen(2, 80, 11, LISTEN_ENDS));
        assert_eq!(listeners.at(1, 80), Some(11), "the other one is still there");
        listeners.told(&listen(1, 80, 10, LISTEN_ENDS));
        listeners.told(&listen(7, 80, 10, LISTEN_ENDS));
        assert_eq!(listeners.at(1, 80), None);
    }

    #[test]
    fn whose_end_was_lost_is_forgotten_and_there_is_a_limit() {
        let mut listeners = Listeners::default();
        for id in 0..SOCKETS as u64 + 10 {
            listeners.told(&listen(id, 80, 10, LISTEN_BEGINS));
        }
        assert_eq!(listeners.sockets.len(), SOCKETS);
        for _ in 0..=SWEEPS {
            listeners.told(&listen(0, 80, 10, LISTEN_GOES_ON));
            listeners.swept();
        }
        assert_eq!((listeners.sockets.len(), listeners.at(1, 80)), (1, Some(10)));
    }
}
