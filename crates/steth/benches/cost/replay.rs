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
        replay(&path, &["--summary", "--json"], plan.recorded)?; // reads the file into the page cache
        for _ in 0..plan.rounds.min(5) {
            counted.push(replay(&path, &["--summary", "--json"], plan.recorded)?);
            printed.push(replay(&path, &["--json"], plan.recorded)?);
        }
        std::fs::remove_file(&path)?;
        report.row(&format!("{name}, --summary"), "exchanges/s", &counted, target);
        report.row(&format!("{name}, --json to /dev/null"), "exchanges/s", &printed, None);
    }
    Ok(())
}

/// Exchanges a second. With `--summary`, the ledger must have them all.
fn replay(path: &Path, options: &[&str], exchanges: u64) -> anyhow::Result<f64> {
    let counted = options.contains(&"--summary");
    let mut command = pinned(server_cpu(), env!("CARGO_BIN_EXE_steth"));
    command.arg("replay").args(options).arg(path);
    command.stdout(if counted { Stdio::piped() } else { Stdio::null() });
    let begun = Instant::now();
    let mut process = Guarded::spawn(&mut command)?;
    let mut out = String::new();
    if let Some(mut pipe) = process.0.stdout.take() {
        pipe.read_to_string(&mut out)?;
    }
    let status = process.0.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    anyhow::ensure!(status.success(), "replay ended with {status}");
    if counted {
        let ledger: serde_json::Value = serde_json::from_str(out.lines().last().context("no ledger")?)?;
        let (reported, lost) = (&ledger["exchanges"]["reported"], &ledger["exchanges"]["lost"]);
        anyhow::ensure!(*reported == exchanges && *lost == 0, "{reported} reported, {lost} lost of {exchanges}");
    }
    Ok(exchanges as f64 / seconds)
}
