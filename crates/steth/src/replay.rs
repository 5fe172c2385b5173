//! `steth replay`: a recording, a pcap or a pcapng through the same stages, offline.

use crate::configuration::Configuration;
use crate::pipeline::{Counted, Observer, Pipeline, Seen};
use crate::slow::Slow;
use crate::store;
use crate::watch::Printer;
use crate::windows::{Counter, Memo};
use anyhow::Context as _;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use steth_event::recording::{MAGIC, Reader};
use steth_store::{Feed, Store};
use steth_wire::Protocol;

/// What to replay, and what to show of it.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  steth replay incident.steth --slow 100ms\n  steth replay capture.pcapng --json | jq .operation"
)]
pub(crate) struct Args {
    /// A recording of `steth record`, a pcap or a pcapng
    file: PathBuf,
    /// Print one JSON object a line, and the ledger as the last
    #[arg(long)]
    json: bool,
    /// Only this protocol (http, redis, mysql, postgresql, dns)
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Only exchanges that took at least so long (100ms, 2s), or without a value as long as the configuration says of
    /// their protocol; never those that wait by design
    #[arg(long, value_name = "DURATION|auto", num_args = 0..=1, default_missing_value = "auto")]
    slow: Option<Slow>,
    /// Configuration file (YAML), as of `steth run`; only its sections slow, http, identity and limits, and its protocols, count here
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the ledger only
    #[arg(long)]
    summary: bool,
    /// Directory for the windows that `steth run --data` would have kept
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Prints and counts in windows, or neither.
struct Output {
    printer: Printer,
    print: bool,
    kept: Option<Kept>,
}

impl Observer for Output {
    type Memo = Memo;

    #[inline]
    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut Memo) {
        if self.print {
            self.printer.exchange(seen, &mut ());
        }
        if let Some(kept) = &mut self.kept {
            kept.counter.exchange(seen, memo);
        }
    }

    fn counted(&mut self, counted: &Counted<'_>, memo: &mut Memo) {
        if let Some(kept) = &mut self.kept {
            kept.counter.counted(counted, memo);
        }
    }

    fn gone(&mut self, memo: &mut Memo) {
        if let Some(kept) = &mut self.kept {
            kept.counter.gone(memo);
        }
    }
}

/// Windows of a recording, and where they go.
struct Kept {
    counter: Counter,
    store: Store,
    feed: Feed,
    /// When windows are looked at next, in nanoseconds since 1970.
    due: u64,
}

/// `steth run` looks once a second; here time costs nothing but its comparison, and a recording may jump.
const LOOK: u64 = 100_000_000;

/// One record. The windows that are over at its time are handed over before, as [`steth_window::Windows::roll`] asks.
#[inline]
fn play(pipeline: &mut Pipeline<Output>, record: &[u8]) {
    let now = steth_event::time(record).saturating_add(pipeline.clock());
    if now >= pipeline.observer().kept.as_ref().map_or(u64::MAX, |kept| kept.due) {
        hand_over(pipeline, now);
    }
    pipeline.record(record);
}

#[cold]
fn hand_over(pipeline: &mut Pipeline<Output>, now: u64) {
    let (output, tables) = pipeline.observer_and_tables();
    let Some(kept) = &mut output.kept else { return };
    kept.due = now.saturating_add(LOOK);
    while let Some(window) = kept.counter.roll(now, tables) {
        kept.feed.window_in_time(window);
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let bytes = map(&file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let configuration = Configuration::read_or_default(args.config.as_deref())?;
    let slow = args.slow.map(|slow| slow.thresholds(configuration.thresholds()));
    let printer = Printer::new(args.json, slow);
    let counter = Counter::new(0, configuration.windows(), configuration.thresholds());
    let kept = match &args.data {
        Some(data) => {
            let (store, writer) = store::open(data, configuration.store.bytes, None)?;
            Some(Kept { counter, store, feed: writer.start()?, due: 0 })
        }
        None => None,
    };
    let output = Output { printer, print: !args.summary, kept };
    let selected = configuration.selected(args.protocol)?;
    let mut pipeline = Pipeline::new(&configuration.pipeline()?, selected, output);

    let mut problem = None;
    let mut capture = serde_json::Value::Null;
    if bytes.starts_with(MAGIC) {
        for frame in Reader::new(&bytes).with_context(|| args.file.display().to_string())? {
            if !pipeline.observer().printer.open() {
                break;
            }
            match frame {
                Ok(record) => play(&mut pipeline, record),
                Err(error) => problem = Some(error.to_string()),
            }
        }
    } else {
        let limits = steth_pcap::Limits::default();
        let summary =
            steth_pcap::replay(&bytes, &limits, &mut |record| play(&mut pipeline, record)).with_context(|| {
                format!("{} is neither a steth recording nor a pcap or pcapng file", args.file.display())
            })?;
        problem = summary.ended_early.as_ref().map(ToString::to_string);
        for link in &summary.unsupported {
            crate::say::say!("{}: {link}", args.file.display());
        }
        capture = serde_json::json!(summary.stats);
    }
    pipeline.finish();
    let mut ledger = pipeline.account().to_json();
    if !capture.is_null() {
        ledger["capture"] = capture;
    }
    let (output, tables) = pipeline.observer_and_tables();
    let mut failed = 0;
    if let Some(mut kept) = output.kept.take() {
        while let Some(window) = kept.counter.close(tables) {
            kept.feed.window_in_time(window);
        }
        kept.feed.close(None, None);
        let status = kept.store.status();
        failed = status.failed + status.dropped;
    }
    output.printer.flush();
    output.printer.last(&ledger)?;
    anyhow::ensure!(failed == 0, "{failed} windows could not be kept");
    if let Some(problem) = problem {
        crate::say::say!("{}: {problem}", args.file.display());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The file's bytes: mapped, so that a large recording does not have to fit into memory; read where that is not possible.
enum Contents {
    Mapped(memmap2::Mmap),
    Read(Vec<u8>),
}

impl std::ops::Deref for Contents {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Contents::Mapped(map) => map,
            Contents::Read(bytes) => bytes,
        }
    }
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Contents> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() && metadata.len() > 0 {
        // SAFETY: the mapping is private and read-only. Should somebody truncate the file meanwhile, the process dies of
        // SIGBUS; replay runs on behalf of the person who owns the file, and holds nothing that could be damaged by it.
        return Ok(Contents::Mapped(unsafe { memmap2::MmapOptions::new().map_copy_read_only(file)? }));
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &*file, &mut bytes)?;
    Ok(Contents::Read(bytes))
}
