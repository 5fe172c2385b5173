//! What a connection gives, message by message.

mod gaps;
mod kit;
mod limits;
mod login;
mod property;
mod strings;

use super::*;
use kit::*;
use steth_ledger::Lost;

/// Each of these is one answer to a COM_QUERY.
fn answers() -> Vec<(Vec<u8>, &'static str)> {
    let row: &[u8] = b"\x01x";
    vec![
        (packet(1, OK), "OK"),
        (packet(1, &error(1064, "42000", "You have an error")), "1064"),
        (packet(1, b"\xff\x10\x04Too many connections"), "1040"),
        (rows(1, &[], true, 2), "OK"),
        (rows(1, &[], false, 2), "OK"),
        (rows(1, &[row, row], true, 2), "OK"),
        (rows(1, &[row, b"\xfb", b"\0"], false, 2), "OK"),
        // Several results: two of rows, an OK; the last one an error.
        ([rows(1, &[row], true, 10), rows(6, &[row], true, 10), packet(11, OK)].concat(), "OK"),
        ([rows(1, &[row], false, 10), packet(5, &error(1146, "42S02", "no such table"))].concat(), "1146"),
        ([packet(1, b"\0\x01\0\x0a\0\0\0"), packet(2, OK)].concat(), "OK"),
        // An error in the middle of the rows.
        (packets(1, &[b"\x01", COLUMN, EOF, row, &error(1317, "70100", "interrupted")]), "1317"),
        // MariaDB: progress; definitions left out because the client has them.
        (packets(1, &[b"\xff\xff\xff\x01\x01\x02\x10\x27\0\x05alter", OK]), "OK"),
        (packets(1, &[b"\x01\0", EOF, row, EOF]), "OK"),
        (packets(1, &[b"\x01\x01", COLUMN, row, END]), "OK"),
        // A cursor was opened: rows are fetched later.
        (packets(1, &[b"\x01", COLUMN, b"\xfe\0\0\x42\0"]), "OK"),
        // 300 columns; a row that looks like an OK and one that is as long as a packet can be.
        (
            [
                &packet(1, b"\xfc\x2c\x01")[..],
                &packet(2, COLUMN).repeat(300),
                &packets(3, &[EOF, b"\0\x01\0\x02\0\0\0", EOF]),
            ]
            .concat(),
            "OK",
        ),
    ]
}

#[test]
fn every_answer_to_a_query_is_one_answer() {
    for (answer, status) in answers() {
        let mut kit = Kit::default();
        kit.ask(query("SELECT 1"), &answer);
        kit.ask(PING, packet(1, OK));
        assert_eq!(kit.count.lost(), 0, "{}", answer.escape_ascii());
        assert!(kit.brief().ends_with(&format!(" {status}, PING OK")), "{} {}", kit.brief(), answer.escape_ascii());
        let e = &kit.out[0];
        assert_eq!((e.response_bytes, e.first_byte, e.end, e.truncated), (answer.len() as u64, 2, 2, false));
        assert_eq!((e.request_bytes, e.start, e.request_end, e.outcome), (13, 1, 1, Outcome::Answered));
    }
}

#[test]
fn every_command_has_its_name_and_its_kind_of_answer() {
    let definitions = |end: &[u8]| packets(1, &[COLUMN, COLUMN, end]);
    let fine = packet(1, OK);
    let eof = packet(1, EOF);
    for (command, name, answer) in [
        (&b"\x02shop"[..], "INIT_DB", fine.clone()),
        (b"\x04t\0", "FIELD_LIST", definitions(EOF)),
        (b"\x04t\0", "FIELD_LIST", definitions(END)),
        (b"\x05shop", "CREATE_DB", fine.clone()),
        (b"\x06shop", "DROP_DB", fine.clone()),
        (b"\x07\x01", "REFRESH", fine.clone()),
        (b"\x08\0", "SHUTDOWN", eof.clone()),
        (b"\x09", "STATISTICS", packet(1, b"Uptime: 10  Threads: 1")),
        (b"\x0a", "PROCESS_INFO", rows(1, &[b"\x01x"], true, 2)),
        (b"\x0c\x07\0\0\0", "PROCESS_KILL", fine.clone()),
        (b"\x0d", "DEBUG", eof.clone()),
        (b"\x0e", "PING", fine.clone()),
        (b"\x11root\0\0shop\0", "CHANGE_USER", fine.clone()),
        (b"\x15\x01\0\0\0\0\0\0", "REGISTER_SLAVE", fine.clone()),
        (b"\x1a\x01\0\0\0", "STMT_RESET", fine.clone()),
        (b"\x1b\0\0", "SET_OPTION", eof.clone()),
        (b"\x1c\x01\0\0\0\x02\0\0\0", "FETCH (unseen)", packets(1, &[b"\0\0\x01a", b"\0\0\x01b", b"\xfe\0\0\x82\0"])),
        (b"\x1f", "RESET_CONNECTION", fine.clone()),
        (b"\xfa\x01\0\0\0\0\0", "EXECUTE (unseen)", fine.clone()),
    ] {
        let mut kit = Kit::default();
        kit.ask(packet(0, command), &answer);
        kit.ask(packet(0, command), packet(1, &error(1227, "42000", "denied")));
        assert_eq!((kit.brief(), kit.count.lost()), (format!("{name} OK, {name} 1227"), 0));
    }
}

#[test]
fn commands_without_an_answer_are_one_way() {
    let mut kit = Kit::default();
    kit.request([number(0x19, 7), packet(0, b"\x18\x07\0\0\0\0\0data"), PING.to_vec()].concat());
    kit.response(packet(1, OK));
    kit.request(b"\x01\0\0\0\x01");
    kit.close(End::Closed);
    assert_eq!(kit.brief(), "STMT_CLOSE -, STMT_SEND_LONG_DATA -, PING OK, QUIT -");
    let outcomes: Vec<_> = kit.out.iter().map(|e| e.outcome).collect();
    assert_eq!(outcomes, [Outcome::OneWay, Outcome::OneWay, Outcome::Answered, Outcome::OneWay]);
    assert_eq!(kit.count.lost(), 0);
}

#[test]
fn counts_of_rows_are_reported() {
    let mut kit = Kit::default();
    let row: &[u8] = b"\x01x";
    kit.ask(query("SELECT 1"), rows(1, &[row, row, row], true, 2));
    kit.ask(query("UPDATE t"), packet(1, b"\0\xfc\x2c\x01\0\x02\0\0\0"));
    kit.ask(query("CALL p"), [rows(1, &[row], false, 10), rows(5, &[row], false, 10), packet(9, OK)].concat());
    kit.ask(query("SELECT nothing"), packet(1, &error(1054, "42S22", "no column")));
    let of = |n, key| kit.attribute(n, key).unwrap_or_default();
    let counts: Vec<_> =
        (0..4).map(|n| (of(n, "db.response.returned_rows"), of(n, crate::sql::AFFECTED_ROWS))).collect();
    let expected = [("3", ""), ("", "300"), ("2", "1"), ("", "")];
    assert_eq!(counts, expected.map(|(rows, affected)| (rows.to_string(), affected.to_string())));
    assert_eq!((of(3, "mysql.sqlstate"), of(3, "db.response.status_code")), ("42S22".into(), "1054".into()));
    assert_eq!(kit.out[3].error_type(crate::Side::Server, &kit.names).as_deref(), Some("1054"));
    assert_eq!(kit.out[0].error_type(crate::Side::Client, &kit.names), None);
}

#[test]
fn execute_names_the_statement_that_prepare_gave() {
    // With EOF packets and without, with parameters and columns and without.
    for (parameters, columns) in [(0u8, 0u8), (1, 0), (0, 2), (2, 1)] {
        for eof in [true, false] {
            let mut kit = Kit::default();
            let head = [0, 5, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0];
            let mut payloads: Vec<&[u8]> = vec![&head];
            for group in [parameters, columns].into_iter().filter(|&n| n > 0) {
                payloads.extend(vec![COLUMN; group.into()]);
                payloads.extend(eof.then_some(EOF));
            }
            let answer = packets(1, &payloads);
            kit.ask(prepare("SELECT a FROM t WHERE b = ?"), &answer);
            kit.ask(execute(5), rows(1, &[b"\0\0\x01a"], eof, 2));
            kit.ask(execute(6), packet(1, &error(1243, "HY000", "Unknown prepared statement handler")));
            kit.ask(number(0x1a, 5), packet(1, OK));
            assert_eq!((kit.out.len(), kit.count.lost()), (4, 0), "{parameters} {columns} {eof} {}", kit.brief());
            assert_eq!(kit.out[0].response_bytes, answer.len() as u64);
            assert_eq!(kit.names.get(kit.out[2].operation), "EXECUTE (unseen)");
            assert!(kit.names.get(kit.out[0].operation).starts_with("PREPARE"));
            assert_ne!(kit.names.get(kit.out[1].operation), "EXECUTE (unseen)");
            // Closed, its number means nothing any more.
            kit.request(number(0x19, 5));
            kit.ask(execute(5), packet(1, OK));
            assert_eq!(kit.names.get(kit.out[5].operation), "EXECUTE (unseen)");
        }
    }
}

#[test]
fn statements_are_forgotten_when_the_session_begins_anew() {
    let prepared = packets(1, &[&[0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
    for reset in [&b"\x1f"[..], b"\x11root\0\0shop\0"] {
        let mut kit = Kit::default();
        kit.ask(prepare("SET @a = 1"), &prepared);
        kit.ask(packet(0, reset), packet(1, OK));
        kit.ask(execute(5), packet(1, OK));
        assert_eq!(kit.names.get(kit.out[2].operation), "EXECUTE (unseen)");
    }
}

#[test]
fn a_statement_executed_before_its_prepare_is_answered() {
    let mut kit = Kit::default();
    kit.request([prepare("DO 1"), execute(u32::MAX)].concat());
    kit.response([packets(1, &[&[0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]), packet(1, OK)].concat());
    assert_eq!((kit.out.len(), kit.count.lost()), (2, 0));
    assert_ne!(kit.names.get(kit.out[1].operation), "EXECUTE (unseen)");
}

#[test]
fn a_local_file_belongs_to_the_statement_that_asked_for_it() {
    let mut kit = Kit::default();
    kit.request(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    kit.response(packet(1, b"\xfbf"));
    kit.request(packet(2, &[b'x'; 700]));
    kit.request(packet(0, b"\x03SELECT looks like a command"));
    kit.feed(Direction::Request, Bytes::Skipped(5000));
    kit.feed(Direction::Request, Bytes::Lost(5000));
    kit.request(packet(9, b""));
    kit.response(packet(10, b"\0\x07\0\x02\0\0\0"));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.count.lost()), (2, 0));
    let e = &kit.out[0];
    assert_eq!((e.request_bytes, e.request_end, e.response_bytes), (44 + 704 + 32 + 10_000 + 4, 7, 6 + 11));
    assert_eq!((e.first_byte, e.end), (2, 8));
    assert_eq!(kit.attribute(0, crate::sql::AFFECTED_ROWS).as_deref(), Some("7"));
}

#[test]
fn the_schema_in_use_is_known_once_it_was_named() {
    let mut kit = Kit::default();
    let mut ask = |request: &[u8], answer: &[u8]| {
        kit.ask(request, packet(1, answer));
        kit.attribute(kit.out.len() - 1, "db.namespace")
    };
    assert_eq!(ask(PING, OK), None);
    assert_eq!(ask(&packet(0, b"\x02shop"), OK).as_deref(), Some("shop"));
    assert_eq!(ask(&query("use `other`;"), OK).as_deref(), Some("other"));
    assert_eq!(ask(&query("USE nowhere"), &error(1049, "42000", "Unknown database")).as_deref(), Some("other"));
    assert_eq!(ask(PING, OK).as_deref(), Some("other"));
    assert_eq!(ask(&query("USE a/**/"), OK), None);
    assert_eq!(ask(&packet(0, b"\x11root\0\0third\0"), OK).as_deref(), Some("third"));
}

#[test]
fn pipelined_commands_pair_in_order() {
    let mut kit = Kit::default();
    kit.request([query("SELECT 1"), PING.to_vec(), query("SELECT 2")].concat());
    kit.response([rows(1, &[b"\x01x"], true, 2), packet(1, OK), packet(1, &error(1064, "42000", ""))].concat());
    let status: Vec<_> = kit.brief().split(", ").map(|one| one.rsplit(' ').next().unwrap().to_string()).collect();
    assert_eq!((status.join(" ").as_str(), kit.count.lost()), ("OK OK 1064", 0));
}

#[test]
fn packets_of_16_mib_are_one_message() {
    let full = 0xff_ffff;
    let mut kit = Kit::default();
    let mut first = packet(0, b"\x03INSERT INTO t VALUES ('");
    first[..3].copy_from_slice(&[0xff; 3]);
    kit.request(&first);
    kit.request(vec![b'x'; full - (first.len() - 4)]);
    kit.request(packet(1, b"x')"));
    kit.response(packet(2, OK));
    // A row of more than 16 MiB: it looks like the end of the rows, but for its length.
    kit.request(query("SELECT 1"));
    kit.response(packets(1, &[b"\x01", COLUMN, EOF]));
    kit.response(b"\xff\xff\xff\x04\xfe\0\0\0\x01\0\0\0\0");
    kit.feed(Direction::Response, Bytes::Skipped(full as u64 - 9));
    kit.response(packets(5, &[b"rest", EOF]));
    kit.ask(PING, packet(1, OK));
    assert_eq!((kit.out.len(), kit.count.lost()), (3, 0), "{}", kit.brief());
    assert_eq!(kit.out[0].request_bytes, full as u64 + 4 + 7);
    assert_eq!(kit.attribute(1, "db.response.returned_rows").as_deref(), Some("1"));
}

#[test]
fn a_server_that_ends_an_idle_connection_answers_nobody() {
    let mut kit = Kit::default();
    kit.ask(PING, packet(1, OK));
    kit.response(packet(0, &error(4031, "HY000", "The client was disconnected by the server")));
    kit.close(End::Closed);
    assert_eq!((kit.brief().as_str(), kit.count.lost()), ("PING OK", 0));
}

/// Numbers of packets begin anew behind 255, and a row may begin with any byte below 0xfe.
#[test]
fn rows_are_counted_in_one_piece_and_in_many() {
    let values: Vec<Vec<u8>> = (0..700u32).map(|n| vec![(n % 0xfe) as u8; 1 + n as usize % 40]).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let mut payloads = vec![&b"\x01"[..], COLUMN, EOF];
    payloads.extend(values);
    payloads.push(EOF);
    let answer: Vec<u8> = payloads.iter().enumerate().flat_map(|(n, payload)| packet((n + 1) as u8, payload)).collect();
    for size in [answer.len(), 1, 3, 5, 50, 4096] {
        let mut kit = Kit::default();
        kit.request(query("SELECT a FROM t"));
        for piece in answer.chunks(size) {
            kit.response(piece);
        }
        kit.ask(PING, packet(1, OK));
        assert_eq!((kit.count.lost(), kit.brief()), (0, "SELECT a FROM t OK, PING OK".to_owned()), "{size}");
        assert_eq!(kit.attribute(0, "db.response.returned_rows").as_deref(), Some("700"), "{size}");
        assert_eq!(kit.out[0].response_bytes, answer.len() as u64, "{size}");
    }
}

#[test]
fn an_error_has_the_name_that_its_server_gives_it() {
    for (version, code, name) in [
        ("8.0.36", 1064, Some("ER_PARSE_ERROR")),
        ("11.4.2-MariaDB", 1064, Some("ER_PARSE_ERROR")),
        ("8.0.36", 3819, Some("ER_CHECK_CONSTRAINT_VIOLATED")),
        ("8.0.36", 4025, None),
        ("11.4.2-MariaDB", 4025, Some("ER_CONSTRAINT_FAILED")),
        ("8.0.36", 65000, None),
    ] {
        let mut kit = Kit::default();
        kit.response(greeting(version));
        kit.ask(login(0, "shop"), packet(2, OK));
        kit.ask(query("SELECT 1"), packet(1, &error(code, "HY000", "why")));
        assert_eq!(kit.attribute(1, "steth.status.name").as_deref(), name, "{version} {code}");
        assert_eq!(kit.attribute(0, "steth.status.name"), None);
    }
}

#[test]
fn a_schema_that_is_chosen_among_other_statements_is_in_use_behind_them() {
    for (text, schema) in [
        ("SELECT 1; USE x", Some("x")),
        ("USE x; SELECT 1", Some("x")),
        ("use x; use y;", Some("y")),
        ("SELECT 'a; USE x'; SELECT 1", Some("shop")),
        ("SELECT 1; USE `a``b`", None),
    ] {
        let mut kit = Kit::default();
        kit.response(greeting("8.0.36"));
        kit.ask(login(0, "shop"), packet(2, OK));
        kit.ask(query(text), packet(1, OK));
        kit.ask(PING, packet(1, OK));
        assert_eq!(kit.attribute(2, "db.namespace").as_deref(), schema, "{text}");
    }
}
