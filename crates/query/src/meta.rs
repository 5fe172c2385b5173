//! What an answer says of itself.

use crate::range::{Range, Tier};
use serde::{Deserialize, Serialize};
use steth_window::Misplaced;
use utoipa::ToSchema;

/// An answer: what it was made from, and what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Answer<T> {
    /// What it was made from.
    pub meta: Meta,
    /// What was asked for.
    pub data: T,
}

/// What an answer was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Meta {
    /// The range that was read: the one asked for, grown to whole steps of the tier and cut to now.
    pub range: Range,
    /// How finely what was read is kept.
    pub tier: Tier,
    /// Milliseconds between two points of a series; a multiple of the tier's step.
    pub step_ms: u64,
    /// The end of the newest window that was kept, milliseconds since 1970; `None` if there is none. The age of the data.
    pub newest_ms: Option<u64>,
    /// Whether the whole range was kept: there is nothing in `missing`.
    pub complete: bool,
    /// Parts of the range of which nothing was kept, and why; at most 100, oldest first.
    pub missing: Vec<Missing>,
    /// When the first window begins that was ever kept, milliseconds since 1970, if nothing has been removed since: what is missing
    /// before that is no loss, the agent had not started. `None` if older windows had to go.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// What was counted under another name.
    pub folded: Folded,
}

/// A part of the range that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// When.
    pub range: Range,
    /// Why, in words: the agent did not run, the disk was full, it was older than what is kept.
    pub why: String,
}

/// How much of what an answer adds up stands under another name than its own. Nothing of it is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Folded {
    /// Exchanges whose operation was one too many for its service: under operation `other`.
    pub operations: u64,
    /// Exchanges whose row was one too many: under client, status, operation or service `other`.
    pub rows: u64,
    /// Looks at books whose edge was one too many: under client or server `other`.
    pub edges: u64,
    /// Exchanges that came after their window had gone out, or before it could begin: in another window.
    pub misdated: u64,
}

impl From<Misplaced> for Folded {
    fn from(misplaced: Misplaced) -> Self {
        Self {
            operations: misplaced.folded_operations,
            rows: misplaced.folded_rows,
            edges: misplaced.folded_edges,
            misdated: misplaced.late + misplaced.early,
        }
    }
}

impl Folded {
    /// Adds another one to this one.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.rows += other.rows;
        self.edges += other.edges;
        self.misdated += other.misdated;
    }
}
