//! Which time, and how finely.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stretch of time, milliseconds since 1970: from `from_ms` to before `to_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Range {
    /// Its beginning.
    pub from_ms: u64,
    /// Its end, which is not part of it.
    pub to_ms: u64,
}

impl Range {
    /// Its length in milliseconds; 0 if it ends before it begins.
    #[must_use]
    pub fn length_ms(self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }

    /// The same, grown to whole steps.
    #[must_use]
    pub fn aligned(self, step_ms: u64) -> Self {
        let step = step_ms.max(1);
        Self { from_ms: self.from_ms - self.from_ms % step, to_ms: self.to_ms.div_ceil(step).saturating_mul(step) }
    }

    /// What both have; `None` if that is nothing.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let both = Self { from_ms: self.from_ms.max(other.from_ms), to_ms: self.to_ms.min(other.to_ms) };
        (both.from_ms < both.to_ms).then_some(both)
    }
}

/// How finely time is kept. Windows are rolled up by adding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Tier {
    /// Windows as they were counted.
    #[serde(rename = "10s")]
    Seconds10,
    /// Six of them.
    #[serde(rename = "1m")]
    Minute,
    /// Sixty of them.
    #[serde(rename = "10m")]
    Minutes10,
}

impl Tier {
    /// All, finest first.
    pub const ALL: [Tier; 3] = [Tier::Seconds10, Tier::Minute, Tier::Minutes10];

    /// The length of one of its steps, milliseconds.
    #[must_use]
    pub const fn step_ms(self) -> u64 {
        match self {
            Tier::Seconds10 => 10_000,
            Tier::Minute => 60_000,
            Tier::Minutes10 => 600_000,
        }
    }

    /// As it is written in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Tier::Seconds10 => "10s",
            Tier::Minute => "1m",
            Tier::Minutes10 => "10m",
        }
    }
}
