//! Oracle's MySQL, whose logins and answers are not MariaDB's, in a root of its own: `make test-oracle`, which fetches it first.

use crate::lab::mysql::{self as said, SIDES, finish, lines, nothing_lost, watch};
use crate::lab::{MariaDb, alone};
use serde_json::Value;
use std::path::PathBuf;

fn tree() -> PathBuf {
    let tree =
        std::env::var_os("STETH_TEST_MYSQL_TREE").expect("STETH_TEST_MYSQL_TREE names what scripts/oracle-mysql made");
    std::fs::canonicalize(tree).expect("that directory is there")
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn logins_statements_and_errors_are_told() {
    root_or_skip!();
    let _alone = alone();
    let tree = tree();
    let server = MariaDb::oracle(&tree);
    server.ask("CREATE USER u IDENTIFIED BY 'verysecret'; GRANT ALL ON *.* TO u; CREATE TABLE shop.goods (id INT, name VARCHAR(50))");
    let steth = watch(&server);
    let login = ["-uu", "-pverysecret"];
    // The server has forgotten the password's hash as yet: it wants the password itself, encrypted with its public key.
    server.run(&login, "INSERT INTO goods VALUES (1, 'verysecret'), (2, 'two');\n");
    // Now it has not.
    server.run(
        &login,
        "SELECT name FROM goods WHERE id = 4711471147114711;\nSELEC 1;\nSELECT * FROM missing;\ndelimiter //\n\
         SELECT 1; SELECT 2, 'x'; UPDATE goods SET id = 7 WHERE id = 7//\n",
    );
    server.run(&["-uu", "-pwrong"], "SELECT 1;\n");
    let first = ["CONNECT OK", "INSERT INTO goods VALUES (?, ?) OK", "QUIT null"];
    let second = [
        "CONNECT OK",
        "SELECT name FROM goods WHERE id = ? OK",
        "SELEC ? 1064",
        "SELECT * FROM missing 1146",
        "SELECT ?; SELECT ?, ?; UPDATE goods SET id = ? WHERE id = ? OK",
        "QUIT null",
    ];
    let expected = [&first[..], &second, &["CONNECT 1045"]].concat();
    let seen = finish(steth, 2 * expected.len() as u64);
    nothing_lost(&seen);
    for side in SIDES {
        assert_eq!(lines(&seen, side), expected, "{side}");
        let states: Vec<_> = seen.side(side).filter_map(|e| e["attributes"]["mysql.sqlstate"].as_str()).collect();
        assert_eq!(states, ["42000", "42S02", "28000"], "{side}");
    }
    let secret = |e: &&Value| e.to_string().contains("verysecret") || e.to_string().contains("4711471147114711");
    assert_eq!(seen.exchanges.iter().find(secret), None, "a literal or a password has left the parser");
    for e in &seen.exchanges {
        assert_eq!((&e["server"]["process"], &e["server"]["pid"]), (&"mysqld".into(), &server.pid().into()), "{e}");
        assert_eq!(e["attributes"]["db.system.name"], "mysql", "{e}");
    }
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn sysbench_is_counted_exactly_text_and_prepared() {
    root_or_skip!();
    let _alone = alone();
    let server = MariaDb::oracle(&tree());
    server.prepare_sysbench();
    for (test, prepared) in
        [("oltp_read_only", false), ("oltp_read_only", true), ("oltp_read_write", false), ("oltp_read_write", true)]
    {
        let before = server.status();
        let steth = watch(&server);
        // One connection, so that no transaction runs into a deadlock and is begun anew.
        let queries = server.transactions(test, prepared, 1, 300);
        let after = server.status();
        let counted = |name: &str| after[name] - before[name];
        let commands = queries + counted("Com_stmt_prepare") + counted("Com_stmt_close") + 1 + 1;
        let seen = finish(steth, 2 * commands);
        nothing_lost(&seen);
        for side in SIDES {
            let lines = lines(&seen, side);
            let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count() as u64;
            for verb in ["begin", "commit", "select", "insert", "update", "delete"] {
                let (told, server) = (of(&format!("{} ", verb.to_uppercase())), counted(&format!("Com_{verb}")));
                assert_eq!(told, server, "{side} {verb} {test}, prepared {prepared}");
            }
            assert_eq!(of("PREPARE "), counted("Com_stmt_prepare"), "{side}");
            // This server does not prepare a BEGIN, and says so: sysbench then sends it as a text.
            let refused: &[&str] = if prepared { &["PREPARE BEGIN 1295"] } else { &[] };
            let failed: Vec<_> = lines.iter().filter(|l| !l.ends_with(" OK") && !l.ends_with(" null")).collect();
            assert_eq!(failed, refused, "{side} {test}");
            // Every execution has its statement.
            assert_eq!((of("EXECUTE "), of("CONNECT OK"), of("QUIT")), (0, 1, 1), "{side}");
        }
    }
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn one_conversation_of_everything() {
    root_or_skip!();
    let _alone = alone();
    said::everything(&MariaDb::oracle(&tree()));
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn a_packet_of_twenty_megabytes_is_one_exchange() {
    root_or_skip!();
    let _alone = alone();
    said::twenty_megabytes(&MariaDb::oracle(&tree()));
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn behind_an_upgrade_to_tls_nothing_is_read() {
    root_or_skip!();
    let _alone = alone();
    said::upgrade_to_tls(&MariaDb::oracle(&tree()));
}

#[test]
#[ignore = "fetches Oracle's mysqld: make test-oracle"]
fn a_load_that_runs_already_is_joined() {
    root_or_skip!();
    let _alone = alone();
    said::load_that_runs_already(&MariaDb::oracle(&tree()));
}
