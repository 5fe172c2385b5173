//! Conversations by the specification, as tables.

mod gaps;
mod kit;
mod limits;
mod property;
mod start;
mod strings;

use crate::parser::Parser as _;
use crate::{Direction, End, Outcome, State};
use kit::*;
use steth_ledger::Lost;

/// Messages one after another.
macro_rules! all {
    ($($part:expr),* $(,)?) => { [$($part.to_vec()),*].concat() };
}
use all;

/// Requests, their answers, and what is reported of it. Each pair is a round: the client waits for the server.
#[test]
fn conversations() {
    type Round = (Vec<u8>, Vec<u8>);
    let table: Vec<(&str, Vec<Round>, &str)> = vec![
        (
            "a query with rows",
            vec![(query("SELECT a FROM t;"), all![columns(), row(b"1"), row(b"2"), complete("SELECT 2"), ready()])],
            "SELECT a FROM t OK",
        ),
        ("an empty query", vec![(query(""), all![done(b'I'), ready()])], " OK"),
        (
            "several statements in one query",
            vec![(
                query("BEGIN; SELECT a FROM t ; COMMIT;"),
                all![complete("BEGIN"), columns(), row(b"1"), complete("SELECT 1"), complete("COMMIT"), ready()],
            )],
            "BEGIN OK, SELECT a FROM t OK, COMMIT OK",
        ),
        (
            "statements behind an error are not run",
            vec![(query("BEGIN; SELECT x FROM t; COMMIT"), all![complete("BEGIN"), error("42703"), ready()])],
            "BEGIN OK, SELECT x FROM t 42703",
        ),
        (
            "a text that cannot be parsed is one failure",
            vec![(query("BEGIN; SELEC; COMMIT"), all![error("42601"), ready()])],
            "BEGIN; SELEC; COMMIT 42601",
        ),
        (
            "a semicolon in quotes separates nothing",
            vec![(query("SELECT a FROM \"a;b\""), all![columns(), complete("SELECT 0"), ready()])],
            "SELECT a FROM \"a;b\" OK",
        ),
        (
            "notices, settings and notifications answer nobody",
            vec![
                (query("SET a TO b"), all![notice(), complete("SET"), message(b'S', b"a\0b\0"), ready()]),
                (query("NOTIFY c"), all![complete("NOTIFY"), notification(), ready(), notification()]),
                (query("COMMIT"), all![notification(), complete("COMMIT"), ready()]),
            ],
            "SET a TO b OK, NOTIFY c OK, COMMIT OK",
        ),
        (
            "the extended protocol",
            vec![(
                all![run("SELECT a FROM t"), sync()],
                all![done(b'1'), done(b'2'), columns(), row(b"x"), complete("SELECT 1"), ready()],
            )],
            "SELECT a FROM t OK",
        ),
        (
            "prepared once, executed twice, closed",
            vec![
                (
                    all![parse("s", "SELECT a FROM t"), describe(b'S', "s"), sync()],
                    all![done(b'1'), message(b't', b"\0\0"), columns(), ready()],
                ),
                (all![bind("", "s"), execute(""), sync()], all![done(b'2'), complete("SELECT 0"), ready()]),
                (all![bind("p", "s"), execute("p"), sync()], all![done(b'2'), complete("SELECT 0"), ready()]),
                (all![close(b'P', "p"), close(b'S', "s"), sync()], all![done(b'3'), done(b'3'), ready()]),
                (all![bind("", "s"), execute(""), sync()], all![error("26000"), ready()]),
            ],
            "SELECT a FROM t OK, SELECT a FROM t OK, EXECUTE (unseen) 26000",
        ),
        (
            "a portal fetched in parts",
            vec![
                (
                    all![parse("", "SELECT a FROM t"), bind("c", ""), execute("c"), done(b'H')],
                    all![done(b'1'), done(b'2'), row(b"1"), row(b"2"), done(b's')],
                ),
                (all![execute("c"), done(b'H')], all![row(b"3"), done(b's')]),
                (all![execute("c"), sync()], all![complete("SELECT 0"), ready()]),
            ],
            "SELECT a FROM t OK, SELECT a FROM t OK, SELECT a FROM t OK",
        ),
        (
            "described first, as a driver does that needs the types",
            vec![
                (
                    all![parse("", "SELECT a FROM t"), describe(b'S', ""), done(b'H')],
                    all![done(b'1'), message(b't', b"\0\0"), columns()],
                ),
                (all![bind("", ""), execute(""), sync()], all![done(b'2'), row(b"1"), complete("SELECT 1"), ready()]),
            ],
            "SELECT a FROM t OK",
        ),
        (
            "many executions before a Sync",
            vec![(
                all![run("INSERT a"), run("INSERT b"), sync(), run("INSERT c"), sync()],
                all![ran("INSERT 0 1"), ran("INSERT 0 1"), ready(), ran("INSERT 0 1"), ready()],
            )],
            "INSERT a OK, INSERT b OK, INSERT c OK",
        ),
        (
            "an error skips to the Sync",
            vec![(
                all![
                    run("INSERT a"),
                    run("INSERT b"),
                    run("INSERT c"),
                    query("SELECT x; SELECT y"),
                    sync(),
                    run("D"),
                    sync()
                ],
                all![
                    ran("INSERT 0 1"),
                    done(b'1'),
                    done(b'2'),
                    done(b'n'),
                    error("23505"),
                    ready(),
                    ran("D 1"),
                    ready()
                ],
            )],
            "INSERT a OK, INSERT b 23505, INSERT c skipped, SELECT x skipped, SELECT y skipped, D OK",
        ),
        (
            "an error in a Parse is the error of its execution",
            vec![(all![run("SELEC"), run("SELECT b"), sync()], all![error("42601"), ready()])],
            "SELEC 42601, SELECT b skipped",
        ),
        (
            "an error in a Parse that leads to no execution",
            vec![
                (all![parse("s", "SELEC"), describe(b'S', "s"), sync()], all![error("42601"), ready()]),
                (
                    all![parse("s", "SELEC"), parse("u", "SELECT u"), bind("", "u"), execute(""), sync()],
                    all![error("42601"), ready()],
                ),
            ],
            "SELEC 42601, SELEC 42601, SELECT u skipped",
        ),
        (
            "an error that reaches the client before it has sent all",
            vec![
                (all![parse("", "SELEC")], all![error("42601")]),
                (all![bind("", ""), execute(""), run("SELECT b"), sync()], ready()),
            ],
            "SELEC 42601, SELECT b skipped",
        ),
        (
            "what was skipped is not prepared",
            vec![
                (all![run("SELEC"), parse("s", "SELECT s"), sync()], all![error("42601"), ready()]),
                (all![bind("", "s"), execute(""), sync()], all![error("26000"), ready()]),
            ],
            "SELEC 42601, EXECUTE (unseen) 26000",
        ),
        (
            "an error at the commit that a Sync brings",
            vec![(
                all![run("INSERT a"), run("INSERT b"), sync()],
                all![ran("INSERT 0 1"), ran("INSERT 0 1"), error("40001"), ready()],
            )],
            "INSERT a OK, INSERT b 40001",
        ),
        (
            "COPY in",
            vec![
                (query("COPY t FROM STDIN"), message(b'G', b"\0\0\0")),
                (all![message(b'd', b"1\n"), message(b'd', b"2\n"), done(b'c')], all![complete("COPY 2"), ready()]),
                (query("COPY t FROM STDIN"), message(b'G', b"\0\0\0")),
                (all![message(b'd', b"1\n"), message(b'f', b"no\0")], all![error("57014"), ready()]),
            ],
            "COPY t FROM STDIN OK, COPY t FROM STDIN 57014",
        ),
        (
            "COPY in by the extended protocol: the first Sync is ignored",
            vec![
                (
                    all![run("COPY t FROM STDIN"), sync()],
                    all![done(b'1'), done(b'2'), done(b'n'), message(b'G', b"\0\0\0")],
                ),
                (all![message(b'd', b"1\n"), sync(), done(b'c'), sync()], all![complete("COPY 1"), ready()]),
                (query("SELECT a"), all![complete("SELECT 0"), ready()]),
            ],
            "COPY t FROM STDIN OK, SELECT a OK",
        ),
        (
            "COPY in whose data is refused",
            vec![
                (
                    all![run("COPY t FROM STDIN"), sync()],
                    all![done(b'1'), done(b'2'), done(b'n'), message(b'G', b"\0\0\0")],
                ),
                (message(b'd', b"x\n"), error("22P02")),
                (all![message(b'd', b"y\n"), done(b'c'), sync()], ready()),
                (query("SELECT a"), all![complete("SELECT 0"), ready()]),
            ],
            "COPY t FROM STDIN 22P02, SELECT a OK",
        ),
        (
            "COPY out",
            vec![(
                query("COPY t TO STDOUT"),
                all![
                    message(b'H', b"\0\0\0"),
                    message(b'd', b"1\n"),
                    message(b'd', b"2\n"),
                    done(b'c'),
                    complete("COPY 2"),
                    ready()
                ],
            )],
            "COPY t TO STDOUT OK",
        ),
        (
            "function calls",
            vec![
                (message(b'F', b"\0\0\0\x63\0\0\0\0\0\0"), all![message(b'V', b"\0\0\0\x01x"), ready()]),
                (message(b'F', b"\0\0\0\x63\0\0\0\0\0\0"), all![error("42883"), ready()]),
            ],
            "FUNCTION CALL OK, FUNCTION CALL 42883",
        ),
        (
            "a Sync alone",
            vec![(sync(), ready()), (query("SELECT a"), all![complete("SELECT 0"), ready()])],
            "SELECT a OK",
        ),
        (
            "simple queries in a pipeline",
            vec![(
                all![query("SELECT a"), query("SELECT b")],
                all![complete("SELECT 0"), ready(), error("42703"), ready()],
            )],
            "SELECT a OK, SELECT b 42703",
        ),
        (
            "the server ends the session",
            vec![(query("SELECT a"), all![complete("SELECT 0"), ready()]), (vec![], fatal("57P01"))],
            "SELECT a OK",
        ),
    ];
    for (name, rounds, expected) in table {
        let mut kit = Kit::started();
        for (requests, responses) in &rounds {
            if !requests.is_empty() {
                kit.request(requests);
            }
            kit.response(responses);
        }
        assert_eq!(kit.session.pending(), 0, "{name}");
        kit.close(End::Closed);
        assert_eq!(kit.brief(), expected, "{name}");
        assert_eq!((kit.count.lost(), kit.session.state()), (0, State::Parsing), "{name}");
    }
}

#[test]
fn attributes() {
    let mut kit = Kit::started();
    kit.request(query("SELECT a FROM t"));
    kit.response(all![columns(), row(b"1"), complete("SELECT 1"), message(b'Z', b"T")]);
    kit.request(query("DELETE FROM t")).response(all![complete("DELETE 7"), message(b'Z', b"T")]);
    kit.request(all![run("INSERT a"), sync()]);
    kit.response(all![
        done(b'1'),
        done(b'2'),
        done(b'n'),
        row(b"1"),
        row(b"2"),
        complete("INSERT 0 2"),
        message(b'Z', b"T")
    ]);
    kit.request(query("SELECT b")).response(all![error("42703"), message(b'Z', b"E")]);
    kit.request(query("ROLLBACK")).response(all![complete("ROLLBACK"), ready()]);
    kit.request(query("SELECT w")).response(all![error("01000"), ready()]);
    let all = |n: usize| {
        let mut all = String::new();
        kit.out[n].attributes(crate::Side::Server, &kit.names, &mut |key, value| {
            let value = match value {
                crate::Value::Text(text) => text.into_owned(),
                crate::Value::Number(n) => n.to_string(),
                crate::Value::List(list) => list.join(","),
            };
            if !matches!(key, "db.system.name" | "db.namespace" | "db.query.text" | "db.query.summary") {
                all += &format!("{key}={value} ");
            }
        });
        all
    };
    assert_eq!(all(0), "postgresql.command_tag=SELECT db.response.returned_rows=1 postgresql.transaction_status=open ");
    assert_eq!(
        all(1),
        "postgresql.command_tag=DELETE steth.db.response.affected_rows=7 postgresql.transaction_status=open "
    );
    assert_eq!(all(2), "postgresql.command_tag=INSERT db.response.returned_rows=2 postgresql.transaction_status=open ");
    assert_eq!(
        all(3),
        "postgresql.transaction_status=failed db.response.status_code=42703 error.type=42703 steth.status.name=undefined_column "
    );
    assert_eq!(all(4), "postgresql.command_tag=ROLLBACK postgresql.transaction_status=idle ");
    assert_eq!(all(5), "postgresql.transaction_status=idle steth.status.name=warning ", "a warning is no error");
    for (key, value) in
        [("db.system.name", "postgresql"), ("db.namespace", "shop"), ("db.query.text", "SELECT a FROM t")]
    {
        assert_eq!(kit.attribute(0, key).as_deref(), Some(value));
    }
}

#[test]
fn times_and_sizes_are_those_on_the_wire() {
    let mut kit = Kit::started();
    let at = kit.at;
    let [first, second] = [all![run("SELECT a")], all![bind("", ""), execute("")]];
    kit.request(&first[..10]).request(all![&first[10..], second, sync()]);
    let (one, two) =
        (all![done(b'1'), done(b'2'), done(b'n'), complete("SELECT 0")], all![done(b'2'), complete("SELECT 0")]);
    kit.response(&one[..3]).response(all![&one[3..], notice(), two]).response(ready());
    let (a, b) = (&kit.out[0], &kit.out[1]);
    let times = |e: &crate::Exchange| [e.start, e.request_end, e.first_byte, e.end].map(|time| time - 2);
    assert_eq!((times(a), times(b)), ([1, 2, 3, 4], [2, 2, 4, 4]));
    assert_eq!((a.request_bytes, a.response_bytes), (first.len() as u64, one.len() as u64));
    assert_eq!((b.request_bytes, b.response_bytes), (second.len() as u64, two.len() as u64));
    assert_eq!((a.request_offset, b.request_offset), (at[0], at[0] + first.len() as u64));
    assert_eq!((a.response_offset, b.response_offset), (at[1], at[1] + (one.len() + notice().len()) as u64));
}

#[test]
fn copied_data_is_part_of_the_request() {
    let mut kit = Kit::started();
    let (text, data) = (query("COPY t FROM STDIN"), all![message(b'd', &[b'x'; 3000]), done(b'c')]);
    kit.request(&text).response(message(b'G', b"\0\0\0"));
    kit.request(&data).response(all![complete("COPY 1"), ready()]);
    assert_eq!(kit.out[0].request_bytes, (text.len() + data.len()) as u64);
    assert_eq!(kit.out[0].request_end, kit.time - 1);
}

#[test]
fn statements_of_one_query_share_its_bytes() {
    let mut kit = Kit::started();
    let text = query("BEGIN; COMMIT");
    kit.request(&text).response(all![complete("BEGIN"), complete("COMMIT"), ready()]);
    assert_eq!([kit.out[0].request_bytes, kit.out[1].request_bytes], [text.len() as u64, 0]);
}

#[test]
fn what_was_under_way_when_the_connection_ended() {
    for (end, outcome) in
        [(End::Closed, Outcome::Unanswered), (End::Reset, Outcome::Reset), (End::TimedOut, Outcome::Timeout)]
    {
        let mut kit = Kit::started();
        kit.request(all![query("SELECT a"), &query("SELECT b")[..9]]).response(columns()).close(end);
        let outcomes: Vec<_> = kit.out.iter().map(|e| (e.outcome, e.first_byte > 0, e.truncated)).collect();
        assert_eq!(outcomes, [(outcome, true, true), (outcome, false, true)]);
    }
    let mut kit = Kit::started();
    kit.request(query("SELECT a; SELECT b")).response(complete("SELECT 0")).close(End::Evicted);
    assert_eq!((kit.brief().as_str(), kit.count.lost_by(Lost::Evicted)), ("SELECT a OK", 1));
    // An error that was not followed by anything.
    let mut kit = Kit::started();
    kit.request(all![run("SELECT a"), run("SELECT b"), sync(), run("SELECT c"), sync()]);
    kit.response(all![done(b'1'), fatal("57P01")]).close(End::Closed);
    assert_eq!(kit.brief(), "SELECT a 57P01, SELECT b skipped, SELECT c unanswered");
}

#[test]
fn replication_is_a_stream_of_its_own() {
    let mut kit = Kit::started();
    kit.request(query("START_REPLICATION SLOT s LOGICAL 0/0")).response(message(b'W', b"\0\0\0"));
    assert_eq!(kit.session.state(), State::Opaque);
    assert_eq!((kit.out.len(), kit.out[0].outcome, kit.session.pending()), (1, Outcome::Upgraded, 0));
    kit.feed(Direction::Response, crate::Bytes::Captured(b"\xff\xff\xff\xff\xff"));
    assert_eq!(kit.count.lost(), 0);
}

#[test]
fn an_error_has_the_name_of_its_condition() {
    for (code, name) in [("42P01", Some("undefined_table")), ("40001", Some("serialization_failure")), ("XY123", None)]
    {
        let mut kit = Kit::started();
        kit.request(query("SELECT a FROM t")).response([error(code), ready()].concat());
        kit.request(query("SELECT a FROM t")).response([complete("SELECT 1"), ready()].concat());
        assert_eq!(kit.brief(), format!("SELECT a FROM t {code}, SELECT a FROM t OK"));
        assert_eq!(kit.attribute(0, "steth.status.name").as_deref(), name);
        assert_eq!(kit.attribute(1, "steth.status.name"), None);
    }
}
