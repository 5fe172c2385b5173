//! The load tools of the databases, which each keep their own exact count: sysbench, pgbench, dnsperf, redis-benchmark.

use crate::databases::pgbench;
use crate::load::{Done, Pace};
use crate::process::{CLIENT_CPU, Guarded, pinned};
use crate::servers::{Server, Workload};
use anyhow::Context as _;
use std::io::Read as _;
use std::process::{Command, Stdio};

/// Connections, as many as the benchmark's own generator has.
const CONNECTIONS: &str = "16";
/// Requests that redis-benchmark sends at once.
const PIPELINE: u32 = 16;
/// Names that dnsperf asks for.
const DOMAINS: u32 = 200;
/// Statements of pgbench's own transaction.
const TPC_B: u64 = 7;

/// Loads the server with its tool. Tools count in whole seconds.
pub(crate) fn run(server: &Server, pace: Pace, seconds: f64) -> anyhow::Result<Done> {
    let seconds = (seconds.round() as u64).max(1).to_string();
    let mut command = match server.workload {
        Workload::Mysql { test, prepared, rows } => sysbench(server, pace, &seconds, test, prepared, rows),
        Workload::Postgresql { mode, select } => {
            let mut command = pgbench(server.port)?;
            command.args(["-n", "-M", mode, "-c", CONNECTIONS, "-T", &seconds]);
            command.args(select.then_some("-S"));
            if let Pace::Fixed(rate) = pace {
                command.args(["-R", &rate.to_string()]);
            }
            command.arg("postgres");
            command
        }
        Workload::Dns => dnsperf(server, pace, &seconds)?,
        Workload::RedisPipeline => {
            anyhow::ensure!(pace == Pace::Highest, "redis-benchmark knows no fixed rate");
            let mut command = pinned(CLIENT_CPU, "redis-benchmark");
            command.args(["-h", "127.0.0.1", "-t", "get", "-r", "1000", "-c", CONNECTIONS]);
            command.args(["-P", &PIPELINE.to_string(), "-n", "300000", "--precision", "3"]);
            command.args(["-p", &server.port.to_string()]);
            command
        }
        Workload::Http | Workload::File | Workload::Redis => anyhow::bail!("the benchmark loads these itself"),
    };
    let said = output(&mut command)?;
    let done = match server.workload {
        Workload::Postgresql { select, .. } => pgbench_done(&said, if select { 1 } else { TPC_B }),
        Workload::Dns => dnsperf_done(&said),
        Workload::RedisPipeline => redis_done(&said),
        _ => sysbench_done(&said),
    };
    done.with_context(|| format!("the load tool said {said}"))
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let mut process = Guarded::spawn(command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
    let mut said = String::new();
    if let Some(mut pipe) = process.0.stdout.take() {
        pipe.read_to_string(&mut said)?;
    }
    let status = process.0.wait()?;
    anyhow::ensure!(status.success(), "the load tool ended with {status}, and said {said}");
    Ok(said)
}

fn sysbench(server: &Server, pace: Pace, seconds: &str, test: &str, prepared: bool, rows: u32) -> Command {
    let mut command = pinned(CLIENT_CPU, "sysbench");
    command.args([test, "--mysql-host=127.0.0.1", "--mysql-user=root", "--mysql-db=shop", "--tables=1"]);
    command.args(["--rand-type=uniform", "--percentile=99", &format!("--threads={CONNECTIONS}")]);
    command.args([
        format!("--mysql-port={}", server.port),
        format!("--table-size={rows}"),
        format!("--time={seconds}"),
    ]);
    command.arg(if prepared { "--db-ps-mode=auto" } else { "--db-ps-mode=disable" });
    if let Pace::Fixed(rate) = pace {
        command.arg(format!("--rate={rate}"));
    }
    command.arg("run");
    command
}

fn dnsperf(server: &Server, pace: Pace, seconds: &str) -> anyhow::Result<Command> {
    let file = server.path("queries");
    let queries: String = (0..DOMAINS).map(|n| format!("host{n}.shop.test A\n")).collect();
    std::fs::write(&file, queries)?;
    let mut command = pinned(CLIENT_CPU, "dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &server.port.to_string(), "-l", seconds]);
    command.args(["-c", CONNECTIONS, "-q", CONNECTIONS, "-T", "1", "-d"]).arg(file);
    if let Pace::Fixed(rate) = pace {
        command.args(["-Q", &rate.to_string()]);
    }
    Ok(command)
}

/// The number behind a name, which begins a line.
fn number(said: &str, name: &str) -> Option<f64> {
    let rest = said.lines().find_map(|line| line.trim().strip_prefix(name))?;
    rest.split(|c: char| !(c.is_ascii_digit() || c == '.')).find(|text| !text.is_empty())?.parse().ok()
}

fn sysbench_done(said: &str) -> Option<Done> {
    // `queries: 12345 (6789.01 per sec.)`
    let line = said.lines().find_map(|line| line.trim().strip_prefix("queries: "))?;
    let rate = line.split_once('(')?.1.split(' ').next()?.parse().ok()?;
    let latency = number(said, "99th percentile:")? * 1000.0;
    Some(Done { exchanges: number(said, "total:")? as u64, rate, latency })
}

fn pgbench_done(said: &str, statements: u64) -> Option<Done> {
    let transactions = number(said, "number of transactions actually processed:")? as u64;
    let rate = number(said, "tps =")? * statements as f64;
    Some(Done { exchanges: transactions * statements, rate, latency: number(said, "latency average =")? * 1000.0 })
}

fn dnsperf_done(said: &str) -> Option<Done> {
    let (sent, completed) = (number(said, "Queries sent:")?, number(said, "Queries completed:")?);
    let latency = number(said, "Average Latency (s):")? * 1e6;
    (sent == completed).then_some(Done {
        exchanges: completed as u64,
        rate: number(said, "Queries per second:")?,
        latency,
    })
}

fn redis_done(said: &str) -> Option<Done> {
    // `  300000 requests completed in 0.51 seconds`
    let line = said.lines().find(|line| line.contains("requests completed in"))?;
    let mut words = line.split_whitespace();
    let (requests, seconds): (f64, f64) = (words.next()?.parse().ok()?, words.nth(3)?.parse().ok()?);
    Some(Done { exchanges: requests as u64, rate: requests / seconds, latency: 0.0 })
}
