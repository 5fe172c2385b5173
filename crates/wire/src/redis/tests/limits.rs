//! Beginnings, ends, and bounds.

use super::*;

#[test]
fn inline_commands_are_bounded() {
    let mut kit = Kit::default();
    kit.request(b"SET k ");
    for _ in 0..70 {
        kit.request([b'x'; 1024]);
    }
    assert_eq!(kit.count.lost_by(Lost::Parse), 1);
}

#[test]
fn words_that_the_server_does_not_know_cannot_fill_the_table() {
    let mut kit = Kit::default();
    for n in 0..200 {
        kit.request(command(&[&format!("w{n}")]));
        kit.response(b"-ERR unknown command 'w', with args beginning with: \r\n");
    }
    assert_eq!(kit.out.iter().filter(|e| e.operation != Name::OTHER).count(), usize::from(UNKNOWN));
}

#[test]
fn whoever_waits_at_the_end_is_a_record() {
    for (end, outcome) in
        [(End::Closed, Outcome::Unanswered), (End::Reset, Outcome::Reset), (End::TimedOut, Outcome::Timeout)]
    {
        let mut kit = Kit::default();
        kit.request([command(&["GET", "a"]), command(&["GET", "b"]), b"*2\r\n$3\r\nSET\r\n$5\r\nab".to_vec()].concat());
        kit.response(b"*2\r\n:1\r\n");
        kit.close(end);
        kit.close(end);
        assert_eq!(kit.brief(), "GET OK, GET -, SET -");
        assert!(kit.out.iter().all(|e| e.outcome == outcome));
        assert_eq!(kit.out.iter().map(|e| e.truncated).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!((kit.out[0].response_bytes, kit.out[0].first_byte, kit.out[1].first_byte), (8, 2, 0));
        assert_eq!((kit.count.lost(), kit.session.pending()), (0, 0));
    }
    let mut kit = Kit::default();
    kit.request([command(&["GET", "a"]), b"*2\r\n".to_vec()].concat());
    kit.close(End::Evicted);
    assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Evicted), kit.count.lost()), (0, 2, 2));
}

#[test]
fn behind_the_end_of_the_responses_nobody_waits() {
    let mut kit = Kit::default();
    kit.request(command(&["SHUTDOWN"]));
    kit.with(|_, session, cx| session.shutdown(Direction::Request, 50, cx));
    assert_eq!(kit.out.len(), 0);
    kit.with(|_, session, cx| session.shutdown(Direction::Response, 60, cx));
    assert_eq!((kit.out[0].outcome, kit.out[0].end), (Outcome::Unanswered, 60));
}

#[test]
fn replies_from_before_the_attach_are_orphans() {
    let mut kit = Kit::default();
    kit.response(b"+OK\r\n:1\r\n");
    kit.request(command(&["GET", "a"]));
    kit.response(b"-ERR a\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Orphan)), ("GET ERR", 2));
    // The middle of a large one.
    let mut kit = Kit::default();
    kit.response(b"lo world\r\n");
    kit.request(command(&["GET", "a"]));
    kit.response(b"-ERR a\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Orphan), kit.count.lost()), ("GET ERR", 1, 1));
}

#[test]
fn a_session_that_cannot_hold_more_requests_stays_in_step() {
    let mut kit = Kit::default();
    let max = Fifo::<Request>::MAX;
    kit.request(command(&["GET", "a"]).repeat(max + 3));
    assert_eq!(kit.count.lost_by(Lost::Evicted), 3);
    kit.response(b"$1\r\n1\r\n");
    kit.request(command(&["GET", "b"]));
    assert_eq!(kit.count.lost_by(Lost::Evicted), 4);
    kit.response(b"$1\r\n1\r\n".repeat(max + 3));
    kit.request(command(&["SET", "b", "c"]));
    kit.response(b"-ERR\r\n");
    assert_eq!((kit.out.len(), kit.names.get(kit.out[max].operation), kit.count.lost()), (max + 1, "SET", 4));
}

#[test]
fn depth_is_bounded() {
    let mut kit = Kit::default();
    kit.request([command(&["X"]), command(&["Y"])].concat());
    kit.response([b"*1\r\n".repeat(DEPTH_PLUS), b":1\r\n:1\r\n".to_vec()].concat());
    kit.request(command(&["Z"]));
    kit.response(b"+OK\r\n");
    assert_eq!(kit.brief(), "Z OK");
    assert_eq!((kit.count.lost_by(Lost::Parse), kit.count.lost_by(Lost::Hole)), (1, 1));
}

const DEPTH_PLUS: usize = super::reply::DEPTH + 1;

#[test]
fn five_messages_without_sense_are_not_redis() {
    let mut kit = Kit::default();
    for n in 1..=5 {
        assert_eq!(kit.session.state(), State::Parsing);
        kit.request(b"\x16\x03\x01 garbage");
        kit.response(b"\x16\x03\x03 more of it");
        assert_eq!(kit.count.lost_by(Lost::Parse), 1, "{n}");
    }
    assert_eq!(kit.session.state(), State::Misinferred);
}

#[test]
fn garbage_is_counted_once_and_left_behind() {
    let mut kit = Kit::default();
    kit.request(b"*1\r\n$-5\r\n");
    kit.response(b"-ERR Protocol error: invalid bulk length\r\n");
    kit.request(command(&["GET", "a"]));
    kit.response(b"$-1\r\n");
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Parse), kit.count.lost()), ("GET OK", 1, 1));
}

/// Whoever opens a connection for every few words that no server knows, or writes a script for each call, has no end of them.
#[test]
fn a_server_has_its_share_of_names_over_all_its_connections() {
    let mut names = crate::Names::default();
    for n in 0..5000 {
        let mut kit = Kit {
            session: Session::to_service(crate::Transport::Stream, b"redis", &std::sync::Arc::default(), &mut names),
            names,
            ..Kit::default()
        };
        kit.request([command(&[&format!("W{n}")]), command(&["EVALSHA", &format!("{n:040}"), "0"])].concat());
        kit.response(format!("-E{n} what?\r\n:1\r\n").as_bytes());
        kit.request(command(&["XREAD", "BLOCK", "1", "STREAMS", "s", "$"]));
        kit.response(b"*-1\r\n");
        assert_eq!((kit.out.len(), kit.out[2].blocking, kit.count.lost()), (3, true, 0), "{n}");
        if n < 200 {
            assert_eq!(kit.brief(), format!("W{n} E{n}, EVALSHA OK, XREAD OK"));
            assert_eq!(kit.attribute(1, "db.stored_procedure.name"), Some(format!("{n:040}")));
        } else {
            assert_eq!(kit.attribute(1, "db.stored_procedure.name"), None, "{n}");
        }
        if n == 4999 {
            assert_eq!(kit.brief(), "* *, EVALSHA OK, XREAD OK", "what has a name keeps it");
        }
        names = kit.names;
    }
    assert_eq!(names.folded(), 0, "there is room for others");
    assert!(names.folded_within(ShareOf::Commands) > 5000);
}
