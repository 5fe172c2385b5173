//! The most of something.

use crate::answers::graph::{Ends, Graph, Pair, Talk, With, both_ways, busiest, merge};
use crate::answers::plan::Plan;
use crate::answers::{Answers, How, MOST_GROUPS, Within};
use crate::ask::{self, Sort, TopBy};
use crate::engine::{Dimension, Engine, Filter, Key, Sums};
use crate::error::Error;
use crate::meta::Answer;
use crate::signals::{BySide, Quantiles, Signals};
use crate::tell::{Edge, Operation, Service, Top};
use hashbrown::HashMap;
use std::cmp::Ordering;
use std::hash::Hash;
use std::sync::Arc;
use steth_window::{EdgeTotals, EntityId, Side};

impl<E: Engine> Answers<E> {
    pub(super) fn answer_top(&self, ask: &ask::Top) -> Result<Answer<Top>, Error> {
        let (coverage, plan) = self.plan(ask.range, (ask.curve > 0).then_some(ask.curve))?;
        if ask.by == TopBy::Connections && ask.of.only_exchanges() {
            let text = "connections have neither protocol nor operation, status or failure";
            return Err(Error::Question(text.to_owned()));
        }
        let within = self.members(&ask.of)?;
        let filter = ask.of.filter(&within);
        let top = match ask.by {
            TopBy::Services | TopBy::Edges => {
                let with = if ask.of.only_exchanges() { With::BooksOfExchanges } else { With::Books };
                let graph = self.graph(&coverage, &plan, filter, with)?;
                if ask.by == TopBy::Services {
                    self.services(ask, &plan, &graph, &within)?
                } else {
                    self.edges(ask, &plan, &graph, filter)?
                }
            }
            TopBy::Operations => self.operations(ask, &plan, filter)?,
            TopBy::Connections => self.connections(ask, &plan, filter)?,
        };
        self.finish(plan, top)
    }

    fn services(&self, ask: &ask::Top, plan: &Plan, graph: &Graph, within: &Within) -> Result<Top, Error> {
        let mut bytes: HashMap<String, [Option<EdgeTotals>; 2]> = HashMap::new();
        for (ends, pair) in &graph.books {
            let [client, server] = bytes.entry(ends.server.to_string()).or_default();
            merge(client, pair.client.as_ref());
            merge(server, pair.server.as_ref());
        }
        // Of those at the other end not all edges were read.
        let all: Vec<(Service, Option<EdgeTotals>)> = (graph.nodes(plan.seconds, &self.limits).into_iter())
            .filter(|node| within.has(&node.id))
            .filter_map(|node| {
                let books = bytes.remove(&node.id);
                // A server that is watched has the books of all its clients.
                let books = books.and_then(|[client, server]| server.or(client));
                let answers = node.answers.preferred.is_some() || books.is_some();
                let bytes = books.as_ref().map_or(0, both_ways);
                answers.then_some((Service { node, bytes, curve: Vec::new() }, books))
            })
            .filter(|(service, _)| has(ask, &[&full(&service.node.namespace, &service.node.name)]))
            .collect();
        let total = all.len();
        let weight = |(service, books): &(Service, Option<EdgeTotals>)| {
            let rtt = books.as_ref().and_then(|books| books.rtt.quantile(0.95));
            let sums = books.as_ref().map(|books| books.sums);
            let failed = sums.map_or(0, |sums| sums.failed_connects());
            let again = sums.map_or(0, |sums| sums.retransmitted_segments);
            let books = Some(Weights { bytes: service.bytes, retransmits: again, rtt, failed_connects: failed });
            weight(ask.sort, service.node.answers.shown(), books)
        };
        let name = |(service, _): &(Service, Option<EdgeTotals>)| full(&service.node.namespace, &service.node.name);
        let mut services: Vec<Service> =
            sorted(ask, all, weight, name).into_iter().map(|(service, _)| service).collect();
        if ask.curve > 0 {
            let of = |key: &Key| key.server.map(|server| server.to_string());
            let servers = ids(services.iter().map(|service| &*service.node.id));
            let filter = Filter { servers: Some(&servers), ..ask.of.filter(within) };
            let shown = services.iter().map(|service| service.node.id.clone());
            let curves = self.curves(plan, filter, 3 * servers.len(), &[Dimension::Server], of, shown)?;
            for service in &mut services {
                service.curve = curve(curves.get(&service.node.id), &service.node.answers, plan);
            }
        }
        Ok(Top { total, services, ..Top::default() })
    }

    fn edges(&self, ask: &ask::Top, plan: &Plan, graph: &Graph, filter: Filter<'_>) -> Result<Top, Error> {
        let mut edges = graph.edges(plan.seconds, &self.limits);
        edges.retain(|edge| has(ask, &[&edge.client_name, &edge.server_name]));
        let total = edges.len();
        let mut edges = sorted(ask, edges, |edge| edge_weight(ask.sort, edge), edge_name);
        if ask.curve > 0 {
            let by = [Dimension::Client, Dimension::Server, Dimension::Port, Dimension::Protocol];
            let of = |key: &Key| {
                let protocol = key.protocol.map(|protocol| protocol.name().to_owned());
                Some((key.client?.to_string(), key.server?.to_string(), key.port?, protocol))
            };
            let servers = ids(edges.iter().map(|edge| &*edge.server));
            let filter = Filter { servers: Some(&servers), ..filter };
            let read = graph.talks.iter().filter(|talk| servers.binary_search(&talk.ends.server).is_ok()).count();
            let key = |edge: &Edge| (edge.client.clone(), edge.server.clone(), edge.port, edge.protocol.clone());
            let curves = self.curves(plan, filter, 3 * read, &by, of, edges.iter().map(key))?;
            for edge in &mut edges {
                edge.curve = curve(curves.get(&key(edge)), &edge.signals, plan);
            }
        }
        Ok(Top { total, edges, ..Top::default() })
    }

    fn operations(&self, ask: &ask::Top, plan: &Plan, filter: Filter<'_>) -> Result<Top, Error> {
        let by = [Dimension::Server, Dimension::Protocol, Dimension::Operation, Dimension::Side];
        let mut all: HashMap<OperationKey, [Sums; 3]> = HashMap::new();
        for group in self.exchanges(plan, plan.range, filter, &by, How::WHOLE)? {
            let (Some(side), Some(key)) = (group.key.side, OperationKey::of(&group.key)) else { continue };
            all.entry(key).or_default()[side as usize].add(&group.sums);
        }
        let names = self.names(all.keys().map(|key| key.server))?;
        let mut time: HashMap<(EntityId, &'static str), u64> = HashMap::new();
        let mut found = Vec::with_capacity(all.len());
        let mut of: HashMap<EntityId, usize> = HashMap::new();
        for (key, sums) in all {
            let signals = BySide::of(&sums, plan.seconds);
            let took = signals.shown().map_or(0, |signals| signals.time_ns);
            let of_server = time.entry((key.server, key.protocol)).or_default();
            *of_server = of_server.saturating_add(took);
            *of.entry(key.server).or_default() += 1;
            found.push((key, signals, took));
        }
        let told = |(key, signals, took): (OperationKey, BySide, u64)| {
            let of_all = time.get(&(key.server, key.protocol)).copied().unwrap_or(0);
            let operation = Operation {
                server: key.server.to_string(),
                server_name: names.full(key.server),
                protocol: key.protocol.to_owned(),
                operation: key.operation.to_string(),
                summary: (!key.summary.is_empty()).then(|| key.summary.to_string()),
                namespace: key.namespace.to_string(),
                share: if of_all > 0 { took as f64 / of_all as f64 } else { 0.0 },
                signals,
                curve: Vec::new(),
            };
            (key, operation)
        };
        let mut found: Vec<(OperationKey, Operation)> = found.into_iter().map(told).collect();
        found.retain(|(_, operation)| has(ask, &[&operation.operation, &operation.server_name]));
        let total = found.len();
        let weight = |(_, operation): &(OperationKey, Operation)| weight(ask.sort, operation.signals.shown(), None);
        let name = |(_, operation): &(OperationKey, Operation)| {
            let summary = operation.summary.as_deref().unwrap_or_default();
            [&*operation.operation, &operation.server_name, &operation.protocol, &operation.namespace, summary]
                .join("\0")
        };
        let mut found = sorted(ask, found, weight, name);
        if ask.curve > 0 {
            let servers = ids(found.iter().map(|(_, operation)| &*operation.server));
            let read: usize = servers.iter().filter_map(|server| of.get(server)).sum();
            let filter = Filter { servers: Some(&servers), ..filter };
            let shown = found.iter().map(|(key, _)| key.clone());
            let curves = self.curves(plan, filter, 3 * read, &by[..3], OperationKey::of, shown)?;
            for (key, operation) in &mut found {
                operation.curve = curve(curves.get(key), &operation.signals, plan);
            }
        }
        let operations = found.into_iter().map(|(_, operation)| operation).collect();
        Ok(Top { total, operations, ..Top::default() })
    }

    fn connections(&self, ask: &ask::Top, plan: &Plan, filter: Filter<'_>) -> Result<Top, Error> {
        let by = [Dimension::Client, Dimension::Server, Dimension::Port, Dimension::Transport, Dimension::Side];
        let mut all: HashMap<Ends, Pair> = HashMap::new();
        let place = |group: &crate::engine::EdgeGroup| {
            let (client, server) = (group.client?, group.server?);
            Some(Ends { client, server, port: group.port?, transport: group.transport? })
        };
        for group in self.books(plan, filter, &by, plan.range, false)? {
            if let Some(place) = place(&group) {
                all.entry(place).or_default().add(&group);
            }
        }
        let names = self.names(all.keys().flat_map(|ends| [ends.client, ends.server]))?;
        let places: Vec<Ends> = all.keys().copied().collect();
        let mut edges = Vec::with_capacity(all.len());
        for (ends, pair) in all {
            let mut graph = Graph::default();
            let end = usize::from(pair.client.is_none());
            graph.books.insert(ends, pair);
            let talk = Talk { ends, protocol: None, sums: Default::default(), has_books: true };
            let mut edge = graph.edge(&talk, plan.seconds, &self.limits);
            (edge.client_name, edge.server_name) = (names.full(ends.client), names.full(ends.server));
            edges.push((end, ends, edge));
        }
        edges.retain(|(_, _, edge)| has(ask, &[&edge.client_name, &edge.server_name]));
        edges.sort_by(|(_, _, a), (_, _, b)| busiest(a, b));
        let total = edges.len();
        // Connections have no exchanges: the most is that of bytes.
        let sort = if ask.sort == Sort::Rate { Sort::Bytes } else { ask.sort };
        let mut edges =
            sorted(ask, edges, |(_, _, edge)| edge_weight(sort, edge), |(_, _, edge): &(_, _, Edge)| edge_name(edge));
        if ask.curve > 0 {
            let servers = ids(edges.iter().map(|(_, _, edge)| &*edge.server));
            let filter = Filter { servers: Some(&servers), ..filter };
            let read = places.iter().filter(|ends| servers.binary_search(&ends.server).is_ok()).count();
            let mut curves: HashMap<Ends, [Vec<u64>; 2]> =
                edges.iter().map(|(_, place, _)| (*place, Default::default())).collect();
            for part in plan.parts(2 * read, MOST_GROUPS) {
                for group in self.books(plan, filter, &by, part, true)? {
                    let Some(curves) = place(&group).and_then(|place| curves.get_mut(&place)) else { continue };
                    let points = &mut curves[usize::from(group.side == Some(Side::Server))];
                    points.resize(plan.times().len(), 0);
                    if let Some(point) = plan.place(group.at_ms).and_then(|at| points.get_mut(at)) {
                        *point += both_ways(&group.totals);
                    }
                }
            }
            for (end, place, edge) in &mut edges {
                edge.curve = curves.get_mut(place).map(|curves| std::mem::take(&mut curves[*end])).unwrap_or_default();
            }
        }
        let edges = edges.into_iter().map(|(_, _, edge)| edge).collect();
        Ok(Top { total, edges, ..Top::default() })
    }

    /// Exchanges by step of those that are shown, each side by itself; a scan of the whole range has at most so many groups.
    fn curves<K: Eq + Hash>(
        &self,
        plan: &Plan,
        filter: Filter<'_>,
        groups: usize,
        by: &[Dimension],
        of: impl Fn(&Key) -> Option<K>,
        shown: impl Iterator<Item = K>,
    ) -> Result<HashMap<K, [Vec<u64>; 3]>, Error> {
        let by: Vec<Dimension> = by.iter().copied().chain([Dimension::Side]).collect();
        let steps = plan.times().len();
        let mut all: HashMap<K, [Vec<u64>; 3]> = shown.map(|key| (key, Default::default())).collect();
        for part in plan.parts(groups, MOST_GROUPS) {
            for group in self.exchanges(plan, part, filter, &by, How::COUNTS_BY_STEP)? {
                let (Some(side), Some(at)) = (group.key.side, plan.place(group.key.at_ms)) else { continue };
                let Some(curves) = of(&group.key).and_then(|key| all.get_mut(&key)) else { continue };
                let points = &mut curves[side as usize];
                points.resize(steps, 0);
                if let Some(point) = points.get_mut(at) {
                    *point += group.sums.count;
                }
            }
        }
        Ok(all)
    }
}

/// What tells an operation apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OperationKey {
    server: EntityId,
    protocol: &'static str,
    operation: Arc<str>,
    summary: Arc<str>,
    namespace: Arc<str>,
}

impl OperationKey {
    fn of(key: &Key) -> Option<Self> {
        Some(Self {
            server: key.server?,
            protocol: key.protocol?.name(),
            operation: key.operation.clone()?,
            summary: key.summary.clone()?,
            namespace: key.namespace.clone()?,
        })
    }
}

/// The ids behind these, ascending, each once.
fn ids<'a>(all: impl Iterator<Item = &'a str>) -> Vec<EntityId> {
    let mut ids: Vec<EntityId> = all.filter_map(EntityId::from_hex).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn full(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// Whether one of these has the text that is looked for.
fn has(ask: &ask::Top, texts: &[&str]) -> bool {
    let wanted = ask.text.as_deref().map(str::to_lowercase);
    wanted.is_none_or(|wanted| texts.iter().any(|text| text.to_lowercase().contains(&wanted)))
}

/// The points of the side that is shown.
fn curve(points: Option<&[Vec<u64>; 3]>, signals: &BySide, plan: &Plan) -> Vec<u64> {
    let side = signals.preferred.map(Side::from);
    let points = points.zip(side).map(|(points, side)| points[side as usize].clone());
    points.filter(|points| !points.is_empty()).unwrap_or_else(|| vec![0; plan.times().len()])
}

/// What books say, where it is sorted by that.
#[derive(Clone, Copy)]
struct Weights {
    bytes: u64,
    retransmits: u64,
    rtt: Option<f64>,
    failed_connects: u64,
}

/// `None` has nothing of it and comes last.
fn weight(sort: Sort, signals: Option<&Signals>, books: Option<Weights>) -> Option<f64> {
    let quantile = |of: fn(&Quantiles) -> f64| signals?.duration.as_ref().map(of);
    match sort {
        Sort::Rate => signals.map(|signals| signals.rate),
        Sort::Errors => signals.map(|signals| signals.errors as f64),
        Sort::ErrorRatio => signals.map(|signals| signals.error_ratio),
        Sort::P50 => quantile(|times| times.p50_ns),
        Sort::P95 => quantile(|times| times.p95_ns),
        Sort::P99 => quantile(|times| times.p99_ns),
        Sort::Time => signals.map(|signals| signals.time_ns as f64),
        Sort::Bytes => match books {
            Some(books) => Some(books.bytes as f64),
            None => signals.map(|signals| signals.request_bytes.saturating_add(signals.response_bytes) as f64),
        },
        Sort::Retransmits => books.map(|books| books.retransmits as f64),
        Sort::Rtt => books.and_then(|books| books.rtt),
        Sort::FailedConnects => books.map(|books| books.failed_connects as f64),
        Sort::Name => None,
    }
}

fn edge_weight(sort: Sort, edge: &Edge) -> Option<f64> {
    let books = edge.books.shown().map(|books| Weights {
        bytes: books.bytes_to_server.saturating_add(books.bytes_to_client),
        retransmits: books.retransmitted_segments,
        rtt: books.rtt.map(|rtt| rtt.p95_ns),
        failed_connects: books.failed_connects(),
    });
    weight(sort, edge.signals.shown(), books)
}

fn edge_name(edge: &Edge) -> String {
    format!("{}\0{}\0{:05}\0{:?}\0{:?}", edge.client_name, edge.server_name, edge.port, edge.protocol, edge.transport)
}

/// As many as are wanted, the most first, or the least; those without come last. By name, and equal ones, from a to z.
fn sorted<T>(
    ask: &ask::Top,
    mut all: Vec<T>,
    weight: impl Fn(&T) -> Option<f64>,
    name: impl Fn(&T) -> String,
) -> Vec<T> {
    all.sort_by_cached_key(|one| {
        let name = name(one);
        let weight = weight(one).map(|weight| if ask.ascending { weight } else { -weight });
        (weight.is_none(), Weight(weight.unwrap_or(0.0)), name)
    });
    all.truncate(ask.limit);
    all
}

#[derive(PartialEq)]
struct Weight(f64);

impl Eq for Weight {}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
