//! The store as all who use it share it, and how it is opened.

use crate::catalog::{Catalog, Part};
use crate::directory::{Directory, LEDGER, Name};
use crate::error::{Fault, OpenError};
use crate::feed::Feed;
use crate::ledger::{Ledger, add_gap};
use crate::level::Level;
use crate::pool::Pool;
use crate::schema::{self, Contents, VERSION};
use crate::status::{Counters, Status, count};
use crate::writer::Writer;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;
use steth_query::{Missing, Range, Unkept};

/// How a store is opened.
pub struct Options {
    /// Bytes that all files may take. The files written first are removed first.
    pub bytes: u64,
    /// For windows as they happen: now, nanoseconds since 1970. What lies between the last window and now is declared missing. `None`:
    /// the windows are of some other time, as those of a recording.
    pub now: Option<u64>,
    /// Is told what a person should know: that the disk is full, and that it is not any more.
    pub say: Box<dyn Fn(&str) + Send + Sync>,
}

/// Windows that could not be kept, of which that is remembered: more than the agent has in memory.
const MOST_UNKEPT: usize = 720;

/// The store, for reading. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

/// What everybody shares.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    pub(crate) pool: Pool,
    pub(crate) counters: Counters,
    /// Until when all that happened was handed over, milliseconds since 1970; 0 is not known.
    pub(crate) reached: AtomicU64,
    pub(crate) budget: u64,
    pub(crate) say: Box<dyn Fn(&str) + Send + Sync>,
    /// The number of the next file.
    pub(crate) next: AtomicU64,
    catalog: RwLock<Catalog>,
    /// What is missing and not written down yet.
    unsaved: Mutex<Vec<Missing>>,
    /// What could not be kept, as far as it may still be in memory elsewhere.
    unkept: Mutex<Unkept>,
    /// Somebody else may write: when the directory was looked at, if it is only read here.
    pub(crate) looked: Option<Mutex<Instant>>,
}

impl Store {
    /// Opens a directory, making it if need be, and brings what is in it up to date. Nothing is written after that until
    /// [`Writer::start`](crate::Writer::start).
    ///
    /// # Errors
    /// [`OpenError`]; then nothing in the directory was changed, but for files that are damaged, which are set aside.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Writer), OpenError> {
        let directory = Directory::open(directory)?;
        let failed = |source| OpenError::Directory { directory: directory.path().to_owned(), source };
        let listing = directory.list().map_err(failed)?;
        // Before anything is touched.
        for file in listing.partitions.iter().map(|name| name.file()).chain([LEDGER.to_owned()]) {
            refuse_newer(directory.path().join(file).as_path())?;
        }
        if listing.old > 0 {
            let (files, path) = (listing.old, directory.path().display());
            (options.say)(&format!(
                "{files} files {path}/windows-*.jsonl are of an earlier version and are not read; remove them"
            ));
        }
        let next = listing.partitions.iter().map(|name| name.number).max().unwrap_or(0) + 1;
        let shared = Shared { budget: options.bytes, say: options.say, ..Shared::new(directory) };
        shared.next.store(next, Ordering::Relaxed);
        for name in listing.partitions {
            match shared.read_part(name) {
                Ok(Some(part)) => drop(shared.catalog_mut().parts.insert(name.number, part)),
                Ok(None) => {}
                Err(fault) if shared.damaged(&name.file(), &fault) => shared.set_aside(&name.file()),
                Err(fault) => return Err(fault.into_open(shared.directory.path().join(name.file()))),
            }
        }
        let ledger = shared.open_ledger()?;
        let shared = Arc::new(shared);
        let writer = Writer::new(shared.clone(), ledger, options.now)?;
        Ok((Self { shared }, writer))
    }

    /// What was handed over and could not be kept, the newest of it. Whoever still has it can answer with it
    /// ([`steth_query::Both`]).
    #[must_use]
    pub fn unkept(&self) -> Unkept {
        self.shared.unkept().clone()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let catalog = self.shared.catalog();
        Status {
            partitions: catalog.parts.len() as u64,
            bytes: catalog.bytes() + self.shared.counters.other_bytes.load(Ordering::Relaxed),
            budget: self.shared.budget,
            ..self.shared.counters.read()
        }
    }
}

/// A file of a version that this program does not know is left as it is.
fn refuse_newer(file: &Path) -> Result<(), OpenError> {
    if !file.exists() {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // What cannot be read is damaged, and is found to be so when it is opened.
    let found = Connection::open_with_flags(file, flags).and_then(|file| schema::version(&file)).unwrap_or(0);
    if found > VERSION {
        return Err(OpenError::Newer { file: file.to_owned(), found, known: VERSION });
    }
    Ok(())
}

/// A file's steps.
pub(crate) fn read_steps(connection: &Connection, name: Name) -> Result<Part, Fault> {
    let mut part = Part { name, bytes: 0, steps: Default::default(), sealed: false };
    if name.level == Level::Samples {
        connection.query_row("SELECT count(*) FROM samples WHERE id < 0", [], |row| row.get::<_, i64>(0))?;
        return Ok(part);
    }
    let mut statement = connection.prepare("SELECT at, id, upto FROM steps")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        part.steps.insert((at as u64, row.get(1)?), row.get(2)?);
    }
    Ok(part)
}

impl Fault {
    pub(crate) fn into_open(self, file: std::path::PathBuf) -> OpenError {
        match self {
            Self::Sqlite(source) => OpenError::Sqlite { file, source },
            Self::Io(source) => OpenError::Directory { directory: file, source },
            Self::Damaged(_) => {
                OpenError::Directory { directory: file, source: std::io::ErrorKind::InvalidData.into() }
            }
        }
    }
}

impl Shared {
    /// Of a directory, with nothing in it so far.
    pub(crate) fn new(directory: Directory) -> Self {
        Self {
            pool: Pool::new(directory.path()),
            directory,
            counters: Counters::default(),
            reached: AtomicU64::new(0),
            budget: 0,
            say: Box::new(|_| {}),
            next: AtomicU64::new(1),
            catalog: RwLock::default(),
            unsaved: Mutex::default(),
            unkept: Mutex::default(),
            looked: None,
        }
    }

    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaved(&self) -> MutexGuard<'_, Vec<Missing>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unkept(&self) -> MutexGuard<'_, Unkept> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A window could not be kept.
    pub(crate) fn unkept_window(&self, sequence: u64) {
        let windows = &mut self.unkept().windows;
        if let Err(place) = windows.binary_search(&sequence) {
            windows.insert(place, sequence);
        }
        if windows.len() > MOST_UNKEPT {
            windows.remove(0);
        }
    }

    /// These requests are not kept so far, ascending.
    pub(crate) fn unkept_samples(&self, numbers: Vec<u64>) {
        self.unkept().samples = numbers;
    }

    /// Something is missing: written down with the next window.
    pub(crate) fn miss(&self, range: Range, why: &str) {
        add_gap(&mut self.unsaved(), Missing { range, why: why.to_owned() });
    }

    /// What is missing and not written down yet.
    pub(crate) fn unsaved_gaps(&self) -> Vec<Missing> {
        self.unsaved().clone()
    }

    /// These are written down now.
    pub(crate) fn saved(&self, gaps: &[Missing]) {
        self.unsaved().retain(|gap| !gaps.contains(gap));
    }

    /// A file as it was left; `None` if there is nothing in it, and so not any more.
    fn read_part(&self, name: Name) -> Result<Option<Part>, Fault> {
        let (file, path) = (name.file(), self.directory.path().join(name.file()));
        // Its maker was killed before anything was in it.
        if self.directory.size(&file) == 0 {
            self.directory.unlink(&file)?;
            return Ok(None);
        }
        let connection = schema::open(&path, Contents::from(name.level))?;
        let mut part = read_steps(&connection, name)?;
        drop(connection);
        part.bytes = self.directory.size(&file);
        part.sealed = part.bytes > self.largest(name.level);
        Ok(Some(part))
    }

    /// How large a file may become before another one is begun: a fraction of its level's share, so that what is removed at once is
    /// a small part of what is kept.
    pub(crate) fn largest(&self, level: Level) -> u64 {
        (self.budget / 100 * level.share() / 6).max(256 << 10)
    }

    fn open_ledger(&self) -> Result<Ledger, OpenError> {
        let failed = |source| OpenError::Directory { directory: self.directory.path().to_owned(), source };
        let path = self.directory.create(LEDGER).map_err(failed)?;
        match Ledger::open(&path) {
            Err(fault) if self.damaged(LEDGER, &fault) => {
                self.set_aside(LEDGER);
                let path = self.directory.create(LEDGER).map_err(failed)?;
                Ledger::open(&path).map_err(|fault| fault.into_open(path))
            }
            other => other.map_err(|fault| fault.into_open(path)),
        }
    }

    /// Whether a fault is the file's, and not ours or the system's. Where SQLite does not say, it is looked through: a mistake of ours
    /// must not cost what is kept.
    pub(crate) fn damaged(&self, file: &str, fault: &Fault) -> bool {
        if !fault.doubtful() {
            return fault.damaged();
        }
        let contents = Name::parse_file(file).map_or(Contents::Ledger, |name| Contents::from(name.level));
        schema::is_damaged(&self.directory.path().join(file), contents)
    }

    /// A file is damaged: nobody reads it again, and what was in it is declared missing.
    pub(crate) fn set_aside(&self, file: &str) {
        // Whoever writes there will do it.
        let only_read = self.looked.is_some();
        let part = {
            let mut catalog = self.catalog_mut();
            let number = catalog.parts.values().find(|part| part.name.file() == file).map(|part| part.name.number);
            number.and_then(|number| catalog.parts.remove(&number))
        };
        self.pool.forget(file);
        // Whoever comes second finds it gone.
        if only_read || !self.directory.path().join(file).exists() {
            return;
        }
        count(&self.counters.damaged, 1);
        let done = self.directory.set_aside(file);
        let what = match done {
            Ok(()) => format!("{file} was damaged and set aside as damaged-{file}"),
            Err(error) => format!("{file} is damaged and cannot be set aside: {error}"),
        };
        (self.say)(&what);
        let name = part.as_ref().map(|part| part.name).or_else(|| Name::parse_file(file));
        let Some(name) = name else { return };
        let ends =
            part.as_ref().and_then(|part| Some((part.steps.first_key_value()?.0.0, part.steps.last_key_value()?.0.0)));
        let range = match ends {
            Some((first, last)) => Range { from_ms: first, to_ms: last + name.level.step() },
            None => Range { from_ms: name.start, to_ms: name.start.saturating_add(name.level.period()) },
        };
        let what = if name.level == Level::Samples { "requests" } else { name.level.name() };
        self.miss(range, &format!("a file of the store ({what}) was damaged and set aside"));
    }
}

impl Writer {
    /// Begins to write, on a thread of its own, which has the privileges of the thread that calls this.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn start(self) -> std::io::Result<Feed> {
        Feed::start(self)
    }
}
