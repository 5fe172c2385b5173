//! How finely, for how long in one file, and for what share of the room.

use steth_query::Tier;

/// A row of partition files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Level {
    Seconds10,
    Minute,
    Minutes10,
    /// Nobody can ask for it: it makes a day of ten minutes quick to add up.
    Hour,
    /// Requests that were kept one by one.
    Samples,
}

const HOUR: u64 = 3_600_000;

impl Level {
    pub(crate) const ALL: [Self; 5] = [Self::Seconds10, Self::Minute, Self::Minutes10, Self::Hour, Self::Samples];
    /// Those that are rolled up, finest first.
    pub(crate) const ROLLED: [Self; 3] = [Self::Minute, Self::Minutes10, Self::Hour];

    pub(crate) fn of(tier: Tier) -> Self {
        match tier {
            Tier::Seconds10 => Self::Seconds10,
            Tier::Minute => Self::Minute,
            Tier::Minutes10 => Self::Minutes10,
        }
    }

    /// In names of files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seconds10 => "10s",
            Self::Minute => "1m",
            Self::Minutes10 => "10m",
            Self::Hour => "1h",
            Self::Samples => "samples",
        }
    }

    /// The length of a step, milliseconds.
    pub(crate) fn step(self) -> u64 {
        match self {
            Self::Seconds10 | Self::Samples => 10_000,
            Self::Minute => 60_000,
            Self::Minutes10 => 600_000,
            Self::Hour => HOUR,
        }
    }

    /// The time that one file is for, milliseconds: some hundreds of steps, so that a question opens few files and what is removed
    /// at once is a small part of what is kept. Each is whole steps of the next level, so that a step's sources are in one file.
    pub(crate) fn period(self) -> u64 {
        match self {
            Self::Seconds10 => HOUR,
            Self::Minute => 12 * HOUR,
            Self::Samples => 24 * HOUR,
            Self::Minutes10 => 7 * 24 * HOUR,
            Self::Hour => 28 * 24 * HOUR,
        }
    }

    /// Percent of the room that it may take when there is not enough for all. A tier of 10 seconds fills its share within hours, one
    /// of 10 minutes within weeks: fine steps are for what happened just now.
    pub(crate) fn share(self) -> u64 {
        match self {
            Self::Seconds10 => 45,
            Self::Minute => 25,
            Self::Minutes10 => 16,
            Self::Hour => 4,
            Self::Samples => 10,
        }
    }

    /// From what it is rolled up.
    pub(crate) fn finer(self) -> Option<Self> {
        match self {
            Self::Seconds10 | Self::Samples => None,
            Self::Minute => Some(Self::Seconds10),
            Self::Minutes10 => Some(Self::Minute),
            Self::Hour => Some(Self::Minutes10),
        }
    }

    /// The beginning of the step that a time is in.
    pub(crate) fn floor(self, at: u64) -> u64 {
        at - at % self.step()
    }
}
