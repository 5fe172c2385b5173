//! One module per protocol: bytes in, exchanges out.
//!
//! ```text
//! flow --[ Piece, Direction ]--> Session (http1 | redis | …) --[ Exchange ]--> identity, window
//!                                   |
//!                             Fifo, ById   pair requests and responses
//! ```
//!
//! Pure: no I/O, no clock, no globals. Times arrive with the bytes, names live in a [`Names`] table that the caller
//! owns, losses are counted in the caller's [`Exchanges`](steth_ledger::Exchanges). Every parser is total: any bytes
//! whatever give exchanges or a counted loss, never a panic, a loop or an unbounded allocation.
//!
//! ```
//! use steth_wire::{Bytes, Context, Direction, Domains, Names, Piece, Protocol, Session, Statements, Transport};
//! let (mut names, mut statements, mut domains) = (Names::default(), Statements::default(), Domains::default());
//! let (mut out, mut count) = (Vec::new(), Default::default());
//! let mut cx = Context {
//!     names: &mut names,
//!     statements: &mut statements,
//!     domains: &mut domains,
//!     out: &mut out,
//!     count: &mut count,
//! };
//! let mut session = Session::new(Protocol::Redis, Transport::Stream);
//! let piece = |bytes, time| Piece { bytes: Bytes::Captured(bytes), offset: 0, opposite: 0, time, arrival: 0, turn: true };
//! session.feed(Direction::Request, &piece(b"*1\r\n$4\r\nPING\r\n", 10), &mut cx);
//! session.feed(Direction::Response, &piece(b"+PONG\r\n", 25), &mut cx);
//! assert_eq!(out.len(), 1);
//! assert_eq!((names.get(out[0].operation), out[0].end - out[0].start), ("PING", 15));
//! ```

mod ahead;
#[cfg(test)]
mod by_hand;
mod by_id;
pub mod dns;
mod exchange;
mod fifo;
pub mod http1;
pub mod infer;
mod joined;
pub mod mysql;
mod names;
mod parser;
mod piece;
pub mod postgresql;
mod protocol;
pub mod redis;
mod session;
pub mod sql;
mod status_names;

pub use by_id::ById;
pub use dns::Domains;
pub use exchange::{Database, Exchange, Outcome, Side, Status, System, Value};
pub use fifo::{Claim, Cut, Fifo};
pub use joined::Room;
pub use names::{Name, Names, Share, ShareOf};
pub use piece::{Bytes, Direction, End, Piece, Transport};
pub use protocol::{Attributes, Protocol};
pub use session::{Context, Session, State};
pub use sql::Statements;
