//! A byte stream, cut into segments that are shuffled, doubled, overlapped and lost.

use crate::packets::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use steth_event::{Event, SEND};
use steth_pcap::{Limits, Summary, replay};

/// What the client sent, by offset.
fn received(file: &[u8]) -> (BTreeMap<u64, u8>, Summary) {
    let mut bytes = BTreeMap::new();
    let mut next = 0;
    let summary = replay(file, &Limits::default(), &mut |record| {
        if let Event::Chunk(chunk, data) = Event::parse(record).unwrap()
            && chunk.direction == SEND
        {
            assert!(chunk.offset >= next);
            next = chunk.offset + u64::from(chunk.length);
            assert_eq!(data.len(), chunk.length as usize);
            bytes.extend((chunk.offset..).zip(data.iter().copied()));
        }
    })
    .unwrap();
    (bytes, summary)
}

/// A segment: where it begins and ends in the stream, and how far it is displaced in time.
type Cut = (usize, usize, usize);

fn cuts(length: usize) -> impl Strategy<Value = Vec<Cut>> {
    // Cut points, each with how much a copy reaches back and ahead, and a displacement.
    prop::collection::vec((1usize..40, 0usize..30, 0usize..30, 0usize..8, any::<bool>()), 1..80).prop_map(
        move |steps| {
            let mut cuts = Vec::new();
            let mut at = 0;
            for (step, back, ahead, late, doubled) in steps {
                if at >= length {
                    break;
                }
                let end = (at + step).min(length);
                cuts.push((at, end, late));
                if doubled {
                    cuts.push((at.saturating_sub(back), (end + ahead).min(length), late + back % 5));
                }
                at = end;
            }
            if at < length {
                cuts.push((at, length, 0));
            }
            cuts
        },
    )
}

fn stream(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 256) as u8).collect()
}

/// In order of time: the position in the list, plus the displacement.
fn shuffled(cuts: &[Cut]) -> Vec<Cut> {
    let mut by_time: Vec<_> = cuts.iter().enumerate().map(|(n, cut)| (n + cut.2, n, *cut)).collect();
    by_time.sort_unstable();
    by_time.into_iter().map(|(_, _, cut)| cut).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_stream_comes_out_as_it_went_in(cuts in cuts(600), isn: u32) {
        let bytes = stream(600);
        let at = |n: usize| isn.wrapping_add(1).wrapping_add(n as u32);
        let mut packets = vec![c(isn, 0, "S", b""), s(5000, at(0), "SA", b"")];
        packets.extend(shuffled(&cuts).into_iter().map(|(from, to, _)| c(at(from), 5001, "A", &bytes[from..to])));
        let file = pcap(packets);
        run(&file);
        let (received, summary) = received(&file);
        prop_assert_eq!(received.keys().next().copied(), Some(u64::from(at(0))));
        prop_assert_eq!(received.keys().next_back().copied(), Some(u64::from(at(0)) + 599));
        prop_assert_eq!(received.into_values().collect::<Vec<_>>(), bytes);
        prop_assert_eq!((summary.stats.tcp.lost_given_up, summary.stats.tcp.lost_acknowledged), (0, 0));
    }

    #[test]
    fn lost_segments_are_exactly_the_holes(
        cuts in cuts(600),
        lost in prop::collection::vec(any::<bool>(), 200),
        acknowledge in prop::collection::vec(any::<bool>(), 200),
    ) {
        let bytes = stream(600);
        let at = |n: usize| 1001 + n as u32;
        let mut packets = handshake().to_vec();
        let mut expected = BTreeMap::new();
        let (mut highest, mut arrived, mut next) = (0, 0, 0);
        for ((n, (from, to, _)), acknowledge) in cuts.iter().enumerate().zip(&acknowledge) {
            highest = highest.max(*to);
            if !lost[n] {
                packets.push(c(at(*from), 5001, "A", &bytes[*from..*to]));
                expected.extend((*from.max(&next)..*to).map(|n| (u64::from(at(n)), bytes[n])));
            }
            if *acknowledge {
                packets.push(s(5001, at(highest), "A", b""));
                arrived = highest;
            }
            // What is known to have arrived is not waited for: the first byte behind a hole is next, if it has.
            while let Some((first, _)) = expected.range(u64::from(at(next))..).next()
                && *first <= u64::from(at(arrived.max(next)))
            {
                next = *first as usize - 1000;
            }
        }
        let file = pcap(packets);
        run(&file);
        let (received, summary) = received(&file);
        let tcp = &summary.stats.tcp;
        let end = expected.keys().next_back().map_or(0, |last| *last as usize - 1000).max(arrived);
        let holes = end - expected.len();
        prop_assert_eq!(tcp.lost_acknowledged + tcp.lost_given_up, holes as u64);
        prop_assert_eq!(received, expected);
    }
}
