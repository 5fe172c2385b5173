//! Time in the kernel side's programs, by the kernel's own statistics.

use crate::load::{self, Pace};
use crate::servers::Server;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use steth_probe::{Probe, Rung, Settings, Statistics};

/// What one program did during a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) nanoseconds: f64,
    pub(crate) runs: f64,
}

impl Program {
    pub(crate) fn per_run(&self) -> f64 {
        if self.runs > 0.0 { self.nanoseconds / self.runs } else { 0.0 }
    }
}

/// All programs during one load, always in the same order, and the exchanges of the load, each end counted.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) programs: Vec<Program>,
    pub(crate) observed: f64,
}

impl Run {
    /// Microseconds in all programs per observed exchange.
    pub(crate) fn gross(&self) -> f64 {
        self.programs.iter().map(|program| program.nanoseconds).sum::<f64>() / self.observed / 1000.0
    }

    /// The same less what these runs would have taken with empty programs: the statistics' clock and little else.
    pub(crate) fn net(&self, empty: &Self) -> f64 {
        let (nanoseconds, runs) =
            empty.programs.iter().fold((0.0, 0.0), |(ns, runs), p| (ns + p.nanoseconds, runs + p.runs));
        let floor = |empty: &Program| if empty.runs >= 100.0 { empty.per_run() } else { nanoseconds / runs };
        let clock: f64 = self.programs.iter().zip(&empty.programs).map(|(full, empty)| full.runs * floor(empty)).sum();
        self.gross() - clock / self.observed / 1000.0
    }
}

/// Loads the server while the benchmark itself has the programs attached and drains the ring.
pub(crate) fn run(server: &Server, pace: Pace, seconds: f64, last_stage: u32) -> anyhow::Result<Run> {
    run_on(server, pace, seconds, last_stage, None)
}

/// The same with the programs of this rung of the ladder, or with the first that holds.
pub(crate) fn run_on(
    server: &Server,
    pace: Pace,
    seconds: f64,
    last_stage: u32,
    rung: Option<Rung>,
) -> anyhow::Result<Run> {
    let settings = Settings { last_stage, ..Settings::default() };
    let mut probe = match rung {
        Some(rung) => Probe::attach_rung(&settings, rung)?,
        None => Probe::attach(&settings)?,
    };
    let _statistics = Statistics::enable()?;
    let before = probe.statistics();
    let stop = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                probe.wait(Duration::from_millis(25));
                probe.drain(|record| {
                    std::hint::black_box(record);
                });
            }
        });
        let done = load::run(server, pace, seconds);
        stop.store(true, Ordering::Relaxed);
        done
    })?;
    let programs = probe.statistics().into_iter().zip(before).map(|(after, before)| Program {
        nanoseconds: (after.run_ns - before.run_ns) as f64,
        runs: (after.runs - before.runs) as f64,
        name: after.name,
    });
    Ok(Run { programs: programs.collect(), observed: done.exchanges as f64 * 2.0 })
}
