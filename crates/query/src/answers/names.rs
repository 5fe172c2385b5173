//! Who is who.

use crate::answers::Answers;
use crate::engine::{Engine, EntityRecord, EntityScan};
use crate::error::Error;
use crate::tell::{Named, NodeKind};
use hashbrown::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
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
        self.0.get(&id).map_or(NodeKind::Other, kind)
    }
}

/// What somebody is by the name. An address of loopback is this host's: nobody is known there, since nobody listens, or he is not watched.
pub(super) fn kind(record: &EntityRecord) -> NodeKind {
    match record.kind {
        Kind::Service => NodeKind::Service,
        Kind::External if is_loopback(&record.name) => NodeKind::Other,
        Kind::External => NodeKind::External,
        Kind::Other => NodeKind::Other,
    }
}

/// `127.0.0.1`, `127.0.0.1:80`, `::1`, `[::1]:80`.
fn is_loopback(name: &str) -> bool {
    let address = name.parse::<SocketAddr>().map(|end| end.ip()).or_else(|_| name.parse::<IpAddr>());
    // The agent writes the port of an IPv6 address behind it as it stands.
    address.map_or(name.starts_with("::1:"), |address| address.to_canonical().is_loopback())
}

impl From<&EntityRecord> for Named {
    fn from(record: &EntityRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            namespace: record.namespace.to_string(),
            kind: kind(record),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_loopback_is_not_outside() {
        for name in ["127.0.0.1", "127.77.0.19:13257", "::1", "[::1]:80", "::1:80", "::ffff:127.0.0.1"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["10.0.0.1:80", "2001:db8::1", "127.example.com", "localhost:80", "1270.0.0.1", "", "::10"] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
