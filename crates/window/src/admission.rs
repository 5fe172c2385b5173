//! Which rows a window may have.

use crate::entity::EntityId;
use crate::key::Key;
use hashbrown::HashMap;

/// The most a window may hold. What exceeds a limit is folded into `other` and counted, never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of one service. They are remembered for an hour, so that an operation does not change between its own
    /// name and `other` from window to window.
    pub operations_per_service: usize,
    /// Rows of one service.
    pub rows_per_service: usize,
    /// Rows of all services.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { operations_per_service: 1000, rows_per_service: 5000, rows: 20_000 }
    }
}

/// Percent of the row limits that a row may use, from the full key to the most folded one: what is left when the first
/// kind is used up must still hold something.
const SHARES: [usize; 4] = [80, 90, 95, 100];

/// Rows per service in one window.
#[derive(Debug, Default)]
pub(crate) struct Population {
    total: usize,
    services: HashMap<EntityId, usize>,
}

impl Population {
    fn has_room(&self, server: EntityId, level: usize, limits: &Limits) -> bool {
        let service = self.services.get(&server).copied().unwrap_or(0);
        self.total * 100 < limits.rows * SHARES[level] && service * 100 < limits.rows_per_service * SHARES[level]
    }

    fn add(&mut self, server: EntityId) {
        self.total += 1;
        *self.services.entry(server).or_insert(0) += 1;
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    pub(crate) fn clear(&mut self) {
        self.total = 0;
        self.services.clear();
    }

    /// The key under which an exchange of a row that the window does not have (yet) is counted. `exists` says which rows
    /// the window has.
    pub(crate) fn admit(&mut self, key: Key, limits: &Limits, exists: impl Fn(&Key) -> bool) -> Key {
        // The client goes first: internet clients are many, and least is learnt from them one by one.
        let any_client = key.any_client();
        let ladder = [key, any_client, any_client.any_operation(), any_client.any_operation().any_status()];
        for (level, key) in ladder.into_iter().enumerate() {
            if exists(&key) {
                return key;
            }
            if self.has_room(key.server, level, limits) {
                self.add(key.server);
                return key;
            }
        }
        // At most side x protocol x outcome of these, beyond the limit.
        let key = key.anything();
        if !exists(&key) {
            self.add(key.server);
        }
        key
    }
}

/// The operations each service is known by.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// When each was last part of a window.
    used: HashMap<(EntityId, u32), u64>,
    per_service: HashMap<EntityId, usize>,
    last_sweep: u64,
}

impl Operations {
    const IDLE: u64 = 3600 * 1_000_000_000;

    /// Whether the service may have a row for this operation in the window that starts at `start`.
    pub(crate) fn admit(&mut self, server: EntityId, operation: u32, start: u64, limits: &Limits) -> bool {
        if let Some(used) = self.used.get_mut(&(server, operation)) {
            *used = start;
            return true;
        }
        let of_service = self.per_service.get(&server).copied().unwrap_or(0);
        if of_service >= limits.operations_per_service || self.used.len() >= limits.rows {
            return false;
        }
        self.per_service.insert(server, of_service + 1);
        self.used.insert((server, operation), start);
        true
    }

    /// Forgets what was not used for an hour. Once a minute is enough.
    pub(crate) fn sweep(&mut self, now: u64) {
        if now.abs_diff(self.last_sweep) < 60 * 1_000_000_000 {
            return;
        }
        self.last_sweep = now;
        let per_service = &mut self.per_service;
        self.used.retain(|(server, _), used| {
            let keep = now.saturating_sub(*used) < Self::IDLE;
            if !keep && let Some(count) = per_service.get_mut(server) {
                *count -= 1;
            }
            keep
        });
        per_service.retain(|_, count| *count > 0);
    }
}
