//! What both ends of a connection say of it: by that they are joined.

use steth_event::{Open, ROLE_CLIENT, Translation};

/// What one end of a connection and the other one have in common, from where one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meeting {
    /// The pair of addresses.
    Addresses(Tuple),
    /// The sequence numbers of the first bytes that this end sent and received. Whoever rewrites addresses on the way (NAT, the address
    /// of a service) leaves them alone, and of two connections of one host to have both in common the chance is one in 2^64.
    Numbers(u32, u32),
}

impl Meeting {
    /// What is known of a connection.
    #[must_use]
    pub fn of(open: &Open) -> [Option<Self>; 2] {
        let numbers = open.established != 0 && (open.began_sent, open.began_received) != (0, 0);
        [Tuple::of(open).map(Self::Addresses), numbers.then_some(Self::Numbers(open.began_sent, open.began_received))]
    }

    /// The same from the other end.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Addresses(tuple) => Self::Addresses(tuple.reversed()),
            Self::Numbers(sent, received) => Self::Numbers(received, sent),
        }
    }
}

/// Who and where the other end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherEnd {
    /// The process; 0 if it is not known.
    pub tgid: u32,
    family: u8,
    address: [u8; 16],
    port: u16,
}

impl OtherEnd {
    pub(crate) fn of(open: &Open, tgid: u32) -> Self {
        Self { tgid, family: open.family, address: open.local_address, port: open.local_port }
    }

    /// A client's connection leads here, whatever address it was told to go to.
    pub fn resolve(&self, open: &mut Open) {
        if open.role != ROLE_CLIENT || open.established == 0 {
            return;
        }
        // Behind a translation of IPv4 to IPv6 the address that it went to is as good as can be said.
        if let Some(address) = as_in(open.family, self.family, self.address) {
            (open.remote_address, open.remote_port) = (address, self.port);
        }
    }
}

/// An address of one family as one of the other writes it, if it can.
fn as_in(family: u8, from: u8, address: [u8; 16]) -> Option<[u8; 16]> {
    const INET6: u8 = 10;
    if family == from {
        return Some(address);
    }
    if family == INET6 {
        return Some(mapped(address));
    }
    let plain = std::net::Ipv6Addr::from(address).to_ipv4_mapped()?;
    let mut address = [0; 16];
    address[..4].copy_from_slice(&plain.octets());
    Some(address)
}

/// Where the kernel's connection tracking says that a client's connection leads, and whom the server takes for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    family: u8,
    server: ([u8; 16], u16),
    client: ([u8; 16], u16),
}

impl Rewritten {
    /// What a record says.
    #[must_use]
    pub fn of(told: &Translation) -> Self {
        Self {
            family: if told.family == 2 { 2 } else { 10 },
            server: (told.address, told.port),
            client: (told.client_address, told.client_port),
        }
    }

    /// The connection as if it had gone to the server's own address.
    pub fn resolve(&self, open: &mut Open) {
        if let Some(address) = as_in(open.family, self.family, self.server.0) {
            (open.remote_address, open.remote_port) = (address, self.server.1);
        }
    }

    /// What its two ends have in common then.
    pub(crate) fn meeting(&self, open: &Open) -> Option<Meeting> {
        let mut seen = *open;
        self.resolve(&mut seen);
        seen.local_address = as_in(open.family, self.family, self.client.0)?;
        seen.local_port = self.client.1;
        Tuple::of(&seen).map(Meeting::Addresses)
    }
}

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
