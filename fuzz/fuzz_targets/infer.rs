//! The kernel side's inference under libFuzzer; see `src/infer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| steth_fuzz::infer::run(bytes));
