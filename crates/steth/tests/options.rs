//! What the options select, and what is said of what was not seen.

use crate::lab;
use crate::lab::process::command;
use crate::lab::{Nginx, Python, Steth, ab, alone, curl, kept, wait_until};
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use steth_query::{Dimension, Filter};

fn steth() -> Command {
    command(env!("CARGO_BIN_EXE_steth"))
}

fn objects(output: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn pid_shows_that_process_and_nobody_else() {
    root_or_skip!();
    let _alone = alone();
    let (nginx, other) = (Nginx::start(), Nginx::start());
    let worker = nginx.workers()[0];
    let agent = Steth::watch(&["--pid", &worker.to_string()]);
    assert_eq!(ab(other.port, "/", 50, 2, true).requests, 50);
    assert_eq!(ab(nginx.port, "/", 50, 2, true).requests, 50);
    agent.wait_for_exchanges(50, Duration::from_secs(5));
    let seen = agent.finish();
    assert_eq!((seen.side("server").count(), seen.side("client").count()), (50, 0));
    assert!(seen.exchanges.iter().all(|e| e["server"]["pid"] == worker), "{:?}", seen.exchanges.first());
    assert!(seen.ledger["chunks"]["unselected"].as_u64() > Some(0), "{}", seen.ledger);
}

#[test]
fn slow_shows_what_took_at_least_so_long() {
    root_or_skip!();
    let _alone = alone();
    let python = Python::start();
    let agent = Steth::watch(&["--slow", "40ms", "--port", &python.port.to_string()]);
    let get = |path: &str| curl(&[&format!("http://127.0.0.1:{}{path}", python.port)]).status;
    assert_eq!((get("/"), get("/slow"), get("/")), (200, 200, 200));
    agent.wait_for_exchanges(2, Duration::from_secs(5));
    let seen = agent.finish();
    let operations: Vec<_> = seen.exchanges.iter().map(|e| e["operation"].clone()).collect();
    assert_eq!(operations, ["GET /slow", "GET /slow"], "both sides of the slow one");
    assert_eq!(seen.ledger["exchanges"]["reported"], 6, "what is not shown is counted all the same");
}

#[test]
fn a_time_limit_ends_the_watch_by_itself() {
    root_or_skip!();
    let _alone = alone();
    let output = steth().args(["watch", "--json", "--for", "1s"]).output().expect("it runs");
    assert!(output.status.success());
    assert_eq!(objects(&output.stdout).last().expect("a last line")["type"], "ledger");
}

/// What it says goes to a log that others read and write, too. A line in pieces is half a line to the one and torn by the other.
#[test]
fn a_line_that_it_says_is_written_at_once() {
    let (ours, theirs) = nix::sys::socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket, // hands over each write by itself
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .expect("two sockets");
    let status = steth().args(["replay", "/nowhere/no.recording"]).stderr(theirs).status().expect("it runs");
    assert!(!status.success());
    let mut written = [0; 4096];
    let length = nix::unistd::read(&ours, &mut written).expect("it said something");
    let first = String::from_utf8_lossy(&written[..length]);
    assert!(first.starts_with("steth: ") && first.contains("/nowhere") && first.ends_with('\n'), "{first:?}");
}

/// Raw sockets have no connection to keep a state for. That is no lack of room.
#[test]
fn sockets_of_other_kinds_are_not_called_lost() {
    root_or_skip!();
    let _alone = alone();
    // An echo request to this machine: a checksum of its header, then the kernel's answer.
    let script = "import socket\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n\
        s.settimeout(5)\n\
        s.sendto(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]), ('127.0.0.1', 0))\n\
        s.recv(100)\n";
    let python = lab::runtimes::python();
    let ping = steth().args(["watch", "--json", "--"]).arg(python).args(["-c", script]).output().expect("it runs");
    assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stderr));
    let ledger = objects(&ping.stdout).pop().expect("a ledger");
    assert_eq!(ledger["chunks"]["lost"], 0, "{ledger}");
    assert!(ledger["chunks"]["other_sockets"].as_u64() >= Some(2), "{ledger}");
}

#[test]
fn a_capture_of_an_unknown_link_says_so_and_counts_its_packets() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("odd.pcap");
    // Link type 147 is reserved for private use.
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 147, 0, 0, 0];
    for second in 1..=3u8 {
        bytes.extend([second, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    }
    std::fs::write(&file, bytes).expect("a file");
    let output = steth().args(["replay", "--json"]).arg(&file).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("147"), "{errors}");
    let ledger = objects(&output.stdout).pop().expect("a ledger");
    assert_eq!(ledger["capture"]["packets"], 3, "{ledger}");
    assert_eq!(ledger["capture"]["skipped"]["link_type"], 3, "{ledger}");
}

#[test]
fn windows_of_a_recording_hold_the_exchanges_that_were_printed_each_in_its_time() {
    for name in ["http-keepalive.pcapng", "redis-pipeline.pcap", "mysql-text.pcap", "dns-unbound.pcap"] {
        let file = [env!("CARGO_MANIFEST_DIR"), "/../../recordings/", name].concat();
        let dir = tempfile::tempdir().expect("a temporary directory");
        let output = steth().args(["replay", "--json", "--data"]).arg(dir.path()).arg(&file).output().expect("it runs");
        let printed = objects(&output.stdout);
        let (groups, folded) = kept(dir.path(), Filter::default(), &[Dimension::Operation]);
        let exchanges = || printed.iter().filter(|line| line["type"] == "exchange");
        assert!(exchanges().count() > 0, "{name}");
        let count: u64 = groups.iter().map(|group| group.sums.count).sum();
        assert_eq!(count, exchanges().count() as u64, "{name}");
        let durations: u64 = exchanges().map(|e| e["duration_ns"].as_u64().expect("a number")).sum();
        let sum: u64 = groups.iter().map(|group| group.sums.duration.sum()).sum();
        assert_eq!((sum, folded.misdated), (durations, 0), "{name}");
    }
}

#[test]
fn hook_runs_that_the_kernel_skipped_are_in_the_ledger() {
    root_or_skip!();
    let _alone = alone();
    let agent = Steth::watch(&[]);
    wait_until("it watches", Duration::from_secs(1), || agent.errors().contains("watching"));
    let seen = agent.finish();
    assert!(seen.ledger["records"]["hook_runs_missed"].is_u64(), "{}", seen.ledger);
}
