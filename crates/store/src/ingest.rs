//! A window as rows.

use crate::error::Fault;
use crate::feed::MS;
use crate::partition::{Partition, Table, Writing};
use crate::row::{Line, Pair, Series};
use hashbrown::HashMap;
use steth_query::{Listener, Sums};
use steth_window::{EntityId, Row, Somebody, Window};

/// Writes a window under its number, in one transaction.
pub(crate) fn write(partition: &mut Partition, id: i64, window: &Window) -> Result<(), Fault> {
    let mut writing = partition.begin()?;
    writing.step(Some(id), window.start / MS, id, &window.misplaced.into())?;
    for who in everybody(window).values() {
        writing.entity(who)?;
    }
    exchanges(&mut writing, id, window)?;
    edges(&mut writing, id, window)?;
    books(&mut writing, id, window)?;
    writing.listeners(id, window.listeners.iter().filter(|row| row.sockets > 0).map(Listener::from))?;
    writing.drops(id, window.listeners.iter().map(Listener::from))?;
    writing.commit()
}

/// Who is in a window, by id. Of two kinds the one that says more counts.
pub(crate) fn everybody(window: &Window) -> HashMap<EntityId, Somebody<'_>> {
    let mut all: HashMap<EntityId, Somebody<'_>> = HashMap::new();
    for somebody in window.everybody() {
        let who = all.entry(somebody.id).or_insert(somebody);
        who.kind = who.kind.min(somebody.kind);
    }
    all
}

fn pair(row: &Row) -> Pair {
    let key = &row.labels.key;
    Pair { client: key.client, server: key.server, port: key.server_port, side: key.side, protocol: key.protocol }
}

fn sums(row: &Row) -> Sums {
    let mut sums = Sums::default();
    sums.add_row(row, true);
    sums
}

fn exchanges(writing: &mut Writing<'_>, id: i64, window: &Window) -> Result<(), Fault> {
    let mut known: Vec<(i64, &Row)> = Vec::with_capacity(window.rows.len());
    let mut new: Vec<(Series<i64>, &Row)> = Vec::new();
    for row in &window.rows {
        let labels = &row.labels;
        let texts = Series {
            pair: pair(row),
            operation: &*labels.operation,
            summary: labels.summary.as_deref().unwrap_or_default(),
            namespace: &*labels.namespace,
            status: &*labels.status,
            error_type: &*labels.error_type,
        };
        let series = texts.map(|text| writing.name(text))?;
        match writing.known_series(&series) {
            Some(number) => known.push((number, row)),
            None => new.push((series, row)),
        }
    }
    // A service's series get numbers that follow one another: what is asked for most is a service.
    new.sort_unstable_by_key(|(series, _)| {
        let Pair { client, server, port, side, protocol } = series.pair;
        (server, port, protocol as u8, side as u8, series.operation, client, series.status)
    });
    for (series, row) in new {
        known.push((writing.series(&series)?, row));
    }
    // In the order in which they lie in the file.
    known.sort_unstable_by_key(|(number, _)| *number);
    for (number, row) in known {
        writing.signals(Table::Exchanges, id, number, &sums(row))?;
    }
    Ok(())
}

fn edges(writing: &mut Writing<'_>, id: i64, window: &Window) -> Result<(), Fault> {
    let mut pairs: HashMap<Pair, Sums> = HashMap::new();
    for row in &window.rows {
        pairs.entry(pair(row)).or_default().add_row(row, true);
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_unstable_by_key(|(pair, _)| (pair.server, pair.port, pair.protocol as u8, pair.side as u8, pair.client));
    let mut rows = Vec::with_capacity(pairs.len());
    for (pair, sums) in pairs {
        rows.push((writing.pair(&pair)?, sums));
    }
    rows.sort_unstable_by_key(|(number, _)| *number);
    rows.into_iter().try_for_each(|(number, sums)| writing.signals(Table::Edges, id, number, &sums))
}

fn books(writing: &mut Writing<'_>, id: i64, window: &Window) -> Result<(), Fault> {
    let mut rows: Vec<_> = window.edges.iter().collect();
    rows.sort_unstable_by_key(|row| (row.key.server, row.key.server_port, row.key.client, row.key.side));
    let mut numbered = Vec::with_capacity(rows.len());
    for row in rows {
        let key = row.key;
        let line = Line {
            client: key.client,
            server: key.server,
            port: key.server_port,
            side: key.side,
            transport: key.transport,
            guessed: key.guessed,
        };
        numbered.push((writing.line(&line)?, row));
    }
    numbered.sort_unstable_by_key(|(number, _)| *number);
    numbered.into_iter().try_for_each(|(number, row)| writing.books(id, number, &row.totals, true))
}
