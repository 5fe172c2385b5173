//! What the rows of edges add up to since the agent's start, for `/metrics`.

use crate::classic::{self, Bounds, Classic};
use crate::edges::{EdgeKey, EdgeRow, EdgeSums};
use crate::entity::Entities;
use crate::window::Window;
use hashbrown::HashMap;
use std::sync::Arc;

/// One edge since the start.
#[derive(Clone, Debug)]
pub struct EdgeSeries {
    /// What it is about, in numbers.
    pub key: EdgeKey,
    /// Who connected.
    pub client: Arc<str>,
    /// Who was connected to.
    pub server: Arc<str>,
    /// Connections that were open when the books were last asked for: of the last window, not a sum.
    pub open: u64,
    /// Numbers that add up.
    pub sums: EdgeSums,
    connect: [u64; Classic::MAX],
    rtt: [u64; Classic::MAX],
    /// Nanoseconds that all connects took.
    pub connect_sum: u128,
    /// Nanoseconds, all samples of round-trip times.
    pub rtt_sum: u128,
    updated: u64,
}

impl EdgeSeries {
    /// Upper bounds of the buckets of [`connect`](Self::connect) and [`rtt`](Self::rtt).
    pub const BOUNDS: Bounds = classic::NETWORK;

    /// How many connects took how long; the last bucket has no upper bound.
    #[must_use]
    pub fn connect(&self) -> &[u64] {
        &self.connect[..=Self::BOUNDS.len()]
    }

    /// How many samples of round-trip times were how long.
    #[must_use]
    pub fn rtt(&self) -> &[u64] {
        &self.rtt[..=Self::BOUNDS.len()]
    }

    fn add(&mut self, row: &EdgeRow) {
        self.sums.add(&row.totals.sums);
        self.connect_sum += u128::from(row.totals.connect.sum());
        self.rtt_sum += u128::from(row.totals.rtt.sum());
        for (mine, theirs) in
            [(&mut self.connect, &row.totals.connect_classic), (&mut self.rtt, &row.totals.rtt_classic)]
        {
            mine.iter_mut().zip(theirs.counts()).for_each(|(mine, theirs)| *mine += u64::from(*theirs));
        }
    }
}

/// All edges since the start, within a limit.
#[derive(Clone, Debug)]
pub(crate) struct EdgeSum {
    series: HashMap<EdgeKey, EdgeSeries>,
    max: usize,
}

impl EdgeSum {
    pub(crate) fn new(max: usize) -> Self {
        Self { series: HashMap::new(), max }
    }

    /// Adds a window's rows. Those of somebody who is not named yet wait, as the rows of exchanges do. In a window that is not
    /// over, sockets may not have been asked yet: how many connections are open, the one before tells.
    pub(crate) fn add(&mut self, window: &Window) {
        let (rows, end) = (&window.edges, window.end);
        if window.complete {
            self.series.values_mut().for_each(|series| series.open = 0);
        }
        for row in rows.iter().filter(|row| !row.provisional) {
            let key = self.place(row, end);
            if let Some(series) = self.series.get_mut(&key) {
                series.updated = series.updated.max(end);
                series.add(row);
                series.open += if window.complete { row.totals.open } else { 0 };
            }
        }
    }

    /// The key under which a row counts for good.
    pub(crate) fn place(&mut self, row: &EdgeRow, end: u64) -> EdgeKey {
        if self.series.contains_key(&row.key) {
            return row.key;
        }
        let full = self.series.len() >= self.max;
        let key = if full { row.key.anything() } else { row.key };
        self.series.entry(key).or_insert_with(|| {
            let nobody = Entities::new(0);
            let (client, server) = if full {
                (nobody.name(key.client), nobody.name(key.server))
            } else {
                (row.client.clone(), row.server.clone())
            };
            EdgeSeries {
                key,
                client,
                server,
                open: 0,
                sums: EdgeSums::default(),
                connect: [0; Classic::MAX],
                rtt: [0; Classic::MAX],
                connect_sum: 0,
                rtt_sum: 0,
                updated: end,
            }
        });
        key
    }

    /// Forgets what was idle for so long. Returns how many that were.
    pub(crate) fn forget(&mut self, now: u64, idle: u64) -> u64 {
        let before = self.series.len();
        self.series.retain(|_, series| now.saturating_sub(series.updated) < idle);
        (before - self.series.len()) as u64
    }

    pub(crate) fn series(&self) -> impl ExactSizeIterator<Item = &EdgeSeries> {
        self.series.values()
    }
}
