//! Load tools, as functions that return what the tool says it did.
//!
//! How each one counts was measured against the server's own books, and `tests/load_tools.rs` keeps it so:
//!
//! - **ab**: `-n N` sends N requests and reads N answers, with and without `-k`; nothing is under way at its end.
//! - **redis-benchmark**: sends `-n N` rounded up to a multiple of `-P`, all answered. Before the first test it opens one
//!   connection of its own, on which it pipelines `CONFIG GET save` and `CONFIG GET appendonly`.
//! - **wrk**: at the end of its time it stops reading at once and closes. `answered` is exact: responses read to their
//!   end. `issued - answered` requests were written and are abandoned, at most connections × pipeline; the server may
//!   have answered all, some or none of them. Before the run it opens one connection without a request.

use super::process::{command, run};
use super::runtimes::programs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// A run of wrk.
#[derive(Clone, Debug)]
pub struct WrkPlan {
    /// On 127.0.0.1.
    pub port: u16,
    /// The path of every request.
    pub path: String,
    /// Connections, open all the time.
    pub connections: u64,
    /// Threads; wrk wants at least one connection for each.
    pub threads: u64,
    /// How long.
    pub seconds: u64,
    /// Requests in one write.
    pub pipeline: u64,
    /// `Connection: close`: a connection per request.
    pub close: bool,
}

impl WrkPlan {
    /// Ten keep-alive connections for two seconds, one request at a time.
    pub fn new(port: u16, path: &str) -> Self {
        Self { port, path: path.to_string(), connections: 10, threads: 1, seconds: 2, pipeline: 1, close: false }
    }
}

/// What wrk did.
#[derive(Clone, Debug)]
pub struct Wrk {
    /// Responses read to their end.
    pub answered: u64,
    /// Requests written; `issued - answered` were abandoned at the end of the run.
    pub issued: u64,
    /// Responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes read, those of abandoned responses included.
    pub bytes: u64,
    /// Errors of connect, read and write, and timeouts. Zero, or the numbers above mean little.
    pub errors: u64,
    /// Length of the run.
    pub duration: Duration,
    /// Median latency.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// Runs wrk as planned.
pub fn wrk(plan: &WrkPlan) -> Wrk {
    let mut command = command("wrk");
    command.arg(format!("-t{}", plan.threads)).arg(format!("-c{}", plan.connections));
    command.arg(format!("-d{}s", plan.seconds)).arg("-s").arg(programs().join("load/count.lua"));
    if plan.close {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(format!("http://127.0.0.1:{}{}", plan.port, plan.path)).args(["--", &plan.pipeline.to_string()]);
    let (output, _) = run("wrk", &mut command, LIMIT);
    let line = output.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("wrk said {output}"));
    let said: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("wrk: {e} in {line}"));
    let number = |name: &str| said[name].as_u64().unwrap_or_else(|| panic!("wrk: no {name} in {line}"));
    let statuses = said["statuses"].as_object().expect("an object");
    assert_eq!(number("requests"), number("answered"), "wrk's own count and the script's differ");
    Wrk {
        answered: number("answered"),
        issued: number("issued"),
        statuses: statuses.iter().map(|(k, v)| (k.parse().expect("a status"), v.as_u64().unwrap_or(0))).collect(),
        bytes: number("bytes"),
        errors: ["connect_errors", "read_errors", "write_errors", "timeouts"].iter().map(|name| number(name)).sum(),
        duration: Duration::from_micros(number("duration_us")),
        p50: Duration::from_micros(number("p50_us")),
        p99: Duration::from_micros(number("p99_us")),
    }
}

/// What ab did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ab {
    /// Requests answered: the `-n` that was asked for.
    pub requests: u64,
    /// Of them, answered with a status other than 2xx.
    pub not_2xx: u64,
    /// Connections that failed, lengths that differed, exceptions.
    pub failed: u64,
    /// Bytes of all responses, heads and bodies.
    pub bytes: u64,
}

/// Runs `ab -n requests -c concurrency [-k]`. Its requests are HTTP/1.0, so `-k` works only with servers that answer with
/// `Connection: keep-alive` (nginx does, the runtimes here do not: ab would wait for the end of the connection).
pub fn ab(port: u16, path: &str, requests: u64, concurrency: u64, keepalive: bool) -> Ab {
    let mut command = command("ab");
    command.args(["-q", "-l", "-n", &requests.to_string(), "-c", &concurrency.to_string()]);
    if keepalive {
        command.arg("-k");
    }
    let (output, _) = run("ab", command.arg(format!("http://127.0.0.1:{port}{path}")), LIMIT);
    let number = |name: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
    };
    Ab {
        requests: number("Complete requests").unwrap_or_else(|| panic!("ab said {output}")),
        not_2xx: number("Non-2xx responses").unwrap_or(0),
        failed: number("Failed requests").unwrap_or(0),
        bytes: number("Total transferred").unwrap_or(0),
    }
}

/// What redis-benchmark did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisBenchmark {
    /// Commands answered, by the name of the test (`GET`, `PING_MBULK`, …).
    pub requests: BTreeMap<String, u64>,
    /// `CONFIG GET` commands it sent of its own accord, pipelined on a connection of their own.
    pub config_gets: u64,
}

/// Runs `redis-benchmark -t tests -n requests -c clients -P pipeline`. The number of requests holds for each test.
pub fn redis_benchmark(port: u16, tests: &str, requests: u64, clients: u64, pipeline: u64) -> RedisBenchmark {
    redis_benchmark_of(port, tests, requests, clients, pipeline, 3)
}

/// The same with values of `size` bytes.
pub fn redis_benchmark_of(
    port: u16,
    tests: &str,
    requests: u64,
    clients: u64,
    pipeline: u64,
    size: u64,
) -> RedisBenchmark {
    let mut command = command("redis-benchmark");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", tests, "-n", &requests.to_string()]);
    command.args(["-c", &clients.to_string(), "-P", &pipeline.to_string(), "-d", &size.to_string()]);
    let (output, _) = run("redis-benchmark", &mut command, LIMIT);
    let (mut test, mut counts) = ("", BTreeMap::new());
    for line in output.lines().flat_map(|line| line.rsplit('\r').next()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("====== ").and_then(|rest| rest.strip_suffix(" ======")) {
            test = name;
        } else if let Some((count, _)) = line.split_once(" requests completed in ") {
            counts.insert(test.to_string(), count.parse().expect("a number of requests"));
        }
    }
    assert!(!counts.is_empty(), "redis-benchmark said {output}");
    RedisBenchmark { requests: counts, config_gets: 2 }
}

/// What curl did.
#[derive(Clone, Debug)]
pub struct Curl {
    /// Status of the last response.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// From the start of the request, connection included, to the last byte.
    pub total: Duration,
    /// From the start of the request, connection included, to the first byte.
    pub first_byte: Duration,
    /// Until the connection was there.
    pub connect: Duration,
}

/// Runs curl with further arguments, of which the last should be the URL.
pub fn curl(arguments: &[&str]) -> Curl {
    let dir = TempDir::new().expect("a temporary directory");
    let body = dir.path().join("body");
    let mut command = command("curl");
    command.args(["-q", "-sS", "-w", "%{json}", "-o"]).arg(&body).args(arguments);
    let said = json(&mut command);
    let seconds = |name: &str| Duration::from_secs_f64(said[name].as_f64().unwrap_or(0.0));
    Curl {
        status: said["http_code"].as_u64().and_then(|s| u16::try_from(s).ok()).unwrap_or(0),
        body: read(&body),
        total: seconds("time_total"),
        first_byte: seconds("time_starttransfer"),
        connect: seconds("time_connect"),
    }
}

fn json(command: &mut Command) -> Value {
    let (output, _) = run("curl", command, LIMIT);
    serde_json::from_str(&output).unwrap_or_else(|e| panic!("curl: {e} in {output}"))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default() // no file: no body
}
