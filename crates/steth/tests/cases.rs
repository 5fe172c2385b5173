//! Conversations with a hard spot in them, each on real sockets: what the agent reports is what the script says it did,
//! exchange by exchange, on both sides, with nothing lost.

use crate::lab::{Case, RedisServer, Seen, Steth, together, wait_until};
use serde_json::Value;
use std::time::Duration;

/// `operation status outcome request-bytes response-bytes` of each, sorted. A script counts 1xx answers apart, the agent
/// with the response they precede; of a Redis reply a script knows only whether it is `ok` or an `error`.
fn lines<'a>(exchanges: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines: Vec<_> = exchanges
        .map(|e| {
            let response = e["response_bytes"].as_u64().unwrap_or(0) + e["interim_bytes"].as_u64().unwrap_or(0);
            let [operation, status, outcome, request] =
                ["operation", "status", "outcome", "request_bytes"].map(|field| text(&e[field]));
            let status = match status.as_str() {
                "ok" | "OK" => "OK",
                number if number.parse::<u16>().is_ok() => number,
                "null" => "null",
                _ => "error",
            };
            format!("{operation} {status} {outcome} {request} {response}")
        })
        .collect();
    lines.sort();
    lines
}

/// Runs a case under the agent and compares. `sides` are those whose process the agent can see.
///
/// Only the case itself is watched, by its port or, where it has none, by an agent for each of its two processes: on a
/// machine-wide watch, "nothing lost" would be a statement about everybody else's conversations too.
fn play(name: &str, arguments: &[&str], sides: &[&str]) -> (Vec<Value>, Value) {
    let case = Case::start(name, arguments);
    let agents: Vec<Steth> = match case.port() {
        0 => [case.client_pid(), case.server_pid()].map(|pid| Steth::watch(&["--pid", &pid.to_string()])).into(),
        port => vec![Steth::watch(&["--port", &port.to_string()])],
    };
    let report = case.go();
    let said = report["exchanges"].as_array().expect("a list of exchanges").clone();
    let mine = |e: &&Value| said.iter().any(|s| s["operation"] == e["operation"]);
    let enough = said.len() * sides.len();
    let limit = Duration::from_secs(3);
    let begun = std::time::Instant::now();
    while agents.iter().flat_map(Steth::exchanges).filter(|e| mine(&e)).count() < enough && begun.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    let seen: Vec<Seen> = agents.into_iter().map(Steth::finish).collect();
    let expected = lines(said.iter());
    assert!(!expected.is_empty(), "the case did nothing");
    let ledgers = || seen.iter().map(|seen| seen.ledger.to_string()).collect::<Vec<_>>().join("\n");
    for side in sides {
        let of_side = seen.iter().flat_map(|seen| seen.side(side)).filter(mine);
        assert_eq!(lines(of_side), expected, "{name}: {side} side\n{}", ledgers());
    }
    assert!(seen.iter().all(|seen| seen.ledger["exchanges"]["lost"] == 0), "{name}: {}", ledgers());
    (seen.into_iter().flat_map(|seen| seen.exchanges).collect(), report)
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            root_or_skip!();
            let _together = together();
            play(stringify!($name), &[], &["client", "server"]);
        })*
    };
}

cases! {
    at_once bodiless_pipeline byte_at_a_time chunked_trailers deep_pipeline dup expect_continue fd_reused fork_shared
    half_close head_with_length older_than_the_agent one_byte_reads reset_mid_response scm_rights unanswered upgrade
}

#[test]
fn upload() {
    root_or_skip!();
    let _together = together();
    let case = Case::start("upload", &[]);
    let steth = Steth::watch(&["--port", &case.port().to_string()]);
    let report = case.go();
    let said = report["exchanges"].as_array().expect("a list of exchanges");
    steth.wait_for_exchanges(2 * said.len(), Duration::from_secs(5));
    let seen = steth.finish();
    for side in ["client", "server"] {
        assert_eq!(lines(seen.side(side)), lines(said.iter()), "{side}");
    }
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
    let captured = seen.ledger["bytes"]["captured"].as_u64().expect("a number");
    // Three bodies of a mebibyte, at two ends.
    assert!(captured < 1 << 20, "bodies are not copied: {}", seen.ledger);
}

/// What the kernel side cannot read: no buffer of the caller holds the bytes.
fn unreadable(exchange: &Value) -> bool {
    exchange["operation"]
        .as_str()
        .is_some_and(|operation| operation.contains("sendfile") || operation.contains("splice"))
}

#[test]
fn every_call() {
    root_or_skip!();
    let _together = together();
    let case = Case::start("every_call", &[]);
    let steth = Steth::watch(&["--port", &case.port().to_string()]);
    let report = case.go();
    steth.settle(Duration::from_millis(500));
    let seen = steth.finish();
    let said = report["exchanges"].as_array().expect("a list of exchanges");
    let readable = said.iter().filter(|e| !unreadable(e));
    for side in ["client", "server"] {
        assert_eq!(lines(seen.side(side).filter(|e| !unreadable(e))), lines(readable.clone()), "{side}");
    }
    // Where bytes could not be read, that is declared, and nothing is invented: no exchange too many, no other status.
    assert!(seen.ledger["chunks"]["unread"].as_u64() > Some(0), "{}", seen.ledger);
    for exchange in seen.exchanges.iter().filter(|e| unreadable(e)) {
        assert!(exchange["status"].is_null() || exchange["status"] == 200, "{exchange}");
    }
    let per_side = said.iter().filter(|e| unreadable(e)).count();
    assert!(seen.side("client").filter(|e| unreadable(e)).count() <= per_side);
    assert_eq!(seen.ledger["chunks"]["lost"], 0, "{}", seen.ledger);
}

#[test]
fn unix_sockets_have_both_ends() {
    root_or_skip!();
    let _together = together();
    for name in ["unix_socket", "socketpair"] {
        let (seen, report) = play(name, &[], &["client", "server"]);
        let operation = &report["exchanges"][0]["operation"];
        let first = seen.iter().find(|e| &e["operation"] == operation).expect("compared above");
        assert!(first["client"]["pid"].is_u64() || first["server"]["pid"].is_u64(), "{first}");
    }
}

#[test]
fn redis_cases() {
    root_or_skip!();
    let _together = together();
    for name in ["redis_big_value", "redis_inline", "redis_pipelines", "redis_pushes"] {
        let redis = RedisServer::start();
        play(name, &[&redis.port.to_string()], &["client", "server"]);
    }
}

#[test]
fn both_ends_are_named_and_share_sequence_numbers() {
    root_or_skip!();
    let _together = together();
    let case = Case::start("at_once", &[]);
    let steth = Steth::watch(&["--port", &case.port().to_string()]);
    let (client, server) = (case.client_pid(), case.server_pid());
    let said = case.go()["exchanges"].as_array().expect("a list").len();
    wait_until("all exchanges are there", Duration::from_secs(5), || steth.exchanges().len() >= 2 * said);
    let seen = steth.finish();
    for exchange in &seen.exchanges {
        assert_eq!(
            (exchange["client"]["pid"].as_u64(), exchange["server"]["pid"].as_u64()),
            (Some(client), Some(server))
        );
        for end in ["client", "server"] {
            let name = exchange[end]["process"].as_str();
            assert!(name.is_some_and(|name| name.starts_with("python")), "{end} of {exchange}");
        }
    }
    let numbers = |side| {
        let mut numbers: Vec<_> =
            seen.side(side).map(|e| (e["request_seq"].as_u64(), e["response_seq"].as_u64())).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("client"), numbers("server"), "so the two records of one exchange can be joined");
}
