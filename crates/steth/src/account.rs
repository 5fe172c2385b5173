//! The ledger, put together from all stages and written as one JSON object.

use serde_json::{Value, json};
use steth_event::{COUNTERS, PROTOCOLS, counter};
use steth_flow::Counts;
use steth_ledger::{Exchanges, Lost};
use steth_wire::Protocol;

/// Everything that was counted, from the kernel's hooks to the parsers.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) kernel: [u64; COUNTERS],
    pub(crate) hook_runs_missed: u64,
    pub(crate) flow: Counts,
    pub(crate) open_connections: usize,
    pub(crate) exchanges: [Exchanges; PROTOCOLS],
    pub(crate) unparsed_bytes: u64,
    pub(crate) malformed_records: u64,
    /// Times that a process was not observed for the moment, because what its container is called was not known yet.
    pub(crate) undecided: u64,
    pub(crate) names_folded: u64,
    /// HTTP exchanges whose route was one too many for their service.
    pub(crate) routes_folded: u64,
    pub(crate) digests_folded: u64,
    /// DNS names that became `*`.
    pub(crate) domains_folded: u64,
    /// Addresses with a name, and names that were given up before their time.
    pub(crate) hosts: usize,
    pub(crate) hosts_evicted: u64,
    pub(crate) processes_evicted: u64,
    pub(crate) look_ups_refused: u64,
    pub(crate) named_late: u64,
    /// Last books of connections that were counted without the process at the other end, because too many were waiting for it.
    pub(crate) last_books_no_room: u64,
    /// Records of listening sockets that found no room.
    pub(crate) listeners_no_room: u64,
    /// Announcements of datagram sockets, and of sockets at an address of this host, that found no room.
    pub(crate) sockets_no_room: u64,
    /// What went to one place from a socket whose books did not come.
    pub(crate) destinations_unclaimed: u64,
    /// Connections of which connection tracking was not asked where they lead, because it was asked of too many others.
    pub(crate) translations_refused: u64,
    /// Exchanges and books that went on before it had answered.
    pub(crate) translations_late: u64,
}

impl Account {
    /// Exchanges of a protocol, what the kernel had to drop included.
    pub(crate) fn of(&self, protocol: Protocol) -> Exchanges {
        let mut exchanges = self.exchanges[protocol as usize];
        exchanges.lose(Lost::RingFull, self.kernel[counter::DROPPED_REQUESTS + protocol as usize]);
        exchanges
    }

    /// Exchanges lost over all protocols.
    pub(crate) fn lost(&self) -> u64 {
        Protocol::ALL.iter().map(|protocol| self.of(*protocol).lost()).sum()
    }

    /// `{"type":"ledger","exchanges":{…},"chunks":{…},"bytes":{…},…}`.
    pub(crate) fn to_json(&self) -> Value {
        let k = |index: usize| self.kernel[index];
        let mut total = Exchanges::default();
        let mut protocols = serde_json::Map::new();
        for protocol in Protocol::ALL {
            let exchanges = self.of(protocol);
            total.add(&exchanges);
            protocols.insert(protocol.name().to_owned(), json!(exchanges));
        }
        json!({
            "type": "ledger",
            "exchanges": {
                "reported": total.reported,
                "lost": total.lost(),
                "lost_by": json!(total)["lost_by"],
                "protocols": protocols,
            },
            "chunks": {
                "seen": k(counter::SEEN_CHUNKS) + k(counter::CROWDED_CHUNKS),
                "reported": k(counter::REPORTED_CHUNKS),
                "l4_only": k(counter::L4_CHUNKS),
                "pending": k(counter::PENDING_CHUNKS),
                "unread": k(counter::UNREAD_CHUNKS),
                "unselected": k(counter::UNSELECTED),
                "peeked": k(counter::PEEKS),
                "other_sockets": k(counter::OTHER_CHUNKS),
                "lost": k(counter::DROPPED_CHUNKS) + k(counter::MAP_FULL) + k(counter::CROWDED_CHUNKS),
                "lost_by": {
                    "ring_full": k(counter::DROPPED_CHUNKS),
                    "map_full": k(counter::MAP_FULL),
                    "crowded": k(counter::CROWDED_CHUNKS),
                },
                "received": self.flow.chunks,
                "held": self.flow.held,
            },
            "bytes": {
                "seen": k(counter::SEEN_BYTES) + k(counter::CROWDED_BYTES),
                "reported": k(counter::REPORTED_BYTES),
                "received": self.flow.bytes,
                "captured": self.flow.captured,
                "l4_only": k(counter::L4_BYTES),
                "pending": k(counter::PENDING_BYTES),
                "unread": k(counter::UNREAD_BYTES),
                "skipped": k(counter::SKIPPED_BYTES),
                "lost": k(counter::DROPPED_BYTES) + k(counter::MAP_FULL_BYTES) + k(counter::CROWDED_BYTES),
                "lost_by": {
                    "ring_full": k(counter::DROPPED_BYTES),
                    "map_full": k(counter::MAP_FULL_BYTES),
                    "crowded": k(counter::CROWDED_BYTES),
                },
                "holes": self.flow.lost_bytes,
                "late": self.flow.late_bytes,
                "unparsed": self.unparsed_bytes,
                "other_sockets": k(counter::OTHER_BYTES),
            },
            "records": {
                "dropped": k(counter::DROPPED_RECORDS),
                "hook_runs_missed": self.hook_runs_missed,
                "hook_runs_crowded": k(counter::CROWDED_RUNS),
                "malformed": self.malformed_records,
            },
            "connections": {
                "seen": self.flow.connections,
                "open": self.open_connections,
                "evicted": self.flow.evicted,
                "vanished": self.flow.vanished,
                "unended": self.flow.unended,
                "holes": self.flow.holes,
            },
            "limits": {
                "names_folded": self.names_folded,
                "routes_folded": self.routes_folded,
                "digests_folded": self.digests_folded,
                "domains_folded": self.domains_folded,
                "hosts": self.hosts,
                "hosts_evicted": self.hosts_evicted,
                "processes_evicted": self.processes_evicted,
                "look_ups_refused": self.look_ups_refused,
                "named_late": self.named_late,
                "last_books_no_room": self.last_books_no_room,
                "listeners_no_room": self.listeners_no_room,
                "sockets_no_room": self.sockets_no_room,
                "destinations_unclaimed": self.destinations_unclaimed,
                "translations_refused": self.translations_refused,
                "translations_late": self.translations_late,
                "verdicts_full": k(counter::VERDICTS_FULL),
                "undecided": self.undecided,
            },
        })
    }
}
