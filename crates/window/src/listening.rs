//! Who waits for connections, as of a window's end: services are there also while nobody calls them.

use crate::edges::Transport;
use crate::entity::{Entities, EntityId, Kind, Time};
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
    /// How many may wait; 0: it is closed, and there for what it has dropped.
    pub room: u64,
    /// What it has dropped in this window: connections that did not fit, and other segments that nobody answered.
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
    /// What these sockets have dropped in this window.
    pub drops: u64,
}

impl ListenerRow {
    /// Namespace and name of the service; the namespace is empty if it has none.
    #[must_use]
    pub fn service_parts(&self) -> (&str, &str) {
        parts(&self.service, self.service_namespace)
    }
}

/// What waits for connections at one port of one service, since the agent's start.
#[derive(Clone, Debug)]
pub struct ListenerSeries {
    /// Namespace and name of the service.
    pub service: (Arc<str>, usize),
    /// Where.
    pub port: u16,
    /// As of the last window's end.
    pub waiting: u64,
    /// The same: how many may wait.
    pub room: u64,
    /// What was dropped since the agent's start.
    pub drops: u64,
    updated: u64,
}

impl ListenerSeries {
    /// Namespace and name of the service; the namespace is empty if it has none.
    #[must_use]
    pub fn service_parts(&self) -> (&str, &str) {
        parts(&self.service.0, self.service.1)
    }
}

/// All of them, within a limit: those that come later are left out, and counted.
#[derive(Clone, Debug)]
pub(crate) struct ListenerSum {
    series: HashMap<(EntityId, u16), ListenerSeries>,
    max: usize,
    left_out: u64,
}

impl ListenerSum {
    pub(crate) fn new(max: usize) -> Self {
        Self { series: HashMap::new(), max, left_out: 0 }
    }

    /// Adds a finished window's rows. Those of somebody who is not named yet wait: `drops` of a window in progress are in the next.
    pub(crate) fn add(&mut self, rows: &[ListenerRow], end: u64) {
        self.series.values_mut().for_each(|series| (series.waiting, series.room) = (0, 0));
        for row in rows.iter().filter(|row| !row.provisional) {
            let key = (row.service_id, row.port);
            if self.series.len() >= self.max && !self.series.contains_key(&key) {
                self.left_out += 1;
                continue;
            }
            let series = self.series.entry(key).or_insert_with(|| ListenerSeries {
                service: (row.service.clone(), row.service_namespace),
                port: row.port,
                waiting: 0,
                room: 0,
                drops: 0,
                updated: end,
            });
            series.waiting += row.waiting;
            series.room += row.room;
            series.drops = series.drops.saturating_add(row.drops);
            series.updated = end;
        }
    }

    /// Forgets what was not there for so long. Returns how many that were.
    pub(crate) fn forget(&mut self, now: u64, idle: u64) -> u64 {
        let before = self.series.len();
        self.series.retain(|_, series| now.saturating_sub(series.updated) < idle);
        (before - self.series.len()) as u64
    }

    pub(crate) fn series(&self) -> impl ExactSizeIterator<Item = &ListenerSeries> {
        self.series.values()
    }

    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
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
    pub(crate) fn rows(&self, entities: &Entities, time: Time) -> Vec<ListenerRow> {
        let mut rows: Vec<ListenerRow> = Vec::new();
        let mut places = HashMap::with_capacity(self.all.len());
        for listener in &self.all {
            let service = entities.stands_for(listener.service, time);
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
            row.sockets += u64::from(listener.room > 0);
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
        assert_eq!(listeners.rows(&entities, Time::UnderWay).len(), 3);
        entities.settle(late, web);
        let rows = listeners.rows(&entities, Time::UnderWay);
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
        assert_eq!((listeners.rows(&entities, Time::UnderWay).len(), listeners.left_out()), (Listeners::MAX, 3));
        listeners.set([]);
        assert!(listeners.is_empty() && listeners.left_out() == 0);
    }
}
