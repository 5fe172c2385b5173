//! Messages for people, on standard error.
//!
//! `eprintln!` panics when nobody reads standard error any more (a closed pipe, a full disk behind a redirection), and a
//! release build aborts on a panic. An agent must outlive its audience.

use std::fmt::Arguments;
use std::io::Write;

/// Writes `steth: …` and a newline, or nothing if that is not possible.
pub(crate) fn line(message: Arguments<'_>) {
    // There is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "steth: {message}");
}

/// Says one line, formatted like `format!`, with `steth: ` in front.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::say::line(format_args!($($argument)*))
    };
}
pub(crate) use say;
