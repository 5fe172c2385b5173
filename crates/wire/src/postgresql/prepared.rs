//! Prepared statements and portals of one connection ("Extended Query Overview"): what an Execute executes.
//!
//! Names are kept as 64-bit hashes. What does not fit pushes out something else, whose executions are `EXECUTE (unseen)`
//! from then on, like those of a statement prepared before the agent attached.

use crate::sql::Statement;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Most named statements of a connection. Drivers keep some hundreds.
pub(super) const STATEMENTS: usize = 2048;
/// Most named portals; they end with their transaction.
pub(super) const PORTALS: usize = 256;

/// A statement's or portal's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Key(u64);

impl Key {
    /// The unnamed statement or portal, which the next one replaces.
    pub(super) const UNNAMED: Key = Key(0);
    /// The name was not seen.
    pub(super) const UNKNOWN: Key = Key(1);

    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        if name.is_empty() {
            return Key::UNNAMED;
        }
        Key(FixedState::with_seed(0x7067).hash_one(name) | 2)
    }
}

/// What a portal runs: the statement's name, and the statement if it is known.
pub(super) type Portal = (Key, Option<Statement>);

#[derive(Debug, Default)]
pub(super) struct Prepared {
    statement: Option<Statement>,
    statements: HashTable<(Key, Statement)>,
    portal: Option<Portal>,
    portals: HashTable<(Key, Portal)>,
}

impl Prepared {
    /// "Parse".
    #[inline]
    pub(super) fn parse(&mut self, key: Key, statement: Statement) {
        match key {
            Key::UNNAMED => self.statement = Some(statement),
            // Whichever it is, it is not the one that was known under its name before.
            Key::UNKNOWN => {}
            _ => insert(&mut self.statements, STATEMENTS, key, statement),
        }
    }

    /// The statement of this name.
    #[inline]
    pub(super) fn statement(&self, key: Key) -> Option<Statement> {
        match key {
            Key::UNNAMED => self.statement,
            _ => self.statements.find(key.0, |(other, _)| *other == key).map(|(_, statement)| *statement),
        }
    }

    /// "Bind".
    #[inline]
    pub(super) fn bind(&mut self, portal: Key, statement: Key) {
        let bound = (statement, self.statement(statement));
        match portal {
            Key::UNNAMED => self.portal = Some(bound),
            // It may have been any.
            Key::UNKNOWN => self.end_portals(),
            _ => insert(&mut self.portals, PORTALS, portal, bound),
        }
    }

    /// What this portal runs.
    #[inline]
    pub(super) fn portal(&self, portal: Key) -> Portal {
        let found = match portal {
            Key::UNNAMED => self.portal,
            _ => self.portals.find(portal.0, |(other, _)| *other == portal).map(|(_, bound)| *bound),
        };
        found.unwrap_or((Key::UNKNOWN, None))
    }

    /// The statement of this name is closed, or was never made.
    pub(super) fn forget(&mut self, key: Key) {
        if key == Key::UNNAMED {
            self.statement = None;
        } else if let Ok(entry) = self.statements.find_entry(key.0, |(other, _)| *other == key) {
            entry.remove();
        }
    }

    /// "Close" of a portal.
    pub(super) fn forget_portal(&mut self, key: Key) {
        if key == Key::UNNAMED {
            self.portal = None;
        } else if let Ok(entry) = self.portals.find_entry(key.0, |(other, _)| *other == key) {
            entry.remove();
        }
    }

    /// The transaction has ended, and every portal with it.
    #[inline]
    pub(super) fn end_portals(&mut self) {
        self.portal = None;
        if !self.portals.is_empty() {
            self.portals.clear();
        }
    }

    /// Requests were not seen. The unnamed statement and the portals may be others by now. A named statement keeps its
    /// text for as long as it lives, and drivers do not use a name twice.
    pub(super) fn gap(&mut self) {
        self.statement = None;
        self.end_portals();
    }
}

fn insert<T>(table: &mut HashTable<(Key, T)>, most: usize, key: Key, value: T) {
    if let Some(entry) = table.find_mut(key.0, |(other, _)| *other == key) {
        entry.1 = value;
        return;
    }
    if table.len() >= most {
        let some = table.iter().next().map(|(key, _)| *key);
        if let Some(Ok(entry)) = some.map(|some| table.find_entry(some.0, |(other, _)| *other == some)) {
            entry.remove();
        }
    }
    table.insert_unique(key.0, (key, value), |(key, _)| key.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    const SOME: Statement = Statement { digest: Name::OTHER, summary: Name::EMPTY, truncated: false };

    #[test]
    fn caches_are_bounded_and_the_last_one_is_in_them() {
        let mut prepared = Prepared::default();
        for n in 0..3 * STATEMENTS {
            let key = Key::of(format!("s{n}").as_bytes());
            prepared.parse(key, SOME);
            prepared.bind(key, key);
            assert_eq!((prepared.statement(key), prepared.portal(key)), (Some(SOME), (key, Some(SOME))));
        }
        assert_eq!((prepared.statements.len(), prepared.portals.len()), (STATEMENTS, PORTALS));
    }

    #[test]
    fn a_gap_keeps_named_statements_only() {
        let mut prepared = Prepared::default();
        let named = Key::of(b"a");
        for key in [named, Key::UNNAMED] {
            prepared.parse(key, SOME);
            prepared.bind(key, key);
        }
        prepared.gap();
        assert_eq!((prepared.statement(named), prepared.statement(Key::UNNAMED)), (Some(SOME), None));
        assert_eq!(prepared.portal(named), (Key::UNKNOWN, None));
        prepared.forget(named);
        assert_eq!(prepared.statement(named), None);
    }
}
