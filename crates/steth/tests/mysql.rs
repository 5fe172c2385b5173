//! MariaDB, its client and sysbench: what is reported is what they say they did.

use crate::lab;
use crate::lab::mysql::{self as said, SIDES, finish, lines, nothing_lost, text, watch, words};
use crate::lab::{MariaDb, Process, Steth, alone, together};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn sysbench_is_counted_exactly_text_and_prepared() {
    root_or_skip!();
    let _alone = alone();
    let server = MariaDb::start();
    server.prepare_sysbench();
    for (test, prepared) in
        [("oltp_read_only", false), ("oltp_read_only", true), ("oltp_read_write", false), ("oltp_read_write", true)]
    {
        let before = server.status();
        let steth = watch(&server);
        let queries = server.transactions(test, prepared, 4, 400);
        let after = server.status();
        let counted = |name: &str| after[name] - before[name];
        // Four logins and farewells.
        let commands = queries + counted("Com_stmt_prepare") + counted("Com_stmt_close") + 4 + 4;
        let seen = finish(steth, 2 * commands);
        let what = format!("{test}, prepared {prepared}: {}", seen.ledger);
        nothing_lost(&seen);
        for side in SIDES {
            let words = words(&seen, side);
            let of = |word: &str| words.get(word).copied().unwrap_or(0);
            // Whatever became of them: two transactions may run into a deadlock.
            let all = |verb: &str| words.iter().filter(|(word, _)| word.starts_with(verb)).map(|(_, n)| n).sum::<u64>();
            let mut sum = 0;
            for verb in ["begin", "commit", "select", "insert", "update", "delete"] {
                let (reported, server) = (all(&verb.to_uppercase()), counted(&format!("Com_{verb}")));
                assert_eq!(reported, server, "{side} {verb} {what}");
                sum += reported;
            }
            let deadlocks = words.iter().filter(|(word, _)| word.ends_with(" 1213")).map(|(_, n)| n).sum::<u64>();
            // What was done of a transaction that failed, sysbench counts neither in the sum nor apart.
            assert!(if deadlocks == 0 { sum == queries } else { sum > queries }, "{side} {sum} {queries} {what}");
            assert_eq!(of("PREPARE \"OK\""), counted("Com_stmt_prepare"), "{side} {what}");
            assert_eq!(of("STMT_CLOSE null"), counted("Com_stmt_close"), "{side} {what}");
            assert_eq!((of("CONNECT \"OK\""), of("QUIT null")), (4, 4), "{side} {what}");
            if prepared {
                assert_eq!(sum, counted("Com_stmt_execute"), "{side} {what}");
                assert_eq!(of("EXECUTE \"OK\""), 0, "every execution has its statement: {side} {what}");
            }
        }
        let one = seen.side("server").find(|e| text(e, "/operation").starts_with("SELECT c FROM"));
        let one = one.unwrap_or_else(|| panic!("no point select: {what}"));
        assert_eq!(text(one, "/attributes/db.system.name"), "mariadb");
        assert_eq!(text(one, "/attributes/db.namespace"), "shop");
        assert!(text(one, "/attributes/db.query.summary").starts_with("SELECT sbtest"), "{one}");
    }
}

#[test]
fn one_conversation_of_everything() {
    root_or_skip!();
    let _together = together();
    said::everything(&MariaDb::start());
}

#[test]
fn a_packet_of_twenty_megabytes_is_one_exchange() {
    root_or_skip!();
    let _alone = alone();
    said::twenty_megabytes(&MariaDb::start());
}

#[test]
fn behind_an_upgrade_to_tls_nothing_is_read() {
    root_or_skip!();
    let _together = together();
    said::upgrade_to_tls(&MariaDb::with_tls());
}

#[test]
fn a_load_that_runs_already_is_joined() {
    root_or_skip!();
    let _alone = alone();
    said::load_that_runs_already(&MariaDb::start());
}

#[test]
fn a_ring_that_is_too_small_loses_and_says_how_much() {
    root_or_skip!();
    let _alone = alone();
    let server = MariaDb::start();
    server.prepare_sysbench();
    for prepared in [false, true] {
        let before = server.status();
        let steth = Steth::watch(&["--ring", "4", "--protocol", "mysql", "--port", &server.port.to_string()]);
        let queries = server.transactions("oltp_read_only", prepared, 8, 500);
        // How many are lost is not known before the end.
        steth.settle(Duration::from_millis(300));
        let seen = finish(steth, 0);
        let after = server.status();
        let counted = |name: &str| after[name] - before[name];
        let lost = seen.ledger["exchanges"]["lost"].as_u64().expect("a number");
        assert!(lost > 0, "the ring was not small enough to prove anything");
        let commands = queries + counted("Com_stmt_prepare") + counted("Com_stmt_close");
        let sum = seen.exchanges.len() as u64 + lost;
        // Both sides; a login or a farewell of each of the eight connections may have gone unseen.
        let expected = 2 * commands..=2 * (commands + 8 + 8);
        assert!(expected.contains(&sum), "{sum} {expected:?}, prepared {prepared}: {}", seen.ledger);
    }
}

/// What is not captured of an answer costs its status, and neither the exchange nor its time. Where it failed, it does not
/// say that it went well.
#[test]
fn an_answer_beyond_the_capture_has_its_time_and_no_status() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let steth = watch(&server);
    let large = "SELECT REPEAT('x', 5000) FROM information_schema.columns LIMIT 100";
    server.run(
        &["--quick"],
        &format!(
            "({large}) UNION ALL (SELECT SLEEP(0.5));\nSELECT 1;\n\
             SELECT IF(seq < 200, REPEAT('x', 1000), (SELECT 1 UNION SELECT 2)) FROM seq_1_to_300;\nSELECT 2;\n"
        ),
    );
    let seen = finish(steth, 2 * 6);
    nothing_lost(&seen);
    for side in SIDES {
        let all: Vec<&Value> = seen.side(side).collect();
        let statuses: Vec<_> = all.iter().map(|e| (e["status"].clone(), e["truncated"] == true)).collect();
        let (fine, unknown) = (("OK".into(), false), (Value::Null, true));
        let expected = [fine.clone(), unknown.clone(), fine.clone(), unknown, fine, (Value::Null, false)];
        assert_eq!(statuses, expected, "{side} {:#?}", lines(&seen, side));
        let slow = all[1]["duration_ns"].as_u64().expect("a time");
        assert!((500_000_000..5_000_000_000).contains(&slow), "{}", all[1]);
        for (large, size) in [(all[1], 500_000), (all[3], 190_000)] {
            assert!(large["response_bytes"].as_u64().is_some_and(|bytes| bytes > size), "{large}");
            for key in ["db.response.returned_rows", "db.response.status_code", "error.type"] {
                assert_eq!(large["attributes"].get(key), None, "{large}");
            }
        }
    }
}

/// Commands that have no text, and a stream of events, behind which nothing is read.
#[test]
fn commands_of_the_protocol_have_their_names() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::with_log();
    let steth = watch(&server);
    let port = format!("-P{}", server.port);
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program)
            .args(["--no-defaults", "-uroot", "-h127.0.0.1", &port])
            .args(arguments)
            .output()
            .expect("it is installed with the server");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run("mariadb-admin", &["ping", "status", "debug"]);
    server.run(&[], "USE mysql;\n");
    run("mariadb-binlog", &["--read-from-remote-server", "--to-last-log", "log.000001"]);
    let seen = finish(steth, 2 * 12);
    nothing_lost(&seen);
    for side in SIDES {
        let operations: BTreeMap<&str, (&str, &str)> =
            seen.side(side).map(|e| (text(e, "/operation"), (text(e, "/status"), text(e, "/outcome")))).collect();
        for (operation, status, outcome) in [
            ("PING", "OK", "answered"),
            ("STATISTICS", "OK", "answered"),
            ("DEBUG", "OK", "answered"),
            ("INIT_DB", "OK", "answered"),
            ("BINLOG_DUMP", "", "upgraded"),
            ("QUIT", "", "one-way"),
        ] {
            assert_eq!(operations.get(operation), Some(&(status, outcome)), "{operation} {side} {operations:#?}");
        }
        let named = seen.side(side).find(|e| e["operation"] == "PING").expect("just seen");
        assert_eq!(text(named, "/attributes/db.operation.name"), "PING");
    }
}

/// The server tells in its status flags; a connection that is joined late learns it from the first answer.
#[test]
fn strings_are_read_as_the_session_reads_them() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let steth = watch(&server);
    let printed = server.run(
        &[],
        r"SELECT 'O\'Dea', 5 AS n;
SET sql_mode = 'NO_BACKSLASH_ESCAPES';
SELECT 'C:\', 6 AS n, 'last';
PREPARE p FROM 'SELECT 1';
SET sql_mode = '';
SELECT 'O\'Dea', 7 AS n;
",
    );
    assert_eq!(printed, "O'Dea\t5\nC:\\\\\t6\tlast\nO'Dea\t7\n");
    let seen = finish(steth, 2 * 8);
    nothing_lost(&seen);
    for side in SIDES {
        assert_eq!(
            lines(&seen, side),
            [
                "CONNECT OK",
                "SELECT ?, ? AS n OK",
                "SET sql_mode = ? OK",
                "SELECT ?, ? AS n, ? OK",
                "PREPARE p FROM ? OK",
                "SET sql_mode = ? OK",
                "SELECT ?, ? AS n OK",
                "QUIT null",
            ],
            "{side}"
        );
    }
}

#[test]
fn a_login_that_is_refused_has_its_code() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let steth = watch(&server);
    server.run(&["--user=nobody", "--password=wrong"], "SELECT 1;\n");
    let seen = finish(steth, 2);
    nothing_lost(&seen);
    for side in SIDES {
        assert_eq!(lines(&seen, side), ["CONNECT 1045"]);
        assert_eq!(text(seen.side(side).next().expect("one"), "/attributes/mysql.sqlstate"), "28000");
    }
}

#[test]
fn a_connection_older_than_the_agent_is_joined() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut client = server.client();
    let mut client = Process::piped("mariadb", client.args(["--batch", "--unbuffered"]), dir.path());
    let (mut input, mut output) =
        (client.child().stdin.take().expect("a pipe"), client.child().stdout.take().expect("a pipe"));
    let mut ask = |statement: &str, answer: &str| {
        input.write_all(statement.as_bytes()).and_then(|()| input.flush()).expect("the client reads");
        let mut got = vec![0; answer.len()];
        output.read_exact(&mut got).expect("the client prints");
        assert_eq!(String::from_utf8_lossy(&got), answer);
    };
    ask("SELECT 'before';\n", "before\n");
    let steth = watch(&server);
    ask("SELECT 'first', 1;\n", "first\t1\n");
    ask("SELECT 'second' UNION SELECT 'third';\n", "second\nthird\n");
    ask("DROP TABLE IF EXISTS t; DO 1; SELECT 7;\n", "7\n");
    let seen = finish(steth, 2 * 5);
    nothing_lost(&seen);
    for side in SIDES {
        let expected =
            ["SELECT ?, ? OK", "SELECT ? UNION SELECT ? OK", "DROP TABLE IF EXISTS t OK", "DO ? OK", "SELECT ? OK"];
        assert_eq!(lines(&seen, side), expected, "{side}");
    }
}

/// The hooks are attached and taken away one after the other. Were the first one to act before the last one is there, then
/// what passes in between would be missing in the middle of a connection.
#[test]
fn no_connection_has_a_hole_where_the_hooks_come_and_go() {
    root_or_skip!();
    let _alone = alone();
    let server = MariaDb::start();
    server.prepare_sysbench();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = ["--db-ps-mode=disable", "--time=120", "--events=0", "--rate=150"];
    let mut load = server.sysbench("oltp_read_only", 4, &options);
    let load = Process::spawn("sysbench", load.arg("run"), dir.path());
    let begun = server.status()["Com_begin"];
    lab::wait_until("the load runs", Duration::from_secs(20), || server.status()["Com_begin"] > begun + 20);
    for _ in 0..8 {
        let steth = watch(&server);
        let seen = finish(steth, 500);
        assert_eq!(seen.ledger["chunks"]["unread"], 0, "{}", seen.ledger);
        let number = |path: &str| seen.ledger.pointer(path).and_then(Value::as_u64).expect("a number");
        let by = |reason: &str| number(&format!("/exchanges/lost_by/{reason}"));
        // What was under way when the agent came, and when it went.
        assert_eq!(number("/exchanges/lost"), by("orphan_response") + by("evicted"), "{}", seen.ledger);
        let truncated = seen.exchanges.iter().find(|exchange| exchange["truncated"] == true);
        assert_eq!(truncated, None, "{}", seen.ledger);
    }
    drop(load);
}

/// A client by hand, as one that a pool keeps.
struct ByHand(std::net::TcpStream);

impl ByHand {
    fn login(server: &MariaDb) -> Self {
        let stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut client = Self(stream);
        assert_eq!(client.packet()[4], 0x0a, "a greeting");
        // LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH; no password.
        let flags = 0x0008_8201u32.to_le_bytes();
        let name = b"root\0\0mysql_native_password\0";
        client.say(1, &[&flags[..], &[0, 0, 0, 1, 45], &[0; 23], name].concat());
        let mut answer = client.packet();
        if answer[4] == 0xfe {
            client.say(answer[3] + 1, b"");
            answer = client.packet();
        }
        assert_eq!(answer[4], 0, "logged in: {}", answer.escape_ascii());
        client
    }

    fn say(&mut self, number: u8, payload: &[u8]) {
        let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
        self.0.write_all(&[&[a, b, c, number], payload].concat()).expect("the server reads");
    }

    /// The next packet, with its header.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 4];
        self.0.read_exact(&mut packet).expect("a header");
        packet.resize(4 + (usize::from(packet[0]) | usize::from(packet[1]) << 8), 0);
        self.0.read_exact(&mut packet[4..]).expect("a payload");
        packet
    }

    fn ping(&mut self) {
        self.say(0, b"\x0e");
        assert_eq!(self.packet()[4], 0);
    }

    /// A statement that gives one row of one column.
    fn select(&mut self, text: &str) {
        self.say(0, &[b"\x03", text.as_bytes()].concat());
        (0..5).for_each(|_| _ = self.packet());
    }
}

#[test]
fn a_connection_that_was_kept_alive_before_it_is_used_is_joined() {
    root_or_skip!();
    let _together = together();
    let server = MariaDb::start();
    let mut clients = [ByHand::login(&server), ByHand::login(&server)];
    let steth = watch(&server);
    let [pings, comments] = &mut clients;
    (0..40).for_each(|_| pings.ping());
    for _ in 0..3 {
        pings.select("/* app:shop */ SELECT 7");
        comments.select("/* app:shop */ SELECT 8");
    }
    drop(clients);
    // Of the first ping the answer told what this is.
    let seen = finish(steth, 2 * (39 + 3 + 3));
    for side in SIDES {
        let words = words(&seen, side);
        assert_eq!((words.get("PING \"OK\""), words.get("SELECT \"OK\"")), (Some(&39), Some(&6)), "{words:?}");
    }
    let lost = &seen.ledger["exchanges"];
    assert_eq!((&lost["lost"], &lost["lost_by"]["orphan_response"]), (&2.into(), &2.into()), "{lost}");
}
