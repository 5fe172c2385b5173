//! Routes of HTTP: the user's rules, and how many a service may have.

use crate::lab::process::{Process, command};
use crate::lab::{Nginx, Python, Steth, alone, curl, free_port, together, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn steth() -> Command {
    command(env!("CARGO_BIN_EXE_steth"))
}

fn configured(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("steth.yaml");
    std::fs::write(&file, text).expect("a file");
    file
}

fn ask(port: u16, path: &str) -> Vec<u8> {
    curl(&[&format!("http://127.0.0.1:{port}{path}")]).body
}

/// Asks for so many different paths, made of letters only, over one connection; some hundred at a time.
fn flood(port: u16, paths: usize) {
    const BATCH: usize = 200;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    let path = |n: usize| [letter(n / 17_576), letter(n / 676), letter(n / 26), letter(n)].iter().collect::<String>();
    let mut buffer = vec![0; 1 << 16];
    for batch in (0..paths).step_by(BATCH) {
        let requests =
            (batch..paths.min(batch + BATCH)).map(|n| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", path(n)));
        stream.write_all(requests.collect::<String>().as_bytes()).expect("the server reads");
        let (mut got, mut answers) = (Vec::new(), 0);
        while answers < paths.min(batch + BATCH) - batch {
            let n = stream.read(&mut buffer).expect("the server answers");
            assert!(n > 0, "the server has closed");
            got.extend_from_slice(&buffer[..n]);
            answers = String::from_utf8_lossy(&got).matches("</html>").count();
        }
    }
}

#[test]
fn a_service_that_is_asked_for_too_many_paths_leaves_the_others_theirs() {
    root_or_skip!();
    let _alone = alone();
    let (nginx, python, port) = (Nginx::start(), Python::start(), free_port());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = configured(dir.path(), "http:\n  routes_per_service: 100\n  routes: [/status/*code]\n");
    let mut run = steth();
    run.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file);
    let mut agent = Process::spawn("run", &mut run, dir.path());
    agent.wait_for("it is watching", 20 * SECOND, || agent.errors().contains("watching"));

    // More than there is room for names of all services.
    const PATHS: usize = 40_000;
    flood(nginx.port, PATHS);
    ask(python.port, "/never/seen/before");
    ask(python.port, "/status/204");

    let operations = |of: u16| -> Vec<(String, usize)> {
        let query = format!("/api/v1/top?by=operations&last=10m&limit=1000&side=server&port={of}");
        let json: Value = serde_json::from_slice(&ask(port, &query)).expect("JSON");
        let operations = json["data"]["operations"].as_array().map_or(&[][..], |all| all);
        let one = |operation: &Value| {
            let count = operation["signals"]["server"]["count"].as_u64().unwrap_or(0);
            (operation["operation"].as_str().expect("text").to_owned(), count as usize)
        };
        operations.iter().map(one).collect()
    };
    let all = |of: u16, n: usize| operations(of).iter().map(|(_, count)| count).sum::<usize>() == n;
    wait_until("all of it is counted", 40 * SECOND, || all(nginx.port, PATHS) && all(python.port, 2));

    let busy = operations(nginx.port);
    assert_eq!(busy.len(), 101, "{busy:?}");
    assert_eq!(busy[0], ("GET *".to_owned(), PATHS - 100), "the method is kept");
    assert!(busy[1].0.starts_with("GET /"), "{:?}", busy[1]);

    let mut quiet = operations(python.port);
    quiet.sort();
    assert_eq!(quiet, [("GET /never/seen/before".to_owned(), 1), ("GET /status/*code".to_owned(), 1)]);

    let metrics = String::from_utf8(ask(port, "/metrics")).expect("text");
    let folded = |what: &str| -> f64 {
        let line = format!("steth_folded_total{{what=\"{what}\"}} ");
        metrics.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok()).unwrap_or_else(|| panic!("{what}: {metrics}"))
    };
    assert!(folded("HTTP routes") >= 2.0 * (PATHS - 100) as f64, "at both ends");
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait_for_end(10 * SECOND).success(), "{}", agent.errors());
}

#[test]
fn a_rule_names_the_route_in_watch_and_in_replay() {
    root_or_skip!();
    let _together = together();
    let (python, dir) = (Python::start(), tempfile::tempdir().expect("a temporary directory"));
    let rules = "http:\n  routes: ['localhost/status/{ours}', '/status/{code}', '/*all']\n";
    let file = configured(dir.path(), rules);
    let (port, recording) = (python.port.to_string(), dir.path().join("r.steth"));
    let mut recorder =
        Process::spawn("record", steth().args(["record", "--port", &port, "-o"]).arg(&recording), dir.path());
    recorder.wait_for("it is watching", 20 * SECOND, || recorder.errors().contains("watching"));
    let config = file.to_str().expect("text");
    let watch = Steth::watch(&["--port", &port, "--config", config]);
    ask(python.port, "/status/200");
    curl(&["-H", "Host: LOCALHOST:80", &format!("http://127.0.0.1:{port}/status/201")]);
    // Over one connection: the service may get its final name behind the first ones, and its final share with it.
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, python.port)).expect("the server accepts");
    for path in ["/status/204", "/other/42?page=3"] {
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("the server reads");
        assert!(stream.read(&mut [0; 4096]).expect("the server answers") > 0);
    }
    drop(stream);
    watch.settle(Duration::from_millis(300));
    let seen = watch.finish();
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait_for_end(10 * SECOND).success());

    let operations = |exchanges: &[Value]| -> Vec<String> {
        let mut ours: Vec<_> = exchanges.iter().filter(|e| e["side"] == "server").collect();
        // Those of a process that is being looked up come behind those of one that is known.
        ours.sort_by_key(|e| e["time"].as_str().unwrap_or_default().to_owned());
        ours.into_iter().map(|e| e["operation"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let expected = ["GET /status/{code}", "GET /status/{ours}", "GET /status/{code}", "GET /*all"];
    assert_eq!(operations(&seen.exchanges), expected);
    assert_eq!(
        seen.exchanges.iter().find(|e| e["side"] == "server").expect("one")["attributes"]["http.route"],
        "/status/{code}"
    );

    let replay = |arguments: &[&str]| -> Vec<Value> {
        let output = steth().args(["replay", "--json"]).arg(&recording).args(arguments).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    assert_eq!(operations(&replay(&["--config", config])), expected);
    assert_eq!(
        operations(&replay(&[])),
        ["GET /status/{id}", "GET /status/{id}", "GET /status/{id}", "GET /other/{id}"]
    );
    let file = configured(dir.path(), "http:\n  routes_per_service: 1\n");
    let folded = replay(&["--config", file.to_str().expect("text")]);
    assert_eq!(operations(&folded), ["GET /status/{id}", "GET /status/{id}", "GET /status/{id}", "GET *"]);
    let limits = &folded.last().expect("the ledger")["limits"];
    assert_eq!(limits["routes_folded"], 2, "at both ends: {limits}");
    assert!(
        ["names_folded", "digests_folded", "domains_folded", "hosts"].iter().all(|key| limits[key].is_u64()),
        "{limits}"
    );
}

#[test]
fn a_wrong_rule_is_named_with_its_place_by_every_command_that_reads_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = configured(dir.path(), "http:\n  routes: ['/fine', '/a/*b/c']\n");
    for arguments in [&["run"][..], &["watch"], &["replay", "/dev/null"]] {
        let output = steth().args(arguments).arg("--config").arg(&file).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        let told = errors.contains("http.routes: rule 2")
            && errors.contains("must come last")
            && errors.contains("steth.yaml");
        assert!(!output.status.success() && told, "{arguments:?}: {errors}");
    }
}
