//! Real container runtimes for tests, as values that clean up after themselves.
//!
//! Nothing here needs this crate: the folder can be used by other tests with `#[path]`.
#![allow(dead_code, unreachable_pub)] // every integration test uses another part of it

#[path = "../../../steth/tests/lab/policy.rs"]
pub mod policy;
#[path = "../../../steth/tests/lab/process.rs"]
pub mod process;

pub mod containerd;
pub mod cri;
pub mod docker;
pub mod image;
pub mod isolation;
pub mod podman;
