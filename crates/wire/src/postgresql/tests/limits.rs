//! Bounds: how much is kept, and what is counted beyond.

use super::*;
use crate::parser::Parser as _;
use crate::{Bytes, Fifo};

#[test]
fn a_long_statement_is_cut_wherever_it_is_split() {
    let text = format!("SELECT {}", "a, ".repeat(20_000));
    let bytes = query(&text);
    let mut whole = Kit::started();
    whole.request(&bytes).response(all![complete("SELECT 0"), ready()]);
    assert!(whole.out[0].truncated);
    for size in [1, 1000, 16 * 1024 + 5, 16 * 1024 + 6] {
        let mut kit = Kit::started();
        bytes.chunks(size).for_each(|chunk| {
            kit.request(chunk);
        });
        kit.response(all![complete("SELECT 0"), ready()]);
        assert_eq!((kit.brief(), kit.out[0].truncated), (whole.brief(), true));
    }
}

#[test]
fn a_statement_whose_end_was_not_captured_is_marked() {
    for cut in [Bytes::Skipped(991), Bytes::Lost(991)] {
        for bytes in
            [query(&format!("SELECT a{}", " ".repeat(1000))), parse("", &format!("SELECT a{}", " ".repeat(998)))]
        {
            let mut kit = Kit::started();
            kit.request(&bytes[..bytes.len() - 991]).feed(Direction::Request, cut);
            if bytes[0] == b'P' {
                kit.request(all![bind("", ""), execute(""), sync()]).response(all![done(b'1'), done(b'2')]);
            }
            kit.response(all![complete("SELECT 0"), ready()]);
            assert_eq!((kit.brief().as_str(), kit.out[0].truncated, kit.count.lost()), ("SELECT a ... OK", true, 0));
        }
    }
}

#[test]
fn a_pipeline_beyond_the_bound_is_counted() {
    let most = Fifo::<u8>::MAX;
    let mut kit = Kit::started();
    let bind = all![bind("", ""), execute("")];
    kit.request(parse("", "SELECT a"));
    for _ in 0..most + 10 {
        kit.request(&bind);
    }
    kit.request(all![sync(), query("SELECT b")]);
    kit.response(done(b'1'));
    for _ in 0..most + 10 {
        kit.response(all![done(b'2'), complete("SELECT 0")]);
    }
    kit.response(ready());
    assert_eq!((kit.out.len(), kit.count.lost_by(Lost::Evicted)), (most, 11));
    kit.response(all![complete("SELECT 0"), ready()]);
    kit.time += 1_000_000;
    kit.request(query("SELECT c")).response(all![complete("SELECT 0"), ready()]);
    assert_eq!((kit.count.reported, kit.count.lost()), (most as u64 + 1, 11));
    assert!(kit.brief().ends_with("SELECT c OK"));
}

#[test]
fn more_preparations_than_one_request_holds() {
    let mut kit = Kit::started();
    let describes = vec![describe(b'S', "s"); 100].concat();
    kit.request(all![parse("s", "SELECT a"), describes, bind("", "s"), execute(""), sync()]);
    let described = vec![done(b'n'); 100].concat();
    kit.response(all![done(b'1'), described, done(b'2'), complete("SELECT 0"), ready()]);
    assert_eq!((kit.brief().as_str(), kit.session.pending(), kit.count.lost()), ("SELECT a OK", 0, 0));
}

#[test]
fn more_statements_in_a_query_than_are_told_apart() {
    let mut kit = Kit::started();
    kit.request(query(&"SELECT a;".repeat(300))).response(vec![complete("SELECT 0"); 300].concat()).response(ready());
    assert_eq!((kit.out.len(), kit.count.lost(), kit.session.pending()), (300, 0, 0));
    assert!(kit.brief().ends_with(&format!("SELECT a OK{}", ", QUERY (unseen) OK".repeat(44))));
}

#[test]
fn what_is_no_postgresql_is_given_up() {
    let mut kit = Kit::default();
    for _ in 0..10 {
        kit.request(b"GET / HTTP/1.1\r\n\r\n").response(b"HTTP/1.1 200 OK\r\n\r\n");
    }
    assert_eq!((kit.session.state(), kit.out.len()), (State::Misinferred, 0));
    // Lengths that no message has.
    let mut kit = Kit::started();
    for _ in 0..10 {
        kit.request(b"Q\xff\xff\xff\xffSELECT").response(b"Z\0\0\0\xffI");
    }
    assert_eq!((kit.session.state(), kit.out.len()), (State::Misinferred, 0));
}

/// Whoever says hello names a database, or himself, before the server has checked anything.
#[test]
fn databases_that_a_client_invents_leave_the_others_theirs() {
    use crate::parser::Begin as _;
    let mut kit = Kit::default();
    let routing = std::sync::Arc::default();
    for n in 0..1000 {
        kit.session = super::super::Session::to_service(crate::Transport::Stream, b"busy", &routing, &mut kit.names);
        kit.request(startup(&["user", &format!("invented_{n}")])).response(fatal("28P01"));
    }
    assert_eq!((kit.names.folded(), kit.names.folded_within(crate::ShareOf::Schemas)), (0, 800));
}
