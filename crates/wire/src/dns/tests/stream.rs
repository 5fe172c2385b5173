//! DNS over TCP.

use super::kit::{A, AAAA, Kit, MS, S, address, answer, framed, header, query, question, record};
use crate::parser::Parser as _;
use crate::{Direction, End, Outcome};
use steth_ledger::Lost;

#[test]
fn the_length_in_a_read_of_its_own() {
    let mut kit = Kit::tcp();
    let (q, r) = (framed(&query(1, "a", A)), framed(&answer(1, "a", A, 0, &[address("192.0.2.1", 5)])));
    kit.request(&q[..1]);
    kit.request(&q[1..2]);
    kit.request(&q[2..]);
    kit.response(&r[..2]);
    kit.response(&r[2..]);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A a NOERROR answered", 0));
    let e = &kit.out[0];
    assert_eq!((e.start, e.request_end, e.first_byte, e.end), (MS, 3 * MS, 4 * MS, 5 * MS));
    assert_eq!((e.request_bytes, e.response_bytes), (q.len() as u64, r.len() as u64));
}

#[test]
fn several_messages_in_one_segment_and_answers_out_of_order() {
    let mut kit = Kit::tcp();
    let names = ["a.example", "b.example", "c.example"];
    let queries: Vec<u8> = (1..).zip(names).flat_map(|(id, name)| framed(&query(id, name, A))).collect();
    let mut answers: Vec<_> = (1..).zip(names).map(|(id, name)| framed(&answer(id, name, A, id - 1, &[]))).collect();
    answers.reverse();
    kit.request(&queries);
    kit.response(answers.concat());
    let expected = "A c.example SERVFAIL answered, A b.example FORMERR answered, A a.example NOERROR answered";
    assert_eq!((kit.brief().as_str(), kit.count.lost()), (expected, 0));
    let offsets: Vec<_> = kit.out.iter().map(|e| (e.request_offset, e.response_offset)).collect();
    assert_eq!(offsets, [(58, 0), (29, 29), (0, 58)]);
}

#[test]
fn answers_go_on_while_more_is_asked() {
    let mut kit = Kit::tcp();
    let q = framed(&query(2, "b", AAAA));
    kit.request([&framed(&query(1, "a", A))[..], &q[..7]].concat());
    kit.response(framed(&answer(1, "a", A, 0, &[])));
    kit.request(&q[7..]);
    kit.response(framed(&answer(2, "b", AAAA, 0, &[])));
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("A a NOERROR answered, AAAA b NOERROR answered", 0));
}

#[test]
fn a_zone_transfer_is_one_exchange_of_many_messages() {
    let soa = record(&[0xc0, 12], 6, 60, &[0; 22]);
    let a = || address("192.0.2.1", 60);
    let transfer = |kind, messages: &[&[Vec<u8>]]| {
        let mut kit = Kit::tcp();
        kit.request(framed(&query(1, "zone", kind)));
        for (n, records) in messages.iter().enumerate() {
            // Only the first message has the question (RFC 5936, 2.2).
            kit.response(framed(&match n {
                0 => answer(1, "zone", kind, 0, records),
                _ => [header(1, 0x8400, [0, records.len() as u16, 0, 0]), records.concat()].concat(),
            }));
        }
        let reported = kit.out.len();
        kit.request(framed(&query(2, "next", A)));
        kit.response(framed(&answer(2, "next", A, 0, &[])));
        kit.close(End::Closed);
        assert_eq!(kit.count.lost(), 0, "{}", kit.brief());
        (reported, kit)
    };
    let (reported, kit) = transfer(252, &[&[soa.clone(), a(), a(), soa.clone()]]);
    assert_eq!((reported, kit.brief().as_str()), (1, "AXFR zone NOERROR answered, A next NOERROR answered"));
    // Nobody asked again: the transfer ends when the connection does.
    let (reported, kit) = transfer(252, &[&[soa.clone(), a()]]);
    assert_eq!((reported, kit.brief().as_str()), (0, "A next NOERROR answered, AXFR zone NOERROR answered"));
    // A zone that has not changed; a transfer of changes that begins with nothing but the SOA.
    let changes = [soa.clone(), a(), soa.clone(), a(), soa.clone()];
    let alone = std::slice::from_ref(&soa);
    for messages in [&[alone][..], &[alone, &changes]] {
        let (reported, kit) = transfer(251, messages);
        assert_eq!((reported, kit.brief().as_str()), (1, "IXFR zone NOERROR answered, A next NOERROR answered"));
    }
    let (_, kit) = transfer(252, &[]);
    assert_eq!(kit.out[1].outcome, Outcome::Unanswered);
}

#[test]
fn a_zone_transfer_whose_messages_have_no_question_ends_with_its_second_soa() {
    let soa = record(&[0], 6, 60, &[0; 22]);
    let mut kit = Kit::tcp();
    kit.request(framed(&query(1, "zone", 252)));
    kit.response(framed(&answer(1, "zone", 252, 0, &[soa.clone(), address("192.0.2.1", 60)])));
    let more =
        |records: &[Vec<u8>]| framed(&[header(1, 0x8400, [0, records.len() as u16, 0, 0]), records.concat()].concat());
    kit.response(more(&[address("192.0.2.2", 60)]));
    kit.response(more(&[address("192.0.2.3", 60), soa.clone()]));
    assert_eq!(kit.brief(), "AXFR zone NOERROR answered");
    assert_eq!(kit.attribute(0, "steth.dns.answer_count").as_deref(), Some("5"));
    assert_eq!((kit.out[0].first_byte, kit.out[0].end), (2 * MS, 4 * MS));
}

#[test]
fn a_query_over_tcp_times_out_too() {
    let mut kit = Kit::tcp();
    kit.request(framed(&query(1, "a", A)));
    kit.time += 6 * S;
    kit.tick();
    assert_eq!(kit.brief(), "A a - timeout");
}

/// Its send was told of when another thread had read the answer, and that receive was still before the agent's time.
#[test]
fn the_first_query_of_a_connection_joined_under_way_may_have_been_answered() {
    let mut kit = Kit::tcp();
    kit.session.joined();
    let [first, second, third] = [1, 2, 3].map(|id| framed(&query(id, "a", A)));
    kit.request(&first[..2]).request(&first[2..]).request(second).request(third);
    kit.response(framed(&answer(2, "a", A, 0, &[]))).close(End::Closed);
    assert_eq!(kit.brief(), "A a NOERROR answered, A a - unanswered");
    assert_eq!(kit.lost(), [(Lost::Joined, 1)]);

    let mut kit = Kit::tcp();
    kit.session.joined();
    kit.ask(framed(&query(1, "a", A)), framed(&answer(1, "a", A, 0, &[]))).close(End::Closed);
    assert_eq!((kit.brief(), kit.count.lost()), ("A a NOERROR answered".into(), 0));
}

#[test]
fn the_end_of_the_responses_answers_nobody_any_more() {
    let mut kit = Kit::tcp();
    kit.request([framed(&query(1, "a", A)), framed(&query(2, "b", A))].concat());
    let mut cx = crate::Context {
        names: &mut kit.names,
        statements: &mut kit.statements,
        domains: &mut kit.domains,
        out: &mut kit.out,
        count: &mut kit.count,
    };
    kit.session.shutdown(Direction::Request, 5, &mut cx);
    assert_eq!(kit.session.pending(), 2);
    kit.session.shutdown(Direction::Response, 7, &mut cx);
    assert_eq!(kit.brief(), "A a - unanswered, A b - unanswered");
}

#[test]
fn a_message_cut_by_the_end_is_a_query_if_its_header_was_there() {
    for (length, reported) in [(1, 0), (2, 0), (13, 0), (14, 1), (18, 1)] {
        let mut kit = Kit::tcp();
        kit.request(&framed(&query(1, "a", A))[..length]);
        kit.close(End::Closed);
        assert_eq!((kit.count.reported, kit.count.lost()), (reported, 1 - reported), "{length}");
    }
}

/// A stream of datagrams as they are, without their lengths. (Found by the property on bytes.)
#[test]
fn messages_without_their_lengths_are_no_stream_and_leave_nobody_waiting() {
    let mut kit = Kit::tcp();
    kit.response(query(0, "a.example", A)).response([134, 0]);
    kit.response(answer(1, "a.example", A, 0, &[address("192.0.2.1", 1)])).close(End::Closed);
    assert_eq!(kit.count.reported, 0);
}

#[test]
fn what_is_asked_with_edns_and_answered_with_records_of_all_sections() {
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let mut kit = Kit::tcp();
    kit.request(framed(&[header(1, 0x0120, [1, 0, 0, 1]), question("a.example", A), opt.to_vec()].concat()));
    let sections =
        [address("192.0.2.1", 5), record(&[0xc0, 14], 2, 5, b"\x02ns\xc0\x0e"), address("192.0.2.7", 5)].concat();
    kit.response(framed(&[header(1, 0x8180, [1, 1, 1, 2]), question("a.example", A), sections, opt.to_vec()].concat()));
    assert_eq!(kit.brief(), "A a.example NOERROR answered");
    assert_eq!(kit.attribute(0, "dns.answers").as_deref(), Some("192.0.2.1"), "the additional section is no answer");
}
