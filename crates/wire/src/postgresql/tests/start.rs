//! How connections begin, and joining one that has begun long ago.

use super::*;
use crate::parser::Parser as _;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

#[test]
fn a_session_is_an_exchange_with_its_database() {
    for (parameters, database) in [
        (&["user", "me", "database", "shop"][..], "shop"),
        (&["user", "me"], "me"),
        (&["user", "me", "database", "", "replication", "database"], "me"),
    ] {
        let mut kit = Kit::default();
        kit.request(startup(parameters)).response(welcome());
        assert_eq!(kit.brief(), "CONNECT OK");
        assert_eq!(kit.attribute(0, "db.namespace").as_deref(), Some(database));
        assert_eq!((kit.attribute(0, "db.query.text"), kit.attribute(0, "db.response.returned_rows")), (None, None));
    }
}

#[test]
fn protocol_3_2_is_the_same() {
    let mut kit = Kit::default();
    kit.request(opening(0x0003_0002, b"user\0me\0_pq_.x\x001\0\0"));
    let key = [&[0, 0, 0, 1][..], &[7; 32]].concat();
    kit.response(all![
        message(b'v', b"\0\x03\0\x02\0\0\0\x01_pq_.x\0"),
        message(b'R', &0u32.to_be_bytes()),
        message(b'K', &key),
        ready()
    ]);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK", 0));
}

#[test]
fn no_credential_leaves_the_parser() {
    let secret = "hunter2-hunter2";
    let mut kit = Kit::default();
    kit.request(startup(&["user", "me", "database", "shop", "options", secret]));
    for (code, extra) in [(3u32, &b""[..]), (5, b"salt"), (10, b"SCRAM-SHA-256\0\0"), (11, b"r=x"), (12, b"v=y")] {
        kit.response(message(b'R', &[&code.to_be_bytes()[..], extra].concat()));
        kit.request(message(b'p', &[secret.as_bytes(), b"\0"].concat()));
    }
    kit.response(welcome());
    kit.request(all![
        parse("", "SELECT $1"),
        message(b'B', format!("\0\0\0\0\0\x01\0\0\0\x0f{secret}\0\0").as_bytes())
    ]);
    kit.request(all![execute(""), sync()]);
    kit.response(all![done(b'1'), done(b'2'), complete("SELECT 0"), ready()]);
    kit.close(End::Closed);
    assert_eq!(kit.brief(), "CONNECT OK, SELECT $1 OK");
    for n in 0..10_000 {
        assert!(!kit.names.by_number(n).contains("hunter"), "{}", kit.names.by_number(n));
    }
}

#[test]
fn a_refused_start_has_the_servers_code() {
    let mut kit = Kit::default();
    kit.request(startup(&["user", "me"])).response(message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]));
    kit.request(message(b'p', b"md5x\0")).response(fatal("28P01")).close(End::Closed);
    assert_eq!(kit.brief(), "CONNECT 28P01");
    assert_eq!(kit.attribute(0, "error.type").as_deref(), Some("28P01"));
}

#[test]
fn a_client_that_leaves_to_ask_for_a_password_is_no_error() {
    let mut kit = Kit::default();
    kit.request(startup(&["user", "me"])).response(message(b'R', &[0, 0, 0, 10, b'S', 0, 0])).close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.attribute(0, "error.type")), ("CONNECT cancelled", None));
}

#[test]
fn encryption_refused_goes_on_in_clear() {
    let mut kit = Kit::default();
    kit.request(opening(GSS, b"")).response(b"N").request(opening(SSL, b"")).response(b"N");
    kit.request(startup(&["user", "me"])).response(welcome());
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("CONNECT OK, SELECT a OK", 0));
}

#[test]
fn encryption_accepted_is_opaque_and_no_loss() {
    for (code, answer) in [(SSL, b"S"), (GSS, b"G")] {
        let mut kit = Kit::default();
        kit.request(opening(code, b"")).response(answer);
        assert_eq!(kit.session.state(), State::Opaque);
        kit.request(b"\x16\x03\x01\x02\0\x01").response(b"\x16\x03\x03").close(End::Evicted);
        assert_eq!((kit.out.len(), kit.count.lost(), kit.session.pending()), (0, 0, 0));
    }
}

#[test]
fn a_server_that_cannot_even_refuse_encryption() {
    let mut kit = Kit::default();
    kit.request(opening(SSL, b"")).response(b"Esorry, too many clients already\n\0").close(End::Closed);
    assert_eq!((kit.out.len(), kit.count.lost(), kit.session.pending()), (0, 0, 0));
}

#[test]
fn a_cancellation_is_one_way() {
    for key in [&[0, 0, 1, 0, 1, 2, 3, 4][..], &[9; 36]] {
        let mut kit = Kit::default();
        kit.request(opening(80_877_102, key));
        assert_eq!((kit.brief().as_str(), kit.session.pending()), ("CANCEL one-way", 0));
        kit.close(End::Closed);
        assert_eq!((kit.out.len(), kit.count.lost()), (1, 0));
    }
}

#[test]
fn older_than_the_agent() {
    // Between exchanges.
    let mut kit = Kit::default();
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]);
    assert_eq!(kit.brief(), "SELECT a OK");
    // Prepared before.
    let mut kit = Kit::default();
    kit.request(all![bind("", "s"), execute(""), sync()]).response(all![done(b'2'), complete("SELECT 0"), ready()]);
    assert_eq!(kit.brief(), "EXECUTE (unseen) OK");
    assert_eq!(kit.attribute(0, "db.query.text"), None);
    // In the middle of a reply.
    let mut kit = Kit::default();
    kit.response(all![row(b"1"), complete("SELECT 1"), ready()]);
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]);
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Orphan), kit.count.lost()), ("SELECT a OK", 1, 1));
    // In the middle of a row.
    let mut kit = Kit::default();
    kit.response(all![&row(&[b'x'; 500])[20..], complete("SELECT 1"), ready()]);
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]);
    assert_eq!(kit.brief(), "SELECT a OK");
}

#[test]
fn joined_in_the_middle_of_a_pipeline_nothing_is_paired_by_guess() {
    // Of three executions the last two were seen; the first answer is of the first.
    let mut kit = Kit::default();
    kit.request(all![run("INSERT b"), run("INSERT c"), sync()]);
    kit.response(all![ran("INSERT 0 1"), ran("INSERT 0 1"), ran("INSERT 0 1"), ready()]);
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]).close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("SELECT a OK", 2));
    // Of an execution only its end was seen.
    let mut kit = Kit::default();
    kit.request(all![execute(""), sync()]).response(all![done(b'1'), done(b'2'), complete("SELECT 0"), ready()]);
    kit.request(query("SELECT a")).response(all![complete("SELECT 0"), ready()]).close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("SELECT a OK", 1));
}
