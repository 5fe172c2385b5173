//! The classic buckets that OpenTelemetry's semantic conventions recommend, counted exactly.

use serde::{Serialize, Serializer};

/// Upper, inclusive bounds of a classic histogram, in nanoseconds. What is above the last is in one more bucket.
pub type Bounds = &'static [u64];

const MILLIS: u64 = 1_000_000;

/// For `http.*` and `rpc.*`: 5 ms to 10 s.
pub const WIDE: Bounds = &[
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    75 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    750 * MILLIS,
    1000 * MILLIS,
    2500 * MILLIS,
    5000 * MILLIS,
    7500 * MILLIS,
    10_000 * MILLIS,
];

/// For `db.*`: 1 ms to 10 s.
pub const DATABASE: Bounds = &[
    MILLIS,
    5 * MILLIS,
    10 * MILLIS,
    50 * MILLIS,
    100 * MILLIS,
    500 * MILLIS,
    1000 * MILLIS,
    5000 * MILLIS,
    10_000 * MILLIS,
];

/// For round trips and connects: 0.5 ms to 1 s.
pub const NETWORK: Bounds = &[
    MILLIS / 2,
    MILLIS,
    2 * MILLIS,
    5 * MILLIS,
    10 * MILLIS,
    25 * MILLIS,
    50 * MILLIS,
    100 * MILLIS,
    250 * MILLIS,
    500 * MILLIS,
    1000 * MILLIS,
];

/// Counts per classic bucket. They cannot be computed from a [`crate::Sketch`], whose boundaries are others, so they are
/// counted beside it. Not cumulative: each duration is in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classic {
    counts: [u32; Self::MAX],
    used: u8,
}

impl Classic {
    /// Most buckets of all tables, the one without an upper bound included.
    pub const MAX: usize = 15;

    /// No durations yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        debug_assert!(bounds.len() < Self::MAX);
        Self { counts: [0; Self::MAX], used: bounds.len() as u8 + 1 }
    }

    /// Counts one duration. `bounds` is the table that the counter was made for.
    #[inline]
    pub fn record(&mut self, bounds: Bounds, nanos: u64) {
        let at = bounds.partition_point(|bound| *bound < nanos);
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts of another one of the same table.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Sets all counts to zero.
    pub fn clear(&mut self) {
        self.counts = [0; Self::MAX];
    }

    /// The counts; the last is that of the bucket without an upper bound.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts[..usize::from(self.used)]
    }
}

impl Serialize for Classic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.counts())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_what_is_above_all_has_its_own_bucket() {
        let mut classic = Classic::new(DATABASE);
        for nanos in [0, MILLIS, MILLIS + 1, 10_000 * MILLIS, 10_000 * MILLIS + 1, u64::MAX] {
            classic.record(DATABASE, nanos);
        }
        assert_eq!(classic.counts(), [2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        let mut classic = Classic::new(WIDE);
        classic.record(WIDE, 75 * MILLIS);
        assert_eq!((classic.counts().len(), classic.counts()[4]), (15, 1));
    }

    #[test]
    fn every_table_ascends_and_fits() {
        for bounds in [WIDE, DATABASE] {
            assert!(bounds.is_sorted() && bounds.len() < Classic::MAX);
        }
    }
}
