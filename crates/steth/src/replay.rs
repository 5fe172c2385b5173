//! `steth replay`: a recording, a pcap or a pcapng through the same stages, offline.

use crate::configuration::Configuration;
use crate::pipeline::{Observer, Pipeline, Seen};
use crate::slow::Slow;
use crate::watch::Printer;
use anyhow::Context as _;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;
use steth_event::recording::{MAGIC, Reader};
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
    /// Only this protocol (http, redis)
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Only exchanges that took at least so long (100ms, 2s), or without a value as long as the configuration says of
    /// their protocol; never those that wait by design
    #[arg(long, value_name = "DURATION|auto", num_args = 0..=1, default_missing_value = "auto")]
    slow: Option<Slow>,
    /// Configuration file (YAML), as of `steth run`; only its sections slow, http and limits, and its protocols, count here
    #[arg(long)]
    config: Option<PathBuf>,
    /// Print the ledger only
    #[arg(long)]
    summary: bool,
}

/// Prints, or only counts.
enum Output {
    Print(Printer),
    Count(Printer),
}

impl Output {
    fn printer(&mut self) -> &mut Printer {
        let (Output::Print(printer) | Output::Count(printer)) = self;
        printer
    }
}

impl Observer for Output {
    type Memo = ();

    #[inline]
    fn exchange(&mut self, seen: &Seen<'_>, memo: &mut ()) {
        if let Output::Print(printer) = self {
            printer.exchange(seen, memo);
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let bytes = map(&file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let configuration = Configuration::read_or_default(args.config.as_deref())?;
    let slow = args.slow.map(|slow| slow.thresholds(configuration.thresholds()));
    let printer = Printer::new(args.json, slow);
    let output = if args.summary { Output::Count(printer) } else { Output::Print(printer) };
    let selected = configuration.selected(args.protocol)?;
    let mut pipeline = Pipeline::new(&configuration.pipeline()?, selected, output);

    let mut problem = None;
    let mut capture = serde_json::Value::Null;
    if bytes.starts_with(MAGIC) {
        for frame in Reader::new(&bytes).with_context(|| args.file.display().to_string())? {
            if !pipeline.observer().printer().open() {
                break;
            }
            match frame {
                Ok(record) => pipeline.record(record),
                Err(error) => problem = Some(error.to_string()),
            }
        }
    } else {
        let limits = steth_pcap::Limits::default();
        let summary =
            steth_pcap::replay(&bytes, &limits, &mut |record| pipeline.record(record)).with_context(|| {
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
    let printer = pipeline.observer().printer();
    printer.flush();
    printer.last(&ledger)?;
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
