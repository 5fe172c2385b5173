//! What the kernel's books cost: of connections that come and go without a word, of those that only are there, and of bytes that nobody
//! analyses.

use crate::Plan;
use crate::agent::Agent;
use crate::process::{CLIENT_CPU, pin};
use crate::report::Report;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Connections that are open and idle. Both ends are here, and 20,000 files are what a process may have open on many hosts.
const IDLE: usize = 9_500;
/// Windows (`Windows::LENGTH`) over which the idle ones are looked at.
const WINDOWS: u64 = 1;
/// So many connections for each second of load.
const PER_SECOND: f64 = 5_000.0;
/// The same of turns on a connection.
const TURNS_PER_SECOND: f64 = 20_000.0;

pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    short(report, plan)?;
    unanalysed(report, plan)?;
    idle(report, plan)
}

/// Bytes there and back on one connection, both ends by this thread, with all analysis switched off: what the hooks take that stay.
fn unanalysed(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let count = (plan.seconds * TURNS_PER_SECOND) as usize;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(b"capture:\n  protocols: []\n")?;
    let (mut alone, mut more, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let turns = || std::thread::spawn(move || pin(CLIENT_CPU).and_then(|()| there_and_back(count)));
    let run = || turns().join().unwrap_or_else(|_| anyhow::bail!("the load panicked"));
    for _ in 0..plan.rounds {
        let without = run()?;
        let agent = Agent::with_configuration(file.path())?;
        run()?;
        let before = agent.cpu()?.total;
        let with = run()?;
        read.push((agent.cpu()?.total - before) / count as f64 / 1e3);
        agent.stop()?;
        alone.push(without);
        more.push(with - without);
    }
    report.section("64 bytes there and back with `capture.protocols: []`: two sends, two receives");
    report.row("time without the agent", "µs", &alone, None);
    report.row("more with it", "µs", &more, None);
    report.row("CPU of the agent for each", "µs", &read, None);
    Ok(())
}

/// Microseconds for each turn.
fn there_and_back(count: usize) -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let mut server = listener.accept()?.0;
    for end in [&client, &server] {
        end.set_nodelay(true)?;
    }
    let mut bytes = [b'x'; 64];
    let begun = Instant::now();
    for _ in 0..count {
        client.write_all(&bytes)?;
        server.read_exact(&mut bytes)?;
        server.write_all(&bytes)?;
        client.read_exact(&mut bytes)?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / count as f64)
}

/// Connections that are opened and closed, both ends by this thread: what is more with the agent is the hooks.
fn short(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let count = (plan.seconds * PER_SECOND) as usize;
    let (mut alone, mut more, mut agents) = (Vec::new(), Vec::new(), Vec::new());
    let rounds = || std::thread::spawn(move || pin(CLIENT_CPU).and_then(|()| open_and_close(count)));
    let run = || rounds().join().unwrap_or_else(|_| anyhow::bail!("the load panicked"));
    for _ in 0..plan.rounds {
        let without = run()?;
        let agent = Agent::start()?;
        run()?;
        let before = agent.cpu()?.total;
        let with = run()?;
        // What is in the rings by now is read within a moment.
        std::thread::sleep(Duration::from_millis(200));
        agents.push((agent.cpu()?.total - before) / count as f64 / 1e3);
        agent.stop()?;
        alone.push(without);
        more.push(with - without);
    }
    report.section("Connections opened and closed without a byte, both ends");
    report.row("time of one without the agent", "µs", &alone, None);
    report.row("more with it", "µs", &more, None);
    report.row("CPU of the agent for each", "µs", &agents, None);
    Ok(())
}

/// Microseconds for each.
fn open_and_close(count: usize) -> anyhow::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    for _ in 0..count {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        // The server's end first: then that one waits in TIME_WAIT, and not a port of the client's.
        drop(server);
        drop(client);
    }
    Ok(begun.elapsed().as_secs_f64() * 1e6 / count as f64)
}

fn idle(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (mut longer, mut windows) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds.min(3) {
        let agent = Agent::start()?;
        let alone = agent.started_in();
        let quiet = over_windows(&agent)?;
        agent.stop()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut ends = Vec::with_capacity(2 * IDLE);
        for _ in 0..IDLE {
            ends.push(TcpStream::connect(listener.local_addr()?)?);
            ends.push(listener.accept()?.0);
        }
        let agent = Agent::start()?;
        longer.push((agent.started_in().as_secs_f64() - alone.as_secs_f64()) * 1e3);
        // What the start brings is read, and named.
        std::thread::sleep(Duration::from_secs(1));
        windows.push((over_windows(&agent)? - quiet) / 1e6);
        agent.stop()?;
    }
    report.section("9,500 connections that are there and idle, both ends: 19,000 sockets");
    report.row("start of `steth run`, longer with them", "ms", &longer, None);
    report.row("CPU of the agent in a window, more with them", "ms", &windows, None);
    Ok(())
}

/// Nanoseconds of the agent's CPU in a window.
fn over_windows(agent: &Agent) -> anyhow::Result<f64> {
    let before = agent.cpu()?.total;
    std::thread::sleep(Duration::from_secs(10 * WINDOWS));
    Ok((agent.cpu()?.total - before) / WINDOWS as f64)
}
