//! Books of UDP and unix sockets, as edges of the map: bytes and datagrams, to whom each socket has sent them.

use crate::lab::process::{Process, command, free_port, wait_until};
use crate::lab::{Agent, together};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn start(dir: &Path, service: &str, said: &str, arguments: &[&str]) -> Process {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/l4_datagrams.py");
    let mut python = command("python3");
    python.arg(script).args(arguments).env("OTEL_SERVICE_NAME", service);
    let process = Process::spawn(service, &mut python, dir);
    process.wait_for(said, SOON, || process.output().contains(said));
    process
}

/// Of one side of an edge: bytes and datagrams to the server, and to the client.
type Moved = [u64; 4];

/// The books by client, server and side, of those services that the test has started: their names begin alike, and no other test's do so.
fn edges(map: &Value, transport: &str, own: &str) -> BTreeMap<(String, String, &'static str), Moved> {
    let mut found = BTreeMap::new();
    let edges = map["data"]["edges"].as_array().expect("edges").iter();
    for edge in edges.filter(|edge| edge["transport"] == transport) {
        let name = |end: &str| edge[format!("{end}_name")].as_str().unwrap_or_default().to_owned();
        for side in ["client", "server"] {
            let books = &edge["books"][side];
            let number = |name: &str| books[name].as_u64().unwrap_or(0);
            let ends = (name("client"), name("server"), side);
            if books.is_null() || ![&ends.0, &ends.1].into_iter().any(|name| name.starts_with(own)) {
                continue;
            }
            let moved = ["bytes_to_server", "segments_to_server", "bytes_to_client", "segments_to_client"].map(number);
            let sum: &mut Moved = found.entry(ends).or_default();
            sum.iter_mut().zip(moved).for_each(|(sum, moved)| *sum += moved);
        }
    }
    found
}

fn expected(rows: &[(&str, &str, &'static str, Moved)]) -> BTreeMap<(String, String, &'static str), Moved> {
    rows.iter().map(|(client, server, side, moved)| (((*client).into(), (*server).into(), *side), *moved)).collect()
}

/// A look at all sockets is a second before the end of a window. What is told between two of them does not depend on how long it takes.
fn behind_a_look() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later than 1970");
    let into = (now.as_millis() + 700) % 10_000;
    std::thread::sleep(Duration::from_millis(10_000 - into as u64));
}

/// Waits for the look at the sockets that comes once in each window.
fn found(agent: &Agent, transport: &str, expected: &BTreeMap<(String, String, &'static str), Moved>) {
    let own = expected
        .keys()
        .flat_map(|(client, server, _)| [client, server])
        .find(|name| *name != "unknown")
        .expect("a service");
    let own = &own[..=own.find('-').expect("its prefix")];
    let mut found = BTreeMap::new();
    let begun = std::time::Instant::now();
    while found != *expected && begun.elapsed() < Duration::from_secs(25) {
        std::thread::sleep(Duration::from_millis(300));
        found = edges(&agent.json("/api/v1/map?last=10m"), transport, own);
    }
    assert_eq!(found, *expected);
}

#[test]
fn each_far_end_of_a_socket_that_is_not_connected_has_what_was_sent_to_it() {
    root_or_skip!();
    let _together = together();
    let dir = tempfile::tempdir().expect("a directory");
    let agent = Agent::start();
    behind_a_look();
    let ports = [free_port().to_string(), free_port().to_string()];
    let [one, two] = &ports;
    let start = |service: &str, said: &str, arguments: &[&str]| start(dir.path(), service, said, arguments);
    let _servers = [start("many-one", "ready", &["server", one]), start("many-two", "ready", &["server", two])];
    let _clients = [
        start("many-asker", "done", &["ask", one]),
        start("many-both", "done", &["ask-both", one, two]),
        start("many-connected", "done", &["ask-connected", one]),
    ];
    let wanted = expected(&[
        // It has talked with nobody else, so what it received came from there.
        ("many-asker", "many-one", "client", [60, 3, 120, 3]),
        ("many-connected", "many-one", "client", [11, 2, 22, 2]),
        // Nobody tells whom each of these came from.
        ("many-both", "many-one", "client", [150, 2, 0, 0]),
        ("many-both", "many-two", "client", [7, 1, 0, 0]),
        ("many-both", "unknown", "client", [0, 0, 314, 3]),
        ("many-asker", "many-one", "server", [0, 0, 120, 3]),
        ("many-both", "many-one", "server", [0, 0, 300, 2]),
        ("many-connected", "many-one", "server", [0, 0, 22, 2]),
        ("unknown", "many-one", "server", [60 + 150 + 11, 3 + 2 + 2, 0, 0]),
        // It has answered one only.
        ("many-both", "many-two", "server", [7, 1, 14, 1]),
    ]);
    found(&agent, "udp", &wanted);
    assert_eq!(agent.metric("steth_no_room_total", &["datagram_destinations"]), 0.0);
    assert_eq!(agent.metric("steth_udp_bytes_total", &["server=\"many-two\"", "direction=\"response\""]), 14.0);
    agent.finish();
}

/// As resolvers and clients of statsd do it: a socket for each message, which is gone long before anybody looks.
#[test]
fn sockets_that_live_for_one_datagram_are_in_the_books() {
    root_or_skip!();
    let _together = together();
    let dir = tempfile::tempdir().expect("a directory");
    let agent = Agent::start();
    let port = free_port().to_string();
    let _server = start(dir.path(), "short-one", "ready", &["server", &port]);
    let _client = start(dir.path(), "short-client", "done", &["short", &port]);
    found(
        &agent,
        "udp",
        &expected(&[
            // Of a third of them nobody waits for the answer.
            ("short-client", "short-one", "client", [1500, 150, 2000, 100]),
            ("short-client", "short-one", "server", [0, 0, 3000, 150]),
            ("unknown", "short-one", "server", [1500, 150, 0, 0]),
        ]),
    );
    assert_eq!(agent.metric("steth_no_room_total", &["datagram_destinations"]), 0.0);
    agent.finish();
}

/// Of a unix socket nothing tells the end but the other one, which finds it gone.
#[test]
fn a_short_connection_over_a_unix_socket_is_in_the_books_of_the_end_that_is_still_there() {
    root_or_skip!();
    let _together = together();
    let dir = tempfile::tempdir().expect("a directory");
    let agent = Agent::start();
    let path = dir.path().join("stream").to_string_lossy().into_owned();
    let server = start(dir.path(), "brief-server", "ready", &["unix-short-server", &path]);
    let _client = start(dir.path(), "brief-client", "done", &["unix-short-client", &path]);
    wait_until("the server has it all", SOON, || server.output().contains("done"));
    found(&agent, "unix", &expected(&[("brief-client", "brief-server", "server", [1000, 20, 300, 20])]));
    agent.finish();
}

#[test]
fn unix_sockets_tell_client_from_server_and_count_to_the_byte() {
    root_or_skip!();
    let _together = together();
    let dir = tempfile::tempdir().expect("a directory");
    let agent = Agent::start();
    let paths = ["stream", "datagrams"].map(|name| dir.path().join(name).to_string_lossy().into_owned());
    let [stream, datagrams] = &paths;
    let server = start(dir.path(), "unix-server", "ready", &["unix-server", stream, datagrams]);
    let _client = start(dir.path(), "unix-client", "done", &["unix-client", stream, datagrams]);
    wait_until("the server has it all", SOON, || server.output().contains("done"));
    found(
        &agent,
        "unix",
        &expected(&[
            ("unix-client", "unix-server", "client", [1000, 1, 300, 1]),
            ("unix-client", "unix-server", "server", [1000, 1, 300, 1]),
            // Of datagrams the kernel does not tell who is at the other end.
            ("unix-client", "unknown", "client", [90, 2, 0, 0]),
            ("unknown", "unix-server", "server", [90, 2, 0, 0]),
        ]),
    );
    agent.finish();
}
