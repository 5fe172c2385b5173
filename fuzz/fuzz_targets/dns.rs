//! DNS under libFuzzer; see `src/dns.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| steth_fuzz::dns::run(script));
