//! Every recording as an independent dissector reads it: the same requests, statuses and counts from tshark and from the
//! replay. One row of [`TABLE`] is a recording and a protocol in it; what tshark does not see, or sees wrongly, stands there.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How often something was found.
type Counts = BTreeMap<String, u64>;
/// The fields of a packet, each with as many values as it occurs in it.
type Packet = Vec<Vec<String>>;

struct Row {
    recording: &'static str,
    /// As the replay calls it.
    protocol: &'static str,
    /// tshark's filter, and what it must be told of a port that is not the usual one.
    filter: &'static str,
    decode_as: Option<&'static str>,
    fields: &'static [&'static str],
    theirs: fn(&[Packet]) -> Counts,
    ours: fn(&[Value]) -> Counts,
    /// Where the two are not compared, and why.
    but: &'static str,
}

const HTTP: &[&str] = &["http.request.method", "http.request.uri", "http.response.code"];
const DNS: &[&str] = &["dns.flags.response", "dns.qry.name", "dns.qry.type", "dns.flags.rcode"];
const RESP: &[&str] =
    &["tcp.dstport", "resp.array.length", "resp.bulk_string.value", "resp.string", "resp.integer", "resp.error"];
const MYSQL: &[&str] = &[
    "tcp.stream",
    "mysql.command",
    "mysql.query",
    "mysql.stmt_id",
    "mysql.error_code",
    "mysql.affected_rows",
    "mysql.login_request",
];
const PGSQL: &[&str] = &["pgsql.frontend", "pgsql.type", "pgsql.tag", "pgsql.code"];

const TABLE: [Row; 7] = [
    Row {
        recording: "http-keepalive.pcapng",
        protocol: "http",
        filter: "http",
        decode_as: None,
        fields: HTTP,
        theirs: http_theirs,
        ours: http_ours,
        but: "",
    },
    Row {
        recording: "dns-unbound.pcap",
        protocol: "http",
        filter: "http",
        decode_as: None,
        fields: HTTP,
        theirs: http_theirs,
        ours: http_ours,
        but: "",
    },
    Row {
        recording: "redis-pipeline.pcap",
        protocol: "redis",
        filter: "resp",
        decode_as: Some("tcp.port==31798,resp"),
        fields: RESP,
        theirs: redis_theirs,
        ours: redis_ours,
        but: "the reply to each command by itself: resp.* are lists by type, whose order among each other is lost",
    },
    Row {
        recording: "dns-unbound.pcap",
        protocol: "dns",
        filter: "dns",
        decode_as: None,
        fields: DNS,
        theirs: dns_theirs,
        ours: dns_ours,
        but: "which queries are repetitions: to tshark each is one by itself, so attempts are counted here",
    },
    Row {
        recording: "mysql-text.pcap",
        protocol: "mysql",
        filter: "mysql",
        decode_as: Some("tcp.port==13306,mysql"),
        fields: MYSQL,
        theirs: mysql_theirs,
        ours: mysql_ours,
        but: "the contents of a local file: their first byte is to mysql.command a command (49, a digit)",
    },
    Row {
        recording: "mysql-prepared.pcap",
        protocol: "mysql",
        filter: "mysql",
        decode_as: Some("tcp.port==13306,mysql"),
        fields: MYSQL,
        theirs: mysql_theirs,
        ours: mysql_ours,
        but: "rows of result sets: tshark does not count them",
    },
    Row {
        recording: "postgresql.pcap",
        protocol: "postgresql",
        filter: "pgsql",
        decode_as: Some("tcp.port==7543,pgsql"),
        fields: PGSQL,
        theirs: postgresql_theirs,
        ours: postgresql_ours,
        but: "statements by their text: an Execute names a portal, so completions are compared by their tag",
    },
];

#[test]
fn recordings_give_what_tshark_gives() {
    for row in &TABLE {
        let (theirs, ours) = ((row.theirs)(&dissected(row)), (row.ours)(&replayed(row)));
        assert!(theirs.len() > 1, "{}: tshark found {theirs:?}", row.recording);
        let only = |a: &Counts, b: &Counts| {
            a.iter()
                .filter(|(what, n)| b.get(*what) != Some(*n))
                .map(|(what, n)| format!("{n} {what}"))
                .collect::<Vec<_>>()
        };
        let (more, less) = (only(&theirs, &ours), only(&ours, &theirs));
        assert_eq!(theirs, ours, "{}: tshark {more:?}, steth {less:?}; not compared: {}", row.recording, row.but);
    }
}

/// No recording is left out.
#[test]
fn the_table_names_every_recording() {
    for entry in std::fs::read_dir(path("")).expect("the recordings") {
        let name = entry.expect("a file").file_name().to_string_lossy().into_owned();
        let is_named = TABLE.iter().any(|row| row.recording == name);
        assert!(is_named || !name.contains(".pcap"), "{name} is not compared with tshark");
    }
}

fn path(recording: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings").join(recording)
}

fn dissected(row: &Row) -> Vec<Packet> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(path(row.recording)).args(["-Y", row.filter, "-T", "fields"]);
    tshark.args(row.decode_as.into_iter().flat_map(|rule| ["-d", rule]));
    tshark.args(["-E", "occurrence=a", "-E", "aggregator=|"]).args(row.fields.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output().expect("tshark runs; `scripts/setup test` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let values = |column: &str| column.split('|').filter(|value| !value.is_empty()).map(String::from).collect();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split('\t').map(values).collect()).collect()
}

fn replayed(row: &Row) -> Vec<Value> {
    let mut steth = Command::new(env!("CARGO_BIN_EXE_steth"));
    let output = steth.args(["replay", "--json"]).arg(path(row.recording)).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ledger = lines.iter().find(|line| line["type"] == "ledger").expect("a ledger");
    assert_eq!(ledger["exchanges"]["lost"], 0, "{ledger}");
    lines.into_iter().filter(|line| line["type"] == "exchange" && line["protocol"] == row.protocol).collect()
}

fn add(counts: &mut Counts, what: impl Into<String>, n: u64) {
    if n > 0 {
        *counts.entry(what.into()).or_default() += n;
    }
}

fn operation(exchange: &Value) -> &str {
    exchange["operation"].as_str().unwrap_or_default()
}

fn verb(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

// ---- HTTP: each request with its target, each status

fn http_theirs(packets: &[Packet]) -> Counts {
    let mut counts = Counts::new();
    for packet in packets {
        let [methods, targets, codes] = &packet[..] else { panic!("{packet:?}") };
        methods.iter().zip(targets).for_each(|(method, target)| add(&mut counts, format!("{method} {target}"), 1));
        codes.iter().for_each(|code| add(&mut counts, code, 1));
    }
    counts
}

fn http_ours(exchanges: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for e in exchanges {
        add(&mut counts, operation(e), 1);
        add(&mut counts, e["status"].to_string(), 1);
    }
    counts
}

// ---- Redis: each command by its name, each reply that is no error, each error by its first word

fn redis_theirs(packets: &[Packet]) -> Counts {
    let mut counts = Counts::new();
    for packet in packets {
        let [port, arrays, bulk, simple, integers, errors] = &packet[..] else { panic!("{packet:?}") };
        if port[0] != "31798" {
            add(&mut counts, "replies", (bulk.len() + simple.len() + integers.len()) as u64);
            errors.iter().for_each(|error| add(&mut counts, verb(error), 1));
            continue;
        }
        let mut rest = bulk.iter();
        for length in arrays {
            let name = rest.next().expect("a command has a name");
            let bytes = name.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned());
            let letters = bytes.map(|pair| char::from(u8::from_str_radix(&pair, 16).expect("hexadecimal")));
            add(&mut counts, letters.collect::<String>().to_ascii_uppercase(), 1);
            let arguments = length.parse::<usize>().expect("a number") - 1;
            assert_eq!(rest.by_ref().take(arguments).count(), arguments, "{name}");
        }
    }
    counts
}

fn redis_ours(exchanges: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for e in exchanges {
        add(&mut counts, operation(e), 1);
        let status = e["status"].as_str().unwrap_or_default();
        add(&mut counts, if status == "OK" { "replies" } else { status }, 1);
    }
    counts
}

// ---- DNS: each query and each answer with name and type, the answers with their code

fn dns_theirs(packets: &[Packet]) -> Counts {
    let mut counts = Counts::new();
    for packet in packets {
        let [response, names, kinds, codes] = &packet[..] else { panic!("{packet:?}") };
        let mut codes = codes.iter();
        // Several messages in one packet: a value each, of the code only for those that are answers.
        for (n, name) in names.iter().enumerate() {
            let kind = match kinds[n].as_str() {
                "1" => "A",
                "16" => "TXT",
                "28" => "AAAA",
                other => other,
            };
            let asked = response[n] == "0" || response[n] == "False";
            let what = if asked { "asked" } else { codes.next().expect("an answer has a code") };
            add(&mut counts, format!("{kind} {name} {what}"), 1);
        }
    }
    counts
}

fn dns_ours(exchanges: &[Value]) -> Counts {
    const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    let mut counts = Counts::new();
    for e in exchanges {
        let attempts = e["attributes"]["steth.dns.attempts"].as_u64().unwrap_or(1);
        add(&mut counts, format!("{} asked", operation(e)), attempts);
        if let Some(code) = CODES.iter().position(|code| e["status"] == *code) {
            add(&mut counts, format!("{} {code}", operation(e)), 1);
        }
    }
    counts
}

// ---- MySQL: each command, statements by their verb, each error by its code, the rows that were affected

fn mysql_theirs(packets: &[Packet]) -> Counts {
    let mut counts = Counts::new();
    let (mut preparing, mut prepared) = (BTreeMap::<String, String>::new(), BTreeMap::<[String; 2], String>::new());
    for packet in packets {
        let [stream, commands, queries, statements, errors, affected, logins] = &packet[..] else {
            panic!("{packet:?}")
        };
        let stream = &stream[0];
        let query = queries.first().map(|query| verb(query)).unwrap_or_default();
        if let ([], [id, ..], Some(verb)) = (&commands[..], &statements[..], preparing.remove(stream)) {
            prepared.insert([stream.clone(), id.clone()], verb);
        }
        for (n, command) in commands.iter().enumerate() {
            let what = match command.parse::<u8>().expect("a number") {
                1 => "QUIT".into(),
                2 => "INIT_DB".into(),
                3 => query.clone(),
                14 => "PING".into(),
                22 => {
                    preparing.insert(stream.clone(), query.clone());
                    "PREPARE".into()
                }
                23 => prepared[&[stream.clone(), statements[n].clone()]].clone(),
                25 => "STMT_CLOSE".into(),
                // No command has this number: see the table.
                33.. => continue,
                other => format!("command {other}"),
            };
            add(&mut counts, what, 1);
        }
        errors.iter().for_each(|error| add(&mut counts, format!("error {error}"), 1));
        affected.iter().for_each(|rows| add(&mut counts, "rows affected", rows.parse().expect("a number")));
        add(&mut counts, "CONNECT", logins.len() as u64);
    }
    counts
}

fn mysql_ours(exchanges: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for e in exchanges {
        add(&mut counts, verb(operation(e)), 1);
        if let Some(code) = e["status"].as_u64() {
            add(&mut counts, format!("error {code}"), 1);
        }
        add(&mut counts, "rows affected", e["attributes"]["mysql.affected_rows"].as_u64().unwrap_or(0));
    }
    counts
}

// ---- PostgreSQL: each connection, cancel, completion by its tag's verb, error by its code

fn postgresql_theirs(packets: &[Packet]) -> Counts {
    let mut counts = Counts::new();
    for packet in packets {
        let [_, kinds, tags, codes] = &packet[..] else { panic!("{packet:?}") };
        let of = |kind: &str| kinds.iter().filter(|it| *it == kind).count() as u64;
        add(&mut counts, "CONNECT", of("Startup message"));
        add(&mut counts, "CANCEL", of("Cancel request"));
        tags.iter().for_each(|tag| add(&mut counts, format!("{} done", verb(tag)), 1));
        // A notice has a code, too.
        codes.iter().filter(|code| *code != "00000").for_each(|code| add(&mut counts, format!("error {code}"), 1));
        add(&mut counts, "errors", of("Error"));
        add(&mut counts, "completions", of("Command completion"));
    }
    counts
}

fn postgresql_ours(exchanges: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for e in exchanges {
        let is_statement = !matches!(operation(e), "CONNECT" | "CANCEL");
        add(&mut counts, operation(e), u64::from(!is_statement));
        if is_statement && e["status"] == "OK" {
            add(&mut counts, format!("{} done", verb(operation(e))), 1);
            add(&mut counts, "completions", 1);
        }
        if let Some(code) = e["attributes"]["db.response.status_code"].as_str() {
            assert_eq!((&e["attributes"]["error.type"], &e["status"]), (&code.into(), &code.into()));
            add(&mut counts, format!("error {code}"), 1);
            add(&mut counts, "errors", 1);
        }
    }
    counts
}
