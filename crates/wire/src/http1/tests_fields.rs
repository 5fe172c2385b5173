//! What the fields of a head say beyond the framing.

use super::talk::talk;
use crate::End;

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
