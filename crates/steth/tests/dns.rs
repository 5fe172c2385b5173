//! DNS: a recording with everything in it, and unbound asked by dnsperf and dig with the agent watching.

use crate::lab::process::{START, command};
use crate::lab::{Seen, Steth, Unbound, alone, dig, dnsperf, dnsperf_at, established, together, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// How often each `operation status outcome attempts` occurs.
fn summary<'a>(exchanges: impl Iterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut summary = BTreeMap::new();
    for e in exchanges {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
        let attempts = e["attributes"]["steth.dns.attempts"].as_u64().unwrap_or(1);
        let what = format!("{} {} {} {attempts}", text(&e["operation"]), text(&e["status"]), text(&e["outcome"]));
        *summary.entry(what).or_default() += 1;
    }
    summary
}

fn replay(file: &str) -> (Vec<Value>, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings").join(file);
    let output = command(env!("CARGO_BIN_EXE_steth")).args(["replay", "--json"]).arg(path).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ledger = lines.pop().expect("a ledger");
    (lines, ledger)
}

#[test]
fn a_recording_of_all_that_happens_to_lookups() {
    let (exchanges, ledger) = replay("dns-unbound.pcap");
    let expected = [
        ("A a.drop.test - timeout 1", 1),
        ("A a.no.test REFUSED answered 1", 1),
        ("A b.drop.test - timeout 2", 1),
        ("A none.shop.test NXDOMAIN answered 1", 11),
        ("A www.shop.test NOERROR answered 1", 16),
        ("A x.broken.test SERVFAIL answered 1", 1),
        ("AAAA b.drop.test - timeout 2", 1),
        ("AAAA www.shop.test NOERROR answered 1", 13),
        ("TXT big.shop.test NOERROR answered 1", 2),
    ];
    let dns = || exchanges.iter().filter(|e| e["protocol"] == "dns");
    assert_eq!(summary(dns()), expected.map(|(what, count)| (what.to_string(), count)).into());
    assert_eq!(ledger["exchanges"]["lost"], 0, "{ledger}");
    for e in dns() {
        let failed = e["status"] != "NOERROR";
        let error = if e["status"].is_null() { &e["outcome"] } else { &e["status"] };
        assert_eq!(
            (e["error"] == true, &e["attributes"]["error.type"]),
            (failed, if failed { error } else { &Value::Null })
        );
    }
    // The truncated answer and its repetition over TCP.
    let big: Vec<_> = dns().filter(|e| e["attributes"]["dns.question.name"] == "big.shop.test").collect();
    assert_eq!(big[0]["attributes"]["steth.dns.truncated"], 1);
    assert_eq!(
        (big[1]["attributes"]["steth.dns.answer_count"].as_u64(), big[1]["response_bytes"].as_u64()),
        (Some(3), Some(767))
    );
    // dnsmasq asks unbound what dig asks it: the answer to dig is the later one.
    let server = |e: &Value| e["server"]["ip"].as_str().unwrap_or_default().to_string();
    let asked: Vec<_> = dns().filter(|e| e["operation"] == "A www.shop.test").map(server).collect();
    assert_eq!(asked[1..3], ["192.0.2.53", "192.0.2.54"]);
    // The connection that follows has the name that its address was found under.
    let http: Vec<_> = exchanges.iter().filter(|e| e["protocol"] == "http").collect();
    assert_eq!((http.len(), &http[0]["server"]["name"]), (1, &Value::from("www.shop.test")));
}

const QUERIES: [&str; 5] =
    ["www.shop.test A", "www.shop.test AAAA", "none.shop.test A", "x.broken.test A", "a.no.test A"];

fn codes(seen: &Seen, side: &str) -> BTreeMap<String, u64> {
    let mut codes = BTreeMap::new();
    for e in seen.side(side).filter(|e| e["outcome"] == "answered") {
        *codes.entry(e["status"].as_str().unwrap_or_default().to_string()).or_default() += 1;
    }
    codes
}

#[test]
fn dnsperf_over_tcp_is_counted_exactly_pipelined_too() {
    root_or_skip!();
    let _alone = alone();
    let unbound = Unbound::start();
    // One by one it takes a while: the server itself waits before it gives up a broken name.
    for (clients, outstanding, rounds) in [(1, 1, 100), (4, 60, 400)] {
        let steth = Steth::watch(&["--protocol", "dns", "--port", &unbound.port.to_string()]);
        let said = dnsperf(unbound.port, "tcp", &QUERIES, rounds, clients, outstanding);
        let all = rounds * QUERIES.len() as u64;
        assert_eq!((said.sent, said.completed), (all, all));
        let seen = steth.finish();
        assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
        for side in ["client", "server"] {
            assert_eq!(codes(&seen, side), said.codes, "{side}");
            assert_eq!(seen.side(side).count() as u64, all, "{side}");
            let a = seen.side(side).filter(|e| e["operation"] == "AAAA www.shop.test" && e["status"] == "NOERROR");
            assert_eq!(a.count() as u64, rounds);
        }
    }
}

#[test]
fn dnsperf_over_udp_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let unbound = Unbound::start();
    for (clients, outstanding, rounds) in [(1, 1, 100), (4, 60, 400)] {
        // dnsperf does not connect its sockets: the kernel side does not know their other end's port, which selects nothing.
        let steth = Steth::watch(&["--protocol", "dns"]);
        let said = dnsperf(unbound.port, "udp", &QUERIES, rounds, clients, outstanding);
        let all = rounds * QUERIES.len() as u64;
        assert_eq!((said.sent, said.completed), (all, all));
        let mut seen = steth.finish();
        // Whoever else asks for names on this machine.
        seen.exchanges.retain(|e| e["client"]["process"] == "dnsperf" || e["server"]["pid"] == unbound.pid());
        for side in ["client", "server"] {
            assert_eq!(codes(&seen, side), said.codes, "{side}");
            assert_eq!(seen.side(side).count() as u64, all, "{side}");
        }
        for e in &seen.exchanges {
            let both = (&e["client"]["process"], &e["server"]["pid"], &e["server"]["port"]);
            assert_eq!(both, (&"dnsperf".into(), &unbound.pid().into(), &unbound.port.into()), "{e}");
        }
        assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
    }
}

/// A truncated answer and its repetition over TCP; a query that is dropped.
#[test]
fn dig_asks_over_udp_and_again_over_tcp() {
    root_or_skip!();
    let _together = together();
    let unbound = Unbound::start();
    let steth = Steth::watch(&["--protocol", "dns", "--port", &unbound.port.to_string()]);
    assert_eq!(dig(unbound.port, &["x.broken.test"]).as_deref(), Some("SERVFAIL"));
    assert_eq!(dig(unbound.port, &["big.shop.test", "TXT", "+bufsize=512"]).as_deref(), Some("NOERROR"));
    assert_eq!(dig(unbound.port, &["a.drop.test", "+timeout=7"]), None);
    let seen = steth.finish();
    let expected = [
        ("A a.drop.test - timeout 1", 1),
        ("A x.broken.test SERVFAIL answered 1", 1),
        ("TXT big.shop.test NOERROR answered 1", 2),
    ];
    for side in ["client", "server"] {
        let expected: BTreeMap<_, _> = expected.iter().map(|(what, count)| ((*what).to_string(), *count)).collect();
        assert_eq!(summary(seen.side(side)), expected, "{side}: {}", seen.ledger);
    }
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
}

#[test]
fn a_connection_of_dnsperf_older_than_the_agent() {
    root_or_skip!();
    let _alone = alone();
    let unbound = Unbound::start();
    let port = unbound.port;
    // For five seconds: the agent takes one or two to start.
    let load = std::thread::spawn(move || dnsperf_at(15_000, port, "tcp", &QUERIES, 15_000, 2));
    wait_until("both connections stand", START, || established(port) == 2);
    let steth = Steth::watch(&["--protocol", "dns", "--port", &port.to_string()]);
    assert!(!load.is_finished(), "the load must be under way");
    let said = load.join().expect("dnsperf ends");
    let seen = steth.finish();
    assert_eq!(said.completed, 75_000);
    for side in ["client", "server"] {
        let all = summary(seen.side(side));
        let known = [
            "A www.shop.test NOERROR",
            "AAAA www.shop.test NOERROR",
            "A none.shop.test NXDOMAIN",
            "A x.broken.test SERVFAIL",
            "A a.no.test REFUSED",
        ];
        let known: Vec<_> = known.iter().map(|what| format!("{what} answered 1")).collect();
        let strange: Vec<_> = seen.side(side).filter(|e| e["outcome"] != "answered").collect();
        assert!(all.keys().all(|what| known.contains(what)), "{all:?} {} {strange:?}", seen.ledger);
        assert!(all.values().sum::<u64>() > 1000, "{all:?}");
    }
    // What was under way when the agent came: as many as dnsperf lets be outstanding.
    let lost = seen.ledger["exchanges"]["lost"].as_u64().expect("a number");
    let reasons =
        ["orphan_response", "truncated", "joined_late"].map(|why| seen.ledger["exchanges"]["lost_by"][why].as_u64());
    assert_eq!(reasons.into_iter().flatten().sum::<u64>(), lost, "{}", seen.ledger);
    // Each lookup is seen at both ends.
    assert!(lost <= 2 * 20, "{}", seen.ledger);
}
