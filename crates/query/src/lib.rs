//! What can be asked of the windows that were kept, and the answers, whatever keeps them.
//!
//! ```text
//!   page, steth top, scripts
//!         | question                              ^ answer
//!         v                                       |
//!   answers   which tier, which groups        quantiles, rates, ranks, sentences
//!         | scan                                  ^ groups: sums and sketches
//!         v                                       |
//!   Engine    filter, group, add up   (Recent: windows in memory; the embedded store; a fleet's database)
//! ```
//!
//! An [`Engine`] filters, groups and adds integers and merges sketches, which any database can; everything that divides,
//! sorts by a quantile or words a sentence happens here, once, so all engines give the same answers bit for bit.
//!
//! Every answer ([`Answer`]) says what it was made from: the tier and its step, the range after it was aligned to that
//! step, whether something of the range is missing and why, and how much was counted under another name.

mod answers;
mod books;
mod both;
mod engine;
mod error;
mod meta;
mod range;
mod recent;
mod signals;
mod text;

pub mod ask;
pub mod finding;
pub mod openapi;
pub mod tell;

pub use answers::{Answers, Api, Processes};
pub use books::{Books, BooksBySide};
pub use both::{Both, Unkept};
pub use engine::{
    Coverage, Dimension, EdgeGroup, EdgeScan, Engine, EntityRecord, EntityScan, Filter, Group, Kept, Key, Listener,
    Order, SampleScan, Samples, Scan, Stretch, Sums,
};
pub use error::Error;
pub use meta::{Answer, Folded, Meta, Missing};
pub use range::{Range, Tier};
pub use recent::Recent;
pub use signals::{BySide, Quantiles, SideName, Signals};
pub use text::Text;
