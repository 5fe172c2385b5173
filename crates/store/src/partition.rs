//! A partition file that is being written: windows, or what was rolled up from them.

use crate::blob::{put_sketch, put_sums};
use crate::error::Fault;
use crate::row::{Line, Pair, Series};
use crate::schema::{self, Contents};
use hashbrown::HashMap;
use rusqlite::{Connection, Transaction, params};
use std::path::Path;
use steth_query::{Folded, Listener, Sums};
use steth_window::{EdgeTotals, EntityId, Kind, Somebody};

/// The file, and the numbers that it has given to what its rows are about. After a failed transaction these may be wrong: then it is
/// dropped and opened again.
pub(crate) struct Partition {
    connection: Connection,
    numbers: Numbers,
}

#[derive(Default)]
struct Numbers {
    names: HashMap<Box<str>, i64>,
    series: HashMap<Series<i64>, i64>,
    pairs: HashMap<Pair, i64>,
    lines: HashMap<Line, i64>,
    entities: HashMap<EntityId, Kind>,
}

/// As it is kept.
pub(crate) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Service => 0,
        Kind::External => 1,
        Kind::Other => 2,
    }
}

impl Partition {
    /// Opens a file of windows; it exists, and may be empty.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let connection = schema::open(path, Contents::Windows)?;
        let numbers = Numbers::read(&connection)?;
        Ok(Self { connection, numbers })
    }

    /// How many different things its rows are about: what its numbers take of memory.
    pub(crate) fn numbers(&self) -> usize {
        let Numbers { names, series, pairs, lines, entities } = &self.numbers;
        names.len() + series.len() + pairs.len() + lines.len() + entities.len()
    }

    pub(crate) fn begin(&mut self) -> Result<Writing<'_>, Fault> {
        let behavior = rusqlite::TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        Ok(Writing { transaction, numbers: &mut self.numbers, bytes: Vec::new() })
    }

    /// Moves what is beside the file into it, as far as readers let it: nothing will be written for a while.
    pub(crate) fn settle(&self) {
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }
}

impl Numbers {
    fn read(connection: &Connection) -> Result<Self, Fault> {
        let mut numbers = Self::default();
        let mut names = connection.prepare("SELECT id, text FROM names")?;
        let mut rows = names.query([])?;
        while let Some(row) = rows.next()? {
            numbers.names.insert(row.get(1)?, row.get(0)?);
        }
        let mut series = connection.prepare(&format!("SELECT id, {} FROM series", Series::<i64>::COLUMNS))?;
        let mut rows = series.query([])?;
        while let Some(row) = rows.next()? {
            numbers.series.insert(Series::read(row, 1)?, row.get(0)?);
        }
        let mut pairs = connection.prepare(&format!("SELECT id, {} FROM pairs", Pair::COLUMNS))?;
        let mut rows = pairs.query([])?;
        while let Some(row) = rows.next()? {
            numbers.pairs.insert(Pair::read(row, 1)?, row.get(0)?);
        }
        let mut lines = connection.prepare(&format!("SELECT id, {} FROM lines", Line::COLUMNS))?;
        let mut rows = lines.query([])?;
        while let Some(row) = rows.next()? {
            numbers.lines.insert(Line::read(row, 1)?, row.get(0)?);
        }
        let mut entities = connection.prepare("SELECT id, kind FROM entities")?;
        let mut rows = entities.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            numbers.entities.insert(EntityId(id as u64), crate::row::kind(row.get(1)?)?);
        }
        Ok(numbers)
    }
}

/// A transaction.
pub(crate) struct Writing<'a> {
    transaction: Transaction<'a>,
    numbers: &'a mut Numbers,
    bytes: Vec<u8>,
}

impl Writing<'_> {
    /// A new step; its number is given for windows, else the file chooses one.
    pub(crate) fn step(&self, id: Option<i64>, at: u64, upto: i64, folded: &Folded) -> Result<i64, Fault> {
        let sql = "INSERT INTO steps(id, at, upto, operations, rows, edges, misdated) VALUES(?, ?, ?, ?, ?, ?, ?)";
        let Folded { operations, rows, edges, misdated } = *folded;
        self.transaction.prepare_cached(sql)?.execute(params![
            id,
            at as i64,
            upto,
            operations as i64,
            rows as i64,
            edges as i64,
            misdated as i64
        ])?;
        Ok(self.transaction.last_insert_rowid())
    }

    /// More windows have come into a step.
    pub(crate) fn step_goes_on(&self, id: i64, upto: i64, folded: &Folded) -> Result<(), Fault> {
        let sql = "UPDATE steps SET upto = ?, operations = operations + ?, rows = rows + ?, edges = edges + ?, \
            misdated = misdated + ? WHERE id = ?";
        let Folded { operations, rows, edges, misdated } = *folded;
        self.transaction.prepare_cached(sql)?.execute(params![
            upto,
            operations as i64,
            rows as i64,
            edges as i64,
            misdated as i64,
            id
        ])?;
        Ok(())
    }

    /// Writes down who somebody is, unless that is known.
    pub(crate) fn entity(&mut self, who: &Somebody<'_>) -> Result<(), Fault> {
        let known = self.numbers.entities.get(&who.id).copied();
        if known.is_some_and(|known| known <= who.kind) {
            return Ok(());
        }
        let sql = "INSERT INTO entities(id, name, namespace, kind) VALUES(?, ?, ?, ?) \
            ON CONFLICT(id) DO UPDATE SET kind = excluded.kind";
        let values = params![who.id.0 as i64, who.name, who.namespace, kind_number(who.kind)];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        self.numbers.entities.insert(who.id, who.kind);
        Ok(())
    }

    /// The number of a text.
    pub(crate) fn name(&mut self, text: &str) -> Result<i64, Fault> {
        if let Some(id) = self.numbers.names.get(text) {
            return Ok(*id);
        }
        self.transaction.prepare_cached("INSERT INTO names(text) VALUES(?)")?.execute([text])?;
        let id = self.transaction.last_insert_rowid();
        self.numbers.names.insert(text.into(), id);
        Ok(id)
    }

    /// The number of a series, if it has one.
    pub(crate) fn known_series(&self, series: &Series<i64>) -> Option<i64> {
        self.numbers.series.get(series).copied()
    }

    /// The number of a series, which it gets if need be.
    pub(crate) fn series(&mut self, series: &Series<i64>) -> Result<i64, Fault> {
        if let Some(id) = self.known_series(series) {
            return Ok(id);
        }
        let sql = concat!(
            "INSERT INTO series(client, server, port, side, protocol, operation, summary, namespace, status, error_type) ",
            "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let Pair { client, server, port, side, protocol } = series.pair;
        self.transaction.prepare_cached(sql)?.execute(params![
            client.0 as i64,
            server.0 as i64,
            port,
            side as u8,
            protocol as u8,
            series.operation,
            series.summary,
            series.namespace,
            series.status,
            series.error_type
        ])?;
        let id = self.transaction.last_insert_rowid();
        self.numbers.series.insert(*series, id);
        Ok(id)
    }

    /// The number of a pair, which it gets if need be.
    pub(crate) fn pair(&mut self, pair: &Pair) -> Result<i64, Fault> {
        if let Some(id) = self.numbers.pairs.get(pair) {
            return Ok(*id);
        }
        let sql = "INSERT INTO pairs(client, server, port, side, protocol) VALUES(?, ?, ?, ?, ?)";
        let Pair { client, server, port, side, protocol } = *pair;
        let values = params![client.0 as i64, server.0 as i64, port, side as u8, protocol as u8];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        let id = self.transaction.last_insert_rowid();
        self.numbers.pairs.insert(*pair, id);
        Ok(id)
    }

    /// The number of a line of the books, which it gets if need be.
    pub(crate) fn line(&mut self, line: &Line) -> Result<i64, Fault> {
        if let Some(id) = self.numbers.lines.get(line) {
            return Ok(*id);
        }
        let sql = "INSERT INTO lines(client, server, port, side, transport, guessed) VALUES(?, ?, ?, ?, ?, ?)";
        let Line { client, server, port, side, transport, guessed } = *line;
        let values = params![
            client.0 as i64,
            server.0 as i64,
            port,
            side as u8,
            crate::row::transport_number(transport),
            guessed
        ];
        self.transaction.prepare_cached(sql)?.execute(values)?;
        let id = self.transaction.last_insert_rowid();
        self.numbers.lines.insert(*line, id);
        Ok(id)
    }

    /// A row of exchanges or of edges; one that is there is added to.
    pub(crate) fn signals(&mut self, table: Table, step: i64, id: i64, sums: &Sums) -> Result<(), Fault> {
        if !self.put_signals(table, false, step, id, sums)? {
            let mut all = sums.clone();
            {
                let mut there = self.transaction.prepare_cached(table.select_one())?;
                let mut rows = there.query([step, id])?;
                let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                crate::row::add_signals(row, 1, true, &mut all)?;
            }
            self.put_signals(table, true, step, id, &all)?;
        }
        Ok(())
    }

    /// False: there is a row of this number, and it is not to be replaced.
    fn put_signals(&mut self, table: Table, replace: bool, step: i64, id: i64, sums: &Sums) -> Result<bool, Fault> {
        self.bytes.clear();
        let bytes = &mut self.bytes;
        put_sketch(&sums.duration, bytes);
        let first = bytes.len();
        put_sketch(&sums.first_byte, bytes);
        let queue = bytes.len();
        put_sketch(&sums.queue, bytes);
        let mut statement = self.transaction.prepare_cached(table.insert(replace))?;
        let changed = statement.execute(params![
            step,
            id,
            sums.count as i64,
            sums.errors as i64,
            sums.blocking as i64,
            sums.slow as i64,
            sums.request_bytes as i64,
            sums.response_bytes as i64,
            sums.duration_sum_ns as i64,
            some(&bytes[..first]),
            some(&bytes[first..queue]),
            some(&bytes[queue..])
        ])?;
        Ok(changed > 0)
    }

    /// A row of books; one that is there is added to. How many are open does not add up: the newer one counts.
    pub(crate) fn books(&mut self, step: i64, line: i64, totals: &EdgeTotals, newer: bool) -> Result<(), Fault> {
        if !self.put_books(false, step, line, totals)? {
            let mut all = totals.clone();
            let open = {
                let sql = "SELECT line, open, sums, rtt_min, connect, rtt, accept_wait FROM books WHERE step = ? AND line = ?";
                let mut there = self.transaction.prepare_cached(sql)?;
                let mut rows = there.query([step, line])?;
                let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                crate::row::add_books(row, 1, &mut all)?
            };
            all.open = if newer { totals.open } else { open };
            self.put_books(true, step, line, &all)?;
        }
        Ok(())
    }

    fn put_books(&mut self, replace: bool, step: i64, line: i64, totals: &EdgeTotals) -> Result<bool, Fault> {
        self.bytes.clear();
        let bytes = &mut self.bytes;
        put_sums(&totals.sums, bytes);
        let connect = bytes.len();
        put_sketch(&totals.connect, bytes);
        let rtt = bytes.len();
        put_sketch(&totals.rtt, bytes);
        let accept = bytes.len();
        put_sketch(&totals.accept_wait, bytes);
        let sql = if replace {
            "INSERT OR REPLACE INTO books(step, line, open, sums, rtt_min, connect, rtt, accept_wait) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
        } else {
            "INSERT OR IGNORE INTO books(step, line, open, sums, rtt_min, connect, rtt, accept_wait) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
        };
        let changed = self.transaction.prepare_cached(sql)?.execute(params![
            step,
            line,
            totals.open as i64,
            &bytes[..connect],
            totals.rtt_min_ns.map(|least| least as i64),
            some(&bytes[connect..rtt]),
            some(&bytes[rtt..accept]),
            some(&bytes[accept..])
        ])?;
        Ok(changed > 0)
    }

    /// Who waits for connections in a step, instead of who is there.
    pub(crate) fn listeners(&self, step: i64, listeners: impl Iterator<Item = Listener>) -> Result<(), Fault> {
        self.transaction.prepare_cached("DELETE FROM listeners WHERE step = ?")?.execute([step])?;
        let sql =
            "INSERT OR IGNORE INTO listeners(step, server, port, transport, waiting, room) VALUES(?, ?, ?, ?, ?, ?)";
        let mut statement = self.transaction.prepare_cached(sql)?;
        for Listener { service, port, transport, waiting, room, .. } in listeners {
            let transport = crate::row::transport_number(transport);
            statement.execute(params![step, service.0 as i64, port, transport, waiting as i64, room as i64])?;
        }
        Ok(())
    }

    /// What was dropped where somebody waits for connections, beside what is there.
    pub(crate) fn drops(&self, step: i64, listeners: impl Iterator<Item = Listener>) -> Result<(), Fault> {
        let sql = "INSERT INTO drops(step, server, port, transport, drops) VALUES(?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET drops = drops + excluded.drops";
        let mut statement = self.transaction.prepare_cached(sql)?;
        for Listener { service, port, transport, drops, .. } in listeners.filter(|listener| listener.drops > 0) {
            let transport = crate::row::transport_number(transport);
            statement.execute(params![step, service.0 as i64, port, transport, drops as i64])?;
        }
        Ok(())
    }

    pub(crate) fn commit(self) -> Result<(), Fault> {
        Ok(self.transaction.commit()?)
    }
}

fn some(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

/// The two tables of signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// One row for each series.
    Exchanges,
    /// One row for each pair: all its operations, added up.
    Edges,
}

macro_rules! columns {
    () => {
        "count, errors, blocking, slow, request_bytes, response_bytes, duration_sum, duration, first_byte, queue"
    };
}

impl Table {
    fn insert(self, replace: bool) -> &'static str {
        macro_rules! insert {
            ($how:literal, $table:literal) => {
                concat!(
                    "INSERT OR ",
                    $how,
                    " INTO ",
                    $table,
                    columns!(),
                    ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                )
            };
        }
        match (self, replace) {
            (Self::Exchanges, false) => insert!("IGNORE", "exchanges(step, series, "),
            (Self::Exchanges, true) => insert!("REPLACE", "exchanges(step, series, "),
            (Self::Edges, false) => insert!("IGNORE", "edges(step, pair, "),
            (Self::Edges, true) => insert!("REPLACE", "edges(step, pair, "),
        }
    }

    fn select_one(self) -> &'static str {
        match self {
            Self::Exchanges => concat!("SELECT series, ", columns!(), " FROM exchanges WHERE step = ? AND series = ?"),
            Self::Edges => concat!("SELECT pair, ", columns!(), " FROM edges WHERE step = ? AND pair = ?"),
        }
    }

    /// Rows of a step whose numbers are between two.
    pub(crate) fn select(self) -> &'static str {
        match self {
            Self::Exchanges => {
                concat!("SELECT series, ", columns!(), " FROM exchanges WHERE step = ? AND series BETWEEN ? AND ?")
            }
            Self::Edges => concat!("SELECT pair, ", columns!(), " FROM edges WHERE step = ? AND pair BETWEEN ? AND ?"),
        }
    }
}
