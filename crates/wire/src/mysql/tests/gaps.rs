//! What becomes of exchanges when bytes are missing.

use super::*;
use crate::Status;

fn skip(n: u64) -> Bytes<'static> {
    Bytes::Skipped(n)
}

fn lose(n: u64) -> Bytes<'static> {
    Bytes::Lost(n)
}

const REQUEST: Direction = Direction::Request;
const RESPONSE: Direction = Direction::Response;

#[test]
fn a_gap_inside_a_packet_costs_nothing_but_text() {
    for missing in [skip(900), lose(900)] {
        let mut kit = Kit::default();
        let (text, row) = (query(&"x".repeat(1000)), packet(4, &[7; 1000]));
        kit.request(&text[..50]);
        kit.feed(REQUEST, missing);
        kit.request(&text[950..]);
        kit.response(packets(1, &[b"\x01", COLUMN, EOF]));
        kit.response(&row[..50]);
        kit.feed(RESPONSE, missing);
        kit.response([&row[950..], &packet(5, EOF)].concat());
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.out.len(), kit.count.lost()), (2, 0));
        assert_eq!((kit.out[0].truncated, kit.out[0].request_bytes), (true, 1005));
        assert!(matches!(kit.out[0].status, Status::Word(_)));
    }
}

#[test]
fn a_gap_that_ends_with_the_packet_ends_the_message() {
    let mut kit = Kit::default();
    let long = query("SELECT 1");
    kit.request(&long[..6]);
    kit.feed(REQUEST, skip(long.len() as u64 - 6));
    kit.response(&error_packet()[..8]);
    kit.feed(RESPONSE, lose(error_packet().len() as u64 - 8));
    assert_eq!((kit.out.len(), kit.count.lost(), kit.out[0].end), (1, 0, 4));
    assert_eq!(kit.out[0].status, Status::Code(1064));
}

fn error_packet() -> Vec<u8> {
    packet(1, &error(1064, "42000", "You have an error in your SQL syntax"))
}

#[test]
fn a_command_whose_name_is_missing_is_still_a_command() {
    let mut kit = Kit::default();
    kit.request(&query("SELECT 1")[..4]);
    kit.feed(REQUEST, lose(9));
    kit.response(error_packet());
    kit.request(&query("SELECT 1")[..4]);
    kit.feed(REQUEST, skip(9));
    kit.response(rows(1, &[b"\x01x"], true, 2));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("* 1064, * -, PING OK", 0));
    assert!(kit.out[0].truncated && kit.out[1].truncated);
    assert_eq!(kit.out[1].end, 6);
}

#[test]
fn a_command_whose_name_is_missing_may_have_no_answer() {
    let mut kit = Kit::default();
    kit.request(&number(0x19, 7)[..4]);
    kit.feed(REQUEST, skip(1));
    kit.request([&number(0x19, 7)[5..], &query("SELECT 1")].concat());
    kit.response(error_packet());
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("PING OK", 2));
}

#[test]
fn a_large_result_beyond_the_capture_limit_ends_before_the_next_request() {
    let mut kit = Kit::default();
    kit.request(query("SELECT * FROM t"));
    let answer = rows(1, &[&b"\x01x"[..]; 20], true, 2);
    kit.response(&answer);
    kit.request(query("SELECT * FROM t"));
    kit.response(&answer[..60]);
    kit.feed(RESPONSE, skip(5000));
    kit.feed(RESPONSE, skip(70));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.count.lost()), (3, 0));
    let e = &kit.out[1];
    assert_eq!((e.truncated, e.first_byte, e.end, e.outcome), (true, 4, 6, Outcome::Answered));
    assert_eq!((e.response_bytes, e.status), (5130, Status::Unknown));
    assert_eq!((kit.out[2].truncated, kit.out[2].response_offset), (false, answer.len() as u64 + 5130));
}

#[test]
fn requests_whose_answers_were_lost_are_holes() {
    let mut kit = Kit::default();
    kit.request([PING, PING].concat());
    kit.response(&packet(1, OK)[..2]);
    kit.feed(RESPONSE, lose(10));
    kit.response(packet(1, OK));
    kit.ask(query("SELECT 1"), error_packet());
    assert_eq!((kit.count.lost_by(Lost::Hole), kit.count.lost(), kit.out.len()), (2, 2, 1));
    assert_eq!(kit.out[0].status, Status::Code(1064));
}

#[test]
fn a_pipelined_turn_is_not_taken_for_a_boundary() {
    let mut kit = Kit::default();
    kit.request([PING, PING].concat());
    kit.response(packet(1, OK));
    // Begins a turn, but the answer at this position is the one to the second PING.
    kit.request(query("SELECT 1"));
    kit.feed(RESPONSE, lose(7));
    kit.response(&packet(1, OK)[7..]);
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("PING OK, PING OK", 2));
}

#[test]
fn a_large_command_beyond_the_capture_limit_keeps_its_answer() {
    let mut kit = Kit::default();
    // More than one packet: where it ends is not seen.
    let mut head = packet(0, b"\x03INSERT INTO t VALUES (1)");
    head[..3].copy_from_slice(&[0xff; 3]);
    kit.request(&head);
    kit.feed(REQUEST, skip(17 << 20));
    kit.feed(REQUEST, skip(500));
    kit.response(packet(2, OK));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.count.lost()), (2, 0));
    let e = &kit.out[0];
    assert_eq!((e.truncated, e.request_end, e.request_bytes), (true, 3, 29 + (17 << 20) + 500));
    assert_eq!(kit.attribute(0, "steth.db.response.affected_rows").as_deref(), Some("1"));
}

#[test]
fn commands_skipped_unseen_are_counted_by_their_answers() {
    let mut kit = Kit::default();
    kit.request(PING);
    kit.feed(REQUEST, skip(100));
    kit.response([packet(1, OK), packet(1, OK)].concat());
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Truncated)), ("PING OK, PING OK", 1));
}

#[test]
fn commands_lost_unseen_are_not_counted_twice() {
    let mut kit = Kit::default();
    kit.request(PING);
    kit.feed(REQUEST, lose(100));
    kit.response([packet(1, OK), packet(1, OK)].concat());
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("PING OK, PING OK", 0));
}

#[test]
fn a_command_cut_in_its_head_is_counted_once() {
    for (head, missing, reason) in [
        (&b"\x09\0"[..], lose(90), Lost::Hole),
        (b"\x09\0\0\0\x03SEL", lose(90), Lost::Hole),
        (b"\x09\0", skip(90), Lost::Truncated),
    ] {
        let mut kit = Kit::default();
        kit.request(head);
        kit.feed(REQUEST, missing);
        kit.close(End::Closed);
        let reported = kit.out.len() as u64;
        assert_eq!(reported + kit.count.lost(), 1, "{}", head.escape_ascii());
        assert_eq!(kit.count.lost_by(reason), 1 - reported);
    }
}

#[test]
fn commands_behind_a_lost_one_are_counted_and_not_paired() {
    let mut kit = Kit::default();
    kit.request(PING);
    kit.feed(REQUEST, lose(40));
    kit.request(b"in the middle");
    kit.request(query("SELECT 1"));
    kit.response([packet(1, OK), packet(1, OK)].concat());
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole), kit.count.lost()), ("PING OK", 1, 1));
    kit.ask(PING, packet(1, OK));
    assert_eq!(kit.brief(), "PING OK, PING OK");
}

#[test]
fn the_end_of_a_connection_in_a_gap() {
    for (missing, end, reported, holes) in [
        (skip(100), End::Closed, 2, 0),
        (skip(100), End::Reset, 2, 0),
        (lose(100), End::Closed, 1, 1),
        (lose(100), End::Reset, 1, 1),
    ] {
        let mut kit = Kit::default();
        kit.request(query("SELECT 1"));
        kit.response(packets(1, &[b"\x01", COLUMN, EOF]));
        kit.feed(RESPONSE, missing);
        // Nothing came behind this one, so that it cannot have been answered.
        kit.request(PING);
        kit.close(end);
        assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Hole)), (reported, holes));
        let ping = kit.out.last().unwrap();
        assert_ne!((ping.outcome, ping.truncated), (Outcome::Answered, true));
        if reported == 2 {
            let e = &kit.out[0];
            assert_eq!((e.truncated, e.outcome, e.end), (true, Outcome::Answered, 3));
        }
    }
}

#[test]
fn a_prepared_statement_whose_answer_was_lost_is_not_known() {
    let mut kit = Kit::default();
    kit.request(prepare("SELECT 1"));
    kit.feed(RESPONSE, skip(40));
    kit.ask(execute(1), rows(1, &[b"\0\0\x01a"], true, 2));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.count.lost()), (3, 0));
    assert_eq!(kit.names.get(kit.out[1].operation), "EXECUTE (unseen)");
}

#[test]
fn the_schema_is_not_known_behind_a_gap() {
    let mut kit = Kit::default();
    kit.ask(packet(0, b"\x02shop"), packet(1, OK));
    kit.feed(REQUEST, lose(10));
    kit.feed(RESPONSE, lose(5));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.attribute(1, "db.namespace")), (2, None));
}

#[test]
fn a_login_whose_end_was_lost_is_over() {
    for missing in [skip(11), lose(11)] {
        let mut kit = Kit::default();
        kit.response(greeting("8.0.36"));
        kit.request(login(0, "shop"));
        kit.feed(RESPONSE, missing);
        kit.ask(PING, packet(1, OK));
        assert!(kit.brief().ends_with("PING OK"), "{}", kit.brief());
        assert_eq!(kit.out.len() as u64 + kit.count.lost(), 2);
    }
}

#[test]
fn a_client_that_does_not_wait_is_in_step_again_after_a_pause() {
    let mut kit = Kit::default();
    kit.request(PING);
    kit.request(PING);
    kit.response(packet(1, OK));
    kit.request(PING);
    kit.response([packet(1, OK), packet(1, OK)[..5].to_vec()].concat());
    kit.feed(RESPONSE, lose(6));
    // The next answer may be that to a request before it.
    kit.request(PING);
    kit.response(packet(1, OK));
    kit.request(PING);
    assert_eq!((kit.out.len(), kit.session.pending()), (2, 3));
    kit.time += 100;
    kit.response(packet(1, OK));
    kit.ask(query("SELECT 1"), error_packet());
    assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Hole)), (3, 3));
    assert_eq!(kit.out[2].status, Status::Code(1064));
}
