//! Packets by hand, and what a replay makes of them in words.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use steth_event::{CHUNK_TURN, Event, LAG_UNKNOWN, ROLE_NETWORK, ROLE_SOURCE, SEND};
use steth_pcap::{Limits, Summary, replay};

pub(crate) const CLIENT: &str = "10.0.0.1:40000";
pub(crate) const SERVER: &str = "10.0.0.2:80";

fn address(end: &str) -> SocketAddr {
    end.parse().unwrap()
}

/// An IPv4 packet, its options padded to a multiple of 4.
pub(crate) fn ipv4(
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    id: u16,
    fragment: u16,
    options: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(((header + body.len()) as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(options);
    packet.extend(body);
    packet
}

/// An IPv6 packet; extension headers are part of the body.
pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(body);
    packet
}

/// IPv4 or IPv6, as the addresses are.
pub(crate) fn ip(from: &str, to: &str, protocol: u8, body: &[u8]) -> Vec<u8> {
    match (address(from).ip(), address(to).ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, 0, 0, &[], body),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, protocol, body),
        _ => panic!("two families"),
    }
}

/// A TCP segment; flags are letters of `SAFRP`.
pub(crate) fn segment(from: u16, to: u16, sequence: u32, acknowledged: u32, flags: &str, data: &[u8]) -> Vec<u8> {
    let bits = flags.chars().map(|f| match f {
        'F' => 1,
        'S' => 2,
        'R' => 4,
        'P' => 8,
        'A' => 16,
        _ => panic!("flag {f}"),
    });
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    segment.extend([8 << 4, bits.sum(), 255, 255, 0, 0, 0, 0]);
    // Three options' worth of padding, as every Linux segment has.
    segment.extend([1; 12]);
    segment.extend(data);
    segment
}

pub(crate) fn tcp(from: &str, to: &str, sequence: u32, acknowledged: u32, flags: &str, data: &[u8]) -> Vec<u8> {
    let body = segment(address(from).port(), address(to).port(), sequence, acknowledged, flags, data);
    ip(from, to, 6, &body)
}

/// From the client.
pub(crate) fn c(sequence: u32, acknowledged: u32, flags: &str, data: &[u8]) -> Vec<u8> {
    tcp(CLIENT, SERVER, sequence, acknowledged, flags, data)
}

/// From the server.
pub(crate) fn s(sequence: u32, acknowledged: u32, flags: &str, data: &[u8]) -> Vec<u8> {
    tcp(SERVER, CLIENT, sequence, acknowledged, flags, data)
}

/// The handshake: the client's first byte is 1001, the server's 5001.
pub(crate) fn handshake() -> [Vec<u8>; 3] {
    [c(1000, 0, "S", b""), s(5000, 1001, "SA", b""), c(1001, 5001, "A", b"")]
}

pub(crate) fn udp_datagram(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(from.to_be_bytes());
    body.extend(to.to_be_bytes());
    body.extend((8 + data.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(data);
    body
}

pub(crate) fn udp(from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    ip(from, to, 17, &udp_datagram(address(from).port(), address(to).port(), data))
}

/// A pcap header of raw IP, in nanoseconds, little-endian.
pub(crate) fn pcap_header(link_type: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for field in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, link_type] {
        file.extend(u32::to_le_bytes(field));
    }
    file
}

pub(crate) fn pcap_packet(file: &mut Vec<u8>, time: u64, captured: &[u8], original: usize) {
    for field in [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32, captured.len() as u32, original as u32]
    {
        file.extend(field.to_le_bytes());
    }
    file.extend(captured);
}

/// Packets of one link type, a millisecond apart, the first at one millisecond.
pub(crate) fn frames(link_type: u32, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = pcap_header(link_type);
    for (n, packet) in packets.into_iter().enumerate() {
        pcap_packet(&mut file, (n as u64 + 1) * 1_000_000, &packet, packet.len());
    }
    file
}

/// Raw IP packets, a millisecond apart.
pub(crate) fn pcap(packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    frames(101, packets)
}

/// Raw IP packets, of which at most so many bytes are captured.
pub(crate) fn snapped(limit: usize, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut file = pcap_header(101);
    for (n, packet) in packets.into_iter().enumerate() {
        pcap_packet(&mut file, (n as u64 + 1) * 1_000_000, &packet[..packet.len().min(limit)], packet.len());
    }
    file
}

/// Replays, and checks what holds for every file whatsoever.
pub(crate) fn run_with(file: &[u8], limits: &Limits) -> (Vec<String>, Summary) {
    let mut told = Vec::new();
    let mut ends: BTreeMap<(u64, u8), u64> = BTreeMap::new();
    let (mut last, mut records) = (0, 0);
    let summary = replay(file, limits, &mut |record| {
        records += 1;
        let mut line = String::new();
        match Event::parse(record).expect("a whole record") {
            Event::Open(open) => {
                assert_eq!(open.connection, last + 1, "connections are numbered in order");
                assert_eq!(open.role, ROLE_NETWORK);
                last = open.connection;
                ends.insert((last, 0), open.sent);
                ends.insert((last, 1), open.received);
                let end = |address: [u8; 16], port| {
                    let four = [address[0], address[1], address[2], address[3]];
                    match open.family {
                        2 => SocketAddr::new(four.into(), port),
                        10 => SocketAddr::new(address.into(), port),
                        family => panic!("family {family}"),
                    }
                };
                let (local, remote) =
                    (end(open.local_address, open.local_port), end(open.remote_address, open.remote_port));
                let source = ROLE_SOURCE[usize::from(open.role_source)];
                let transport = if open.transport == 6 { "tcp" } else { "udp" };
                write!(line, "open {last} {transport} {local} -> {remote} {source} {}/{}", open.sent, open.received)
                    .unwrap();
            }
            Event::Chunk(chunk, data) => {
                assert_eq!((chunk.role, chunk.lag_us), (ROLE_NETWORK, LAG_UNKNOWN));
                assert!(chunk.length > 0 && data.len() <= 16384);
                let end = ends.get_mut(&(chunk.connection, chunk.direction)).expect("announced");
                assert!(chunk.offset >= *end, "{} goes back to {}", *end, chunk.offset);
                *end = chunk.offset + u64::from(chunk.length);
                let way = if chunk.direction == SEND { '>' } else { '<' };
                let turn = if chunk.flags & CHUNK_TURN != 0 { " turn" } else { "" };
                let rest = u64::from(chunk.length) - data.len() as u64;
                let rest = if rest > 0 { format!("+{rest}") } else { String::new() };
                let text = if data.len() > 40 { format!("[{}]", data.len()) } else { data.escape_ascii().to_string() };
                let (id, offset, opposite) = (chunk.connection, chunk.offset, chunk.opposite);
                write!(line, "{id} {way} {offset}/{opposite}{turn} {text}{rest}").unwrap();
            }
            Event::Shutdown(shutdown) => {
                let way = if shutdown.direction == SEND { '>' } else { '<' };
                write!(line, "{} {way} fin {}", shutdown.connection, shutdown.offset).unwrap();
            }
            Event::Close(books) => {
                let names = ["reset by peer", "reset by us", "timed out", "fin sent", "fin received", "refused"];
                let names: Vec<_> = (0..6).filter(|bit| books.flags & 1 << bit != 0).map(|bit| names[bit]).collect();
                write!(line, "close {} {}/{} {}", books.connection, books.sent, books.received, names.join(", "))
                    .unwrap();
            }
            Event::Clock(clock) => assert_eq!((records, clock.offset), (1, 0), "the clock comes first"),
            Event::Tick(_) => {}
            other => panic!("{other:?}"),
        }
        if !line.is_empty() {
            told.push(line);
        }
    })
    .unwrap();
    let stats = &summary.stats;
    assert_eq!(stats.records, records);
    assert_eq!(
        stats.packets,
        stats.tcp.segments + stats.udp.datagrams + stats.fragments.waited + stats.skipped.total(),
        "each packet is in one place: {stats:?}"
    );
    let tcp = &stats.tcp;
    assert_eq!(
        tcp.bytes,
        tcp.delivered + tcp.retransmitted + tcp.out_of_window + tcp.after_close,
        "each byte is in one place: {stats:?}"
    );
    (told, summary)
}

pub(crate) fn run(file: &[u8]) -> (Vec<String>, Summary) {
    run_with(file, &Limits::default())
}

/// What a replay of these raw IP packets tells, and its counts.
pub(crate) fn told(packets: impl IntoIterator<Item = Vec<u8>>) -> (Vec<String>, Summary) {
    run(&pcap(packets))
}
