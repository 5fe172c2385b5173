//! The file that is not of any time: who there is, what is missing, and how far things have got.

use crate::error::Fault;
use crate::partition::kind_number;
use crate::schema::{self, Contents};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use steth_query::{Missing, Range};
use steth_window::Somebody;

/// Most gaps that are told apart; the oldest become one beyond that, which then says too much rather than too little.
const GAPS: usize = 1000;
/// Most entities; those seen last long ago go first.
const ENTITIES: i64 = 100_000;

/// The file, for writing.
pub(crate) struct Ledger {
    connection: Connection,
}

impl Ledger {
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let ledger = Self { connection: schema::open(path, Contents::Ledger)? };
        // Not to find out later that it is not what it should be.
        ledger.upto()?;
        ledger.gaps()?;
        Ok(ledger)
    }

    fn state(&self, name: &str) -> Result<Option<i64>, Fault> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM state WHERE name = ?")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// The last window whose entities are known here; 0 if none.
    pub(crate) fn upto(&self) -> Result<i64, Fault> {
        Ok(self.state("upto")?.unwrap_or(0))
    }

    /// Until when all that happened was handed over, milliseconds since 1970.
    pub(crate) fn reached(&self) -> Result<Option<u64>, Fault> {
        Ok(self.state("reached")?.map(|reached| reached as u64))
    }

    /// Writes down until when all that happened was handed over.
    pub(crate) fn set_reached(&self, reached: u64) -> Result<(), Fault> {
        let sql = "INSERT OR REPLACE INTO state(name, value) VALUES('reached', ?)";
        self.connection.prepare_cached(sql)?.execute([reached as i64])?;
        Ok(())
    }

    /// Somebody was in a window, or in several of that time; all of one transaction, up to the window of that number.
    pub(crate) fn see<'a>(
        &mut self,
        seen: impl Iterator<Item = (Somebody<'a>, Range)>,
        upto: i64,
    ) -> Result<(), Fault> {
        let transaction = self.connection.transaction()?;
        {
            // The less is known, the greater the kind.
            let sql = "INSERT INTO entities(id, name, namespace, kind, first, last) VALUES(?, ?, ?, ?, ?, ?) \
                ON CONFLICT(id) DO UPDATE SET kind = min(kind, excluded.kind), first = min(first, excluded.first), \
                last = max(last, excluded.last)";
            let mut statement = transaction.prepare_cached(sql)?;
            for (who, Range { from_ms, to_ms }) in seen {
                let kind = kind_number(who.kind);
                statement.execute(params![
                    who.id.0 as i64,
                    who.name,
                    who.namespace,
                    kind,
                    from_ms as i64,
                    to_ms as i64
                ])?;
            }
            transaction
                .prepare_cached("INSERT OR REPLACE INTO state(name, value) VALUES('upto', ?)")?
                .execute([upto])?;
        }
        Ok(transaction.commit()?)
    }

    /// What is missing, oldest first.
    pub(crate) fn gaps(&self) -> Result<Vec<Missing>, Fault> {
        let mut statement = self.connection.prepare_cached(READ_GAPS)?;
        let mut rows = statement.query([])?;
        let mut gaps = Vec::new();
        while let Some(row) = rows.next()? {
            gaps.push(gap(row)?);
        }
        Ok(gaps)
    }

    /// Writes down what else is missing.
    pub(crate) fn miss(&mut self, more: &[Missing]) -> Result<(), Fault> {
        let mut gaps = self.gaps()?;
        more.iter().for_each(|gap| add_gap(&mut gaps, gap.clone()));
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM missing", [])?;
        {
            let mut statement = transaction.prepare_cached("INSERT INTO missing(begin, end, why) VALUES(?, ?, ?)")?;
            for Missing { range, why } in &gaps {
                statement.execute(params![range.from_ms as i64, range.to_ms as i64, why])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Forgets who was last seen, and what is missing, before the oldest of what is kept.
    pub(crate) fn forget(&self, before: u64) -> Result<(), Fault> {
        self.connection.execute("DELETE FROM entities WHERE last < ?", [before as i64])?;
        self.connection.execute("DELETE FROM missing WHERE end < ?", [before as i64])?;
        let surplus = "DELETE FROM entities WHERE id IN (SELECT id FROM entities ORDER BY last DESC LIMIT -1 OFFSET ?)";
        self.connection.execute(surplus, [ENTITIES])?;
        Ok(())
    }
}

pub(crate) const READ_GAPS: &str = "SELECT begin, end, why FROM missing ORDER BY begin, end";

pub(crate) fn gap(row: &rusqlite::Row<'_>) -> Result<Missing, Fault> {
    let time = |at| row.get::<_, i64>(at).map(|time| time as u64);
    Ok(Missing { range: Range { from_ms: time(0)?, to_ms: time(1)? }, why: row.get(2)? })
}

/// Adds a gap to others: one that touches another of the same reason makes it longer.
pub(crate) fn add_gap(gaps: &mut Vec<Missing>, mut gap: Missing) {
    if gap.range.from_ms >= gap.range.to_ms {
        return;
    }
    gaps.retain(|other| {
        let touches = other.range.from_ms <= gap.range.to_ms && gap.range.from_ms <= other.range.to_ms;
        let same = touches && other.why == gap.why;
        if same {
            gap.range.from_ms = gap.range.from_ms.min(other.range.from_ms);
            gap.range.to_ms = gap.range.to_ms.max(other.range.to_ms);
        }
        !same
    });
    gaps.push(gap);
    gaps.sort_by(|a, b| (a.range.from_ms, a.range.to_ms, &a.why).cmp(&(b.range.from_ms, b.range.to_ms, &b.why)));
    if gaps.len() > GAPS {
        let first = gaps.remove(0);
        if let Some(second) = gaps.first_mut() {
            second.range.from_ms = first.range.from_ms;
            second.range.to_ms = second.range.to_ms.max(first.range.to_ms);
            second.why = "several gaps, too many to tell apart".to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_that_touch_are_one_and_too_many_are_one() {
        let gap = |from_ms, to_ms, why: &str| Missing { range: Range { from_ms, to_ms }, why: why.to_owned() };
        let mut gaps = Vec::new();
        for (from, to, why) in [(10, 20, "a"), (30, 40, "a"), (20, 30, "b"), (20, 30, "a"), (5, 5, "a")] {
            add_gap(&mut gaps, gap(from, to, why));
        }
        assert_eq!(gaps, [gap(10, 40, "a"), gap(20, 30, "b")]);
        (0..2000).for_each(|n| add_gap(&mut gaps, gap(100 + 2 * n, 101 + 2 * n, "c")));
        assert_eq!((gaps.len(), gaps[0].range.from_ms, gaps[GAPS - 1].range.to_ms), (GAPS, 10, 4099));
    }
}
