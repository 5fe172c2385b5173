//! Processes that live for a moment: each exec is a record, and with rules a judgement over three texts.

use crate::Plan;
use crate::agent::Agent;
use crate::process::{pin, server_cpu};
use crate::report::{Report, spread};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;
use steth_probe::{Probe, Selection, Settings, Statistics};
use steth_verdict::{Patterns, Rows, Rules};

/// A rule for each row, none of which decides before its text is at its end.
const RULES: &[u8] = b"selection:
  executable: {exclude: ['/nobody$']}
  command_line: {exclude: ['--nobody [a-z]+ here']}
  environment: {exclude: ['NOBODY_.*=x']}
";

/// Microseconds from spawning a process to having waited for it, on one CPU: the median of many.
fn life() -> anyhow::Result<f64> {
    const LIVES: usize = 600;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin(server_cpu())?;
            let mut lives = Vec::with_capacity(LIVES);
            for _ in 0..LIVES {
                let begun = Instant::now();
                let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
                lives.push(begun.elapsed().as_nanos() as f64 / 1000.0);
                anyhow::ensure!(status.success(), "/bin/true ended with {status}");
            }
            Ok(spread(&lives).0)
        });
        thread.join().unwrap_or_else(|_| anyhow::bail!("the work panicked"))
    })
}

/// The program that judges a new image, by the kernel's own statistics: with no rule in force, and with one for each row. Both are
/// attached in turns, so that they see the same machine.
pub(crate) fn program(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let (mut without, mut ruled, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.rounds.max(4) {
        let rules = [Rules::default(), Rules::new(&rows())?];
        // The order alternates.
        let mut pair = [0.0; 2];
        for at in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            pair[at] = exec_ns(&rules[at])?;
        }
        without.push(pair[0]);
        ruled.push(pair[1]);
        more.push(pair[1] - pair[0]);
    }
    report.section("The program at an exec, by the kernel's statistics");
    report.row("without rules", "ns", &without, None);
    report.row("a rule for each of the three rows", "ns", &ruled, None);
    report.row("more with the rules, of each pair", "ns", &more, None);
    Ok(())
}

/// The rows of [`RULES`].
fn rows() -> Rows {
    let exclude = |pattern: &str| Patterns { exclude: vec![pattern.to_owned()], ..Patterns::default() };
    Rows {
        executable: exclude("/nobody$"),
        command_line: exclude("--nobody [a-z]+ here"),
        environment: exclude("NOBODY_.*=x"),
        ..Rows::default()
    }
}

/// Nanoseconds in the program for one exec.
fn exec_ns(rules: &Rules) -> anyhow::Result<f64> {
    let selection = Selection { rules: rules.clone(), ..Selection::default() };
    let mut probe = Probe::attach(&Settings { selection, ..Settings::default() })?;
    probe.judged();
    let _statistics = Statistics::enable()?;
    life()?;
    while probe.drain(|_| ()) > 0 {}
    let figures = |probe: &Probe| {
        let all = probe.statistics();
        all.iter().find(|program| program.name == "sched_process_exec").map(|program| (program.run_ns, program.runs))
    };
    let (before_ns, before) = figures(&probe).unwrap_or_default();
    life()?;
    let (ns, runs) = figures(&probe).unwrap_or_default();
    anyhow::ensure!(runs > before, "the program at an exec has not run");
    Ok((ns - before_ns) as f64 / (runs - before) as f64)
}

/// Without, with, with rules, without: what the two runs without differ by is noise.
pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(RULES)?;
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let before = life()?;
        let agent = Agent::start()?;
        let with = life()?;
        agent.stop()?;
        let agent = Agent::with_configuration(file.path())?;
        let ruled = life()?;
        agent.stop()?;
        rounds.push((before, with, ruled, life()?));
    }
    let all = |of: &dyn Fn(f64, f64, f64, f64) -> f64| -> Vec<f64> {
        rounds.iter().map(|(before, with, ruled, after)| of(*before, *with, *ruled, *after)).collect()
    };
    report.section("A process of no work, from spawn to wait");
    report.row("with / without the agent", "ratio", &all(&|b, with, _, a| with / f64::midpoint(b, a)), None);
    report.row("with rules / without the agent", "ratio", &all(&|b, _, ruled, a| ruled / f64::midpoint(b, a)), None);
    report.row("twice without (noise)", "ratio", &all(&|before, _, _, after| after / before), None);
    report.row("without", "µs", &all(&|before, _, _, after| f64::midpoint(before, after)), None);
    Ok(())
}
