//! A store that is only read, whether an agent writes there or not.

use crate::directory::{Directory, LEDGER};
use crate::error::{Fault, OpenError};
use crate::schema::{self, VERSION};
use crate::store::{Shared, Store, read_steps};
use rusqlite::OptionalExtension;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long what was seen of the directory counts.
const FRESH: Duration = Duration::from_secs(1);

impl Store {
    /// Opens a directory for reading only, whether an agent writes there or not. Nothing in it is changed; what is damaged is left where
    /// it is, and not read. What comes later is seen with the next question, a second later at most.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn look(directory: &Path) -> Result<Self, OpenError> {
        if !directory.join(LEDGER).exists() {
            return Err(OpenError::Nothing { directory: directory.to_owned() });
        }
        let mut shared = Shared::new(Directory::look(directory));
        shared.looked = Some(Mutex::new(Instant::now()));
        shared.read_all()?;
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// What is in the directory now.
    fn read_all(&self) -> Result<(), OpenError> {
        let path = self.directory.path();
        let failed = |source| OpenError::Directory { directory: path.to_owned(), source };
        let mut parts = BTreeMap::new();
        for name in self.directory.list().map_err(failed)?.partitions {
            let file = path.join(name.file());
            let read = || -> Result<_, Fault> {
                let connection = schema::open_to_read(&file)?;
                let version = schema::version(&connection)?;
                let part = (version == VERSION).then(|| read_steps(&connection, name)).transpose()?;
                Ok((version, part))
            };
            match read() {
                Ok((_, Some(part))) => drop(parts.insert(name.number, part)),
                // Nothing is in it yet, or it was removed.
                Ok((0, None)) => {}
                Err(fault) if fault.gone() || fault.damaged() => {}
                Ok((found, None)) if found > VERSION => return Err(OpenError::Newer { file, found, known: VERSION }),
                Ok((found, None)) => return Err(OpenError::Older { file, found, known: VERSION }),
                Err(fault) => return Err(fault.into_open(file)),
            }
        }
        let ledger = path.join(LEDGER);
        let reached = schema::open_to_read(&ledger).and_then(|ledger| {
            let sql = "SELECT value FROM state WHERE name = 'reached'";
            ledger.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()
        });
        let reached = reached.map_err(|error| Fault::from(error).into_open(ledger))?;
        self.reached.store(reached.unwrap_or(0) as u64, Ordering::Relaxed);
        self.next.store(parts.keys().next_back().copied().unwrap_or(0) + 1, Ordering::Relaxed);
        self.catalog_mut().parts = parts;
        Ok(())
    }

    /// The same again, if that was some time ago. What cannot be read now is as it was.
    pub(crate) fn look_again(&self) {
        let Some(looked) = &self.looked else { return };
        let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() >= FRESH {
            let _ = self.read_all();
            *looked = Instant::now();
        }
    }
}
