//! A host with thousands of processes, and one on which thousands come and go.

use crate::Plan;
use crate::agent::Agent;
use crate::load::{self, Pace};
use crate::process::{Guarded, anywhere, pin, pinned, server_cpu};
use crate::report::{Report, Target};
use crate::servers::{Server, Workload};
use crate::surroundings::Surroundings;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use steth_event::kind;
use steth_probe::{Probe, Settings};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/c");
/// Processes that do nothing.
const PROCESSES: usize = 2_000;

/// How long the agent takes to start among them, and what it costs when nothing happens: as it is by default where there is neither a
/// container runtime nor a cluster, and beside both and with rules, which are judged of each process.
pub(crate) fn crowd(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let surroundings = Surroundings::start()?;
    let ruled = || Agent::with_configuration(&surroundings.configuration());
    let (mut alone, mut cpu) = (Vec::new(), Vec::new());
    let (mut among, mut idle) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..plan.rounds {
        let agent = Agent::start()?;
        alone.push(milliseconds(agent.started_in()));
        let first = agent.cpu()?.total;
        agent.stop()?;
        let crowd: Vec<_> =
            (0..PROCESSES).map(|_| Guarded::spawn(anywhere("sleep").arg("600"))).collect::<anyhow::Result<_>>()?;
        for n in 0..2 {
            let agent = if n == 0 { Agent::start()? } else { ruled()? };
            among[n].push(milliseconds(agent.started_in()));
            // The look at all of them goes on behind the start.
            std::thread::sleep(Duration::from_secs(1));
            let before = agent.cpu()?.total;
            if n == 0 {
                cpu.push((before - first) / 1e6);
            }
            let begun = Instant::now();
            std::thread::sleep(Duration::from_secs_f64(plan.seconds * 5.0));
            idle[n].push((agent.cpu()?.total - before) / begun.elapsed().as_nanos() as f64 * 100.0);
            agent.stop()?;
        }
        drop(crowd);
    }
    let [among, ruled] = among;
    let [idle, idle_with_all] = idle;
    let more: Vec<f64> = among.iter().zip(&alone).map(|(among, alone)| among - alone).collect();
    let metadata: Vec<f64> = idle_with_all.iter().zip(&idle).map(|(with, without)| with - without).collect();
    report.section("2,000 idle processes");
    report.row("start of `steth run`, without them", "ms", &alone, None);
    report.row("start of `steth run`, among them", "ms", &among, Some(Target::AtMost(300.0)));
    report.row("the same, longer than without them", "ms", &more, Some(Target::AtMost(300.0)));
    report.row("start among them with rules, a runtime and a cluster", "ms", &ruled, None);
    report.row("CPU for all of them, the first second", "ms", &cpu, None);
    report.row("CPU when nothing happens, all that the agent does", "% of a core", &idle, None);
    report.row("the same with rules, a runtime of 250 containers and a cluster", "% of a core", &idle_with_all, None);
    report.row("of that, more for these", "% of a core", &metadata, Some(Target::AtMost(0.2)));
    Ok(())
}

/// A reload of the rules beside a load, among 2,000 processes that all have to be judged, again and again.
pub(crate) fn reloads(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (surroundings, server) = (Surroundings::start()?, Server::start(Workload::Http)?);
    let (mut took, mut lost) = (Vec::new(), Vec::new());
    let crowd: Vec<_> =
        (0..PROCESSES).map(|_| Guarded::spawn(anywhere("sleep").arg("600"))).collect::<anyhow::Result<_>>()?;
    for _ in 0..plan.rounds {
        let agent = Agent::with_configuration(&surroundings.configuration())?;
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let load = scope.spawn(|| load::run(&server, Pace::Fixed(5_000), plan.seconds));
            while !load.is_finished() {
                took.push(milliseconds(agent.reload()?));
            }
            load.join().map_err(|_| anyhow::anyhow!("the load panicked"))?.map(drop)
        })?;
        lost.push(agent.stop()?.lost as f64);
    }
    drop(crowd);
    report.section("Rules read again beside 5,000 HTTP exchanges a second, among 2,000 processes");
    report.row("from SIGHUP until everybody is judged", "ms", &took, None);
    report.row("exchanges lost", "", &lost, Some(Target::AtMost(0.0)));
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

/// Processes that begin and end while exchanges go on: as fast as a shell's loop makes them on one CPU, without a socket; and on all CPUs as
/// fast as they can be made, each of which connects, asks once and ends.
pub(crate) fn turnover(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (http, redis) = (Server::start(Workload::Http)?, Server::start(Workload::Redis)?);
    let directory = tempfile::tempdir()?;
    let short = short(directory.path())?;
    for connect in [false, true] {
        let (mut rates, mut cost, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let agent = Agent::start()?;
            let quiet = agent.cpu()?.total;
            load::run(&http, Pace::Fixed(1_000), plan.seconds)?;
            let before = agent.cpu()?.total;
            let (stop, lives) = (AtomicBool::new(false), AtomicU64::new(0));
            let begun = Instant::now();
            std::thread::scope(|scope| -> anyhow::Result<()> {
                let (short, stop, lives, port) = (&*short, &stop, &lives, redis.port);
                let work: Vec<_> = if connect {
                    let cpus = 0..=server_cpu();
                    cpus.map(|cpu| scope.spawn(move || talkers(cpu, short, port, stop, lives))).collect()
                } else {
                    vec![scope.spawn(move || churn(stop, lives))]
                };
                let load = load::run(&http, Pace::Fixed(1_000), plan.seconds);
                stop.store(true, Ordering::Relaxed);
                for work in work {
                    work.join().unwrap_or_else(|_| anyhow::bail!("the work panicked"))?;
                }
                load.map(drop)
            })?;
            let lives = lives.load(Ordering::Relaxed) as f64;
            rates.push(lives / begun.elapsed().as_secs_f64());
            let after = agent.cpu()?.total;
            cost.push(((after - before) - (before - quiet)).max(0.0) / lives / 1e3);
            lost.push(agent.stop()?.lost as f64);
        }
        let share: Vec<f64> = cost.iter().map(|cost| cost * 5_000.0 / 1e6 * 100.0).collect();
        let (title, target) = if connect {
            // The two CPUs make them, serve them, and load the other server: there may be no time for 5,000.
            (
                "Processes of a connection and an exchange each, beside 1,000 HTTP exchanges a second",
                Some(Target::AtLeast(5_000.0)),
            )
        } else {
            ("Processes that begin and end beside 1,000 HTTP exchanges a second", None)
        };
        report.section(title);
        report.row("processes", "1/s", &rates, target);
        report.row("CPU of the agent for each", "µs", &cost, None);
        report.row("the same at 5,000 a second", "% of a core", &share, None);
        report.row("exchanges lost", "", &lost, Some(Target::AtMost(0.0)));
    }
    Ok(())
}

/// `tests/servers/c/short.c`, built so that as many processes as can be are made in a second.
fn short(directory: &Path) -> anyhow::Result<PathBuf> {
    let cc = |name: &str, flags: &[&str]| {
        let (source, program) = (Path::new(SOURCES).join(name).with_extension("c"), directory.join(name));
        let built =
            Command::new("cc").args(["-O2", "-static"]).args(flags).arg("-o").arg(&program).arg(source).status()?;
        anyhow::ensure!(built.success(), "{name}: the C compiler ended with {built}");
        Ok(program)
    };
    const BARE: &[&str] = &["-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"];
    let image = cc("brief", BARE)?;
    cc("short", &["-DFORK=vfork", &format!("-DIMAGE=\"{}\"", image.display())])
}

/// That on one CPU, until it is enough.
fn talkers(cpu: usize, short: &Path, port: u16, stop: &AtomicBool, lives: &AtomicU64) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        // So few at a time that nobody waits long for its end.
        const AT_A_TIME: u64 = 100;
        let mut work = pinned(cpu, short);
        let status = work.args([&port.to_string(), &AT_A_TIME.to_string(), "x"]).stdout(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "short ended with {status}");
        lives.fetch_add(AT_A_TIME, Ordering::Relaxed);
    }
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
