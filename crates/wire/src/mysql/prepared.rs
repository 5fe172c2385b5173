//! The statements that a connection has prepared.

use crate::sql::Statement;

/// Numbers are given in order, so the table is indexed by them: a statement is forgotten when the one with a number this
/// much higher is prepared.
const MAX: usize = 1024;

/// MariaDB: the statement prepared last, for an EXECUTE that is sent before PREPARE is answered.
const LAST: u32 = u32::MAX;

/// Bounded, and no larger than the numbers that were given.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    slots: Vec<Option<(u32, Statement)>>,
    last: Option<Statement>,
}

impl Prepared {
    /// PREPARE was sent.
    pub(super) fn announce(&mut self, statement: Statement) {
        self.last = Some(statement);
    }

    /// PREPARE was answered.
    pub(super) fn insert(&mut self, number: u32, statement: Statement) {
        let at = number as usize % MAX;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, None);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some((number, statement));
        }
    }

    /// The statement with this number, if its PREPARE was seen.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<Statement> {
        if number == LAST {
            return self.last;
        }
        let (known, statement) = (*self.slots.get(number as usize % MAX)?)?;
        (known == number).then_some(statement)
    }

    /// CLOSE was sent.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize % MAX)
            && slot.is_some_and(|(known, _)| known == number)
        {
            *slot = None;
        }
    }

    /// The session begins anew.
    pub(super) fn clear(&mut self) {
        *self = Prepared::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn a_number_is_its_latest_statement_and_no_other() {
        let statement = |digest| Statement { digest, summary: Name::EMPTY, truncated: false };
        let (one, two) = (statement(Name::EMPTY), statement(Name::OTHER));
        let mut prepared = Prepared::default();
        prepared.insert(3, one);
        assert_eq!((prepared.get(3), prepared.get(2), prepared.get(3 + 1024)), (Some(one), None, None));
        prepared.insert(3 + 1024, two);
        assert_eq!((prepared.get(3), prepared.get(3 + 1024)), (None, Some(two)));
        prepared.remove(3);
        assert_eq!(prepared.get(3 + 1024), Some(two));
        prepared.remove(3 + 1024);
        assert_eq!(prepared.get(3 + 1024), None);
        prepared.announce(two);
        assert_eq!(prepared.get(LAST), Some(two));
        for number in 0..1_000_000 {
            prepared.insert(number, one);
        }
        assert_eq!(prepared.slots.len(), MAX);
        prepared.clear();
        assert_eq!(prepared.get(LAST), None);
    }
}
