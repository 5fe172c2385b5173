//! What was seen, and what was not used, by reason.

/// Why a packet came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skip {
    LinkType,
    Interface,
    NotIp,
    Transport,
    Truncated,
    Malformed,
    FragmentOverlap,
    FragmentLimit,
}

/// Counts of one [`replay`](crate::replay).
///
/// Each packet is in exactly one place: `packets = tcp.segments + udp.datagrams + fragments.waited + skipped.total()`.
/// Each byte of TCP payload as well: `tcp.bytes = tcp.delivered + tcp.retransmitted + tcp.out_of_window +
/// tcp.after_close`. Checksums are not verified: on the sending host they are filled in by the card, behind the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// In the file.
    pub packets: u64,
    /// Length of the packets on the wire.
    pub bytes: u64,
    /// What the file has of them.
    pub captured: u64,
    /// Records given out.
    pub records: u64,
    /// Packets that were not used.
    pub skipped: Skipped,
    /// IP fragments.
    pub fragments: FragmentStats,
    /// TCP.
    pub tcp: TcpStats,
    /// UDP.
    pub udp: UdpStats,
}

/// Packets that were not used, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The interface's link type is not one that is read.
    pub link_type: u64,
    /// The packet names an interface that the file does not describe.
    pub interface: u64,
    /// ARP, LLDP, spanning tree and the like.
    pub not_ip: u64,
    /// IP, neither TCP nor UDP: ICMP, SCTP, tunnels, ESP.
    pub transport: u64,
    /// The capture length ends inside a header.
    pub truncated: u64,
    /// Headers that contradict themselves.
    pub malformed: u64,
    /// A fragment that overlaps another: the whole datagram is dropped (RFC 8200, section 4.5).
    pub fragment_overlap: u64,
    /// A fragment beyond the number that is kept of one datagram.
    pub fragment_limit: u64,
}

impl Skipped {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.link_type
            + self.interface
            + self.not_ip
            + self.transport
            + self.truncated
            + self.malformed
            + self.fragment_overlap
            + self.fragment_limit
    }
}

/// IP fragments.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct FragmentStats {
    /// Fragments that were kept to wait for others; the last one of a datagram is counted with its transport.
    pub waited: u64,
    /// Datagrams put together again.
    pub reassembled: u64,
    /// Datagrams of which fragments never came, or too late, or that gave way to others.
    pub incomplete: u64,
}

/// TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TcpStats {
    /// Segments, with and without payload.
    pub segments: u64,
    /// Payload on the wire.
    pub bytes: u64,
    /// Connections announced.
    pub connections: u64,
    /// Connections forgotten to make room while they were open.
    pub evicted: u64,
    /// Payload that went into chunks, in order and once.
    pub delivered: u64,
    /// Of it, not in the file: beyond the capture length.
    pub not_captured: u64,
    /// Payload that had passed before, or came after its place was given up.
    pub retransmitted: u64,
    /// Segments of which a part, but not all, had passed before.
    pub overlapping: u64,
    /// Segments that waited for an earlier one.
    pub reordered: u64,
    /// Bytes that the receiver acknowledged and the capture does not have.
    pub lost_acknowledged: u64,
    /// Bytes that were waited for until the buffer was full, or the connection or the file ended.
    pub lost_given_up: u64,
    /// Payload too far from its place to be believed, or behind the FIN.
    pub out_of_window: u64,
    /// Payload on a connection that has ended.
    pub after_close: u64,
    /// Probes of idle connections.
    pub keep_alives: u64,
    /// Segments without payload that belong to no connection known: the tail of one that began before the capture.
    pub unattached: u64,
}

/// UDP.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct UdpStats {
    /// Datagrams.
    pub datagrams: u64,
    /// Payload on the wire.
    pub bytes: u64,
    /// Pairs of endpoints announced.
    pub connections: u64,
    /// Pairs forgotten to make room.
    pub evicted: u64,
    /// Payload not in the file, or beyond the 16 KiB that a chunk holds.
    pub not_captured: u64,
    /// Datagrams without payload: there is nothing to tell of them.
    pub empty: u64,
}

impl Stats {
    pub(crate) fn skip(&mut self, why: Skip) {
        let skipped = &mut self.skipped;
        *match why {
            Skip::LinkType => &mut skipped.link_type,
            Skip::Interface => &mut skipped.interface,
            Skip::NotIp => &mut skipped.not_ip,
            Skip::Transport => &mut skipped.transport,
            Skip::Truncated => &mut skipped.truncated,
            Skip::Malformed => &mut skipped.malformed,
            Skip::FragmentOverlap => &mut skipped.fragment_overlap,
            Skip::FragmentLimit => &mut skipped.fragment_limit,
        } += 1;
    }
}
