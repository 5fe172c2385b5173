//! A host with thousands of processes, and one on which thousands come and go.

use crate::Plan;
use crate::agent::Agent;
use crate::load::{self, Pace};
use crate::process::{Guarded, anywhere, pin, server_cpu};
use crate::report::{Report, Target};
use crate::servers::{Server, Workload};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use steth_event::kind;
use steth_probe::{Probe, Settings};

/// Processes that do nothing.
const PROCESSES: usize = 2_000;

/// How long the agent takes to start among them, and what it costs when nothing happens.
pub(crate) fn crowd(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (mut alone, mut among, mut cpu, mut idle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let agent = Agent::start()?;
        alone.push(milliseconds(agent.started_in()));
        let first = agent.cpu()?.total;
        agent.stop()?;
        let crowd: Vec<_> =
            (0..PROCESSES).map(|_| Guarded::spawn(anywhere("sleep").arg("600"))).collect::<anyhow::Result<_>>()?;
        let agent = Agent::start()?;
        among.push(milliseconds(agent.started_in()));
        // The look at all of them goes on behind the start.
        std::thread::sleep(Duration::from_secs(1));
        let before = agent.cpu()?.total;
        cpu.push((before - first) / 1e6);
        let begun = Instant::now();
        std::thread::sleep(Duration::from_secs_f64(plan.seconds * 5.0));
        idle.push((agent.cpu()?.total - before) / begun.elapsed().as_nanos() as f64 * 100.0);
        agent.stop()?;
        drop(crowd);
    }
    let more: Vec<f64> = among.iter().zip(&alone).map(|(among, alone)| among - alone).collect();
    report.section("2,000 idle processes");
    report.row("start of `steth run`, without them", "ms", &alone, None);
    report.row("start of `steth run`, longer with them", "ms", &more, Some(Target::AtMost(300.0)));
    report.row("CPU for all of them, the first second", "ms", &cpu, None);
    report.row("CPU when nothing happens, metadata and all else", "% of a core", &idle, None);
    Ok(())
}

/// How long the look at the open files of all processes takes, which the start makes once: among few processes, and among 2,000
/// that have a connection each.
pub(crate) fn visit(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (mut alone, mut among, mut noise) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let (before, _) = look()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (mut crowd, mut here) = (Vec::with_capacity(PROCESSES), Vec::with_capacity(PROCESSES));
        for _ in 0..PROCESSES {
            let client = OwnedFd::from(TcpStream::connect(listener.local_addr()?)?);
            here.push(listener.accept()?.0);
            crowd.push(Guarded::spawn(anywhere("sleep").arg("600").stdout(client))?);
        }
        let (with, sockets) = look()?;
        // The other ends are this process's own, which the kernel side passes over as it does the agent's.
        anyhow::ensure!(sockets >= PROCESSES, "{sockets} sockets were found");
        drop((crowd, here));
        let (after, _) = look()?;
        alone.push(f64::midpoint(before, after));
        among.push(with - f64::midpoint(before, after));
        noise.push(after - before);
    }
    report.section("The look at all open files, among 2,000 processes with a connection each");
    report.row("without them", "ms", &alone, None);
    report.row("longer with them", "ms", &among, None);
    report.row("twice without, the difference (noise)", "ms", &noise, None);
    Ok(())
}

/// Milliseconds, and connections that were announced.
fn look() -> anyhow::Result<(f64, usize)> {
    let mut probe = Probe::attach(&Settings::default())?;
    let begun = Instant::now();
    probe.visit()?;
    let took = milliseconds(begun.elapsed());
    let mut found = 0;
    while probe.drain(|record| found += usize::from(record.first() == Some(&kind::OPEN))) > 0 {}
    Ok((took, found))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Processes that begin and end on one CPU while exchanges go on.
pub(crate) fn turnover(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let server = Server::start(Workload::Http)?;
    let (mut rates, mut cost, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let agent = Agent::start()?;
        let quiet = agent.cpu()?.total;
        load::run(&server, Pace::Fixed(1_000), plan.seconds)?;
        let before = agent.cpu()?.total;
        let (stop, lives) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let work = scope.spawn(|| churn(&stop, &lives));
            let load = load::run(&server, Pace::Fixed(1_000), plan.seconds);
            stop.store(true, Ordering::Relaxed);
            work.join().unwrap_or_else(|_| anyhow::bail!("the work panicked"))?;
            load.map(drop)
        })?;
        let lives = lives.load(Ordering::Relaxed) as f64;
        rates.push(lives / plan.seconds);
        let after = agent.cpu()?.total;
        cost.push(((after - before) - (before - quiet)).max(0.0) / lives / 1e3);
        lost.push(agent.stop()?.lost as f64);
    }
    let share: Vec<f64> = cost.iter().map(|cost| cost * 5_000.0 / 1e6 * 100.0).collect();
    report.section("Processes that begin and end beside 1,000 HTTP exchanges a second");
    report.row("processes", "1/s", &rates, None);
    report.row("CPU of the agent for each", "µs", &cost, None);
    report.row("the same at 5,000 a second", "% of a core", &share, None);
    report.row("exchanges lost", "", &lost, Some(Target::AtMost(0.0)));
    Ok(())
}

fn churn(stop: &AtomicBool, lives: &AtomicU64) -> anyhow::Result<()> {
    pin(server_cpu())?;
    while !stop.load(Ordering::Relaxed) {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "/bin/true ended with {status}");
        lives.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
