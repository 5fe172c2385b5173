//! DNS, case by case: lines of the contract, one test each.

mod gaps;
mod kit;
mod limits;
mod property;
mod stream;

use super::LIMIT;
use super::early::EARLY;
use crate::parser::Parser as _;
use crate::{Bytes, Direction, End, Outcome, Side};
use kit::{A, AAAA, Kit, MS, S, address, answer, header, query, question, record};
use steth_ledger::Lost;

#[test]
fn a_lookup_has_its_name_type_code_answers_and_latency() {
    let mut kit = Kit::udp();
    let (q, r) = (query(7, "WWW.Example.org", A), answer(7, "www.example.ORG", A, 0, &[address("192.0.2.1", 60)]));
    kit.request(&q);
    kit.time += 20 * MS;
    kit.response(&r);
    assert_eq!(kit.brief(), "A www.example.org NOERROR answered");
    let e = &kit.out[0];
    assert_eq!((e.start, e.first_byte, e.end), (MS, 22 * MS, 22 * MS));
    assert_eq!((e.request_bytes, e.response_bytes), (q.len() as u64, r.len() as u64));
    assert_eq!(kit.attribute(0, "dns.question.name").as_deref(), Some("www.example.org"));
    assert_eq!(kit.attribute(0, "dns.answers").as_deref(), Some("192.0.2.1"));
    assert_eq!(kit.attribute(0, "steth.dns.answer_count").as_deref(), Some("1"));
    assert_eq!((kit.attribute(0, "error.type"), kit.attribute(0, "steth.dns.attempts")), (None, None));
    assert!(kit.session.deadline().is_none());
}

#[test]
fn codes_are_named_and_are_errors() {
    let opt =
        |extended: u32| [vec![0], vec![0, 41, 4, 208], (extended << 24).to_be_bytes().to_vec(), vec![0, 0]].concat();
    for (rcode, extended, expected) in [
        (0, None, "NOERROR"),
        (1, None, "FORMERR"),
        (2, None, "SERVFAIL"),
        (3, Some(0), "NXDOMAIN"),
        (5, None, "REFUSED"),
        (15, None, "RCODE15"),
        (0, Some(1), "BADVERS"),
        (7, Some(1), "BADCOOKIE"),
        (7, Some(200), "RCODE"),
    ] {
        let mut kit = Kit::udp();
        kit.request(query(1, "a", A));
        let additional = u16::from(extended.is_some());
        let opt = extended.map(opt).unwrap_or_default();
        kit.response([header(1, 0x8180 | rcode, [1, 0, 0, additional]), question("a", A), opt].concat());
        assert_eq!(kit.brief(), format!("A a {expected} answered"));
        let error = kit.out[0].error_type(Side::Client, &kit.names).map(String::from);
        assert_eq!(error.as_deref(), Some(expected).filter(|code| *code != "NOERROR"));
        assert_eq!(kit.attribute(0, "error.type"), error);
    }
}

#[test]
fn the_pair_of_one_sendmmsg_is_two_lookups_answered_in_any_order() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a.example", A));
    kit.at_once(Direction::Request, Bytes::Captured(&query(2, "a.example", AAAA)));
    kit.response(answer(2, "a.example", AAAA, 0, &[address("2001:db8::1", 9)]));
    kit.response(answer(1, "a.example", A, 0, &[]));
    assert_eq!(kit.brief(), "AAAA a.example NOERROR answered, A a.example NOERROR answered");
    assert_eq!((kit.out[0].end - kit.out[0].start, kit.out[1].end - kit.out[1].start), (MS, 2 * MS));
    assert_eq!(kit.attribute(0, "dns.answers").as_deref(), Some("2001:db8::1"));
}

#[test]
fn one_id_with_two_questions_is_two_lookups() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    kit.request(query(1, "b", A));
    kit.response(answer(1, "b", A, 0, &[]));
    kit.response(answer(1, "a", A, 3, &[]));
    assert_eq!(kit.brief(), "A b NOERROR answered, A a NXDOMAIN answered");
}

#[test]
fn a_repeated_query_is_one_lookup_and_its_second_answer_none() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    kit.time += S;
    kit.request(query(1, "A", A));
    kit.response(answer(1, "a", A, 0, &[]));
    kit.response(answer(1, "a", A, 0, &[]));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A a NOERROR answered", 0));
    assert_eq!(kit.attribute(0, "steth.dns.attempts").as_deref(), Some("2"));
    let e = &kit.out[0];
    assert_eq!((e.start, e.end, e.request_bytes), (MS, 3 * MS + S, 2 * 19));
    kit.response(answer(1, "a", A, 0, &[]));
    kit.close(End::Closed);
    assert_eq!(kit.lost(), [(Lost::Orphan, 1)], "one more than was asked for");
}

/// Another thread has read the answer before the call that sent the query returned.
#[test]
fn an_answer_that_is_seen_before_its_query_is_its_answer() {
    let mut kit = Kit::udp();
    kit.response(answer(1, "a", A, 3, &[]));
    assert_eq!((kit.count.lost(), kit.session.deadline()), (0, Some(MS + EARLY)), "it may still come");
    kit.request(query(2, "a", A));
    kit.request(query(1, "a", A));
    kit.response(answer(2, "a", A, 0, &[]));
    assert_eq!(kit.brief(), "A a NXDOMAIN answered, A a NOERROR answered");
    let e = &kit.out[0];
    assert_eq!((e.start, e.request_end, e.first_byte, e.end), (MS, MS, MS, MS), "it left no later than that");
    assert_eq!((kit.count.lost(), kit.session.pending(), kit.session.deadline()), (0, 0, None));
}

#[test]
fn an_answer_to_nobody_is_counted_once_no_query_can_come_and_few_are_kept() {
    let mut kit = Kit::udp();
    kit.response(answer(1, "a", A, 0, &[]));
    kit.time += EARLY - 1;
    kit.tick();
    assert_eq!(kit.count.lost(), 0);
    kit.time += 1;
    kit.tick();
    assert_eq!(kit.lost(), [(Lost::Orphan, 1)]);
    kit.request(query(1, "a", A));
    assert_eq!(kit.out.len(), 0, "what is counted answers nobody any more");
    (2..102).for_each(|id| _ = kit.response(answer(id, "a", A, 0, &[])));
    assert_eq!(kit.lost(), [(Lost::Orphan, 85)], "sixteen are kept");
    kit.close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.lost().as_slice()), ("A a - unanswered", &[(Lost::Orphan, 101)][..]));
}

#[test]
fn no_answer_in_five_seconds_is_a_timeout() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    kit.request(query(2, "b", A));
    kit.response(answer(2, "b", A, 0, &[]));
    kit.time += LIMIT;
    kit.tick();
    assert_eq!(kit.out.len(), 1);
    kit.time = kit.session.deadline().unwrap();
    kit.tick();
    assert_eq!(kit.brief(), "A b NOERROR answered, A a - timeout");
    let e = &kit.out[1];
    assert_eq!((e.start, e.end, e.first_byte), (MS, MS + LIMIT, 0));
    assert_eq!(kit.attribute(1, "error.type").as_deref(), Some("timeout"));
    // The answer comes after all: it is not that to an unknown question.
    kit.response(answer(1, "a", A, 0, &[]));
    assert_eq!((kit.out.len(), kit.count.lost(), kit.session.deadline()), (2, 0, None));
}

/// The resolver of the C library waits for five seconds and asks again with the same id.
#[test]
fn a_repetition_after_just_five_seconds_is_one() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    for _ in 0..2 {
        for _ in 0..50 {
            kit.time += 100 * MS + MS / 10;
            kit.tick();
        }
        kit.request(query(1, "a", A));
    }
    kit.time += 6 * S;
    kit.tick();
    assert_eq!(kit.brief(), "A a - timeout");
    assert_eq!(kit.attribute(0, "steth.dns.attempts").as_deref(), Some("3"));
    let waited = kit.out[0].end - kit.out[0].start;
    assert!(waited > 15 * S && waited < 15 * S + 100 * MS, "{waited}");
}

#[test]
fn a_truncated_answer_is_an_answer_and_says_so() {
    let mut kit = Kit::udp();
    kit.request(query(1, "big", 16));
    // Two announced answers are not there.
    kit.response([header(1, 0x8380, [1, 2, 0, 0]), question("big", 16)].concat());
    // It may go on, or not: the next thing that happens tells.
    kit.tick();
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("TXT big NOERROR answered", 0));
    assert_eq!(kit.attribute(0, "steth.dns.truncated").as_deref(), Some("1"));
    assert!(!kit.out[0].truncated);
}

#[test]
fn questions_are_named_by_type_and_operation() {
    for (flags, kind, counts, text, expected) in [
        (0x0100, 255, [1, 0, 0, 0], "example.org", "ANY example.org NOERROR answered"),
        (0x0100, 65_280, [1, 0, 0, 0], "x", "TYPE65280 x NOERROR answered"),
        (0x0100, 2, [1, 0, 0, 0], "", "NS . NOERROR answered"),
        (0x2400, 6, [1, 0, 0, 0], "example.org", "NOTIFY SOA example.org NOERROR answered"),
        (0x2800, 6, [1, 0, 0, 0], "example.org", "UPDATE SOA example.org NOERROR answered"),
    ] {
        let mut kit = Kit::udp();
        kit.request([header(1, flags, counts), question(text, kind)].concat());
        kit.response([header(1, flags | 0x8000, counts), question(text, kind)].concat());
        assert_eq!(kit.brief(), expected);
    }
    let mut kit = Kit::udp();
    // A cookie is asked for, and nothing else (RFC 7873, 5.4).
    kit.request(header(9, 0x0100, [0; 4]));
    kit.response(header(9, 0x8100, [0; 4]));
    assert_eq!((kit.brief().as_str(), kit.attribute(0, "dns.question.name")), ("QUERY NOERROR answered", None));
}

#[test]
fn several_questions_are_named_by_the_first_and_told_apart_by_all() {
    let two = |id, flags, second| {
        [header(id, flags, [2, 0, 0, 0]), question("a.example", A), vec![1, b'b', 0xc0, 14, 0, second, 0, 1]].concat()
    };
    let mut kit = Kit::udp();
    kit.request(two(1, 0x0100, 1));
    kit.request(two(1, 0x0100, 28));
    kit.response(two(1, 0x8100, 28));
    kit.response(two(1, 0x8103, 1));
    assert_eq!(kit.brief(), "A a.example NOERROR answered, A a.example NXDOMAIN answered");
    assert_eq!(kit.out[0].request_offset, 35);
}

#[test]
fn a_response_without_its_question_is_that_to_the_only_query_with_its_id() {
    let mut kit = Kit::udp();
    kit.request(query(1, "a", A));
    kit.request(query(2, "b", A));
    kit.response(header(2, 0x8101, [0; 4]));
    assert_eq!(kit.brief(), "A b FORMERR answered");
    kit.request(query(1, "c", A));
    kit.response(header(1, 0x8101, [0; 4]));
    assert_eq!((kit.out.len(), kit.lost().as_slice()), (1, &[(Lost::Orphan, 1)][..]), "two have this id");
}

#[test]
fn labels_that_are_not_text_are_escaped() {
    let mut kit = Kit::udp();
    let wire = [header(1, 0x0100, [1, 0, 0, 0]), b"\x03\xff.\x20\x03org\0\0\x01\0\x01".to_vec()].concat();
    kit.request(&wire);
    kit.close(End::Closed);
    assert_eq!(kit.brief(), "A \\255\\.\\032.org - unanswered");
}

#[test]
fn a_name_server_asks_on_the_socket_where_it_is_asked() {
    let mut kit = Kit::udp();
    kit.request(query(1, "asked", A));
    kit.response(query(1, "asks", A));
    kit.response(answer(1, "asked", A, 0, &[]));
    kit.request(answer(1, "asks", A, 2, &[]));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A asked NOERROR answered, A asks SERVFAIL answered", 0));
    assert_eq!((kit.out[0].reversed(), kit.out[1].reversed()), (false, true));
}

#[test]
fn messages_to_a_group_are_left_alone() {
    let session: crate::dns::Session = crate::parser::Begin::new(crate::Transport::Multicast);
    assert_eq!(session.state(), crate::State::Opaque);
}

#[test]
fn addresses_are_learnt_through_aliases_under_the_name_that_was_asked_for() {
    let mut kit = Kit::udp();
    kit.request(query(1, "www.shop.example", A));
    let (at, size) = (12 + 18 + 4, 12); // where the first record begins, and the length of what is before its data
    let records = [
        record(&[0xc0, 12], 5, 300, &[&b"\x03cdn"[..], &[0xc0, 12 + 9]].concat()), // www.shop.example -> cdn.example
        record(&[0xc0, at + size], 5, 20, b"\x01e\xc0\x15"),                       // -> e.example
        record(b"\x01E\x07EXAMPLE\0", A, 3600, &[192, 0, 2, 1]),
        record(b"\x01e\xc0\x15", A, 30, &[192, 0, 2, 2]),
        record(b"\x05other\0", A, 30, &[192, 0, 2, 3]),
        record(b"\x01e\xc0\x15", A, 30, &[192, 0, 2]),
    ];
    kit.response(answer(1, "www.shop.example", A, 0, &records));
    assert_eq!(kit.attribute(0, "dns.answers").as_deref(), Some("192.0.2.1 192.0.2.2"));
    assert_eq!(kit.learnt(), ["www.shop.example 192.0.2.1 20", "www.shop.example 192.0.2.2 20"]);
    // A lookup that failed teaches nothing, nor does an answer that nobody asked for.
    kit.request(query(2, "a", A));
    kit.response(answer(2, "a", A, 2, &[address("192.0.2.9", 1)]));
    kit.response(answer(3, "b", A, 0, &[address("192.0.2.9", 1)]));
    // The addresses of something else that was asked for.
    kit.request(query(4, "c", 15));
    kit.response(answer(4, "c", 15, 0, &[address("192.0.2.9", 1)]));
    assert_eq!(kit.learnt(), [""; 0]);
    kit.request(query(5, "d", AAAA));
    kit.response(answer(5, "d", AAAA, 0, &[address("2001:db8::5", u32::MAX), address("192.0.2.9", 1)]));
    assert_eq!(kit.learnt(), ["d 2001:db8::5 0"], "the highest bit of a TTL makes it 0");
}

#[test]
fn closing_ends_what_waits() {
    for (end, outcome) in [
        (End::Closed, Some(Outcome::Unanswered)),
        (End::Reset, Some(Outcome::Reset)),
        (End::TimedOut, Some(Outcome::Timeout)),
        (End::Evicted, None),
    ] {
        let mut kit = Kit::udp();
        kit.request(query(1, "a", A));
        kit.close(end);
        assert_eq!(kit.out.first().map(|e| e.outcome), outcome);
        assert_eq!(kit.count.lost_by(Lost::Evicted), u64::from(outcome.is_none()));
        // Whatever ends it: after five seconds it had timed out.
        let mut kit = Kit::udp();
        kit.request(query(1, "a", A));
        kit.time += LIMIT;
        kit.close(end);
        assert_eq!((kit.out[0].outcome, kit.out[0].end), (Outcome::Timeout, MS + LIMIT));
    }
}

#[test]
fn what_is_no_message_is_counted_and_five_in_a_row_are_something_else() {
    let mut kit = Kit::udp();
    kit.request(b"short");
    kit.request([header(1, 0x7800, [1, 0, 0, 0]), question("a", A)].concat());
    kit.request([header(1, 0x0100, [1, 0, 0, 0]), b"\x05cut".to_vec()].concat());
    kit.response(b"short too");
    kit.request(query(1, "a", A));
    assert_eq!((kit.lost().as_slice(), kit.session.state()), (&[(Lost::Parse, 3)][..], crate::State::Parsing));
    for _ in 0..5 {
        kit.request(b"nonsense");
    }
    assert_eq!(kit.session.state(), crate::State::Misinferred);
    assert_eq!(kit.lost(), [(Lost::Parse, 8), (Lost::Misinferred, 1)]);
    assert_eq!(kit.session.pending(), 0);
}

#[test]
fn a_stateful_message_without_an_id_wants_no_answer() {
    let mut kit = Kit::tcp();
    kit.request(kit::framed(&header(0, 0x3000, [0; 4])));
    assert_eq!(kit.brief(), "DSO - one-way");
}
