//! Recordings of MariaDB through the whole pipeline: what comes out is what stands beside them, and what an independent
//! dissector finds.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const RECORDINGS: [&str; 2] = ["mysql-text", "mysql-prepared"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings").join(name)
}

/// Exchanges and ledger.
fn replay(name: &str) -> (Vec<Value>, Value) {
    let mut steth = Command::new(env!("CARGO_BIN_EXE_steth"));
    let output = steth.args(["replay", "--json"]).arg(path(&format!("{name}.pcap"))).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (exchanges, others) = lines.into_iter().partition(|line| line["type"] == "exchange");
    let others: Vec<Value> = others;
    (exchanges, others.into_iter().find(|line| line["type"] == "ledger").expect("a ledger"))
}

/// `status outcome request_bytes/response_bytes rows affected operation`.
fn line(exchange: &Value) -> String {
    let attribute = |key: &str| exchange["attributes"].get(key).map_or("-".to_string(), Value::to_string);
    let text = |key: &str| exchange[key].as_str().unwrap_or("-").to_string();
    let status = exchange["status"].as_str().map_or(exchange["status"].to_string(), str::to_string);
    format!(
        "{status} {} {}/{} {} {} {}",
        text("outcome"),
        exchange["request_bytes"],
        exchange["response_bytes"],
        attribute("db.response.returned_rows"),
        attribute("steth.db.response.affected_rows"),
        text("operation"),
    )
}

#[test]
fn recordings_give_what_stands_beside_them() {
    for name in RECORDINGS {
        let (exchanges, ledger) = replay(name);
        let golden = path(&format!("{name}.txt"));
        let expected = std::fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{}: {e}", golden.display()));
        let lines: Vec<String> = exchanges.iter().map(line).collect();
        assert!(lines.iter().eq(expected.lines()), "{name} now gives\n{}", lines.join("\n"));
        assert_eq!(ledger["exchanges"]["lost"], 0, "{ledger}");
        assert!(exchanges.iter().all(|e| e["protocol"] == "mysql" && e["attributes"]["db.system.name"] == "mariadb"));
    }
}

/// How often tshark finds each command byte, and each error code.
fn dissected(name: &str) -> (BTreeMap<u64, u64>, BTreeMap<u64, u64>, u64) {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(path(&format!("{name}.pcap"))).args(["-d", "tcp.port==13306,mysql", "-Y", "mysql"]);
    tshark.args(["-T", "fields", "-e", "mysql.command", "-e", "mysql.error_code", "-e", "mysql.login_request"]);
    let output = tshark.output().unwrap_or_else(|e| panic!("tshark: {e}; `scripts/setup test` installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut commands, mut errors, mut logins) = (BTreeMap::new(), BTreeMap::new(), 0);
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut columns = line.split('\t').map(|column| column.split(',').filter_map(|n| n.parse::<u64>().ok()));
        let mut next = |counts: &mut BTreeMap<u64, u64>| {
            columns.next().into_iter().flatten().for_each(|n| *counts.entry(n).or_default() += 1);
        };
        next(&mut commands);
        next(&mut errors);
        logins += columns.next().into_iter().flatten().count() as u64;
    }
    (commands, errors, logins)
}

#[test]
fn an_independent_dissector_finds_the_same() {
    for name in RECORDINGS {
        let (exchanges, _) = replay(name);
        let (mut commands, errors, logins) = dissected(name);
        // The first byte of a local file is to tshark a command that does not exist.
        commands.retain(|&command, _| command <= 0x20);
        let count = |is: &dyn Fn(&str) -> bool| {
            exchanges.iter().filter(|e| is(e["operation"].as_str().unwrap_or_default())).count() as u64
        };
        let of = |command: u64| commands.get(&command).copied().unwrap_or(0);
        let what = format!("{name} {commands:?} {errors:?}");
        assert_eq!(count(&|operation| operation == "CONNECT"), logins, "{what}");
        for (command, operation) in [(0x01, "QUIT"), (0x02, "INIT_DB"), (0x0e, "PING"), (0x19, "STMT_CLOSE")] {
            assert_eq!(count(&|name| name == operation), of(command), "{operation} {what}");
        }
        assert_eq!(count(&|operation| operation.starts_with("PREPARE ")), of(0x16), "{what}");
        // Everything else is a statement, as text or executed.
        assert_eq!(exchanges.len() as u64, logins + commands.values().sum::<u64>(), "{what}");
        let mut codes = BTreeMap::new();
        exchanges.iter().filter_map(|e| e["status"].as_u64()).for_each(|code| *codes.entry(code).or_default() += 1);
        assert_eq!(codes, errors, "{what}");
    }
}
