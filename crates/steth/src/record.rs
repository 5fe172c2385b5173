//! `steth record`: the drained records, to a file.

use crate::agent::Agent;
use crate::configuration::Configuration;
use crate::hooks::Hooks;
use crate::{selection, stop};
use anyhow::Context as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use steth_event::recording::Writer;
use steth_probe::Settings;

/// Where to and how long.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  steth record -o incident.steth --for 30s && steth replay incident.steth --json")]
pub(crate) struct Args {
    /// The file to write; it holds payload heads, so it is readable by its owner only
    #[arg(short, long)]
    output: PathBuf,
    /// Stop after so long (10s, 5m)
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Only connections with this port at either end
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    hooks: Hooks,
    /// Configuration file (YAML), as of `steth run`; only its sections selection, capture and identity count here
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let stop = stop::on_signals()?;
    let configuration = Configuration::read_or_default(args.config.as_deref())?;
    let selection = selection::of(&configuration)?;
    let file = create(&args.output).with_context(|| format!("cannot create {}", args.output.display()))?;
    let mut writer = Writer::new(BufWriter::with_capacity(256 * 1024, file))?;
    let (probe, judging) = selection::attach(&args.hooks.choose(Settings {
        ring_bytes: configuration.capture.ring_kib * 1024,
        capture_head: configuration.capture.head,
        selection,
        port: args.port.unwrap_or(0),
        ..Settings::default()
    })?)?;
    let mut agent = Agent::start(probe, &configuration.identity, judging, &[])?;
    crate::say::say!(
        "watching with {} hooks ({}), recording to {}",
        agent.probe().hooks().count(),
        agent.probe().rung(),
        args.output.display()
    );
    let until = args.time.map(|time| Instant::now() + time);
    let (mut records, mut failed) = (0u64, None);
    let mut write = |record: &[u8]| {
        if failed.is_none() {
            match writer.write(record) {
                Ok(()) => records += 1,
                Err(error) => failed = Some(error),
            }
        }
        failed.is_some()
    };
    let mut full = false;
    while !full && !stop.requested() && until.is_none_or(|until| Instant::now() < until) {
        agent.turn(&mut |record| full = write(record));
    }
    agent.finish(&mut |record| {
        write(record);
    });
    let dropped = agent.probe().counters()[steth_event::counter::DROPPED_RECORDS];
    let flushed = writer.flush();
    let what = || {
        format!("writing {} failed after {records} records; what was written can be replayed", args.output.display())
    };
    if let Some(error) = failed {
        return Err(error).with_context(what);
    }
    flushed.with_context(what)?;
    crate::say::say!("{records} records, {dropped} did not fit into the ring");
    Ok(ExitCode::SUCCESS)
}

fn create(path: &PathBuf) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}
