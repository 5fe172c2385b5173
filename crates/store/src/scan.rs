//! Questions about exchanges, file by file: SQL chooses rows, what they add up to is added here, in one pass and without
//! sorting them.

use crate::catalog::{Catalog, Piece, Step};
use crate::error::Fault;
use crate::level::Level;
use crate::partition::Table;
use crate::pool::{Pool, Reader};
use crate::row::{self, Pair, Series};
use hashbrown::HashMap;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steth_query::{Dimension, Error, Filter, Group, Key, Range, Scan, Sums};
use steth_window::Protocol;

/// Why a scan did not end.
pub(crate) enum Stop {
    Fault(String, Fault),
    Error(Error),
}

/// What has to be read for a question: where nobody asks for finer ones, a step of a coarser level stands for those of its
/// own that it adds up, if the newest that it has is the newest that is still there: what is gone from a level does not come back by another
/// one. Where an hour's windows are in two files and the first of them is gone, the step at the seam has windows that are declared missing.
pub(crate) fn plan(catalog: &Catalog, level: Level, range: Range, step_ms: Option<u64>) -> Vec<Piece> {
    let Range { from_ms: from, to_ms: to } = range;
    let mut pieces = catalog.plan(level, from, to);
    let own: BTreeSet<(u64, i64)> = steps(&pieces).map(|step| (step.at, step.upto)).collect();
    // Of the first one, a part may be gone.
    let oldest = catalog.stretch(level).map_or(0, |(oldest, _)| oldest);
    // The time that coarser steps stand for: beginnings and ends.
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    let is_taken =
        |taken: &BTreeMap<u64, u64>, at: u64| taken.range(..=at).next_back().is_some_and(|(_, end)| at < *end);
    let fits = |coarser: &Level| step_ms.is_none_or(|step| step > 0 && step.is_multiple_of(coarser.step()));
    let mut instead = Vec::new();
    for coarser in Level::ROLLED.into_iter().rev().filter(|coarser| *coarser > level).filter(fits) {
        let length = coarser.step();
        let (inner, outer) = (from.max(oldest).div_ceil(length).saturating_mul(length), coarser.floor(to));
        for mut piece in catalog.steps(coarser, inner, outer) {
            piece.steps.retain(|step| {
                let of_own = own.range((step.at, i64::MIN)..(step.at + length, i64::MIN));
                let whole = of_own.map(|(_, upto)| *upto).max() == Some(step.upto);
                let wanted = whole && !is_taken(&taken, step.at);
                wanted.then(|| taken.insert(step.at, step.at + length));
                wanted
            });
            instead.push(piece);
        }
    }
    pieces.iter_mut().for_each(|piece| piece.steps.retain(|step| !is_taken(&taken, step.at)));
    pieces.extend(instead);
    pieces.retain(|piece| !piece.steps.is_empty());
    pieces
}

fn steps(pieces: &[Piece]) -> impl Iterator<Item = &Step> {
    pieces.iter().flat_map(|piece| &piece.steps)
}

/// Numbers that are chosen in a file, as runs: what lies between two that are close is read along, which is cheaper than to look for
/// the next one.
pub(crate) fn runs(mut numbers: Vec<i64>) -> Vec<(i64, i64)> {
    numbers.sort_unstable();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if number - *end <= 8 => *end = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// A condition of SQL, and its values.
#[derive(Default)]
pub(crate) struct Where {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Where {
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = i64>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.extend(values.into_iter().map(Value::Integer));
    }

    pub(crate) fn ends(filter: &Filter<'_>) -> Self {
        let mut all = Self::default();
        if let Some(entity) = filter.entity {
            all.and("(client = ? OR server = ?)", [entity.0 as i64; 2]);
        }
        if let Some(client) = filter.client {
            all.and("client = ?", [client.0 as i64]);
        }
        if let Some(server) = filter.server {
            all.and("server = ?", [server.0 as i64]);
        }
        if let Some(port) = filter.port {
            all.and("port = ?", [i64::from(port)]);
        }
        if let Some(side) = filter.side {
            all.and("side = ?", [side as i64]);
        }
        all
    }
}

/// Groups that grow, told apart by time and by what they are grouped by.
pub(crate) struct Groups<T> {
    bases: HashMap<Key, u32>,
    pub(crate) keys: Vec<Key>,
    places: HashMap<(u64, u32), u32>,
    pub(crate) groups: Vec<(u64, u32, T)>,
    limit: usize,
}

impl<T: Default> Groups<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bases: HashMap::new(), keys: Vec::new(), places: HashMap::new(), groups: Vec::new(), limit }
    }

    pub(crate) fn base(&mut self, key: Key) -> u32 {
        if let Some(base) = self.bases.get(&key) {
            return *base;
        }
        let base = self.keys.len() as u32;
        self.keys.push(key.clone());
        self.bases.insert(key, base);
        base
    }

    pub(crate) fn group(&mut self, at: u64, base: u32) -> Result<&mut T, Error> {
        let place = match self.places.get(&(at, base)) {
            Some(place) => *place,
            None if self.groups.len() >= self.limit => return Err(Error::TooMany { limit: self.limit }),
            None => {
                let place = self.groups.len() as u32;
                self.places.insert((at, base), place);
                self.groups.push((at, base, T::default()));
                place
            }
        };
        Ok(&mut self.groups[place as usize].2)
    }
}

pub(crate) fn at(step: &Step, step_ms: Option<u64>) -> u64 {
    step_ms.map_or(0, |length| step.at - step.at % length.max(1))
}

/// Texts of a file.
struct Texts<'a> {
    file: &'a Reader<'a>,
    known: HashMap<i64, Arc<str>>,
}

impl Texts<'_> {
    fn number(&self, text: &str) -> Result<Option<i64>, Fault> {
        Ok(self
            .file
            .prepare_cached("SELECT id FROM names WHERE text = ?")?
            .query_row([text], |row| row.get(0))
            .optional()?)
    }

    fn read_all(&mut self) -> Result<(), Fault> {
        let mut statement = self.file.prepare_cached("SELECT id, text FROM names")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.known.insert(row.get(0)?, row.get(1)?);
        }
        Ok(())
    }

    fn text(&self, number: i64) -> Result<Arc<str>, Fault> {
        Ok(self.known.get(&number).cloned().ok_or(crate::blob::Damaged)?)
    }
}

pub(crate) fn pair_key(pair: &Pair, by: &[Dimension]) -> Key {
    let mut key = Key::default();
    for dimension in by {
        match dimension {
            Dimension::Client => key.client = Some(pair.client),
            Dimension::Server => key.server = Some(pair.server),
            Dimension::Port => key.port = Some(pair.port),
            Dimension::Side => key.side = Some(pair.side),
            Dimension::Protocol => key.protocol = Some(pair.protocol),
            Dimension::Operation | Dimension::Status | Dimension::ErrorType | Dimension::Transport => {}
        }
    }
    key
}

/// Of exchanges, which of the two tables tells.
fn table(scan: &Scan<'_>) -> Table {
    let fine =
        |dimension: &Dimension| matches!(dimension, Dimension::Operation | Dimension::Status | Dimension::ErrorType);
    let Filter { operation, status, failed, .. } = scan.filter;
    if operation.is_some() || status.is_some() || failed.is_some() || scan.by.iter().any(fine) {
        Table::Exchanges
    } else {
        Table::Edges
    }
}

/// The numbers of a file that are chosen, each with its group.
fn chosen(file: &Reader<'_>, scan: &Scan<'_>, groups: &mut Groups<Sums>) -> Result<HashMap<i64, u32>, Fault> {
    let mut chosen = HashMap::new();
    let mut filter = Where::ends(&scan.filter);
    if let Some(protocol) = scan.filter.protocol {
        // By name: MySQL's protocol is MariaDB's, too.
        let same = Protocol::ALL.into_iter().filter(|other| other.name() == protocol.name());
        let numbers: Vec<String> = same.map(|protocol| (protocol as i64).to_string()).collect();
        filter.and(&format!("protocol IN ({})", numbers.join(", ")), []);
    }
    if table(scan) == Table::Edges {
        let mut statement = file.prepare_cached(&format!("SELECT id, {} FROM pairs{}", Pair::COLUMNS, filter.sql))?;
        let mut rows = statement.query(params_from_iter(&filter.values))?;
        while let Some(row) = rows.next()? {
            let pair = Pair::read(row, 1)?;
            if scan.filter.lists_ends(pair.client, pair.server) {
                chosen.insert(row.get(0)?, groups.base(pair_key(&pair, scan.by)));
            }
        }
        return Ok(chosen);
    }
    let mut texts = Texts { file, known: HashMap::new() };
    for (column, text) in [("operation = ?", scan.filter.operation), ("status = ?", scan.filter.status)] {
        let Some(text) = text else { continue };
        let Some(number) = texts.number(text)? else { return Ok(chosen) };
        filter.and(column, [number]);
    }
    if let Some(failed) = scan.filter.failed {
        match (texts.number("")?, failed) {
            (Some(none), true) => filter.and("error_type != ?", [none]),
            (Some(none), false) => filter.and("error_type = ?", [none]),
            (None, true) => {}
            (None, false) => return Ok(chosen),
        }
    }
    texts.read_all()?;
    let mut statement =
        file.prepare_cached(&format!("SELECT id, {} FROM series{}", Series::<i64>::COLUMNS, filter.sql))?;
    let mut rows = statement.query(params_from_iter(&filter.values))?;
    while let Some(row) = rows.next()? {
        let series = Series::read(row, 1)?;
        if !scan.filter.lists_ends(series.pair.client, series.pair.server) {
            continue;
        }
        let mut key = pair_key(&series.pair, scan.by);
        for dimension in scan.by {
            match dimension {
                Dimension::Operation => {
                    key.operation = Some(texts.text(series.operation)?);
                    key.summary = Some(texts.text(series.summary)?);
                    key.namespace = Some(texts.text(series.namespace)?);
                }
                Dimension::Status => key.status = Some(texts.text(series.status)?),
                Dimension::ErrorType => key.error_type = Some(texts.text(series.error_type)?),
                _ => {}
            }
        }
        let base = groups.base(key);
        chosen.insert(row.get(0)?, base);
    }
    Ok(chosen)
}

/// Adds up exchanges.
pub(crate) fn exchanges(pool: &Pool, pieces: &[Piece], scan: &Scan<'_>) -> Result<Vec<Group>, Stop> {
    let mut groups = Groups::new(scan.limit);
    for piece in pieces {
        let name = piece.name.file();
        read_exchanges(pool, &name, piece, scan, &mut groups).map_err(|stop| stop.into_stop(&name))?;
    }
    let group = |(at, base, sums): (u64, u32, Sums)| Group {
        key: Key { at_ms: scan.step_ms.map(|_| at), ..groups.keys[base as usize].clone() },
        sums,
    };
    Ok(groups.groups.into_iter().map(group).collect())
}

fn read_exchanges(
    pool: &Pool,
    name: &str,
    piece: &Piece,
    scan: &Scan<'_>,
    groups: &mut Groups<Sums>,
) -> Result<(), Halt> {
    let file = pool.open(name, Some(scan.deadline))?;
    let chosen = chosen(&file, scan, groups)?;
    let runs = runs(chosen.keys().copied().collect());
    let mut statement = file.prepare_cached(table(scan).select()).map_err(Fault::from)?;
    for step in &piece.steps {
        let at = at(step, scan.step_ms);
        for (first, last) in &runs {
            let mut rows = statement.query([step.id, *first, *last]).map_err(Fault::from)?;
            while let Some(row) = rows.next().map_err(Fault::from)? {
                let number: i64 = row.get(0).map_err(Fault::from)?;
                if let Some(base) = chosen.get(&number) {
                    row::add_signals(row, 1, scan.sketches, groups.group(at, *base)?)?;
                }
            }
        }
    }
    Ok(())
}

/// Why a file was not read to its end.
pub(crate) enum Halt {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Halt {
    pub(crate) fn into_stop(self, file: &str) -> Stop {
        match self {
            Self::Fault(fault) => Stop::Fault(file.to_owned(), fault),
            Self::Error(error) => Stop::Error(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Part;
    use crate::directory::Name;

    /// One file for each level: beginnings in seconds, and up to which window.
    fn catalog(parts: &[(Level, Vec<(u64, i64)>)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (number, (level, steps)) in (1..).zip(parts) {
            let steps = (1..).zip(steps).map(|(id, (at, upto))| ((at * 1000, id), *upto)).collect();
            let name = Name { level: *level, start: 0, number };
            catalog.parts.insert(number, Part { name, bytes: 0, steps, sealed: false });
        }
        catalog
    }

    fn read(catalog: &Catalog, from: u64, to: u64, step: Option<u64>) -> Vec<(&'static str, Vec<u64>)> {
        let range = Range { from_ms: from * 1000, to_ms: to * 1000 };
        let pieces = plan(catalog, Level::Seconds10, range, step.map(|step| step * 1000));
        let at = |piece: &Piece| piece.steps.iter().map(|step| step.at / 1000).collect();
        pieces.iter().map(|piece| (piece.name.level.name(), at(piece))).collect()
    }

    #[test]
    fn coarser_steps_stand_for_those_that_they_have_all_of() {
        let windows: Vec<(u64, i64)> = (0..120).map(|n| (n * 10, n as i64 + 1)).collect();
        let minutes: Vec<(u64, i64)> = (0..19).map(|n| (n * 60, n as i64 * 6 + 6)).collect();
        let all = |minutes: &[(u64, i64)], windows: &[(u64, i64)]| {
            catalog(&[
                (Level::Seconds10, windows.to_vec()),
                (Level::Minute, minutes.to_vec()),
                (Level::Minutes10, vec![(0, 60)]),
            ])
        };
        let tens = |from: u64, to: u64| ("10s", (from..to).step_by(10).collect::<Vec<_>>());
        let there = all(&minutes, &windows);
        assert_eq!(read(&there, 0, 600, None), [("10m", vec![0])]);
        assert_eq!(read(&there, 0, 740, None), [tens(720, 740), ("10m", vec![0]), ("1m", vec![600, 660])]);
        // The last minute is not added up yet.
        assert_eq!(read(&there, 1130, 1200, None), [tens(1130, 1200)]);
        assert_eq!(read(&there, 0, 180, Some(60)), [("1m", vec![0, 60, 120])]);
        assert_eq!(read(&there, 0, 180, Some(20)), [tens(0, 180)], "finer points are asked for");
        // A window that came late, and is in no minute yet.
        let mut late = windows.clone();
        late[9].1 = 121;
        assert_eq!(read(&all(&minutes, &late), 0, 180, None), [tens(60, 120), ("1m", vec![0, 120])]);
        // What is gone does not come back, nor does the minute of which a part is gone.
        let gone: Vec<_> = windows.iter().copied().filter(|(at, _)| *at >= 90 && !(300..360).contains(at)).collect();
        assert_eq!(read(&all(&minutes, &gone), 0, 480, None), [tens(90, 120), ("1m", vec![120, 180, 240, 360, 420])]);
    }
}
