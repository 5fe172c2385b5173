//! What became of what: for health and `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Windows that are kept, since the start.
    pub written: u64,
    /// The [`sequence`](steth_window::Window::sequence) of the last window that is kept: it and all before it that were neither dropped
    /// nor failed are there, whatever happens to this process.
    pub committed: u64,
    /// Windows that were not kept because too many were waiting. Their time is declared missing.
    pub dropped: u64,
    /// Windows that could not be written. Their time is declared missing.
    pub failed: u64,
    /// Windows of a time that another window had before, or of a time before the newest: the clock was set back. All of them are kept.
    pub out_of_order: u64,
    /// Steps of coarser tiers that were added up.
    pub rolled_up: u64,
    /// Requests that are kept one by one, since the start.
    pub samples: u64,
    /// Requests that could not be written.
    pub samples_failed: u64,
    /// Partition files.
    pub partitions: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that they may take.
    pub budget: u64,
    /// Files that were removed to stay within it.
    pub unlinked: u64,
    /// Files that were damaged and set aside.
    pub damaged: u64,
    /// Nanoseconds that writing, adding up and removing took.
    pub busy_ns: u64,
    /// What went wrong last, if it still does.
    pub trouble: Option<String>,
}

/// The same while it changes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) written: AtomicU64,
    pub(crate) committed: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) out_of_order: AtomicU64,
    pub(crate) rolled_up: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) samples_failed: AtomicU64,
    pub(crate) unlinked: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    /// Bytes of files that are not in the catalog.
    pub(crate) other_bytes: AtomicU64,
    trouble: Mutex<Option<String>>,
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Counters {
    /// Something goes wrong. True if it did not before: then it is worth saying.
    pub(crate) fn trouble(&self, what: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.replace(what.to_owned()).is_none()
    }

    /// It does not any more. True if it did before.
    pub(crate) fn recovered(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    pub(crate) fn read(&self) -> Status {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            written: of(&self.written),
            committed: self.committed.load(Ordering::Acquire),
            dropped: of(&self.dropped),
            failed: of(&self.failed),
            out_of_order: of(&self.out_of_order),
            rolled_up: of(&self.rolled_up),
            samples: of(&self.samples),
            samples_failed: of(&self.samples_failed),
            unlinked: of(&self.unlinked),
            damaged: of(&self.damaged),
            busy_ns: of(&self.busy_ns),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..Status::default()
        }
    }
}
