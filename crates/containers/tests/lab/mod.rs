//! Real container runtimes for tests, as values that clean up after themselves.
//!
//! `containerd.rs` and `cri.rs` need `process.rs` beside them and nothing else of this crate.
#![allow(dead_code, unreachable_pub)] // every integration test uses another part of it

#[path = "../../../steth/tests/lab/policy.rs"]
pub mod policy;
#[path = "../../../steth/tests/lab/process.rs"]
pub mod process;

pub mod containerd;
pub mod cri;
pub mod podman;
