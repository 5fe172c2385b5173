//! The demo is what it says: the map shows the shop that was started, nothing is lost, and nothing is left behind.

use crate::lab;
use crate::lab::{Agent, Process, alone, free_port, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Who asks whom in the shop: client, server, protocol, and the name of the port in the demo's state.
const EDGES: [(&str, &str, &str, &str); 22] = [
    ("shoppers", "nginx", "http", "nginx"),
    ("nginx", "storefront", "http", "storefront"),
    ("storefront", "dnsmasq", "dns", "dns"),
    ("storefront", "catalog", "http", "catalog"),
    ("storefront", "recommendations", "http", "recommendations"),
    ("storefront", "cart", "http", "cart"),
    ("storefront", "orders", "http", "orders"),
    ("storefront", "shipping", "http", "shipping"),
    ("recommendations", "catalog", "http", "catalog"),
    ("recommendations", "dnsmasq", "dns", "dns"),
    ("catalog", "dnsmasq", "dns", "dns"),
    ("catalog", "mariadbd", "mysql", "mariadb"),
    ("catalog", "redis-server", "redis", "redis"),
    ("cart", "redis-server", "redis", "redis"),
    ("orders", "dnsmasq", "dns", "dns"),
    ("orders", "postgres", "postgresql", "postgresql"),
    ("orders", "redis-server", "redis", "redis"),
    ("orders", "shipping", "http", "shipping"),
    ("orders", "payments", "http", "payments"),
    ("orders", "cart", "http", "cart"),
    ("payments", "dnsmasq", "dns", "dns"),
    ("mailer", "redis-server", "redis", "redis"),
];

/// A running `demo/run`.
struct Demo {
    process: Process,
    /// What it says of itself once everything runs.
    state: Value,
    _dir: TempDir,
}

fn command(state: &Path) -> Command {
    let mut command = lab::process::command(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/run"));
    command.args(["--no-open", "--state"]).arg(state);
    command
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("state");
        let process = Process::spawn("demo", command(&path).args(arguments), dir.path());
        process.wait_for("the shop was open", Duration::from_secs(90), || path.exists());
        let state = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        Self { process, state, _dir: dir }
    }

    fn port(&self, name: &str) -> u64 {
        self.state["ports"][name].as_u64().unwrap_or_else(|| panic!("no port of {name}: {}", self.state))
    }

    fn directory(&self) -> PathBuf {
        self.state["directory"].as_str().expect("its directory").into()
    }

    /// All processes of the demo: each has the directory's name in its arguments or works in it.
    fn processes(&self) -> Vec<String> {
        let (directory, name) = (self.directory(), self.state["directory"].as_str().expect("text"));
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let ours = entries.filter(|entry| {
            let path = entry.path();
            let arguments = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let works_in = std::fs::read_link(path.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&directory));
            works_in || String::from_utf8_lossy(&arguments).contains(name)
        });
        ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name != "self").collect()
    }
}

/// An edge as (client, server, protocol, port).
type Ends = (String, String, String, u64);

/// The edges of exchanges, each with (exchanges, errors) as its preferred end counts them.
fn edges(map: &Value) -> BTreeMap<Ends, (u64, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let of = |edge: &Value| {
        let numbers = &edge["signals"][edge["signals"]["preferred"].as_str().unwrap_or_default()];
        let names = (text(&edge["client_name"]), text(&edge["server_name"]));
        let ends = (names.0, names.1, text(&edge["protocol"]), edge["port"].as_u64().unwrap_or(0));
        (ends, (numbers["count"].as_u64().unwrap_or(0), numbers["errors"].as_u64().unwrap_or(0)))
    };
    // What only books know has no protocol.
    let edges = map["data"]["edges"].as_array().expect("edges").iter();
    edges.filter(|edge| !edge["protocol"].is_null()).map(of).collect()
}

#[test]
fn the_map_is_the_shops_nothing_is_lost_and_interrupted_it_leaves_nothing() {
    root_or_skip!();
    let _alone = alone();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let mut demo = Demo::start(&["--agent", env!("CARGO_BIN_EXE_steth"), "--listen", &listen, "--rate", "60"]);
    let agent = Agent::at(port);
    let expected = EDGES.map(|(client, server, protocol, port)| {
        (client.to_owned(), server.to_owned(), protocol.to_owned(), demo.port(port))
    });
    let failing = expected.iter().find(|edge| edge.1 == "recommendations").expect("it is one of them");
    let begun = Instant::now();
    let found = loop {
        let found = edges(&agent.json("/api/v1/map?last=10m"));
        let missing: Vec<_> = expected.iter().filter(|edge| !found.contains_key(*edge)).collect();
        if missing.is_empty() && found[failing].1 > 0 {
            break found;
        }
        let late = begun.elapsed() > Duration::from_secs(60);
        assert!(!late, "not on the map, or does not fail: {missing:#?}\nof {found:#?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    // Nobody else asks at the shop's ports, and nobody is mistaken for somebody else.
    let own: BTreeSet<u64> =
        demo.state["ports"].as_object().expect("ports").values().filter_map(Value::as_u64).collect();
    // These two ask for names once, when they start: it may be too early or too late.
    let at_start = |edge: &Ends| edge.1 == "dnsmasq" && ["cart", "mailer"].contains(&&*edge.0);
    let strange: Vec<_> =
        found.keys().filter(|edge| own.contains(&edge.3) && !expected.contains(edge) && !at_start(edge)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    // Whoever starts the shop looks whether it is open, and does not knock: only what is meant to fail does.
    let map = agent.json("/api/v1/map?last=10m");
    let meant = BTreeSet::from([("storefront", demo.port("loyalty")), ("orders", demo.port("tax"))]);
    let failed: BTreeSet<(&str, u64)> = (map["data"]["edges"].as_array().expect("edges").iter())
        .filter(|edge| {
            ["refused", "connect_timed_out", "unreachable"]
                .iter()
                .any(|why| edge["books"]["client"][why].as_u64() > Some(0))
        })
        .map(|edge| (edge["client_name"].as_str().unwrap_or_default(), edge["port"].as_u64().unwrap_or_default()))
        .filter(|(_, port)| own.contains(port))
        .collect();
    assert!(failed.is_subset(&meant), "{failed:?} of {meant:?}");
    let health = agent.json("/api/v1/health");
    for (protocol, exchanges) in health["exchanges"].as_object().expect("the ledger") {
        assert_eq!(exchanges["lost"], 0, "{protocol}: {exchanges}");
    }

    assert!(demo.processes().len() >= 16, "{:?}", demo.processes());
    demo.process.signal(Signal::SIGINT);
    let status = demo.process.wait_for_end(Duration::from_secs(30));
    assert!(status.success(), "{}", demo.process.errors());
    assert_eq!(demo.processes(), Vec::<String>::new(), "nothing runs any more");
    assert!(!demo.directory().exists(), "its directory is gone");
    assert!(demo.process.output().contains("exchanges reported, 0 lost"), "{}", demo.process.output());
}

#[test]
fn killed_it_takes_its_programs_with_it() {
    root_or_skip!();
    let _alone = alone();
    let demo = Demo::start(&["--no-agent"]);
    assert!(demo.processes().len() >= 15, "{:?}", demo.processes());
    // It is the program that was killed, so nobody ends its children for it: the kernel does.
    demo.process.signal(Signal::SIGKILL);
    wait_until("nothing runs any more", Duration::from_secs(20), || demo.processes().is_empty());
    std::fs::remove_dir_all(demo.directory()).expect("what a killed demo leaves is its directory");
}

#[test]
fn what_cannot_start_is_said_in_a_line_and_leaves_nothing() {
    root_or_skip!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound").to_string();
    let agent = env!("CARGO_BIN_EXE_steth");
    for (arguments, expected) in [
        (["--agent", "/nowhere/steth", "--listen", "127.0.0.1:1"], "there is no agent at /nowhere/steth"),
        (["--agent", agent, "--listen", &taken], "agent ended before it watched"),
    ] {
        let mut command = command(&dir.path().join("state"));
        let output = command.args(arguments).env("TMPDIR", dir.path()).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 0, "nothing is left");
    }
}
