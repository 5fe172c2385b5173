//! What a file of the store looks like inside, by version.
//!
//! 1: the first. 2: books also say how long connections waited for `accept()`; who waits for connections is kept. 3: with it, how many
//! wait, how many may, and what was dropped.

use crate::level::Level;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeSet;
use std::path::Path;

/// The version that is written.
pub const VERSION: i64 = 3;

/// Signals of exchanges; `errors` and what follows are sums, then come sketches. No bytes are an empty sketch.
macro_rules! signals {
    () => {
        "count INTEGER NOT NULL, errors INTEGER NOT NULL, blocking INTEGER NOT NULL, slow INTEGER NOT NULL,
        request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL, duration_sum INTEGER NOT NULL,
        duration BLOB, first_byte BLOB, queue BLOB"
    };
}

/// A file of windows. Numbers of 64 bits without a sign are kept as those with the same bits. `steps.upto` is the number of the last
/// window that is in it. Rows lie in the order of time, since that is how they are written; within a step they lie by number, and
/// numbers are given server by server, so that those of one service lie together.
const WINDOWS: &str = concat!(
    "CREATE TABLE steps(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, upto INTEGER NOT NULL, operations INTEGER NOT NULL,
        rows INTEGER NOT NULL, edges INTEGER NOT NULL, misdated INTEGER NOT NULL);
    CREATE TABLE names(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE entities(id INTEGER PRIMARY KEY, name TEXT NOT NULL, namespace TEXT NOT NULL, kind INTEGER NOT NULL);
    CREATE TABLE series(id INTEGER PRIMARY KEY, client INTEGER NOT NULL, server INTEGER NOT NULL, port INTEGER NOT NULL,
        side INTEGER NOT NULL, protocol INTEGER NOT NULL, operation INTEGER NOT NULL, summary INTEGER NOT NULL,
        namespace INTEGER NOT NULL, status INTEGER NOT NULL, error_type INTEGER NOT NULL);
    CREATE TABLE exchanges(step INTEGER NOT NULL, series INTEGER NOT NULL, ",
    signals!(),
    ", PRIMARY KEY(step, series)) WITHOUT ROWID;
    CREATE TABLE pairs(id INTEGER PRIMARY KEY, client INTEGER NOT NULL, server INTEGER NOT NULL, port INTEGER NOT NULL,
        side INTEGER NOT NULL, protocol INTEGER NOT NULL);
    CREATE TABLE edges(step INTEGER NOT NULL, pair INTEGER NOT NULL, ",
    signals!(),
    ", PRIMARY KEY(step, pair)) WITHOUT ROWID;
    CREATE TABLE lines(id INTEGER PRIMARY KEY, client INTEGER NOT NULL, server INTEGER NOT NULL, port INTEGER NOT NULL,
        side INTEGER NOT NULL, transport INTEGER NOT NULL, guessed INTEGER NOT NULL);
    CREATE TABLE books(step INTEGER NOT NULL, line INTEGER NOT NULL, open INTEGER NOT NULL, sums BLOB NOT NULL,
        rtt_min INTEGER, connect BLOB, rtt BLOB, accept_wait BLOB, PRIMARY KEY(step, line)) WITHOUT ROWID;"
);

/// Who waits for connections in a step: of a step of several windows, in the newest of them.
const LISTENERS: &str = "CREATE TABLE listeners(step INTEGER NOT NULL, server INTEGER NOT NULL, port INTEGER NOT NULL,
    transport INTEGER NOT NULL, waiting INTEGER NOT NULL DEFAULT 0, room INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY(step, server, port, transport)) WITHOUT ROWID;";

/// What was dropped where somebody waits for connections, in all windows of a step. Mostly there is nothing.
const DROPS: &str = "CREATE TABLE drops(step INTEGER NOT NULL, server INTEGER NOT NULL, port INTEGER NOT NULL,
    transport INTEGER NOT NULL, drops INTEGER NOT NULL, PRIMARY KEY(step, server, port, transport)) WITHOUT ROWID;";

/// A file of requests that were kept one by one. `why` is one bit for each reason.
const SAMPLES: &str = "
    CREATE TABLE samples(id INTEGER PRIMARY KEY, end INTEGER NOT NULL, why INTEGER NOT NULL, server INTEGER NOT NULL,
        name TEXT NOT NULL, namespace INTEGER NOT NULL, operation TEXT NOT NULL, side INTEGER NOT NULL,
        duration INTEGER NOT NULL, failed INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE INDEX samples_end ON samples(end);";

/// Who there is, what is missing, and how far things have got.
const LEDGER: &str = "
    CREATE TABLE entities(id INTEGER PRIMARY KEY, name TEXT NOT NULL, namespace TEXT NOT NULL, kind INTEGER NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL);
    CREATE TABLE missing(id INTEGER PRIMARY KEY, begin INTEGER NOT NULL, end INTEGER NOT NULL, why TEXT NOT NULL);
    CREATE TABLE state(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Windows,
    Samples,
    Ledger,
}

impl From<Level> for Contents {
    fn from(level: Level) -> Self {
        if level == Level::Samples { Self::Samples } else { Self::Windows }
    }
}

/// Opens a file for writing, makes what is not there and brings it up to date. The file exists; it may be empty.
pub(crate) fn open(path: &Path, contents: Contents) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let found = version(&connection)?;
    if found == 0 {
        connection.pragma_update(None, "page_size", 8192)?;
    }
    // A transaction is safe from the end of this process as soon as it is committed, and from a loss of power with the next
    // checkpoint; no loss of power damages the file.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // Each file that is open has a log beside it, which counts against the budget: 1 MiB, or what one transaction takes.
    connection.pragma_update(None, "wal_autocheckpoint", 128)?;
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    if found < VERSION {
        migrate(&mut connection, contents, found)?;
    }
    Ok(connection)
}

/// The version of a file; 0 if nothing is in it yet.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection, contents: Contents, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match (found, contents) {
        (0, Contents::Windows) => {
            transaction.execute_batch(WINDOWS)?;
            transaction.execute_batch(LISTENERS)?;
            transaction.execute_batch(DROPS)?;
        }
        (0, Contents::Samples) => transaction.execute_batch(SAMPLES)?,
        (0, Contents::Ledger) => transaction.execute_batch(LEDGER)?,
        (1, Contents::Windows) => {
            transaction.execute_batch("ALTER TABLE books ADD COLUMN accept_wait BLOB")?;
            transaction.execute_batch(LISTENERS)?;
            transaction.execute_batch(DROPS)?;
        }
        (2, Contents::Windows) => {
            transaction.execute_batch("ALTER TABLE listeners ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0")?;
            transaction.execute_batch("ALTER TABLE listeners ADD COLUMN room INTEGER NOT NULL DEFAULT 0")?;
            transaction.execute_batch(DROPS)?;
        }
        _ => {}
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Opens a file for reading.
pub(crate) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(1))?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Whether a file is damaged, or has not the tables and columns of its version. Of one that cannot be opened nothing is known.
pub(crate) fn is_damaged(path: &Path, contents: Contents) -> bool {
    let look = |connection: &Connection| -> rusqlite::Result<bool> {
        let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let there = columns(connection)?;
        Ok(said != "ok" || !columns(&new(contents)?)?.is_subset(&there))
    };
    match open_to_read(path).and_then(|connection| look(&connection)) {
        Ok(damaged) => damaged,
        Err(error) => matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        ),
    }
}

/// A file as this version makes it, in memory.
fn new(contents: Contents) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, contents, 0)?;
    Ok(connection)
}

/// All columns, each with its table.
fn columns(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, String)>> {
    let sql = "SELECT tables.name, columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns \
        WHERE tables.type = 'table'";
    connection.prepare(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[test]
    fn a_mistake_of_ours_damages_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("10s-0-1.db");
        std::fs::write(&path, "").unwrap();
        let file = open(&path, Contents::Windows).unwrap();
        for sql in ["SELECT none FROM steps", "SELECT 1 FROM nowhere", "nonsense", "SELECT at FROM steps"] {
            let fault = Fault::from(file.query_row(sql, [], |_| Ok(())).unwrap_err());
            assert!(fault.doubtful() && !fault.damaged(), "{sql}: {fault}");
        }
        assert!(!is_damaged(&path, Contents::Windows));
        assert!(is_damaged(&path, Contents::Samples), "it has not their table");
        file.execute_batch("ALTER TABLE books RENAME COLUMN rtt TO other").unwrap();
        assert!(is_damaged(&path, Contents::Windows));
        drop(file);
        std::fs::write(&path, "no database").unwrap();
        assert!(is_damaged(&path, Contents::Windows));
    }
}
