//! Recordings of MariaDB through the whole pipeline: what comes out is what stands beside them. `dissector.rs` compares it
//! with what tshark finds.

use serde_json::Value;
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
