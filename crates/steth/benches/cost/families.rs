//! What each family of hooks costs, and each fall-back: in turns, so that the ratios are of one run.

use crate::Plan;
use crate::hooks::{self, Run};
use crate::load::Pace;
use crate::report::{Report, number, spread};
use crate::servers::Server;
use crate::untouched;
use steth_probe::{Fallbacks, Probe, Rung, STAGES, Settings};

/// The rungs of the ladder that hold here.
pub(crate) fn rungs() -> Vec<Rung> {
    let settings = Settings { ring_bytes: 1 << 20, ..Settings::default() };
    Rung::ladder(None, Fallbacks::default()).filter(|rung| Probe::attach_rung(&settings, *rung).is_ok()).collect()
}

/// One workload at one pace.
pub(crate) fn measure(
    report: &mut Report,
    plan: &Plan,
    rungs: &[Rung],
    server: &Server,
    pace: Pace,
) -> anyhow::Result<()> {
    let mut rounds: Vec<Vec<(Run, Run)>> = vec![Vec::new(); rungs.len()];
    for _ in 0..plan.rounds {
        for (rung, rounds) in rungs.iter().zip(&mut rounds) {
            let run = |last_stage| hooks::run_on(server, pace, plan.seconds, last_stage, Some(*rung));
            rounds.push((run(0)?, run(STAGES - 1)?));
        }
    }
    let title = format!("{}, {}: families of hooks", server.workload.title(), pace.title());
    report.table(&title, &["hooks", "BPF net, µs/exchange", "min – max", "ratio to the first", "runs/exchange"]);
    let net = |rounds: &[(Run, Run)]| spread(&rounds.iter().map(|(empty, full)| full.net(empty)).collect::<Vec<_>>());
    let first = rounds.first().map_or(f64::NAN, |rounds| net(rounds).0);
    for (rung, rounds) in rungs.iter().zip(&rounds) {
        let (median, low, high) = net(rounds);
        let runs = |run: &Run| run.programs.iter().map(|program| program.runs).sum::<f64>() / run.observed;
        let runs = spread(&rounds.iter().map(|(_, full)| runs(full)).collect::<Vec<_>>()).0;
        report.cells(&[
            rung.to_string(),
            number(median),
            format!("{} – {}", number(low), number(high)),
            format!("{:.2}", median / first),
            format!("{runs:.1}"),
        ]);
    }
    Ok(())
}

/// What is no socket: calls that the syscall family has to look at all the same.
pub(crate) fn untouched(report: &mut Report, plan: &Plan, rungs: &[Rung]) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let mut round = vec![untouched::work()?];
        for rung in rungs {
            let probe = Probe::attach_rung(&Settings::default(), *rung)?;
            round.push(untouched::work()?);
            drop(probe);
        }
        rounds.push(round);
    }
    let names: Vec<_> = untouched::WORK.iter().map(|(name, _)| *name).collect();
    let columns = [&["hooks"][..], &names].concat();
    report.table("What is no socket, by family of hooks: time with / without", &columns);
    for (n, rung) in rungs.iter().enumerate() {
        let ratio = |work: usize| {
            let ratios: Vec<_> = rounds.iter().map(|round| round[n + 1][work] / round[0][work]).collect();
            number(spread(&ratios).0)
        };
        report.cells(&[vec![rung.to_string()], (0..names.len()).map(ratio).collect()].concat());
    }
    Ok(())
}
