//! Calls that are too short for a record each are put together, and told of by whoever comes next: another call, or a sweep. Here both come at once.

use crate::lab::process::command;
use crate::lab::{Process, alone};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use steth_event::{Event, counter};
use steth_probe::{Fallbacks, Probe, Settings};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 100;
/// When a sweep tells of bytes that wait on a socket on which nothing moves, and a little more.
const IDLE: Duration = Duration::from_millis(20);

#[test]
fn what_a_sweep_and_a_call_tell_of_at_once_is_told_of_once() {
    root_or_skip!();
    let _alone = alone();
    for plain in [false, true] {
        told_once(Fallbacks { plain, ..Fallbacks::default() });
    }
}

/// Begins a request on each connection, and goes on with its body a byte at a time: each round at another distance from the one before, so that the sweep
/// is there in some of them.
const CLIENT: &str = r#"
import socket, sys, time
port, connections, rounds, idle = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
# What follows is of a body, which nobody copies once its head was seen to be followed by it.
begin = b"PUT /body HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000000\r\n\r\n".ljust(32768, b"x")
for client in clients:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(begin)
for n in range(rounds):
    until = time.monotonic() + idle + 20e-6 * (n % 25)
    for client in clients:
        client.send(b"x")
    while time.monotonic() < until:
        pass
print("written", flush=True)
time.sleep(60)
"#;
const BEGIN: usize = 32768;

fn told_once(without: Fallbacks) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let settings = Settings { ring_bytes: 8 << 20, observe_all: true, port, without, ..Settings::default() };
    let mut probe = Probe::attach(&settings).expect("it attaches");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut client = command("python3");
    client.args(["-c", CLIENT]);
    client.args([port.into(), CONNECTIONS, ROUNDS].map(|number: usize| number.to_string()));
    client.arg(IDLE.as_secs_f64().to_string());
    let client = Process::spawn("client", &mut client, dir.path());
    let _servers: Vec<_> = (0..CONNECTIONS).map(|_| listener.accept().expect("a client")).collect();
    let (mut told, mut records) = ((0, 0), 0);
    let mut drain = |probe: &mut Probe| {
        probe.sweep(false).expect("a sweep");
        probe.drain(|record| {
            if let Ok(Event::Chunk(chunk, _)) = Event::parse(record) {
                records += 1;
                told.0 += u64::from(chunk.calls);
                told.1 += u64::from(chunk.length);
            }
        });
    };
    let begun = Instant::now();
    // Without a pause.
    while !client.output().contains("written") {
        assert!(!client.ended() && begun.elapsed() < Duration::from_secs(30), "{}", client.errors());
        drain(&mut probe);
    }
    // One that nothing came after is told of by a later sweep.
    let written = Instant::now();
    while probe.counters()[counter::PENDING_CHUNKS] != 0 && written.elapsed() < Duration::from_secs(5) {
        drain(&mut probe);
    }
    drain(&mut probe);
    let counters = probe.counters();
    let [seen, reported, pending, dropped] =
        [counter::SEEN_CHUNKS, counter::REPORTED_CHUNKS, counter::PENDING_CHUNKS, counter::DROPPED_CHUNKS]
            .map(|which| counters[which].cast_signed());
    let (rung, calls) = (probe.rung(), (CONNECTIONS * (1 + ROUNDS)) as u64);
    assert_eq!([seen, reported, pending, dropped], [calls.cast_signed(), calls.cast_signed(), 0, 0], "{rung}");
    assert_eq!(told, (calls, (CONNECTIONS * (BEGIN + ROUNDS)) as u64), "{rung}: calls and bytes");
    assert!(records < calls, "{rung}: some waited for each other: {records} records");
}
