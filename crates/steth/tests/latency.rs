//! Where the time went: what a server's own instrumentation cannot see.

mod lab;

use lab::process::command;
use lab::runtimes::{programs, python};
use lab::{Process, Steth, alone, curl, free_port};
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
    let milliseconds = |side: &str, field: &str| {
        let mut all: Vec<_> = seen.side(side).filter_map(|e| e[field].as_u64()).map(|ns| ns / 1_000_000).collect();
        all.sort_unstable();
        all
    };
    let near = |seen: Vec<u64>, expected: [u64; 4]| {
        let close = seen.iter().zip(expected).all(|(seen, expected)| seen.abs_diff(expected) <= 15);
        assert!(seen.len() == 4 && close, "{seen:?}, not {expected:?}");
    };
    near(milliseconds("server", "service_ns"), [50, 50, 50, 50]);
    near(milliseconds("server", "duration_ns"), [50, 50, 50, 50]);
    // Each came 5 ms after the one before.
    near(milliseconds("server", "queue_ns"), [0, 45, 90, 135]);
    near(milliseconds("client", "duration_ns"), [50, 95, 140, 185]);
    for client in seen.side("client") {
        assert!(client["queue_ns"].is_null() && client["service_ns"].is_null(), "{client}");
    }
}
