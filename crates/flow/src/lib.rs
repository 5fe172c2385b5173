//! Connections and their two ordered byte streams.
//!
//! ```text
//! drain --[ Open, Chunk, Shutdown, Close, Progress ]--> Flow --[ Segment in order, holes named ]--> Sink (wire)
//! ```
//!
//! Chunks of one connection mostly come in order. They do not when two threads use one socket (a record is written after
//! the call it describes, so the threads' records may swap), when a record was lost, or in a pcap. [`Flow`] puts them in
//! order again by offset, and by cause: a chunk says how far the *other* direction was when it moved, so a response is
//! never handed on before its request. What does not turn up becomes a [`Content::Lost`] segment of exactly its length.
//!
//! ```
//! use steth_event::{Chunk, RECEIVE, SEND};
//! use steth_flow::{Connection, Content, End, Flow, Segment, Sink};
//! #[derive(Default)]
//! struct Print(Vec<String>);
//! impl Sink for Print {
//!     type State = ();
//!     fn segment(&mut self, _: &mut Connection<()>, direction: u8, segment: &Segment<'_>) {
//!         if let Content::Captured(bytes) = segment.content {
//!             self.0.push(format!("{direction} {}", String::from_utf8_lossy(bytes)));
//!         }
//!     }
//!     fn shutdown(&mut self, _: &mut Connection<()>, _: u8, _: u64) {}
//!     fn closed(&mut self, _: &mut Connection<()>, _: End, _: u64) {}
//! }
//! let (mut flow, mut sink) = (Flow::new(100), Print::default());
//! let chunk = |direction, offset, opposite, length| Chunk { direction, offset, opposite, length, captured: length as u16, ..Chunk::default() };
//! // The answer's record comes first; it says that three bytes had been sent by then.
//! flow.chunk(&chunk(RECEIVE, 70, 8, 2), b"ok", &mut sink);
//! flow.chunk(&chunk(SEND, 5, 70, 3), b"hey", &mut sink);
//! # let _ = &mut flow;
//! ```

mod books;
mod connection;
mod flow;
mod order;
mod stream;
mod tuple;

pub use books::{Delta, Ending, Failure};
pub use connection::{Connection, End};
pub use flow::{Counts, Flow, Sink};
pub use stream::{Content, Segment};
pub use tuple::{Meeting, OtherEnd, Rewritten, Tuple};
