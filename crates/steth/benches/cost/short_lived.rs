//! Processes that live for a moment: each exec is a record, and with rules a judgement over three texts.

use crate::Plan;
use crate::agent::Agent;
use crate::process::{pin, server_cpu};
use crate::report::{Report, spread};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

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
