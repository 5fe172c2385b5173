//! Connections for reading: so many questions at once, so many files open.

use crate::error::Fault;
use crate::schema;
use rusqlite::Connection;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Most questions at once; others wait. Each takes at most a connection's cache of 1 MiB at a time.
const QUESTIONS: usize = 4;
/// Most files that stay open when nobody reads them, those used last.
const IDLE: usize = 12;

#[derive(Debug)]
pub(crate) struct Pool {
    directory: PathBuf,
    idle: Mutex<Vec<(String, Connection)>>,
    questions: Mutex<usize>,
    left: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            idle: Mutex::default(),
            questions: Mutex::default(),
            left: Condvar::new(),
        }
    }

    /// Waits until it is this question's turn; `None` if that takes longer than its time.
    pub(crate) fn enter(&self, deadline: Instant) -> Option<Turn<'_>> {
        let mut questions = lock(&self.questions);
        while *questions >= QUESTIONS {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            questions = self.left.wait_timeout(questions, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *questions += 1;
        Some(Turn(self))
    }

    /// Opens a file for reading, as it is now: what is written from now on does not show. With a deadline, whatever takes longer is
    /// interrupted.
    pub(crate) fn open(&self, file: &str, deadline: Option<Instant>) -> Result<Reader<'_>, Fault> {
        let known = {
            let mut idle = lock(&self.idle);
            idle.iter().position(|(of, _)| of == file).map(|at| idle.remove(at).1)
        };
        let connection = match known {
            Some(connection) => connection,
            None => schema::open_to_read(&self.directory.join(file))?,
        };
        if let Some(deadline) = deadline {
            connection.progress_handler(1000, Some(move || Instant::now() >= deadline))?;
        }
        connection.execute_batch("BEGIN")?;
        Ok(Reader { pool: self, file: file.to_owned(), connection: Some(connection) })
    }

    /// Closes what is open of a file that is not there any more.
    pub(crate) fn forget(&self, file: &str) {
        lock(&self.idle).retain(|(of, _)| of != file);
    }
}

/// A question's turn.
pub(crate) struct Turn<'a>(&'a Pool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.questions) -= 1;
        self.0.left.notify_one();
    }
}

/// A file, open for reading.
pub(crate) struct Reader<'a> {
    pool: &'a Pool,
    file: String,
    connection: Option<Connection>,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let free = connection.progress_handler(0, None::<fn() -> bool>).is_ok();
        // Nobody asks for a file again that was removed, and its room is wanted.
        let there = self.pool.directory.join(&self.file).exists();
        if free && there && connection.execute_batch("ROLLBACK").is_ok() {
            let mut idle = lock(&self.pool.idle);
            if idle.len() >= IDLE {
                idle.remove(0);
            }
            idle.push((std::mem::take(&mut self.file), connection));
        }
    }
}
