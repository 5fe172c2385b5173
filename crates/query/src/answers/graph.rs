//! Edges and nodes: what several answers are made of.

use crate::answers::names::Names;
use crate::answers::plan::Plan;
use crate::answers::{Answers, How, MOST_GROUPS};
use crate::books::{Books, BooksBySide};
use crate::engine::{Coverage, Dimension, EdgeGroup, EdgeScan, Engine, Filter, Listener, Sums};
use crate::error::Error;
use crate::finding::{self, Evidence};
use crate::range::Range;
use crate::signals::{BySide, SideName};
use crate::tell::{Edge, Node, NodeKind, Queue};
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};
use steth_window::{Convention, EdgeTotals, EntityId, Protocol, Side, Transport};

/// Ports of a node that are named.
const PORTS: usize = 16;
/// Up to so long a range, milliseconds, it is compared with the one before: of longer ones that would double the work.
const COMPARED: u64 = 2 * 3600 * 1000;

/// Who connects to whom, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ends {
    pub(super) client: EntityId,
    pub(super) server: EntityId,
    pub(super) port: u16,
    /// What the bytes travel in.
    pub(super) transport: Transport,
}

/// The books of some connections: at their client, at their server.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub(super) client: Option<EdgeTotals>,
    pub(super) server: Option<EdgeTotals>,
    pub(super) guessed: bool,
}

impl Pair {
    pub(super) fn add(&mut self, group: &EdgeGroup) {
        let totals = match group.side {
            Some(Side::Server) => &mut self.server,
            // Observed packets have no books.
            Some(Side::Client) | Some(Side::Network) | None => &mut self.client,
        };
        totals.get_or_insert_default().merge(&group.totals);
        self.guessed |= group.guessed;
    }

    /// Whether there was a connection.
    fn connected(&self) -> bool {
        let there = |totals: &EdgeTotals| totals.open + totals.sums.opened + totals.sums.closed + both_ways(totals) > 0;
        self.client.iter().chain(&self.server).any(there)
    }

    pub(super) fn told(&self) -> BooksBySide {
        let [client, server] = [&self.client, &self.server].map(|totals| totals.as_ref().map(Books::from));
        let preferred = [(&client, SideName::Client), (&server, SideName::Server)];
        let preferred = preferred.into_iter().find_map(|(books, side)| books.as_ref().map(|_| side));
        BooksBySide { preferred, client, server }
    }
}

/// Bytes both ways.
pub(super) fn both_ways(totals: &EdgeTotals) -> u64 {
    totals.sums.bytes_to_server.saturating_add(totals.sums.bytes_to_client)
}

/// What one asks of another over one protocol; no protocol is: only the books know of it.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    pub(super) ends: Ends,
    pub(super) protocol: Option<&'static str>,
    pub(super) sums: [Sums; 3],
    /// The books of these ends are its, and in no other.
    pub(super) has_books: bool,
}

/// Client, server and port.
type Place = (EntityId, EntityId, u16);

/// What a protocol travels in, the likeliest first. Exchanges do not say.
fn transports(protocol: &str) -> [Transport; 3] {
    match protocol {
        "dns" => [Transport::Udp, Transport::Tcp, Transport::Unix],
        _ => [Transport::Tcp, Transport::Unix, Transport::Udp],
    }
}

/// Exchanges beside the books of the connections that they were on. Of several protocols at one place, the one with the most exchanges has
/// the books: they do not tell one from another, and are not to be counted twice.
fn join(found: HashMap<(Place, &'static str), [Sums; 3]>, books: &HashMap<Ends, Pair>) -> Vec<Talk> {
    let mut found: Vec<_> = found.into_iter().collect();
    let most = |sums: &[Sums; 3]| sums.iter().map(|sums| sums.count).max();
    found.sort_by(|(a, x), (b, y)| most(y).cmp(&most(x)).then_with(|| a.cmp(b)));
    let mut taken: HashSet<Ends> = HashSet::new();
    let talk = |(((client, server, port), protocol), sums)| {
        let at = |transport| Ends { client, server, port, transport };
        let there = || transports(protocol).map(at).into_iter().filter(|ends| books.contains_key(ends));
        let free = there().find(|ends| !taken.contains(ends));
        let ends = free.or_else(|| there().next()).unwrap_or_else(|| at(transports(protocol)[0]));
        let has_books = free.is_some_and(|ends| taken.insert(ends));
        Talk { ends, protocol: Some(protocol), sums, has_books }
    };
    found.into_iter().map(talk).collect()
}

/// Everything that is known of some range.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) talks: Vec<Talk>,
    pub(super) books: HashMap<Ends, Pair>,
    /// Failed requests by server, side and `error.type`.
    errors: HashMap<(EntityId, Side), Vec<(String, u64)>>,
    /// What was asked of somebody in the range before.
    before: HashMap<EntityId, [Sums; 3]>,
    /// Where somebody listens.
    listening: HashMap<EntityId, BTreeMap<u16, Listener>>,
    pub(super) names: Names,
}

/// What is wanted beside exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    /// Also what only books know of.
    Books,
    /// What books say of edges that have exchanges.
    BooksOfExchanges,
}

const SIDES: [&[Dimension]; 3] = [
    &[Dimension::Client, Dimension::Server, Dimension::Port, Dimension::Protocol, Dimension::Side],
    &[Dimension::Client, Dimension::Server, Dimension::Port, Dimension::Side, Dimension::Transport],
    &[Dimension::Server, Dimension::Side, Dimension::ErrorType],
];

impl<E: Engine> Answers<E> {
    /// The books of a plan.
    pub(super) fn books(
        &self,
        plan: &Plan,
        filter: Filter<'_>,
        by: &[Dimension],
        range: Range,
        steps: bool,
    ) -> Result<Vec<EdgeGroup>, Error> {
        let (tier, deadline) = (plan.tier, plan.deadline);
        let step_ms = steps.then_some(plan.step_ms);
        self.timed(self.engine.edges(&EdgeScan { tier, range, step_ms, filter, by, limit: MOST_GROUPS, deadline }))
    }

    /// Edges, and what it takes to judge those at their ends.
    pub(super) fn graph(
        &self,
        coverage: &Coverage,
        plan: &Plan,
        filter: Filter<'_>,
        with: With,
    ) -> Result<Graph, Error> {
        let mut talks: HashMap<(Place, &'static str), [Sums; 3]> = HashMap::new();
        for group in self.exchanges(plan, plan.range, filter, SIDES[0], How::WHOLE)? {
            let (Some(client), Some(server), Some(port)) = (group.key.client, group.key.server, group.key.port) else {
                continue;
            };
            let (Some(protocol), Some(side)) = (group.key.protocol, group.key.side) else { continue };
            let place = ((client, server, port), protocol.name());
            talks.entry(place).or_default()[side as usize].add(&group.sums);
        }
        let mut graph = Graph::default();
        for group in self.books(plan, filter, SIDES[1], plan.range, false)? {
            let (Some(client), Some(server), Some(port)) = (group.client, group.server, group.port) else { continue };
            let Some(transport) = group.transport else { continue };
            graph.books.entry(Ends { client, server, port, transport }).or_default().add(&group);
        }
        graph.talks = join(talks, &graph.books);
        let known: HashSet<Ends> = graph.talks.iter().filter(|talk| talk.has_books).map(|talk| talk.ends).collect();
        if with == With::Books {
            let silent = graph.books.keys().filter(|ends| !known.contains(*ends));
            graph.talks.extend(silent.map(|ends| Talk {
                ends: *ends,
                protocol: None,
                sums: Default::default(),
                has_books: true,
            }));
        } else {
            graph.books.retain(|ends, _| known.contains(ends));
        }
        let failed = Filter { failed: Some(true), ..filter };
        if filter.failed != Some(false) {
            for group in self.exchanges(plan, plan.range, failed, SIDES[2], How::COUNTS)? {
                let (Some(server), Some(side)) = (group.key.server, group.key.side) else { continue };
                let kind = group.key.error_type.as_deref().unwrap_or_default().to_owned();
                graph.errors.entry((server, side)).or_default().push((kind, group.sums.count));
            }
        }
        if let Some(before) = plan.before(coverage).filter(|before| before.length_ms() <= COMPARED) {
            for group in self.exchanges(plan, before, filter, &SIDES[2][..2], How::WHOLE)? {
                let (Some(server), Some(side)) = (group.key.server, group.key.side) else { continue };
                graph.before.entry(server).or_default()[side as usize].add(&group.sums);
            }
        }
        if with == With::Books && filter.client.is_none() {
            let wanted = filter.server.or(filter.entity);
            for listener in self.timed(self.engine.listeners(plan.tier, plan.range))? {
                let matches = wanted.is_none_or(|wanted| wanted == listener.service)
                    && filter.lists_ends(listener.service, listener.service)
                    && filter.port.is_none_or(|port| port == listener.port)
                    && filter.transport.is_none_or(|transport| transport == listener.transport);
                if matches && listener.port != 0 {
                    graph.listening.entry(listener.service).or_default().insert(listener.port, listener);
                }
            }
        }
        let ends = graph.talks.iter().flat_map(|talk| [talk.ends.client, talk.ends.server]);
        graph.names = self.names(ends.chain(graph.listening.keys().copied()))?;
        Ok(graph)
    }
}

impl Graph {
    /// What an edge says of itself.
    pub(super) fn edge(&self, talk: &Talk, seconds: f64, limits: &finding::Limits) -> Edge {
        let Ends { client, server, port, transport } = talk.ends;
        let signals = BySide::of(&talk.sums, seconds);
        let there = self.books.get(&talk.ends);
        let pair = there.filter(|_| talk.has_books);
        let evidence = Evidence {
            answers: Some(&signals),
            by_clients: pair.and_then(|pair| pair.client.as_ref()),
            by_himself: pair.and_then(|pair| pair.server.as_ref()),
            ..Evidence::default()
        };
        Edge {
            client: client.to_string(),
            client_name: self.names.full(client),
            server: server.to_string(),
            server_name: self.names.full(server),
            port,
            protocol: talk.protocol.map(str::to_owned),
            transport: there.map(|_| transport.name().to_owned()),
            guessed: there.is_some_and(|pair| pair.guessed),
            state: finding::health(&evidence, limits).state,
            books: pair.map(Pair::told).unwrap_or_default(),
            signals,
            curve: Vec::new(),
        }
    }

    /// All edges, the busiest first.
    pub(super) fn edges(&self, seconds: f64, limits: &finding::Limits) -> Vec<Edge> {
        let mut edges: Vec<Edge> = self.talks.iter().map(|talk| self.edge(talk, seconds, limits)).collect();
        edges.sort_by(busiest);
        edges
    }

    /// All nodes, by namespace and name.
    pub(super) fn nodes(&self, seconds: f64, limits: &finding::Limits) -> Vec<Node> {
        let mut all: HashMap<EntityId, Gathered> = HashMap::new();
        for talk in &self.talks {
            let Ends { client, server, port, .. } = talk.ends;
            add(&mut all.entry(client).or_default().asks, &talk.sums);
            let server = all.entry(server).or_default();
            add(&mut server.answers, &talk.sums);
            server.protocols.extend(talk.protocol);
            // Where nobody could connect, nobody answers.
            if port != 0 && (talk.protocol.is_some() || self.books.get(&talk.ends).is_some_and(Pair::connected)) {
                server.ports.insert(port);
            }
        }
        for (ends, pair) in &self.books {
            let books = &mut all.entry(ends.server).or_default().books;
            merge(&mut books.client, pair.client.as_ref());
            merge(&mut books.server, pair.server.as_ref());
        }
        for id in self.listening.keys() {
            all.entry(*id).or_default();
        }
        let mut nodes: Vec<Node> = all.into_iter().map(|(id, found)| self.node(id, found, seconds, limits)).collect();
        nodes.sort_by(|a, b| (&a.namespace, &a.name, &a.id).cmp(&(&b.namespace, &b.name, &b.id)));
        nodes
    }

    fn node(&self, id: EntityId, found: Gathered, seconds: f64, limits: &finding::Limits) -> Node {
        let (namespace, name) = self.names.parts(id);
        let [answers, asks] = [&found.answers, &found.asks].map(|sums| BySide::of(sums, seconds));
        let before = self.before.get(&id).map(|sums| BySide::of(sums, seconds));
        let errors = answers.preferred.and_then(|side| self.errors.get(&(id, side.into())));
        let listening: Vec<Listener> = self.listening.get(&id).into_iter().flatten().map(|(_, at)| *at).collect();
        let evidence = Evidence {
            answers: Some(&answers),
            listening: &listening,
            before: before.as_ref(),
            errors: errors.map_or(&[], Vec::as_slice),
            by_clients: found.books.client.as_ref(),
            by_himself: found.books.server.as_ref(),
        };
        let kind = match () {
            () if found.protocols.contains("dns") => NodeKind::Dns,
            () if found.protocols.iter().any(is_database) => NodeKind::Database,
            () => self.names.kind(id),
        };
        Node {
            id: id.to_string(),
            name,
            namespace,
            kind,
            protocols: found.protocols.into_iter().map(str::to_owned).collect(),
            ports: found.ports.into_iter().take(PORTS).collect(),
            listening: listening.iter().map(|at| at.port).take(PORTS).collect(),
            queues: listening.iter().map(Queue::from).take(PORTS).collect(),
            health: finding::health(&evidence, limits),
            answers,
            asks,
        }
    }

    /// What was asked of somebody in the range before.
    pub(super) fn before(&self, id: EntityId, seconds: f64) -> BySide {
        self.before.get(&id).map(|sums| BySide::of(sums, seconds)).unwrap_or_default()
    }
}

fn is_database(protocol: &&str) -> bool {
    Protocol::named(protocol).is_some_and(|protocol| protocol.convention() == Convention::Database)
}

/// What comes together at a node.
#[derive(Default)]
struct Gathered {
    answers: [Sums; 3],
    asks: [Sums; 3],
    protocols: BTreeSet<&'static str>,
    ports: BTreeSet<u16>,
    books: Pair,
}

fn add(all: &mut [Sums; 3], more: &[Sums; 3]) {
    all.iter_mut().zip(more).for_each(|(all, more)| all.add(more));
}

/// Adds books of other connections of the same time.
pub(super) fn merge(all: &mut Option<EdgeTotals>, more: Option<&EdgeTotals>) {
    if let Some(more) = more {
        all.get_or_insert_default().merge(more);
    }
}

/// How much passes: exchanges, then bytes.
fn weight(edge: &Edge) -> (u64, u64) {
    let bytes = edge.books.shown().map_or(0, |books| books.bytes_to_server.saturating_add(books.bytes_to_client));
    (edge.signals.shown().map_or(0, |signals| signals.count), bytes)
}

/// The busiest first; in an order that only depends on what they are.
pub(super) fn busiest(a: &Edge, b: &Edge) -> std::cmp::Ordering {
    let place = |edge: &Edge| {
        let names = (edge.client_name.clone(), edge.server_name.clone());
        (names, edge.port, edge.protocol.clone(), edge.transport.clone())
    };
    weight(b).cmp(&weight(a)).then_with(|| place(a).cmp(&place(b)))
}
