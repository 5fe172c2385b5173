//! Why a store cannot be opened, and what may go wrong afterwards.

use crate::blob::Damaged;
use rusqlite::ErrorCode;
use std::path::PathBuf;

/// Why a store cannot be opened. Each says what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made, listed or written.
    #[error("the data directory {}: {source}; make it writable, or name another one in store.data", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another agent writes there.
    #[error("the data directory {} is in use by another steth (pid {pid}); stop that one, or name another directory in store.data",
        directory.display())]
    InUse {
        /// Which.
        directory: PathBuf,
        /// Whose it is; `?` if that cannot be read.
        pid: String,
    },
    /// A newer steth has written there. Nothing was changed.
    #[error("{} was written by a newer steth (format {found}; this one knows formats up to {known}); \
        start that one, or name another directory in store.data", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this program.
        known: i64,
    },
    /// An older steth has written there, and it is only to be read.
    #[error("{} was written by an older steth (format {found}, now {known}); start the agent on it once", file.display())]
    Older {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this program.
        known: i64,
    },
    /// Nothing was ever kept there.
    #[error("{} is no data directory of steth: there is no ledger.db in it", directory.display())]
    Nothing {
        /// Which.
        directory: PathBuf,
    },
    /// SQLite cannot open a file, and it is not because it is damaged: those are set aside.
    #[error("{}: {source}", file.display())]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// What may go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl Fault {
    /// The file is not what was written: it is set aside. Of some faults that is not sure ([`doubtful`](Self::doubtful)).
    pub(crate) fn damaged(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Io(_) => false,
            Self::Sqlite(error) => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..) => true,
                error => {
                    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
                }
            },
        }
    }

    /// It may be the file or whoever has asked: a table, a column or a row that should be there is not (SQLITE_ERROR).
    pub(crate) fn doubtful(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::QueryReturnedNoRows) => true,
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::Unknown),
            Self::Io(_) | Self::Damaged(_) => false,
        }
    }

    pub(crate) fn full(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            Self::Io(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::Damaged(_) => false,
        }
    }

    /// The time for a question was over.
    pub(crate) fn interrupted(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
    }

    /// The file is not there any more.
    pub(crate) fn gone(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen))
    }
}
