//! The requests that prove what the windows say: of each operation and minute the slowest, one at random, and errors up to a
//! budget.
//!
//! ```text
//!   exchange --- wants(operation, glance) ---> None, nearly always: nothing is formatted
//!                     |
//!                     `-> Some(why) --- keep(operation, why, sample) ---> kept, oldest first out
//!                                                                            |  snapshot(), 1 s
//!                                                                            v
//!                                                              Arc<Vec<Kept>>  GET /api/v1/requests
//! ```
//!
//! [`Samples::wants`] decides from a few numbers; only what it wants is written down, by the caller. A request that is the
//! slowest so far is kept at once, and goes when a slower one comes: so the slowest of the minute under way can be looked at
//! too. Nothing in here reads a clock or grows without bound, and the same exchanges with the same seed give the same samples.
//!
//! ```
//! use steth_samples::{Glance, Limits, Operation, Sample, Samples, Why};
//! use steth_window::{EntityId, Side};
//!
//! let mut samples = Samples::new(Limits::default(), 7);
//! let cart = Operation { server: EntityId::of("cart"), operation: 1, side: Side::Server };
//! for millis in [3, 9, 4] {
//!     let glance = Glance { end: 1_700_000_000_000_000_000, duration_ns: millis * 1_000_000, ..Glance::default() };
//!     if let Some(why) = samples.wants(&cart, &glance) {
//!         samples.keep(&cart, why, Sample { duration_ns: glance.duration_ns, json: "{}".into(), ..Sample::default() });
//!     }
//! }
//! let kept = samples.snapshot().expect("something changed");
//! let slowest = kept.iter().find(|kept| kept.why.has(Why::SLOWEST)).expect("one");
//! assert_eq!(slowest.sample.duration_ns, 9_000_000);
//! ```

mod dice;
mod operation;
mod sample;
mod samples;

pub use operation::{Glance, Operation};
pub use sample::{Kept, Sample, Why};
pub use samples::{Counts, Limits, Samples};
