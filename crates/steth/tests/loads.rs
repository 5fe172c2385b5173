//! Under load: the number of exchanges reported on each side is what the load tool says it did.

use crate::lab;
use crate::lab::{
    Go, Java, Nginx, Node, Python, RedisServer, Seen, Steth, WrkPlan, ab, alone, curl, redis_benchmark,
    redis_benchmark_of, wrk,
};
use crate::latency::get_and_keep;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

fn count(seen: &Seen, side: &str, is: impl Fn(&Value) -> bool) -> u64 {
    seen.side(side).filter(|exchange| is(exchange)).count() as u64
}

#[test]
fn ab_keep_alive_and_connection_per_request_are_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let steth = Steth::watch(&["--port", &nginx.port.to_string()]);
    for (path, keepalive) in [("/", true), ("/index.html", true), ("/", false)] {
        assert_eq!(ab(nginx.port, path, 3000, 16, keepalive).requests, 3000);
    }
    assert_eq!(ab(nginx.port, "/status/503", 500, 4, true).requests, 500);
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        assert_eq!(count(&seen, side, |e| e["status"] == 200), 9000);
        assert_eq!(count(&seen, side, |e| e["status"] == 503 && e["error"] == true), 500);
        assert_eq!(count(&seen, side, |e| e["operation"] == "GET /index.html"), 3000);
    }
    let sizes = |side| seen.side(side).map(|e| e["response_bytes"].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!(sizes("client"), sizes("server"));
}

#[test]
fn wrk_is_counted_exactly_pipelined_too() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    for (path, pipeline, close) in [("/", 1, false), ("/", 8, false), ("/index.html", 8, false), ("/", 1, true)] {
        // A line of JSON for each of half a million exchanges a second, by a build for tests, on the two CPUs that the load is
        // using up: what is behind has to fit somewhere.
        let steth = Steth::watch(&["--ring", "65536", "--port", &nginx.port.to_string()]);
        let said = wrk(&WrkPlan { seconds: 1, connections: 4, pipeline, close, ..WrkPlan::new(nginx.port, path) });
        assert_eq!(said.errors, 0);
        steth.settle(Duration::from_millis(300));
        let seen = steth.finish();
        seen.balanced();
        assert_eq!(seen.ledger["chunks"]["lost"], 0, "{}", seen.ledger);
        // wrk leaves in the middle of what is under way: that much more may have been answered than it counted.
        let answered = count(&seen, "client", |e| e["outcome"] == "answered" && e["status"] == 200);
        let slack = 4 * pipeline;
        let what = format!("{path} pipeline {pipeline} close {close}: {said:?} {}", seen.ledger);
        assert!((said.answered..=said.answered + slack).contains(&answered), "{answered}: {what}");
        let served = count(&seen, "server", |e| e["status"] == 200);
        assert!((said.answered..=said.issued).contains(&served), "{served}: {what}");
        let total = seen.side("client").count() as u64;
        assert!(total <= said.issued, "{total}: {what}");
    }
}

#[test]
fn redis_benchmark_is_counted_exactly_at_every_depth() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let steth = Steth::watch(&["--protocol", "redis", "--port", &redis.port.to_string()]);
    let mut expected = std::collections::BTreeMap::<String, u64>::new();
    for (clients, pipeline) in [(1, 1), (50, 1), (50, 16)] {
        let said = redis_benchmark(redis.port, "get,set", 4000, clients, pipeline);
        for (command, requests) in said.requests {
            *expected.entry(command).or_default() += requests;
        }
        *expected.entry("CONFIG GET".into()).or_default() += said.config_gets;
    }
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        for (command, requests) in &expected {
            let reported = count(&seen, side, |e| e["operation"] == command.as_str() && e["status"] == "OK");
            assert_eq!(reported, *requests, "{command} on the {side} side");
        }
    }
}

#[test]
fn redis_pipelines_of_several_records_a_call_are_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let steth = Steth::watch(&["--protocol", "redis", "--port", &redis.port.to_string()]);
    // 400 commands of about 130 bytes in each write; the server reads 16 KiB at a time.
    let said = redis_benchmark_of(redis.port, "set,get", 4000, 4, 400, 100);
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        for (command, requests) in &said.requests {
            let reported = count(&seen, side, |e| e["operation"] == command.as_str() && e["status"] == "OK");
            assert_eq!(reported, *requests, "{command} on the {side} side");
        }
    }
}

#[test]
fn pipelines_beyond_the_capture_limit_are_declared() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let steth = Steth::watch(&["--protocol", "redis", "--port", &redis.port.to_string()]);
    // Inline commands tell no length, so no more than a turn's budget of them is copied: 120 KB are twice that.
    let said = redis_benchmark_of(redis.port, "ping_inline", 80_000, 2, 20_000, 3);
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    assert_eq!(seen.ledger["chunks"]["lost"], 0, "{}", seen.ledger);
    are_declared(&seen, "PING", said.requests["PING_INLINE"]);
}

/// The agent, whose ring is small, has to be quick: where it is not, what was cut lies behind what found no room, and its commands are
/// lost to that. Another try may do.
#[test]
fn a_call_beyond_half_of_the_ring_is_declared() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    for tries_left in (0..10).rev() {
        let steth = Steth::watch(&["--ring", "1024", "--protocol", "redis", "--port", &redis.port.to_string()]);
        // 8000 commands in a call, 1 MB: twice what is copied of it.
        let said = redis_benchmark_of(redis.port, "set", 16_000, 1, 8000, 100);
        steth.settle(Duration::from_millis(300));
        let seen = steth.finish();
        let no_room = seen.ledger["chunks"]["lost"].as_u64() > Some(0);
        if lost_as_truncated(&seen) > 0 || !no_room || tries_left == 0 {
            return are_declared(&seen, "SET", said.requests["SET"]);
        }
        seen.balanced();
    }
}

fn lost_as_truncated(seen: &Seen) -> u64 {
    seen.ledger.pointer("/exchanges/lost_by/truncated").and_then(Value::as_u64).expect("a reason of the ledger")
}

/// Some commands are lost as `truncated`, and none is told of twice.
fn are_declared(seen: &Seen, operation: &str, sent: u64) {
    seen.balanced();
    for side in ["client", "server"] {
        let reported = count(seen, side, |e| e["operation"] == operation);
        assert!(reported <= sent, "{reported} on the {side} side");
    }
    assert!(lost_as_truncated(seen) > 0, "what was cut is declared: {}", seen.ledger);
}

#[test]
fn both_ends_of_short_connections_are_named() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let steth = Steth::watch(&["--port", &nginx.port.to_string()]);
    assert_eq!(ab(nginx.port, "/", 2000, 8, false).requests, 2000);
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        let named = count(&seen, side, |e| e["client"]["process"] == "ab" && e["server"]["process"] == "nginx");
        assert_eq!(named, 2000, "on the {side} side");
    }
}

#[test]
fn servers_of_other_runtimes_are_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let (node, python, java, go) = (Node::start(), Python::start(), Java::start(), Go::start());
    for (name, port) in [("node", node.port), ("python", python.port), ("java", java.port), ("go", go.port)] {
        let steth = Steth::watch(&["--port", &port.to_string()]);
        let said = ab(port, "/", 400, 4, name != "python");
        assert_eq!((said.requests, said.failed), (400, 0), "{name}");
        steth.settle(Duration::from_millis(300));
        let seen = steth.finish();
        seen.nothing_lost();
        for side in ["client", "server"] {
            assert_eq!(count(&seen, side, |e| e["status"] == 200), 400, "{name}, {side} side");
        }
    }
}

#[test]
fn a_ring_that_is_too_small_loses_and_says_exactly_how_much() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let steth = Steth::watch(&["--ring", "4", "--port", &nginx.port.to_string()]);
    let said = ab(nginx.port, "/", 20_000, 8, true);
    assert_eq!(said.requests, 20_000);
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    seen.balanced();
    let lost = seen.ledger["exchanges"]["lost"].as_u64().expect("a number");
    assert!(lost > 0, "the ring was not small enough to prove anything");
    // Both sides of 20,000 requests.
    assert_eq!(seen.exchanges.len() as u64 + lost, 40_000, "{}", seen.ledger);
    let lines = seen.errors.lines().filter(|line| line.contains("lost so far")).count();
    assert!(lines <= 1, "one line a minute, not a flood: {}", seen.errors);
}

#[test]
fn a_wait_of_fifty_milliseconds_is_reported_as_that() {
    root_or_skip!();
    let _alone = alone();
    let python = Python::start();
    let steth = Steth::watch(&["--port", &python.port.to_string()]);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, python.port)).expect("Python accepts");
    let waited: Vec<u64> = (0..5)
        .map(|_| {
            let begun = std::time::Instant::now();
            get_and_keep(&mut stream, "/slow");
            begun.elapsed().as_nanos() as u64
        })
        .collect();
    steth.wait_for_exchanges(10, Duration::from_secs(5));
    let seen = steth.finish();
    let [client, server] = ["client", "server"].map(|side| {
        let mut exchanges: Vec<_> = seen.side(side).collect();
        exchanges.sort_by_key(|e| e["time"].as_str().map(str::to_owned));
        exchanges.iter().filter_map(|e| e["duration_ns"].as_u64()).collect::<Vec<_>>()
    });
    assert_eq!((client.len(), server.len()), (5, 5));
    // Whatever the server oversleeps, its client waits for.
    let told = format!("{waited:?}, {client:?} {server:?}");
    for ((waited, client), server) in waited.iter().zip(&client).zip(&server) {
        assert!((49_000_000..=*client).contains(server) && client <= waited, "{told}");
    }
    // On a busy machine the client itself may come late: the best of five.
    let rest = waited.iter().zip(&server).map(|(waited, server)| waited - server).min();
    assert!(rest.is_some_and(|rest| rest < 2_000_000), "{told}");
}

#[test]
fn a_file_by_sendfile_ends_when_its_last_byte_left() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let steth = Steth::watch(&["--port", &nginx.port.to_string()]);
    let begun = std::time::Instant::now();
    // Slowed down by the reader, so that head and end lie far apart.
    let got = curl(&["--limit-rate", "200M", "-o", "/dev/null", &format!("http://127.0.0.1:{}/big", nginx.port)]);
    let took = begun.elapsed().as_nanos() as u64;
    assert_eq!(got.status, 200);
    steth.wait_for_exchanges(2, Duration::from_secs(10));
    let seen = steth.finish();
    for side in ["client", "server"] {
        let exchange = seen.side(side).next().expect("one exchange a side");
        assert!(exchange["response_bytes"].as_u64().is_some_and(|bytes| bytes > lab::servers::BIG), "{exchange}");
        let duration = exchange["duration_ns"].as_u64().expect("a number");
        let first = exchange["first_byte_ns"].as_u64().expect("a number");
        assert!(first < duration / 4, "{exchange}");
        assert!(duration <= took && duration > took / 3, "{side}: {duration} of {took} ns");
    }
    seen.nothing_lost();
}
