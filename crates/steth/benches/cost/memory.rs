//! Resident memory with many open connections.

use crate::agent::Agent;
use crate::load::{self, Pace};
use crate::report::{Report, Target, number};
use crate::servers::{Server, Workload};
use crate::{Plan, fleet};
use std::time::Duration;

/// A connection between two processes of this machine has two observed ends, and so two entries in the agent's table.
pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    report.section("Memory of `steth run`");
    let idle = Agent::start()?;
    report.row("resident, just started", "MiB", &[idle.status_mib("VmRSS")], None);
    idle.stop()?;
    for &connections in plan.connections {
        let server = Server::start(Workload::Http)?;
        let ends = connections * 2;
        let (mut resident, mut own, mut kernel) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds.min(3) {
            let agent = Agent::start()?;
            // So that every page of the ring was used.
            load::run(&server, Pace::Highest, 1.0)?;
            let open = fleet::open(&server, connections)?;
            // The agent publishes windows, ledger and memory every second.
            std::thread::sleep(Duration::from_millis(2500));
            let known = agent.open_connections()?;
            anyhow::ensure!(known >= ends as u64, "the agent knows {known} connection ends of {ends}");
            resident.push(agent.status_mib("VmRSS"));
            own.push(agent.status_mib("RssAnon"));
            kernel.push(agent.kernel_mib()?);
            drop(open);
            agent.stop()?;
        }
        let title = format!("{} connection ends, one exchange each", number(ends as f64));
        let target = (ends == 10_000).then_some(Target::AtMost(64.0));
        report.row(&format!("{title}: resident"), "MiB", &resident, target);
        report.row(&format!("{title}: of it its own (not the ring)"), "MiB", &own, None);
        report.row(&format!("{title}: maps in the kernel, the ring included"), "MiB", &kernel, None);
    }
    Ok(())
}
