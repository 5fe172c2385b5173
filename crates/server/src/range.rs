//! The last windows, and the time that they stand for.

use crate::shared::{History, Shared};
use std::sync::Arc;
use steth_window::{Window, Windows};

const SECOND: f64 = 1e9;

/// Some of the last windows.
#[derive(Debug)]
pub(crate) struct Range {
    history: Arc<History>,
    current: Option<Arc<Window>>,
    /// Where it ends, nanoseconds since 1970.
    pub(crate) to: u64,
    /// Where its last finished window ends.
    pub(crate) newest: u64,
    /// Where its first window begins, be it before the agent did.
    from: u64,
    /// Where what it tells begins.
    pub(crate) covered: u64,
    /// When the agent began.
    pub(crate) started: u64,
}

impl Range {
    /// The last `last` finished windows and the current one.
    pub(crate) fn of(shared: &Shared, last: u64) -> Self {
        let (history, current) = shared.windows();
        let started = shared.started;
        let newest = current.as_deref().or_else(|| history.windows.last().map(|(window, _)| &**window));
        let to = newest.map_or(started, |window| window.end);
        let newest = newest.map_or(to, |window| if window.complete { window.end } else { window.start });
        let from = newest.saturating_sub(last * Windows::LENGTH);
        Self { history, current, to, newest, from, covered: from.max(started), started }
    }

    /// How long it is: what rates are divided by; at least one second.
    pub(crate) fn seconds(&self) -> f64 {
        (self.to.saturating_sub(self.covered) as f64 / SECOND).max(1.0)
    }

    /// All windows that there are, also those before it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Window> {
        self.history.windows.iter().map(|(window, _)| &**window).chain(self.current.as_deref())
    }

    /// Its windows.
    pub(crate) fn within(&self) -> impl Iterator<Item = &Window> {
        self.all().filter(|window| window.start >= self.from)
    }
}
