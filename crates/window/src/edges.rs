//! What the kernel's books say of who talks to whom: bytes, segments, round trips, failures. A row for each edge.
//!
//! Books are asked for once in each window, shortly before its end, and at the end of a connection. So a row holds what was told
//! during the window; what moved after the last question is in the next one, and nothing is in two.

use crate::classic::{Classic, NETWORK};
use crate::entity::{Entities, EntityId, Kind, Time};
use crate::key::{Side, parts};
use crate::sketch::Sketch;
use hashbrown::HashMap;
use serde::Serialize;
use std::sync::Arc;

/// What the bytes travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// A unix socket of any kind.
    Unix,
}

impl Transport {
    /// As it is written in JSON and in labels (`network.transport`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Unix => "unix",
        }
    }
}

/// What a row of books is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdgeKey {
    /// Who connected.
    pub client: EntityId,
    /// Who was connected to.
    pub server: EntityId,
    /// The server's port, 0 if not known.
    pub server_port: u16,
    /// Whose books these are.
    pub side: Side,
    /// What the bytes travel in.
    pub transport: Transport,
    /// Nobody has seen who connected to whom: the lower port is taken for the server's.
    pub guessed: bool,
}

impl EdgeKey {
    fn any_client(self) -> Self {
        Self { client: EntityId::OTHER, ..self }
    }

    pub(crate) fn anything(self) -> Self {
        Self { server: EntityId::OTHER, server_port: 0, guessed: false, ..self.any_client() }
    }
}

/// Numbers that add up. Segments are those of TCP; of UDP, datagrams; on unix sockets, calls. What one end alone can know
/// (`retransmitted` and what follows) is of what the end on the row's side has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the fields are documented in docs/l4.md, one by one
pub struct EdgeSums {
    pub opened: u64,
    pub closed: u64,
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    pub segments_to_server: u64,
    pub segments_to_client: u64,
    pub retransmitted_segments: u64,
    pub retransmitted_bytes: u64,
    pub acked_bytes: u64,
    pub lost_segments: u64,
    pub reordered: u64,
    pub duplicate_segments: u64,
    pub busy_us: u64,
    pub receive_window_us: u64,
    pub send_buffer_us: u64,
    pub refused: u64,
    pub connect_timed_out: u64,
    pub unreachable: u64,
    pub abandoned: u64,
    pub failed_otherwise: u64,
    pub resets_by_client: u64,
    pub resets_by_server: u64,
    pub timed_out: u64,
}

impl EdgeSums {
    /// Connections that could not be made, whatever the cause. Who hung up while connecting (`abandoned`) did not fail.
    #[must_use]
    pub fn failed_connects(&self) -> u64 {
        self.refused + self.connect_timed_out + self.unreachable + self.failed_otherwise
    }

    /// Attempts to connect that came to nothing, whatever the cause.
    #[must_use]
    pub fn connects_failed(&self) -> u64 {
        [self.refused, self.connect_timed_out, self.unreachable, self.abandoned, self.failed_otherwise]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Adds what another one adds up to.
    pub fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($field:ident)*) => { $(self.$field = self.$field.saturating_add(other.$field);)* };
        }
        add!(opened closed bytes_to_server bytes_to_client segments_to_server segments_to_client retransmitted_segments
            retransmitted_bytes acked_bytes lost_segments reordered duplicate_segments busy_us receive_window_us
            send_buffer_us refused connect_timed_out unreachable abandoned failed_otherwise resets_by_client
            resets_by_server timed_out);
    }
}

/// What one look at the books of a connection has to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct EdgeSeen {
    /// What adds up.
    pub sums: EdgeSums,
    /// From SYN to establishment, as the client saw it; nanoseconds.
    pub connect_ns: Option<u64>,
    /// From establishment to the return of `accept()`, as the server's kernel saw it; nanoseconds.
    pub accept_ns: Option<u64>,
    /// A sample of the smoothed round-trip time, nanoseconds.
    pub rtt_ns: Option<u64>,
    /// The least round-trip time that the kernel knows, nanoseconds.
    pub rtt_min_ns: Option<u64>,
    /// The connection goes on.
    pub open: bool,
}

/// What a row adds up to.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeTotals {
    /// Connections that were open when the books were last asked for.
    pub open: u64,
    /// Numbers that add up.
    #[serde(flatten)]
    pub sums: EdgeSums,
    /// How long clients took to connect.
    pub connect: Sketch,
    /// How long connections waited for `accept()`.
    pub accept_wait: Sketch,
    /// Smoothed round-trip times: one sample for each connection that has moved anything.
    pub rtt: Sketch,
    /// The least round-trip time, nanoseconds.
    pub rtt_min_ns: Option<u64>,
    #[serde(skip)]
    pub(crate) connect_classic: Classic,
    #[serde(skip)]
    pub(crate) rtt_classic: Classic,
}

impl Default for EdgeTotals {
    fn default() -> Self {
        Self {
            open: 0,
            sums: EdgeSums::default(),
            connect: Sketch::default(),
            accept_wait: Sketch::default(),
            rtt: Sketch::default(),
            rtt_min_ns: None,
            connect_classic: Classic::new(NETWORK),
            rtt_classic: Classic::new(NETWORK),
        }
    }
}

impl EdgeTotals {
    fn record(&mut self, seen: &EdgeSeen) {
        self.sums.add(&seen.sums);
        if let Some(connect) = seen.connect_ns {
            self.connect.record(connect);
            self.connect_classic.record(NETWORK, connect);
        }
        seen.accept_ns.into_iter().for_each(|wait| self.accept_wait.record(wait));
        if let Some(rtt) = seen.rtt_ns {
            self.rtt.record(rtt);
            self.rtt_classic.record(NETWORK, rtt);
        }
        self.rtt_min_ns = self.rtt_min_ns.into_iter().chain(seen.rtt_min_ns).min();
    }

    /// Adds what another row adds up to; of windows that follow one another, `open` is none that adds up.
    pub fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.sums.add(&other.sums);
        self.connect.merge(&other.connect);
        self.accept_wait.merge(&other.accept_wait);
        self.rtt.merge(&other.rtt);
        self.connect_classic.merge(&other.connect_classic);
        self.rtt_classic.merge(&other.rtt_classic);
        self.rtt_min_ns = self.rtt_min_ns.into_iter().chain(other.rtt_min_ns).min();
    }
}

/// One line: who, and how much.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeRow {
    /// What it is about, in numbers.
    #[serde(skip)]
    pub key: EdgeKey,
    /// One of the two is not known yet and is called by a name that may turn out to be wrong.
    #[serde(skip)]
    pub provisional: bool,
    /// Who connected.
    pub client: Arc<str>,
    /// Bytes of the namespace in front of its name; 0 if it has none.
    #[serde(skip)]
    pub client_namespace: usize,
    /// What is known of it.
    pub client_kind: Kind,
    /// Its number.
    pub client_id: EntityId,
    /// Who was connected to.
    pub server: Arc<str>,
    /// Bytes of the namespace in front of its name; 0 if it has none.
    #[serde(skip)]
    pub server_namespace: usize,
    /// What is known of it.
    pub server_kind: Kind,
    /// Its number.
    pub server_id: EntityId,
    /// The server's port, 0 if not known.
    pub server_port: u16,
    /// Whose books these are.
    pub side: Side,
    /// What the bytes travel in.
    pub transport: Transport,
    /// Who is the client was not seen.
    pub guessed: bool,
    /// What was counted.
    #[serde(flatten)]
    pub totals: EdgeTotals,
}

impl EdgeRow {
    /// Namespace and name of the client; the namespace is empty if it has none.
    #[must_use]
    pub fn client_parts(&self) -> (&str, &str) {
        parts(&self.client, self.client_namespace)
    }

    /// The same of the server.
    #[must_use]
    pub fn server_parts(&self) -> (&str, &str) {
        parts(&self.server, self.server_namespace)
    }
}

/// Under which row a connection is counted as open; kept with the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opened {
    /// Counts the times that the rows were cleared, from 1.
    round: u64,
    slot: u32,
}

/// The rows of the window in progress.
#[derive(Debug)]
pub(crate) struct Edges {
    index: HashMap<EdgeKey, u32>,
    slots: Vec<(EdgeKey, EdgeTotals)>,
    round: u64,
    maximum: usize,
}

impl Edges {
    /// Room for so many rows; those that come later are counted together with those of other clients, and then of others.
    pub(crate) fn new(maximum: usize) -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), round: 1, maximum }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts. True: under another key, for want of room.
    pub(crate) fn record(&mut self, key: &EdgeKey, seen: &EdgeSeen, opened: &mut Opened) -> bool {
        let (slot, folded) = match self.index.get(key) {
            Some(slot) => (*slot, false),
            None => self.insert(*key),
        };
        self.shut(opened);
        let totals = &mut self.slots[slot as usize].1;
        totals.record(seen);
        if seen.open {
            totals.open += 1;
            *opened = Opened { round: self.round, slot };
        }
        folded
    }

    /// The connection is not open any more, or not under this row.
    pub(crate) fn shut(&mut self, opened: &mut Opened) {
        if opened.round == self.round
            && let Some((_, totals)) = self.slots.get_mut(opened.slot as usize)
        {
            totals.open = totals.open.saturating_sub(1);
        }
        *opened = Opened::default();
    }

    #[cold]
    fn insert(&mut self, key: EdgeKey) -> (u32, bool) {
        // As with the rows of exchanges, a share is left for what was folded.
        let room = |percent| self.slots.len() * 100 < self.maximum * percent;
        let admitted = match key {
            key if room(90) => key,
            key if self.index.contains_key(&key.any_client()) || room(98) => key.any_client(),
            key => key.anything(),
        };
        let slot = *self.index.entry(admitted).or_insert(self.slots.len() as u32);
        if slot as usize == self.slots.len() {
            self.slots.push((admitted, EdgeTotals::default()));
        }
        (slot, admitted != key)
    }

    pub(crate) fn rows(&self, entities: &Entities, time: Time) -> Vec<EdgeRow> {
        let mut rows: Vec<EdgeRow> = Vec::with_capacity(self.slots.len());
        let mut places = HashMap::with_capacity(self.slots.len());
        for (key, totals) in &self.slots {
            let of = |id| entities.stands_for(id, time);
            let key = EdgeKey { client: of(key.client), server: of(key.server), ..*key };
            if let Some(row) = places.get(&key).and_then(|at: &usize| rows.get_mut(*at)) {
                row.totals.merge(totals);
                continue;
            }
            places.insert(key, rows.len());
            rows.push(EdgeRow {
                key,
                provisional: entities.settled(key.client).is_none() || entities.settled(key.server).is_none(),
                client: entities.name(key.client),
                client_namespace: entities.namespace(key.client),
                client_kind: entities.kind(key.client),
                client_id: key.client,
                server: entities.name(key.server),
                server_namespace: entities.namespace(key.server),
                server_kind: entities.kind(key.server),
                server_id: key.server,
                server_port: key.server_port,
                side: key.side,
                transport: key.transport,
                guessed: key.guessed,
                totals: totals.clone(),
            });
        }
        rows
    }

    pub(crate) fn clear(&mut self) {
        self.round += 1;
        // As many as were used at most; a window with many rows is rare, and its room is given back.
        (self.index, self.slots) = (HashMap::new(), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(entities: &mut Entities, client: &str, port: u16) -> EdgeKey {
        EdgeKey {
            client: entities.intern(client, 0),
            server: entities.intern("shop", 0),
            server_port: port,
            side: Side::Server,
            transport: Transport::Tcp,
            guessed: false,
        }
    }

    fn seen(bytes: u64, open: bool) -> EdgeSeen {
        let sums = EdgeSums { bytes_to_server: bytes, closed: u64::from(!open), ..EdgeSums::default() };
        EdgeSeen { sums, rtt_ns: Some(bytes), rtt_min_ns: Some(bytes), open, ..EdgeSeen::default() }
    }

    #[test]
    fn a_connection_is_open_once_however_often_it_is_asked() {
        let mut entities = Entities::default();
        let (mut edges, key) = (Edges::new(100), key(&mut entities, "web", 80));
        let (mut one, mut two) = (Opened::default(), Opened::default());
        edges.record(&key, &seen(10, true), &mut one);
        edges.record(&key, &seen(5, true), &mut one);
        edges.record(&key, &seen(7, true), &mut two);
        let rows = edges.rows(&entities, Time::UnderWay);
        assert_eq!((rows.len(), rows[0].totals.open, rows[0].totals.sums.bytes_to_server), (1, 2, 22));
        assert_eq!((rows[0].totals.rtt.count(), rows[0].totals.rtt_min_ns), (3, Some(5)));
        edges.record(&key, &seen(1, false), &mut one);
        let rows = edges.rows(&entities, Time::UnderWay);
        assert_eq!((rows[0].totals.open, rows[0].totals.sums.closed), (1, 1));
        // In the next window it is open again only if it says so.
        edges.clear();
        edges.shut(&mut two);
        edges.record(&key, &seen(0, true), &mut Opened::default());
        assert_eq!(edges.rows(&entities, Time::UnderWay)[0].totals.open, 1);
    }

    #[test]
    fn rows_beyond_the_limit_are_folded_and_nothing_is_lost() {
        let mut entities = Entities::default();
        let mut edges = Edges::new(50);
        let mut folded = 0;
        for n in 0..1000u16 {
            let key = key(&mut entities, &format!("client-{n}"), n % 20);
            folded += u64::from(edges.record(&key, &seen(1, true), &mut Opened::default()));
        }
        let rows = edges.rows(&entities, Time::UnderWay);
        assert!(rows.len() <= 51, "{} rows", rows.len());
        assert_eq!(rows.iter().map(|row| row.totals.sums.bytes_to_server).sum::<u64>(), 1000);
        assert_eq!(rows.iter().map(|row| row.totals.open).sum::<u64>(), 1000);
        assert!(folded > 900);
    }

    #[test]
    fn who_is_named_late_is_counted_under_his_name() {
        let mut entities = Entities::default();
        let mut edges = Edges::new(50);
        let known = key(&mut entities, "web", 80);
        let late = EdgeKey { client: entities.provisional("python3", 1, 0), ..known };
        edges.record(&known, &seen(1, true), &mut Opened::default());
        edges.record(&late, &seen(2, true), &mut Opened::default());
        assert!(edges.rows(&entities, Time::UnderWay).iter().any(|row| row.provisional));
        entities.settle(late.client, known.client);
        let rows = edges.rows(&entities, Time::UnderWay);
        assert_eq!((rows.len(), rows[0].totals.sums.bytes_to_server, rows[0].provisional), (1, 3, false));
    }
}
