//! `steth watch`: live exchanges, a line each.

use crate::agent::Agent;
use crate::configuration::Configuration;
use crate::hooks::Hooks;
use crate::pipeline::{Observer, Pipeline, Seen};
use crate::slow::{Slow, Thresholds};
use crate::{print, selection, stop};
use anyhow::Context as _;
use std::io::{IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};
use steth_probe::{Selection, Settings};
use steth_verdict::Rules;
use steth_wire::Protocol;

/// What is to be watched.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  steth watch --port 6379 --slow 10ms\n  steth watch --json --for 10s > exchanges.jsonl\n  steth watch -- curl -s http://localhost/"
)]
pub(crate) struct Args {
    /// Only this protocol (http, redis, mysql, postgresql, dns)
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Only this process, and the children it starts from now on
    #[arg(long)]
    pid: Option<u32>,
    /// Only connections with this port at either end
    #[arg(long)]
    port: Option<u16>,
    /// Only exchanges that took at least so long (100ms, 2s), or without a value as long as the configuration says of
    /// their protocol; never those that wait by design
    #[arg(long, value_name = "DURATION|auto", num_args = 0..=1, default_missing_value = "auto")]
    slow: Option<Slow>,
    /// Configuration file (YAML), as of `steth run`; only its sections selection, capture, slow, http, identity and limits count
    /// here. With --pid or a command, rows of processes and containers do not: who is watched has been said
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print one JSON object a line, and the ledger as the last
    #[arg(long)]
    json: bool,
    /// Stop after so long (10s, 5m)
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Size of the kernel ring in KiB, a power of two; 16384 if the configuration says nothing else
    #[arg(long, value_parser = crate::ring_kib)]
    ring: Option<u32>,
    #[command(flatten)]
    hooks: Hooks,
    /// Run this command and show it and its children only
    #[arg(last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let stop = stop::on_signals()?;
    let configuration = Configuration::read_or_default(args.config.as_deref())?;
    let selected = configuration.selected(args.protocol)?;
    let selection = selection::of(&configuration)?;
    // Whoever is named is meant, whatever the rules say of others.
    let named = args.pid.is_some() || !args.command.is_empty();
    let rules = if named { Rules::default() } else { selection.rules.clone() };
    let settings = args.hooks.choose(Settings {
        ring_bytes: args.ring.unwrap_or(configuration.capture.ring_kib) * 1024,
        capture_head: configuration.capture.head,
        selection: Selection { protocols: selected.0, rules, ..selection },
        observe_all: !named,
        port: args.port.unwrap_or(0),
        adopt_children: !args.command.is_empty(),
        ..Settings::default()
    })?;
    let (mut probe, judging) = selection::attach(&settings)?;
    if let Some(pid) = args.pid {
        anyhow::ensure!(probe.same_pids(), "--pid would select a stranger: {}", crate::agent::OTHER_PIDS);
        anyhow::ensure!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "there is no process {pid}");
        probe.select(pid)?;
    }
    let slow = args.slow.map(|slow| slow.thresholds(configuration.thresholds()));
    let mut pipeline = Pipeline::new(&configuration.pipeline()?, selected, Printer::new(args.json, slow));
    let mut child = start(args)?;
    // After the command has started: it runs with the privileges of whoever typed it.
    let mut agent = Agent::start(probe, &configuration.identity, judging, &[])?;
    crate::say::say!(
        "watching with {} hooks ({}); stop with ctrl-c",
        agent.probe().hooks().count(),
        agent.probe().rung()
    );

    let until = args.time.map(|time| Instant::now() + time);
    let mut losses = crate::losses::Log::default();
    let mut status = ExitCode::SUCCESS;
    loop {
        agent.turn(&mut |record| pipeline.record(record));
        agent.demote(pipeline.take_demotions());
        losses.look(|| pipeline.account());
        if !pipeline.observer().flush() || stop.requested() || until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        if let Some(running) = &mut child
            && let Some(ended) = running.0.try_wait().context("waiting for the command")?
        {
            child = None;
            let code = ended.code().unwrap_or_else(|| 128 + ended.signal().unwrap_or(0));
            status = ExitCode::from(u8::try_from(code).unwrap_or(1));
            break;
        }
    }
    // Ctrl-c reaches the command too; --for ends it, since it was started for this.
    drop(child);
    agent.finish(&mut |record| pipeline.record(record));
    pipeline.finish();
    let ledger = pipeline.account().to_json();
    pipeline.observer().last(&ledger)?;
    Ok(status)
}

/// The command, which ends with the watch if not before.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(args: &Args) -> anyhow::Result<Option<Running>> {
    let Some((program, arguments)) = args.command.split_first() else { return Ok(None) };
    let mut command = Command::new(program);
    command.args(arguments);
    if args.json {
        // Standard output belongs to the JSON lines.
        command.stdout(std::io::stderr());
    }
    Ok(Some(Running(command.spawn().with_context(|| format!("cannot run {program:?}"))?)))
}

/// Prints exchanges to standard output, a buffer at a time.
pub(crate) struct Printer {
    json: bool,
    colour: bool,
    /// Only what these call slow.
    slow: Option<Thresholds>,
    buffer: Vec<u8>,
    /// Nobody reads any more, or the output cannot be written: there is no point in going on.
    closed: bool,
    failed: Option<anyhow::Error>,
}

impl Printer {
    pub(crate) fn new(json: bool, slow: Option<Thresholds>) -> Self {
        let colour =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { json, colour, slow, buffer: Vec::with_capacity(64 * 1024), closed: false, failed: None }
    }

    /// Writes out what is buffered. False: it is closed.
    pub(crate) fn flush(&mut self) -> bool {
        if !self.buffer.is_empty() && !self.closed {
            let mut out = std::io::stdout().lock();
            match crate::say::written(out.write_all(&self.buffer).and_then(|()| out.flush())) {
                Ok(read) => self.closed = !read,
                Err(error) => (self.closed, self.failed) = (true, Some(error)),
            }
        }
        self.buffer.clear();
        !self.closed
    }

    /// Whether anybody still reads.
    pub(crate) fn open(&self) -> bool {
        !self.closed
    }

    /// The last line: the ledger. An error if any of the output could not be written.
    pub(crate) fn last(&mut self, ledger: &serde_json::Value) -> anyhow::Result<()> {
        if self.json {
            let _ = writeln!(self.buffer, "{ledger}");
        } else {
            let exchanges = &ledger["exchanges"];
            let _ = writeln!(self.buffer, "{} exchanges, {} lost", exchanges["reported"], exchanges["lost"]);
        }
        self.flush();
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Observer for Printer {
    type Memo = ();

    fn exchange(&mut self, seen: &Seen<'_>, (): &mut ()) {
        if self.slow.is_some_and(|slow| !slow.call_slow(seen.exchange)) {
            return;
        }
        if self.json {
            print::json(seen, &mut self.buffer);
        } else {
            print::line(seen, self.colour, &mut self.buffer);
        }
        if self.buffer.len() > 48 * 1024 {
            self.flush();
        }
    }
}
