//! The address pair of a connection, as a key.

use steth_event::Open;

/// Both ends of an IP connection, and the network namespace in which they mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    local: ([u8; 16], u16),
    remote: ([u8; 16], u16),
    transport: u8,
}

impl Tuple {
    /// The tuple of an IP connection; `None` for unix sockets. IPv4 addresses that are mapped into IPv6 are the same as
    /// plain ones. The namespace is not part of it: two containers that talk through a bridge see the same pair of
    /// addresses from two namespaces, and that is the pair to be found.
    #[must_use]
    pub fn of(open: &Open) -> Option<Self> {
        let address = |bytes: [u8; 16]| match open.family {
            2 => Some(mapped(bytes)),
            10 => Some(bytes),
            _ => None,
        };
        Some(Self {
            local: (address(open.local_address)?, open.local_port),
            remote: (address(open.remote_address)?, open.remote_port),
            transport: open.transport,
        })
    }

    /// Address of the observed end, as IPv6.
    #[must_use]
    pub fn local_address(&self) -> [u8; 16] {
        self.local.0
    }

    /// Address of the other end, as IPv6.
    #[must_use]
    pub fn remote_address(&self) -> [u8; 16] {
        self.remote.0
    }

    /// The same connection from its other end.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { local: self.remote, remote: self.local, transport: self.transport }
    }
}

fn mapped(bytes: [u8; 16]) -> [u8; 16] {
    let mut v6 = [0; 16];
    (v6[10], v6[11]) = (0xff, 0xff);
    v6[12..].copy_from_slice(&bytes[..4]);
    v6
}
