//! Work that has nothing to do with sockets must not become slower.

use crate::Plan;
use crate::agent::Agent;
use crate::process::{Guarded, pin, pinned, server_cpu};
use crate::report::{Report, Target, spread};
use std::hint::black_box;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

/// Returns nanoseconds of one call.
type Work = fn() -> anyhow::Result<f64>;

pub(crate) const WORK: [(&str, Work); 3] =
    [("getppid", getppid), ("write of 64 bytes to /dev/null", write_null), ("dd, blocks of 64 bytes", dd)];

/// Nanoseconds of one call: the median over batches, so that a batch that was interrupted does not count.
fn batches(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let batch = |_| {
        let begun = Instant::now();
        (0..CALLS).for_each(|_| call());
        begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    spread(&(0..40).map(batch).collect::<Vec<_>>()).0
}

fn getppid() -> anyhow::Result<f64> {
    Ok(batches(|| {
        black_box(std::os::unix::process::parent_id());
    }))
}

fn write_null() -> anyhow::Result<f64> {
    let mut null = std::fs::File::options().write(true).open("/dev/null")?;
    Ok(batches(|| {
        let _ = black_box(null.write(black_box(&[0; 64])));
    }))
}

/// A read and a write for each block, in a process of its own.
fn dd() -> anyhow::Result<f64> {
    const BLOCKS: u32 = 400_000;
    let mut command = pinned(server_cpu(), "dd");
    command.args(["if=/dev/zero", "of=/dev/null", "bs=64", &format!("count={BLOCKS}")]).stderr(Stdio::null());
    let begun = Instant::now();
    let status = Guarded::spawn(&mut command)?.0.wait()?;
    anyhow::ensure!(status.success(), "dd ended with {status}");
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(BLOCKS))
}

/// All three kinds of work, on one CPU.
pub(crate) fn work() -> anyhow::Result<[f64; 3]> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin(server_cpu())?;
            let mut times = [0.0; 3];
            for (time, (_, work)) in times.iter_mut().zip(WORK) {
                *time = work()?;
            }
            Ok(times)
        });
        thread.join().unwrap_or_else(|_| anyhow::bail!("the work panicked"))
    })
}

/// Without, with, without: what the two runs without differ by is noise.
pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let before = work()?;
        let agent = Agent::start()?;
        let with = work()?;
        agent.stop()?;
        rounds.push((before, with, work()?));
    }
    report.section("What is no socket: time with / without the agent");
    for (n, (name, _)) in WORK.iter().enumerate() {
        let all = |of: &dyn Fn(f64, f64, f64) -> f64| -> Vec<f64> {
            rounds.iter().map(|(before, with, after)| of(before[n], with[n], after[n])).collect()
        };
        let ratios = all(&|before, with, after| with / f64::midpoint(before, after));
        report.row(name, "ratio", &ratios, Some(Target::AtMost(1.02)));
        report.row(&format!("{name}: twice without (noise)"), "ratio", &all(&|before, _, after| after / before), None);
        report.row(&format!("{name}: without"), "ns", &all(&|before, _, after| f64::midpoint(before, after)), None);
    }
    Ok(())
}
