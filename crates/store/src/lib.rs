//! Keeps windows on disk and gives them back, filtered, grouped and added up.
//!
//! ```text
//!   Arc<Window>                                                         question
//!       | Feed: never waits                                                | Engine
//!       v                                                                  v
//!   Writer, its own thread                                     Store: plan -> scan -> groups
//!       |  ingest: one window, one transaction                      ^ connections for reading only, a few at a time
//!       |  rollup: 10 s -> 1 min -> 10 min -> 1 h                   |
//!       |  room:   the files written first go first                 |
//!       v                                                           |
//!   10s-*.db   1m-*.db   10m-*.db   1h-*.db   samples-*.db   ledger.db (who there is, what is missing)
//! ```
//!
//! The format, the budget and what happens after a crash are described in `docs/store.md`. In short: a file of SQLite for each stretch
//! of time and tier; a window is there as a whole or not at all; nothing is deleted but whole files; what could not be kept is
//! declared ([`Coverage::missing`](steth_query::Coverage)).
//!
//! ```
//! use std::time::{Duration, Instant};
//! use steth_query::{Dimension, Engine, Filter, Range, Scan, Tier};
//! use steth_store::{Options, Store};
//! use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};
//!
//! let now = 1_700_000_003_000_000_000;
//! let (mut entities, mut windows) = (Entities::default(), Windows::new(Limits::default(), now));
//! let key = Key {
//!     client: entities.intern("web", now),
//!     server: entities.intern("cart", now),
//!     operation: 1,
//!     summary: None,
//!     namespace: 0,
//!     status: Status::code(200),
//!     error_type: 0,
//!     server_port: 8080,
//!     side: Side::Server,
//!     protocol: Protocol::Http,
//! };
//! windows.record(now, &key, &Observation { duration_ns: 5_000_000, ..Observation::default() });
//! let window = windows.close(&mut entities, &|number| ["", "GET /cart/{id}"][number as usize]).expect("a window");
//!
//! let directory = tempfile::tempdir()?;
//! let options = Options { bytes: 64 << 20, now: None, say: Box::new(|what| eprintln!("{what}")) };
//! let (store, writer) = Store::open(directory.path(), options)?;
//! let feed = writer.start()?;
//! feed.window(window);
//! feed.close(None, None);
//!
//! let groups = store.exchanges(&Scan {
//!     tier: Tier::Minute,
//!     range: Range { from_ms: 1_699_999_980_000, to_ms: 1_700_000_040_000 },
//!     step_ms: None,
//!     filter: Filter::default(),
//!     by: &[Dimension::Operation],
//!     sketches: true,
//!     limit: 100,
//!     deadline: Instant::now() + Duration::from_secs(1),
//! })?;
//! assert_eq!((groups[0].key.operation.as_deref(), groups[0].sums.count), (Some("GET /cart/{id}"), 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blob;
mod books;
mod catalog;
mod directory;
mod engine;
mod error;
mod feed;
mod ingest;
mod keep;
mod ledger;
mod level;
mod look;
mod partition;
mod pool;
mod rollup;
mod room;
mod row;
mod scan;
mod schema;
mod status;
mod store;
mod writer;

pub use error::OpenError;
pub use feed::Feed;
pub use schema::VERSION;
pub use status::Status;
pub use store::{Options, Store};
pub use writer::Writer;
