//! The API's questions under libFuzzer; see `src/api_query.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steth_fuzz::api_query::run(input));
