//! A little of everything, for any kernel: small enough for an emulated processor, exact all the same. `make test-kernels` runs these, and
//! some of the other tests, on kernels that nobody has at hand.

use crate::lab::{Nginx, RedisServer, Steth, ab, alone, redis_benchmark};
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn http_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let steth = Steth::watch(&["--port", &nginx.port.to_string()]);
    // The file goes out by sendfile.
    for (path, requests, keepalive) in [("/", 300, true), ("/index.html", 100, true), ("/", 60, false)] {
        assert_eq!(ab(nginx.port, path, requests, 4, keepalive).requests, requests);
    }
    assert_eq!(ab(nginx.port, "/status/503", 40, 2, true).requests, 40);
    steth.settle(Duration::from_millis(500));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        let count = |path: &str, status: u64| {
            let operation = format!("GET {path}");
            seen.side(side).filter(|e| e["operation"] == operation.as_str() && e["status"] == status).count()
        };
        let counts = [count("/", 200), count("/index.html", 200), count("/status/{id}", 503)];
        assert_eq!(counts, [360, 100, 40], "{side}: {}", seen.ledger);
        assert_eq!(seen.side(side).count(), 500, "and nothing else on the {side} side");
    }
    let sizes = |side| seen.side(side).map(|e| e["response_bytes"].as_u64().unwrap_or(0)).sum::<u64>();
    assert_eq!(sizes("client"), sizes("server"));
}

#[test]
fn redis_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let steth = Steth::watch(&["--protocol", "redis", "--port", &redis.port.to_string()]);
    let mut expected = BTreeMap::<String, u64>::new();
    for (clients, pipeline) in [(1, 1), (8, 1), (8, 16)] {
        let said = redis_benchmark(redis.port, "get,set", 320, clients, pipeline);
        for (command, requests) in said.requests {
            *expected.entry(command).or_default() += requests;
        }
        *expected.entry("CONFIG GET".into()).or_default() += said.config_gets;
    }
    steth.settle(Duration::from_millis(500));
    let seen = steth.finish();
    seen.nothing_lost();
    for side in ["client", "server"] {
        for (command, requests) in &expected {
            let reported =
                seen.side(side).filter(|e| e["operation"] == command.as_str() && e["status"] == "OK").count();
            assert_eq!(reported as u64, *requests, "{command} on the {side} side");
        }
    }
}
