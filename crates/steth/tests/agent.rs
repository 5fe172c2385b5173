//! The agent itself: it harms nothing, leaves nothing, and tells how it is.

use crate::lab::process::{Process, command};
use crate::lab::{Nginx, RedisServer, Steth, ab, alone, curl, free_port, kept, redis_benchmark, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;
use steth_probe::Inventory;
use steth_query::Filter;
use steth_window::Side;

fn steth() -> Command {
    command(env!("CARGO_BIN_EXE_steth"))
}

fn get(port: u16, path: &str) -> String {
    let got = curl(&[&format!("http://127.0.0.1:{port}{path}")]);
    assert_eq!(got.status, 200, "{path}");
    String::from_utf8_lossy(&got.body).into_owned()
}

#[test]
fn a_stopped_and_a_killed_agent_harm_nothing_and_leave_nothing() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let agent = Steth::watch(&["--port", &nginx.port.to_string()]);
    // By id: other agents come and go on this machine meanwhile.
    let its = Inventory::of_process(agent.pid()).expect("the agent's descriptors");
    assert!(its.programs.len() >= 10 && its.links.len() >= 10 && its.maps.len() >= 5, "{its:?}");
    let left = || its.common(&Inventory::of_kernel().expect("root may ask the kernel"));
    assert_eq!(left(), its);
    agent.signal(Signal::SIGSTOP);
    // More than the ring holds: the kernel side must go on without its reader.
    let said = ab(nginx.port, "/", 30_000, 8, true);
    assert_eq!((said.requests, said.failed), (30_000, 0));
    agent.signal(Signal::SIGKILL);
    drop(agent);
    wait_until("the kernel has let go of everything", Duration::from_secs(10), || left().is_empty());
    assert_eq!(ab(nginx.port, "/", 500, 4, true).failed, 0);
}

#[test]
fn two_agents_see_the_same() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let port = nginx.port.to_string();
    let (one, two) = (Steth::watch(&["--port", &port]), Steth::watch(&["--port", &port]));
    assert_eq!(ab(nginx.port, "/", 1000, 4, true).requests, 1000);
    for agent in [one, two] {
        agent.settle(Duration::from_millis(300));
        let seen = agent.finish();
        assert_eq!((seen.exchanges.len(), &seen.ledger["exchanges"]["lost"]), (2000, &Value::from(0)));
    }
}

#[test]
fn a_command_is_shown_with_its_children_and_nobody_else() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    let other = Process::spawn(
        "noise",
        command("bash").args(["-c", &format!("while :; do curl -s -o /dev/null {url}noise; done")]),
        tempfile::tempdir().expect("a temporary directory").path(),
    );
    let script = format!("curl -s -o /dev/null {url}; curl -s -o /dev/null {url}status/404");
    let output = steth().args(["watch", "--json", "--", "sh", "-c", &script]).output().expect("it runs");
    assert!(!other.ended());
    drop(other);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut exchanges: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // One whose process is looked up longer comes behind the other.
    exchanges.sort_by_key(|e| e["time"].as_str().unwrap_or_default().to_owned());
    let operations: Vec<_> = exchanges.iter().filter_map(|e| e["operation"].as_str()).collect();
    assert_eq!(operations, ["GET /", "GET /status/{id}"], "{text}");
    // Both have ended long before anybody could look at them.
    assert!(exchanges.iter().all(|e| e["type"] == "ledger" || e["client"]["process"] == "curl"), "{text}");
    assert!(output.status.success());
}

#[test]
fn a_recording_replays_to_what_watch_printed_and_always_to_the_same() {
    root_or_skip!();
    let _alone = alone();
    let (nginx, dir) = (Nginx::start(), tempfile::tempdir().expect("a temporary directory"));
    let file = dir.path().join("r.steth");
    let port = nginx.port.to_string();
    let mut recorder = Process::spawn("record", steth().args(["record", "--port", &port, "-o"]).arg(&file), dir.path());
    recorder.wait_for("it is watching", Duration::from_secs(20), || recorder.errors().contains("watching"));
    let watcher = Steth::watch(&["--port", &port]);
    assert_eq!(ab(nginx.port, "/", 300, 3, true).requests, 300);
    watcher.settle(Duration::from_millis(300));
    let seen = watcher.finish();
    recorder.signal(Signal::SIGTERM);
    assert!(recorder.wait_for_end(Duration::from_secs(10)).success());
    let replay = || steth().args(["replay", "--json"]).arg(&file).output().expect("it runs").stdout;
    let (first, second) = (replay(), replay());
    assert!(first == second, "replay is deterministic");
    let replayed: Vec<Value> =
        String::from_utf8_lossy(&first).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    // Everything but the times: each of the two agents has read the clocks for itself.
    let strip = |list: &[Value]| -> Vec<Value> {
        let mut list: Vec<Value> = list.iter().filter(|e| e["type"] == "exchange").cloned().collect();
        for exchange in &mut list {
            for field in ["time", "duration_ns", "first_byte_ns", "queue_ns", "service_ns", "accept_wait_ns"] {
                exchange[field] = Value::Null;
            }
        }
        list.sort_by_key(Value::to_string);
        list
    };
    assert_eq!(strip(&replayed), strip(&seen.exchanges));

    let bytes = std::fs::read(&file).expect("the recording");
    std::fs::write(&file, &bytes[..bytes.len() - 5]).expect("a shorter recording");
    let output = steth().args(["replay", "--summary"]).arg(&file).output().expect("it runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("ends inside a frame"));
}

#[test]
fn run_serves_metrics_and_health_under_load_and_keeps_windows() {
    root_or_skip!();
    let _alone = alone();
    let (redis, dir, port) = (RedisServer::start(), tempfile::tempdir().expect("a temporary directory"), free_port());
    let data = dir.path().join("data");
    let mut agent = Process::spawn(
        "run",
        steth().args(["run", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(&data),
        dir.path(),
    );
    agent.wait_for("it is watching", Duration::from_secs(20), || agent.errors().contains("watching"));
    let (redis_port, load) = (redis.port, 30_000);
    let under_load = std::thread::spawn(move || redis_benchmark(redis_port, "get", load, 20, 1));
    let health = get(port, "/api/v1/health");
    under_load.join().expect("redis-benchmark");
    let health: Value = serde_json::from_str(&health).expect("JSON");
    assert!(health["hooks"].as_array().is_some_and(|hooks| hooks.len() >= 9), "{health}");
    let reported = |metrics: &str, name: &str| -> u64 {
        // Of this load only: the agent sees whatever else happens on the machine as well.
        let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains("\"redis-benchmark\""));
        let lines = lines.filter(|line| line.contains("GET"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    };
    for side in ["client", "server"] {
        let name = format!("db_{side}_operation_duration_seconds_count");
        wait_until("all of the load is in the metrics", Duration::from_secs(15), || {
            // CONFIG GET of the load tool comes on top.
            (load..load + 10).contains(&reported(&get(port, "/metrics"), &name))
        });
    }
    assert!(get(port, "/").contains("<html"));
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait_for_end(Duration::from_secs(10)).success(), "{}", agent.errors());
    let filter =
        Filter { operation: Some("GET"), side: Some(Side::Server), port: Some(redis_port), ..Filter::default() };
    let (groups, _) = kept(&data, filter, &[]);
    let kept: u64 = groups.iter().map(|group| group.sums.count).sum();
    assert_eq!(kept, load);
}

#[test]
fn without_privileges_it_says_so_in_one_line() {
    root_or_skip!();
    for arguments in [&["watch"][..], &["run"], &["record", "-o", "/dev/null"]] {
        let mut child = Command::new("setpriv")
            .args([
                "--bounding-set=-all",
                "--inh-caps=-all",
                "--reuid=65534",
                "--clear-groups",
                env!("CARGO_BIN_EXE_steth"),
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv is part of util-linux");
        let mut errors = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
        assert!(!child.wait().expect("it ends").success());
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains("Run as root"), "{errors}");
    }
}

#[test]
fn nobody_reading_its_messages_does_not_end_the_agent() {
    root_or_skip!();
    let _alone = alone();
    let nginx = Nginx::start();
    let mut command = steth();
    command.args(["watch", "--json", "--ring", "4", "--port", &nginx.port.to_string()]);
    let mut agent =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the agent starts");
    let mut first = String::new();
    let errors = agent.stderr.take().expect("a pipe");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(errors), &mut first).expect("its first line");
    assert!(first.contains("watching"), "{first}");
    // The pipe is closed. What a ring of 4 KiB loses makes the agent speak, a second later at the latest.
    for _ in 0..3 {
        assert_eq!(ab(nginx.port, "/", 20_000, 8, true).failed, 0);
    }
    let ended = agent.try_wait().expect("a child of ours");
    let _ = agent.kill();
    let _ = agent.wait();
    assert!(ended.is_none(), "the agent died of its own message: {ended:?}");
}

#[test]
fn bad_input_gets_a_message_that_names_cause_and_fix() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("x");
    std::fs::write(&file, "capture:\n  hed: 3\n").expect("a file");
    let path = file.to_str().expect("text").to_owned();
    for (arguments, expected) in [
        (vec!["replay", &path], "neither a steth recording nor a pcap"),
        (vec!["replay", "/nonexistent"], "cannot open /nonexistent"),
        (vec!["run", "--config", &path], "hed"),
        (vec!["run", "--listen", "0.0.0.0:0"], "token and TLS"),
        (vec!["watch", "--protocol", "gopher"], "http, redis"),
        (vec!["watch", "--ring", "5"], "power of two"),
    ] {
        let output = steth().args(&arguments).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(expected), "{arguments:?}: {errors}");
    }
}
