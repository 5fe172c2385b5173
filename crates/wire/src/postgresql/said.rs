//! What messages of the server say: CommandComplete's tag, ErrorResponse's code.

use super::frame::string;
use crate::{Name, Names};

/// What a reply said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Seen {
    #[default]
    Nothing,
    Fine,
    /// An error, by its SQLSTATE.
    Error(Name),
}

/// Rows of a result, or rows that a command changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Rows {
    #[default]
    None,
    Returned(u64),
    Affected(u64),
}

/// What the server's message in progress says, as far as it is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// CommandComplete's command.
    pub(super) tag: Name,
    /// CommandComplete's number of rows.
    pub(super) rows: Option<u64>,
    /// That number is of rows returned.
    pub(super) returns: bool,
    /// ErrorResponse's SQLSTATE.
    pub(super) code: Name,
    /// The code says that the text could not be parsed at all.
    pub(super) syntax: bool,
    /// The server ends the connection, whatever was asked.
    pub(super) fatal: bool,
    /// Part of what is looked at was not seen.
    pub(super) cut: bool,
    /// ParameterStatus: whether it is about strings, and if so, whether backslashes escape in them.
    pub(super) strings: Option<Option<bool>>,
    /// ReadyForQuery's byte, or AuthenticationRequest's code.
    pub(super) number: u8,
}

impl Said {
    /// "CommandComplete": a command and, for most that have them, a number of rows; `INSERT` has an object id before it.
    /// `before`: the command that was completed before.
    #[inline]
    pub(super) fn command(body: &[u8], before: Name, names: &mut Names) -> Self {
        let text = string(body).map_or(body, |(text, _)| text);
        let words = text.iter().position(u8::is_ascii_digit).unwrap_or(text.len());
        let (command, numbers) = text.split_at_checked(words).unwrap_or((text, &[]));
        let command = command.trim_ascii_end();
        // Anything else is no command that PostgreSQL has.
        let known = || command.iter().all(|&byte| byte.is_ascii_uppercase() || byte == b' ');
        let tag = if names.is(before, command) {
            before
        } else if known() {
            names.intern(command)
        } else {
            Name::EMPTY
        };
        let number = numbers.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
        Said { tag, rows: decimal(number), returns: matches!(command, b"SELECT" | b"FETCH"), ..Said::default() }
    }

    /// "Error and Notice Message Fields": each a type byte and a string.
    pub(super) fn error(body: &[u8], names: &mut Names) -> Self {
        let (mut said, mut rest) = (Said::default(), body);
        while let Some((&field, behind)) = rest.split_first() {
            let Some((value, next)) = string(behind) else { break };
            match field {
                // The severity that is never translated, since 9.6; before, only the translated one.
                b'V' | b'S' => said.fatal |= matches!(value, b"FATAL" | b"PANIC"),
                b'C' if is_sqlstate(value) => {
                    said.syntax = value == b"42601";
                    said.code = names.intern(value);
                    break;
                }
                _ => {}
            }
            rest = next;
        }
        if said.code == Name::EMPTY {
            // OpenTelemetry's word for an error without a class.
            said.code = names.intern(b"_OTHER");
        }
        said
    }
}

/// "ParameterStatus": `standard_conforming_strings`. A setting that was not seen whole may be it.
pub(super) fn strings(body: &[u8]) -> Option<Option<bool>> {
    const NAME: &[u8] = b"standard_conforming_strings";
    let Some((name, rest)) = string(body) else { return NAME.starts_with(body).then_some(None) };
    (name == NAME).then(|| match string(rest) {
        Some((b"on", _)) => Some(false),
        Some((b"off", _)) => Some(true),
        _ => None,
    })
}

fn is_sqlstate(value: &[u8]) -> bool {
    value.len() == 5 && value.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let mut names = Names::default();
        for (tag, command, rows, returns) in [
            (&b"SELECT 5\0"[..], "SELECT", Some(5), true),
            (b"FETCH 0\0", "FETCH", Some(0), true),
            (b"INSERT 0 12\0", "INSERT", Some(12), false),
            (b"CREATE TABLE\0", "CREATE TABLE", None, false),
            (b"COPY 7\0", "COPY", Some(7), false),
            (b"DELETE 99999999999999999999\0", "DELETE", None, false),
            (b"not a tag 1\0", "", Some(1), false),
            (b"", "", None, false),
        ] {
            let said = Said::command(tag, Name::EMPTY, &mut names);
            assert_eq!((names.get(said.tag), said.rows, said.returns), (command, rows, returns));
        }
    }

    #[test]
    fn errors() {
        let mut names = Names::default();
        for (body, code, fatal) in [
            (&b"SERROR\0VERROR\0C42P01\0Mrelation\0\0"[..], "42P01", false),
            (b"SFATAL\0VFATAL\0C28P01\0Mpassword\0\0", "28P01", true),
            (b"SFEHLER\0VERROR\0C22012\0\0", "22012", false),
            (b"SERROR\0VERROR\0C4", "_OTHER", false),
            (b"SERROR\0Csecret\0\0", "_OTHER", false),
            (b"", "_OTHER", false),
        ] {
            let said = Said::error(body, &mut names);
            assert_eq!((names.get(said.code), said.fatal), (code, fatal), "{}", body.escape_ascii());
        }
    }
}
