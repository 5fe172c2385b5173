//! Who waits for connections, and where: tells the server of a connection that nobody has seen begin, is part of what a process is,
//! and makes a service known that nobody calls.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use steth_event::{LISTEN_ENDS, Listen};

/// Sockets that are remembered; those beyond are counted.
const SOCKETS: usize = 16_384;
/// Sweeps in a row that may miss one: a record of it was lost, then.
const SWEEPS: u32 = 3;
/// Sockets that had dropped something and are closed: remembered until a window has it.
const ENDED: usize = 1024;
const SEED: u64 = 0x6c69_7374;

/// What is known of one.
struct Socket {
    /// What the kernel said last.
    listen: Listen,
    /// What it had dropped when it was first heard of.
    first: u32,
    /// The sweep before it was last heard of.
    seen: u32,
}

/// The listening sockets of this host.
pub(crate) struct Listeners {
    sockets: HashMap<u64, Socket, FixedState>,
    /// Those that are closed, the latest last.
    ended: VecDeque<Socket>,
    /// By network namespace and port: the process, and how many sockets share the place.
    places: HashMap<(u32, u16), (u32, u32), FixedState>,
    /// By process: its ports, ascending, and how many sockets it has at each.
    ports: HashMap<u32, Vec<(u16, u32)>, FixedState>,
    sweep: u32,
    no_room: u64,
}

impl Default for Listeners {
    fn default() -> Self {
        let hasher = || FixedState::with_seed(SEED);
        Self {
            sockets: HashMap::with_hasher(hasher()),
            ended: VecDeque::new(),
            places: HashMap::with_hasher(hasher()),
            ports: HashMap::with_hasher(hasher()),
            sweep: 0,
            no_room: 0,
        }
    }
}

impl Listeners {
    /// What the kernel says of one.
    pub(crate) fn told(&mut self, listen: &Listen) {
        if listen.change == LISTEN_ENDS {
            return self.end(listen);
        }
        let sweep = self.sweep;
        if let Some(known) = self.sockets.get_mut(&listen.connection) {
            known.seen = sweep;
            let before = std::mem::replace(&mut known.listen, *listen);
            if before.tgid != listen.tgid || before.port != listen.port {
                self.leave(&before);
                self.join(listen);
            }
            return;
        }
        if self.sockets.len() >= SOCKETS {
            // Each of its records: one when it begins, and one at each sweep.
            self.no_room += 1;
            return;
        }
        self.sockets.insert(listen.connection, Socket { listen: *listen, first: listen.drops, seen: sweep });
        self.join(listen);
    }

    /// One is closed. What it has dropped at last is still to be told.
    fn end(&mut self, listen: &Listen) {
        let Some(socket) = self.sockets.get(&listen.connection) else { return };
        if listen.drops != socket.first {
            if self.ended.len() >= ENDED {
                self.ended.pop_front();
                self.no_room += 1;
            }
            // Nobody waits there any more.
            let listen = Listen { backlog: 0, ..*listen };
            self.ended.push_back(Socket { listen, first: socket.first, seen: self.sweep });
        }
        self.remove(listen.connection);
    }

    fn join(&mut self, listen: &Listen) {
        let place = self.places.entry((listen.netns, listen.port)).or_insert((listen.tgid, 0));
        *place = (listen.tgid, place.1 + 1);
        let ports = self.ports.entry(listen.tgid).or_default();
        match ports.binary_search_by_key(&listen.port, |(port, _)| *port) {
            Ok(at) => ports[at].1 += 1,
            Err(at) => ports.insert(at, (listen.port, 1)),
        }
    }

    fn leave(&mut self, listen: &Listen) {
        let key = (listen.netns, listen.port);
        if let Some((_, sockets)) = self.places.get_mut(&key) {
            *sockets -= 1;
            if *sockets == 0 {
                self.places.remove(&key);
            }
        }
        let Some(ports) = self.ports.get_mut(&listen.tgid) else { return };
        ports.iter_mut().filter(|(port, _)| *port == listen.port).for_each(|(_, sockets)| *sockets -= 1);
        ports.retain(|(_, sockets)| *sockets > 0);
        if ports.is_empty() {
            self.ports.remove(&listen.tgid);
        }
    }

    /// A sweep has ended: forgets those that it and the ones before it did not find.
    pub(crate) fn swept(&mut self) {
        self.sweep += 1;
        let gone = |(id, socket): (&u64, &Socket)| (self.sweep - socket.seen > SWEEPS).then_some(*id);
        let gone: Vec<_> = self.sockets.iter().filter_map(gone).collect();
        gone.into_iter().for_each(|id| self.remove(id));
        // A window ends a second after each sweep.
        self.ended.retain(|socket| self.sweep - socket.seen < 2);
    }

    fn remove(&mut self, id: u64) {
        if let Some(socket) = self.sockets.remove(&id) {
            self.leave(&socket.listen);
        }
    }

    /// The process that waits for connections on this port of a network namespace.
    pub(crate) fn at(&self, netns: u32, port: u16) -> Option<u32> {
        self.places.get(&(netns, port)).map(|(tgid, _)| *tgid)
    }

    /// The ports at which this process waits for connections, ascending.
    pub(crate) fn ports(&self, tgid: u32) -> impl Iterator<Item = u16> {
        self.ports.get(&tgid).into_iter().flatten().map(|(port, _)| *port)
    }

    /// All of them, and those that ended lately and had dropped something; and what each had dropped when it was first heard of.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Listen, u32)> {
        self.sockets.values().chain(&self.ended).map(|socket| (&socket.listen, socket.first))
    }

    /// Records of sockets that found no room.
    pub(crate) fn no_room(&self) -> u64 {
        self.no_room
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
        listeners.told(&listen(3, 22, 11, LISTEN_BEGINS));
        let ports = |listeners: &Listeners, tgid| listeners.ports(tgid).collect::<Vec<_>>();
        assert_eq!(
            (ports(&listeners, 10), ports(&listeners, 11), ports(&listeners, 12)),
            (vec![80], vec![22, 80], vec![])
        );
        listeners.told(&listen(3, 22, 12, LISTEN_GOES_ON));
        assert_eq!((ports(&listeners, 11), ports(&listeners, 12)), (vec![80], vec![22]), "handed to another process");
        listeners.told(&listen(3, 22, 12, LISTEN_ENDS));
        assert_eq!((listeners.at(1, 80), listeners.at(1, 81), listeners.at(2, 80)), (Some(11), None, None));
        listeners.told(&listen(2, 80, 11, LISTEN_ENDS));
        assert_eq!(listeners.at(1, 80), Some(11), "the other one is still there");
        listeners.told(&listen(1, 80, 10, LISTEN_ENDS));
        listeners.told(&listen(7, 80, 10, LISTEN_ENDS));
        assert_eq!((listeners.at(1, 80), listeners.ports.len()), (None, 0));
    }

    #[test]
    fn what_a_socket_has_dropped_at_last_is_there_until_a_window_has_it() {
        let mut listeners = Listeners::default();
        let told = |drops, change| Listen { drops, ..listen(1, 80, 10, change) };
        let all = |listeners: &Listeners| listeners.all().map(|(l, first)| (l.drops, first)).collect::<Vec<_>>();
        listeners.told(&told(3, LISTEN_BEGINS));
        listeners.told(&told(5, LISTEN_GOES_ON));
        assert_eq!(all(&listeners), [(5, 3)]);
        listeners.told(&told(9, LISTEN_ENDS));
        assert_eq!((all(&listeners), listeners.at(1, 80)), (vec![(9, 3)], None));
        listeners.swept();
        assert_eq!(all(&listeners), [(9, 3)], "the window has not ended yet");
        listeners.swept();
        assert_eq!(all(&listeners), []);
        listeners.told(&told(3, LISTEN_BEGINS));
        listeners.told(&told(3, LISTEN_ENDS));
        assert_eq!(all(&listeners), [], "nothing to tell");
    }

    #[test]
    fn whose_end_was_lost_is_forgotten_and_there_is_a_limit() {
        let mut listeners = Listeners::default();
        for id in 0..SOCKETS as u64 + 10 {
            listeners.told(&listen(id, 80, 10, LISTEN_BEGINS));
        }
        assert_eq!((listeners.sockets.len(), listeners.no_room()), (SOCKETS, 10));
        for _ in 0..=SWEEPS {
            listeners.told(&listen(0, 80, 10, LISTEN_GOES_ON));
            listeners.swept();
        }
        assert_eq!((listeners.sockets.len(), listeners.at(1, 80)), (1, Some(10)));
    }
}
