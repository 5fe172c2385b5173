//! The fuzz targets: one function each that takes any bytes, must not panic, and asserts what must hold.
//!
//! ```text
//! fuzz_targets/TARGET.rs (libFuzzer, nightly) --.
//!                                               +--> run(&[u8])
//! src/main.rs (mutate, stable) -----------------'
//! ```

pub mod api_query;
pub mod conversation;
pub mod dns;
pub mod http1;
pub mod infer;
pub mod mysql;
pub mod pcap;
pub mod postgresql;
pub mod recorded;
pub mod recording;
pub mod redis;
pub mod sql;

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 10] = [
    ("api_query", api_query::run),
    ("dns", dns::run),
    ("http1", http1::run),
    ("infer", infer::run),
    ("mysql", mysql::run),
    ("pcap", pcap::run),
    ("recording", recording::run),
    ("redis", redis::run),
    ("postgresql", postgresql::run),
    ("sql", sql::run),
];
