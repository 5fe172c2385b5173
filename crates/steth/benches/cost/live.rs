//! What observing a server under load costs.

use crate::Plan;
use crate::agent::{Agent, Cpu};
use crate::hooks::{self, Run};
use crate::load::{self, Done, Pace};
use crate::report::{Report, Target, number, spread};
use crate::servers::Server;
use std::time::Duration;
use steth_probe::STAGES;

/// A load under the eyes of the agent.
struct Observed {
    done: Done,
    /// CPU of the agent during the load.
    cpu: Cpu,
    lost: u64,
    /// Exchanges that the agent neither reported nor counted as lost.
    unaccounted: u64,
}

impl Observed {
    fn ends(&self) -> f64 {
        self.done.exchanges as f64 * 2.0
    }
}

fn observe(server: &Server, pace: Pace, seconds: f64) -> anyhow::Result<Observed> {
    let agent = Agent::start()?;
    let before = agent.cpu()?;
    let done = load::run(server, pace, seconds)?;
    // The drain looks every 25 ms.
    std::thread::sleep(Duration::from_millis(60));
    let after = agent.cpu()?;
    let ledger = agent.stop()?;
    let cpu = Cpu {
        total: after.total - before.total,
        user_ticks: after.user_ticks - before.user_ticks,
        system_ticks: after.system_ticks - before.system_ticks,
    };
    // Others' exchanges may be among the reported ones, so more than expected is no fault.
    let unaccounted = (done.exchanges * 2).saturating_sub(ledger.reported + ledger.lost);
    Ok(Observed { done, cpu, lost: ledger.lost, unaccounted })
}

/// One round: the four loads, in an order that alternates.
struct Round {
    empty: Run,
    full: Run,
    without: Done,
    with: Observed,
}

fn round(server: &Server, pace: Pace, seconds: f64, backwards: bool) -> anyhow::Result<Round> {
    let hooks = |empty| hooks::run(server, pace, seconds, if empty { 0 } else { STAGES - 1 });
    let load = || load::run(server, pace, seconds);
    Ok(if backwards {
        let (with, without) = (observe(server, pace, seconds)?, load()?);
        let (full, empty) = (hooks(false)?, hooks(true)?);
        Round { empty, full, without, with }
    } else {
        let (empty, full) = (hooks(true)?, hooks(false)?);
        let (without, with) = (load()?, observe(server, pace, seconds)?);
        Round { empty, full, without, with }
    })
}

/// Measures one workload at one pace.
pub(crate) fn measure(report: &mut Report, plan: &Plan, server: &Server, pace: Pace) -> anyhow::Result<()> {
    let rounds: Vec<Round> =
        (0..plan.rounds).map(|n| round(server, pace, plan.seconds, n % 2 == 1)).collect::<Result<_, _>>()?;
    let all = |of: &dyn Fn(&Round) -> f64| -> Vec<f64> { rounds.iter().map(of).collect() };
    // The kernel samples which part of a process's time is its own code; over all rounds there are enough samples.
    let ticks = |of: fn(&Cpu) -> f64| rounds.iter().map(|round| of(&round.with.cpu)).sum::<f64>();
    let (user, system) = (ticks(|cpu| cpu.user_ticks), ticks(|cpu| cpu.system_ticks));
    let share = user / (user + system).max(1.0);
    let cpu = |round: &Round| round.with.cpu.total / round.with.ends() / 1000.0;
    let net = |round: &Round| round.full.net(&round.empty);

    let title = format!("{}, {}", server.workload.title(), pace.title());
    report.section(&title);
    let us = "µs/exchange";
    report.row("BPF, net", us, &all(&net), Some(Target::AtMost(1.0)));
    report.row("agent, CPU (exact)", us, &all(&cpu), None);
    report.row("of it user (sampled split)", us, &all(&|round| cpu(round) * share), Some(Target::AtMost(0.5)));
    report.row("of it system (sampled split)", us, &all(&|round| cpu(round) * (1.0 - share)), None);
    report.row("total: BPF net + user + system", us, &all(&|round| net(round) + cpu(round)), Some(Target::AtMost(1.6)));
    report.row("BPF, gross", us, &all(&|round| round.full.gross()), None);
    report.row("BPF, empty programs (floor)", us, &all(&|round| round.empty.gross()), None);
    let rate = |round: &Round| round.with.done.rate / round.without.rate;
    report.row("rate, with / without the agent", "ratio", &all(&rate), None);
    let latency = server.workload.latency();
    let ratio = |round: &Round| round.with.done.latency / round.without.latency;
    report.row(&format!("{latency}, with / without the agent"), "ratio", &all(&ratio), None);
    report.row("rate without the agent", "exchanges/s", &all(&|round| round.without.rate), None);
    report.row(&format!("{latency} without the agent"), "µs", &all(&|round| round.without.latency), None);
    report.row(&format!("{latency} with the agent"), "µs", &all(&|round| round.with.done.latency), None);
    let lost = all(&|round| round.with.lost as f64 / round.with.ends() * 1e6);
    report.row("lost, by the agent's ledger", "per million", &lost, Some(Target::AtMost(0.0)));
    let unaccounted = all(&|round| round.with.unaccounted as f64);
    report.row("neither reported nor lost", "exchanges", &unaccounted, Some(Target::AtMost(0.0)));
    programs(report, &title, &rounds);
    Ok(())
}

/// Which program takes how much of it.
fn programs(report: &mut Report, title: &str, rounds: &[Round]) {
    report.table(
        &format!("{title}: programs"),
        &["program", "runs/exchange", "ns/run", "ns/run when empty", "net ns/exchange"],
    );
    let count = rounds.first().map_or(0, |round| round.full.programs.len());
    for n in 0..count {
        let median = |of: &dyn Fn(&Round) -> f64| spread(&rounds.iter().map(of).collect::<Vec<_>>()).0;
        let runs = median(&|round| round.full.programs[n].runs / round.full.observed);
        if runs < 0.01 {
            continue;
        }
        let full = median(&|round| round.full.programs[n].per_run());
        let empty = median(&|round| round.empty.programs[n].per_run());
        let name = &rounds[0].full.programs[n].name;
        report.cells(&[name.clone(), format!("{runs:.2}"), number(full), number(empty), number((full - empty) * runs)]);
    }
}
