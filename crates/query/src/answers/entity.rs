//! Everything about somebody.

use crate::answers::Answers;
use crate::answers::graph::{With, merge};
use crate::answers::names;
use crate::ask;
use crate::books::Books;
use crate::engine::{Engine, EntityScan, Filter};
use crate::error::Error;
use crate::finding::{self, Evidence};
use crate::meta::Answer;
use crate::signals::BySide;
use crate::tell::{Edge, Entity, Node};

/// Edges of each kind that are shown.
const MOST_EDGES: usize = 500;
/// Processes that are shown.
const MOST_PROCESSES: usize = 100;

impl<E: Engine> Answers<E> {
    pub(super) fn answer_entity(&self, ask: &ask::Entity) -> Result<Answer<Entity>, Error> {
        let ids = [ask.id];
        let found = self.timed(self.engine.entities(&EntityScan { ids: &ids, limit: 1, ..EntityScan::default() }))?;
        let Some(record) = found.into_iter().next() else {
            return Err(Error::Unknown(format!("nobody with the id {} is kept", ask.id)));
        };
        let (coverage, plan) = self.plan(ask.range, None)?;
        let filter = Filter { entity: Some(ask.id), ..Filter::default() };
        let graph = self.graph(&coverage, &plan, filter, With::Books)?;
        let id = ask.id.to_string();
        let edges = graph.edges(plan.seconds, &self.limits);
        let some = |end: fn(&Edge) -> &str| -> (usize, Vec<Edge>) {
            let mut all = edges.iter().filter(|edge| end(edge) == id);
            let shown: Vec<Edge> = all.by_ref().take(MOST_EDGES).cloned().collect();
            (shown.len() + all.count(), shown)
        };
        let (callers_total, callers) = some(|edge| &edge.server);
        let (dependencies_total, dependencies) = some(|edge| &edge.client);
        let (mut answering, mut asking) = (None, None);
        for (ends, pair) in &graph.books {
            if ends.server == ask.id {
                merge(&mut answering, pair.server.as_ref());
            }
            if ends.client == ask.id {
                merge(&mut asking, pair.client.as_ref());
            }
        }
        let node = graph.nodes(plan.seconds, &self.limits).into_iter().find(|node| node.id == id);
        let mut processes = self.processes.as_ref().map_or_else(Vec::new, |processes| processes(ask.id));
        processes.sort_by_key(|process| process.pid);
        let processes_total = processes.len();
        processes.truncate(MOST_PROCESSES);
        let entity = Entity {
            node: node.unwrap_or_else(|| silent(&record, &self.limits)),
            seen: record.seen,
            callers_total,
            callers,
            dependencies_total,
            dependencies,
            answering: answering.as_ref().map(Books::from),
            asking: asking.as_ref().map(Books::from),
            processes_total,
            processes,
            before: graph.before(ask.id, plan.seconds),
        };
        self.finish(plan, entity)
    }
}

/// Somebody of whom nothing was seen in the range.
fn silent(record: &crate::engine::EntityRecord, limits: &finding::Limits) -> Node {
    Node {
        id: record.id.to_string(),
        name: record.name.to_string(),
        namespace: record.namespace.to_string(),
        kind: names::kind(record),
        protocols: Vec::new(),
        ports: Vec::new(),
        listening: Vec::new(),
        queues: Vec::new(),
        answers: BySide::default(),
        asks: BySide::default(),
        health: finding::health(&Evidence::default(), limits),
    }
}
