//! What is called slow, and what never is.

use crate::lab::process::{Process, command};
use crate::lab::{Python, RedisServer, Steth, alone, curl, free_port, kept, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;
use steth_query::Filter;
use steth_window::Side;

const SECOND: Duration = Duration::from_secs(1);

fn get(port: u16, path: &str) -> String {
    let got = curl(&[&format!("http://127.0.0.1:{port}{path}")]);
    assert_eq!(got.status, 200, "{path}");
    String::from_utf8_lossy(&got.body).into_owned()
}

/// Works for 300 ms; a newer server, whose time stands still in a script, for about a second.
const WORK: &str = "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end \
    local begun, n = now(), 0 while now() - begun < 300 and n < 1000000 do n = n + 1 end return 1";

/// Commands that wait 300 ms for what does not come, and one for which the server works that long.
fn commands(redis: &RedisServer) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("redis accepts");
    for (words, reply) in [
        (&["BLPOP", "nothing", "0.3"][..], "*-1\r\n"),
        (&["XREAD", "BLOCK", "300", "STREAMS", "none", "$"], "*-1\r\n"),
        (&["WAIT", "1", "300"], ":0\r\n"),
        (&["EVAL", WORK, "0"], ":1\r\n"),
        (&["PING"], "+PONG\r\n"),
    ] {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(request.as_bytes()).expect("redis reads");
        let mut got = vec![0; reply.len()];
        stream.read_exact(&mut got).expect("redis answers");
        assert_eq!(String::from_utf8_lossy(&got), reply, "{words:?}");
    }
}

/// A handler that takes 300 ms, a stream of events that takes as long, and one that takes no time.
fn requests(python: &Python) {
    for path in ["/slow?300", "/events", "/"] {
        get(python.port, path);
    }
}

/// `(operation, count, slow)` of the server's side, as the page is told.
fn counted(port: u16, services: &[u16]) -> Vec<(String, u64, u64)> {
    let mut counted = Vec::new();
    for of in services {
        let query = format!("/api/v1/top?by=operations&last=10m&limit=1000&side=server&port={of}");
        let json: Value = serde_json::from_str(&get(port, &query)).expect("JSON");
        for operation in json["data"]["operations"].as_array().map_or(&[][..], |all| all) {
            let side = &operation["signals"]["server"];
            let number = |key: &str| side[key].as_u64().unwrap_or(u64::MAX);
            counted.push((operation["operation"].as_str().expect("text").to_owned(), number("count"), number("slow")));
        }
    }
    counted.sort();
    counted
}

/// Runs the agent with this configuration while all of the above happens.
fn run_with(configuration: &str) -> Vec<(String, u64, u64)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (redis, python, port) = (RedisServer::start(), Python::start(), free_port());
    let (file, data) = (dir.path().join("steth.yaml"), dir.path().join("data"));
    std::fs::write(&file, configuration).expect("a file");
    let mut run = command(env!("CARGO_BIN_EXE_steth"));
    run.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file).arg("--data").arg(&data);
    let mut agent = Process::spawn("run", &mut run, dir.path());
    agent.wait_for("it is watching", 20 * SECOND, || agent.errors().contains("watching"));
    commands(&redis);
    requests(&python);
    let services = [redis.port, python.port];
    wait_until("all of it is counted", 30 * SECOND, || {
        counted(port, &services).iter().map(|(_, n, _)| n).sum::<u64>() == 8
    });
    let told = counted(port, &services);

    // The same in the metrics …
    let metrics = get(port, "/metrics");
    // This program is the client of Redis, and has the name of its file.
    let own = std::env::current_exe().expect("it has a path");
    let own = format!("\"{}\"", own.file_name().expect("a name").to_string_lossy());
    let slow = |part: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with("steth_exchanges_slow_total{side=\"server\""));
        let lines = lines.filter(|line| line.contains(part) && (line.contains(&own) || line.contains("\"server.py\"")));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    for (operation, _, expected) in &told {
        let label = match operation.split_once(' ') {
            Some(("GET", route)) => format!("http_route=\"{route}\""),
            _ => format!("db_operation_name=\"{operation}\""),
        };
        assert_eq!(slow(&label), *expected as f64, "{operation}: {metrics}");
    }

    // … and in the store.
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait_for_end(10 * SECOND).success(), "{}", agent.errors());
    let of = |port| kept(&data, Filter { side: Some(Side::Server), port: Some(port), ..Filter::default() }, &[]).0;
    let kept: u64 = services.into_iter().flat_map(of).map(|group| group.sums.slow).sum();
    assert_eq!(kept, told.iter().map(|(_, _, slow)| slow).sum::<u64>());
    told
}

fn expected(slow: &[&str]) -> Vec<(String, u64, u64)> {
    let all = ["BLPOP", "EVAL", "GET /", "GET /events", "GET /slow", "PING", "WAIT", "XREAD"];
    all.iter().map(|operation| ((*operation).to_owned(), 1, u64::from(slow.contains(operation)))).collect()
}

#[test]
fn what_waits_by_design_is_never_slow_and_a_slow_handler_is() {
    root_or_skip!();
    let _alone = alone();
    assert_eq!(run_with(""), expected(&["EVAL", "GET /slow"]));
}

#[test]
fn the_configuration_says_how_long_is_slow() {
    root_or_skip!();
    let _alone = alone();
    assert_eq!(run_with("slow:\n  http: 2s\n"), expected(&["EVAL"]));
    assert_eq!(run_with("slow:\n  redis: 1h\n  http: 1us\n"), expected(&["GET /", "GET /slow"]));
}

#[test]
fn watch_shows_what_is_slow_for_its_protocol() {
    root_or_skip!();
    let _alone = alone();
    let (redis, python) = (RedisServer::start(), Python::start());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("steth.yaml");
    std::fs::write(&file, "slow:\n  http: 10s\n").expect("a file");
    let file = file.to_str().expect("text");
    for (arguments, expected) in [
        (&["--slow"][..], &["EVAL", "GET /slow"][..]),
        (&["--slow", "auto", "--config", file], &["EVAL"]),
        (&["--slow", "100ms", "--config", file], &["EVAL", "GET /slow"]),
        (&["--slow", "10s"], &[]),
    ] {
        let agent = Steth::watch(arguments);
        commands(&redis);
        requests(&python);
        agent.settle(Duration::from_millis(300));
        let seen = agent.finish();
        let ours = |e: &&Value| [redis.port, python.port].iter().any(|port| e["server"]["port"] == *port);
        let shown: Vec<_> = seen.side("server").filter(ours).map(|e| e["operation"].as_str().unwrap_or("")).collect();
        assert_eq!(shown, expected, "{arguments:?}");
    }
}

#[test]
fn a_threshold_that_is_none_is_refused_with_an_example() {
    let output = Command::new(env!("CARGO_BIN_EXE_steth")).args(["watch", "--slow", "fast"]).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("100ms, 2s) or auto"), "{errors}");
}
