use crate::packets::*;
use steth_pcap::Limits;

const OPEN: &str = "open 1 tcp 10.0.0.1:40000 -> 10.0.0.2:80 state 1001/5001";

#[test]
fn an_exchange_from_syn_to_fin() {
    let packets = handshake().into_iter().chain([
        c(1001, 5001, "PA", b"ping"),
        s(5001, 1005, "A", b""),
        s(5001, 1005, "PA", b"pong"),
        c(1005, 5005, "FA", b""),
        s(5005, 1006, "FA", b""),
        c(1006, 5006, "A", b""),
    ]);
    let (told, summary) = told(packets);
    assert_eq!(
        told,
        [
            OPEN,
            "1 > 1001/5001 turn ping",
            "1 < 5001/1005 turn pong",
            "1 > fin 1005",
            "1 < fin 5005",
            "close 1 1005/5005 fin sent, fin received",
        ]
    );
    assert_eq!((summary.stats.tcp.segments, summary.stats.tcp.connections, summary.stats.tcp.delivered), (9, 1, 8));
}

#[test]
fn times_are_those_of_the_packets() {
    use steth_event::Event;
    let mut times = Vec::new();
    let mut file = pcap_header(101);
    let packets = handshake().into_iter().chain([c(1001, 5001, "A", b"x"), s(5001, 1002, "A", b"y")]);
    for (packet, time) in packets.zip([5, 6, 7, 50_000_000, 200_000_000]) {
        pcap_packet(&mut file, 9_000_000_000 + time, &packet, packet.len());
    }
    steth_pcap::replay(&file, &Limits::default(), &mut |record| {
        times.push(match Event::parse(record).unwrap() {
            Event::Clock(clock) => ("clock", clock.monotonic, clock.offset),
            Event::Tick(tick) => ("tick", tick.time, 0),
            Event::Open(open) => {
                assert_eq!(open.time, 9_050_000_000);
                ("open", open.connect_started, open.established)
            }
            Event::Chunk(chunk, _) => ("chunk", chunk.time, 0),
            other => panic!("{other:?}"),
        });
    })
    .unwrap();
    assert_eq!(
        times,
        [
            ("clock", 9_000_000_005, 0),
            ("open", 9_000_000_005, 9_000_000_006),
            ("chunk", 9_050_000_000, 0),
            ("tick", 9_200_000_000, 0),
            ("chunk", 9_200_000_000, 0),
            ("tick", 9_200_000_000, 0),
        ]
    );
}

#[test]
fn reordered_segments_wait_for_the_one_before() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1006, 5001, "A", b"efg"),
        c(1004, 5001, "A", b"cd"),
        c(1001, 5001, "A", b"abx"),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn abx", "1 > 1004/5001 cd", "1 > 1006/5001 efg"]);
    assert_eq!((summary.stats.tcp.reordered, summary.stats.tcp.lost_given_up), (2, 0));
}

#[test]
fn a_byte_is_not_there_before_those_in_front_of_it() {
    use steth_event::Event;
    let mut chunks = Vec::new();
    let file = pcap(handshake().into_iter().chain([c(1003, 5001, "A", b"cd"), c(1001, 5001, "A", b"ab")]));
    steth_pcap::replay(&file, &Limits::default(), &mut |record| {
        if let Event::Chunk(chunk, _) = Event::parse(record).unwrap() {
            chunks.push((chunk.offset, chunk.time));
        }
    })
    .unwrap();
    assert_eq!(chunks, [(1001, 5_000_000), (1003, 5_000_000)]);
}

#[test]
fn of_bytes_that_come_twice_the_first_copy_is_kept() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1001, 5001, "A", b"abcd"),
        c(1003, 5001, "A", b"XXef"),
        c(1001, 5001, "A", b"YYYY"),
        c(1009, 5001, "A", b"ij"),
        c(1006, 5001, "A", b"ZghWWkl"),
    ]));
    assert_eq!(
        told[1..],
        ["1 > 1001/5001 turn abcd", "1 > 1005/5001 ef", "1 > 1007/5001 gh", "1 > 1009/5001 ij", "1 > 1011/5001 kl"]
    );
    let tcp = &summary.stats.tcp;
    // XX, YYYY, Z, WW.
    assert_eq!((tcp.retransmitted, tcp.delivered), (9, 12));
}

#[test]
fn a_hole_that_the_receiver_acknowledges_is_given_up() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1001, 5001, "A", b"ab"),
        // 1003..1005 is not in the capture
        c(1005, 5001, "A", b"ef"),
        s(5001, 1007, "A", b"ok"),
        c(1003, 5003, "A", b"cd"),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn ab", "1 > 1005/5001 ef", "1 < 5001/1007 turn ok"]);
    assert_eq!((summary.stats.tcp.lost_acknowledged, summary.stats.tcp.retransmitted), (2, 2));
}

#[test]
fn a_request_that_was_not_captured_shows_before_its_response() {
    let (told, summary) = told(handshake().into_iter().chain([
        s(5001, 1011, "A", b"first"),
        c(1011, 5006, "A", b"second?"),
        s(5006, 1018, "A", b"second"),
    ]));
    assert_eq!(told, [OPEN, "1 < 5001/1011 turn first", "1 > 1011/5006 turn second?", "1 < 5006/1018 turn second"],);
    assert_eq!(summary.stats.tcp.lost_acknowledged, 10);
}

#[test]
fn a_request_that_was_captured_behind_its_response_is_told_with_what_came_before_it() {
    // Two directions of a mirror port, merged with a slip. The flow stage puts them in order by what each says of the other.
    let (told, summary) = told(handshake().into_iter().chain([
        s(5001, 1005, "A", b"pong"),
        c(1001, 5001, "A", b"ping"),
        c(1005, 5005, "A", b"next"),
    ]));
    assert_eq!(told[1..], ["1 < 5001/1005 turn pong", "1 > 1001/5001 turn ping", "1 > 1005/5005 next"]);
    assert_eq!(summary.stats.tcp.lost_acknowledged, 0);
}

#[test]
fn of_a_capture_of_one_direction_the_other_is_known_by_its_positions() {
    // 5 GiB come back, none of which is seen.
    let packets = (0..40u32).map(|n| c(1001 + n, 5001u32.wrapping_add(n << 27), "A", b"x"));
    let (told, summary) = told(handshake().into_iter().take(1).chain(packets));
    assert_eq!(told.len(), 41);
    assert_eq!(told[40], format!("1 > 1040/{} turn x", 5001 + (39u64 << 27)));
    assert_eq!(summary.stats.tcp.lost_acknowledged, 39 << 27);
}

#[test]
fn an_acknowledged_end_is_told_though_the_bytes_before_it_are_missing() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1003, 5001, "FA", b""),
        s(5001, 1004, "FA", b"ok"),
        c(1004, 5004, "A", b""),
    ]));
    assert_eq!(
        told[1..],
        ["1 > fin 1003", "1 < 5001/1003 turn ok", "1 < fin 5003", "close 1 1003/5003 fin sent, fin received"]
    );
    assert_eq!(summary.stats.tcp.lost_acknowledged, 2);
}

#[test]
fn a_response_that_was_not_captured_makes_the_next_request_a_turn() {
    let (told, _) = told(handshake().into_iter().chain([c(1001, 5001, "A", b"one"), c(1004, 5011, "A", b"two")]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn one", "1 > 1004/5011 turn two"]);
}

#[test]
fn a_hole_is_given_up_when_too_much_waits_behind_it() {
    let limits = Limits { segments: 2, ..Limits::default() };
    let packets =
        [c(1001, 5001, "A", b"a"), c(1003, 5001, "A", b"c"), c(1005, 5001, "A", b"e"), c(1007, 5001, "A", b"g")];
    let (told, summary) = run_with(&pcap(handshake().into_iter().chain(packets)), &limits);
    assert_eq!(told[1..], ["1 > 1001/5001 turn a", "1 > 1003/5001 c", "1 > 1005/5001 e", "1 > 1007/5001 g"]);
    assert_eq!(summary.stats.tcp.lost_given_up, 3);

    for limits in [Limits { bytes: 1000, ..Limits::default() }, Limits { total_bytes: 1000, ..Limits::default() }] {
        let packets = [c(1002, 5001, "A", &[b'x'; 500]), c(2000, 5001, "A", &[b'y'; 500]), c(1001, 5001, "A", b"late")];
        let (told, _) = run_with(&pcap(handshake().into_iter().chain(packets)), &limits);
        assert_eq!(told[1], "1 > 1002/5001 [500]", "the late byte came too late");
    }
}

#[test]
fn what_still_waits_at_the_end_of_the_file_is_delivered() {
    let (told, summary) = told(handshake().into_iter().chain([c(1005, 5001, "A", b"ef"), c(1010, 5001, "FA", b"")]));
    assert_eq!(told[1..], ["1 > 1005/5001 ef", "1 > fin 1010"]);
    assert_eq!(summary.stats.tcp.lost_given_up, 7);
}

#[test]
fn sequence_numbers_wrap_around() {
    let (told, _) = told([
        c(u32::MAX - 3, 0, "S", b""),
        s(u32::MAX, u32::MAX - 2, "SA", b""),
        c(u32::MAX - 2, 0, "A", b"abcdef"),
        s(0, 3, "A", b"xy"),
        c(3, 2, "A", b"gh"),
        c(u32::MAX - 2, 2, "A", b"abcdef"),
    ]);
    assert_eq!(
        told,
        [
            "open 1 tcp 10.0.0.1:40000 -> 10.0.0.2:80 state 4294967293/0",
            "1 > 4294967293/0 turn abcdef",
            "1 < 0/4294967299 turn xy",
            "1 > 4294967299/2 turn gh",
        ]
    );
}

#[test]
fn a_connection_older_than_the_capture_is_joined_where_it_is() {
    // A response first: the port tells who serves. A lone acknowledgement before it starts nothing.
    let (told, summary) = told([c(6, 70, "A", b""), s(70, 7, "A", b"tail"), c(7, 74, "A", b"GET /")]);
    assert_eq!(
        told,
        ["open 1 tcp 10.0.0.1:40000 -> 10.0.0.2:80 request 7/70", "1 < 70/7 turn tail", "1 > 7/74 turn GET /",]
    );
    assert_eq!(summary.stats.tcp.unattached, 1);
}

#[test]
fn between_two_high_ports_the_first_to_send_is_the_client() {
    let (told, _) = told([tcp("10.0.0.9:50002", "10.0.0.8:50001", 1, 1, "A", b"x")]);
    assert_eq!(told[0], "open 1 tcp 10.0.0.9:50002 -> 10.0.0.8:50001 request 1/1");
}

#[test]
fn the_sender_of_the_syn_is_the_client_whatever_the_ports_say() {
    let (told, _) = told([
        tcp("10.0.0.2:80", "10.0.0.1:40000", 10, 0, "S", b""),
        tcp("10.0.0.1:40000", "10.0.0.2:80", 20, 11, "SA", b""),
        tcp("10.0.0.1:40000", "10.0.0.2:80", 21, 11, "A", b"220 hello"),
    ]);
    assert_eq!(told[0], "open 1 tcp 10.0.0.2:80 -> 10.0.0.1:40000 state 11/21");
    assert_eq!(told[1], "1 < 21/11 turn 220 hello");
}

#[test]
fn the_answer_to_a_syn_tells_as_well() {
    let (told, _) = told([s(5000, 1001, "SA", b""), c(1001, 5001, "A", b"x")]);
    assert_eq!(told, [OPEN, "1 > 1001/5001 turn x"]);
}

#[test]
fn without_the_answer_to_the_syn_the_acknowledgement_tells_where_the_server_begins() {
    let (told, _) = told([c(1000, 0, "S", b""), c(1001, 5001, "A", b"x"), s(5001, 1002, "A", b"y")]);
    assert_eq!(told, [OPEN, "1 > 1001/5001 turn x", "1 < 5001/1002 turn y"]);
}

#[test]
fn payload_of_a_syn_waits_for_the_answer() {
    let (told, _) = told([c(1000, 0, "S", b"fast"), s(5000, 1005, "SA", b""), s(5001, 1005, "A", b"open")]);
    assert_eq!(told, [OPEN, "1 > 1001/5001 turn fast", "1 < 5001/1005 turn open"]);
    // Or for the end, if there is none.
    let (told, _) = self::told([c(1000, 0, "S", b"fast")]);
    assert_eq!(told, ["open 1 tcp 10.0.0.1:40000 -> 10.0.0.2:80 state 1001/0", "1 > 1001/0 turn fast"]);
}

#[test]
fn keep_alives_are_no_data() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1001, 5001, "A", b"ab"),
        c(1002, 5001, "A", b"\0"),
        c(1002, 5001, "A", b""),
        s(5001, 1003, "A", b""),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn ab"]);
    assert_eq!(summary.stats.tcp.keep_alives, 2);
}

#[test]
fn a_reset_closes() {
    let (told, _) = told(handshake().into_iter().chain([
        c(1001, 5001, "A", b"ab"),
        c(1005, 5001, "A", b"waits"),
        s(5001, 1003, "RA", b""),
        c(1010, 5001, "A", b"too late"),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn ab", "1 > 1005/5001 waits", "close 1 1010/5001 reset by peer"]);

    let (told, _) = self::told(handshake().into_iter().chain([c(1001, 5001, "R", b"")]));
    assert_eq!(told, [OPEN, "close 1 1001/5001 reset by us"]);
}

#[test]
fn a_refused_connection_is_told() {
    let (told, summary) = told([c(1000, 0, "S", b""), s(0, 1001, "RA", b"")]);
    assert_eq!(told, [OPEN.replace("5001", "0"), "close 1 1001/0 reset by peer, refused".into()]);
    assert_eq!(summary.stats.tcp.connections, 1);
}

#[test]
fn a_syn_without_an_answer_is_no_connection() {
    let (told, summary) = told([c(1000, 0, "S", b""), c(1000, 0, "S", b"")]);
    assert_eq!((told.len(), summary.stats.tcp.connections), (0, 0));
}

#[test]
fn a_new_syn_ends_the_old_connection() {
    let packets = handshake().into_iter().chain([
        c(1001, 5001, "A", b"old"),
        c(9000, 0, "S", b""),
        // A copy of the SYN, as lost answers make them.
        c(9000, 0, "S", b""),
        s(7000, 9001, "SA", b""),
        s(7000, 9001, "SA", b""),
        c(9001, 7001, "A", b"new"),
    ]);
    let (told, _) = told(packets);
    assert_eq!(
        told[2..],
        ["close 1 1004/5001 ", "open 2 tcp 10.0.0.1:40000 -> 10.0.0.2:80 state 9001/7001", "2 > 9001/7001 turn new",]
    );
}

#[test]
fn a_reused_port_after_an_orderly_end_is_a_new_connection() {
    let end = [c(1001, 5001, "FA", b""), s(5001, 1002, "FA", b""), c(1002, 5002, "A", b"")];
    let again = [c(1000, 0, "S", b""), c(3000, 0, "S", b""), s(8000, 3001, "SA", b""), c(3001, 8001, "A", b"x")];
    let (told, _) = told(handshake().into_iter().chain(end).chain(again));
    assert_eq!(told.last().unwrap(), "2 > 3001/8001 turn x");
    assert_eq!(told.len(), 6);
}

#[test]
fn copies_after_the_end_are_no_new_connection() {
    let end =
        [c(1001, 5001, "FA", b"bye"), s(5001, 1005, "FA", b""), c(1001, 5001, "FA", b"bye"), c(1005, 5002, "A", b"")];
    let (told, summary) = told(handshake().into_iter().chain(end));
    assert_eq!(told.len(), 5);
    assert_eq!(summary.stats.tcp.after_close, 3);
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let (told, _) = told(handshake().into_iter().chain([
        c(1003, 5001, "FA", b"cd"),
        s(5001, 1001, "A", b"hm"),
        c(1001, 5001, "A", b"ab"),
        c(1003, 5001, "FA", b"cd beyond"),
    ]));
    assert_eq!(told[1..], ["1 < 5001/1001 turn hm", "1 > 1001/5003 turn ab", "1 > 1003/5003 cd", "1 > fin 1005"]);
}

#[test]
fn a_fin_cuts_off_what_was_sent_beyond_it() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1003, 5001, "A", b"cdXX"),
        c(1005, 5001, "FA", b""),
        c(1001, 5001, "A", b"ab"),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn ab", "1 > 1003/5001 cd", "1 > fin 1005"]);
    assert_eq!(summary.stats.tcp.out_of_window, 2);
}

#[test]
fn an_acknowledged_fin_is_not_a_lost_byte() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1001, 5001, "FA", b"ab"),
        s(5001, 1004, "A", b"cd"),
        s(5003, 1004, "FA", b""),
    ]));
    assert_eq!(told[2..5], ["1 > fin 1003", "1 < 5001/1003 turn cd", "1 < fin 5003"]);
    assert_eq!(summary.stats.tcp.lost_acknowledged, 0);
}

#[test]
fn bytes_beyond_the_capture_length_are_known_by_their_number() {
    // 20 + 32 bytes of headers, then 4 of payload.
    let (told, summary) = run(&snapped(
        56,
        handshake().into_iter().chain([
            c(1001, 5001, "A", b"abcdefgh"),
            c(1009, 5001, "A", b"ijk"),
            c(1010, 5001, "A", b"jkLMN"),
        ]),
    ));
    assert_eq!(told[1..], ["1 > 1001/5001 turn abcd+4", "1 > 1009/5001 ijk", "1 > 1012/5001 LM+1"]);
    assert_eq!(summary.stats.tcp.not_captured, 5);
}

#[test]
fn options_cut_by_the_capture_length_leave_the_payload_length() {
    let (told, _) = run(&snapped(40, handshake().into_iter().chain([c(1001, 5001, "A", b"abcdefgh")])));
    assert_eq!(told[1..], ["1 > 1001/5001 turn +8"]);
}

#[test]
fn a_large_segment_becomes_several_chunks() {
    let (told, summary) =
        run(&snapped(52 + 40_000, handshake().into_iter().chain([c(1001, 5001, "A", &[b'x'; 50_000])])));
    assert_eq!(told[1..], ["1 > 1001/5001 turn [16384]", "1 > 17385/5001 [16384]", "1 > 33769/5001 [7232]+10000"]);
    assert_eq!(summary.stats.tcp.not_captured, 10_000);
}

#[test]
fn far_away_segments_and_acknowledgements_are_not_believed() {
    let (told, summary) = told(handshake().into_iter().chain([
        c(1001 + (1 << 30) + 1, 5001, "A", b"far"),
        c(1001, 5001 + (1 << 30) + 1, "A", b"ab"),
        s(5001, 900, "R", b""),
        s(5001u32.wrapping_sub(1 << 31), 900, "R", b""),
    ]));
    assert_eq!(told[1..], ["1 > 1001/5001 turn ab", "close 1 1003/5001 reset by peer"]);
    assert_eq!(summary.stats.tcp.out_of_window, 3);
}

#[test]
fn the_idlest_connection_gives_way() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let one = |port: u16, sequence, data: &[u8]| tcp(&format!("10.0.0.1:{port}"), SERVER, sequence, 1, "A", data);
    let (told, summary) = run_with(
        &pcap([
            one(1001, 1, b"a"),
            one(1002, 1, b"b"),
            one(1001, 2, b"c"),
            one(1003, 1, b"d"),
            one(1001, 3, b"e"),
            one(1002, 2, b"f"),
        ]),
        &limits,
    );
    let chunks: Vec<_> = told.iter().filter(|line| !line.starts_with("open")).collect();
    assert_eq!(
        chunks,
        ["1 > 1/1 turn a", "2 > 1/1 turn b", "1 > 2/1 c", "3 > 1/1 turn d", "1 > 3/1 e", "4 > 2/1 turn f"]
    );
    assert_eq!(summary.stats.tcp.evicted, 2);
}

#[test]
fn both_families() {
    let (told, _) = told([tcp("[fd00::1]:40000", "[fd00::2]:443", 1, 1, "A", b"six")]);
    assert_eq!(told, ["open 1 tcp [fd00::1]:40000 -> [fd00::2]:443 request 1/1", "1 > 1/1 turn six"]);
}
