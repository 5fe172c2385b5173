//! Who is who.

use crate::answers::Answers;
use crate::engine::{Engine, EntityRecord, EntityScan};
use crate::error::Error;
use crate::tell::{Named, NodeKind};
use hashbrown::{HashMap, HashSet};
use steth_window::{EntityId, Kind};

/// The names behind ids.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<EntityId, EntityRecord>);

impl Names {
    /// With its namespace. Who is not known by name is called by his id.
    pub(super) fn full(&self, id: EntityId) -> String {
        match self.0.get(&id) {
            Some(record) => record.full_name(),
            None if id == EntityId::OTHER => EntityId::OTHER_NAME.to_owned(),
            None => id.to_string(),
        }
    }

    /// Namespace and name.
    pub(super) fn parts(&self, id: EntityId) -> (String, String) {
        match self.0.get(&id) {
            Some(record) => (record.namespace.to_string(), record.name.to_string()),
            None => (String::new(), self.full(id)),
        }
    }

    pub(super) fn kind(&self, id: EntityId) -> NodeKind {
        self.0.get(&id).map_or(NodeKind::Other, |record| record.kind.into())
    }
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Service => NodeKind::Service,
            Kind::External => NodeKind::External,
            Kind::Other => NodeKind::Other,
        }
    }
}

impl From<&EntityRecord> for Named {
    fn from(record: &EntityRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            namespace: record.namespace.to_string(),
            kind: record.kind.into(),
            seen: record.seen,
        }
    }
}

impl<E: Engine> Answers<E> {
    /// The names of these.
    pub(super) fn names(&self, ids: impl Iterator<Item = EntityId>) -> Result<Names, Error> {
        let ids: HashSet<EntityId> = ids.collect();
        if ids.is_empty() {
            return Ok(Names::default());
        }
        let ids: Vec<EntityId> = ids.into_iter().collect();
        let scan = EntityScan { ids: &ids, limit: ids.len(), ..EntityScan::default() };
        let records = self.timed(self.engine.entities(&scan))?;
        Ok(Names(records.into_iter().map(|record| (record.id, record)).collect()))
    }
}
