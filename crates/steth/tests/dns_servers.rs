//! named, dnsmasq and the C library's resolver with the agent watching; unbound is in `dns.rs`.

use crate::lab::{Dnsmasq, Named, Seen, Steth, alone, dig, dnsperf, resolved_by_libc, together};
use serde_json::Value;
use std::collections::BTreeMap;

fn codes(seen: &Seen, side: &str) -> BTreeMap<String, u64> {
    let mut codes = BTreeMap::new();
    for e in seen.side(side).filter(|e| e["outcome"] == "answered") {
        *codes.entry(e["status"].as_str().unwrap_or_default().to_string()).or_default() += 1;
    }
    codes
}

/// `operation status outcome`, by the process that is the side.
fn summary(seen: &Seen, side: &str, process: &str) -> BTreeMap<String, u64> {
    let mut summary = BTreeMap::new();
    for e in seen.side(side).filter(|e| e[side]["process"] == process) {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
        *summary.entry([&e["operation"], &e["status"], &e["outcome"]].map(text).join(" ")).or_default() += 1;
    }
    summary
}

fn expected(what: &[(&str, u64)]) -> BTreeMap<String, u64> {
    what.iter().map(|(what, count)| ((*what).to_string(), *count)).collect()
}

/// dnsperf over UDP and over TCP, one query at a time and many: every answer is counted at both ends, with its code.
fn counted_exactly(port: u16, server: &str, queries: &[&str], rounds: [u64; 2]) {
    for (mode, rounds) in ["udp", "tcp"].into_iter().zip(rounds) {
        for (clients, outstanding) in [(1, 1), (4, 60)] {
            let steth = Steth::watch(&["--protocol", "dns"]);
            let rounds = if clients == 1 { rounds / 4 } else { rounds };
            let said = dnsperf(port, mode, queries, rounds, clients, outstanding);
            let count = rounds * queries.len() as u64;
            assert_eq!((said.sent, said.completed), (count, count), "{mode}");
            let mut seen = steth.finish();
            // Whoever else asks for names on this machine.
            seen.exchanges.retain(|e| {
                (e["side"] == "client" && e["client"]["process"] == "dnsperf")
                    || (e["side"] == "server" && e["server"]["process"] == server && e["server"]["port"] == port)
            });
            for side in ["client", "server"] {
                assert_eq!(codes(&seen, side), said.codes, "{mode} {side}: {}", seen.ledger);
                assert_eq!(seen.side(side).count() as u64, count, "{mode} {side}: {}", seen.ledger);
            }
            assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
        }
    }
}

#[test]
fn named_asked_by_dnsperf_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let named = Named::start();
    let queries = ["www.shop.test A", "www.shop.test AAAA", "none.shop.test A", "x.broken.test A", "a.no.test A"];
    counted_exactly(named.port, "named", &queries, [400, 400]);
}

/// dnsmasq ends a TCP connection after 100 queries, and dnsperf then begins another one and gives up what was outstanding.
#[test]
fn dnsmasq_asked_by_dnsperf_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let dnsmasq = Dnsmasq::start();
    let queries = ["www.shop.test A", "www.shop.test AAAA", "none.shop.test A", "a.no.test A"];
    counted_exactly(dnsmasq.port, "dnsmasq", &queries, [400, 60]);
}

#[test]
fn truncated_answers_are_asked_for_again_over_tcp() {
    root_or_skip!();
    let _together = together();
    let (named, dnsmasq) = (Named::start(), Dnsmasq::start());
    for (port, server) in [(named.port, "named"), (dnsmasq.port, "dnsmasq")] {
        let steth = Steth::watch(&["--protocol", "dns", "--port", &port.to_string()]);
        assert_eq!(dig(port, &["big.shop.test", "TXT", "+bufsize=512"]).as_deref(), Some("NOERROR"));
        assert_eq!(dig(port, &["none.shop.test"]).as_deref(), Some("NXDOMAIN"));
        let seen = steth.finish();
        let twice = expected(&[("TXT big.shop.test NOERROR answered", 2), ("A none.shop.test NXDOMAIN answered", 1)]);
        for (side, process) in [("client", "dig"), ("server", server)] {
            assert_eq!(summary(&seen, side, process), twice, "{side}: {}", seen.ledger);
            let truncated = seen.side(side).filter(|e| e["attributes"]["steth.dns.truncated"] == 1).count();
            assert_eq!(truncated, 1, "{side}");
        }
        assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
    }
}

/// dnsmasq asks somebody who does not answer: its client's lookup times out, and its own does.
#[test]
fn a_forwarder_that_is_not_answered_answers_nobody() {
    root_or_skip!();
    let _alone = alone();
    let dnsmasq = Dnsmasq::start();
    let steth = Steth::watch(&["--protocol", "dns"]);
    assert_eq!(dig(dnsmasq.port, &["a.drop.test", "+timeout=7"]), None);
    let seen = steth.finish();
    let timeout = expected(&[("A a.drop.test - timeout", 1)]);
    for (side, process) in [("client", "dig"), ("server", "dnsmasq"), ("client", "dnsmasq")] {
        assert_eq!(summary(&seen, side, process), timeout, "{side} {process}: {}", seen.ledger);
    }
}

/// The C library asks for A and AAAA by one sendmmsg.
#[test]
fn the_resolver_of_the_c_library_is_counted_exactly() {
    root_or_skip!();
    let _alone = alone();
    let steth = Steth::watch(&["--protocol", "dns"]);
    let addresses = resolved_by_libc(&["www.shop.test", "none.shop.test", "www.shop.test", "a.no.test"]);
    assert_eq!(addresses, [2, 0, 2, 0]);
    let seen = steth.finish();
    let both = [
        ("A www.shop.test NOERROR answered", 2),
        ("AAAA www.shop.test NOERROR answered", 2),
        ("A none.shop.test NXDOMAIN answered", 1),
        ("AAAA none.shop.test NXDOMAIN answered", 1),
    ];
    let of_shop = |side, process| {
        let mut summary = summary(&seen, side, process);
        // How often a refused name is asked for again is glibc's affair.
        let refused: Vec<_> = summary.extract_if(.., |what, _| what.contains("a.no.test")).collect();
        (summary, refused)
    };
    let (client, server) = (of_shop("client", "python3"), of_shop("server", "dnsmasq"));
    assert_eq!((&client.0, &server.0), (&expected(&both), &expected(&both)), "{}", seen.ledger);
    assert_eq!(client.1, server.1);
    assert!(!client.1.is_empty() && client.1.iter().all(|(what, _)| what.ends_with("REFUSED answered")), "{client:?}");
}
