//! How fast a recording replays, on one core.

use crate::Plan;
use crate::process::{Guarded, pinned, server_cpu};
use crate::recording::{self, Talk};
use crate::report::{Report, Target};
use anyhow::Context as _;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// Wall time of the whole process, start included; the file is in the page cache.
pub(crate) fn measure(report: &mut Report, plan: &Plan) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    report.section("Replay on one core");
    for (name, talk, target) in [("HTTP", Talk::Http, Some(Target::AtLeast(1_000_000.0))), ("Redis", Talk::Redis, None)]
    {
        let path = dir.path().join(name);
        recording::write(&path, talk, plan.recorded)?;
        let (mut counted, mut printed) = (Vec::new(), Vec::new());
        replay(&path, &["--summary", "--json"])?; // reads the file into the page cache
        for _ in 0..plan.rounds.min(5) {
            let Books { reported, lost, seconds } = replay(&path, &["--summary", "--json"])?;
            anyhow::ensure!(reported == plan.recorded && lost == 0, "{reported} reported, {lost} lost");
            counted.push(reported as f64 / seconds);
            printed.push(plan.recorded as f64 / run(&path, &["--json"], Stdio::null())?.0);
        }
        std::fs::remove_file(&path)?;
        report.row(&format!("{name}, --summary"), "exchanges/s", &counted, target);
        report.row(&format!("{name}, --json to /dev/null"), "exchanges/s", &printed, None);
    }
    Ok(())
}

/// What a replay says of itself, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Books {
    pub(crate) reported: u64,
    pub(crate) lost: u64,
    pub(crate) seconds: f64,
}

/// Replays on one CPU, and reads the ledger, which is the last line.
pub(crate) fn replay(path: &Path, options: &[&str]) -> anyhow::Result<Books> {
    let (seconds, out) = run(path, options, Stdio::piped())?;
    let ledger: serde_json::Value = serde_json::from_str(out.lines().last().context("no ledger")?)?;
    let count = |name: &str| ledger["exchanges"][name].as_u64().with_context(|| format!("no {name} in {ledger}"));
    Ok(Books { reported: count("reported")?, lost: count("lost")?, seconds })
}

fn run(path: &Path, options: &[&str], output: Stdio) -> anyhow::Result<(f64, String)> {
    let mut command = pinned(server_cpu(), env!("CARGO_BIN_EXE_steth"));
    command.arg("replay").args(options).arg(path).stdout(output);
    let begun = Instant::now();
    let mut process = Guarded::spawn(&mut command)?;
    let mut out = String::new();
    if let Some(mut pipe) = process.0.stdout.take() {
        pipe.read_to_string(&mut out)?;
    }
    let status = process.0.wait()?;
    anyhow::ensure!(status.success(), "replay ended with {status}");
    Ok((begun.elapsed().as_secs_f64(), out))
}
