//! Whose the datagram sockets of this host are, by where they are bound.
//!
//! The two ends of a TCP connection find each other by their pair of addresses. A datagram socket that is not connected has
//! only its own, and that is often a port alone.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use steth_event::Open;
use steth_flow::Tuple;

/// Sockets that are remembered. Those that come later are not known at the other end.
const SOCKETS: usize = 16_384;
/// Addresses of this host that are remembered.
const ADDRESSES: usize = 4096;
const SEED: u64 = 0x736f_636b;
const UDP: u8 = 17;

/// No address in particular, of IPv6 and of IPv4.
const ANY: [[u8; 16]; 2] = [[0; 16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]];

/// Where a socket is bound: network namespace, address, port.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u32, [u8; 16], u16);

impl Hash for Place {
    // Words instead of bytes: every exchange over UDP asks.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let address = u128::from_ne_bytes(self.1);
        state.write_u64(address as u64);
        state.write_u64((address >> 64) as u64);
        state.write_u64(u64::from(self.0) << 16 | u64::from(self.2));
    }
}

/// The datagram sockets that were announced, and their processes.
pub(crate) struct Sockets {
    bound: HashMap<Place, (u64, u32), FixedState>,
    /// The processes of those that were closed since the last sweep, and since the one before: whom they have talked with is told at sweeps.
    gone: [HashMap<Place, u32, FixedState>; 2],
    /// At port 0.
    own: HashSet<Place, FixedState>,
    no_room: u64,
}

impl Default for Sockets {
    fn default() -> Self {
        let hasher = || FixedState::with_seed(SEED);
        let gone = || HashMap::with_hasher(hasher());
        Self {
            bound: HashMap::with_hasher(hasher()),
            gone: [gone(), gone()],
            own: HashSet::with_hasher(hasher()),
            no_room: 0,
        }
    }
}

impl Sockets {
    /// A socket is announced.
    pub(crate) fn announced(&mut self, open: &Open) {
        let Some(address) = Tuple::of(open).map(|tuple| tuple.local_address()) else { return };
        let own = Place(open.netns, address, 0);
        if self.own.len() < ADDRESSES {
            self.own.insert(own);
        } else if !self.own.contains(&own) {
            self.no_room += 1;
        }
        let place = Place(open.netns, address, open.local_port);
        if open.transport != UDP {
            return;
        }
        if self.bound.len() < SOCKETS || self.bound.contains_key(&place) {
            self.bound.insert(place, (open.connection, open.tgid));
        } else {
            self.no_room += 1;
        }
    }

    /// Announcements of datagram sockets, and of sockets at an address of this host, that found no room.
    pub(crate) fn no_room(&self) -> u64 {
        self.no_room
    }

    /// It is gone.
    pub(crate) fn closed(&mut self, open: &Open) {
        let Some(address) = Tuple::of(open).map(|tuple| tuple.local_address()) else { return };
        let place = Place(open.netns, address, open.local_port);
        if open.transport == UDP
            && let Some((_, tgid)) = self.bound.get(&place).filter(|(connection, _)| *connection == open.connection)
        {
            let [gone, _] = &mut self.gone;
            if gone.len() < SOCKETS || gone.contains_key(&place) {
                gone.insert(place, *tgid);
            } else {
                self.no_room += 1;
            }
            self.bound.remove(&place);
        }
    }

    /// All sockets have been asked what they sent where.
    pub(crate) fn swept(&mut self) {
        self.gone.swap(0, 1);
        self.gone[0].clear();
    }

    /// The process at the other end of this datagram socket; 0 if it is not known to be one of this host.
    pub(crate) fn peer(&self, open: &Open) -> u32 {
        let Some(address) = Tuple::of(open).map(|tuple| tuple.remote_address()).filter(|_| open.transport == UDP)
        else {
            return 0;
        };
        let at = |address| {
            let place = Place(open.netns, address, open.remote_port);
            let bound = self.bound.get(&place).map(|(_, tgid)| *tgid);
            bound.or_else(|| self.gone.iter().find_map(|gone| gone.get(&place).copied()))
        };
        let here = || is_loopback(address) || self.own.contains(&Place(open.netns, address, 0));
        at(address).or_else(|| ANY.into_iter().filter(|_| here()).find_map(at)).unwrap_or(0)
    }
}

/// Of IPv6, or of IPv4 mapped into it.
fn is_loopback(address: [u8; 16]) -> bool {
    matches!(address, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, ..]) || address == 1u128.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(connection: u64, tgid: u32, local: ([u8; 4], u16), remote: ([u8; 4], u16)) -> Open {
        let mut open = Open { family: 2, transport: UDP, netns: 1, connection, tgid, ..Open::default() };
        (open.local_port, open.remote_port) = (local.1, remote.1);
        open.local_address[..4].copy_from_slice(&local.0);
        open.remote_address[..4].copy_from_slice(&remote.0);
        open
    }

    const NONE: ([u8; 4], u16) = ([0; 4], 0);

    #[test]
    fn a_peer_is_found_by_where_it_is_bound() {
        let mut sockets = Sockets::default();
        sockets.announced(&socket(1, 10, ([127, 0, 0, 53], 53), NONE));
        sockets.announced(&socket(2, 20, ([0; 4], 5300), NONE));
        sockets.announced(&socket(3, 30, ([10, 1, 1, 1], 40_000), NONE));
        let asks = |to| socket(9, 90, ([10, 1, 1, 1], 50_000), to);
        let peer = |sockets: &Sockets, to| sockets.peer(&asks(to));
        assert_eq!(peer(&sockets, ([127, 0, 0, 53], 53)), 10);
        assert_eq!(peer(&sockets, ([127, 0, 0, 1], 53)), 0, "bound to another address");
        assert_eq!(peer(&sockets, ([127, 0, 0, 1], 5300)), 20);
        assert_eq!(peer(&sockets, ([10, 1, 1, 1], 5300)), 20, "this host's, as it has sent from there");
        assert_eq!(peer(&sockets, ([10, 1, 1, 2], 5300)), 0, "another host's");
        assert_eq!(sockets.peer(&Open { netns: 2, ..asks(([127, 0, 0, 1], 5300)) }), 0, "another namespace's");
        assert_eq!(sockets.peer(&Open { transport: 6, ..asks(([127, 0, 0, 1], 5300)) }), 0);
        sockets.closed(&socket(7, 70, ([0; 4], 5300), NONE));
        assert_eq!(peer(&sockets, ([127, 0, 0, 1], 5300)), 20, "the port has been taken over by then");
        sockets.closed(&socket(2, 20, ([0; 4], 5300), NONE));
        sockets.swept();
        assert_eq!(peer(&sockets, ([127, 0, 0, 1], 5300)), 20, "what was sent to it may be told of only now");
        sockets.swept();
        assert_eq!(peer(&sockets, ([127, 0, 0, 1], 5300)), 0);
    }

    #[test]
    fn loopback_is_what_the_library_says() {
        for address in
            ["::1", "::2", "::", "1::1", "::ffff:127.0.0.1", "::ffff:127.9.8.7", "::ffff:128.0.0.1", "::127.0.0.1"]
        {
            let address: std::net::Ipv6Addr = address.parse().expect("an address");
            assert_eq!(is_loopback(address.octets()), address.to_canonical().is_loopback(), "{address}");
        }
    }

    #[test]
    fn a_socket_without_room_is_counted() {
        let mut sockets = Sockets::default();
        let at = |n: usize| ([127, 1, (n >> 8) as u8, n as u8], 1 + (n >> 16) as u16);
        (0..SOCKETS + 2).for_each(|n| sockets.announced(&socket(n as u64, 10, ([127, 0, 0, 1], 1 + n as u16), NONE)));
        assert_eq!(sockets.no_room(), 2);
        (0..ADDRESSES).for_each(|n| sockets.announced(&Open { transport: 6, ..socket(1, 10, at(n), NONE) }));
        assert_eq!(sockets.no_room(), 3, "one of the addresses");
    }

    #[test]
    fn a_socket_of_both_kinds_of_addresses_is_found_by_either() {
        let mut sockets = Sockets::default();
        sockets.announced(&Open { family: 10, ..socket(1, 10, NONE, NONE) });
        let place = Open { local_port: 53, family: 10, ..socket(2, 20, NONE, NONE) };
        sockets.announced(&place);
        assert_eq!(sockets.peer(&socket(9, 90, ([127, 0, 0, 1], 50_000), ([127, 0, 0, 1], 53))), 20);
    }
}
