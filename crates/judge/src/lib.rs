//! Who of those that are running already is observed, and which containers are.
//!
//! ```text
//! drain --[ rules, containers, moves ]--> Judge --[ queue ]--> a thread: Judging --[ /proc ]--> verdicts ==> kernel side
//! ```
//!
//! New images the kernel side judges by itself, before their first instruction. What it cannot judge is done here: processes
//! that are there when the rules come or change, those that were put into another container, and containers, of which the
//! kernel knows no name. Reading `/proc` takes locks that others may hold for long, so [`Judge`] has a thread for it and never
//! waits. Whoever cannot be read is not selected, and counted.
//!
//! ```no_run
//! use std::time::Duration;
//! use steth_judge::{Judge, Judging};
//! use steth_probe::{Probe, Settings};
//! use steth_verdict::{Patterns, Rows, Rules};
//! let nginx = Patterns { include: vec!["/nginx$".into()], ..Patterns::default() };
//! let rules = Rules::new(&Rows { executable: nginx, ..Rows::default() })?;
//! let selection = steth_probe::Selection { rules, ..Default::default() };
//! let mut probe = Probe::attach(&Settings { selection: selection.clone(), ..Settings::default() })?;
//! // Who is running now is judged when this returns; what comes later, on the thread.
//! let judge = Judge::start(Judging::begin(&mut probe, &selection.rules)?)?;
//! judge.joined(4711);
//! assert!(judge.wait(Duration::from_secs(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod containers;
mod desk;
mod judging;

pub use containers::Id;
pub use desk::{Judge, ORDERS};
pub use judging::{Counts, Judging};
