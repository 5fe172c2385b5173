//! The directory: whose it is, and what its files are called.

use crate::error::OpenError;
use crate::level::Level;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directory, held: no other agent can open it until this is dropped, or its process has ended.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// `None`: it is only looked at.
    _lock: Option<File>,
}

/// A partition file by its name: `10s-1700000000-17.db` is the 17th file of all and begins at that second since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) level: Level,
    /// Milliseconds since 1970.
    pub(crate) start: u64,
    pub(crate) number: u64,
}

impl Name {
    pub(crate) fn file(self) -> String {
        format!("{}-{}-{}.db", self.level.name(), self.start / 1000, self.number)
    }

    /// The same the other way round.
    pub(crate) fn parse_file(file: &str) -> Option<Self> {
        let (level, rest) = file.strip_suffix(".db")?.split_once('-')?;
        let (start, number) = rest.split_once('-')?;
        let level = Level::ALL.into_iter().find(|known| known.name() == level)?;
        let start: u64 = start.parse().ok()?;
        Some(Self { level, start: start.checked_mul(1000)?, number: number.parse().ok()? })
    }
}

/// What begins the name of a file that was set aside.
pub(crate) const DAMAGED: &str = "damaged-";
/// The file of entities and of what is missing.
pub(crate) const LEDGER: &str = "ledger.db";

/// What is in a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) partitions: Vec<Name>,
    /// Files of windows as older versions wrote them.
    pub(crate) old: usize,
}

impl Directory {
    /// Makes it if need be, for its owner only, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory { directory: path.to_owned(), source };
        if !path.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let lock = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = lock.take(20).read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "?" } else { pid.trim() }.to_owned();
                return Err(OpenError::InUse { directory: path.to_owned(), pid });
            }
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        // For whoever comes second. On a full disk it stays empty, which hurts nobody.
        let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: Some(lock) })
    }

    /// One that is only looked at, whoever writes there.
    pub(crate) fn look(path: &Path) -> Self {
        Self { path: path.to_owned(), _lock: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            listing.partitions.extend(Name::parse_file(name));
            listing.old += usize::from(name.starts_with("windows-") && name.ends_with(".jsonl"));
        }
        Ok(listing)
    }

    /// Makes an empty file that only its owner may read; what SQLite puts beside it gets the same permissions.
    pub(crate) fn create(&self, file: &str) -> io::Result<PathBuf> {
        let path = self.path.join(file);
        File::options().append(true).create(true).mode(0o600).open(&path)?;
        Ok(path)
    }

    /// Renames a file that is damaged, so that nobody reads it again and somebody may look at it.
    pub(crate) fn set_aside(&self, file: &str) -> io::Result<()> {
        for suffix in ["", "-wal"] {
            let from = self.path.join(format!("{file}{suffix}"));
            match fs::rename(from, self.path.join(format!("{DAMAGED}{file}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let _ = fs::remove_file(self.path.join(format!("{file}-shm")));
        Ok(())
    }

    /// Removes a file and what SQLite keeps beside it.
    pub(crate) fn unlink(&self, file: &str) -> io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            match fs::remove_file(self.path.join(format!("{file}{suffix}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes of a file and of what SQLite keeps beside it on disk.
    pub(crate) fn size(&self, file: &str) -> u64 {
        let size =
            |suffix| fs::metadata(self.path.join(format!("{file}{suffix}"))).map_or(0, |metadata| metadata.len());
        size("") + size("-wal")
    }

    /// Files that were set aside, with their sizes.
    pub(crate) fn damaged(&self) -> Vec<(String, u64)> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        let mut found: Vec<_> = (entries.flatten())
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?.len())))
            .filter(|(name, _)| name.starts_with(DAMAGED))
            .collect();
        found.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_inside() {
        let name = Name { level: Level::Minutes10, start: 1_700_000_000_000, number: 17 };
        assert_eq!(name.file(), "10m-1700000000-17.db");
        assert_eq!(Name::parse_file("10m-1700000000-17.db"), Some(name));
        for other in
            ["10m-1700000000-17.db-wal", "ledger.db", "damaged-10m-1-2.db", "9m-1-2.db", "10m-x-2.db", "10m-1.db"]
        {
            assert_eq!(Name::parse_file(other), None, "{other}");
        }
    }
}
