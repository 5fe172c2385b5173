//! The crate from outside, against a server on real TCP.

mod api;
mod faults;
mod recorded;
