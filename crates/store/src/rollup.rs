//! Coarser steps from finer ones, and who is in them.
//!
//! A step says up to which window it was added up. So to add it up again, after a crash or because a window came late, adds what is
//! new and nothing twice; it works, too, when the finer steps are long gone.

use crate::blob::Damaged;
use crate::catalog::{Catalog, Piece};
use crate::error::Fault;
use crate::level::Level;
use crate::partition::{Table, Writing};
use crate::pool::Reader;
use crate::row::{self, Line, Pair, Series};
use crate::status::count;
use crate::writer::Writer;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use steth_query::{Folded, Listener, Range, Sums};
use steth_window::{EdgeTotals, EntityId, Somebody};

/// Rows that are added up at once: what bounds the memory that it takes.
const CHUNK: i64 = 1024;

impl Catalog {
    /// Steps that are not added up, or of which windows are not in them. The windows may be gone by now: then the next finer step tells, but
    /// for the time before a level begins, of which steps had to go.
    pub(crate) fn pending(&self) -> BTreeMap<Level, BTreeSet<u64>> {
        let mut pending = BTreeMap::new();
        for level in Level::ROLLED {
            let mut done: BTreeMap<u64, i64> = BTreeMap::new();
            for ((at, _), upto) in self.of(level).flat_map(|part| &part.steps) {
                let done = done.entry(*at).or_default();
                *done = (*done).max(*upto);
            }
            let begin = done.first_key_value().map_or(0, |(at, _)| *at);
            let windows = self.of(Level::Seconds10).flat_map(|part| &part.steps);
            let finer = level.finer().into_iter().flat_map(|finer| self.of(finer)).flat_map(|part| &part.steps);
            let steps = windows.chain(finer.filter(|((at, _), _)| *at >= begin));
            let missing = |((at, _), upto): (&(u64, i64), &i64)| {
                let at = level.floor(*at);
                done.get(&at).is_none_or(|done| done < upto).then_some(at)
            };
            pending.insert(level, steps.filter_map(missing).collect());
        }
        pending
    }

    /// Where a step is, and up to which window it goes.
    pub(crate) fn step(&self, level: Level, at: u64) -> Option<(i64, i64)> {
        let pieces = self.steps(level, at, at + 1);
        let step = pieces.first()?.steps.first()?;
        Some((step.id, step.upto))
    }
}

impl Writer {
    /// Adds up all steps that are over, and adds what is new to those that were added up before.
    pub(crate) fn roll_up(&mut self) -> Result<(), Fault> {
        for level in Level::ROLLED {
            let due: Vec<u64> = self.pending.get(&level).into_iter().flatten().copied().collect();
            for at in due {
                // One that is there already is what is read, so a window that came late goes into it at once.
                if self.shared.catalog().step(level, at).is_none() {
                    // Others wait until they are over, and until what they are made of is there.
                    let finer = level.finer().and_then(|finer| self.pending.get(&finer));
                    let waits = finer.is_some_and(|finer| finer.range(at..at + level.step()).next().is_some());
                    if waits || self.in_progress(level, at) {
                        continue;
                    }
                }
                self.add_up(level, at)?;
                self.pending.entry(level).or_default().remove(&at);
                count(&self.shared.counters.rolled_up, 1);
            }
        }
        Ok(())
    }

    fn add_up(&mut self, level: Level, at: u64) -> Result<(), Fault> {
        let (there, mut pieces) = {
            let catalog = self.shared.catalog();
            let (there, end) = (catalog.step(level, at), at + level.step());
            let pieces = match (there, level.finer()) {
                (None, Some(finer)) => catalog.plan(finer, at, end),
                _ => catalog.steps(Level::Seconds10, at, end),
            };
            (there, pieces)
        };
        if let Some((_, upto)) = there {
            pieces.iter_mut().for_each(|piece| piece.steps.retain(|step| step.upto > upto));
        }
        pieces.retain(|piece| !piece.steps.is_empty());
        pieces.sort_by_key(|piece| piece.steps.last().map(|step| step.upto));
        let Some(upto) = pieces.iter().flat_map(|piece| &piece.steps).map(|step| step.upto).max() else {
            return Ok(());
        };
        let name = self.place(level, at)?;
        self.partition(name)?;
        let shared = self.shared.clone();
        let Some((_, partition)) = self.open.get_mut(&level) else { return Ok(()) };
        let mut source = None;
        let done = (|| {
            let mut writing = partition.begin()?;
            let step = match there {
                Some((step, _)) => step,
                None => writing.step(None, at, upto, &Folded::default())?,
            };
            for piece in &pieces {
                source = Some(piece.name.file());
                let reader = shared.pool.open(&piece.name.file(), None)?;
                copy(&reader, piece, &mut writing, step, there.is_none())?;
                writing.step_goes_on(step, upto, &folded(&reader, piece)?)?;
            }
            source = None;
            writing.commit().map(|()| step)
        })();
        match (done, source) {
            (Err(fault), Some(source)) if shared.damaged(&source, &fault) => {
                // What was read is damaged, not what was written; the rest is added up the next time.
                self.open.remove(&level);
                self.shared.set_aside(&source);
                Err(fault)
            }
            (done, _) => {
                let step = self.checked(name, done)?;
                self.written(name, at, step, upto);
                Ok(())
            }
        }
    }

    /// Says who is in all windows that were written since the ledger was told the last time.
    pub(crate) fn catch_up(&mut self) -> Result<(), Fault> {
        let upto = self.ledger.upto()?;
        if upto == self.last {
            return Ok(());
        }
        let mut seen: HashMap<EntityId, (String, String, steth_window::Kind, Range)> = HashMap::new();
        let pieces: Vec<Piece> = {
            let catalog = self.shared.catalog();
            // A ledger that was lost is made again from everything that is kept; else the windows tell.
            let levels = if upto == 0 {
                &[Level::Hour, Level::Minutes10, Level::Minute, Level::Seconds10][..]
            } else {
                &[Level::Seconds10]
            };
            levels.iter().flat_map(|level| catalog.steps(*level, 0, u64::MAX)).collect()
        };
        for mut piece in pieces {
            piece.steps.retain(|step| step.upto > upto);
            if piece.steps.is_empty() {
                continue;
            }
            let reader = self.shared.pool.open(&piece.name.file(), None)?;
            let done = who(&reader, &piece, &mut seen);
            drop(reader);
            if let Err(fault) = done {
                if !self.shared.damaged(&piece.name.file(), &fault) {
                    return Err(fault);
                }
                self.shared.set_aside(&piece.name.file());
            }
        }
        let somebody = |(id, (name, namespace, kind, range))| (Somebody { id, namespace, name, kind }, range);
        let seen = seen.iter().map(|(id, (name, namespace, kind, range))| {
            somebody((*id, (name.as_str(), namespace.as_str(), *kind, *range)))
        });
        self.ledger.see(seen, self.last)
    }
}

/// Who is in steps of a file, and when.
fn who(
    reader: &Reader<'_>,
    piece: &Piece,
    seen: &mut HashMap<EntityId, (String, String, steth_window::Kind, Range)>,
) -> Result<(), Fault> {
    let sql = "SELECT id, name, namespace, kind FROM entities WHERE id IN (
        SELECT client FROM pairs JOIN edges ON pair = id WHERE step = ?1 UNION
        SELECT server FROM pairs JOIN edges ON pair = id WHERE step = ?1 UNION
        SELECT client FROM lines JOIN books ON line = id WHERE step = ?1 UNION
        SELECT server FROM lines JOIN books ON line = id WHERE step = ?1 UNION
        SELECT server FROM listeners WHERE step = ?1)";
    let mut statement = reader.prepare_cached(sql)?;
    for step in &piece.steps {
        let range = Range { from_ms: step.at, to_ms: step.at + piece.name.level.step() };
        let mut rows = statement.query([step.id])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            let kind = row::kind(row.get(3)?)?;
            let new = || Ok::<_, Fault>((row.get(1)?, row.get(2)?, kind, range));
            let who = match seen.entry(EntityId(id as u64)) {
                hashbrown::hash_map::Entry::Occupied(there) => there.into_mut(),
                hashbrown::hash_map::Entry::Vacant(place) => place.insert(new()?),
            };
            who.2 = who.2.min(kind);
            who.3.from_ms = who.3.from_ms.min(range.from_ms);
            who.3.to_ms = who.3.to_ms.max(range.to_ms);
        }
    }
    Ok(())
}

/// What was folded in steps of a file.
pub(crate) fn folded(reader: &Reader<'_>, piece: &Piece) -> Result<Folded, Fault> {
    let mut all = Folded::default();
    let mut statement = reader.prepare_cached("SELECT operations, rows, edges, misdated FROM steps WHERE id = ?")?;
    for step in &piece.steps {
        let mut rows = statement.query([step.id])?;
        let Some(row) = rows.next()? else { continue };
        let of = |at| row.get::<_, i64>(at).map(|number| number as u64);
        all.add(&Folded { operations: of(0)?, rows: of(1)?, edges: of(2)?, misdated: of(3)? });
    }
    Ok(all)
}

fn copy(reader: &Reader<'_>, piece: &Piece, writing: &mut Writing<'_>, step: i64, newer: bool) -> Result<(), Fault> {
    let mut names: HashMap<i64, Box<str>> = HashMap::new();
    let mut series: HashMap<i64, Series<i64>> = HashMap::new();
    let mut pairs: HashMap<i64, Pair> = HashMap::new();
    let mut lines: HashMap<i64, Line> = HashMap::new();
    {
        let mut statement = reader.prepare_cached("SELECT id, text FROM names")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            names.insert(row.get(0)?, row.get(1)?);
        }
        let mut statement = reader.prepare_cached(&format!("SELECT id, {} FROM series", Series::<i64>::COLUMNS))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            series.insert(row.get(0)?, Series::read(row, 1)?);
        }
        let mut statement = reader.prepare_cached(&format!("SELECT id, {} FROM pairs", Pair::COLUMNS))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            pairs.insert(row.get(0)?, Pair::read(row, 1)?);
        }
        let mut statement = reader.prepare_cached(&format!("SELECT id, {} FROM lines", Line::COLUMNS))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            lines.insert(row.get(0)?, Line::read(row, 1)?);
        }
        let mut statement = reader.prepare_cached("SELECT id, name, namespace, kind FROM entities")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (id, name, namespace): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let kind = row::kind(row.get(3)?)?;
            writing.entity(&Somebody { id: EntityId(id as u64), namespace: &namespace, name: &name, kind })?;
        }
    }
    signals(reader, piece, Table::Exchanges, series.keys().copied().max(), |from, sums| {
        let texts = *series.get(&from).ok_or(Damaged)?;
        let there = texts.map(|number| writing.name(names.get(&number).ok_or(Damaged)?))?;
        let number = writing.series(&there)?;
        writing.signals(Table::Exchanges, step, number, sums)
    })?;
    signals(reader, piece, Table::Edges, pairs.keys().copied().max(), |from, sums| {
        let number = writing.pair(pairs.get(&from).ok_or(Damaged)?)?;
        writing.signals(Table::Edges, step, number, sums)
    })?;
    books(reader, piece, lines.keys().copied().max(), |from, totals| {
        let number = writing.line(lines.get(&from).ok_or(Damaged)?)?;
        writing.books(step, number, totals, newer)
    })?;
    for from in &piece.steps {
        writing.drops(step, drops(reader, from.id)?.into_iter())?;
    }
    // Into a step that was added up before, only what is older comes.
    match piece.steps.iter().max_by_key(|step| (step.at, step.upto)).filter(|_| newer) {
        Some(newest) => writing.listeners(step, listeners(reader, newest.id)?.into_iter()),
        None => Ok(()),
    }
}

/// Who waits for connections in a step of a file.
pub(crate) fn listeners(reader: &Reader<'_>, step: i64) -> Result<Vec<Listener>, Fault> {
    listening(reader, step, "SELECT server, port, transport, waiting, room, 0 FROM listeners WHERE step = ?")
}

/// What was dropped in a step of a file, where somebody waits for connections.
pub(crate) fn drops(reader: &Reader<'_>, step: i64) -> Result<Vec<Listener>, Fault> {
    listening(reader, step, "SELECT server, port, transport, 0, 0, drops FROM drops WHERE step = ?")
}

fn listening(reader: &Reader<'_>, step: i64, sql: &str) -> Result<Vec<Listener>, Fault> {
    let mut statement = reader.prepare_cached(sql)?;
    let mut rows = statement.query([step])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |at| row.get::<_, i64>(at).map(|number| number as u64);
        let (service, transport) = (EntityId(number(0)?), row::transport(row.get(2)?)?);
        let (waiting, room, drops) = (number(3)?, number(4)?, number(5)?);
        all.push(Listener { service, port: row.get(1)?, transport, waiting, room, drops });
    }
    Ok(all)
}

/// Adds up the rows of steps, some at a time, and hands each sum on.
fn signals(
    reader: &Reader<'_>,
    piece: &Piece,
    table: Table,
    last: Option<i64>,
    mut put: impl FnMut(i64, &Sums) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = reader.prepare_cached(table.select())?;
    let mut begin = 1;
    while begin <= last.unwrap_or(0) {
        let end = begin + CHUNK - 1;
        let mut all: BTreeMap<i64, Sums> = BTreeMap::new();
        for step in &piece.steps {
            let mut rows = statement.query([step.id, begin, end])?;
            while let Some(row) = rows.next()? {
                row::add_signals(row, 1, true, all.entry(row.get(0)?).or_default())?;
            }
        }
        all.iter().try_for_each(|(number, sums)| put(*number, sums))?;
        begin = end + 1;
    }
    Ok(())
}

/// The same of books. Of those that are open the newest step tells.
fn books(
    reader: &Reader<'_>,
    piece: &Piece,
    last: Option<i64>,
    mut put: impl FnMut(i64, &EdgeTotals) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let sql = "SELECT line, open, sums, rtt_min, connect, rtt, accept_wait FROM books WHERE step = ? AND line BETWEEN ? AND ?";
    let mut statement = reader.prepare_cached(sql)?;
    let mut begin = 1;
    while begin <= last.unwrap_or(0) {
        let end = begin + CHUNK - 1;
        let mut all: BTreeMap<i64, EdgeTotals> = BTreeMap::new();
        for step in &piece.steps {
            let mut rows = statement.query([step.id, begin, end])?;
            while let Some(row) = rows.next()? {
                let totals = all.entry(row.get(0)?).or_default();
                totals.open = row::add_books(row, 1, totals)?;
            }
        }
        all.iter().try_for_each(|(number, totals)| put(*number, totals))?;
        begin = end + 1;
    }
    Ok(())
}
