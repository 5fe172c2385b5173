//! What rows add up to, each side by itself.

use serde::Serialize;
use steth_window::{Row, Side, Sketch};

/// The sides that were observed. They are never summed.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Sides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<Numbers>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Numbers {
    pub(crate) count: u64,
    pub(crate) rate: f64,
    pub(crate) errors: u64,
    pub(crate) blocking: u64,
    pub(crate) slow: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p95_ns: Option<f64>,
    pub(crate) p99_ns: Option<f64>,
    pub(crate) max_ns: Option<u64>,
    /// Between the arrival in the server's socket and the read; at the server's side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queue: Option<Times>,
    /// Between the read and the response's first byte; at the server's side only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Times>,
}

/// Quantiles of a part of the time.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    pub(crate) p50_ns: Option<f64>,
    pub(crate) p95_ns: Option<f64>,
}

impl Times {
    fn of(sketch: &Sketch) -> Option<Self> {
        (sketch.count() > 0).then(|| Self { p50_ns: sketch.quantile(0.5), p95_ns: sketch.quantile(0.95) })
    }
}

/// What the rows of one side add up to.
#[derive(Clone, Default)]
struct Tally {
    count: u64,
    errors: u64,
    blocking: u64,
    slow: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration: Sketch,
    queue: Sketch,
    service: Sketch,
}

impl Tally {
    fn add(&mut self, row: &Row) {
        let totals = &row.totals;
        self.count += totals.count;
        self.errors += if row.labels.key.failed() { totals.count } else { 0 };
        self.blocking += totals.blocking;
        self.slow += totals.slow;
        self.request_bytes = self.request_bytes.saturating_add(totals.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(totals.response_bytes);
        self.duration.merge(&totals.duration);
        if let Some(queue) = totals.queue() {
            self.queue.merge(queue);
        }
        if let Some(service) = row.service() {
            self.service.merge(service);
        }
    }

    fn numbers(&self, seconds: f64) -> Option<Numbers> {
        (self.count > 0).then(|| Numbers {
            count: self.count,
            rate: self.count as f64 / seconds,
            errors: self.errors,
            blocking: self.blocking,
            slow: self.slow,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            p50_ns: self.duration.quantile(0.5),
            p95_ns: self.duration.quantile(0.95),
            p99_ns: self.duration.quantile(0.99),
            max_ns: self.duration.max(),
            queue: Times::of(&self.queue),
            service: Times::of(&self.service),
        })
    }
}

/// One tally per side.
#[derive(Clone, Default)]
pub(crate) struct Tallies([Tally; 3]);

impl Tallies {
    pub(crate) fn add(&mut self, row: &Row) {
        self.0[row.labels.key.side as usize].add(row);
    }

    /// The side that tells how often something happened: the server's, if it was observed.
    pub(crate) fn leading(&self) -> Side {
        let seen = |side: &Side| self.0[*side as usize].count > 0;
        [Side::Server, Side::Client].into_iter().find(seen).unwrap_or(Side::Network)
    }

    pub(crate) fn rate(&self, seconds: f64) -> f64 {
        self.0[self.leading() as usize].count as f64 / seconds
    }

    pub(crate) fn sides(&self, seconds: f64) -> Sides {
        let [client, server, network] = [0, 1, 2].map(|side| self.0[side].numbers(seconds));
        Sides { client, server, network }
    }
}
