//! The connection phase, and the compressed protocol that may follow it.

use super::*;
use flate2::{Compression, write::ZlibEncoder};
use std::io::Write;

const COMPRESS: u32 = 1 << 5;
const ZSTD: u32 = 1 << 26;

#[test]
fn a_login_is_an_exchange_and_tells_the_server() {
    for (version, system) in [
        ("5.5.5-10.11.6-MariaDB-0+deb12u1", "mariadb"),
        ("11.4.2-MariaDB", "mariadb"),
        ("8.0.36", "mysql"),
        ("5.7.25-TiDB-v7.1.1", "mysql"),
    ] {
        let mut kit = Kit::default();
        kit.response(greeting(version));
        kit.ask(login(0, "shop"), packet(2, OK));
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK, PING OK", 0));
        for n in 0..2 {
            assert_eq!(kit.attribute(n, "db.system.name").as_deref(), Some(system));
            assert_eq!(kit.attribute(n, "db.namespace").as_deref(), Some("shop"));
        }
        assert_eq!(kit.attribute(0, "db.operation.name").as_deref(), Some("CONNECT"));
    }
}

#[test]
fn what_is_said_in_a_login_belongs_to_it() {
    let mut kit = Kit::default();
    kit.response(greeting("8.0.36"));
    kit.request(login(0, ""));
    // Auth switch, its answer, full authentication, a password, success.
    kit.response(packet(2, b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0"));
    kit.request(packet(3, &[7; 32]));
    kit.response(packet(4, b"\x01\x04"));
    kit.request(packet(5, b"\x02"));
    kit.response(packet(6, b"\x01-----BEGIN PUBLIC KEY-----"));
    kit.request(packet(7, &[9; 256]));
    kit.response(packet(8, OK));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK, PING OK", 0));
    assert_eq!((kit.out[0].start, kit.out[0].request_end, kit.out[0].end), (2, 8, 9));
    // Fast authentication: two packets from the server in a row.
    let mut kit = Kit::default();
    kit.response(greeting("8.0.36"));
    kit.ask(login(0, ""), [packet(2, b"\x01\x03"), packet(3, OK)].concat());
    kit.ask(PING, packet(1, OK));
    assert_eq!(kit.brief(), "CONNECT OK, PING OK");
}

#[test]
fn a_login_that_fails_has_its_code() {
    let mut kit = Kit::default();
    kit.response(greeting("5.5.5-10.11.6-MariaDB"));
    kit.ask(login(0, "shop"), packet(2, &error(1045, "28000", "Access denied for user")));
    kit.close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT 1045", 0));
}

#[test]
fn a_user_is_changed_in_mid_connection() {
    let mut kit = Kit::default();
    kit.request(packet(0, b"\x11root\0\x03abcshop\0"));
    kit.response(packet(1, b"\xfemysql_native_password\0abc\0"));
    kit.request(packet(2, &[7; 20]));
    kit.response(packet(3, OK));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CHANGE_USER OK, PING OK", 0));
    assert_eq!(kit.attribute(1, "db.namespace").as_deref(), Some("shop"));
}

#[test]
fn behind_a_request_for_tls_the_connection_is_opaque() {
    let mut kit = Kit::default();
    kit.response(greeting("8.0.36"));
    let flags = (1u32 << 9 | 1 << 11).to_le_bytes();
    kit.request(packet(1, &[&flags[..], &[0; 28]].concat()));
    assert_eq!((kit.session.state(), kit.brief().as_str()), (State::Opaque, "CONNECT -"));
    assert_eq!((kit.out[0].outcome, kit.count.lost(), kit.session.pending()), (Outcome::Upgraded, 0, 0));
    kit.request(b"\x16\x03\x01\x02\0\x01");
    kit.close(End::Closed);
    assert_eq!((kit.out.len(), kit.count.lost()), (1, 0));
}

#[test]
fn a_replication_stream_is_opaque() {
    for command in [&b"\x12\x04\0\0\0\0\0\x01\0\0\0"[..], b"\x1e\0\0\x01\0\0\0", b"\x20", b"\x21"] {
        let mut kit = Kit::default();
        kit.request(packet(0, command));
        kit.response(packet(1, &[0; 40]));
        kit.close(End::Closed);
        assert_eq!((kit.session.state(), kit.out.len(), kit.count.lost()), (State::Opaque, 1, 0));
        assert_eq!(kit.out[0].outcome, Outcome::Upgraded);
    }
}

fn frame(sequence: u8, packed: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = (packed.len() as u32).to_le_bytes().to_vec();
    bytes[3] = sequence;
    bytes.extend(&(length as u32).to_le_bytes()[..3]);
    bytes.extend(packed);
    bytes
}

/// A frame that is compressed.
fn zlib(sequence: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    frame(sequence, &encoder.finish().unwrap(), bytes.len())
}

fn zstd(sequence: u8, bytes: &[u8]) -> Vec<u8> {
    let packed = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    frame(sequence, &packed, bytes.len())
}

fn compressed(flags: u32) -> Kit {
    let mut kit = Kit::default();
    kit.response(greeting("8.0.36"));
    kit.ask(login(flags, "shop"), packet(2, OK));
    kit
}

#[test]
fn frames_are_unpacked_wherever_they_are_split() {
    for (flags, pack) in [(COMPRESS, zlib as fn(u8, &[u8]) -> Vec<u8>), (ZSTD, zstd)] {
        for size in [1, 2, 3, 10, 10_000] {
            let mut kit = compressed(flags);
            let long = query(&format!("SELECT '{}'", "x".repeat(300)));
            let answer = rows(1, &[&[b'y'; 200][..]; 50], true, 2);
            // Not compressed; compressed; an answer in two frames, whose border is inside of a packet.
            for (request, answer) in [
                (frame(0, PING, 0), frame(1, &packet(1, OK), 0)),
                (pack(0, &long), [pack(1, &answer[..777]), pack(2, &answer[777..])].concat()),
                (frame(0, PING, 0), pack(1, &packet(1, &error(1064, "42000", &"z".repeat(100))))),
            ] {
                request.chunks(size).for_each(|piece| _ = kit.request(piece));
                answer.chunks(size).for_each(|piece| _ = kit.response(piece));
                let e = kit.out.last().unwrap();
                assert_eq!((e.request_bytes, e.response_bytes), (request.len() as u64, answer.len() as u64));
            }
            assert_eq!((kit.brief().matches(", ").count(), kit.count.lost()), (3, 0));
            assert!(kit.brief().ends_with("PING 1064"), "{}", kit.brief());
            assert_eq!(kit.attribute(2, "db.response.returned_rows").as_deref(), Some("50"));
        }
    }
}

/// Wherever the first bytes are split, as a server does that reads a header by itself.
#[test]
fn a_compressed_connection_older_than_the_agent_is_joined() {
    let long = query(&format!("SELECT '{}'", "x".repeat(300)));
    let fine = frame(1, &packet(1, OK), 0);
    for pack in [zlib as fn(u8, &[u8]) -> Vec<u8>, zstd] {
        for first in [frame(0, PING, 0), frame(0, &query("SELECT 1"), 0), frame(0, &execute(7), 0), pack(0, &long)] {
            for at in 0..first.len() {
                let mut kit = Kit::default();
                kit.request(&first[..at]);
                kit.ask(&first[at..], &fine);
                assert_eq!((kit.out[0].request_bytes, kit.out[0].start), (first.len() as u64, 1 + u64::from(at == 0)));
                kit.ask(pack(0, &long), pack(1, &rows(1, &[&[b'y'; 200][..]; 5], true, 2)));
                kit.ask(frame(0, PING, 0), &fine);
                assert_eq!((kit.out.len(), kit.count.lost(), kit.session.state()), (3, 0, State::Parsing));
                assert!(kit.brief().ends_with("SELECT ? OK, PING OK"), "{}", kit.brief());
                assert_eq!(kit.attribute(1, "db.response.returned_rows").as_deref(), Some("5"));
            }
        }
    }
}

#[test]
fn a_connection_older_than_the_agent_that_is_not_compressed_is_joined_too() {
    for first in [PING.to_vec(), query("SELECT 1"), execute(7), number(0x1a, 7)] {
        for at in 0..first.len() {
            let mut kit = Kit::default();
            kit.request(&first[..at]);
            kit.ask(&first[at..], packet(1, OK));
            assert_eq!((kit.out.len(), kit.count.lost(), kit.out[0].request_bytes), (1, 0, first.len() as u64));
        }
    }
    // What is held when the connection ends is what it always was.
    let mut kit = Kit::default();
    kit.request(&query("SELECT 1")[..4]);
    kit.close(End::Closed);
    assert_eq!((kit.out.len(), kit.count.lost(), kit.out[0].outcome), (1, 0, Outcome::Unanswered));
}

#[test]
fn a_frame_that_was_not_captured_is_a_gap_of_its_length() {
    let mut kit = compressed(COMPRESS);
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (state >> 24) as u8 % 95)
    };
    let text: String = (0..9000).map(|_| noise()).collect();
    let long = zlib(0, &query(&format!("SELECT '{text}'")));
    kit.request(&long[..3000]);
    kit.feed(Direction::Request, Bytes::Skipped(long.len() as u64 - 3000));
    let answer = zlib(1, &rows(1, &[text.as_bytes()], true, 2));
    kit.response(&answer[..50]);
    kit.feed(Direction::Response, Bytes::Skipped(answer.len() as u64 - 50));
    kit.ask(frame(0, PING, 0), frame(1, &packet(1, OK), 0));
    assert_eq!((kit.out.len(), kit.count.lost()), (3, 0), "{}", kit.brief());
    assert_eq!((kit.out[1].truncated, kit.out[1].response_bytes), (true, answer.len() as u64));
    assert!(kit.brief().ends_with("PING OK"));
}

#[test]
fn frames_beyond_the_capture_limit_end_before_the_next_request() {
    for missing in [Bytes::Skipped(9000), Bytes::Lost(9000)] {
        let mut kit = compressed(COMPRESS);
        kit.request(frame(0, &query("SELECT 1"), 0));
        kit.response(zlib(1, &rows(1, &[&b"\x01x"[..]; 99], true, 2)[..300]));
        kit.feed(Direction::Response, missing);
        kit.ask(frame(0, PING, 0), frame(1, &packet(1, OK), 0));
        assert!(kit.brief().ends_with("PING OK"), "{}", kit.brief());
        let lost = u64::from(matches!(missing, Bytes::Lost(_)));
        assert_eq!((kit.out.len() as u64, kit.count.lost_by(Lost::Hole)), (3 - lost, lost));
    }
}

#[test]
fn a_frame_that_is_not_what_it_says_is_survived() {
    for flags in [COMPRESS, ZSTD] {
        let mut kit = compressed(flags);
        for n in 0..3 {
            kit.request(frame(0, &[n; 50], 5000));
            kit.response(frame(1, &packet(1, OK), 0));
        }
        kit.ask(frame(0, PING, 0), frame(1, &packet(1, OK), 0));
        assert!(kit.brief().ends_with("PING OK"), "{}", kit.brief());
        assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK, * -, * -, * -, PING OK", 0));
        assert!(kit.out[1..4].iter().all(|e| e.truncated && e.outcome == Outcome::Answered && e.end == e.start + 1));
    }
}

/// What this process has had in memory at most, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Zstandard: `blocks` of 128 KiB of one byte each, four bytes long, in a frame that asks for a window of 2 GiB.
fn repeated(blocks: usize) -> Vec<u8> {
    let mut frame = b"\x28\xb5\x2f\xfd\x00\xa8".to_vec();
    (0..blocks).for_each(|_| frame.extend(b"\x02\x00\x10x"));
    frame.extend(b"\x01\x00\x00");
    frame
}

/// Zstandard: a block with `sequences` that repeat 65,539 bytes each, and of which each is two bytes long. A window of 1 MiB.
fn copied(sequences: u16) -> Vec<u8> {
    let mut block = b"\x20abcd".to_vec();
    block.extend((sequences | 0x8000).to_be_bytes());
    block.extend(b"\x54\x00\x00\x34");
    block.extend(vec![0; 2 * usize::from(sequences)]);
    block.push(1);
    let mut frame = b"\x28\xb5\x2f\xfd\x00\x50\x82\x00\x00x".to_vec();
    frame.extend(&((block.len() as u32) << 3 | 5).to_le_bytes()[..3]);
    frame.extend(block);
    frame
}

#[test]
fn a_small_frame_cannot_be_unpacked_to_more_than_the_limit() {
    let before = most_memory();
    for packed in [repeated(1000), copied(2000)] {
        for says in [100, 200_000, 1 << 20] {
            let mut kit = compressed(ZSTD);
            kit.ask(frame(0, &packed, says), frame(1, &packet(1, OK), 0));
            kit.ask(frame(0, PING, 0), frame(1, &packet(1, OK), 0));
            assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK, * -, PING OK", 0));
        }
    }
    let more = most_memory() - before;
    assert!(more < 32 * 1024, "{more} KiB for frames of 4 KiB");
}
