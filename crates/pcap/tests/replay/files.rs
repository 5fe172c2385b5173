//! The containers.

use crate::packets::*;
use steth_event::Event;
use steth_pcap::{FileError, Limits, replay};

fn times(file: &[u8]) -> Vec<u64> {
    let mut times = Vec::new();
    replay(file, &Limits::default(), &mut |record| {
        if let Event::Chunk(chunk, _) = Event::parse(record).unwrap() {
            times.push(chunk.time);
        }
    })
    .unwrap();
    times
}

fn words(fields: &[u32], big: bool) -> Vec<u8> {
    fields.iter().flat_map(|f| if big { f.to_be_bytes() } else { f.to_le_bytes() }).collect()
}

#[test]
fn pcap_in_every_order_and_unit() {
    let packet = udp("10.0.0.1:40000", "10.0.0.3:53", b"hello");
    let length = packet.len() as u32;
    for (magic, nanoseconds) in [(0xa1b2_c3d4, 7000), (0xa1b2_3c4d, 7), (0xa1b2_cd34, 7000)] {
        for big in [false, true] {
            let mut file = words(&[magic], big);
            file.extend(if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] });
            // A frame check sequence of 4 bytes is said to be there, in the upper bits of the link type.
            file.extend(words(&[0, 0, 65535, 101 | 0x4400_0000], big));
            file.extend(words(&[3, 7, length, length], big));
            if magic == 0xa1b2_cd34 {
                file.extend([0; 8]);
            }
            file.extend(&packet);
            assert_eq!(times(&file), [3_000_000_000 + nanoseconds], "{magic:x} {big}");
        }
    }
}

/// A writer of pcapng blocks.
struct Blocks {
    big: bool,
    file: Vec<u8>,
}

impl Blocks {
    fn new(big: bool) -> Self {
        let mut blocks = Self { big, file: Vec::new() };
        blocks.section(1);
        blocks
    }

    fn section(&mut self, major: u16) {
        let mut body = words(&[0x1a2b_3c4d], self.big);
        body.extend(if self.big { major.to_be_bytes() } else { major.to_le_bytes() });
        body.extend([0, 0]);
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = body.len() as u32 + 12;
        self.file.extend(words(&[kind, length], self.big));
        self.file.extend(body);
        self.file.extend(words(&[length], self.big));
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let length = value.len() as u16;
        let mut option = if self.big {
            [code.to_be_bytes(), length.to_be_bytes()].concat()
        } else {
            [code.to_le_bytes(), length.to_le_bytes()].concat()
        };
        option.extend(value);
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(&mut self, link_type: u16, snap_length: u32, options: &[u8]) {
        let mut body = if self.big { link_type.to_be_bytes() } else { link_type.to_le_bytes() }.to_vec();
        body.extend([0, 0]);
        body.extend(words(&[snap_length], self.big));
        body.extend(options);
        self.block(1, &body);
    }

    fn packet(&mut self, interface: u32, ticks: u64, data: &[u8]) {
        let length = data.len() as u32;
        let mut body = words(&[interface, (ticks >> 32) as u32, ticks as u32, length, length], self.big);
        body.extend(data);
        self.block(6, &body);
    }
}

#[test]
fn pcapng_times_and_interfaces() {
    let packet = udp("10.0.0.1:40000", "10.0.0.3:53", b"hello");
    for big in [false, true] {
        let mut file = Blocks::new(big);
        file.interface(101, 0, &[]);
        let nanoseconds = file.option(9, &[9]);
        file.interface(101, 0, &nanoseconds);
        let binary = file.option(9, &[0x80 | 10]);
        file.interface(101, 0, &binary);
        let name = file.option(2, b"eth0");
        let offset = 100u64;
        let offset = file.option(14, &if big { offset.to_be_bytes() } else { offset.to_le_bytes() });
        let picoseconds = file.option(9, &[12]);
        file.interface(101, 0, &[name, picoseconds, offset].concat());
        let seconds = file.option(9, &[0]);
        file.interface(101, 0, &seconds);
        let absurd = file.option(9, &[127]);
        file.interface(101, 0, &absurd);

        // Blocks of no interest: name resolution, statistics, a custom one, one of nobody's.
        for kind in [4, 5, 0xbad, 0x8000_0001] {
            file.block(kind, &[1, 2, 3]);
        }
        file.packet(0, 5_000_001, &packet);
        file.packet(1, 5_000_000_002, &packet);
        file.packet(2, 5 * 1024 + 512, &packet);
        file.packet(3, 6_000, &packet);
        file.packet(4, 7, &packet);
        file.packet(5, 7, &packet);
        // A new section forgets the interfaces, and may be in another order.
        file.big = !big;
        file.section(1);
        file.packet(0, 1, &packet);
        file.interface(101, 0, &[]);
        file.packet(0, 8_000_000, &packet);
        assert_eq!(
            times(&file.file),
            [5_000_001_000, 5_000_000_002, 5_500_000_000, 100_000_000_006, 7_000_000_000, 0, 8_000_000_000]
        );
        assert_eq!(run(&file.file).1.stats.skipped.interface, 1);
    }
}

#[test]
fn old_and_simple_packet_blocks() {
    let packet = udp("10.0.0.1:40000", "10.0.0.3:53", b"hello");
    let length = packet.len() as u32;
    for big in [false, true] {
        let mut file = Blocks::new(big);
        file.interface(101, 30, &[]);
        let mut body = if big { vec![0, 0, 0, 9] } else { vec![0, 0, 9, 0] }; // 9 dropped
        body.extend(words(&[0, 4_000_000, length, length], big));
        body.extend(&packet);
        file.block(2, &body);
        // A simple packet has no time; its length is the smaller of its own and the interface's limit.
        let mut body = words(&[length], big);
        body.extend(&packet[..30]);
        file.block(3, &body);
        let (told, _) = run(&file.file);
        assert_eq!(told[1..], ["1 > 0/0 turn hello", "1 > 5/0 he+3"]);
        assert_eq!(times(&file.file), [4_000_000_000, 4_000_000_000]);
    }
}

#[test]
fn an_unreadable_interface_does_not_hide_the_others() {
    let packet = udp("10.0.0.1:40000", "10.0.0.3:53", b"hello");
    let mut file = Blocks::new(false);
    file.interface(195, 0, &[]);
    file.interface(101, 0, &[]);
    file.packet(0, 1, &packet);
    file.packet(1, 2, &packet);
    file.section(1);
    file.interface(147, 0, &[]);
    file.packet(0, 3, &packet);
    let (told, summary) = run(&file.file);
    assert_eq!(told.len(), 2);
    let links: Vec<_> = summary.unsupported.iter().map(|l| (l.interface, l.link_type, l.packets)).collect();
    assert_eq!(links, [(0, 195, 1), (2, 147, 1)]);
}

#[test]
fn a_file_cut_anywhere_gives_what_came_before_and_says_so() {
    let packets = || (0..5).map(|n| udp("10.0.0.1:40000", "10.0.0.3:53", &[b'a' + n; 3]));
    let mut ng = Blocks::new(false);
    ng.interface(101, 0, &[]);
    packets().for_each(|packet| ng.packet(0, 1, &packet));
    for file in [pcap(packets()), ng.file] {
        let size = if file[0] == 0x0a { 32 + 32 } else { 16 + 31 };
        let head = file.len() - 5 * size;
        for cut in head..=file.len() {
            let (told, summary) = run(&file[..cut]);
            let whole = (cut - head) / size;
            assert_eq!(told.iter().filter(|line| !line.starts_with("open")).count(), whole);
            match summary.ended_early {
                None => assert_eq!((cut - head) % size, 0),
                Some(FileError::Truncated { at, left, .. }) => {
                    assert_eq!((at, left), (head + whole * size, (cut - head) % size));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_capture_is_refused_by_name() {
    let error = |file: &[u8]| replay(file, &Limits::default(), &mut |_| {}).unwrap_err().to_string();
    assert_eq!(
        error(b"PK\x03\x04"),
        "not a capture: it begins with [50, 4b, 03, 04], and neither a pcap nor a pcapng file does"
    );
    assert_eq!(error(b"\x1f\x8b\x08\x00"), "the file is compressed; unpack it first: gzip -d");
    assert_eq!(
        error(b""),
        "the file ends inside the file header at byte 0: 24 bytes wanted, 0 left; all before it was read"
    );
    let mut old = pcap_header(1);
    old[4] = 1;
    assert_eq!(error(&old), "pcap version 1.4 at byte 0; this steth reads version 2");
    let mut new = Blocks { big: false, file: Vec::new() };
    new.section(2);
    assert_eq!(error(&new.file), "pcapng version 2.0 at byte 0; this steth reads version 1");
}

#[test]
fn damage_is_told_with_its_place() {
    let packet = udp("10.0.0.1:40000", "10.0.0.3:53", b"hello");
    let mut whole = Blocks::new(false);
    whole.interface(101, 0, &[]);
    let at = whole.file.len();
    whole.packet(0, 1, &packet);
    for (byte, value, problem) in [
        (4, 6, "its length is not a multiple of 4 from 12 up"),
        (4, 8, "its length is not a multiple of 4 from 12 up"),
        (4, 60, "the lengths at its two ends differ"),
        (20, 200, "shorter than the packet in it"),
    ] {
        let mut file = whole.file.clone();
        file[at + byte] = value;
        let (_, summary) = run(&file);
        assert_eq!(summary.ended_early, Some(FileError::Damaged { at, problem }));
    }
}
