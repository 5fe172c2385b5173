//! Where the kernel side's time goes: the programs cut short behind each of their stages.

use crate::Plan;
use crate::hooks::{self, Run};
use crate::load::Pace;
use crate::report::{Report, number, spread};
use crate::servers::Server;
use steth_probe::STAGES;

/// What each stage adds (`enum stage` of `bpf/settings.h`).
const NAMES: [&str; STAGES as usize] = [
    "the hook, empty",
    "+ socket state, verdict",
    "+ position",
    "+ time",
    "+ where the bytes are",
    "+ user read",
    "+ record into the ring",
];
const PROGRAMS: [&str; 3] = ["sock_send_length", "sock_recv_length", "tcp_rcv_space_adjust"];

/// Measures one workload at one pace.
pub(crate) fn measure(report: &mut Report, plan: &Plan, server: &Server, pace: Pace) -> anyhow::Result<()> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); NAMES.len()];
    for _ in 0..plan.rounds + 2 {
        for (last_stage, runs) in (0..STAGES).zip(&mut runs) {
            runs.push(hooks::run(server, pace, plan.seconds / 3.0, last_stage)?);
        }
    }
    let title = format!("{}, {}: stages, ns/run", server.workload.title(), pace.title());
    report.table(&title, &["programs cut behind", PROGRAMS[0], PROGRAMS[1], PROGRAMS[2]]);
    for (name, runs) in NAMES.iter().zip(&runs) {
        let mut cells = vec![(*name).to_owned()];
        for program in PROGRAMS {
            let per_run = |run: &Run| run.programs.iter().find(|p| p.name == program).map(hooks::Program::per_run);
            cells.push(number(spread(&runs.iter().filter_map(per_run).collect::<Vec<_>>()).0));
        }
        report.cells(&cells);
    }
    Ok(())
}
