//! PostgreSQL: a real server, real clients, and a recording of both.

use crate::lab;
use crate::lab::{
    PgbenchLoad, PostgresqlClient, PostgresqlServer, Seen, Steth, alone, pgbench, pgbench_tables, together,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// How long exchanges may take from the client's end to their line.
const SOON: Duration = Duration::from_secs(20);

/// `operation status` or, if it was not answered, `operation outcome`; and how often.
type Counts = BTreeMap<String, u64>;

fn counts<'a>(exchanges: impl Iterator<Item = &'a Value>) -> Counts {
    let mut counts = Counts::new();
    for exchange in exchanges {
        let text = |key: &str| exchange[key].as_str().unwrap_or("?");
        let status = if exchange["outcome"] == "answered" { text("status") } else { text("outcome") };
        *counts.entry(format!("{} {status}", text("operation"))).or_default() += 1;
    }
    counts
}

fn expected(expected: &[(&str, u64)]) -> Counts {
    let mut counts = Counts::new();
    expected.iter().for_each(|(what, count)| *counts.entry((*what).to_owned()).or_default() += count);
    counts
}

fn nothing_lost(seen: &Seen) {
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}\n{}", seen.ledger, seen.errors);
    assert_eq!(seen.ledger["chunks"]["lost"], 0, "{}", seen.ledger);
    assert_eq!(seen.ledger["exchanges"]["reported"], seen.exchanges.len(), "{}", seen.ledger);
}

#[test]
fn pgbench_is_counted_exactly_in_every_mode() {
    root_or_skip!();
    let _alone = alone();
    let server = PostgresqlServer::start();
    pgbench_tables(server.port);
    for mode in ["simple", "extended", "prepared"] {
        let steth = Steth::watch(&["--protocol", "postgresql", "--port", &server.port.to_string()]);
        let done = pgbench(server.port, mode, 8, 200);
        assert_eq!(done, 1600);
        steth.wait_for_exchanges(2 * (7 * 1600 + 9 + 2), SOON);
        let seen = steth.finish();
        nothing_lost(&seen);
        let values = |simple: &'static str, other: &'static str| if mode == "simple" { simple } else { other };
        for side in ["client", "server"] {
            let counts = counts(seen.side(side));
            let of = |digest: &str| counts.get(&format!("{digest} OK")).copied().unwrap_or(0);
            for digest in [
                "BEGIN",
                "END",
                values(
                    "UPDATE pgbench_accounts SET abalance = abalance + ? WHERE aid = ?",
                    "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
                ),
                values(
                    "SELECT abalance FROM pgbench_accounts WHERE aid = ?",
                    "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
                ),
                values(
                    "UPDATE pgbench_tellers SET tbalance = tbalance + ? WHERE tid = ?",
                    "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
                ),
                values(
                    "UPDATE pgbench_branches SET bbalance = bbalance + ? WHERE bid = ?",
                    "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
                ),
                values(
                    "INSERT INTO pgbench_history(tid, bid, aid, delta, mtime) VALUES (?, ?, ?, ?, CURRENT_TIMESTAMP)",
                    "INSERT INTO pgbench_history(tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
                ),
            ] {
                assert_eq!(of(digest), done, "{digest}, {mode}, {side} side: {counts:#?}");
            }
            // Its own connection, which asks for two things, and eight more.
            assert_eq!((of("CONNECT"), counts.values().sum::<u64>()), (9, 7 * done + 9 + 2), "{mode}: {counts:#?}");
        }
    }
}

#[test]
fn a_load_that_runs_already_is_joined() {
    root_or_skip!();
    let _alone = alone();
    let server = PostgresqlServer::start();
    pgbench_tables(server.port);
    const CLIENTS: u64 = 4;
    for mode in ["simple", "extended", "prepared"] {
        let begun = server.transactions();
        let load = PgbenchLoad::start(server.port, mode, CLIENTS, 750, 400);
        lab::wait_until("the load runs", SOON, || server.transactions() > begun + 50);
        let most = CLIENTS * 750 - (server.transactions() - begun);
        let steth = Steth::watch(&["--protocol", "postgresql", "--port", &server.port.to_string()]);
        assert_eq!(load.done(), CLIENTS * 750);
        let seen = steth.finish();
        let by = |reason: &str| seen.ledger["exchanges"]["lost_by"][reason].as_u64().expect("a number");
        // What was under way when the agent came, on both sides, and nothing else.
        assert_eq!(seen.ledger["exchanges"]["lost"], by("orphan_response"), "{mode} {}", seen.ledger);
        assert!(by("orphan_response") <= 2 * CLIENTS && seen.ledger["chunks"]["unread"] == 0, "{}", seen.ledger);
        for side in ["client", "server"] {
            let counts = counts(seen.side(side));
            assert!(counts.keys().all(|what| what.ends_with(" OK")), "{mode} {side} {counts:#?}");
            let of = |verb: &str| counts.iter().filter(|(what, _)| what.starts_with(verb)).map(|(_, n)| n).sum::<u64>();
            // Prepared statements were prepared before.
            let (ends, unseen) = (of("END "), of("EXECUTE (unseen) "));
            let transactions = if mode == "prepared" { unseen / 7 } else { ends };
            assert!((300..=most).contains(&transactions), "{mode} {side} {transactions} {most}");
            let expected: &[(&str, u64)] = match mode {
                "prepared" => &[("EXECUTE (unseen) ", 7)],
                _ => &[("BEGIN ", 1), ("SELECT ", 1), ("INSERT ", 1), ("UPDATE ", 3), ("END ", 1)],
            };
            // Each client was somewhere in a transaction.
            assert!(expected.iter().all(|(verb, n)| of(verb).abs_diff(n * transactions) <= 7 * CLIENTS), "{counts:#?}");
            assert_eq!(
                expected.iter().map(|(verb, _)| of(verb)).sum::<u64>(),
                counts.values().sum::<u64>(),
                "{counts:#?}"
            );
        }
    }
}

/// What `servers/postgresql.py` does, and what must be told of it. Before it waits, it has made its connections and done
/// `before`; the rest follows.
#[test]
fn what_psycopg_does_is_told_exactly_from_the_start_and_in_the_middle_of_a_connection() {
    root_or_skip!();
    let _together = together();
    let server = PostgresqlServer::start();
    type Scenario<'a> = (&'a str, &'a [(&'a str, u64)], &'a [(&'a str, u64)]);
    const LARGE: [&str; 2] =
        ["SELECT repeat(?, ?) FROM generate_series(?, ?) ?", "SELECT repeat(?, ?) FROM generate_series(?, $1) ?"];
    let scenarios: &[Scenario<'_>] = &[
        (
            "pipeline",
            &[("CONNECT OK", 1), ("CREATE TEMPORARY TABLE pipelined(id int PRIMARY KEY) OK", 1)],
            &[
                ("INSERT INTO pipelined VALUES ($1) OK", 1002),
                ("INSERT INTO pipelined VALUES ($1) 23505", 1),
                ("INSERT INTO pipelined VALUES ($1) skipped", 2),
                ("SELECT count(*) FROM pipelined OK", 1),
            ],
        ),
        (
            "deep",
            &[("CONNECT OK", 1), ("CREATE TEMPORARY TABLE deep(id int PRIMARY KEY) OK", 1)],
            &[("INSERT INTO deep VALUES ($1) OK", 2000)],
        ),
        (
            "copy",
            &[("CONNECT OK", 1), ("CREATE TEMPORARY TABLE copied(id int, text text) OK", 1)],
            &[
                ("COPY copied FROM STDIN OK", 1),
                // More than is captured.
                ("COPY copied TO STDOUT ?", 1),
                ("COPY copied FROM STDIN 57014", 1),
            ],
        ),
        (
            "errors",
            &[("CONNECT OK", 1)],
            &[
                ("SELEC nothing 42601", 1),
                ("SELECT nothing FROM nowhere 42P01", 1),
                ("SELECT ? / $1 22012", 1),
                ("SELECT $1::int 22P02", 1),
                ("BEGIN OK", 1),
                ("SELECT ? OK", 1),
                ("SELECT ? / ? 22012", 1),
                ("SELECT ? 25P02", 1),
                ("ROLLBACK OK", 1),
            ],
        ),
        ("cancel", &[("CONNECT OK", 1)], &[("SELECT pg_sleep(?) 57014", 1), ("CANCEL one-way", 1)]),
        (
            "notify",
            &[("CONNECT OK", 2)],
            &[("LISTEN news OK", 1), ("NOTIFY news, ? OK", 5), ("SELECT ? OK", 5), ("DO ? OK", 1)],
        ),
        ("large", &[("CONNECT OK", 1)], &[(LARGE[0], 10), (LARGE[1], 10), ("SELECT ? OK", 20)]),
        (
            "parameters",
            &[("CONNECT OK", 1)],
            &[
                ("SELECT length($1) OK", 1),
                ("SELECT length($1), $2::int OK", 1),
                ("SELECT ?, length($1) OK", 3),
                ("SELECT ? OK", 1),
            ],
        ),
        (
            "prepared",
            &[("CONNECT OK", 1), ("SELECT $1 + ? OK", 3)],
            &[("SELECT $1 + ? OK", 100), ("SELECT now() OK", 100)],
        ),
    ];
    for late in [false, true] {
        // Of a connection that is joined late it is not known, before it changes.
        let first = if late { "SELECT ? ... OK" } else { "SELECT ?, ? AS n, ? OK" };
        let strings: &[(&str, u64)] = &[
            (first, 1),
            ("SET standard_conforming_strings = off OK", 1),
            ("SELECT ?, ? AS n OK", 1),
            ("RESET standard_conforming_strings OK", 1),
            ("SELECT ?, ? AS n, ? OK", 1),
        ];
        let strings: Scenario<'_> = ("strings", &[("CONNECT OK", 1)], strings);
        for (name, before, behind) in scenarios.iter().chain([&strings]) {
            let port = server.port.to_string();
            let watch = || Steth::watch(&["--protocol", "postgresql", "--port", &port]);
            let early = (!late).then(watch);
            let client = PostgresqlClient::start(server.port, name);
            let steth = early.unwrap_or_else(watch);
            if late {
                // Of what an open connection says within a second it is not known what came before it, and a statement that
                // fails then may be another one. `late_join.rs` has that case.
                std::thread::sleep(Duration::from_millis(1100));
            }
            client.go();
            let mut told = expected(behind);
            if !late {
                expected(before).into_iter().for_each(|(what, count)| *told.entry(what).or_default() += count);
            } else if let Some(count) = told.remove("SELECT $1 + ? OK") {
                told.insert("EXECUTE (unseen) OK".into(), count);
            }
            steth.wait_for_exchanges(2 * told.values().sum::<u64>() as usize, SOON);
            let seen = steth.finish();
            nothing_lost(&seen);
            for side in ["client", "server"] {
                assert_eq!(counts(seen.side(side)), told, "{name}, late: {late}, {side} side");
            }
            let large =
                |e: &&Value| LARGE.iter().any(|large| large.starts_with(e["operation"].as_str().unwrap_or("-")));
            for exchange in seen.exchanges.iter().filter(large) {
                let bytes = exchange["response_bytes"].as_u64();
                assert!(bytes.is_some_and(|bytes| bytes > 2_000_000), "every row counts: {exchange}");
            }
        }
    }
}

#[test]
fn rows_that_were_not_captured_do_not_lose_the_time_they_took() {
    root_or_skip!();
    let _together = together();
    let server = PostgresqlServer::start();
    let steth = Steth::watch(&["--port", &server.port.to_string()]);
    PostgresqlClient::start(server.port, "slow").go();
    steth.wait_for_exchanges(2 * 3, SOON);
    let seen = steth.finish();
    nothing_lost(&seen);
    for side in ["client", "server"] {
        let slow: Vec<_> =
            seen.side(side).filter(|e| e["operation"].as_str().unwrap_or("").contains("repeat")).collect();
        assert_eq!(slow.len(), 1, "{slow:?}");
        let duration = slow[0]["duration_ns"].as_u64().unwrap_or(0);
        assert!((500_000_000..2_000_000_000).contains(&duration), "{}", slow[0]);
    }
}

#[test]
fn encryption_is_followed_up_to_where_it_begins() {
    root_or_skip!();
    let _together = together();
    for (server, client, told) in [
        (PostgresqlServer::start(), "encrypted", &[("CONNECT OK", 1), ("SELECT ? OK", 1)][..]),
        (PostgresqlServer::start_with_tls(), "encrypted", &[]),
        (PostgresqlServer::start(), "gssapi", &[]),
    ] {
        let steth = Steth::watch(&["--protocol", "postgresql", "--port", &server.port.to_string()]);
        PostgresqlClient::start(server.port, client).go();
        steth.wait_for_exchanges(2 * told.len(), SOON);
        let seen = steth.finish();
        nothing_lost(&seen);
        for side in ["client", "server"] {
            assert_eq!(counts(seen.side(side)), expected(told), "{side} side");
        }
    }
}

/// The answers to what the server asks are between the startup message and its end: one login, whatever is asked.
#[test]
fn logins_with_passwords_are_one_exchange_each_and_leave_nothing_of_them() {
    root_or_skip!();
    let _together = together();
    let server = PostgresqlServer::start_with_passwords("verysecret");
    // Longer than any id, time or count of a record, in whose digits a shorter one may be found.
    const LITERAL: &str = "4711471147114711";
    let statement = format!("SELECT {LITERAL}");
    for method in ["scram-sha-256", "md5", "password"] {
        let steth = Steth::watch(&["--protocol", "postgresql", "--port", &server.port.to_string()]);
        for (password, status) in [(Some("verysecret"), 0), (Some("wrong"), 2), (None, 2)] {
            let mut psql = server.psql(method);
            psql.args(["-At", "-c", &statement]).env_remove("PGPASSWORD").env("PGPASSFILE", "/nonexistent");
            if let Some(password) = password {
                psql.env("PGPASSWORD", password);
            }
            let output = psql.output().expect("psql runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{method} {password:?}: {said}");
        }
        let told = [("CONNECT OK", 1), ("SELECT ? OK", 1), ("CONNECT 28P01", 1), ("CONNECT cancelled", 1)];
        steth.wait_for_exchanges(2 * told.len(), SOON);
        let seen = steth.finish();
        nothing_lost(&seen);
        for side in ["client", "server"] {
            assert_eq!(counts(seen.side(side)), expected(&told), "{method}, {side} side");
        }
        let secret = |e: &&Value| ["verysecret", "wrong", LITERAL].iter().any(|secret| e.to_string().contains(secret));
        assert_eq!(seen.exchanges.iter().find(secret), None, "a literal or a password has left the parser");
    }
}

#[test]
fn a_ring_that_is_too_small_loses_and_says_how_much() {
    root_or_skip!();
    let _alone = alone();
    let server = PostgresqlServer::start();
    pgbench_tables(server.port);
    let steth = Steth::watch(&["--ring", "4", "--protocol", "postgresql", "--port", &server.port.to_string()]);
    let done = pgbench(server.port, "simple", 8, 300);
    // What is lost is not known before the end; all that is in the rings is read before it.
    let seen = steth.finish();
    let lost = seen.ledger["exchanges"]["lost"].as_u64().expect("a number");
    assert!(lost > 0, "the ring was not small enough to prove anything");
    // Both sides of seven statements each, nine connections and what pgbench asks first.
    assert_eq!(seen.exchanges.len() as u64 + lost, 2 * (7 * done + 9 + 2), "{}", seen.ledger);
}

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recordings/postgresql.pcap");

fn replayed() -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_steth")).args(["replay", "--json", RECORDING]).output();
    let output = output.expect("it runs").stdout;
    String::from_utf8(output).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_recording_gives_what_it_always_gave() {
    let lines = replayed();
    let told: String = counts(lines.iter().filter(|line| line["type"] == "exchange"))
        .into_iter()
        .map(|(what, count)| format!("{count} {what}\n"))
        .collect();
    assert_eq!(told, include_str!("golden/postgresql.txt"));
    assert_eq!(lines.last().map(|ledger| &ledger["exchanges"]["lost"]), Some(&Value::from(0)));
}
