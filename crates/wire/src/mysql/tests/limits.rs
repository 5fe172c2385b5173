//! Beginnings, ends, and bounds.

use super::*;

#[test]
fn whoever_waits_at_the_end_is_a_record() {
    for (end, outcome) in
        [(End::Closed, Outcome::Unanswered), (End::Reset, Outcome::Reset), (End::TimedOut, Outcome::Timeout)]
    {
        let mut kit = Kit::default();
        kit.request([query("SELECT 1"), PING.to_vec(), query("SELECT 2")[..8].to_vec()].concat());
        let part = packets(1, &[b"\x01", COLUMN, EOF]);
        kit.response(&part);
        kit.close(end);
        kit.close(end);
        assert_eq!((kit.out.len(), kit.count.lost(), kit.session.pending()), (3, 0, 0));
        assert!(kit.out.iter().all(|e| e.outcome == outcome && e.status == crate::Status::Unknown));
        assert_eq!(kit.out.iter().map(|e| e.truncated).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(
            (kit.out[0].response_bytes, kit.out[0].first_byte, kit.out[1].first_byte),
            (part.len() as u64, 2, 0)
        );
    }
    let mut kit = Kit::default();
    kit.request([PING, &PING[..2]].concat());
    kit.close(End::Evicted);
    assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Evicted), kit.count.lost()), (0, 2, 2));
}

#[test]
fn behind_the_end_of_the_responses_nobody_waits() {
    let mut kit = Kit::default();
    kit.request(b"\x02\0\0\0\x08\0");
    let Kit { names, statements, domains, out, count, session, .. } = &mut kit;
    let mut cx = Context { names, statements, domains, out, count };
    session.shutdown(Direction::Request, 50, &mut cx);
    assert_eq!(cx.out.len(), 0);
    session.shutdown(Direction::Response, 60, &mut cx);
    assert_eq!((kit.out[0].outcome, kit.out[0].end), (Outcome::Unanswered, 60));
}

#[test]
fn an_answer_from_before_the_attach_is_an_orphan() {
    for early in [packet(1, OK), packet(7, b"\x01x"), b"the middle of a row".to_vec()] {
        let mut kit = Kit::default();
        kit.response(&early);
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Orphan), kit.count.lost()), ("PING OK", 1, 1));
    }
}

#[test]
fn a_prepare_before_which_nothing_was_seen_ends_with_or_without_an_eof() {
    // Whether there are EOF packets is not known: it may be complete without its last packet.
    let head = [0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (eof, bytes) in [(true, 16 + 4 + COLUMN.len() as u64 + 9), (false, 16 + 4 + COLUMN.len() as u64)] {
        let mut kit = Kit::default();
        kit.request(prepare("SELECT 1"));
        kit.response(packets(1, &[&head, COLUMN]));
        assert_eq!((kit.out.len(), kit.session.pending()), (0, 1));
        if eof {
            kit.response(packet(3, EOF));
        }
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.out.len(), kit.count.lost(), kit.out[0].response_bytes), (2, 0, bytes), "{eof}");
        assert_eq!(kit.out[0].end, if eof { 3 } else { 2 });
        // From then on it is known.
        kit.ask(prepare("SELECT 1"), packets(1, &[&head, COLUMN, EOF][..if eof { 3 } else { 2 }]));
        assert_eq!(kit.out.len(), if eof { 3 } else { 2 });
        kit.close(End::Closed);
        assert_eq!((kit.out.len(), kit.count.lost()), (3, 0));
        assert_eq!(kit.out[2].outcome, Outcome::Answered);
    }
}

#[test]
fn a_session_that_cannot_hold_more_requests_stays_in_step() {
    let mut kit = Kit::default();
    let max = Fifo::<Request>::MAX;
    kit.request(PING.repeat(max + 3));
    assert_eq!(kit.count.lost_by(Lost::Evicted), 3);
    kit.response(packet(1, OK));
    kit.request(PING);
    assert_eq!(kit.count.lost_by(Lost::Evicted), 4);
    kit.response(packet(1, OK).repeat(max + 3));
    // Of whose shape the answers behind the last held request are is not known: in step again after a pause.
    kit.time += 10_000;
    kit.request(query("SELECT 1"));
    kit.response(packet(1, &error(1064, "42000", "")));
    kit.ask(query("SELECT 1"), packet(1, &error(1064, "42000", "")));
    assert_eq!(kit.session.pending(), 0);
    assert_eq!(kit.out.last().unwrap().status, crate::Status::Code(1064));
    assert_eq!(kit.out.len() as u64 + kit.count.lost(), max as u64 + 3 + 3);
}

#[test]
fn five_messages_without_sense_are_not_mysql() {
    let mut kit = Kit::default();
    for _ in 1..=5 {
        assert_eq!(kit.session.state(), State::Parsing);
        kit.request(b"\x16\x03\x01 garbage");
        kit.response(b"\x16\x03\x03 more of it");
    }
    assert_eq!(kit.session.state(), State::Misinferred);
}

#[test]
fn garbage_is_counted_once_and_left_behind() {
    let mut kit = Kit::default();
    kit.ask(packet(0, b"\x7f no such command"), packet(1, &error(1047, "08S01", "Unknown command")));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Parse), kit.count.lost()), ("PING OK", 1, 1));
}

#[test]
fn an_answer_that_makes_no_sense_is_counted_once_and_left_behind() {
    for answer in [&b""[..], b"\xfe", b"\xfc\x01", b"\x01\x01\x01\x01", b"\xfd\x01\x02\x03", b"\0", b"\xff\x01"] {
        let mut kit = Kit::default();
        kit.ask(query("SELECT 1"), packet(1, answer));
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Parse)), ("PING OK", 1), "{}", answer.escape_ascii());
    }
}

#[test]
fn what_is_kept_of_a_text_is_bounded() {
    let mut kit = Kit::default();
    let long = query(&"x".repeat(1 << 20));
    long.chunks(1000).for_each(|piece| _ = kit.request(piece));
    assert!(kit.session.commands.packets.room() < 64 * 1024);
    kit.response(packet(1, OK));
    assert!(kit.session.commands.packets.room() <= 1024);
    assert_eq!((kit.out.len(), kit.out[0].truncated), (1, true));
}

/// Whoever logs in names a schema before the server has checked anything.
#[test]
fn schemas_that_a_client_invents_leave_the_others_theirs() {
    let mut kit = Kit::default();
    let (names, routing) = (&mut kit.names, std::sync::Arc::default());
    let mut to = |who: &[u8]| Session::to_service(crate::Transport::Stream, who, &routing, names);
    let (busy, quiet): (Vec<_>, _) = ((0..1000).map(|_| to(b"busy")).collect(), to(b"quiet"));
    for (n, session) in busy.into_iter().enumerate() {
        kit.session = session;
        kit.response(greeting("8.0.36"));
        kit.ask(login(0, &format!("invented_{n}")), packet(2, &error(1045, "28000", "Access denied")));
    }
    assert_eq!((kit.names.folded(), kit.names.folded_within(crate::ShareOf::Schemas)), (0, 800));
    kit.session = quiet;
    kit.response(greeting("8.0.36"));
    kit.ask(login(0, "invented_999"), packet(2, OK));
    assert_eq!(kit.attribute(kit.out.len() - 1, "db.namespace").as_deref(), Some("invented_999"));
}
