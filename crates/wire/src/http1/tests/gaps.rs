//! Bytes that were skipped or lost.

use super::kit::talk;
use crate::parser::Parser as _;
use crate::{End, State};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_hole_inside_a_body_of_known_length_costs_nothing() {
    let mut t = talk();
    t.request("PUT /a HTTP/1.1\r\nContent-Length: 100\r\n\r\nab").request_loses(50).request_skips(48);
    t.response("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").response_skips(500).response_loses(500);
    assert_eq!(t.told(), ["PUT /a 200 answered"]);
    assert_eq!((t.http(0).request_size, t.http(0).response_size), (Some(100), Some(1000)));
    assert_eq!((t.out[0].request_end, t.out[0].end), (3000, 6000));
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!((t.told().len(), t.lost()), (2, vec![]));
}

#[test]
fn a_hole_inside_a_chunk_costs_nothing() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nab");
    t.response_loses(200).response_skips(256 - 202 + 2).response("1\r\na\r\n0\r\n\r\n");
    assert_eq!(t.told(), ["GET /a 200 answered"]);
    assert_eq!(t.http(0).response_size, Some(257));
}

#[test]
fn a_skip_over_several_messages_ends_the_first_of_them() {
    let mut t = talk();
    t.request("PUT /a HTTP/1.1\r\nContent-Length: 10\r\n\r\n").request_skips(30);
    t.response(OK).response(OK);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["PUT /a 200 answered", "GET /c 200 answered"]);
    assert_eq!(t.http(0).request_size, Some(10));
    assert_eq!(t.lost(), [("truncated", 1)], "the request among the skipped bytes");
}

#[test]
fn a_request_head_beyond_the_capture_limit_is_counted() {
    let mut t = talk();
    t.request("GET /users/42 HTTP/1.1\r\nHost: h\r\nCookie: abc").request_skips(5000);
    t.response(OK);
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /users/{id} 200 answered!", "GET /b 200 answered"]);
    assert_eq!((t.names.get(t.http(0).host), t.http(0).request_size), ("h", None));
    assert_eq!((t.out[0].request_bytes, t.out[0].request_end), (5044, 2000));
    assert_eq!(t.lost(), []);
}

#[test]
fn a_request_line_beyond_the_capture_limit_is_counted() {
    let mut t = talk();
    t.request("POST /search/abc")
        .request_skips(9000)
        .request("body body")
        .request("GET")
        .response(OK)
        .close(End::Closed);
    assert_eq!(t.told(), ["POST /search/* 200 answered!"]);
    assert_eq!(t.out[0].request_bytes, 9028);
}

#[test]
fn a_request_that_begins_behind_a_skip_is_not_paired() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\nCookie: abc").request_skips(50).request("GET /b HTTP/1.1\r\n\r\n");
    t.response(OK).response(OK).response(OK);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered!", "GET /c 200 answered"]);
    assert_eq!(t.lost(), [("truncated", 1)]);
}

#[test]
fn a_lost_request_head_is_counted_once() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nHos").request_loses(30).request_loses(10);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).response(OK).response(OK);
    t.request("GET /d HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /d 200 answered"]);
    assert_eq!(t.lost(), [("hole", 2)], "/b, and /c, which may stand behind others");
}

#[test]
fn whole_requests_lost_are_counted_by_whoever_lost_them() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").request_loses(19).response(OK).response(OK);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!((t.told().len(), t.lost()), (2, vec![]));
}

#[test]
fn an_upload_cut_between_chunks_is_still_paired() {
    let mut t = talk();
    t.request("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").request_skips(300);
    t.response("HTTP/1.1 100 Continue\r\n\r\n").request("more body");
    t.response(OK).request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["POST /a 200 answered", "GET /b 200 answered"]);
    assert_eq!((t.http(0).request_size, t.out[0].request_bytes), (None, 48 + 5 + 300 + 9));
    assert_eq!(t.session.state(), State::Parsing);
}

#[test]
fn a_response_head_beyond_the_capture_limit_ends_with_the_turn() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 503 No\r\nSet-Cookie: a").response_skips(5000);
    t.response("rest of the body");
    assert_eq!(t.out.len(), 0);
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK);
    assert_eq!(t.told(), ["GET /a 503 answered!", "GET /b 200 answered"]);
    assert_eq!((t.out[0].first_byte, t.out[0].end, t.out[0].response_bytes), (2000, 4000, 5046));
    assert_eq!(t.http(0).response_size, None);
    t.close(End::Closed);
    assert_eq!(t.lost(), []);
}

#[test]
fn a_response_head_beyond_the_capture_limit_ends_with_the_connection() {
    for (end, outcome) in [(End::Closed, "answered"), (End::Evicted, "answered"), (End::Reset, "reset")] {
        let mut t = talk();
        t.request("GET /a HTTP/1.1\r\n\r\n")
            .response("HTTP/1.1 503 No\r\nSet-Cookie: a")
            .response_skips(5000)
            .close(end);
        assert_eq!(t.told(), [format!("GET /a 503 {outcome}!")]);
    }
}

#[test]
fn responses_of_pipelined_requests_skipped_together() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n").response_skips(100).response_skips(10);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a - answered!", "GET /b - answered!", "GET /c 200 answered"]);
    assert_eq!((t.out[0].end, t.out[1].end), (3000, 3000));
    // The same at the end of the connection; the last request was sent after all of them.
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n").response_skips(100).request("GET /c HTTP/1.1\r\n\r\n");
    t.close(End::Closed);
    assert_eq!(t.told(), ["GET /a - answered!", "GET /b - answered!", "GET /c - unanswered"]);
}

#[test]
fn a_chunked_response_with_skipped_chunk_sizes_ends_with_the_turn() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nab");
    t.response_skips(5000).response("HTTP/1.1 500 no, this is body\r\n\r\n").response_skips(20);
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /b 200 answered"]);
    assert_eq!((t.out[0].end, t.http(0).response_size, t.lost()), (5000, None, vec![]));
}

#[test]
fn a_request_sent_in_the_middle_of_a_cut_response_is_no_boundary() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nab");
    t.response_skips(5000).request("GET /b HTTP/1.1\r\n\r\n").response("body").response(OK);
    t.request("GET /c HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /b - answered!", "GET /c 200 answered"]);
}

#[test]
fn lost_responses_are_holes_until_the_turn() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
    t.response(OK).response("HTTP/1.1 200 OK\r\nConte").response_loses(60).response(OK);
    t.request("GET /d HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /d 200 answered"]);
    assert_eq!(t.lost(), [("hole", 2)]);
    // At the end of the connection.
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response_loses(60).request("GET /b HTTP/1.1\r\n\r\n").close(End::Closed);
    assert_eq!((t.told(), t.lost()), (vec!["GET /b - unanswered".to_owned()], vec![("hole", 1)]));
}

#[test]
fn an_upgrade_is_seen_in_a_cut_head() {
    let mut t = talk();
    t.request("GET /ws HTTP/1.1\r\n\r\n").response("HTTP/1.1 101 Switching\r\nX: y").response_skips(500);
    assert_eq!((t.told(), t.session.state()), (vec!["GET /ws 101 upgraded!".to_owned()], State::Opaque));
    t.close(End::Closed);
}

#[test]
fn a_cut_interim_response_hides_the_final_one() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 103 Hints\r\nLink: y").response_skips(500);
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a - answered!", "GET /b 200 answered"]);
}

#[test]
fn a_sent_file_has_its_true_end() {
    let mut t = talk();
    t.request("GET /f HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    t.response_skips(60_000).response_skips(40_000);
    assert_eq!((t.told().len(), t.out[0].end), (1, 4000));
}
