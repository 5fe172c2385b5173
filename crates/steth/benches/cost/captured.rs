//! Recordings of what real clients and servers say: `steth record` under a short load, and that many times over, each time
//! on connections and at times of its own.

use crate::load::{self, Pace};
use crate::process::{Guarded, anywhere};
use crate::servers::Server;
use anyhow::Context as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter};
use std::mem::offset_of;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use steth_event::recording::{Reader, Writer};
use steth_event::{Books, Chunk, Exec, Open, Shutdown, Tick, kind};

/// Records both ends of a load of about a second.
pub(crate) fn record(server: &Server, seconds: f64, path: &Path) -> anyhow::Result<()> {
    let mut command = anywhere(env!("CARGO_BIN_EXE_steth"));
    command.args(["record", "--port", &server.port.to_string(), "-o"]).arg(path);
    let mut process = Guarded::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()))?;
    let mut said = String::new();
    let mut errors = BufReader::new(process.0.stderr.take().context("no standard error")?);
    errors.read_line(&mut said)?;
    anyhow::ensure!(said.contains("watching"), "`steth record` said {said}");
    load::run(server, Pace::Highest, seconds)?;
    // The drain looks every 25 ms.
    std::thread::sleep(Duration::from_millis(100));
    process.stop()
}

/// Writes a recording so many times behind one another.
pub(crate) fn repeat(from: &Path, copies: u64, to: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(from)?;
    let records = || Reader::new(&bytes);
    let times = records()?.filter_map(Result::ok).filter_map(|record| match steth_event::time(record) {
        0 => None,
        time => Some(time),
    });
    let (first, last) = times.fold((u64::MAX, 0), |(first, last), time| (first.min(time), last.max(time)));
    let span = last.saturating_sub(first) + 1_000_000_000;
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, File::create(to)?))?;
    let mut copied = Vec::new();
    for copy in 0..copies {
        for record in records()? {
            copied.clear();
            copied.extend_from_slice(record?);
            if shift(&mut copied, copy << 40, copy * span) || copy == 0 {
                writer.write(&copied)?;
            }
        }
    }
    Ok(writer.flush()?)
}

/// Adds to a record's connection and time. False for what is true of all copies: the clock, processes, counters.
fn shift(record: &mut [u8], connections: u64, nanoseconds: u64) -> bool {
    let (connection, time) = match record.first() {
        Some(&kind::CHUNK) => (Some(offset_of!(Chunk, connection)), offset_of!(Chunk, time)),
        Some(&kind::OPEN) => (Some(offset_of!(Open, connection)), offset_of!(Open, time)),
        Some(&kind::SHUTDOWN) => (Some(offset_of!(Shutdown, connection)), offset_of!(Shutdown, time)),
        Some(&(kind::CLOSE | kind::PROGRESS)) => (Some(offset_of!(Books, connection)), offset_of!(Books, time)),
        Some(&(kind::EXEC | kind::EXIT)) => (None, offset_of!(Exec, time)),
        Some(&kind::TICK) => (None, offset_of!(Tick, time)),
        _ => return false,
    };
    let mut add = |at: usize, more: u64| {
        if let Some(field) = record.get_mut(at..at + 8)
            && let Ok(bytes) = <[u8; 8]>::try_from(&*field)
        {
            field.copy_from_slice(&u64::from_ne_bytes(bytes).wrapping_add(more).to_ne_bytes());
        }
    };
    if let Some(connection) = connection {
        add(connection, connections);
    }
    add(time, nanoseconds);
    true
}
