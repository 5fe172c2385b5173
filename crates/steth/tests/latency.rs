//! Where the time went: what a server's own instrumentation cannot see.

mod lab;

use lab::process::command;
use lab::runtimes::{programs, python};
use lab::{Process, Steth, alone, curl, free_port};
use serde_json::Value;
use std::time::Duration;

/// Four requests at once to a server that works on one at a time, 50 ms each. It says 50 ms of each; the clients wait up to 200.
#[test]
fn the_time_in_which_a_request_waits_for_a_busy_server_is_its_queue() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut server = command(python());
    server.arg(programs().join("python/one_at_a_time.py")).arg(port.to_string());
    let server = Process::spawn("one at a time", &mut server, dir.path());
    server.wait_for_port(port);
    let steth = Steth::watch(&["--port", &port.to_string()]);
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(5 * n));
                assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/{n}")]).status, 200);
            });
        }
    });
    steth.wait_for_exchanges(8, Duration::from_secs(5));
    let seen = steth.finish();
    // Both ends tell the request's sequence number. What passes between the sending and the reading, the request waits; both
    // are on one machine, so it does not matter how busy that is.
    let mut longest = 0;
    for server in seen.side("server") {
        let client =
            seen.side("client").find(|client| client["request_seq"] == server["request_seq"]).expect("its end");
        let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
        let (queue, service) = (ns(server, "queue_ns"), ns(server, "service_ns"));
        let waited = instant(server) - instant(client);
        assert!((queue - waited).abs() < 2 * MILLISECOND, "{server} {client}");
        assert!(service >= 50 * MILLISECOND && ns(server, "duration_ns") >= service, "{server}");
        assert!(ns(client, "duration_ns") + MILLISECOND >= queue + service, "{server} {client}");
        // It is in accept() that this server lets others wait; what has come by then, it reads at once.
        let accepted = ns(server, "accept_wait_ns");
        assert!(accepted <= queue + MILLISECOND && queue - accepted < 5 * MILLISECOND, "{server}");
        assert!(
            client["accept_wait_ns"].is_null() && client["queue_ns"].is_null() && client["service_ns"].is_null(),
            "{client}"
        );
        longest = longest.max(queue);
    }
    assert_eq!((seen.side("client").count(), seen.side("server").count()), (4, 4));
    assert!(longest >= 45 * MILLISECOND, "nobody waited for the one before: {longest}");
}

const MILLISECOND: i64 = 1_000_000;

/// Nanoseconds of the day at which an exchange began.
fn instant(exchange: &Value) -> i64 {
    let time = exchange["time"].as_str().expect("a time");
    let (_, clock) = time.trim_end_matches('Z').split_once('T').expect("RFC 3339");
    let (clock, fraction) = clock.split_once('.').expect("nanoseconds");
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("digits"));
    seconds * 1_000_000_000 + fraction.parse::<i64>().expect("nine digits")
}
