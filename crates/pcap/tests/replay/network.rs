//! Link layers, IP headers, fragments.

use crate::packets::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use steth_pcap::Limits;

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn every_link_type_leads_to_the_same_payload() {
    let four = c(1, 1, "A", b"hello");
    let six = tcp("[fd00::1]:40000", "[fd00::2]:80", 1, 1, "A", b"hello");
    let mac = [0; 12];
    let (v4, v6) = (&four[..], &six[..]);
    let frames_of: &[(u32, Vec<u8>)] = &[
        (1, join(&[&mac, &[8, 0], v4])),
        (1, join(&[&mac, &[0x86, 0xdd], v6])),
        (1, join(&[&mac, &[0x81, 0, 0, 7, 8, 0], v4])),
        (1, join(&[&mac, &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 8, 0], v4])),
        (1, join(&[&mac, &[8, 0], v4, &[0xee; 9]])), // padding
        (113, join(&[&[0; 14], &[8, 0], v4])),
        (113, join(&[&[0; 14], &[0x81, 0, 0, 7, 0x86, 0xdd], v6])),
        (276, join(&[&[0x86, 0xdd], &[0; 18], v6])),
        (276, join(&[&[8, 0], &[0; 18], v4])),
        (0, join(&[&[2, 0, 0, 0], v4])),
        (0, join(&[&[0, 0, 0, 2], v4])),
        (0, join(&[&[30, 0, 0, 0], v6])),
        (108, join(&[&[0, 0, 0, 24], v6])),
        (12, four.clone()),
        (14, six.clone()),
        (101, six.clone()),
        (228, four.clone()),
        (229, six.clone()),
    ];
    for (link_type, frame) in frames_of {
        let (told, summary) = run(&frames(*link_type, [frame.clone()]));
        assert_eq!(told.get(1).map(String::as_str), Some("1 > 1/1 turn hello"), "link type {link_type}: {summary:?}");
        // Cut anywhere, it is told as far as it is there, or counted.
        for cut in 0..frame.len() {
            let mut file = pcap_header(*link_type);
            pcap_packet(&mut file, 1, &frame[..cut], frame.len());
            let (told, summary) = run(&file);
            assert!(told.len() == 2 || summary.stats.skipped.truncated == 1, "{cut}: {told:?} {summary:?}");
        }
    }
}

#[test]
fn an_unknown_link_type_is_named_once_and_its_packets_counted() {
    let (told, summary) = run(&frames(127, [vec![0; 60], vec![0; 60]]));
    assert!(told.is_empty());
    assert_eq!(summary.stats.skipped.link_type, 2);
    let messages: Vec<_> = summary.unsupported.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["interface 0 has link type 127 (IEEE 802.11 with radiotap), which steth does not read; 2 packets skipped \
          (it reads Ethernet, Linux cooked, raw IP and BSD loopback)"]
    );
}

#[test]
fn what_is_not_tcp_or_udp_is_counted() {
    let arp = join(&[&[0; 12], &[8, 6], &[0; 28]]);
    let spanning_tree = join(&[&[0; 12], &[0, 38], &[0x42; 38]]);
    let (_, summary) = run(&frames(1, [arp, spanning_tree]));
    assert_eq!(summary.stats.skipped.not_ip, 2);
    let (_, summary) = told([ipv4(A, B, 1, 0, 0, &[], &[8; 16]), ipv4(A, B, 47, 0, 0, &[], &[8; 16])]);
    assert_eq!(summary.stats.skipped.transport, 2);
    let mut bogus = c(1, 1, "A", b"x");
    bogus[3] += 1; // longer than the packet
    let (_, summary) = told([bogus, vec![0x41; 40], vec![0x90; 40]]);
    assert_eq!(summary.stats.skipped.malformed, 3);
}

#[test]
fn headers_between_ip_and_tcp_are_stepped_over() {
    let tcp = segment(40000, 80, 1, 1, "A", b"hello");
    let option = |next: u8, eights: u8| {
        let mut header = vec![0; 8 + usize::from(eights) * 8];
        (header[0], header[1]) = (next, eights);
        header
    };
    let authentication = |next: u8| join(&[&[next, 4], &[0; 22]]);
    let atomic = [6, 0, 0, 0, 0, 0, 0, 9];
    for packet in [
        ipv4(A, B, 6, 0, 0, &[1; 40], &tcp),
        ipv4(A, B, 51, 0, 0, &[], &join(&[&authentication(6), &tcp])),
        ipv6(A6, B6, 0, &join(&[&option(6, 0), &tcp])),
        ipv6(A6, B6, 0, &join(&[&option(43, 1), &option(60, 2), &option(51, 0), &authentication(44), &atomic, &tcp])),
    ] {
        let (told, summary) = told([packet]);
        assert_eq!(told.get(1).map(String::as_str), Some("1 > 1/1 turn hello"), "{summary:?}");
    }
    let endless = join(&[&option(0, 0).repeat(30), &tcp]);
    let (_, summary) = told([ipv6(A6, B6, 0, &endless)]);
    assert_eq!(summary.stats.skipped.malformed, 1);
}

#[test]
fn lengths_of_zero_mean_longer_than_the_field_can_say() {
    let mut four = c(1, 1, "A", b"hello");
    four[2..4].fill(0);
    let mut six = tcp("[fd00::1]:40000", "[fd00::2]:80", 1, 1, "A", b"hello");
    six[4..6].fill(0);
    let (told, _) = told([four, six]);
    assert_eq!((&*told[1], &*told[3]), ("1 > 1/1 turn hello", "2 > 1/1 turn hello"));
}

fn fragments4(id: u16, body: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let ends = at.iter().skip(1).copied().chain([body.len()]);
    let packet = |(&from, to): (&usize, usize)| {
        let more = if to < body.len() { 0x2000 } else { 0 };
        ipv4(A, B, 6, id, more | (from / 8) as u16, &[], &body[from..to])
    };
    at.iter().zip(ends).map(packet).collect()
}

fn fragments6(id: u32, body: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let ends = at.iter().skip(1).copied().chain([body.len()]);
    let packet = |(&from, to): (&usize, usize)| {
        let more = u16::from(to < body.len());
        let mut part = vec![6, 0];
        part.extend((from as u16 | more).to_be_bytes());
        part.extend(id.to_be_bytes());
        part.extend(&body[from..to]);
        ipv6(A6, B6, 44, &part)
    };
    at.iter().zip(ends).map(packet).collect()
}

#[test]
fn fragments_are_joined_in_any_order() {
    let body = segment(40000, 80, 1, 1, "A", b"a long story in several parts");
    for mut packets in [fragments4(7, &body, &[0, 16, 40]), fragments6(7, &body, &[0, 24, 32])] {
        for _ in 0..3 {
            packets.rotate_left(1);
            let mut twice = packets.clone();
            twice.insert(1, packets[0].clone());
            let (told, summary) = told(twice);
            assert_eq!(told[1], "1 > 1/1 turn a long story in several parts");
            let fragments = &summary.stats.fragments;
            assert_eq!((fragments.waited, fragments.reassembled, fragments.incomplete), (3, 1, 0));
        }
    }
}

#[test]
fn fragments_that_waited_are_kept_out_of_order_as_well() {
    let first = c(1, 1, "A", b"ab");
    let body = segment(40000, 80, 5, 1, "A", b"efgh");
    let (told, _) = told(
        [first].into_iter().chain(fragments4(1, &body, &[0, 8])).chain([c(6, 1, "A", b"FGHi"), c(3, 1, "A", b"cd")]),
    );
    assert_eq!(told[1..], ["1 > 1/1 turn ab", "1 > 3/1 cd", "1 > 5/1 efgh", "1 > 9/1 i"]);
}

#[test]
fn overlapping_fragments_drop_the_datagram() {
    let body = segment(40000, 80, 1, 1, "A", b"a long story in several parts");
    let mut packets = fragments4(7, &body, &[0, 16, 40]);
    packets.insert(1, fragments4(7, &body, &[8, 24]).remove(0));
    let (told, summary) = told(packets);
    assert!(told.is_empty());
    assert_eq!((summary.stats.skipped.fragment_overlap, summary.stats.fragments.incomplete), (1, 2));
}

#[test]
fn fragments_of_one_datagram_do_not_mix_with_those_of_another() {
    let body = segment(40000, 80, 1, 1, "A", b"a long story in several parts");
    let one = fragments4(7, &body, &[0, 16]);
    let other = fragments4(8, &body, &[0, 16]);
    let (told, summary) = told([one[0].clone(), other[1].clone()]);
    assert!(told.is_empty());
    assert_eq!(summary.stats.fragments.incomplete, 2);

    // Nor with one that had the same id long ago.
    let mut file = pcap_header(101);
    pcap_packet(&mut file, 1, &one[0], one[0].len());
    pcap_packet(&mut file, 20_000_000_000, &one[1], one[1].len());
    assert!(run(&file).0.is_empty());
}

#[test]
fn unfinished_datagrams_are_bounded() {
    let body = segment(40000, 80, 1, 1, "A", &[b'x'; 400]);
    let limits = Limits { fragmented: 2, fragments: 3, ..Limits::default() };
    let packets = (0..10).map(|id| fragments4(id, &body, &[0, 16]).remove(0));
    let (_, summary) = run_with(&pcap(packets), &limits);
    assert_eq!(summary.stats.fragments.incomplete, 10);
    let (_, summary) = run_with(&pcap(fragments4(1, &body, &[0, 8, 16, 24, 32])), &limits);
    assert_eq!(summary.stats.skipped.fragment_limit, 2);
}

#[test]
fn a_datagram_longer_than_ip_allows_is_refused() {
    let (_, summary) = told([ipv4(A, B, 17, 1, 0x1fff, &[], &[0; 16])]);
    assert_eq!(summary.stats.skipped.malformed, 1);
}

#[test]
fn a_captured_prefix_of_fragments_is_a_prefix_of_the_datagram() {
    let body = segment(40000, 80, 1, 1, "A", b"a long story in several parts");
    // 20 bytes of IP header, then 36 of each fragment: the second is cut.
    let (told, summary) = run(&snapped(56, fragments4(7, &body, &[0, 32 + 8])));
    assert!(summary.stats.skipped.total() == 0, "{summary:?}");
    assert_eq!(told[1], "1 > 1/1 turn a lo+25");
}
