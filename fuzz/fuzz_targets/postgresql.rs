//! PostgreSQL under libFuzzer; see `src/postgresql.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| steth_fuzz::postgresql::run(script));
