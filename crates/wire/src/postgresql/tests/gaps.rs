//! Holes in either direction: nothing is paired across one by guess, and all is counted.

use super::*;
use crate::Bytes;

fn answer() -> Vec<u8> {
    all![complete("SELECT 0"), ready()]
}

#[test]
fn a_hole_inside_of_a_row_costs_nothing() {
    for hole in [Bytes::Skipped(900), Bytes::Lost(900)] {
        let mut kit = Kit::started();
        let bytes = all![columns(), row(&[b'x'; 1000]), complete("SELECT 1"), ready()];
        kit.request(query("SELECT a")).response(&bytes[..50]).feed(Direction::Response, hole).response(&bytes[950..]);
        assert_eq!((kit.brief().as_str(), kit.count.lost(), kit.out[0].truncated), ("SELECT a OK", 0, false));
        assert_eq!(kit.attribute(0, "db.response.returned_rows").as_deref(), Some("1"));
    }
}

#[test]
fn rows_that_were_not_captured_end_before_the_next_request() {
    let mut kit = Kit::started();
    kit.request(query("SELECT a")).response(all![columns(), row(b"1")]);
    kit.feed(Direction::Response, Bytes::Skipped(1_000_000)).feed(Direction::Response, Bytes::Skipped(1_000_000));
    let end = kit.time;
    kit.time += 1000;
    kit.request(query("SELECT b")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("SELECT a ?, SELECT b OK", 0));
    let e = &kit.out[0];
    assert_eq!((e.truncated, e.end, e.first_byte > 0), (true, end, true));
    assert_eq!(e.response_bytes, 2_000_000 + (columns().len() + row(b"1").len()) as u64);
}

#[test]
fn a_large_result_in_the_extended_protocol() {
    let mut kit = Kit::started();
    kit.request(all![run("SELECT a"), sync()]).response(all![done(b'1'), done(b'2'), columns(), row(b"1")]);
    kit.feed(Direction::Response, Bytes::Skipped(1_000_000));
    kit.request(all![run("SELECT b"), sync()]).response(all![ran("SELECT 0"), ready()]);
    kit.request(all![run("SELECT c"), sync()]).response(all![done(b'1'), done(b'2'), columns(), row(b"1")]);
    kit.feed(Direction::Response, Bytes::Skipped(1_000_000)).close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("SELECT a ?, SELECT b OK, SELECT c ?", 0));
}

#[test]
fn a_pipeline_whose_answers_were_skipped_behind_an_error() {
    let mut kit = Kit::started();
    kit.request(all![run("INSERT a"), run("INSERT b"), sync(), run("INSERT c"), sync()]);
    kit.response(all![done(b'1'), error("23505")]).feed(Direction::Response, Bytes::Skipped(60));
    kit.request(query("SELECT a")).response(answer());
    assert_eq!(kit.brief(), "INSERT a 23505, INSERT b skipped, INSERT c ?, SELECT a OK");
    assert_eq!(kit.count.lost(), 0);
}

#[test]
fn lost_responses_are_counted_and_the_next_turn_resumes() {
    let mut kit = Kit::started();
    kit.request(query("SELECT a; SELECT b")).feed(Direction::Response, Bytes::Lost(40));
    kit.request(query("SELECT c")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("SELECT c OK", 2));
}

#[test]
fn a_lost_request_is_counted_by_whoever_lost_it() {
    let mut kit = Kit::started();
    kit.feed(Direction::Request, Bytes::Lost(30)).response(answer());
    kit.request(query("SELECT a")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("SELECT a OK", 0));
}

#[test]
fn a_skipped_request_is_counted_by_its_answer() {
    let mut kit = Kit::started();
    kit.feed(Direction::Request, Bytes::Skipped(3000)).response(all![ran("SELECT 0"), ran("SELECT 0"), ready()]);
    kit.request(query("SELECT a")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Truncated)), ("SELECT a OK", 2));
}

#[test]
fn requests_behind_a_lost_one_are_not_paired_within_the_turn() {
    let mut kit = Kit::started();
    kit.request(all![run("INSERT a"), sync()]);
    kit.feed(Direction::Request, Bytes::Lost(50));
    kit.request(all![run("INSERT c"), sync()]);
    for _ in 0..3 {
        kit.response(all![ran("INSERT 0 1"), ready()]);
    }
    kit.time += 1_000;
    kit.request(query("SELECT a")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("INSERT a OK, SELECT a OK", 1));
}

#[test]
fn copied_data_that_was_not_captured() {
    let mut kit = Kit::started();
    let begin = query("COPY t FROM STDIN");
    kit.request(&begin).response(message(b'G', b"\0\0\0"));
    kit.request(message(b'd', b"1\n")).feed(Direction::Request, Bytes::Skipped(100_000));
    kit.feed(Direction::Request, Bytes::Skipped(100_000));
    kit.response(all![complete("COPY 9"), ready()]);
    kit.request(query("SELECT a")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("COPY t FROM STDIN OK, SELECT a OK", 0));
    assert_eq!(kit.out[0].request_bytes, begin.len() as u64 + 7 + 200_000);
}

#[test]
fn a_gap_in_the_requests_forgets_the_unnamed_statement_only() {
    let mut kit = Kit::started();
    kit.request(all![parse("s", "SELECT s"), parse("", "SELECT u"), sync()]).response(all![
        done(b'1'),
        done(b'1'),
        ready()
    ]);
    kit.feed(Direction::Request, Bytes::Lost(30)).response(answer());
    kit.request(all![bind("", "s"), execute(""), bind("", ""), execute(""), sync()]);
    kit.response(all![done(b'2'), complete("SELECT 0"), done(b'2'), complete("SELECT 0"), ready()]);
    assert_eq!(kit.brief(), "SELECT s OK, EXECUTE (unseen) OK");
}

#[test]
fn an_answer_that_nobody_can_have_asked_for_ends_the_pairing_until_the_next_turn() {
    let mut kit = Kit::started();
    kit.request(all![run("SELECT a"), sync()]).response(all![done(b'1'), done(b'3'), complete("SELECT 0"), ready()]);
    kit.request(query("SELECT b")).response(answer());
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Hole)), ("SELECT b OK", 1));
}
