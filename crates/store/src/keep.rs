//! Requests that were kept one by one: what is in memory, on disk.
//!
//! What is in memory changes: a slower one takes the place of another, and a name comes late. All that there is comes every ten
//! seconds, and what has changed since is written. Those that left memory for want of room stay on disk.

use crate::directory::Name;
use crate::error::Fault;
use crate::feed::MS;
use crate::level::Level;
use crate::pool::Pool;
use crate::schema::{self, Contents};
use crate::status::count;
use crate::store::Shared;
use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, Transaction, params, params_from_iter, types::Value};
use std::sync::Arc;
use steth_query::{Kept as Answer, Order, SampleScan, Text};
use steth_samples::{Kept, Sample, Why};
use steth_window::EntityId;

/// Where each of those in memory is on disk.
#[derive(Default)]
pub(crate) struct Keeper {
    known: HashMap<u64, Known>,
    open: Option<(Name, Connection)>,
}

struct Known {
    file: Name,
    id: i64,
    why: u8,
    sample: Arc<Sample>,
}

/// What is to be done in a file.
enum Change<'a> {
    Put(&'a Kept),
    Again(&'a Kept, i64),
    Remove(u64, i64),
}

impl Keeper {
    /// Writes what has changed. What could not be written is tried again with what comes next, if it is still there.
    pub(crate) fn keep(&mut self, shared: &Shared, samples: &[Kept], forgotten: u64) -> Result<(), Fault> {
        let mut changes: HashMap<Name, Vec<Change<'_>>> = HashMap::new();
        let mut made: HashMap<u64, Name> = HashMap::new();
        for kept in samples {
            match self.known.get(&kept.number) {
                None => {
                    let at = kept.sample.end / MS;
                    let start = at - at % Level::Samples.period();
                    let name = match made.get(&start) {
                        Some(name) => *name,
                        None => *made
                            .entry(start)
                            .or_insert(file(shared, at).inspect_err(|_| self.unkept(shared, samples))?),
                    };
                    changes.entry(name).or_default().push(Change::Put(kept));
                }
                Some(known) if known.why != kept.why.bits() || !Arc::ptr_eq(&known.sample, &kept.sample) => {
                    changes.entry(known.file).or_default().push(Change::Again(kept, known.id));
                }
                Some(_) => {}
            }
        }
        // Those up to a number left for want of room, the others because there is a better one.
        let there: HashSet<u64> = samples.iter().map(|kept| kept.number).collect();
        for (number, known) in &self.known {
            if *number >= forgotten && !there.contains(number) {
                changes.entry(known.file).or_default().push(Change::Remove(*number, known.id));
            }
        }
        self.known.retain(|number, _| *number >= forgotten || there.contains(number));
        let mut done = Ok(());
        for (name, changes) in changes {
            let put = changes.iter().filter(|change| matches!(change, Change::Put(_))).count() as u64;
            match self.change(shared, name, &changes) {
                Ok(()) => count(&shared.counters.samples, put),
                Err(fault) => {
                    count(&shared.counters.samples_failed, put);
                    self.open = None;
                    if shared.damaged(&name.file(), &fault) || fault.gone() {
                        shared.set_aside(&name.file());
                        self.known.retain(|_, known| known.file != name);
                    }
                    done = Err(fault);
                }
            }
        }
        self.unkept(shared, samples);
        done
    }

    /// Says which of them are nowhere on disk.
    fn unkept(&self, shared: &Shared, samples: &[Kept]) {
        let mut unkept: Vec<u64> =
            samples.iter().map(|kept| kept.number).filter(|number| !self.known.contains_key(number)).collect();
        unkept.sort_unstable();
        shared.unkept_samples(unkept);
    }

    fn change(&mut self, shared: &Shared, name: Name, changes: &[Change<'_>]) -> Result<(), Fault> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != name) {
            let path = shared.directory.path().join(name.file());
            if path.metadata().is_err() {
                // Removed to make room: what has left memory meanwhile needs no change any more.
                self.known.retain(|_, known| known.file != name);
                return Ok(());
            }
            self.open = Some((name, schema::open(&path, Contents::Samples)?));
        }
        let Some((_, connection)) = &mut self.open else { return Ok(()) };
        let transaction = connection.transaction()?;
        let mut ids = Vec::new();
        for change in changes {
            match change {
                Change::Put(kept) => ids.push((kept, put(&transaction, None, kept)?)),
                Change::Again(kept, id) => ids.push((kept, put(&transaction, Some(*id), kept)?)),
                Change::Remove(_, id) => {
                    transaction.prepare_cached("DELETE FROM samples WHERE id = ?")?.execute([id])?;
                }
            }
        }
        transaction.commit()?;
        for (kept, id) in ids {
            let known = Known { file: name, id, why: kept.why.bits(), sample: kept.sample.clone() };
            self.known.insert(kept.number, known);
        }
        for change in changes {
            if let Change::Remove(number, _) = change {
                self.known.remove(number);
            }
        }
        let bytes = shared.directory.size(&name.file());
        if let Some(part) = shared.catalog_mut().parts.get_mut(&name.number) {
            part.bytes = bytes;
            part.sealed = bytes > shared.largest(Level::Samples);
        }
        Ok(())
    }
}

fn file(shared: &Shared, at: u64) -> Result<Name, Fault> {
    if let Some(name) = shared.catalog().place(Level::Samples, at) {
        return Ok(name);
    }
    let name = shared.new_name(Level::Samples, at);
    let path = shared.directory.create(&name.file())?;
    schema::open(&path, Contents::Samples).inspect_err(|_| drop(shared.directory.unlink(&name.file())))?;
    shared.enter(name);
    Ok(name)
}

fn put(transaction: &Transaction<'_>, id: Option<i64>, kept: &Kept) -> Result<i64, Fault> {
    let sql = "INSERT OR REPLACE INTO samples(id, end, why, server, name, namespace, operation, side, duration, failed, json) \
        VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let sample = &*kept.sample;
    transaction.prepare_cached(sql)?.execute(params![
        id,
        sample.end as i64,
        kept.why.bits(),
        EntityId::of(&sample.server).0 as i64,
        &*sample.server,
        sample.server_namespace as i64,
        &*sample.operation,
        sample.side as u8,
        sample.duration_ns as i64,
        sample.failed,
        &*sample.json
    ])?;
    Ok(transaction.last_insert_rowid())
}

/// Reads requests of a file: how many match, and those that come first.
pub(crate) fn read(
    pool: &Pool,
    name: Name,
    scan: &SampleScan<'_>,
    why: Option<Why>,
) -> Result<(u64, Vec<Answer>), Fault> {
    let file = pool.open(&name.file(), Some(scan.deadline))?;
    let nanos = |ms: u64| Value::Integer(i64::try_from(ms.saturating_mul(MS)).unwrap_or(i64::MAX));
    let nanoseconds = |ns: u64| Value::Integer(i64::try_from(ns).unwrap_or(i64::MAX));
    let mut sql = "FROM samples WHERE end >= ? AND end < ? AND duration >= ? AND duration < ?".to_owned();
    let mut values = vec![
        nanos(scan.range.from_ms),
        nanos(scan.range.to_ms),
        nanoseconds(scan.least_ns),
        nanoseconds(scan.below_ns),
    ];
    let mut and = |condition: &str, value: Value| {
        sql.push_str(condition);
        values.push(value);
    };
    if let Some(server) = scan.filter.server {
        and(" AND server = ?", Value::Integer(server.0 as i64));
    }
    if let Some(side) = scan.filter.side {
        and(" AND side = ?", Value::Integer(side as i64));
    }
    if let Some(operation) = scan.filter.operation {
        and(" AND operation = ?", Value::Text(operation.to_owned()));
    }
    if let Some(failed) = scan.filter.failed {
        and(" AND failed = ?", Value::Integer(i64::from(failed)));
    }
    if let Some(why) = why {
        and(" AND why & ? != 0", Value::Integer(i64::from(why.bits())));
    }
    if let Some(service) = scan.service {
        // With its namespace, or without: what is behind the slash. Lengths are in bytes, so bytes are cut.
        and(" AND (name = ?", Value::Text(service.to_owned()));
        let bare = Value::Text(service.to_owned());
        and(" OR (namespace > 0 AND CAST(substr(CAST(name AS BLOB), namespace + 2) AS TEXT) = ?))", bare);
    }
    if let Some(namespace) = scan.namespace {
        and(" AND substr(CAST(name AS BLOB), 1, namespace) = CAST(? AS BLOB)", Value::Text(namespace.to_owned()));
    }
    let order = match scan.order {
        Order::Newest => "end DESC, id DESC",
        Order::Duration => "duration DESC, end DESC, id DESC",
    };
    let most = i64::try_from(scan.limit).unwrap_or(i64::MAX);
    let (matching, ids) = match scan.text {
        None => {
            let count = format!("SELECT count(*) {sql}");
            let matching: i64 = file.prepare_cached(&count)?.query_row(params_from_iter(&values), |row| row.get(0))?;
            let mut statement = file.prepare_cached(&format!("SELECT id {sql} ORDER BY {order} LIMIT {most}"))?;
            let ids = statement.query_map(params_from_iter(&values), |row| row.get(0))?;
            (matching as u64, ids.collect::<rusqlite::Result<Vec<i64>>>()?)
        }
        Some(text) => with_text(
            &file,
            &format!("SELECT id, name, operation, json {sql} ORDER BY {order}"),
            &values,
            text,
            scan.limit,
        )?,
    };
    let mut one = file.prepare_cached("SELECT end, duration, why, json FROM samples WHERE id = ?")?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(one.query_row([id], |row| {
            let (end, duration, why): (i64, i64, u8) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let why = Why::from_bits(why).names().collect();
            Ok(Answer { why, end_ns: end as u64, duration_ns: duration as u64, json: row.get(3)? })
        })?);
    }
    Ok((matching, found))
}

/// The first of those with a text in them, and how many there are in all.
fn with_text(
    file: &Connection,
    sql: &str,
    values: &[Value],
    text: &Text,
    limit: usize,
) -> Result<(u64, Vec<i64>), Fault> {
    let mut statement = file.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut matching, mut ids) = (0, Vec::new());
    while let Some(row) = rows.next()? {
        let part =
            |at| -> Result<&str, Fault> { row.get_ref(at)?.as_str().map_err(|_| Fault::from(crate::blob::Damaged)) };
        if text.is_in_request(part(1)?, part(2)?, part(3)?) {
            matching += 1;
            if ids.len() < limit {
                ids.push(row.get(0)?);
            }
        }
    }
    Ok((matching, ids))
}
