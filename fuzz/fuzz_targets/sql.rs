//! SQL under libFuzzer; see `src/sql.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steth_fuzz::sql::run(input));
