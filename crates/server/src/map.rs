//! Who talks to whom: entities, and what passes between them.

use crate::query::Query;
use crate::range::Range;
use crate::shared::Shared;
use crate::tally::{Sides, Tallies};
use hashbrown::HashMap;
use serde::Serialize;
use std::collections::BTreeSet;
use steth_window::{EntityId, Kind, Labels, Misplaced, Protocol, Row, Side, Windows};

/// Most edges in an answer, busiest first; nodes are those at their ends.
const MOST: usize = 2000;
/// Ports of a node that are named.
const PORTS: usize = 16;

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
    protocol: &'static str,
    port: u16,
    /// The side that its numbers are to be taken from where one number is wanted: the server's if it is watched, since that
    /// one has the requests of all clients; else the client's.
    preferred: Side,
    /// Each side that was observed, by itself: they tell of the same exchanges and are never summed.
    reporters: Sides,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct EdgeKey {
    client: EntityId,
    server: EntityId,
    protocol: &'static str,
    port: u16,
}

/// Everything that is known of an edge. What connections tell of it has its place here, beside the exchanges.
#[derive(Default)]
struct Evidence {
    exchanges: Tallies,
}

/// Nodes and edges, as they are found.
#[derive(Default)]
struct Graph {
    nodes: HashMap<EntityId, Node>,
    edges: HashMap<EdgeKey, Evidence>,
}

impl Graph {
    fn exchanges(&mut self, row: &Row) {
        let (key, labels) = (&row.labels.key, &*row.labels);
        let edge =
            EdgeKey { client: key.client, server: key.server, protocol: key.protocol.name(), port: key.server_port };
        self.node(key.client, labels, false);
        let server = self.node(key.server, labels, true);
        server.protocols.insert(key.protocol.name());
        if key.server_port != 0 && server.ports.len() < PORTS {
            server.ports.insert(key.server_port);
        }
        if key.protocol == Protocol::Dns {
            server.kind = NodeKind::Dns;
        }
        self.edges.entry(edge).or_default().exchanges.add(row);
    }

    fn node(&mut self, id: EntityId, labels: &Labels, server: bool) -> &mut Node {
        let (name, kind) = match server {
            true => (labels.server_parts(), labels.server_kind),
            false => (labels.client_parts(), labels.client_kind),
        };
        let kind = match kind {
            Kind::Service => NodeKind::Service,
            Kind::External => NodeKind::External,
            Kind::Other => NodeKind::Other,
        };
        let node = self.nodes.entry(id).or_insert_with(|| Node {
            id,
            name: name.1.into(),
            namespace: name.0.into(),
            kind,
            protocols: BTreeSet::new(),
            ports: BTreeSet::new(),
        });
        // The more that is known, the smaller.
        node.kind = node.kind.min(kind);
        node
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
    for window in range.within() {
        misplaced.add(&window.misplaced);
        window.rows.iter().for_each(|row| graph.exchanges(row));
    }
    let Graph { mut nodes, edges } = graph;
    let (nodes_total, edges_total) = (nodes.len(), edges.len());
    let mut edges: Vec<_> = edges.into_iter().collect();
    let place = |key: &EdgeKey| (key.client, key.server, key.protocol, key.port);
    if edges.len() > MOST {
        let rate = |evidence: &Evidence| evidence.exchanges.rate(seconds);
        edges.sort_by(|(a, x), (b, y)| rate(y).total_cmp(&rate(x)).then_with(|| place(a).cmp(&place(b))));
        edges.truncate(MOST);
        let ends: BTreeSet<_> = edges.iter().flat_map(|(key, _)| [key.client, key.server]).collect();
        nodes.retain(|id, _| ends.contains(id));
    }
    let name = |id: EntityId| nodes.get(&id).map(|node| (&node.namespace, &node.name, id));
    edges.sort_by_key(|(key, _)| (name(key.client), name(key.server), key.protocol, key.port));
    let edges = edges.into_iter().map(|(EdgeKey { client, server, protocol, port }, evidence)| Edge {
        client,
        server,
        protocol,
        port,
        preferred: evidence.exchanges.leading(),
        reporters: evidence.exchanges.sides(seconds),
    });
    let edges = edges.collect();
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
