//! A window as readers get it.

use crate::classic::Classic;
use crate::edges::EdgeRow;
use crate::entity::{EntityId, Kind};
use crate::key::{Labels, Side};
use crate::listening::ListenerRow;
use crate::protocol::Protocol;
use crate::sketch::Sketch;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::sync::Arc;

/// What was seen of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// From the request's first byte to the response's last.
    pub duration_ns: u64,
    /// From the request's first byte to the response's first; `None` without a response.
    pub first_byte_ns: Option<u64>,
    /// From the arrival of the request's first byte at the server's socket to the read that took it; `None` where it was not
    /// observed at the server, or the arrival is not known.
    pub queue_ns: Option<u64>,
    /// Head and body of the request.
    pub request_bytes: u64,
    /// Heads and body of the response.
    pub response_bytes: u64,
    /// Waits by design (BLPOP). Its duration says nothing about the server and stays out of the sketches; it does count
    /// in the classic buckets, as in the metrics of any client library.
    pub blocking: bool,
    /// Took so long that it is called slow; what waits by design never is.
    pub slow: bool,
}

/// What the exchanges of one key add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Exchanges, blocking ones included.
    pub count: u64,
    /// Of these: waited by design.
    pub blocking: u64,
    /// Of these: slow.
    pub slow: u64,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all responses.
    pub response_bytes: u64,
    /// Sum of all durations, blocking ones included; in nanoseconds.
    pub duration_sum: u64,
    /// Durations, without blocking exchanges.
    pub duration: Sketch,
    /// Times to the first byte of the response, without blocking exchanges.
    pub first_byte: Sketch,
    /// Of a server's row with arrivals only: most rows of clients would carry an empty one for nothing.
    queue: Option<Box<Sketch>>,
    /// Durations in the classic buckets of [`crate::Convention::bounds`], blocking exchanges included.
    pub classic: Classic,
}

impl Totals {
    /// Nothing yet.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            count: 0,
            blocking: 0,
            slow: 0,
            request_bytes: 0,
            response_bytes: 0,
            duration_sum: 0,
            duration: Sketch::default(),
            first_byte: Sketch::default(),
            queue: None,
            classic: Classic::new(protocol.convention().bounds()),
        }
    }

    /// Counts one exchange.
    #[inline]
    pub fn record(&mut self, protocol: Protocol, seen: &Observation) {
        self.count += 1;
        self.slow += u64::from(seen.slow);
        self.request_bytes = self.request_bytes.saturating_add(seen.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(seen.response_bytes);
        self.duration_sum = self.duration_sum.saturating_add(seen.duration_ns);
        self.classic.record(protocol.convention().bounds(), seen.duration_ns);
        if let Some(queue) = seen.queue_ns {
            // What waits by design too: before it is read, nobody has begun to wait for anything else.
            self.queue.get_or_insert_default().record(queue);
        }
        if seen.blocking {
            self.blocking += 1;
            return;
        }
        self.duration.record(seen.duration_ns);
        if let Some(first_byte) = seen.first_byte_ns {
            self.first_byte.record(first_byte);
        }
    }

    /// Times in which requests lay in the server's socket before anybody read them, blocking exchanges included; `None`
    /// without any.
    #[must_use]
    pub fn queue(&self) -> Option<&Sketch> {
        self.queue.as_deref().filter(|queue| queue.count() > 0)
    }

    /// Adds what another key of the same protocol adds up to.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.blocking += other.blocking;
        self.slow += other.slow;
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.duration_sum = self.duration_sum.saturating_add(other.duration_sum);
        self.duration.merge(&other.duration);
        self.first_byte.merge(&other.first_byte);
        if let Some(queue) = other.queue() {
            self.queue.get_or_insert_default().merge(queue);
        }
        self.classic.merge(&other.classic);
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        (self.count, self.blocking, self.slow) = (0, 0, 0);
        (self.request_bytes, self.response_bytes, self.duration_sum) = (0, 0, 0);
        self.duration.clear();
        self.first_byte.clear();
        if let Some(queue) = &mut self.queue {
            queue.clear();
        }
        self.classic.clear();
    }
}

/// One line of a window: a key and its totals.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub labels: Arc<Labels>,
    /// What was counted.
    pub totals: Totals,
}

impl Row {
    /// Times from the read of a request to the first byte of its response: what the server took. At the server's socket that is
    /// the time to the first byte, so no row holds it twice. `None` where it was not observed there.
    #[must_use]
    pub fn service(&self) -> Option<&Sketch> {
        (self.labels.key.side == Side::Server).then_some(&self.totals.first_byte).filter(|times| times.count() > 0)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (labels, totals) = (&*self.labels, &self.totals);
        let mut out = serializer.serialize_struct("Row", 22)?;
        out.serialize_field("client", &labels.client)?;
        out.serialize_field("client_id", &labels.key.client)?;
        out.serialize_field("server", &labels.server)?;
        out.serialize_field("server_id", &labels.key.server)?;
        out.serialize_field("server_port", &labels.key.server_port)?;
        out.serialize_field("side", &labels.key.side)?;
        out.serialize_field("protocol", &labels.key.protocol)?;
        out.serialize_field("operation", &labels.operation)?;
        out.serialize_field("summary", &labels.summary)?;
        out.serialize_field("namespace", &labels.namespace)?;
        out.serialize_field("status", &labels.status)?;
        out.serialize_field("error_type", &labels.error_type)?;
        out.serialize_field("count", &totals.count)?;
        out.serialize_field("blocking", &totals.blocking)?;
        out.serialize_field("slow", &totals.slow)?;
        out.serialize_field("request_bytes", &totals.request_bytes)?;
        out.serialize_field("response_bytes", &totals.response_bytes)?;
        out.serialize_field("duration", &totals.duration)?;
        out.serialize_field("first_byte", &totals.first_byte)?;
        out.serialize_field("queue", &totals.queue())?;
        out.serialize_field("service", &self.service())?;
        out.serialize_field("classic", &totals.classic)?;
        out.end()
    }
}

/// What happened to observations that did not go where they belong. Every one of them is still counted in some row, but for
/// `listeners_left_out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misplaced {
    /// Their window was handed over before they came: counted in the window of the moment.
    pub late: u64,
    /// They end more than a window ahead, because the clock jumped or nobody rolled: counted in the next window.
    pub early: u64,
    /// Their operation is one too many for its service: counted as operation `other`, under its summary if it has one.
    pub folded_operations: u64,
    /// Their row is one too many: counted under client, status, operation or service `other`.
    pub folded_rows: u64,
    /// Their edge is one too many: looks at books that were counted under client or server `other`.
    pub folded_edges: u64,
    /// Sockets that waited for connections at the window's end, and are in no row because there were too many.
    pub listeners_left_out: u64,
}

impl Misplaced {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.early += other.early;
        self.folded_operations += other.folded_operations;
        self.folded_rows += other.folded_rows;
        self.folded_edges += other.folded_edges;
        self.listeners_left_out += other.listeners_left_out;
    }
}

/// Ten seconds of traffic: finished, or the current one so far.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// Counts the windows handed over, from 1. The current window carries the number it is going to have.
    pub sequence: u64,
    /// Its start, nanoseconds since 1970, a multiple of ten seconds.
    pub start: u64,
    /// Its end; for the current window the time until which it is known.
    pub end: u64,
    /// Whether it was handed over and will not change any more.
    pub complete: bool,
    /// What did not go where it belongs.
    pub misplaced: Misplaced,
    /// In no particular order, no key twice.
    pub rows: Vec<Row>,
    /// What the kernel's books say; in no particular order, no key twice.
    pub edges: Vec<EdgeRow>,
    /// Who waits for connections, as of its end; by service and port.
    pub listeners: Vec<ListenerRow>,
}

/// Somebody who is in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Somebody<'a> {
    /// The number.
    pub id: EntityId,
    /// Empty if there is none.
    pub namespace: &'a str,
    /// Without the namespace.
    pub name: &'a str,
    /// What is known of it.
    pub kind: Kind,
}

impl Window {
    /// Who is in it: everybody as often as in a row, in no particular order. Of two kinds of one the smaller says more.
    pub fn everybody(&self) -> impl Iterator<Item = Somebody<'_>> {
        let who = |id, (namespace, name), kind| Somebody { id, namespace, name, kind };
        let rows = self.rows.iter().flat_map(move |row| {
            let labels = &*row.labels;
            [
                who(labels.key.client, labels.client_parts(), labels.client_kind),
                who(labels.key.server, labels.server_parts(), labels.server_kind),
            ]
        });
        let edges = self.edges.iter().flat_map(move |row| {
            let client = who(row.key.client, row.client_parts(), row.client_kind);
            [client, who(row.key.server, row.server_parts(), row.server_kind)]
        });
        let listeners =
            self.listeners.iter().map(move |row| who(row.service_id, row.service_parts(), row.service_kind));
        rows.chain(edges).chain(listeners)
    }

    /// About how many bytes it takes, labels aside, which windows share.
    #[must_use]
    pub fn size(&self) -> usize {
        let queue = |row: &Row| row.totals.queue.as_ref().map_or(0, |queue| size_of::<Sketch>() + queue.heap_size());
        let heap = |row: &Row| row.totals.duration.heap_size() + row.totals.first_byte.heap_size() + queue(row);
        let sketches = |row: &EdgeRow| {
            row.totals.connect.heap_size() + row.totals.accept_wait.heap_size() + row.totals.rtt.heap_size()
        };
        size_of::<Self>()
            + self.rows.capacity() * size_of::<Row>()
            + self.rows.iter().map(heap).sum::<usize>()
            + self.edges.capacity() * size_of::<EdgeRow>()
            + self.edges.iter().map(sketches).sum::<usize>()
            + self.listeners.capacity() * size_of::<ListenerRow>()
    }
}
