//! What becomes of lookups when bytes are missing.

use super::super::early::EARLY;
use super::kit::{A, Kit, MS, S, address, answer, framed, query};
use crate::parser::Parser as _;
use crate::{Bytes, Direction, End, Status};
use steth_ledger::Lost;

const REQUEST: Direction = Direction::Request;
const RESPONSE: Direction = Direction::Response;

fn skip(n: u64) -> Bytes<'static> {
    Bytes::Skipped(n)
}

fn lose(n: u64) -> Bytes<'static> {
    Bytes::Lost(n)
}

#[test]
fn the_end_of_a_datagram_beyond_the_capture_limit() {
    let mut kit = Kit::udp();
    let (q, r) = (query(1, "a", A), answer(1, "a", A, 0, &[address("192.0.2.1", 1), address("192.0.2.2", 1)]));
    kit.request(&q[..19]);
    kit.at_once(REQUEST, skip(100));
    kit.response(&r[..40]);
    assert_eq!(kit.out.len(), 0, "its end may follow");
    kit.at_once(RESPONSE, skip(11));
    assert_eq!(kit.brief(), "A a NOERROR answered");
    let e = &kit.out[0];
    assert_eq!((e.request_bytes, e.response_bytes, e.truncated), (119, 51, true));
    assert_eq!(kit.attribute(0, "dns.answers").as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_query_cut_before_its_question_ends_is_told_by_its_id() {
    let mut kit = Kit::tcp();
    kit.request(&framed(&query(1, "a.example", A))[..18]);
    kit.feed(REQUEST, skip(11));
    kit.request(framed(&query(2, "b.example", A)));
    kit.response(framed(&answer(2, "b.example", A, 0, &[])));
    kit.response(framed(&answer(1, "a.example", A, 0, &[])));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A b.example NOERROR answered, * NOERROR answered", 0));
    assert!(kit.out[1].truncated);
}

#[test]
fn datagrams_that_were_not_captured_at_all() {
    let mut kit = Kit::udp();
    kit.feed(REQUEST, skip(30));
    kit.response(answer(1, "a", A, 0, &[]));
    assert_eq!(kit.lost(), [(Lost::Truncated, 1)], "counted once");
    kit.request(query(2, "b", A));
    kit.feed(RESPONSE, skip(50));
    kit.time += 6 * S;
    kit.tick();
    assert_eq!(kit.lost(), [(Lost::Truncated, 2)], "an answer came, and it may have been this one's");
    kit.request(query(3, "c", A));
    kit.time += 6 * S;
    kit.tick();
    assert_eq!(kit.brief(), "A c - timeout");
}

#[test]
fn lost_datagrams_are_counted_by_who_lost_them() {
    let mut kit = Kit::udp();
    kit.feed(REQUEST, lose(30));
    kit.response(answer(1, "a", A, 0, &[]));
    assert_eq!(kit.count.lost(), 0);
    kit.time += 6 * S;
    kit.response(answer(2, "a", A, 0, &[]));
    kit.time += EARLY;
    kit.tick();
    assert_eq!(kit.lost(), [(Lost::Orphan, 1)], "too late to be explained by it");
    kit.request(query(3, "b", A));
    kit.feed(RESPONSE, lose(50));
    kit.close(End::Closed);
    assert_eq!(kit.lost(), [(Lost::Hole, 1), (Lost::Orphan, 1)]);
}

#[test]
fn a_large_answer_of_which_the_rest_was_not_copied_keeps_its_code_and_its_end() {
    let mut kit = Kit::tcp();
    kit.request(framed(&query(1, "a", A)));
    let records: Vec<_> = (0..100).map(|n| address(&format!("192.0.2.{n}"), 1)).collect();
    let r = framed(&answer(1, "a", A, 0, &records));
    kit.response(&r[..300]);
    kit.time += 7 * MS;
    kit.feed(RESPONSE, skip(r.len() as u64 - 300));
    kit.request(framed(&query(2, "b", A)));
    kit.response(framed(&answer(2, "b", A, 3, &[])));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A a NOERROR answered, A b NXDOMAIN answered", 0));
    let e = &kit.out[0];
    assert_eq!((e.end, e.response_bytes, e.truncated), (10 * MS, r.len() as u64, true));
}

#[test]
fn messages_behind_a_gap_are_found_again() {
    for gap in [skip, lose] {
        let mut kit = Kit::tcp();
        let ids = [1, 2, 3, 4];
        let queries: Vec<_> = ids.iter().map(|id| framed(&query(*id, "name.example", A))).collect();
        let size = queries[0].len();
        let stream = queries.concat();
        // The second one's header and all before it but the first message.
        kit.request(&stream[..size + 5]);
        kit.feed(REQUEST, gap(20));
        kit.request(&stream[size + 25..]);
        ids.iter().for_each(|id| _ = kit.response(framed(&answer(*id, "name.example", A, 0, &[]))));
        assert_eq!((kit.count.reported, kit.count.lost()), (3, 1), "{:?}", kit.lost());
        // The same in the responses.
        let mut kit = Kit::tcp();
        kit.request(&stream);
        let stream = ids.map(|id| framed(&answer(id, "name.example", A, 0, &[]))).concat();
        kit.response(&stream[..size + 5]);
        kit.feed(RESPONSE, gap(size as u64 + 7));
        kit.response(&stream[2 * size + 12..]);
        kit.close(End::Closed);
        assert_eq!((kit.count.reported, kit.count.lost()), (2, 2), "{:?}", kit.lost());
    }
}

#[test]
fn skipped_queries_are_counted_by_their_answers() {
    let mut kit = Kit::tcp();
    kit.request(framed(&query(1, "a", A)));
    kit.feed(REQUEST, skip(3 * 21));
    for id in [2, 1, 4, 3] {
        kit.response(framed(&answer(id, "a", A, 0, &[])));
    }
    assert_eq!((kit.brief().as_str(), kit.lost().as_slice()), ("A a NOERROR answered", &[(Lost::Truncated, 3)][..]));
}

#[test]
fn a_connection_joined_in_the_middle() {
    let mut kit = Kit::tcp();
    // The rest of an answer whose length was read before the agent came.
    kit.response(&answer(1, "before.example", A, 0, &[])[..]);
    kit.request(framed(&query(2, "a", A)));
    kit.response(framed(&answer(2, "a", A, 0, &[])));
    kit.response(framed(&answer(3, "asked.before", A, 0, &[])));
    assert_eq!(kit.brief(), "A a NOERROR answered");
    assert_eq!(kit.lost(), [(Lost::Orphan, 1)]);
    assert!(matches!(kit.out[0].status, Status::Word(_)));
}

/// From whatever byte on the responses are seen: those behind the first one are read, and nothing is swallowed.
#[test]
fn responses_joined_at_any_byte() {
    let ids = 1..30u16;
    let name = |id: u16| ["www.shop.test", "none.shop.test"][usize::from(id) % 2];
    let one = |id: u16| {
        framed(&answer(id * 2113, name(id), A, id % 2 * 3, &vec![address("192.0.2.1", 300); usize::from(id) % 2]))
    };
    let stream: Vec<u8> = ids.clone().flat_map(one).collect();
    // Exactly between two messages nothing shows that one is missing.
    for start in (1..one(1).len() + one(2).len()).filter(|start| *start != one(1).len()) {
        let mut kit = Kit::tcp();
        ids.clone().for_each(|id| _ = kit.request(framed(&query(id * 2113, name(id), A))));
        kit.response(&stream[start..]);
        let behind = if start <= one(1).len() { 28 } else { 27 };
        assert!(kit.count.reported >= behind - 1, "{start}: {} {:?}", kit.count.reported, kit.lost());
        kit.close(End::Closed);
        assert!(!kit.brief().contains("unanswered"), "{start}: {}", kit.brief());
        assert_eq!(kit.count.reported + kit.count.lost(), 29, "{start}: {:?}", kit.lost());
    }
}

#[test]
fn a_stream_that_is_something_else_is_given_up() {
    let mut kit = Kit::tcp();
    for _ in 0..9 {
        kit.request(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        kit.response(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert_eq!(kit.session.state(), crate::State::Misinferred);
    assert_eq!((kit.count.reported, kit.session.pending()), (0, 0));
}
