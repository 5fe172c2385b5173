//! How much is remembered.

/// Bounds on memory, whatever the file holds. What exceeds one gives way, oldest first, and is counted in
/// [`Stats`](crate::Stats).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections, ended ones included for as long as there is room.
    pub connections: usize,
    /// Pairs of UDP endpoints.
    pub udp_connections: usize,
    /// Segments that wait for an earlier one, in one direction of a connection. A receive window of 2 MiB is some 1,400.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// Bytes in those of all connections.
    pub total_bytes: usize,
    /// IP datagrams of which fragments are missing.
    pub fragmented: usize,
    /// Fragments of one datagram. 64 KiB in pieces of 576, IPv4's smallest, are 120.
    pub fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            udp_connections: 65_536,
            segments: 1500,
            bytes: 2 << 20,
            total_bytes: 32 << 20,
            fragmented: 1024,
            fragments: 256,
        }
    }
}
