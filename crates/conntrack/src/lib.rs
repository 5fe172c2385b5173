//! Where a connection really leads: the kernel's connection tracking (nf_conntrack), asked over netlink for one connection at a time.
//!
//! ```text
//! a client's connection --> Conntrack::ask --> [steth-conntrack, a thread] --> ctnetlink (GET of one entry)
//!                                                          |
//!                                 Conntrack::answer <------'
//! ```
//!
//! The drain asks and goes on; the answer comes with a later turn. Nothing is asked, and nothing loaded, where the kernel tracks no
//! connections: asking could load the module that does ([`Conntrack`]). Of an address that a client has found not to be rewritten
//! nothing is asked again for ten to twenty seconds.
//!
//! Netlink is spoken here by hand: it is one question and four fields of its answer. netlink-packet-netfilter is alive, but it is the whole of
//! nftables, of logging and of tracking, and four more crates.
//!
//! ```
//! use steth_conntrack::{Conntrack, Place};
//!
//! // Without the privilege nobody answers, and asking costs nothing.
//! let mut conntrack = Conntrack::start([Place::Here], || Ok(())).expect("a thread");
//! assert!(conntrack.answer(std::time::Duration::ZERO).is_none());
//! ```

mod answered;
mod desk;
mod kernel;
mod message;

pub use desk::{Asked, Conntrack, Counters, Place};
use std::net::SocketAddr;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// `IPPROTO_TCP`.
    Tcp = 6,
    /// `IPPROTO_UDP`.
    Udp = 17,
}

/// A connection as the client's own socket has it. IPv4 addresses that are mapped into IPv6 are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// TCP or UDP.
    pub transport: Transport,
    /// The client's end.
    pub client: SocketAddr,
    /// Where it went to.
    pub server: SocketAddr,
}

/// What is asked of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Comes back with the answer.
    pub connection: u64,
    /// The network namespace of the client's socket, by its inode.
    pub netns: u32,
    /// The connection.
    pub tuple: Tuple,
    /// It was established: if it is tracked at all, then it is now.
    pub established: bool,
}

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The address that the client went to is not the server's.
    Rewritten {
        /// The server's own address and port.
        server: SocketAddr,
        /// What the server takes for the client.
        client: SocketAddr,
    },
    /// It is.
    AsItIs,
    /// It does not track this connection.
    Untracked,
    /// It did not answer, or not what was asked.
    Failed,
}
