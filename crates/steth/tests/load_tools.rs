//! The lab itself: servers start, load tools count as `lab/load.rs` says, cases run to their end. Without the agent, so
//! a failure here is not its fault, and needs no root.

use crate::lab;
use crate::lab::{
    Case, Go, Java, Nginx, NginxPlan, Node, Python, RedisServer, WrkPlan, ab, alone, curl, redis_benchmark, wrk,
};
use std::time::Duration;

#[test]
fn ab_sends_exactly_what_it_says() {
    let _alone = alone();
    for keepalive in [false, true] {
        let nginx = Nginx::with(NginxPlan { workers: 1, log: true });
        let said = ab(nginx.port, "/", 3000, 16, keepalive);
        let served = nginx.served();
        assert_eq!((said.requests, said.failed, said.not_2xx), (3000, 0, 0));
        assert_eq!(served.len(), 3000);
        assert_eq!(said.bytes, served.iter().map(|s| s.response_bytes).sum::<u64>());
    }
}

#[test]
fn wrk_answered_is_exact_and_abandons_at_most_what_was_under_way() {
    let _alone = alone();
    for (pipeline, close) in [(1, false), (8, false), (1, true)] {
        let nginx = Nginx::with(NginxPlan { workers: 1, log: true });
        let said = wrk(&WrkPlan { seconds: 1, pipeline, close, ..WrkPlan::new(nginx.port, "/") });
        let served = nginx.served().len() as u64;
        assert_eq!(said.errors, 0);
        assert_eq!(said.statuses, [(200, said.answered)].into());
        assert!(said.answered <= served && served <= said.issued, "{said:?} served {served}");
        assert!(said.issued - said.answered <= 10 * pipeline, "{said:?}");
        assert!(said.answered > 100, "{said:?}");
    }
}

#[test]
fn redis_benchmark_sends_exactly_what_it_says() {
    let _alone = alone();
    let redis = RedisServer::start();
    for (clients, pipeline, expected) in [(1, 1, 1000), (50, 1, 1000), (50, 16, 1008)] {
        redis.forget_calls();
        let said = redis_benchmark(redis.port, "get,set", 1000, clients, pipeline);
        assert_eq!(said.requests, [("GET".into(), expected), ("SET".into(), expected)].into());
        let expected = [("get".into(), expected), ("set".into(), expected), ("config|get".into(), said.config_gets)];
        assert_eq!(redis.calls(), expected.into());
    }
}

#[test]
fn nginx_answers_each_route() {
    let nginx = Nginx::with(NginxPlan { workers: 2, log: true });
    let get = |path: &str| curl(&[&format!("http://127.0.0.1:{}{path}", nginx.port)]);
    assert_eq!(nginx.workers().len(), 2);
    assert_eq!(get("/").body, lab::servers::BODY.as_bytes());
    assert_eq!(get("/index.html").body.len(), lab::servers::INDEX);
    let statuses = ["/empty", "/moved", "/status/404", "/status/503", "/nothing"].map(|path| get(path).status);
    assert_eq!(statuses, [204, 301, 404, 503, 404]);
    assert_eq!(get("/big").body.len() as u64, lab::servers::BIG);
    let served = nginx.served();
    assert_eq!(served.len(), 8);
    // A worker writes its line behind the response, and one that is put off its CPU then is overtaken by the other.
    let big = served.iter().find(|line| line.request == "GET /big HTTP/1.1").expect("its line");
    assert!(big.response_bytes > lab::servers::BIG);
}

#[test]
fn every_runtime_answers() {
    let _alone = alone();
    let (node, python, java, go) = (Node::start(), Python::start(), Java::start(), Go::start());
    for port in [node.port, python.port, java.port, go.port] {
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        assert_eq!(curl(&[&url("/")]).body, b"hello\n");
        assert_eq!(curl(&[&url("/status/503")]).status, 503);
        assert_eq!(curl(&["-d", "ping", &url("/echo")]).body, b"ping");
        let slow = curl(&[&url("/slow")]);
        assert!(slow.first_byte - slow.connect >= Duration::from_millis(50), "{slow:?}");
        // Connections of their own: not every runtime tells ab, an HTTP/1.0 client, that it keeps them open.
        let said = ab(port, "/", 300, 8, false);
        assert_eq!((said.requests, said.not_2xx, said.failed), (300, 0, 0));
        let said = wrk(&WrkPlan { seconds: 1, ..WrkPlan::new(port, "/") });
        assert_eq!((said.errors, &said.statuses), (0, &[(200, said.answered)].into()), "{said:?}");
    }
    let url = format!("http://127.0.0.1:{}/trailers", python.port);
    assert_eq!(curl(&[&url]).body.len(), 3 + 7 + 500);
}

/// The cases that bring their own server.
const CASES: [&str; 18] = [
    "at_once",
    "byte_at_a_time",
    "chunked_trailers",
    "dup",
    "every_call",
    "expect_continue",
    "fd_reused",
    "fork_shared",
    "half_close",
    "head_with_length",
    "older_than_the_agent",
    "one_byte_reads",
    "reset_mid_response",
    "scm_rights",
    "socketpair",
    "unanswered",
    "unix_socket",
    "upgrade",
];

#[test]
fn every_case_runs_to_its_end() {
    for name in CASES {
        let case = Case::start(name, &[]);
        let (client, server) = (case.client_pid(), case.server_pid());
        assert!(client > 0 && server > 0 && client != server, "{name}");
        let report = case.go();
        assert!(report["exchanges"].as_array().is_some_and(|list| !list.is_empty()), "{name}: {report}");
    }
}

#[test]
fn every_redis_case_runs_to_its_end() {
    let redis = RedisServer::start();
    for name in ["redis_big_value", "redis_inline", "redis_pushes"] {
        redis.forget_calls();
        let report = Case::start(name, &[&redis.port.to_string()]).go();
        let exchanges = report["exchanges"].as_array().expect("a list").len() as u64;
        assert_eq!(redis.calls().values().sum::<u64>(), exchanges, "{name}: {report} {:?}", redis.calls());
    }
}
