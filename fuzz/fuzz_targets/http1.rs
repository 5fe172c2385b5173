//! HTTP/1 under libFuzzer; see `src/http1.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| steth_fuzz::http1::run(script));
