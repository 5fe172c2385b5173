//! Captures: any file whatsoever, read with room for everything and with hardly any.
//!
//! The input is the file. Every record can be read back, connections are announced before they are spoken of, offsets of
//! a direction do not go back, and each packet and each byte of TCP is counted in exactly one place.

use std::collections::BTreeMap;
use steth_event::Event;
use steth_pcap::{Limits, replay};

/// Reads the file twice.
pub fn run(file: &[u8]) {
    check(file, &Limits::default());
    let (connections, udp_connections, segments, bytes) = (2, 2, 3, 400);
    let (total_bytes, fragmented, fragments) = (600, 2, 3);
    check(file, &Limits { connections, udp_connections, segments, bytes, total_bytes, fragmented, fragments });
}

fn check(file: &[u8], limits: &Limits) {
    let mut ends = BTreeMap::new();
    let (mut announced, mut records) = (0, 0);
    let summary = replay(file, limits, &mut |record| {
        records += 1;
        match Event::parse(record).expect("a whole record") {
            Event::Open(open) => {
                announced += 1;
                assert_eq!(open.connection, announced);
                ends.insert((announced, 0), open.sent);
                ends.insert((announced, 1), open.received);
            }
            Event::Chunk(chunk, _) => {
                let end = ends.get_mut(&(chunk.connection, chunk.direction)).expect("announced");
                assert!(chunk.length > 0 && chunk.offset >= *end);
                *end = chunk.offset + u64::from(chunk.length);
            }
            Event::Shutdown(shutdown) => assert!(shutdown.connection <= announced),
            Event::Close(books) => assert!((1..=announced).contains(&books.connection)),
            Event::Clock(_) | Event::Tick(_) => {}
            other => panic!("{other:?}"),
        }
    });
    let Ok(summary) = summary else { return };
    let stats = summary.stats;
    assert_eq!(stats.records, records);
    let handled = stats.tcp.segments + stats.udp.datagrams + stats.fragments.waited + stats.skipped.total();
    assert_eq!(stats.packets, handled);
    let tcp = stats.tcp;
    assert_eq!(tcp.bytes, tcp.delivered + tcp.retransmitted + tcp.out_of_window + tcp.after_close);
}
