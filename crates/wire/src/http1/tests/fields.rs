//! What the fields of a head say beyond the framing.

use super::kit::talk;
use crate::{End, Outcome, Side};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_stream_of_events_and_a_long_poll_wait_by_design() {
    for (request, response, waits) in [
        ("", "Content-Type: text/event-stream", true),
        ("", "content-type:Text/Event-Stream ; charset=utf-8", true),
        ("", "Content-Type:\r\n text/event-stream", true),
        ("", "Content-Type: text/event-streams", false),
        ("", "Content-Type: application/json; x=text/event-stream", false),
        ("Accept: text/event-stream", "Content-Type: text/html", false),
        ("Prefer: wait=30", "X: y", true),
        ("prefer: respond-async, Wait = 10", "X: y", true),
        ("Prefer: respond-async\r\nPrefer: wait=5", "X: y", true),
        ("Prefer: waiting=30, wait", "X: y", false),
    ] {
        let mut t = talk();
        t.request(format!("GET /a HTTP/1.1\r\n{request}{}\r\n", if request.is_empty() { "" } else { "\r\n" }));
        t.response(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{response}\r\n\r\nok"));
        // It is said anew by each message.
        t.request("GET /b HTTP/1.1\r\n\r\n").response(OK).close(End::Closed);
        assert_eq!((t.out[0].blocking, t.out[1].blocking), (waits, false), "{request} / {response}");
    }
    let mut t = talk();
    t.request("GET /a HTTP/1.1\r\n\r\n")
        .response("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    t.close(End::Reset);
    assert_eq!((t.told(), t.out[0].blocking), (vec!["GET /a 200 reset".to_owned()], true), "one that is cut off");
}

#[test]
fn responses_without_a_body_have_none_whatever_their_fields_say() {
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("POST", 304)] {
        for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "X: y"] {
            let mut t = talk();
            t.request(format!("{method} /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n"));
            t.response(format!("HTTP/1.1 100 C\r\n{framing}\r\n\r\nHTTP/1.1 {status} X\r\n{framing}\r\n\r\n{OK}"));
            let expected = [format!("{method} /a {status} answered"), "GET /b 200 answered".to_owned()];
            assert_eq!((t.told(), t.http(0).response_size), (expected.to_vec(), Some(0)), "{framing}");
            t.close(End::Closed);
        }
    }
}

#[test]
fn a_folded_field_goes_on_and_is_no_other_field() {
    let mut t = talk();
    // In one piece: the value is on the lines behind, or begins before them; what looks like a field there is none.
    t.request(
        "POST /a HTTP/1.1\r\n Host: nobody\r\nX: a\r\n Content-Length: 9\r\n\tHost: nobody\r\n\
         Transfer-Encoding: gzip,\r\n  chunked\r\nHost:\r\n\there\r\n\r\n3\r\nabc\r\n0\r\n Content-Length: 5\r\n\r\n",
    );
    t.response("HTTP/1.1 200 OK\r\nServer: x\r\n Content-Length: 9\r\nContent-Length:\r\n 2\r\n\r\nok")
        .close(End::Closed);
    assert_eq!(t.told(), ["POST /a 200 answered"]);
    assert_eq!((t.http(0).request_size, t.http(0).response_size), (Some(3), Some(2)));
    assert_eq!((t.names.get(t.http(0).host), t.out[0].request_bytes), ("here", t.at[0]));
}

#[test]
fn field_names_come_in_any_case_and_two_hundred_of_them() {
    let many: String = (0..200).map(|n| format!("X-{n}: {}\r\n", "v".repeat(n % 50))).collect();
    let target = format!("/{}/x", "segment-".repeat(1024));
    let mut t = talk();
    for piece in [1, 37, 100_000] {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = format!(
            "POST {target} HTTP/1.1\r\n{many}hOsT: h\r\nTRACEPARENT: {traceparent}\r\ncontent-LENGTH: 3\r\n\r\nabc"
        );
        let response = format!("HTTP/1.1 201 X\r\n{many}TRANSFER-encoding: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        request.as_bytes().chunks(piece).for_each(|bytes| _ = t.request(bytes));
        response.as_bytes().chunks(piece).for_each(|bytes| _ = t.response(bytes));
    }
    t.close(End::Closed);
    assert_eq!(t.told(), ["POST /{id}/x 201 answered"; 3]);
    for n in 0..3 {
        assert_eq!((t.http(n).request_size, t.http(n).response_size), (Some(3), Some(2)));
        assert!(t.http(n).traceparent.is_some() && t.names.get(t.http(n).host) == "h");
    }
}

#[test]
fn a_method_is_known_by_its_exact_name() {
    let mut t = talk();
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY", "get", "Get", "BREW"] {
        t.request(format!("{method} / HTTP/1.1\r\n\r\n")).response("HTTP/1.1 204 No\r\n\r\n");
    }
    t.close(End::Closed);
    for (n, told) in t.told().iter().enumerate() {
        let attributes = t.attributes(n, Side::Client);
        let other = attributes[0] == "http.request.method=_OTHER";
        assert_eq!(other, n >= 9, "{told}");
        assert_eq!(other, told.starts_with("HTTP / "), "{told}");
        assert_eq!(other, attributes[1].starts_with("http.request.method_original="), "{told}");
    }
    assert_eq!(t.attributes(9, Side::Client)[1], "http.request.method_original=get");
}

#[test]
fn the_error_type_is_the_code_or_what_became_of_the_connection() {
    let error = |status: &str, end: End, side: Side| {
        let mut t = talk();
        t.request("GET / HTTP/1.1\r\n\r\n").response(status).close(end);
        assert_eq!(t.out.len(), 1);
        let error = t.attributes(0, side).into_iter().find_map(|a| Some(a.strip_prefix("error.type=")?.to_owned()));
        assert_eq!(error, t.out[0].error_type(side, &t.names).map(Into::into));
        error
    };
    let whole = |code: u16| format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n");
    for (status, end, server, client) in [
        (whole(200), End::Closed, None, None),
        (whole(404), End::Closed, None, Some("404")),
        (whole(500), End::Reset, Some("500"), Some("500")),
        (String::new(), End::Closed, Some("connection_closed"), Some("connection_closed")),
        (String::new(), End::Reset, Some("connection_reset"), Some("connection_reset")),
        (String::new(), End::TimedOut, Some("timeout"), Some("timeout")),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned(),
            End::Reset,
            Some("connection_reset"),
            Some("connection_reset"),
        ),
        ("HTTP/1.1 100 C\r\n\r\n".to_owned(), End::Closed, Some("connection_closed"), Some("connection_closed")),
        ("HTTP/1.1 101 S\r\n\r\n".to_owned(), End::Reset, None, None),
    ] {
        assert_eq!(error(&status, end, Side::Server).as_deref(), server, "{status} {end:?}");
        assert_eq!(error(&status, end, Side::Client).as_deref(), client, "{status} {end:?}");
        assert_eq!(error(&status, end, Side::Network).as_deref(), client, "{status} {end:?}");
    }
}

#[test]
fn secrets_of_a_request_never_leave_the_parser() {
    let mut t = talk();
    t.request(
        "GET http://user:hunter2@a.example/x?token=hunter2#hunter2 HTTP/1.1\r\nAuthorization: Basic hunter2\r\n\
         Cookie: s=hunter2\r\nX-Api-Key: hunter2\r\n\r\nGET /reset;hunter2?hunter2 HTTP/1.1\r\nHost: u:hunter2@h\r\n\r\n",
    );
    t.response(format!("HTTP/1.1 200 OK\r\nSet-Cookie: hunter2\r\nContent-Length: 7\r\n\r\nhunter2{OK}"));
    let all = format!("{:?}{:?}{:?}", t.out, t.names, t.session);
    assert!(!all.contains("hunter2"), "{all}");
    assert_eq!((t.told().len(), t.out[0].outcome), (2, Outcome::Answered));
    t.close(End::Closed);
}
