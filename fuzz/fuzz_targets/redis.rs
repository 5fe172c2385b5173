//! Redis under libFuzzer; see `src/redis.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| steth_fuzz::redis::run(script));
