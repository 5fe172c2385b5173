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
fn a_gap_inside_a_value_costs_nothing() {
    for missing in [skip(900), lose(900)] {
        let mut kit = Kit::default();
        kit.request(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nab");
        kit.feed(REQUEST, missing);
        kit.request([&[b'x'; 98][..], b"\r\n", &command(&["GET", "k"])].concat());
        kit.response(b"+OK\r\n$1000\r\nab");
        kit.feed(RESPONSE, missing);
        kit.response([&[b'x'; 98][..], b"\r\n"].concat());
        assert_eq!((kit.brief().as_str(), kit.count.lost()), ("SET OK, GET OK", 0));
        assert_eq!(kit.out[1].response_bytes, 1009);
        assert!(kit.out.iter().all(|e| !e.truncated));
    }
}

#[test]
fn a_gap_that_ends_with_the_value_ends_the_message() {
    let mut kit = Kit::default();
    kit.request(b"*2\r\n$3\r\nDEL\r\n$10\r\n");
    kit.feed(REQUEST, skip(12));
    kit.response(b"$10\r\n");
    kit.feed(RESPONSE, lose(12));
    assert_eq!((kit.brief().as_str(), kit.count.lost(), kit.out[0].end), ("DEL OK", 0, 4));
}

#[test]
fn a_command_whose_name_is_missing_is_still_a_command() {
    let mut kit = Kit::default();
    kit.request(b"*1\r\n$4\r\nPI");
    kit.feed(REQUEST, lose(2));
    kit.request(b"\r\n");
    kit.response(b"+PONG\r\n");
    assert_eq!((kit.brief().as_str(), kit.out[0].truncated), ("* OK", true));
}

#[test]
fn a_large_reply_beyond_the_capture_limit_ends_before_the_next_request() {
    let mut kit = Kit::default();
    kit.request(command(&["LRANGE", "l", "0", "-1"]));
    kit.response(b"*3\r\n$3\r\nabc\r\n");
    kit.feed(RESPONSE, skip(5000));
    kit.feed(RESPONSE, skip(70));
    kit.request(command(&["GET", "k"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("LRANGE OK, GET OK", 0));
    let e = &kit.out[0];
    assert_eq!((e.truncated, e.first_byte, e.end, e.outcome), (true, 2, 4, Outcome::Answered));
    assert_eq!((kit.out[1].truncated, kit.out[1].response_offset), (false, 5083));
}

#[test]
fn requests_whose_replies_were_lost_are_holes() {
    let mut kit = Kit::default();
    kit.request([command(&["GET", "a"]), command(&["GET", "b"])].concat());
    kit.response(b"$1");
    kit.feed(RESPONSE, lose(10));
    kit.response(b"+this is not known to be a boundary\r\n");
    kit.request(command(&["INCR", "k"]));
    kit.response(b">1\r\n+push\r\n:5\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole), kit.count.lost()), ("INCR OK", 2, 2));
}

#[test]
fn a_pipelined_turn_is_not_taken_for_a_boundary() {
    let mut kit = Kit::default();
    kit.request([command(&["GET", "a"]), command(&["GET", "b"])].concat());
    kit.response(b"$1\r\n1\r\n");
    // Begins a turn, but the reply at this position is the one to `GET b`.
    kit.request(command(&["INCR", "c"]));
    kit.feed(RESPONSE, lose(3));
    kit.response(b"\r\n");
    kit.request(command(&["DEL", "d"]));
    kit.response(b":9\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("GET OK, DEL OK", 2));
}

#[test]
fn a_large_command_beyond_the_capture_limit_keeps_its_reply() {
    let mut kit = Kit::default();
    kit.request(b"*2001\r\n$4\r\nMSET\r\n$1\r\na\r\n");
    kit.feed(REQUEST, skip(8000));
    kit.feed(REQUEST, skip(500));
    kit.response(b"+OK\r\n");
    kit.request(command(&["GET", "k"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("MSET OK, GET OK", 0));
    let e = &kit.out[0];
    assert_eq!((e.truncated, e.request_end, e.request_bytes), (true, 3, 24 + 8500));
}

#[test]
fn commands_skipped_unseen_are_counted_by_their_replies() {
    let mut kit = Kit::default();
    kit.request(command(&["GET", "a"]));
    kit.feed(REQUEST, skip(100));
    kit.response(b"$-1\r\n:1\r\n:2\r\n");
    kit.request(command(&["GET", "k"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Truncated)), ("GET OK, GET OK", 2));
}

#[test]
fn commands_lost_unseen_are_not_counted_twice() {
    let mut kit = Kit::default();
    kit.request(command(&["GET", "a"]));
    kit.feed(REQUEST, lose(100));
    kit.response(b"$-1\r\n:1\r\n:2\r\n");
    kit.request(command(&["GET", "k"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("GET OK, GET OK", 0));
}

#[test]
fn a_command_cut_in_its_head_is_counted_once() {
    for (head, missing, reason) in [
        (&b"*2\r\n$3\r\nGET\r\n$1"[..], lose(9), Lost::Hole),
        (b"*2\r\n$3", lose(9), Lost::Hole),
        (b"*2\r\n$3", skip(9), Lost::Truncated),
    ] {
        let mut kit = Kit::default();
        kit.request(head);
        kit.feed(REQUEST, missing);
        kit.close(End::Closed);
        assert_eq!((kit.out.len(), kit.count.lost_by(reason), kit.count.lost()), (0, 1, 1));
    }
}

#[test]
fn commands_behind_a_lost_one_are_counted_and_not_paired() {
    let mut kit = Kit::default();
    kit.request(command(&["GET", "a"]));
    kit.feed(REQUEST, lose(40));
    kit.request(b"in the middle\r\n");
    kit.request(command(&["GET", "c"]));
    kit.response(b"$-1\r\n:1\r\n:2\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole), kit.count.lost()), ("GET OK", 1, 1));
    kit.request(command(&["INCR", "d"]));
    kit.response(b":3\r\n");
    assert_eq!(kit.brief(), "GET OK, INCR OK");
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
        kit.request(command(&["KEYS", "*"]));
        kit.response(b"*7\r\n");
        kit.feed(RESPONSE, missing);
        // Nothing came behind this one, so that it cannot have been answered.
        kit.request(command(&["PING"]));
        kit.close(end);
        assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Hole)), (reported, holes));
        let ping = kit.out.last().unwrap();
        assert_ne!((ping.outcome, ping.truncated), (Outcome::Answered, true));
        if reported == 2 {
            let e = &kit.out[0];
            assert_eq!((e.truncated, e.outcome, e.end), (true, Outcome::Answered, 3));
            assert!(matches!(e.status, Status::Word(_)));
        }
    }
}

#[test]
fn the_database_is_not_known_behind_a_gap() {
    let mut kit = Kit::default();
    kit.request(command(&["SELECT", "3"]));
    kit.response(b"+OK\r\n");
    kit.feed(REQUEST, lose(10));
    kit.feed(RESPONSE, lose(5));
    kit.request(command(&["GET", "a"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.out.len(), kit.attribute(1, "db.namespace")), (2, None));
}

#[test]
fn an_error_payload_cut_inside_of_its_word_has_no_status() {
    let mut kit = Kit::default();
    kit.request(command(&["GET", "a"]));
    kit.response(b"!21\r\nSYNT");
    kit.feed(RESPONSE, skip(19));
    assert_eq!(kit.brief(), "GET -");
}

#[test]
fn a_client_that_does_not_wait_is_in_step_again_after_a_pause() {
    let mut kit = Kit::default();
    kit.request(command(&["GET", "a"]));
    kit.request(command(&["GET", "b"]));
    kit.response(b":1\r\n");
    kit.request(command(&["GET", "c"]));
    kit.response(b":2\r\n:3");
    kit.feed(RESPONSE, lose(3));
    // The next reply may be that to a request before it.
    kit.request(command(&["GET", "d"]));
    kit.response(b":9\r\n");
    kit.request(command(&["GET", "e"]));
    assert_eq!((kit.out.len(), kit.session.pending()), (2, 3));
    kit.time += 100;
    kit.response(b":8\r\n");
    kit.request(command(&["INCR", "f"]));
    kit.response(b":6\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("GET OK, GET OK, INCR OK", 3));
}
