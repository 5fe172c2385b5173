//! Messages for people, on standard error, and what a command was asked for, on standard output.
//!
//! `eprintln!` and `println!` panic when nobody reads any more (a closed pipe, a full disk behind a redirection), and a
//! release build aborts on a panic. An agent must outlive its audience.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes `steth: …` and a newline, or nothing if that is not possible.
///
/// In one write: standard error has no buffer, and a formatted write to it is one system call for each piece of the
/// message, between which others write to the same log and read it.
pub(crate) fn line(message: Arguments<'_>) {
    let line = format!("steth: {message}\n");
    // There is nobody left to tell.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Says one line, formatted like `format!`, with `steth: ` in front.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::say::line(format_args!($($argument)*))
    };
}
pub(crate) use say;

/// Writes to standard output at once. A reader that has left has what it wanted; anything else is an error.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    written(out.write_all(text).and_then(|()| out.flush())).map(drop)
}

/// What became of a write to standard output: whether anybody still reads.
pub(crate) fn written(result: io::Result<()>) -> anyhow::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}
