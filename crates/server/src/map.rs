//! Who talks to whom: entities, and what passes between them.

use crate::books::{Ends, Shelf};
use crate::query::Query;
use crate::range::Range;
use crate::shared::Shared;
use crate::tally::{Sides, Tallies};
use hashbrown::HashMap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use steth_window::{EdgeRow, EntityId, Kind, ListenerRow, Misplaced, Protocol, Row, Side, Transport, Windows};

/// Most edges in an answer, busiest first; nodes are those at their ends.
const MOST: usize = 2000;
/// Ports of a node that are named.
const PORTS: usize = 16;
/// Ports at which a node waits for connections that are named.
const LISTENING: usize = 64;
/// Most nodes in an answer; those at the ends of its edges come first.
const NODES: usize = 4000;

/// The answer of `/api/v1/map`.
#[derive(Debug, Serialize)]
pub(crate) struct Map {
    /// Where the time range begins and ends, milliseconds since 1970.
    from_ms: u64,
    to_ms: u64,
    /// Its length: what the rates were divided by.
    seconds: f64,
    /// What was counted under another name: an edge of it is not where it belongs.
    misplaced: Misplaced,
    nodes_total: usize,
    nodes: Vec<Node>,
    edges_total: usize,
    edges: Vec<Edge>,
}

/// An entity.
#[derive(Debug, Serialize)]
struct Node {
    id: EntityId,
    /// Without its namespace.
    name: Box<str>,
    /// Empty if it has none.
    namespace: Box<str>,
    kind: NodeKind,
    /// What it answers, and where.
    protocols: BTreeSet<&'static str>,
    ports: BTreeSet<u16>,
    /// Where it waits for TCP connections at the end of the time, whether anybody comes or not: the lowest ports.
    listening: BTreeSet<u16>,
    /// How many ports these are.
    listening_total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum NodeKind {
    /// It answers DNS, whoever it is.
    Dns,
    Service,
    External,
    Other,
}

/// What one entity asks of another one over one protocol at one port.
#[derive(Debug, Serialize)]
struct Edge {
    client: EntityId,
    server: EntityId,
    /// `tcp`, `udp` or `unix` if there are the kernel's books alone: a protocol that is not known or cannot be read, or an attempt to
    /// connect that failed.
    protocol: &'static str,
    port: u16,
    /// The side that its numbers are to be taken from where one number is wanted: the server's if it is watched, since that
    /// one has the requests of all clients; else the client's.
    preferred: Side,
    /// Each side that was observed, by itself: they tell of the same exchanges and are never summed.
    reporters: Sides,
    /// What the kernel's books say of these two and this port, by what the bytes travel in. If they speak several protocols there,
    /// it is the same at each of these edges.
    network: BTreeMap<&'static str, Ends>,
}

/// Between whom, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    client: EntityId,
    server: EntityId,
    port: u16,
}

/// Everything that is known of an edge.
#[derive(Default)]
struct Evidence {
    exchanges: BTreeMap<&'static str, Tallies>,
    books: Shelf,
}

/// What an edge of the answer is made of: one protocol of a place, or the books of one transport where no protocol is known.
#[derive(Clone, Copy)]
enum Of<'a> {
    Exchanges(&'static str, &'a Tallies),
    Books(Transport),
}

impl Evidence {
    fn edges(&self) -> Vec<Of<'_>> {
        if self.exchanges.is_empty() {
            return self.books.transports().map(Of::Books).collect();
        }
        self.exchanges.iter().map(|(protocol, tallies)| Of::Exchanges(protocol, tallies)).collect()
    }
}

impl Of<'_> {
    fn protocol(self) -> &'static str {
        match self {
            Of::Exchanges(protocol, _) => protocol,
            Of::Books(transport) => transport.name(),
        }
    }

    fn edge(self, place: Place, books: &Shelf, seconds: f64, asked: bool) -> Edge {
        let (preferred, reporters, network) = match self {
            Of::Exchanges(_, tallies) => (tallies.leading(), tallies.sides(seconds), books.ends(None, asked)),
            Of::Books(transport) => (books.leading(transport), Sides::default(), books.ends(Some(transport), asked)),
        };
        let Place { client, server, port } = place;
        Edge { client, server, protocol: self.protocol(), port, preferred, reporters, network }
    }
}

/// Nodes and edges, as they are found.
#[derive(Default)]
struct Graph {
    nodes: HashMap<EntityId, Node>,
    edges: HashMap<Place, Evidence>,
}

impl Graph {
    fn exchanges(&mut self, row: &Row) {
        let (key, labels) = (&row.labels.key, &*row.labels);
        let place = Place { client: key.client, server: key.server, port: key.server_port };
        self.node(key.client, labels.client_parts(), labels.client_kind);
        let server = self.node(key.server, labels.server_parts(), labels.server_kind);
        server.protocols.insert(key.protocol.name());
        server.answers_at(key.server_port);
        if key.protocol == Protocol::Dns {
            server.kind = NodeKind::Dns;
        }
        self.edges.entry(place).or_default().exchanges.entry(key.protocol.name()).or_default().add(row);
    }

    fn books(&mut self, row: &EdgeRow, last: bool) {
        let key = &row.key;
        self.node(key.client, row.client_parts(), row.client_kind);
        self.node(key.server, row.server_parts(), row.server_kind);
        let place = Place { client: key.client, server: key.server, port: key.server_port };
        let books = &mut self.edges.entry(place).or_default().books;
        books.add(row, last);
        if books.answered(row.transport)
            && let Some(node) = self.nodes.get_mut(&key.server)
        {
            node.answers_at(key.server_port);
        }
    }

    fn listener(&mut self, row: &ListenerRow) {
        let node = self.node(row.service_id, row.service_parts(), row.service_kind);
        node.listening_total += 1;
        // They come ascending.
        if node.listening.len() < LISTENING {
            node.listening.insert(row.port);
        }
    }

    fn node(&mut self, id: EntityId, (namespace, name): (&str, &str), kind: Kind) -> &mut Node {
        let kind = match kind {
            Kind::Service => NodeKind::Service,
            Kind::External => NodeKind::External,
            Kind::Other => NodeKind::Other,
        };
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            id,
            name: name.into(),
            namespace: namespace.into(),
            kind,
            protocols: BTreeSet::new(),
            ports: BTreeSet::new(),
            listening: BTreeSet::new(),
            listening_total: 0,
        });
        // The more that is known, the smaller.
        node.kind = node.kind.min(kind);
        node
    }
}

impl Node {
    fn answers_at(&mut self, port: u16) {
        if port != 0 && self.ports.len() < PORTS {
            self.ports.insert(port);
        }
    }
}

/// How many windows are asked for: `window=`, seconds with `s`, minutes with `m`, hours with `h`.
pub(crate) fn windows(query: &str) -> Result<u64, String> {
    let read = |text: &str| {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
        (10..=3600).contains(&seconds).then(|| seconds.div_ceil(Windows::LENGTH / 1_000_000_000))
    };
    let query = Query::parse(query, &["window"])?;
    Ok(query.read("window", "a time from 10s to 1h: 30s, 5m", read)?.unwrap_or(6))
}

/// Nodes and edges of the last `last` windows and the current one, in an order that only depends on what they are.
pub(crate) fn map(shared: &Shared, last: u64) -> Map {
    let range = Range::of(shared, last);
    let (seconds, mut misplaced, mut graph) = (range.seconds(), Misplaced::default(), Graph::default());
    let last_asked = range.within().filter(|window| window.complete).map(|window| window.sequence).max();
    for window in range.within() {
        misplaced.add(&window.misplaced);
        window.rows.iter().for_each(|row| graph.exchanges(row));
        let last = Some(window.sequence) == last_asked;
        window.edges.iter().for_each(|row| graph.books(row, last));
    }
    // What was open some windows ago says nothing of now.
    if let Some(window) = range.within().last() {
        window.listeners.iter().for_each(|row| graph.listener(row));
    }
    let Graph { mut nodes, edges: found } = graph;
    let nodes_total = nodes.len();
    let mut edges = Vec::with_capacity(found.len());
    for (place, evidence) in &found {
        edges.extend(evidence.edges().into_iter().map(|of| (*place, of, &evidence.books)));
    }
    let edges_total = edges.len();
    if edges.len() > MOST {
        let weight = |of: Of<'_>, books: &Shelf| match of {
            Of::Exchanges(_, tallies) => (tallies.rate(seconds), books.weight()),
            Of::Books(_) => (0.0, books.weight()),
        };
        edges.sort_by(|(a, x, with), (b, y, beside)| {
            let ((x_rate, x_weight), (y_rate, y_weight)) = (weight(*x, with), weight(*y, beside));
            let busier = y_rate.total_cmp(&x_rate).then(y_weight.cmp(&x_weight));
            busier.then_with(|| (a, x.protocol()).cmp(&(b, y.protocol())))
        });
        edges.truncate(MOST);
    }
    if edges.len() < edges_total || nodes.len() > NODES {
        let ends: BTreeSet<_> = edges.iter().flat_map(|(place, ..)| [place.client, place.server]).collect();
        let mut idle: Vec<_> = nodes
            .values()
            .filter(|node| node.listening_total > 0)
            .map(|node| node.id)
            .filter(|id| !ends.contains(id))
            .collect();
        idle.sort();
        idle.truncate(NODES.saturating_sub(ends.len()));
        nodes.retain(|id, _| ends.contains(id) || idle.binary_search(id).is_ok());
    }
    let name = |id: EntityId| nodes.get(&id).map(|node| (&node.namespace, &node.name, id));
    edges.sort_by_key(|(place, of, _)| (name(place.client), name(place.server), of.protocol(), place.port));
    let edges =
        edges.into_iter().map(|(place, of, books)| of.edge(place, books, seconds, last_asked.is_some())).collect();
    let mut nodes: Vec<Node> = nodes.into_values().collect();
    nodes.sort_by(|a, b| (&a.namespace, &a.name, a.id).cmp(&(&b.namespace, &b.name, b.id)));
    Map {
        from_ms: range.covered / 1_000_000,
        to_ms: range.to / 1_000_000,
        seconds,
        misplaced,
        nodes_total,
        nodes,
        edges_total,
        edges,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_window_is_a_number_with_a_unit() {
        let good = [("", 6), ("window=10s", 1), ("window=15s", 2), ("window=5m", 30), ("window=1h", 360)];
        for (query, windows) in good {
            assert_eq!(super::windows(query), Ok(windows), "{query}");
        }
        for bad in ["window=5", "window=9s", "window=2h", "window=m", "window=%C3%A4", "window=99999999999999999999h"] {
            assert!(super::windows(bad).unwrap_err().contains("10s to 1h"), "{bad}");
        }
    }
}
