//! What is said to every server that speaks MySQL's protocol, MariaDB's or Oracle's, and what has to be told of it.

use super::mariadb::MariaDb;
use super::process::{Process, wait_until};
use super::steth::{Seen, Steth};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Both ends are watched.
pub const SIDES: [&str; 2] = ["client", "server"];

/// Watches its exchanges.
pub fn watch(server: &MariaDb) -> Steth {
    Steth::watch(&["--protocol", "mysql", "--port", &server.port.to_string()])
}

/// Ends the agent once it has told of this many exchanges.
pub fn finish(steth: Steth, count: u64) -> Seen {
    steth.wait_for_exchanges(count as usize, Duration::from_secs(20));
    let seen = steth.finish();
    assert!(seen.status.success(), "{}", seen.errors);
    assert!(seen.exchanges.iter().all(|e| e["protocol"] == "mysql"));
    seen
}

/// All is reported.
pub fn nothing_lost(seen: &Seen) {
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}\n{}", seen.ledger, seen.errors);
    assert_eq!(seen.ledger["chunks"]["lost"], 0, "{}", seen.ledger);
    assert_eq!(seen.ledger["exchanges"]["reported"], seen.exchanges.len() as u64);
}

/// A text of an exchange, by its JSON pointer; empty if there is none.
pub fn text<'a>(exchange: &'a Value, path: &str) -> &'a str {
    exchange.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// How often each operation, by its first word, ended with each status, on one side.
pub fn words(seen: &Seen, side: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for exchange in seen.side(side) {
        let word = text(exchange, "/operation").split(' ').next().unwrap_or_default();
        *counts.entry(format!("{word} {}", exchange["status"])).or_default() += 1;
    }
    counts
}

/// `operation status` of one side, in order.
pub fn lines<'a>(seen: &'a Seen, side: &'a str) -> Vec<String> {
    let of = |e: &Value| match &e["status"] {
        Value::String(word) => format!("{} {word}", text(e, "/operation")),
        status => format!("{} {status}", text(e, "/operation")),
    };
    seen.side(side).map(of).collect()
}

/// Statements of all kinds, a file, another schema, failures, several statements at once; in the clear and compressed.
pub fn everything(server: &MariaDb) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let rows: String = (0..5000).map(|n| format!("{n}\tname of {n}\n")).collect();
    std::fs::write(file.path(), &rows).expect("rows");
    let load = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE goods", file.path().display());
    let statements = format!(
        "CREATE TABLE goods (id INT, name VARCHAR(50));\n\
         INSERT INTO goods VALUES (1, 'secret one'), (2, 'two');\n\
         {load};\n\
         SELECT name FROM goods WHERE id = 4711;\n\
         SELECT * FROM goods;\n\
         UPDATE goods SET name = 'changed' WHERE id < 10;\n\
         SELECT nothing FROM goods;\n\
         SELEC 1;\n\
         SELECT * FROM missing;\n\
         INSERT INTO goods SELECT 'not a number', 1 FROM goods WHERE id = 0x1F;\n\
         USE mysql;\n\
         SELECT 'secret two', 5 FROM shop.goods LIMIT 3;\n\
         delimiter //\n\
         SELECT 1; SELECT 2, 'x'; UPDATE shop.goods SET id = 7 WHERE id = 7//\n"
    );
    let expected = [
        ("CONNECT", "\"OK\"", "shop"),
        ("CREATE TABLE goods", "\"OK\"", "shop"),
        ("INSERT INTO goods VALUES", "\"OK\"", "shop"),
        ("LOAD DATA LOCAL INFILE ? INTO TABLE goods", "\"OK\"", "shop"),
        ("SELECT name FROM goods WHERE id = ?", "\"OK\"", "shop"),
        ("SELECT * FROM goods", "", "shop"),
        ("UPDATE goods SET name = ? WHERE id < ?", "\"OK\"", "shop"),
        ("SELECT nothing FROM goods", "1054", "shop"),
        ("SELEC ?", "1064", "shop"),
        ("SELECT * FROM missing", "1146", "shop"),
        ("INSERT INTO goods SELECT ?, ? FROM goods WHERE id = ?", "1366", "shop"),
        ("SELECT ?, ? FROM shop.goods LIMIT ?", "\"OK\"", "mysql"),
        ("SELECT ?; SELECT ?, ?; UPDATE shop.goods SET id = ? WHERE id = ?", "\"OK\"", "mysql"),
        ("QUIT", "null", "mysql"),
    ];
    // What the client does for USE is its own affair: it asks where it is, and sends INIT_DB.
    const FOR_USE: u64 = 2;
    for options in [&[][..], &["--compress"]] {
        let steth = watch(server);
        server.run(options, &statements);
        let seen = finish(steth, 2 * (expected.len() as u64 + FOR_USE));
        nothing_lost(&seen);
        let said = |e: &Value| format!("{} {}", e["operation"], e["attributes"]);
        let all = seen.exchanges.iter().map(said).collect::<String>();
        assert!(!all.contains("secret") && !all.contains("4711"), "a literal has left the parser");
        for side in SIDES {
            let exchanges: Vec<&Value> = seen
                .side(side)
                .filter(|e| !matches!(text(e, "/operation"), "INIT_DB" | "USE mysql" | "SELECT DATABASE()"))
                .collect();
            assert_eq!(exchanges.len(), expected.len(), "{side} {options:?} {:#?}", lines(&seen, side));
            for (exchange, (operation, status, namespace)) in exchanges.iter().zip(expected) {
                assert!(text(exchange, "/operation").starts_with(operation), "{operation}: {exchange}");
                let said = exchange["status"].to_string();
                assert!(status.is_empty() || said == status, "{status}: {exchange}");
                assert_eq!(text(exchange, "/attributes/db.namespace"), namespace, "{exchange}");
            }
            let at = |n: usize, key: &str| exchanges[n]["attributes"][key].clone();
            assert_eq!(
                (at(2, "steth.db.response.affected_rows"), at(3, "steth.db.response.affected_rows")),
                (2.into(), 5000.into())
            );
            assert_eq!(at(4, "db.response.returned_rows"), 1);
            assert_eq!((at(9, "mysql.sqlstate"), at(9, "error.type")), ("42S02".into(), "1146".into()));
            assert_eq!(
                (at(11, "db.response.returned_rows"), at(12, "db.response.returned_rows")),
                (3.into(), 2.into())
            );
            if options.is_empty() {
                // The file went over with its statement; the large result ends with its last byte.
                assert!(exchanges[3]["request_bytes"].as_u64().is_some_and(|n| n > rows.len() as u64));
                assert!(exchanges[5]["response_bytes"].as_u64().is_some_and(|n| n > rows.len() as u64));
            }
        }
        server.ask("DROP TABLE shop.goods");
    }
}

/// A statement and an answer of twenty megabytes.
pub fn twenty_megabytes(server: &MariaDb) {
    let size = 20 << 20;
    let statements = format!("SELECT LENGTH('{}');\nSELECT REPEAT('y', {size});\nSELECT 1;\n", "x".repeat(size));
    let steth = watch(server);
    let printed = server.run(&[], &statements);
    assert_eq!(printed.lines().next(), Some(size.to_string().as_str()));
    let seen = finish(steth, 2 * 5);
    nothing_lost(&seen);
    for side in SIDES {
        let exchanges: Vec<&Value> = seen.side(side).collect();
        assert_eq!(exchanges.len(), 5, "{side} {:#?}", lines(&seen, side));
        assert!(text(exchanges[1], "/operation").starts_with("SELECT LENGTH("), "{}", exchanges[1]);
        assert_eq!((&exchanges[1]["truncated"], &exchanges[1]["status"]), (&true.into(), &"OK".into()));
        let bytes = |n: usize, key: &str| exchanges[n][key].as_u64().expect("a size");
        assert_eq!(bytes(1, "request_bytes"), size as u64 + 17 + 1 + 2 * 4);
        assert!(bytes(2, "response_bytes") > size as u64);
        assert_eq!(exchanges[3]["status"], "OK");
    }
}

/// A login that goes on in TLS.
pub fn upgrade_to_tls(server: &MariaDb) {
    let steth = watch(server);
    let printed = server.run(&["--ssl"], "SELECT 42;\nSHOW STATUS LIKE 'Ssl_cipher';\n");
    assert!(printed.starts_with("42\nSsl_cipher\tTLS_"), "{printed}");
    let seen = finish(steth, 2);
    nothing_lost(&seen);
    for side in SIDES {
        let all: Vec<_> = seen.side(side).map(|e| (text(e, "/operation"), text(e, "/outcome"))).collect();
        assert_eq!(all, [("CONNECT", "upgraded")], "{side}");
    }
}

/// sysbench, which runs when the agent comes.
pub fn load_that_runs_already(server: &MariaDb) {
    server.prepare_sysbench();
    for (mode, compressed, word) in [
        ("--db-ps-mode=disable", false, "SELECT"),
        ("--db-ps-mode=auto", false, "EXECUTE"),
        ("--db-ps-mode=disable", true, "SELECT"),
        ("--db-ps-mode=auto", true, "EXECUTE"),
    ] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let compression = if compressed { "--mysql-compression=on" } else { "--mysql-compression=off" };
        let options = [mode, compression, "--time=6", "--rate=150", "--events=0"];
        let mut load = server.sysbench("oltp_read_write", 4, &options);
        let mut load = Process::spawn("sysbench", load.arg("run"), dir.path());
        let questions = || server.status()["Com_begin"];
        let begun = questions();
        wait_until("the load runs", Duration::from_secs(20), || questions() > begun + 20);
        let steth = watch(server);
        let from = server.status();
        wait_until("more of it", Duration::from_secs(20), || questions() > from["Com_begin"] + 200);
        assert!(load.wait_for_end(Duration::from_secs(60)).success());
        let to = server.status();
        let names = ["Com_begin", "Com_commit", "Com_select", "Com_insert", "Com_update", "Com_delete"];
        let since = |from: &BTreeMap<String, u64>| names.iter().map(|name| to[*name] - from[*name]).sum::<u64>();
        let seen = finish(steth, 2 * since(&from));
        // What was under way when the agent came, on four connections at both ends, and nothing else.
        let number = |path: &str| seen.ledger.pointer(path).and_then(Value::as_u64).expect("a number");
        let lost = number("/exchanges/lost");
        assert_eq!(lost, number("/exchanges/lost_by/orphan_response"), "{}", seen.ledger);
        assert!(lost <= 8, "{}", seen.ledger);
        for side in SIDES {
            let words = words(&seen, side);
            let answered = |e: &&Value| e["outcome"] == "answered";
            let count = seen.side(side).filter(answered).count() as u64;
            // The agent was there before `from` was read, by no more than that took.
            assert!(count >= since(&from), "{side} {count} {} {words:?}", since(&from));
            // 1213: a deadlock, which sysbench begins anew.
            let fine = |e: &&Value| e["status"] == "OK" || e["status"] == 1213;
            let strange: Vec<&Value> = seen.side(side).filter(answered).filter(|e| !fine(e)).collect();
            assert!(strange.is_empty(), "{side} {words:?} {strange:?}");
            assert!(words.keys().any(|name| name.starts_with(word)), "{side} {words:?}");
        }
    }
}
