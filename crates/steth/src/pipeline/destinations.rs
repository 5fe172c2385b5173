//! Where datagrams went that were sent on sockets without a connection: each may go elsewhere.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use steth_event::{Destination, Open};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// So many are looked at one by one.
const NEAR: usize = 8;

/// The last destinations of a socket, by the position of the datagram.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    sent: VecDeque<(u64, Destination)>,
}

impl Destinations {
    /// Of older datagrams it is forgotten. As many lookups are seldom under way.
    const MAX: usize = 1024;

    /// The datagram at `offset` was sent to `destination`.
    pub(super) fn sent(&mut self, offset: u64, destination: Destination) {
        if self.sent.back().is_none_or(|(before, _)| *before < offset) {
            self.sent.push_back((offset, destination));
        } else {
            // Threads that share a socket take its positions in another order than that of their records.
            let at = self.sent.partition_point(|(before, _)| *before < offset);
            self.sent.insert(at, (offset, destination));
        }
        if self.sent.len() > Self::MAX {
            self.sent.pop_front();
        }
    }

    /// The socket as if it were connected to where it sent the datagram at `offset`.
    pub(super) fn connected(&self, open: &Open, offset: u64) -> Option<Open> {
        // Mostly it is one of the last.
        let near = self.sent.iter().rev().take(NEAR).find(|(sent, _)| *sent == offset);
        let destination = near.or_else(|| {
            let at = self.sent.binary_search_by_key(&offset, |(sent, _)| *sent).ok()?;
            self.sent.get(at)
        });
        connected_to(open, &destination?.1)
    }
}

/// The socket as if it were connected there; `None`: its family cannot be.
pub(super) fn connected_to(open: &Open, to: &Destination) -> Option<Open> {
    let Destination { family, port, address } = *to;
    let remote_address = match (u16::from(open.family), family) {
        (own, family) if own == family => address,
        // A socket of IPv6 may be told to send to an address of IPv4.
        (AF_INET6, AF_INET) => {
            let [a, b, c, d, ..] = address;
            Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets()
        }
        _ => return None,
    };
    Some(Open { remote_address, remote_port: port, ..*open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> Destination {
        Destination { family: 2, port, address: [0; 16] }
    }

    #[test]
    fn each_datagram_has_its_own_destination_and_old_ones_are_forgotten() {
        let mut destinations = Destinations::default();
        let open = Open { family: 2, transport: 17, ..Open::default() };
        for (offset, port) in [(10, 1), (30, 3), (20, 2)] {
            destinations.sent(offset, to(port));
        }
        let port = |destinations: &Destinations, offset| destinations.connected(&open, offset).map(|o| o.remote_port);
        assert_eq!([10, 20, 30, 15].map(|offset| port(&destinations, offset)), [Some(1), Some(2), Some(3), None]);
        let mapped = destinations.connected(&Open { family: 10, ..open }, 10).expect("it sent one");
        assert_eq!(mapped.remote_address, Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().octets());
        destinations.sent(40, Destination { family: 10, ..to(5) });
        assert_eq!(destinations.connected(&open, 40), None, "not from a socket of IPv4");
        for n in 0..Destinations::MAX as u64 {
            destinations.sent(100 + n, to(4));
        }
        assert_eq!((port(&destinations, 30), port(&destinations, 100)), (None, Some(4)));
    }
}
