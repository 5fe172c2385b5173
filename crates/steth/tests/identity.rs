//! What services are called: the program and not its interpreter, and before that what a process says of itself.

mod lab;

use lab::process::command;
use lab::runtimes::{programs, python};
use lab::{Java, Node, Process, Python, Steth, alone, curl, free_port, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

fn services(exchanges: &[Value], port: u16, end: &str) -> BTreeSet<String> {
    let there = exchanges.iter().filter(|e| e["server"]["port"] == port);
    there.map(|e| e[end]["service"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn a_service_is_called_after_its_program_or_what_it_declares() {
    root_or_skip!();
    let _alone = alone();
    let (node, plain, java) = (Node::start(), Python::start(), Java::start());
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut declared = command(python());
    declared.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=check%20out");
    declared.arg(programs().join("python/server.py")).arg(port.to_string());
    let declared = Process::spawn("declared", &mut declared, dir.path());
    declared.wait_for_port(port);
    let steth = Steth::watch(&[]);
    let expected =
        [(node.port, "server.js"), (plain.port, "server.py"), (java.port, "Server.java"), (port, "check out")];
    for (port, _) in expected {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
    }
    let ours = |exchanges: &[Value]| expected.iter().all(|(port, _)| !services(exchanges, *port, "server").is_empty());
    wait_until("an exchange of each", Duration::from_secs(5), || ours(&steth.exchanges()));
    let seen = steth.finish();
    for (port, name) in expected {
        assert_eq!(services(&seen.exchanges, port, "server"), BTreeSet::from([name.to_owned()]), "on port {port}");
        assert_eq!(services(&seen.exchanges, port, "client"), BTreeSet::from(["curl".to_owned()]), "to port {port}");
    }
    let printed = serde_json::to_string(&seen.exchanges).expect("text");
    assert!(!printed.contains("deployment.environment"), "nothing else of an environment is kept");
}
