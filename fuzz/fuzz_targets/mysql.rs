//! MySQL under libFuzzer; see `src/mysql.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| steth_fuzz::mysql::run(script));
