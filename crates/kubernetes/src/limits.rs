//! How much is kept at most, how long things may take, and what was left out.

use std::time::Duration;

/// Caps and times. [`Limits::default`] is for a cluster of 5,000 nodes and 100,000 pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pods, those that ended within `grace` included. One more is refused, unless one that has ended can make room.
    pub pods: usize,
    /// Services; the same rule.
    pub services: usize,
    /// Nodes; the same rule.
    pub nodes: usize,
    /// EndpointSlices.
    pub slices: usize,
    /// ReplicaSets and Jobs that something controls.
    pub owners: usize,
    /// Ends that are remembered for `grace`; beyond it the oldest is forgotten early.
    pub ended: usize,
    /// How long a pod, service or node that has gone is still found for exchanges from before.
    pub grace: Duration,
    /// Objects asked for in one page of a list. Halved where a page is larger than `page`.
    pub items: u32,
    /// Bytes of one page.
    pub page: usize,
    /// Bytes of one line of a watch. A longer one is skipped, and the resource listed anew when the stream ends.
    pub line: usize,
    /// How long an answer may take to begin, and to go on once it has begun.
    pub answer: Duration,
    /// How long a watch may be silent before it counts as hung. Bookmarks come every minute or so.
    pub silence: Duration,
    /// How long the server is asked to keep a watch open.
    pub watch: Duration,
    /// First and longest pause after a failure; it doubles from one to the other, and half of it is chance.
    pub pause: (Duration, Duration),
    /// Pause where access is denied or the resource is not there.
    pub pause_denied: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pods: 120_000,
            services: 20_000,
            nodes: 10_000,
            slices: 40_000,
            owners: 200_000,
            ended: 50_000,
            grace: Duration::from_secs(120),
            items: 500,
            page: 32 << 20,
            line: 4 << 20,
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(150),
            watch: Duration::from_secs(290),
            pause: (Duration::from_secs(1), Duration::from_secs(60)),
            pause_denied: Duration::from_secs(300),
        }
    }
}

impl Limits {
    pub(crate) fn grace_ns(&self) -> u64 {
        u64::try_from(self.grace.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What happened, and what was left out, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Objects without room in their table.
    pub refused: u64,
    /// Objects that ended and were forgotten before their grace was over.
    pub forgotten_early: u64,
    /// Claims on an address that made room for newer ones.
    pub claims_displaced: u64,
    /// Objects that could not be read: no such JSON, no UUID, no name.
    pub unusable: u64,
    /// Lines and pages longer than their limit.
    pub oversized: u64,
    /// Lists that were complete.
    pub lists: u64,
    /// Watches that began.
    pub watches: u64,
    /// Objects and events that were read.
    pub events: u64,
    /// Bookmarks that were read.
    pub bookmarks: u64,
    /// Times the server had forgotten our version (410), so that a new list was needed.
    pub gone: u64,
    /// Requests and streams that failed: refused, broken, hung, garbage, or with another status.
    pub failures: u64,
}
