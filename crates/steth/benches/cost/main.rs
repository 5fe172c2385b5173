//! What the agent costs: `make bench` (root). Prints figures and writes them to `docs/performance.md` with `--write`.
//!
//! Each figure is the median of interleaved rounds, with minimum and maximum. An exchange between two processes of this
//! machine is observed at both ends and counts as two.

mod load;
mod offline;

use load::Load;
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use steth_probe::{Probe, Settings, Statistics};

const ROUNDS: usize = 3;

/// Median, minimum and maximum.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn row(out: &mut String, name: &str, values: Vec<f64>, unit: &str, target: Option<(f64, bool)>) -> f64 {
    let (median, low, high) = spread(values);
    let verdict = match target {
        Some((limit, below)) if (median <= limit) == below => format!("{limit} met"),
        Some((limit, _)) => format!("{limit} missed"),
        None => String::new(),
    };
    let _ = writeln!(out, "| {name} | {median:.3} | {low:.3} – {high:.3} | {unit} | {verdict} |");
    print!("{}", out.lines().last().map(|line| format!("{line}\n")).unwrap_or_default());
    median
}

/// A program's name, nanoseconds in it, and runs.
type Runs = Vec<(String, f64, f64)>;

/// Nanoseconds and runs of each program while `act` runs with the kernel side attached.
fn measured(settings: &Settings, act: impl FnOnce() -> u64) -> anyhow::Result<(u64, Runs)> {
    let mut probe = Probe::attach(settings)?;
    let _statistics = Statistics::enable()?;
    let stop = Arc::new(AtomicBool::new(false));
    let before = probe.statistics();
    let stopped = stop.clone();
    let reader = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            probe.wait(Duration::from_millis(25));
            probe.drain(|_| {});
        }
        probe
    });
    let exchanges = act();
    stop.store(true, Ordering::Relaxed);
    let probe = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    let programs = (probe.statistics().into_iter().zip(before))
        .map(|(after, before)| (after.name, (after.run_ns - before.run_ns) as f64, (after.runs - before.runs) as f64))
        .collect();
    Ok((exchanges, programs))
}

/// A running `steth run`, ended with this value.
struct Agent(Child);

impl Agent {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_steth"))
            .args(["run", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let errors = child.stderr.take().ok_or_else(|| anyhow::anyhow!("no stderr"))?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(errors), &mut line)?;
        anyhow::ensure!(line.contains("watching"), "the agent said {line}");
        Ok(Self(child))
    }

    /// User and system CPU seconds so far (proc(5), fields 14 and 15, in ticks of 10 ms).
    fn cpu(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields: Vec<f64> =
            stat.rsplit(')').next().unwrap_or_default().split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
        (fields.get(12).copied().unwrap_or(0.0) / 100.0, fields.get(13).copied().unwrap_or(0.0) / 100.0)
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn live(out: &mut String, load: &Load) -> anyhow::Result<()> {
    let (mut net, mut gross, mut floor) = (vec![], vec![], vec![]);
    let mut breakdown = String::new();
    for _ in 0..ROUNDS {
        let (_, empty) = measured(&Settings { empty: true, ..Settings::default() }, || load.run().exchanges)?;
        let (exchanges, full) = measured(&Settings::default(), || load.run().exchanges)?;
        let observed = exchanges as f64 * 2.0;
        let per_run: Vec<f64> = empty.iter().map(|(_, ns, runs)| if *runs > 0.0 { ns / runs } else { 0.0 }).collect();
        let sum: f64 = full.iter().map(|(_, ns, _)| ns).sum();
        let clock: f64 = full.iter().zip(&per_run).map(|((_, _, runs), floor)| runs * floor).sum();
        gross.push(sum / observed / 1000.0);
        net.push((sum - clock) / observed / 1000.0);
        floor.push(empty.iter().map(|(_, ns, _)| ns).sum::<f64>() / observed / 1000.0);
        breakdown.clear();
        for ((name, ns, runs), floor) in full.iter().zip(&per_run).filter(|((_, _, runs), _)| *runs > observed / 10.0) {
            let _ = writeln!(
                breakdown,
                "  {name}: {:.0} ns a run ({floor:.0} empty), {:.2} runs an exchange",
                ns / runs,
                runs / observed
            );
        }
    }
    let name = load.name();
    let bpf = row(out, &format!("{name}: BPF, net of the empty programs"), net, "µs/exchange", Some((1.0, true)));
    row(out, &format!("{name}: BPF, gross"), gross, "µs/exchange", None);
    row(out, &format!("{name}: empty programs, gross"), floor, "µs/exchange", None);
    print!("{breakdown}");

    let (mut user, mut system, mut rate) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let without = load.run();
        let agent = Agent::start()?;
        let before = agent.cpu();
        let with = load.run();
        // The drain looks every 25 ms.
        std::thread::sleep(Duration::from_millis(100));
        let after = agent.cpu();
        let observed = with.exchanges as f64 * 2.0;
        user.push((after.0 - before.0) / observed * 1e6);
        system.push((after.1 - before.1) / observed * 1e6);
        rate.push(with.rate / without.rate);
    }
    let user = row(out, &format!("{name}: user CPU"), user, "µs/exchange", Some((0.6, true)));
    let system = row(out, &format!("{name}: system CPU of the agent"), system, "µs/exchange", None);
    row(out, &format!("{name}: total"), vec![bpf + user + system], "µs/exchange", Some((1.6, true)));
    row(out, &format!("{name}: throughput with / without"), rate, "ratio", None);
    Ok(())
}

/// Work that has nothing to do with sockets.
fn untouched(out: &mut String) -> anyhow::Result<()> {
    let calls = || {
        let begun = std::time::Instant::now();
        for _ in 0..2_000_000 {
            std::hint::black_box(std::os::unix::process::parent_id());
        }
        begun.elapsed().as_secs_f64()
    };
    let writes = || {
        let mut null = std::fs::File::options().write(true).open("/dev/null").expect("/dev/null");
        let begun = std::time::Instant::now();
        for _ in 0..1_000_000 {
            let _ = std::hint::black_box(std::io::Write::write(&mut null, &[0; 64]));
        }
        begun.elapsed().as_secs_f64()
    };
    let (mut call_ratios, mut write_ratios) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let (without_call, without_write) = (calls(), writes());
        let _agent = Agent::start()?;
        call_ratios.push(calls() / without_call);
        write_ratios.push(writes() / without_write);
    }
    row(out, "getppid: time with / without", call_ratios, "ratio", None);
    row(out, "write of 64 bytes to /dev/null: time with / without", write_ratios, "ratio", None);
    Ok(())
}

fn memory(out: &mut String) -> anyhow::Result<()> {
    let agent = Agent::start()?;
    let load = Load::nginx()?;
    let idle = load.open(5000)?;
    // One look of the agent at its own memory, and its windows, in between.
    std::thread::sleep(Duration::from_secs(3));
    let resident = agent.resident_mib();
    drop(idle);
    row(out, "resident memory, 10,000 connection ends, one exchange each", vec![resident], "MiB", Some((64.0, true)));
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut out = String::from("| figure | median | min – max | unit | target |\n|---|---|---|---|---|\n");
    for load in [Load::nginx()?, Load::redis()?] {
        live(&mut out, &load)?;
    }
    untouched(&mut out)?;
    memory(&mut out)?;
    offline::replay(&mut out)?;
    if arguments.iter().any(|argument| argument == "--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md");
        let text = std::fs::read_to_string(path)?;
        let (head, rest) = text.split_once("<!-- figures -->").ok_or_else(|| anyhow::anyhow!("{path}: no marker"))?;
        let (_, tail) = rest.split_once("<!-- /figures -->").ok_or_else(|| anyhow::anyhow!("{path}: no marker"))?;
        std::fs::write(path, format!("{head}<!-- figures -->\n{out}<!-- /figures -->{tail}"))?;
    }
    Ok(())
}
