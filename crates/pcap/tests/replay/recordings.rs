//! Files taken from real programs; `recordings/README.md` says how.

use crate::packets::run;
use std::collections::BTreeMap;
use steth_event::Event;
use steth_pcap::{Limits, replay};

const HTTP: &[u8] = include_bytes!("../../../../recordings/http-keepalive.pcapng");
const REDIS: &[u8] = include_bytes!("../../../../recordings/redis-pipeline.pcap");

/// Both byte streams of every connection.
fn streams(file: &[u8]) -> BTreeMap<(u64, u8), Vec<u8>> {
    let mut streams: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    replay(file, &Limits::default(), &mut |record| {
        if let Event::Chunk(chunk, data) = Event::parse(record).unwrap() {
            assert_eq!(chunk.length as usize, data.len());
            streams.entry((chunk.connection, chunk.direction)).or_default().extend(data);
        }
    })
    .unwrap();
    streams
}

#[test]
fn http_keepalive() {
    let (told, summary) = run(HTTP);
    assert_eq!((summary.ended_early, summary.stats.skipped.total()), (None, 0));
    let tcp = &summary.stats.tcp;
    assert_eq!((summary.stats.packets, tcp.segments, tcp.connections), (26, 26, 2));
    // The lengths that tshark gives: 306 and 4132 bytes, then 73 and 247.
    assert_eq!((tcp.bytes, tcp.delivered), (306 + 4132 + 73 + 247, 306 + 4132 + 73 + 247));
    assert!(told[0].starts_with("open 1 tcp 127.0.0.1:56664 -> 127.0.0.1:21367 state "), "{}", told[0]);
    assert_eq!(told.iter().filter(|line| line.starts_with("1 ") && line.contains(" turn ")).count(), 8);
    assert_eq!(told.iter().filter(|line| line.ends_with(" fin sent, fin received")).count(), 2);
    let streams = streams(HTTP);
    let text = |key| String::from_utf8_lossy(&streams[&key]).into_owned();
    let requests = text((1, 0));
    let targets: Vec<_> = requests.lines().filter_map(|line| line.strip_prefix("GET ")).collect();
    assert_eq!(targets, ["/hello HTTP/1.1", "/missing HTTP/1.1", "/big HTTP/1.1", "/old HTTP/1.1"]);
    let responses = text((1, 1));
    let status: Vec<_> = responses.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(status, ["200 OK", "404 Not Found", "200 OK", "301 Moved Permanently"]);
    assert!(told.iter().any(|line| line.starts_with("open 2 tcp [::1]:54778 -> [::1]:21367 state ")));
    assert!(text((2, 1)).ends_with("\r\n\r\nhello from nginx\n"));
}

#[test]
fn redis_pipeline() {
    let (told, summary) = run(REDIS);
    assert_eq!((summary.ended_early, summary.stats.skipped.total()), (None, 0));
    let tcp = &summary.stats.tcp;
    assert_eq!((tcp.segments, tcp.connections, tcp.delivered), (24, 2, 3177 + 416 + 24 + 27));
    assert_eq!(told.iter().filter(|line| line.starts_with("1 ") && line.contains(" turn ")).count(), 6);
    let streams = streams(REDIS);
    let count = |key, text: &[u8]| streams[&key].windows(text.len()).filter(|window| *window == text).count();
    assert_eq!((count((1, 0), b"\r\nSET\r\n"), count((1, 0), b"\r\nINCR\r\n")), (50, 20));
    assert_eq!((count((1, 1), b"+OK\r\n"), count((1, 1), b"-WRONGTYPE"), count((1, 1), b"+PONG\r\n")), (50, 1, 1));
    assert_eq!(streams[&(2, 1)], b"$20\r\nvvvvvvvvvvvvvvvvvvvv\r\n");
}
