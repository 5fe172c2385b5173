//! Ten-second windows and the latency sketch.
//!
//! Exchanges come in, one call each; every ten seconds a [`Window`] goes out. A window has one row per client, server,
//! side, protocol, operation, status and error: counts, bytes, and how the durations were distributed ([`Sketch`]).
//! Nothing in here grows without bound, waits, or reads a clock.
//!
//! ```text
//!                     wire, identity
//!                           |  record(end, key, observation)
//!   Entities                v
//!   name <-> id ......  Windows  current | next        (data path: numbers only)
//!                           |
//!            snapshot, 1 s  |  roll, 10 s               (numbers become words)
//!                           v
//!                     Arc<Window>  rows of Labels + Totals { Sketch, Classic }
//!                       |      |
//!                  Cumulative  history, store, export   (readers' threads)
//!                  /metrics    the page
//! ```
//!
//! [`Key`] and [`Observation`] are numbers. The strings behind them are looked up once per row, when a window is handed
//! over, and shared from then on ([`Labels`]). Limits on rows and operations ([`Limits`]) fold what exceeds them into
//! `other`; [`Misplaced`] says how much that was, so the sum over all rows is always the number of exchanges.
//!
//! ```
//! use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};
//!
//! let names = ["", "GET /cart/{id}"];           // the caller's table; number 0 is the empty string
//! let name = |n: u32| names[n as usize];
//! let now = 1_700_000_003_000_000_000;          // nanoseconds since 1970
//!
//! let mut entities = Entities::default();
//! let mut windows = Windows::new(Limits::default(), now);
//! let key = Key {
//!     client: entities.intern("storefront", now),
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
//! for millis in 1..=100 {
//!     let seen = Observation { duration_ns: millis * 1_000_000, response_bytes: 512, ..Default::default() };
//!     windows.record(now, &key, &seen);
//! }
//! assert!(windows.roll(now, &mut entities, &name).is_none(), "its time is not up");
//!
//! let window = windows.roll(now + Windows::LENGTH, &mut entities, &name).expect("one window");
//! let row = &window.rows[0];
//! assert_eq!((&*row.labels.server, &*row.labels.operation, &*row.labels.status), ("cart", "GET /cart/{id}", "200"));
//! assert_eq!((row.totals.count, row.totals.response_bytes), (100, 51_200));
//! let p95 = row.totals.duration.quantile(0.95).expect("not empty");
//! assert!((p95 / 95e6 - 1.0).abs() < 0.09);
//! ```

mod admission;
pub mod bucket;
mod classic;
mod cumulative;
mod edge_series;
mod edges;
mod entity;
mod key;
mod listening;
mod protocol;
mod sketch;
mod window;
mod windows;

pub use admission::Limits;
pub use classic::{Bounds, Classic, DATABASE, NETWORK, WIDE};
pub use cumulative::{Cumulative, Series, Sum};
pub use edge_series::EdgeSeries;
pub use edges::{EdgeKey, EdgeRow, EdgeSeen, EdgeSums, EdgeTotals, Opened, Transport};
pub use entity::{Entities, EntityId, Kind};
pub use key::{Key, Labels, Resolve, Side, Status};
pub use listening::{Listener, ListenerRow, ListenerSeries};
pub use protocol::{Convention, Protocol};
pub use sketch::Sketch;
pub use window::{Misplaced, Observation, Row, Somebody, Totals, Window};
pub use windows::Windows;
