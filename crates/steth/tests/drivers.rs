//! What programs do through their drivers, and command-line clients do not: cursors, portals, another user on the same
//! connection.

use crate::lab::process::{command, run};
use crate::lab::runtimes::{programs, python};
use crate::lab::{MariaDb, PostgresqlServer, Seen, Steth, together};
use serde_json::Value;
use std::time::Duration;

const SIDES: [&str; 2] = ["client", "server"];
const LIMIT: Duration = Duration::from_secs(60);

fn watch(protocol: &str, port: u16) -> Steth {
    Steth::watch(&["--protocol", protocol, "--port", &port.to_string()])
}

/// Ends the agent once it has told of this many exchanges at each end, and lost none.
fn finish(steth: Steth, count: usize) -> Seen {
    steth.wait_for_exchanges(2 * count, Duration::from_secs(20));
    let seen = steth.finish();
    assert!(seen.status.success(), "{}", seen.errors);
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}\n{}", seen.ledger, seen.errors);
    seen
}

/// `operation status`, or `operation outcome` of what is not answered.
fn line(exchange: &Value) -> String {
    let text = |key: &str| exchange[key].to_string().replace('"', "");
    format!("{} {}", text("operation"), text(if exchange["outcome"] == "answered" { "status" } else { "outcome" }))
}

fn attribute<'a>(exchange: &'a Value, key: &str) -> &'a Value {
    &exchange["attributes"][key]
}

#[test]
fn mariadb_s_library_reads_by_cursor_and_changes_its_user() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let before = server.status();
    let steth = watch("mysql", server.port);
    let script = programs().join("mariadb.py");
    run("mariadb.py", command(python()).arg(script).arg(server.port.to_string()), LIMIT);
    let after = server.status();
    let counted = |name: &str| after[name] - before[name];
    let expected = [
        ("CONNECT OK", "shop"),
        ("CREATE TABLE numbers(id INT) OK", "shop"),
        ("CREATE TABLE words(word LONGBLOB) OK", "shop"),
        ("PREPARE INSERT INTO numbers VALUES (?) OK", "shop"),
        ("INSERT INTO numbers VALUES (?) OK", "shop"),
        ("STMT_CLOSE one-way", "shop"),
        ("PREPARE SELECT id FROM numbers ORDER BY id OK", "shop"),
        ("SELECT id FROM numbers ORDER BY id OK", "shop"),
        ("FETCH SELECT id FROM numbers ORDER BY id OK", "shop"),
        ("FETCH SELECT id FROM numbers ORDER BY id OK", "shop"),
        ("FETCH SELECT id FROM numbers ORDER BY id OK", "shop"),
        ("STMT_RESET OK", "shop"),
        ("STMT_CLOSE one-way", "shop"),
        ("PREPARE INSERT INTO words VALUES (?) OK", "shop"),
        ("STMT_SEND_LONG_DATA one-way", "shop"),
        ("STMT_SEND_LONG_DATA one-way", "shop"),
        ("INSERT INTO words VALUES (?) OK", "shop"),
        ("STMT_CLOSE one-way", "shop"),
        ("SELECT LENGTH(word) FROM words OK", "shop"),
        ("CHANGE_USER OK", "mysql"),
        ("SELECT DATABASE() OK", "mysql"),
        ("RESET_CONNECTION OK", "mysql"),
        ("SELECT DATABASE() OK", "mysql"),
        ("INIT_DB OK", "shop"),
        ("FIELD_LIST OK", "shop"),
        ("CHANGE_USER 1045", "shop"),
        ("QUIT one-way", "shop"),
    ];
    let seen = finish(steth, expected.len());
    for side in SIDES {
        let exchanges: Vec<&Value> = seen.side(side).collect();
        let lines: Vec<String> = exchanges.iter().map(|exchange| line(exchange)).collect();
        assert_eq!(lines, expected.map(|(line, _)| line), "{side}");
        for (exchange, (_, namespace)) in exchanges.iter().zip(expected) {
            assert_eq!(attribute(exchange, "db.namespace"), namespace, "{exchange}");
        }
        let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count() as u64;
        assert_eq!(count("FETCH"), counted("Com_stmt_fetch"));
        assert_eq!(count("STMT_SEND_LONG_DATA"), counted("Com_stmt_send_long_data"));
        assert_eq!(count("STMT_RESET"), counted("Com_stmt_reset"));
        // Many rows in one execution, and the same rows by a hundred.
        assert_eq!(attribute(exchanges[4], "steth.db.response.affected_rows"), 250);
        let fetched = [7, 8, 9, 10].map(|n: usize| attribute(exchanges[n], "db.response.returned_rows").as_u64());
        assert_eq!(fetched, [Some(0), Some(100), Some(100), Some(50)], "{side}");
        let pieces = exchanges[15]["request_bytes"].as_u64();
        assert!(pieces.is_some_and(|bytes| bytes > 20_000_000), "{}", exchanges[15]);
    }
    let all: String = seen.exchanges.iter().map(Value::to_string).collect();
    assert!(!all.contains("secret"), "a literal has left the parser");
}

#[test]
fn postgresql_s_jdbc_driver_reads_a_portal_in_parts() {
    root_or_skip!();
    let _together = together();
    let server = PostgresqlServer::start();
    let steth = watch("postgresql", server.port);
    let mut java = command("java");
    java.args(["-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar"]);
    java.arg(programs().join("java/Portals.java")).arg(server.port.to_string());
    run("java", &mut java, LIMIT);
    const SERIES: &str = "SELECT generate_series(?, $1) OK";
    const DIVISION: &str = "SELECT ? / (? - n) FROM generate_series(?, ?) n";
    let mut expected = vec!["CONNECT OK", "SET extra_float_digits = ? OK", "SET application_name = ? OK", "BEGIN OK"];
    // A portal of 250 rows, of 300, and of none.
    expected.extend([SERIES; 3 + 4 + 1]);
    let (part, failed) = (format!("{DIVISION} OK"), format!("{DIVISION} 22012"));
    expected.extend([&part, &failed, "ROLLBACK OK"]);
    let seen = finish(steth, expected.len());
    for side in SIDES {
        let exchanges: Vec<&Value> = seen.side(side).collect();
        let lines: Vec<String> = exchanges.iter().map(|exchange| line(exchange)).collect();
        assert_eq!(lines, expected, "{side}");
        let rows: Vec<u64> = (exchanges[4..12].iter())
            .map(|exchange| attribute(exchange, "db.response.returned_rows").as_u64().unwrap_or(u64::MAX))
            .collect();
        assert_eq!(rows, [100, 100, 50, 100, 100, 100, 0, 0], "{side}");
    }
}
