//! Captures under libFuzzer; see `src/pcap.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| steth_fuzz::pcap::run(file));
