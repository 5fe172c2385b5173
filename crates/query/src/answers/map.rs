//! Who talks to whom.

use crate::answers::Answers;
use crate::answers::graph::With;
use crate::ask;
use crate::engine::{Engine, Filter};
use crate::error::Error;
use crate::meta::Answer;
use crate::tell::{Edge, Map};
use hashbrown::HashSet;

impl<E: Engine> Answers<E> {
    /// All of it is read, whatever is shown: the numbers of a node are of all its edges.
    pub(super) fn answer_map(&self, ask: &ask::Map) -> Result<Answer<Map>, Error> {
        let (coverage, plan) = self.plan(ask.range, None)?;
        let graph = self.graph(&coverage, &plan, Filter::default(), With::Books)?;
        let mut nodes = graph.nodes(plan.seconds, &self.limits);
        let mut edges = graph.edges(plan.seconds, &self.limits);
        // Also where nobody calls them.
        let (mut narrowed, mut wanted) = (false, HashSet::new());
        if let Some(entity) = ask.entity {
            let id = entity.to_string();
            edges.retain(|edge| edge.client == id || edge.server == id);
            wanted.extend(nodes.iter().filter(|node| node.id == id).map(|node| node.id.clone()));
            narrowed = true;
        }
        if let Some(namespace) = &ask.namespace {
            let inside: HashSet<&str> =
                nodes.iter().filter(|node| node.namespace == *namespace).map(|node| &*node.id).collect();
            edges.retain(|edge| inside.contains(&*edge.client) || inside.contains(&*edge.server));
            wanted.extend(inside.iter().map(|id| (*id).to_owned()));
            narrowed = true;
        }
        let ends = |edges: &[Edge]| -> HashSet<String> {
            edges.iter().flat_map(|edge| [edge.client.clone(), edge.server.clone()]).collect()
        };
        if narrowed {
            let ends = ends(&edges);
            nodes.retain(|node| ends.contains(&node.id) || wanted.contains(&node.id));
        }
        let (nodes_total, edges_total) = (nodes.len(), edges.len());
        if edges.len() > ask.limit {
            edges.truncate(ask.limit);
            let ends = ends(&edges);
            nodes.retain(|node| ends.contains(&node.id));
        }
        self.finish(plan, Map { nodes_total, nodes, edges_total, edges })
    }
}
