//! Recordings under libFuzzer; see `src/recording.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| steth_fuzz::recording::run(file));
