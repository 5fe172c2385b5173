use crate::packets::*;
use steth_pcap::Limits;

const RESOLVER: &str = "10.0.0.3:53";

#[test]
fn each_datagram_is_a_chunk() {
    let (told, summary) = told([
        udp("10.0.0.1:40000", RESOLVER, b"question"),
        udp("10.0.0.1:40000", RESOLVER, b"again"),
        udp(RESOLVER, "10.0.0.1:40000", b"answer"),
        udp(RESOLVER, "10.0.0.1:40000", b""),
    ]);
    assert_eq!(
        told,
        [
            "open 1 udp 10.0.0.1:40000 -> 10.0.0.3:53 request 0/0",
            "1 > 0/0 turn question",
            "1 > 8/0 again",
            "1 < 0/13 turn answer",
        ]
    );
    assert_eq!((summary.stats.udp.datagrams, summary.stats.udp.empty), (4, 1));
}

#[test]
fn an_answer_whose_question_was_before_the_capture() {
    let (told, _) = told([udp(RESOLVER, "10.0.0.1:40000", b"answer"), udp("10.0.0.1:50000", "10.0.0.2:50001", b"x")]);
    assert_eq!(told[0], "open 1 udp 10.0.0.1:40000 -> 10.0.0.3:53 request 0/0");
    assert_eq!(told[2], "open 2 udp 10.0.0.1:50000 -> 10.0.0.2:50001 request 0/0", "between equals, who sends first");
}

#[test]
fn a_datagram_beyond_16_kib_is_one_chunk_all_the_same() {
    let (told, summary) = told([udp("10.0.0.1:40000", RESOLVER, &[b'x'; 20_000])]);
    assert_eq!(told[1], "1 > 0/0 turn [16384]+3616");
    assert_eq!(summary.stats.udp.not_captured, 3616);
}

#[test]
fn a_length_that_is_not_there_is_refused() {
    let mut long = udp("10.0.0.1:40000", RESOLVER, b"abc");
    long[25] = 200;
    let mut short = udp("10.0.0.1:40000", RESOLVER, b"abc");
    short[25] = 7;
    let (told, summary) = told([long, short]);
    assert_eq!((told.len(), summary.stats.skipped.malformed), (0, 2));
}

#[test]
fn the_idlest_pair_gives_way() {
    let limits = Limits { udp_connections: 1, ..Limits::default() };
    let ask = |port: u16| udp(&format!("10.0.0.1:{port}"), RESOLVER, b"?");
    let (told, summary) = run_with(&pcap([ask(1001), ask(1002), ask(1001)]), &limits);
    assert_eq!(told[4], "open 3 udp 10.0.0.1:1001 -> 10.0.0.3:53 request 0/0");
    assert_eq!(summary.stats.udp.evicted, 2);
}
