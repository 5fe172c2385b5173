//! What it costs to ask connection tracking where a connection leads: of connections to an address that the kernel sends on to another
//! one, as a service's is. In a network namespace of its own, with the agent in it.

use crate::Plan;
use crate::agent::Agent;
use crate::report::{Report, Target};
use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Fewer than the agent asks of in a second at most.
const PER_SECOND: u32 = 3_000;
const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 99, 99, 99), 80);
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 8080);

pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    // The namespace is the thread's, and of all that it starts; it goes with them.
    let rounds = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            namespace()?;
            let mut file = tempfile::NamedTempFile::new()?;
            file.write_all(b"identity:\n  conntrack: false\n")?;
            (0..plan.rounds)
                .map(|_| {
                    let agent = Agent::start()?;
                    let asks = cpu(&agent, plan)?;
                    // Those before are in it, too.
                    let all = f64::from(count(plan) + count(plan) / 4);
                    // The agent tells its own figures once a second.
                    let asked = Instant::now();
                    let mut rewritten = 0.0;
                    while rewritten < all && asked.elapsed() < Duration::from_secs(3) {
                        rewritten = agent.metric("steth_conntrack_total{outcome=\"rewritten\"}")?;
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    anyhow::ensure!(rewritten > 0.0, "none was found rewritten");
                    agent.stop()?;
                    let agent = Agent::with_configuration(file.path())?;
                    let does_not = cpu(&agent, plan)?;
                    agent.stop()?;
                    Ok(((asks, asks - does_not), 100.0 * rewritten / all))
                })
                .collect::<anyhow::Result<Vec<_>>>()
        });
        thread.join().unwrap_or_else(|_| anyhow::bail!("the load panicked"))
    })?;
    let (costs, found): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let (all, more): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
    report.section("Connections to an address that the kernel rewrites, 3,000 a second, both ends");
    report.row("CPU of the agent for each", "µs", &all, None);
    report.row("of it, more than with `identity.conntrack: false`", "µs", &more, None);
    // Four of five are all of those that were timed. If it is fewer, the costs are too low, and the row says so.
    report.row("found rewritten", "%", &found, Some(Target::AtLeast(80.0)));
    Ok(())
}

/// Its address is the server's, and what goes to the service's is sent on to that.
fn namespace() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("a network namespace")?;
    let server = SERVER.to_string();
    let (address, service) = (format!("{}/32", SERVER.ip()), format!("{}/32", SERVICE.ip()));
    for words in [
        &["ip", "link", "set", "lo", "up"][..],
        &["ip", "address", "add", &address, "dev", "lo"],
        &["ip", "route", "add", &service, "dev", "lo"],
        &[
            "iptables",
            "-t",
            "nat",
            "-A",
            "OUTPUT",
            "-p",
            "tcp",
            "-d",
            &service,
            "-j",
            "DNAT",
            "--to-destination",
            &server,
        ],
    ] {
        let status = Command::new(words[0]).args(&words[1..]).status().with_context(|| words.join(" "))?;
        anyhow::ensure!(status.success(), "{}: {status}", words.join(" "));
    }
    Ok(())
}

fn count(plan: &Plan) -> u32 {
    (plan.seconds * f64::from(PER_SECOND)) as u32
}

/// Microseconds of the agent's CPU for each connection.
fn cpu(agent: &Agent, plan: &Plan) -> anyhow::Result<f64> {
    let listener = TcpListener::bind(SERVER)?;
    let count = count(plan);
    come_and_go(&listener, count / 4)?;
    let before = agent.cpu()?.total;
    come_and_go(&listener, count)?;
    // What is in the rings by now is read within a moment.
    std::thread::sleep(Duration::from_millis(200));
    Ok((agent.cpu()?.total - before) / f64::from(count) / 1e3)
}

fn come_and_go(listener: &TcpListener, count: u32) -> anyhow::Result<()> {
    let begun = Instant::now();
    for n in 1..=count {
        let client = TcpStream::connect(SERVICE)?;
        let (server, _) = listener.accept()?;
        drop(server);
        drop(client);
        std::thread::sleep((begun + n * Duration::from_secs(1) / PER_SECOND).saturating_duration_since(Instant::now()));
    }
    Ok(())
}
