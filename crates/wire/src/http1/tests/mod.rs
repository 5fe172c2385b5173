//! Conversations, by what they show.

mod fields;
mod gaps;
mod kit;
mod property;
mod routing;

use super::At;
use crate::parser::Parser as _;
use crate::{Direction, End, Fifo, Outcome, Side, State};
use kit::{Talk, talk};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_and_its_response_are_one_exchange() {
    let mut t = talk();
    t.request("GET /users/42?x=1 HTTP/1.1\r\nHost: Example.org:8080\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    assert_eq!((t.session.pending(), t.out.len()), (1, 0));
    t.response("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno");
    assert_eq!((t.session.pending(), t.out.len()), (1, 0));
    t.response("pe");
    assert_eq!(t.told(), ["GET /users/{id} 404 answered"]);
    let e = t.out[0];
    assert_eq!((e.start, e.arrival, e.request_end, e.first_byte, e.end), (1000, 900, 1000, 2000, 3000));
    assert_eq!((e.request_offset, e.response_offset), (0, 0));
    assert_eq!((e.request_bytes, e.response_bytes), (t.at[0], t.at[1]));
    let attributes = [
        "http.request.method=GET",
        "http.route=/users/{id}",
        "url.scheme=http",
        "server.address=example.org",
        "network.protocol.version=1.1",
        "server.port=8080",
        "http.response.status_code=404",
        "http.request.body.size=0",
        "http.response.body.size=4",
        "http.request.header.traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "steth.status.name=Not Found",
    ];
    assert_eq!(t.attributes(0, Side::Server), attributes);
    let client = t.attributes(0, Side::Client);
    assert_eq!((client[1].as_str(), client[9].as_str()), ("url.template=/users/{id}", "error.type=404"));
    t.close(End::Closed);
}

#[test]
fn versions_and_bare_line_feeds() {
    let mut t = talk();
    t.request("GET / HTTP/1.0\n\n").response("HTTP/1.0 200\n\nbody").close(End::Closed);
    assert_eq!(t.told(), ["GET / 200 answered"]);
    assert_eq!((t.http(0).minor, t.http(0).response_size), (Some(0), Some(4)));
}

#[test]
fn empty_lines_between_messages_are_ignored() {
    let mut t = talk();
    t.request("\r\n\r\nGET /a HTTP/1.1\r\n\r\n").response(format!("{OK}\r\n\r\n"));
    t.request("\r\nGET /b HTTP/1.1\r\n\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /b 200 answered"]);
    assert_eq!(t.out[1].request_offset, 25);
    assert_eq!(t.out[1].request_bytes, 19);
}

#[test]
fn methods_beyond_the_known_are_other() {
    let mut t = talk();
    t.request("GET / HTTP/1.1\r\n\r\n").response(OK);
    t.request("PROPFIND /dav HTTP/1.1\r\n\r\n").response(OK);
    assert_eq!(t.told()[1], "HTTP /dav 200 answered");
    let attributes = t.attributes(1, Side::Server);
    assert_eq!(attributes[..2], ["http.request.method=_OTHER", "http.request.method_original=PROPFIND"]);
}

#[test]
fn a_head_request_has_no_body() {
    let mut t = talk();
    t.request("HEAD / HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    t.request("GET / HTTP/1.1\r\n\r\n").response(OK);
    assert_eq!(t.told(), ["HEAD / 200 answered", "GET / 200 answered"]);
    assert_eq!(t.http(0).response_size, Some(0));
}

#[test]
fn responses_204_and_304_have_no_body() {
    for head in ["204 No Content\r\nContent-Length: 9", "304 Not Modified\r\nTransfer-Encoding: chunked", "204 x"] {
        let mut t = talk();
        t.request("GET /a HTTP/1.1\r\n\r\n").response(format!("HTTP/1.1 {head}\r\n\r\n"));
        assert_eq!(t.out.len(), 1);
        t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
        assert_eq!(t.told()[1], "GET /b 200 answered");
    }
}

#[test]
fn chunked_bodies_with_extensions_and_trailers() {
    let mut t = talk();
    t.request("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n");
    t.response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA\r\n01234")
        .response("56789\r\n0;z\r\n\r\n");
    assert_eq!(t.told(), ["POST /a 200 answered"]);
    assert_eq!((t.http(0).request_size, t.http(0).response_size), (Some(3), Some(10)));
    assert_eq!((t.out[0].request_bytes, t.out[0].response_bytes), (t.at[0], t.at[1]));
}

#[test]
fn chunked_wins_over_a_length() {
    let mut t = talk();
    let framing = "Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    t.request(format!("POST /a HTTP/1.1\r\n{framing}")).response(format!("HTTP/1.1 200 OK\r\n{framing}"));
    assert_eq!(t.told(), ["POST /a 200 answered"]);
    assert_eq!(t.http(0).response_size, Some(1));
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    type Finish = fn(&mut Talk);
    let mut ends: Vec<(Finish, &str)> = Vec::new();
    ends.push((|t| _ = t.shutdown(Direction::Response), "GET / 200 answered"));
    ends.push((|t| _ = t.close(End::Closed), "GET / 200 answered"));
    ends.push((|t| _ = t.close(End::Reset), "GET / 200 reset"));
    ends.push((|t| _ = t.close(End::TimedOut), "GET / 200 timeout"));
    for (end, expected) in ends {
        let mut t = talk();
        t.request("GET / HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\n\r\nab").response_loses(10).response_skips(10);
        assert_eq!(t.out.len(), 0);
        end(&mut t);
        assert_eq!(t.told(), [expected]);
        assert_eq!((t.http(0).response_size, t.out[0].response_bytes), (Some(22), 41));
        t.close(End::Reset);
        assert_eq!(t.out.len(), 1);
    }
    let mut t = talk();
    t.request("GET / HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\n\r\nab").shutdown(Direction::Response);
    assert_eq!(t.out[0].end, 2000, "the last byte, not the shutdown");
}

#[test]
fn a_kept_connection_without_framing_goes_on_with_the_next_turn() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 OK\r\n\r\nbody");
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /a 200 answered", "GET /b 200 answered"]);
    assert_eq!(t.out[0].response_bytes, 23);
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let mut t = talk();
    t.request("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    t.response("HTTP/1.1 100 Continue\r\n\r\n").request("ab");
    t.response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 7\r\n\r\nHTTP/1.1 102 P\r\n\r\n");
    assert_eq!((t.out.len(), t.session.pending()), (0, 1));
    t.response(OK);
    assert_eq!(t.told(), ["POST / 200 answered"]);
    let e = t.out[0];
    assert_eq!((e.request_end, e.first_byte, e.end), (3000, 5000, 5000));
    assert_eq!((e.request_bytes, e.response_bytes, e.response_offset), (t.at[0], t.at[1], 0));
    t.close(End::Closed);
}

#[test]
fn a_client_that_was_refused_may_leave_the_body_out() {
    let mut t = talk();
    t.request("POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n");
    t.response("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["POST /a 417 answered", "GET /b 200 answered"]);
}

#[test]
fn an_upgrade_makes_the_connection_opaque() {
    let mut t = talk();
    t.request("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    t.response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x01\x02\x03");
    assert_eq!((t.told(), t.session.state()), (vec!["GET /ws 101 upgraded".to_owned()], State::Opaque));
    assert_eq!(t.out[0].response_bytes, t.at[1] - 3);
    t.request(b"\x81\x05hello").response("HTTP/1.1 200 OK\r\n\r\n").close(End::Closed);
    assert_eq!((t.out.len(), t.lost()), (1, vec![]));
}

#[test]
fn requests_behind_an_upgrade_are_unanswered() {
    let mut t = talk();
    t.request("GET /ws HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c");
    t.response("HTTP/1.1 101 Switching Protocols\r\n\r\n").close(End::Closed);
    assert_eq!(t.told(), ["GET /ws 101 upgraded", "GET /b - unanswered", "GET /* - unanswered!"]);
}

#[test]
fn a_connect_that_is_granted_is_a_tunnel() {
    let mut t = talk();
    t.request("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n\x16\x03\x01");
    t.response("HTTP/1.1 200 Connection established\r\n\r\n");
    assert_eq!((t.told(), t.session.state()), (vec!["CONNECT 200 upgraded".to_owned()], State::Opaque));
    assert_eq!(t.attributes(0, Side::Client)[1], "server.address=example.org");
    t.close(End::Closed);

    let mut t = talk();
    t.request("CONNECT example.org:443 HTTP/1.1\r\n\r\n").response("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno");
    t.request("CONNECT example.org:443 HTTP/1.1\r\n\r\n").response("HTTP/1.1 200 Yes\r\n\r\n").close(End::Closed);
    assert_eq!(t.told(), ["CONNECT 407 answered", "CONNECT 200 upgraded"]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut t = talk();
    let requests: String = (0..50).map(|n| format!("GET /a{} HTTP/1.1\r\n\r\n", n % 10)).collect();
    let responses: String = (0..50).map(|n| format!("HTTP/1.1 {} X\r\nContent-Length: 1\r\n\r\n.", 200 + n)).collect();
    t.request(requests);
    assert_eq!(t.session.pending(), 50);
    t.response(responses).close(End::Closed);
    for (n, told) in t.told().iter().enumerate() {
        assert_eq!(*told, format!("GET /a{} {} answered", n % 10, 200 + n));
    }
    assert_eq!(t.out[3].request_offset, 3 * 20);
}

#[test]
fn an_early_response_waits_for_the_end_of_the_request() {
    let mut t = talk();
    t.request("POST /up HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        .response("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((t.out.len(), t.session.pending()), (0, 1));
    t.request("defghij");
    assert_eq!(t.told(), ["POST /up 413 answered"]);
    assert_eq!((t.out[0].request_end, t.out[0].end, t.http(0).request_size), (3000, 2000, Some(10)));
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told()[1], "GET /b 200 answered");
    // The body never ends.
    let mut t = talk();
    t.request("POST /up HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        .response("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n");
    t.request("d").close(End::Reset);
    assert_eq!(t.told(), ["POST /up 413 answered"]);
    assert_eq!((t.http(0).request_size, t.out[0].request_bytes), (Some(4), t.at[0]));
    // It ends while the response is on its way.
    let mut t = talk();
    t.request("POST /up HTTP/1.1\r\nContent-Length: 3\r\n\r\na")
        .response(OK.split_at(30).0)
        .request("bc")
        .response(OK.split_at(30).1);
    assert_eq!((t.told().len(), t.http(0).request_size), (1, Some(3)));
}

#[test]
fn a_response_to_half_a_head_is_its_response() {
    let mut t = talk();
    t.request("GET /long HTTP/1.1\r\nCookie: aaaa").response("HTTP/1.1 431 Large\r\nContent-Length: 0\r\n\r\n");
    t.request("aaaa\r\nHost: x\r\n\r\n");
    assert_eq!(t.told(), ["GET /long 431 answered"]);
    assert_eq!((t.out[0].request_bytes, t.names.get(t.http(0).host)), (t.at[0], "x"));
    t.close(End::Closed);
    let mut t = talk();
    t.request("GET /slow").response("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n").close(End::Closed);
    assert_eq!(t.told(), ["GET /* 408 answered!"]);
    assert_eq!(t.out[0].request_bytes, 9);
}

#[test]
fn a_conversation_byte_by_byte() {
    let mut t = talk();
    let long = "x".repeat(8192);
    let fields: String = (0..200).map(|n| format!("X-Field-{n}: value {n}\r\n")).collect();
    let request = format!("POST /{long} HTTP/1.1\r\n{fields}hOST: h\r\nContent-Length:\r\n 3\r\n\r\nabc");
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\tchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    request.as_bytes().chunks(1).for_each(|byte| _ = t.request(byte));
    response.as_bytes().chunks(1).for_each(|byte| _ = t.response(byte));
    assert_eq!(t.told(), ["POST /{id} 200 answered"]);
    assert_eq!((t.http(0).request_size, t.http(0).response_size), (Some(3), Some(3)));
    assert_eq!((t.out[0].request_bytes, t.out[0].response_bytes), (t.at[0], t.at[1]));
    assert_eq!(t.names.get(t.http(0).host), "h");
    t.close(End::Closed);
}

#[test]
fn a_head_beyond_all_limits_still_frames() {
    let mut t = talk();
    t.request(format!("GET /{} ", "y".repeat(40_000))).request("HTTP/1.1\r\nHost: h\r\n");
    t.request(format!("Cookie: {}", "z".repeat(100_000)))
        .request("zz\r\nContent-Length: 1\r\n\r\n.GET /b HTTP/1.1\r\n\r\n");
    t.response(OK).response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /* 200 answered!", "GET /b 200 answered"]);
    assert_eq!(t.names.get(t.http(0).host), "h");
}

#[test]
fn an_absolute_target_names_the_host() {
    let mut t = talk();
    t.request("GET http://user:pw@A.example:81/x/1 HTTP/1.1\r\nHost: proxy\r\n\r\nOPTIONS * HTTP/1.1\r\n\r\n");
    t.response(OK).response(OK);
    assert_eq!(t.told(), ["GET /x/{id} 200 answered", "OPTIONS * 200 answered"]);
    assert_eq!(t.names.get(t.http(0).host), "a.example:81");
}

#[test]
fn what_is_pending_at_the_end_is_a_record() {
    for (end, outcome) in [(End::Closed, "unanswered"), (End::Reset, "reset"), (End::TimedOut, "timeout")] {
        let mut t = talk();
        t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nHos");
        t.response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").close(end);
        let expected = [format!("GET /a 200 {outcome}"), format!("GET /b - {outcome}"), format!("GET /c - {outcome}!")];
        assert_eq!(t.told(), expected);
        assert_eq!((t.out[0].end, t.out[0].first_byte, t.out[1].first_byte), (t.time, 2000, 0));
        assert_eq!(t.out[2].request_bytes, 20);
    }
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nHos");
    t.response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").close(End::Evicted);
    assert_eq!((t.out.len(), t.lost()), (0, vec![("evicted", 3)]));
}

#[test]
fn only_an_interim_response_came() {
    let mut t = talk();
    t.request("GET / HTTP/1.1\r\n\r\n").response("HTTP/1.1 100 Continue\r\n\r\n").close(End::Closed);
    assert_eq!(t.told(), ["GET / - unanswered"]);
    assert_eq!((t.out[0].first_byte, t.out[0].response_bytes), (0, 25));
}

#[test]
fn a_response_from_before_the_agent_is_an_orphan() {
    let mut t = talk();
    t.response(OK).request("GET / HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!((t.told(), t.lost()), (vec!["GET / 200 answered".to_owned()], vec![("orphan_response", 1)]));
    // Perhaps it answered HEAD.
    let mut t = talk();
    t.response("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
    t.request("GET / HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!((t.told(), t.lost()), (vec!["GET / 200 answered".to_owned()], vec![("orphan_response", 1)]));
}

#[test]
fn the_agent_comes_in_the_middle_of_bodies() {
    let mut t = talk();
    t.request("upload upload").response("download").request("upload");
    assert_eq!(t.session.requests.at, At::Join);
    t.response("down").request("GET / HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!((t.told(), t.lost()), (vec!["GET / 200 answered".to_owned()], vec![]));
}

#[test]
fn nonsense_is_counted_once_and_heals() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response(OK).request("what is this?\r\n").request("more of it\r\n");
    t.response("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n").request("GET /b HTTP/1.1\r\n\r\n").response(OK);
    assert_eq!((t.told().len(), t.lost()), (2, vec![("parse", 1)]));
    assert_eq!(t.session.state(), State::Parsing);
    t.close(End::Closed);
}

#[test]
fn a_response_that_makes_no_sense_loses_its_request() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n").response("ICY 200 OK\r\n\r\n");
    assert_eq!(t.lost(), [("parse", 1)]);
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told(), ["GET /b 200 answered"]);
}

#[test]
fn five_messages_without_sense_are_not_http() {
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n").response(OK);
    for _ in 0..3 {
        t.request(b"\x01\x02\x03").response(b"\x04\x05");
        assert!(t.out.len() == 1);
    }
    assert_eq!(t.session.state(), State::Misinferred);
    t.request("GET / HTTP/1.1\r\n\r\n").close(End::Closed);
    assert_eq!(t.out.len(), 1);
}

#[test]
fn too_many_pending_requests_are_evicted() {
    let max = Fifo::<()>::MAX;
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n".repeat(max + 4));
    t.response("HTTP/1.1 204 No\r\n\r\n".repeat(max + 4));
    assert_eq!((t.out.len(), t.lost()), (max, vec![("evicted", 4)]));
    t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
    assert_eq!(t.told()[max], "GET /b 200 answered");
    assert_eq!(t.out[0].outcome, Outcome::Answered);
}
