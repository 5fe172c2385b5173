//! Rubbish in every layer: never a panic, and every packet and byte in one place (`run` checks that).

use crate::packets::*;
use proptest::prelude::*;
use std::time::{Duration, Instant};
use steth_pcap::{Limits, replay};

/// A segment of a connection on which everything goes wrong.
fn any_segment() -> impl Strategy<Value = Vec<u8>> {
    let near = |base: u32| prop_oneof![4 => base - 20..base + 60, 1 => any::<u32>()];
    let flags = prop::sample::select(vec!["A", "A", "A", "A", "S", "SA", "FA", "R", "RA", "SF", "", "SR", "FA"]);
    (any::<bool>(), near(1001), near(5001), flags, 0usize..30).prop_map(|(client, ours, theirs, flags, length)| {
        let data = vec![b'x'; length];
        if client { c(ours, theirs, flags, &data) } else { s(theirs, ours, flags, &data) }
    })
}

fn tight() -> Limits {
    Limits {
        connections: 2,
        udp_connections: 2,
        segments: 3,
        bytes: 300,
        total_bytes: 500,
        fragmented: 2,
        fragments: 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), head in 0usize..4) {
        let head: &[u8] = [&[][..], &[0xd4, 0xc3, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a], &[0xa1, 0xb2, 0xcd, 0x34]][head];
        let _ = replay(&[head, &bytes].concat(), &Limits::default(), &mut |_| {});
    }

    #[test]
    fn any_packets(
        link_type in prop::sample::select(vec![0u32, 1, 12, 101, 108, 113, 276]),
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20),
    ) {
        run(&frames(link_type, packets));
    }

    #[test]
    fn any_segments(packets in prop::collection::vec(any_segment(), 0..60), limit in 30usize..120) {
        run(&pcap(packets.clone()));
        run_with(&snapped(limit, packets), &tight());
    }

    #[test]
    fn bytes_changed_at_random(
        packets in prop::collection::vec(any_segment(), 1..30),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut file = pcap(packets);
        let length = file.len() - 24;
        for (at, value) in changes {
            file[24 + at.index(length)] = value;
        }
        run_with(&file, &tight());
    }

    #[test]
    fn the_same_file_gives_the_same_records(packets in prop::collection::vec(any_segment(), 0..60)) {
        let file = pcap(packets);
        let records = || {
            let mut records = Vec::new();
            replay(&file, &tight(), &mut |record| records.push(record.to_vec())).unwrap();
            records
        };
        prop_assert_eq!(records(), records());
    }
}

/// Each of these would take minutes if some step looked at all that waits.
#[test]
fn no_file_is_slow() {
    let mut every_second = handshake().to_vec();
    // Every second byte, from the front and from the back, and segments of 60 KB that cover them all, by length only.
    every_second.extend((0..20_000u32).map(|n| c(1003 + n * 2, 5001, "A", b"x")));
    every_second.extend((0..20_000u32).map(|n| c(200_000 - n * 2, 5001, "A", b"x")));
    let mut covering = handshake().to_vec();
    covering.extend((0..1400u32).map(|n| c(1003 + n, 5001, "A", b"x")));
    covering.extend((0..20_000u32).map(|_| c(1003, 5001, "A", &[0; 1400])));
    let flood = (0..60_000u32)
        .map(|n| tcp(&format!("10.{}.0.1:4000", n % 200), &format!("10.0.0.2:{}", n / 200 + 1), n, 0, "S", b"x"));
    for packets in [every_second, covering, flood.collect()] {
        let file = snapped(60, packets);
        let start = Instant::now();
        replay(&file, &Limits { connections: 1000, ..Limits::default() }, &mut |_| {}).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
