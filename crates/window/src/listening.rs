//! Who waits for connections, as of a window's end: services are there also while nobody calls them.

use crate::edges::Transport;
use crate::entity::{Entities, EntityId, Kind};
use crate::key::parts;
use hashbrown::HashMap;
use serde::Serialize;
use std::sync::Arc;

/// A socket that waits for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whose it is.
    pub service: EntityId,
    /// Where.
    pub port: u16,
    /// What the connections are made of.
    pub transport: Transport,
    /// Connections that are established and wait for `accept()`.
    pub waiting: u64,
    /// How many may wait.
    pub room: u64,
    /// What it has dropped since it began to listen: connections that did not fit, and other segments that nobody answered.
    pub drops: u64,
}

/// What waits for connections at one port of one service: one socket or several.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerRow {
    /// Whose they are.
    pub service: Arc<str>,
    /// Bytes of the namespace in front of its name; 0 if it has none.
    #[serde(skip)]
    pub service_namespace: usize,
    /// What is known of it.
    pub service_kind: Kind,
    /// Its number.
    pub service_id: EntityId,
    /// It is not known yet who this is.
    #[serde(skip)]
    pub provisional: bool,
    /// Where.
    pub port: u16,
    /// What the connections are made of.
    pub transport: Transport,
    /// Sockets.
    pub sockets: u64,
    /// Connections that are established and wait for `accept()`.
    pub waiting: u64,
    /// How many may wait, all sockets together.
    pub room: u64,
    /// What these sockets have dropped since they began to listen.
    pub drops: u64,
}

impl ListenerRow {
    /// Namespace and name of the service; the namespace is empty if it has none.
    #[must_use]
    pub fn service_parts(&self) -> (&str, &str) {
        parts(&self.service, self.service_namespace)
    }
}

/// Those of the moment.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Vec<Listener>,
    left_out: u64,
}

impl Listeners {
    /// Sockets that are kept. The listening ports of a host are tens; of a host full of containers, thousands.
    pub(crate) const MAX: usize = 8192;

    pub(crate) fn set(&mut self, listeners: impl IntoIterator<Item = Listener>) {
        let mut listeners = listeners.into_iter();
        self.all.clear();
        self.all.extend(listeners.by_ref().take(Self::MAX));
        self.left_out = listeners.count() as u64;
    }

    /// Sockets that found no room.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A row for each port of each service.
    pub(crate) fn rows(&self, entities: &Entities) -> Vec<ListenerRow> {
        let mut rows: Vec<ListenerRow> = Vec::new();
        let mut places = HashMap::with_capacity(self.all.len());
        for listener in &self.all {
            let service = entities.settled(listener.service).unwrap_or(listener.service);
            let at = *places.entry((service, listener.port, listener.transport)).or_insert(rows.len());
            if at == rows.len() {
                rows.push(ListenerRow {
                    service: entities.name(service),
                    service_namespace: entities.namespace(service),
                    service_kind: entities.kind(service),
                    service_id: service,
                    provisional: entities.settled(service).is_none(),
                    port: listener.port,
                    transport: listener.transport,
                    sockets: 0,
                    waiting: 0,
                    room: 0,
                    drops: 0,
                });
            }
            let row = &mut rows[at];
            row.sockets += 1;
            row.waiting = row.waiting.saturating_add(listener.waiting);
            row.room = row.room.saturating_add(listener.room);
            row.drops = row.drops.saturating_add(listener.drops);
        }
        rows.sort_by(|a, b| (&a.service, a.port, a.transport).cmp(&(&b.service, b.port, b.transport)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(service: EntityId, port: u16) -> Listener {
        Listener { service, port, transport: Transport::Tcp, waiting: 1, room: 128, drops: 2 }
    }

    #[test]
    fn sockets_of_one_service_at_one_port_are_one_row_whoever_it_turns_out_to_be() {
        let mut entities = Entities::default();
        let (web, late) = (entities.intern("web", 0), entities.provisional("nginx", 7, 0));
        let mut listeners = Listeners::default();
        listeners.set([listener(web, 80), listener(late, 80), listener(web, 443)]);
        assert_eq!(listeners.rows(&entities).len(), 3);
        entities.settle(late, web);
        let rows = listeners.rows(&entities);
        let of: Vec<_> =
            rows.iter().map(|row| (&*row.service, row.port, row.sockets, row.waiting, row.room, row.drops)).collect();
        assert_eq!(of, [("web", 80, 2, 2, 256, 4), ("web", 443, 1, 1, 128, 2)]);
    }

    #[test]
    fn more_than_there_is_room_for_are_counted() {
        let mut entities = Entities::default();
        let web = entities.intern("web", 0);
        let mut listeners = Listeners::default();
        listeners.set((0..Listeners::MAX as u16 + 3).map(|port| listener(web, port)));
        assert_eq!((listeners.rows(&entities).len(), listeners.left_out()), (Listeners::MAX, 3));
        listeners.set([]);
        assert!(listeners.is_empty() && listeners.left_out() == 0);
    }
}
