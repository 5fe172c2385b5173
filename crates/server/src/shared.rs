//! Where the data path leaves its snapshots and the server finds them.

use crate::health::Health;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use steth_query::{Both, Engine, Processes, Range, Recent, Unkept};
use steth_samples::Kept;
use steth_window::Window;

/// How many finished windows stay in memory for the page. Whatever limit is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Windows: 360 are one hour.
    pub windows: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// Series on `/metrics`; what exceeds it is counted under `other`.
    pub series: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { windows: 360, bytes: 16 * 1024 * 1024, series: 2000 }
    }
}

/// Finished windows, oldest first, each with its size in bytes.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) windows: Vec<(Arc<Window>, usize)>,
    bytes: usize,
}

impl History {
    fn with(&self, window: &Arc<Window>, size: usize, retention: &Retention) -> Self {
        let mut bytes = self.bytes + size;
        let mut skip = (self.windows.len() + 1).saturating_sub(retention.windows.max(1));
        bytes -= self.windows.iter().take(skip).map(|(_, size)| size).sum::<usize>();
        while bytes > retention.bytes && skip < self.windows.len() {
            bytes -= self.windows[skip].1;
            skip += 1;
        }
        let mut windows = Vec::with_capacity(self.windows.len() - skip + 1);
        windows.extend_from_slice(&self.windows[skip..]);
        windows.push((window.clone(), size));
        Self { windows, bytes }
    }
}

/// The snapshots. The data path replaces pointers and never waits for a reader; readers keep what they loaded.
#[derive(Debug)]
pub struct Shared {
    pub(crate) started: u64,
    pub(crate) retention: Retention,
    history: ArcSwap<History>,
    current: ArcSwapOption<Window>,
    health: ArcSwap<Health>,
    samples: ArcSwap<Vec<Kept>>,
    asked: OnceLock<Asked>,
    store: OnceLock<Store>,
    version: AtomicU64,
}

/// Who is asked for processes.
struct Asked(Processes);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

/// Tells what an engine could not keep.
pub type TellUnkept = Arc<dyn Fn() -> Unkept + Send + Sync>;

/// An engine that keeps more than the newest windows.
struct Store(Arc<dyn Engine>, TellUnkept);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Shared {
    /// Nothing published yet. `started` is when the agent began to watch, nanoseconds since 1970.
    #[must_use]
    pub fn new(started: u64, retention: Retention) -> Self {
        Self {
            started,
            retention,
            history: ArcSwap::default(),
            current: ArcSwapOption::empty(),
            health: ArcSwap::default(),
            samples: ArcSwap::default(),
            asked: OnceLock::new(),
            store: OnceLock::new(),
            version: AtomicU64::new(0),
        }
    }

    /// Publishes a finished window, in the order of their sequence numbers. Some microseconds every ten seconds.
    pub fn publish_finished(&self, window: Arc<Window>) {
        let size = window.size();
        self.history.rcu(|history| history.with(&window, size, &self.retention));
        self.changed();
    }

    /// Publishes the current window so far ([`steth_window::Windows::snapshot`]), about once a second.
    pub fn publish_current(&self, window: Arc<Window>) {
        self.current.store(Some(window));
        self.changed();
    }

    /// Publishes the state of the agent, about once a second.
    pub fn publish_health(&self, health: Health) {
        self.health.store(Arc::new(health));
        self.changed();
    }

    /// Publishes the requests that are kept one by one, newest first, when they have changed.
    pub fn publish_samples(&self, samples: Arc<Vec<Kept>>) {
        self.samples.store(samples);
        self.changed();
    }

    /// Whoever looks at an entity is told its processes by this, on a thread that makes answers. Only the first one counts.
    pub fn ask_for_processes(&self, processes: Processes) {
        let _ = self.asked.set(Asked(processes));
    }

    /// Questions are answered from this engine from now on, instead of from the newest windows; from these only what it could not
    /// keep. Only the first one counts.
    pub fn answer_from(&self, engine: Arc<dyn Engine>, unkept: TellUnkept) {
        let _ = self.store.set(Store(engine, unkept));
    }

    /// What questions are answered from. It may look at the store, which takes time.
    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        let Some(Store(engine, unkept)) = self.store.get() else { return Arc::new(self.recent()) };
        // In this order: what is not kept is in memory by now.
        let unkept = unkept();
        if unkept.is_empty() {
            return engine.clone();
        }
        if engine.coverage().is_err() {
            // A disk so full, or so broken, that nothing can be read either.
            return Arc::new(self.recent());
        }
        let (history, _) = self.windows();
        let windows = history.windows.iter().map(|(window, _)| window.clone());
        Arc::new(Both::new(engine.clone(), windows, &self.samples(), &unkept))
    }

    /// The finished windows in memory.
    fn recent(&self) -> Recent {
        let (history, current) = self.windows();
        let ms = |ns: u64| ns / 1_000_000;
        let oldest = history.windows.first().map(|(window, _)| &**window);
        // Windows without anything in them are not handed over. The current one begins where the last one ended.
        let known = Range {
            from_ms: match oldest {
                Some(oldest) if oldest.sequence > 1 => ms(oldest.start),
                Some(oldest) => ms(oldest.start.min(self.started)),
                None => ms(self.started),
            },
            to_ms: ms(current.map_or(0, |current| current.start)),
        };
        let windows = history.windows.iter().map(|(window, _)| window.clone()).collect();
        let began = oldest.is_none_or(|oldest| oldest.sequence <= 1);
        Recent::new(windows, self.samples(), known).from_the_start(began)
    }

    pub(crate) fn processes(&self) -> Option<Processes> {
        self.asked.get().map(|Asked(processes)| processes.clone())
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with everything published.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn health(&self) -> Arc<Health> {
        self.health.load_full()
    }

    pub(crate) fn samples(&self) -> Arc<Vec<Kept>> {
        self.samples.load_full()
    }

    /// The finished windows and the current one, without a gap or an overlap between them.
    pub(crate) fn windows(&self) -> (Arc<History>, Option<Arc<Window>>) {
        // In this order: a window that finishes in between is then in both, and can be told by its number. The other way
        // round it could be in neither, and a counter would go backwards.
        let current = self.current.load_full();
        let history = self.history.load_full();
        let last = history.windows.last().map_or(0, |(window, _)| window.sequence);
        (history, current.filter(|window| window.sequence > last))
    }
}
