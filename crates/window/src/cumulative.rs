//! What was counted since the start: the counters of a Prometheus scrape.

use crate::classic::Classic;
use crate::edge_series::{EdgeSeries, EdgeSum};
use crate::key::{Key, Labels};
use crate::listening::{ListenerSeries, ListenerSum};
use crate::sketch::Sketch;
use crate::window::{Row, Window};
use hashbrown::HashMap;
use std::sync::Arc;

/// How many there were and what they add up to. Its quantiles are in the windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// Nanoseconds.
    pub nanos: u128,
}

impl Sum {
    fn add(&mut self, times: Option<&Sketch>) {
        if let Some(times) = times {
            self.count += times.count();
            self.nanos += u128::from(times.sum());
        }
    }
}

/// One series: a key, and all that was ever counted under it.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is about.
    pub labels: Arc<Labels>,
    /// Exchanges.
    pub count: u64,
    /// Of these: slow.
    pub slow: u64,
    /// Sum of their durations in nanoseconds.
    pub sum: u128,
    /// Times in the server's socket before anybody read.
    pub queue: Sum,
    /// Times from the read to the response's first byte.
    pub service: Sum,
    /// Bytes of all requests.
    pub request_bytes: u64,
    /// Bytes of all responses.
    pub response_bytes: u64,
    classic: [u64; Classic::MAX],
    /// End of the last window that it had a row in.
    updated: u64,
}

impl Series {
    fn new(labels: Arc<Labels>, updated: u64) -> Self {
        let classic = [0; Classic::MAX];
        let (queue, service) = Default::default();
        Self {
            labels,
            count: 0,
            slow: 0,
            sum: 0,
            queue,
            service,
            request_bytes: 0,
            response_bytes: 0,
            classic,
            updated,
        }
    }

    /// Counts per classic bucket of the protocol, not cumulative; the last has no upper bound.
    #[must_use]
    pub fn classic(&self) -> &[u64] {
        &self.classic[..=self.labels.key.protocol.convention().bounds().len()]
    }

    fn add(&mut self, row: &Row) {
        let totals = &row.totals;
        self.count += totals.count;
        self.slow += totals.slow;
        self.sum += u128::from(totals.duration_sum);
        self.queue.add(totals.queue());
        self.service.add(row.service());
        self.request_bytes = self.request_bytes.saturating_add(totals.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(totals.response_bytes);
        for (mine, theirs) in self.classic.iter_mut().zip(totals.classic.counts()) {
            *mine += u64::from(*theirs);
        }
    }
}

/// All series: bounded, and without those that were idle for an hour.
///
/// It is fed with finished windows, each once, by whoever serves the scrape: the data path has no part in it.
#[derive(Clone, Debug)]
pub struct Cumulative {
    series: HashMap<Key, Series>,
    edges: EdgeSum,
    listeners: ListenerSum,
    max: usize,
    sequence: u64,
    folded: u64,
    dropped: u64,
    missed: u64,
    last_sweep: u64,
}

impl Cumulative {
    /// How long a series must have been idle to be dropped: one hour, in nanoseconds.
    pub const IDLE: u64 = 3600 * 1_000_000_000;

    /// Room for `max` series, and a few more for what exceeds it.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            series: HashMap::new(),
            edges: EdgeSum::new(max),
            listeners: ListenerSum::new(max),
            max,
            sequence: 0,
            folded: 0,
            dropped: 0,
            missed: 0,
            last_sweep: 0,
        }
    }

    /// Adds a finished window. One that was added before is left alone.
    pub fn absorb(&mut self, window: &Window) {
        if window.sequence <= self.sequence {
            return;
        }
        self.missed += window.sequence - self.sequence - 1;
        self.sequence = window.sequence;
        self.add(window);
        if window.end.abs_diff(self.last_sweep) >= 60 * 1_000_000_000 {
            self.last_sweep = window.end;
            let before = self.series.len();
            self.series.retain(|_, series| window.end.saturating_sub(series.updated) < Self::IDLE);
            self.dropped += (before - self.series.len()) as u64 + self.edges.forget(window.end, Self::IDLE);
            self.dropped += self.listeners.forget(window.end, Self::IDLE);
        }
    }

    /// What a scrape shows: everything absorbed, plus the current window so far unless it was absorbed already.
    #[must_use]
    pub fn with(&mut self, current: Option<&Window>) -> Self {
        let Some(window) = current.filter(|window| window.sequence > self.sequence) else { return self.clone() };
        // Places are given away for good, not in the copy only: were a key counted under `other` by one scrape and by
        // itself in the next, a counter would go backwards.
        for row in window.rows.iter().filter(|row| !row.labels.provisional) {
            self.place(row, window.end);
        }
        for row in window.edges.iter().filter(|row| !row.provisional) {
            self.edges.place(row, window.end);
        }
        let mut all = self.clone();
        all.add(window);
        all
    }

    fn add(&mut self, window: &Window) {
        // What is not known yet would be counted under a name that it loses in the next scrape: a counter would go backwards.
        for row in window.rows.iter().filter(|row| !row.labels.provisional) {
            let (key, folded) = self.place(row, window.end);
            if let Some(series) = self.series.get_mut(&key) {
                series.updated = series.updated.max(window.end);
                series.add(row);
            }
            self.folded += if folded { row.totals.count } else { 0 };
        }
        self.edges.add(window);
        // Of the window in progress, sockets have not been asked yet.
        if window.complete {
            self.listeners.add(&window.listeners, window.end);
        }
    }

    /// The key of the series that counts this row, which exists afterwards; and whether that is not its own.
    fn place(&mut self, row: &Row, now: u64) -> (Key, bool) {
        let key = row.labels.key;
        if self.series.contains_key(&key) {
            return (key, false);
        }
        if self.series.len() < self.max {
            self.series.insert(key, Series::new(row.labels.clone(), now));
            return (key, false);
        }
        let labels = Labels::anything(key);
        let key = labels.key;
        self.series.entry(key).or_insert_with(|| Series::new(Arc::new(labels), now));
        (key, true)
    }

    /// All series, in no particular order.
    pub fn series(&self) -> impl ExactSizeIterator<Item = &Series> {
        self.series.values()
    }

    /// The edges, by the kernel's books, in no particular order.
    pub fn edges(&self) -> impl ExactSizeIterator<Item = &EdgeSeries> {
        self.edges.series()
    }

    /// Who waits for connections, in no particular order.
    pub fn listeners(&self) -> impl ExactSizeIterator<Item = &ListenerSeries> {
        self.listeners.series()
    }

    /// Rows of those who wait for connections that found no room, of all windows.
    #[must_use]
    pub fn listeners_left_out(&self) -> u64 {
        self.listeners.left_out()
    }

    /// Exchanges counted under `other` because there were too many series.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Series dropped because they were idle.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Windows that were never seen here: whoever feeds this was too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
