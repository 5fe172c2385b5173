//! The agent starts while a load is running: nothing is paired wrongly, and what cannot be paired is counted.

use crate::lab;
use crate::lab::{Nginx, RedisServer, Steth, alone, together};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Pipelined requests of two kinds, in turn; each answer tells which of the two it belongs to.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

const CONNECTIONS: usize = 3;
const DEPTH: usize = 16;

impl Load {
    /// `end` is found so many times in the answers to both.
    fn start(port: u16, requests: [&'static str; 2], (end, times): (&'static str, usize)) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let talk = || {
            let (stop, answered) = (stop.clone(), answered.clone());
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
            std::thread::spawn(move || {
                let batch = requests.concat().repeat(DEPTH / 2);
                let mut buffer = vec![0; 1 << 16];
                while !stop.load(Ordering::Relaxed) {
                    stream.write_all(batch.as_bytes()).expect("the server reads");
                    let mut got = Vec::new();
                    while String::from_utf8_lossy(&got).matches(end).count() < DEPTH / 2 * times {
                        let n = stream.read(&mut buffer).expect("the server answers");
                        assert!(n > 0, "the server has closed");
                        got.extend_from_slice(&buffer[..n]);
                    }
                    answered.fetch_add(DEPTH as u64, Ordering::Relaxed);
                }
            })
        };
        let threads = (0..CONNECTIONS).map(|_| talk()).collect();
        Self { stop, answered, threads }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("the load goes well"));
        self.answered.load(Ordering::Relaxed)
    }
}

/// Watches in the middle of it; `expected` are the two operations and their statuses.
fn join(port: u16, protocol: &str, load: Load, expected: [(&str, Value); 2]) {
    std::thread::sleep(Duration::from_millis(200));
    let agent = Steth::watch(&["--port", &port.to_string()]);
    agent.wait_for_exchanges(2000, Duration::from_secs(20));
    let answered = load.stop();
    agent.settle(Duration::from_millis(300));
    let seen = agent.finish();
    for side in ["client", "server"] {
        let mut counts = [0u64; 2];
        for e in seen.side(side) {
            let of = expected.iter().position(|(operation, _)| e["operation"] == *operation);
            let of = of.unwrap_or_else(|| panic!("nobody asked for this: {e}"));
            assert_eq!((&e["status"], &e["outcome"]), (&expected[of].1, &"answered".into()), "{e}");
            counts[of] += 1;
        }
        assert!(counts[0].abs_diff(counts[1]) <= (CONNECTIONS * DEPTH) as u64, "{side}: {counts:?}");
        assert!(counts[0] + counts[1] > 500 && counts[0] + counts[1] <= answered, "{side}: {counts:?} of {answered}");
    }
    // At most what was under way when the agent came, at both ends.
    let lost = &seen.ledger["exchanges"]["protocols"][protocol];
    assert!(lost["lost"].as_u64().is_some_and(|lost| lost <= (2 * CONNECTIONS * DEPTH) as u64), "{lost}");
    let by = |reason: &str| lost["lost_by"][reason].as_u64().unwrap_or(0);
    assert_eq!(lost["lost"], by("orphan_response") + by("joined_late"), "{lost}");
}

#[test]
fn http_under_load() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let requests =
        ["GET /status/404 HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /index.html HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"];
    let load = Load::start(nginx.port, requests, ("HTTP/1.1 ", 2));
    join(nginx.port, "http", load, [("GET /status/{id}", 404.into()), ("HEAD /index.html", 200.into())]);
}

#[test]
fn redis_under_load() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    assert_eq!(redis.ask(&["SET", "k", "v"]), "+OK");
    let requests = ["*3\r\n$4\r\nHGET\r\n$1\r\nk\r\n$1\r\nf\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"];
    // Each pair of answers ends in the value; the error stands alone.
    let load = Load::start(redis.port, requests, ("\r\n$1\r\nv\r\n", 1));
    join(redis.port, "redis", load, [("HGET", "WRONGTYPE".into()), ("GET", "OK".into())]);
}

#[test]
fn between_the_requests_of_one_pipeline() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    assert_eq!(redis.ask(&["SET", "k", "v"]), "+OK");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let read = |stream: &mut TcpStream, expected: &str| {
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).expect("the server answers");
        assert_eq!(String::from_utf8_lossy(&got), expected);
    };
    stream.write_all(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n").expect("the server reads");
    let agent = Steth::watch(&["--port", &redis.port.to_string()]);
    stream.write_all(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").expect("the server reads");
    assert_eq!(redis.ask(&["LPUSH", "q", "x"]), ":1");
    read(&mut stream, "*2\r\n$1\r\nq\r\n$1\r\nx\r\n$1\r\nv\r\n");
    stream.write_all(b"*2\r\n$6\r\nSTRLEN\r\n$1\r\nk\r\n").expect("the server reads");
    read(&mut stream, ":1\r\n");
    agent.settle(Duration::from_millis(300));
    let seen = agent.finish();
    for side in ["client", "server"] {
        let mut operations: Vec<_> = seen.side(side).map(|e| e["operation"].as_str().unwrap_or_default()).collect();
        operations.sort_unstable();
        assert_eq!(operations, ["LPUSH", "STRLEN"], "{side}");
    }
    let lost = &seen.ledger["exchanges"]["protocols"]["redis"];
    // BLPOP, of which the response was seen, and GET, of which it is not certain, at both ends.
    assert_eq!((&lost["lost"], &lost["lost_by"]["orphan_response"]), (&4.into(), &2.into()), "{lost}");
    assert_eq!(lost["lost_by"]["joined_late"], 2, "{lost}");
}

/// A connection to a server, by hand.
fn by_hand(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream
}

fn read(mut stream: &TcpStream, expected: &str) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).expect("the other end writes");
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

fn say(mut stream: &TcpStream, bytes: &str) {
    stream.write_all(bytes.as_bytes()).expect("the other end reads");
}

/// `PING OK`, sorted.
fn told<'a>(seen: &'a lab::Seen, side: &'a str) -> Vec<String> {
    let of = |e: &Value| format!("{} {}", e["operation"].as_str().unwrap_or("?"), e["status"].as_str().unwrap_or("?"));
    let mut told: Vec<_> = seen.side(side).map(of).collect();
    told.sort_unstable();
    told
}

#[test]
fn a_subscriber_is_still_the_client() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let subscriber = by_hand(redis.port);
    say(&subscriber, "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n");
    read(&subscriber, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let agent = Steth::watch(&["--port", &redis.port.to_string()]);
    for _ in 0..10 {
        assert_eq!(redis.ask(&["PUBLISH", "news", "hi"]), ":1");
        read(&subscriber, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    }
    for _ in 0..3 {
        say(&subscriber, "*1\r\n$4\r\nPING\r\n");
        read(&subscriber, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    }
    drop(subscriber);
    agent.settle(Duration::from_millis(300));
    let seen = agent.finish();
    for side in ["client", "server"] {
        let expected: Vec<_> = ["PING OK"; 3].into_iter().chain(["PUBLISH OK"; 10]).collect();
        assert_eq!(told(&seen, side), expected, "{side}: {}", seen.ledger);
    }
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
}

#[test]
fn an_array_that_answers_what_was_asked_before_is_no_command() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    assert_eq!(redis.ask(&["SET", "k", "v"]), "+OK");
    let client = by_hand(redis.port);
    say(&client, "*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n");
    let agent = Steth::watch(&["--port", &redis.port.to_string()]);
    assert_eq!(redis.ask(&["LPUSH", "q", "x"]), ":1");
    read(&client, "*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    for _ in 0..3 {
        say(&client, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        read(&client, "$1\r\nv\r\n");
    }
    drop(client);
    agent.settle(Duration::from_millis(300));
    let seen = agent.finish();
    for side in ["client", "server"] {
        assert_eq!(told(&seen, side), ["GET OK", "GET OK", "GET OK", "LPUSH OK"], "{side}: {}", seen.ledger);
    }
    let lost = &seen.ledger["exchanges"]["protocols"]["redis"];
    // BLPOP, at both ends: who asked is not known.
    assert_eq!((&lost["lost"], &lost["lost_by"]["orphan_response"]), (&2.into(), &2.into()), "{lost}");
}

#[test]
fn what_is_of_no_protocol_may_be_of_one_a_window_later() {
    root_or_skip!();
    let _together = together();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, lab::free_port())).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let client = by_hand(port);
    let (server, _) = listener.accept().expect("the client has connected");
    let agent = Steth::watch(&["--port", &port.to_string()]);
    let unknown = "\u{1}\u{2} nobody's protocol, and no short message";
    for _ in 0..20 {
        say(&client, unknown);
        read(&server, unknown);
        say(&server, unknown);
        read(&client, unknown);
    }
    let (request, response) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n");
    for _ in 0..30 {
        say(&client, request);
        read(&server, request);
        say(&server, response);
        read(&client, response);
        std::thread::sleep(Duration::from_secs(1));
        if !agent.exchanges().is_empty() {
            break;
        }
    }
    let seen = agent.finish();
    assert!(seen.exchanges.iter().all(|e| e["operation"] == "GET /" && e["status"] == 204), "{}", seen.ledger);
    assert!(seen.side("client").next().is_some() && seen.side("server").next().is_some(), "{}", seen.ledger);
}
