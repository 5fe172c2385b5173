//! Questions about the kernel's books. They add up as exchanges do, but for the connections that are open: those are as of the newest step.

use crate::catalog::{Catalog, Piece};
use crate::error::Fault;
use crate::level::Level;
use crate::pool::Pool;
use crate::row::{self, Line, Pair};
use crate::scan::{Groups, Halt, Stop, Where, at, pair_key, plan, runs};
use hashbrown::HashMap;
use rusqlite::params_from_iter;
use std::collections::BTreeSet;
use steth_query::{Dimension, EdgeGroup, EdgeScan, Range};
use steth_window::{EdgeTotals, Protocol, Transport};

/// What a group of books adds up to, with the step that its open connections are of.
#[derive(Default)]
struct Books {
    newest: Option<(u64, i64)>,
    guessed: bool,
    transport: Option<Transport>,
    totals: EdgeTotals,
}

impl Books {
    /// Those that are open do not add up over time: the newest step counts.
    fn open(&mut self, step: (u64, i64), open: u64) {
        match Some(step).cmp(&self.newest) {
            std::cmp::Ordering::Greater => (self.newest, self.totals.open) = (Some(step), open),
            std::cmp::Ordering::Equal => self.totals.open += open,
            std::cmp::Ordering::Less => {}
        }
    }
}

/// Adds up books.
pub(crate) fn books(pool: &Pool, catalog: &Catalog, level: Level, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Stop> {
    // A key of exchanges has no transport: it is part of the status here, which books do not have.
    let mut groups: Groups<Books> = Groups::new(scan.limit);
    let read = |pieces: Vec<Piece>, groups: &mut Groups<Books>, what: &What| {
        pieces.into_iter().try_for_each(|piece| {
            let name = piece.name.file();
            self::read(pool, &name, &piece, scan, groups, what).map_err(|stop| stop.into_stop(&name))
        })
    };
    // Points in time each have open connections of their own.
    if scan.step_ms.is_some() {
        read(finest(catalog, level, scan.range, scan.step_ms), &mut groups, &What::All)?;
    } else {
        let pieces = plan(catalog, level, scan.range, None);
        let coarser: BTreeSet<_> = (pieces.iter().filter(|piece| piece.name.level > level))
            .flat_map(|piece| piece.steps.iter().map(|step| ((step.at, step.upto), piece.name.level.step())))
            .collect();
        read(pieces, &mut groups, &What::All)?;
        for ((at, upto), length) in coarser {
            // Who was in nothing newer: which of its own level's steps was the last, only those tell.
            let ended: BTreeSet<u32> = (groups.groups.iter_mut())
                .filter(|(_, _, books)| books.newest == Some((at, upto)))
                .map(|(_, base, books)| {
                    books.newest = None;
                    *base
                })
                .collect();
            if !ended.is_empty() {
                read(catalog.plan(level, at, at + length), &mut groups, &What::Open(ended))?;
            }
        }
    }
    let group = |(at, base, books): (u64, u32, Books)| {
        let key = &groups.keys[base as usize];
        EdgeGroup {
            at_ms: scan.step_ms.map(|_| at),
            client: key.client,
            server: key.server,
            port: key.port,
            side: key.side,
            transport: books.transport,
            guessed: books.guessed,
            newest_ms: books.newest.map_or(0, |(at, _)| at),
            totals: books.totals,
        }
    };
    Ok(groups.groups.into_iter().map(group).collect())
}

/// What has to be read for points in time: how many connections were open at the end of ten minutes is said to be of ten minutes; of
/// less than that, of the step that was asked for.
fn finest(catalog: &Catalog, level: Level, range: Range, step_ms: Option<u64>) -> Vec<Piece> {
    match level {
        Level::Minutes10 => plan(catalog, level, range, step_ms),
        _ => catalog.plan(level, range.from_ms, range.to_ms),
    }
}

/// What is read of a row.
enum What {
    All,
    /// How many are open, and only in these groups.
    Open(BTreeSet<u32>),
}

fn read(
    pool: &Pool,
    name: &str,
    piece: &Piece,
    scan: &EdgeScan<'_>,
    groups: &mut Groups<Books>,
    what: &What,
) -> Result<(), Halt> {
    let file = pool.open(name, Some(scan.deadline))?;
    let mut filter = Where::ends(&scan.filter);
    if let Some(transport) = scan.filter.transport {
        filter.and("transport = ?", [row::transport_number(transport)]);
    }
    let by_transport = scan.by.contains(&Dimension::Transport);
    let by: Vec<_> = scan.by.iter().copied().filter(|by| *by != Dimension::Protocol).collect();
    let mut chosen: HashMap<i64, (u32, Line)> = HashMap::new();
    {
        let sql = format!("SELECT id, {} FROM lines{}", Line::COLUMNS, filter.sql);
        let mut statement = file.prepare_cached(&sql).map_err(Fault::from)?;
        let mut rows = statement.query(params_from_iter(&filter.values)).map_err(Fault::from)?;
        while let Some(row) = rows.next().map_err(Fault::from)? {
            let line = Line::read(row, 1)?;
            let Line { client, server, port, side, .. } = line;
            if !scan.filter.lists_ends(client, server) {
                continue;
            }
            let pair = Pair { client, server, port, side, protocol: Protocol::Http };
            let mut key = pair_key(&pair, &by);
            key.status = by_transport.then(|| line.transport.name().into());
            let base = groups.base(key);
            if !matches!(what, What::Open(some) if !some.contains(&base)) {
                chosen.insert(row.get(0).map_err(Fault::from)?, (base, line));
            }
        }
    }
    let runs = runs(chosen.keys().copied().collect());
    let columns = match what {
        What::All => "open, sums, rtt_min, connect, rtt, accept_wait",
        What::Open(_) => "open",
    };
    let sql = format!("SELECT line, {columns} FROM books WHERE step = ? AND line BETWEEN ? AND ?");
    let mut statement = file.prepare_cached(&sql).map_err(Fault::from)?;
    for step in &piece.steps {
        let at = at(step, scan.step_ms);
        for (first, last) in &runs {
            let mut rows = statement.query([step.id, *first, *last]).map_err(Fault::from)?;
            while let Some(row) = rows.next().map_err(Fault::from)? {
                let number: i64 = row.get(0).map_err(Fault::from)?;
                let Some((base, line)) = chosen.get(&number) else { continue };
                let books = groups.group(at, *base)?;
                let open = match what {
                    What::All => {
                        books.guessed |= line.guessed;
                        books.transport = by_transport.then_some(line.transport);
                        row::add_books(row, 1, &mut books.totals)?
                    }
                    What::Open(_) => row.get::<_, i64>(1).map_err(Fault::from)? as u64,
                };
                books.open((step.at, step.upto), open);
            }
        }
    }
    Ok(())
}
