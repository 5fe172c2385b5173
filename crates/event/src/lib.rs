//! What crosses the ring.
//!
//! The kernel side writes these records, a recording keeps them, and every later stage starts from them:
//!
//! ```text
//! hook -> verdict -> connection -> infer -> ring ==[ these records ]==> drain -> flow -> ...
//!                                            `----> recording file ----'
//! ```
//!
//! [`Event::parse`] turns the bytes of one record into a borrowed view; nothing is copied but the fixed part.
//! The layouts mirror `bpf/event.h`; a test in the probe crate holds the two against each other.
//!
//! ```
//! use steth_event::{Chunk, Event, IntoBytes, kind};
//! let mut chunk = Chunk::default();
//! (chunk.kind, chunk.length, chunk.captured) = (kind::CHUNK, 5, 2);
//! let mut bytes = chunk.as_bytes().to_vec();
//! bytes.extend_from_slice(b"he");
//! match Event::parse(&bytes).unwrap() {
//!     Event::Chunk(chunk, data) => assert_eq!((chunk.length, data), (5, &b"he"[..])),
//!     _ => unreachable!(),
//! }
//! ```

mod metadata;
mod process;
mod record;
pub mod recording;

pub use metadata::{Container, Peer, Pod, Remote, Workload};
pub use process::{LookUp, Process};
pub use record::*;
pub use zerocopy::{FromBytes, IntoBytes};
