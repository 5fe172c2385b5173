//! The server's messages ("Message Formats", those marked B).
//!
//! What is looked at: CommandComplete's tag, ErrorResponse's code, ReadyForQuery's state, which kind of authentication is
//! asked for, and the setting `standard_conforming_strings`. Rows, descriptions, notices and keys are skipped by their length.

use super::said::Said;
use crate::{Name, Names};

/// Bytes of an ErrorResponse that are looked at; the code stands behind the severity, which may be in any language.
const ERROR: u32 = 128;
/// Of a ParameterStatus: longer than the name that is looked for, and its value.
const SETTING: u32 = 64;
/// Longest tag (`COMPLETION_TAG_BUFSIZE`).
const TAG: u32 = 64;

/// Shortest DataRow.
pub(super) const ROW: u32 = 2;

/// Which messages there are, and how much of them is looked at.
#[inline]
pub(super) fn rule(kind: u8, size: u32) -> Option<u32> {
    match kind {
        b'D' if size >= ROW => Some(0),
        b'T' | b't' if size >= 2 => Some(0),
        b'C' if size >= 1 => Some(TAG),
        b'Z' if size == 1 => Some(1),
        b'1' | b'2' | b'3' | b'n' | b'I' | b's' | b'c' if size == 0 => Some(0),
        b'E' if size >= 1 => Some(ERROR),
        b'R' if size >= 4 => Some(4),
        b'N' | b'd' => Some(0),
        b'S' if size >= 2 => Some(SETTING),
        b'A' if size >= 6 => Some(0),
        b'K' | b'v' if size >= 8 => Some(0),
        b'G' | b'H' | b'W' if size >= 3 => Some(0),
        b'V' if size >= 4 => Some(0),
        _ => None,
    }
}

impl Said {
    /// Reads the wanted part of a body. `before`: the command that was completed before, which is often the same.
    #[inline]
    pub(super) fn read(kind: u8, body: &[u8], before: Name, names: &mut Names) -> Self {
        match kind {
            b'C' => Said::command(body, before, names),
            b'E' => Said::error(body, names),
            b'Z' => Said { number: body.first().copied().unwrap_or(0), ..Said::default() },
            b'S' => Said { strings: super::said::strings(body), ..Said::default() },
            b'R' => Said { number: body.get(3).copied().unwrap_or(0), ..Said::default() },
            _ => Said::default(),
        }
    }
}
