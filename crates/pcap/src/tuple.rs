//! The two ends of a connection, and which of them is the client.

use crate::ip::Datagram;
use steth_event::{Open, ROLE_NETWORK, kind};

/// One of the two ends, and the direction in which it sends.
pub(crate) type Side = usize;

/// Two ends in an order that does not depend on who is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tuple {
    addresses: [u128; 2],
    ports: [u16; 2],
    family: u8,
}

impl Tuple {
    /// The tuple, and the side that has sent.
    #[inline]
    pub(crate) fn new(datagram: &Datagram<'_>, source: u16, destination: u16) -> (Self, Side) {
        let (from, to) = ((datagram.source, source), (datagram.destination, destination));
        let side = Side::from(from > to);
        let (low, high) = if side == 0 { (from, to) } else { (to, from) };
        (Self { addresses: [low.0, high.0], ports: [low.1, high.1], family: datagram.family }, side)
    }

    /// The client, if the ports tell: a named service beats a reserved port (NFS clients use those), a reserved port
    /// beats any other, and of two alike the lower is the server's.
    pub(crate) fn client(&self) -> Option<Side> {
        let [low, high] = self.ports.map(|port| (rank(port), u16::MAX - port));
        let named = low.0.max(high.0) > 0;
        if !named || low == high { None } else { Some(Side::from(low > high)) }
    }

    /// The announcement, but for its times and positions.
    pub(crate) fn open(&self, client: Side, transport: u8) -> Open {
        let address = |side: Side| self.addresses[side].to_be_bytes();
        let mut open = Open::default();
        (open.kind, open.family, open.transport, open.role) = (kind::OPEN, self.family, transport, ROLE_NETWORK);
        (open.local_address, open.local_port) = (address(client), self.ports[client]);
        (open.remote_address, open.remote_port) = (address(1 - client), self.ports[1 - client]);
        open
    }
}

/// Ports of services that a capture is likely to be about, sorted.
const NAMED: [u16; 51] = [
    22, 25, 53, 80, 88, 110, 143, 389, 443, 445, 587, 636, 853, 993, 1433, 1521, 1883, 2049, 2181, 2379, 2380, 3000,
    3306, 4222, 4317, 4318, 5000, 5432, 5671, 5672, 6379, 6432, 6443, 7000, 8000, 8008, 8080, 8081, 8086, 8125, 8443,
    8500, 8888, 9000, 9042, 9090, 9092, 9200, 11211, 27017, 50051,
];

fn rank(port: u16) -> u8 {
    if NAMED.binary_search(&port).is_ok() { 2 } else { u8::from(port < 1024 && port != 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_tells_who_serves() {
        assert!(NAMED.is_sorted());
        for (ports, client) in [
            ([40000, 80], Some(0)),
            ([80, 40000], Some(1)),
            ([40000, 6379], Some(0)),
            ([700, 2049], Some(0)),
            ([40000, 700], Some(0)),
            ([443, 8443], Some(1)),
            ([40000, 40001], None),
            ([123, 123], None),
            ([53, 53], None),
        ] {
            let tuple = Tuple { addresses: [1, 2], ports, family: 2 };
            assert_eq!(tuple.client(), client, "{ports:?}");
        }
    }
}
