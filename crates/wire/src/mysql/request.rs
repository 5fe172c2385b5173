//! The request direction: what is kept of a command until its reply comes, and how it gets its name.

use super::command::Command;
use super::handshake;
use super::packet::{Fields, Packets, Run};
use super::prepared::Prepared;
use crate::sql::{Dialect, Own, Reader, Statement, Syntax, statements};
use crate::{Context, Cut, Name};

/// What a command does to the schema in use, once it has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    Same,
    Named(Name),
    /// It changes, and to what is not known.
    Unknown,
}

/// A command, complete or in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) operation: Name,
    /// The statement that the operation ends with the digest of.
    pub(super) statement: Option<Statement>,
    /// The statement's, with what is done to it.
    pub(super) summary: Name,
    pub(super) schema: Schema,
    pub(super) truncated: bool,
    /// See [`crate::Fifo::push`].
    pub(super) turn: bool,
    /// Number of the reply's first packet; 0 if not known.
    pub(super) sequence: u8,
    pub(super) not_before: u64,
    pub(super) start: u64,
    pub(super) arrival: u64,
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Request {
    pub(super) const NONE: Request = Request {
        command: Command::UNSEEN,
        operation: Name::OTHER,
        statement: None,
        summary: Name::EMPTY,
        schema: Schema::Same,
        truncated: false,
        turn: false,
        sequence: 0,
        not_before: 0,
        start: 0,
        arrival: 0,
        end: 0,
        offset: 0,
        bytes: 0,
    };

    /// One whose first byte is where `start` is.
    pub(super) fn begin(command: Command, start: &Run, turn: bool) -> Self {
        Request {
            command,
            turn,
            not_before: start.opposite,
            start: start.started,
            arrival: start.arrival,
            offset: start.offset,
            ..Request::NONE
        }
    }

    /// The bytes up to the position `until` belong to it.
    pub(super) fn extend(&mut self, until: u64, time: u64) {
        (self.end, self.bytes) = (time, until.saturating_sub(self.offset));
    }

    /// Names the command out of its payload: all of it (`whole`), as much as is wanted, or less (`cut`). `escapes`: see
    /// [`Syntax`]; `own`: what names it may take.
    pub(super) fn name(
        &mut self,
        payload: &[u8],
        whole: bool,
        cut: bool,
        (escapes, own): (Option<bool>, Own),
        prepared: &mut Prepared,
        cx: &mut Context<'_>,
    ) {
        let Some((&command, rest)) = payload.split_first() else {
            // The name is missing.
            self.truncated = true;
            return;
        };
        self.command = Command(command);
        self.truncated = cut;
        match self.command {
            Command::QUERY => self.query(rest, whole, escapes, own, cx),
            Command::STMT_PREPARE => {
                let syntax = Syntax { dialect: Dialect::Mysql, escapes };
                let statement = cx.statements.digest_for(Reader { syntax, own }, rest, whole, cx.names);
                self.prefixed(b"PREPARE ", Some(statement), own, cx);
                self.truncated = statement.truncated;
                prepared.announce(statement);
            }
            Command::STMT_EXECUTE | Command::STMT_BULK_EXECUTE => {
                self.statement = statement_of(rest, prepared);
                self.summary = self.statement.map_or(Name::EMPTY, |statement| statement.summary);
                self.operation = match self.statement {
                    Some(statement) if statement.digest != Name::EMPTY => statement.digest,
                    Some(_) => cx.names.intern(b"EXECUTE"),
                    None => cx.names.intern(b"EXECUTE (unseen)"),
                };
                // Values are not looked at.
                self.truncated = rest.len() < 4;
            }
            Command::STMT_FETCH => {
                let statement = statement_of(rest, prepared);
                self.prefixed(b"FETCH ", statement, own, cx);
                self.truncated = rest.len() < 4;
            }
            Command::STMT_CLOSE => {
                self.operation = cx.names.intern(b"STMT_CLOSE");
                if let Some(number) = Fields(rest).int(4) {
                    prepared.remove(number as u32);
                }
            }
            other => {
                self.operation = cx.names.intern(other.name().as_bytes());
                self.schema = match other {
                    Command::INIT_DB if whole => schema(rest, own, cx),
                    Command::INIT_DB => Schema::Unknown,
                    Command::CHANGE_USER => {
                        handshake::changed_schema(payload).map_or(Schema::Unknown, |name| schema(name, own, cx))
                    }
                    _ => Schema::Same,
                };
            }
        }
    }

    fn query(&mut self, rest: &[u8], whole: bool, escapes: Option<bool>, own: Own, cx: &mut Context<'_>) {
        let text = behind_attributes(rest).unwrap_or_default();
        let syntax = Syntax { dialect: Dialect::Mysql, escapes: escapes.filter(|_| is_single(text)) };
        let statement = cx.statements.digest_for(Reader { syntax, own }, text, whole, cx.names);
        self.truncated = statement.truncated;
        self.operation = if statement.digest == Name::EMPTY { cx.names.intern(b"QUERY") } else { statement.digest };
        (self.statement, self.summary) = (Some(statement), statement.summary);
        self.schema = match used(text, syntax) {
            None => Schema::Same,
            Some(_) if !whole => Schema::Unknown,
            Some(name) => name.map_or(Schema::Unknown, |name| schema(name, own, cx)),
        };
    }

    /// An operation that is a word and a digest.
    fn prefixed(&mut self, word: &[u8], statement: Option<Statement>, own: Own, cx: &mut Context<'_>) {
        self.statement = statement;
        let Some(Statement { digest, summary, .. }) = statement else {
            self.operation = cx.names.intern(&[word, b"(unseen)"].concat());
            return;
        };
        let mut joined = |name| cx.statements.prefixed(own, word, name, cx.names);
        (self.operation, self.summary) = (joined(digest), joined(summary));
    }
}

/// Whether a text is one statement for certain: the first of several may set how the server reads the next one.
fn is_single(text: &[u8]) -> bool {
    memchr::memchr(b';', text)
        .and_then(|at| text.get(at..))
        .is_none_or(|rest| rest.iter().all(|&byte| byte == b';' || byte.is_ascii_whitespace()))
}

/// The statement that a payload begins with the number of.
fn statement_of(rest: &[u8], prepared: &Prepared) -> Option<Statement> {
    Fields(rest).int(4).and_then(|number| prepared.get(number as u32))
}

/// A schema's name. Longer than the 64 characters that a server allows is none.
pub(super) fn schema(name: &[u8], own: Own, cx: &mut Context<'_>) -> Schema {
    if name.is_empty() || name.len() > 64 * 4 {
        return Schema::Unknown;
    }
    Schema::Named(own.schema(name, cx.names))
}

/// The schema that is in use behind a text, if it changes that: of several statements the last one counts.
fn used(text: &[u8], syntax: Syntax) -> Option<Option<&[u8]>> {
    if is_single(text) {
        return used_schema(text);
    }
    statements(text, syntax).filter_map(used_schema).last()
}

/// `USE name`: the name if it is a plain one. `None` if it is another statement.
fn used_schema(text: &[u8]) -> Option<Option<&[u8]>> {
    let text = text.trim_ascii();
    let (verb, rest) = text.split_at_checked(3)?;
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'`';
    if !verb.eq_ignore_ascii_case(b"use") || !rest.first().is_some_and(blank) {
        return None;
    }
    let name = rest.trim_ascii();
    let name = name.strip_suffix(b";").unwrap_or(name).trim_ascii();
    let name = match name {
        [b'`', name @ .., b'`'] => name,
        name => name,
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-') || *byte >= 0x80;
    Some((!name.is_empty() && name.iter().all(plain)).then_some(name))
}

/// CLIENT_QUERY_ATTRIBUTES: parameters before the text, whose values are passed over. No statement begins with bytes like
/// these, so that they are known without the handshake.
fn behind_attributes(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [0, 1, text @ ..] => return Some(text),
        [1..=8, 1, ..] => {}
        _ => return Some(rest),
    }
    let mut fields = Fields(rest);
    let count = fields.int(1)? as usize;
    fields.int(1)?;
    let nulls = fields.bytes(count.div_ceil(8))?;
    if fields.int(1)? != 1 {
        return None;
    }
    let mut types = [0u8; 8];
    for kind in types.iter_mut().take(count) {
        *kind = fields.int(1)? as u8;
        fields.int(1)?;
        fields.counted()?;
    }
    for (n, kind) in types.into_iter().take(count).enumerate() {
        if nulls.get(n / 8).is_some_and(|byte| byte >> (n % 8) & 1 == 1) {
            continue;
        }
        match kind {
            6 => Some(&b""[..]),                  // NULL
            1 => fields.bytes(1),                 // TINY
            2 | 13 => fields.bytes(2),            // SHORT, YEAR
            3 | 4 | 9 => fields.bytes(4),         // LONG, FLOAT, INT24
            5 | 8 => fields.bytes(8),             // DOUBLE, LONGLONG
            7 | 10 | 11 | 12 => fields.counted(), // TIMESTAMP, DATE, TIME, DATETIME
            _ => fields.counted(),
        }?;
    }
    Some(fields.0)
}

/// What may be made of the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trust {
    /// They are in step with the replies.
    #[default]
    Paired,
    /// Something is missing before them: they are counted, and which reply is whose is not known.
    Counted,
    /// Where one begins is not known.
    Blind(Cut),
}

/// The request direction.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) packets: Packets,
    pub(super) current: Request,
    pub(super) trust: Trust,
    /// The next command is the first one of a turn, and nothing is to come before its reply.
    pub(super) turn: bool,
    /// Blind because the bytes made no sense.
    pub(super) garbage: bool,
    /// Commands whose first byte was recognised.
    #[cfg(test)]
    pub(super) begun: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            packets: Packets::default(),
            current: Request::NONE,
            trust: Trust::Paired,
            turn: false,
            garbage: false,
            #[cfg(test)]
            begun: 0,
        }
    }
}

impl Commands {
    #[inline]
    pub(super) fn idle(&self) -> bool {
        self.packets.idle()
    }

    /// Whether a command may begin with these bytes. `alone`: nothing but the bytes tells so.
    pub(super) fn begins(bytes: &[u8], alone: bool) -> bool {
        let [a, b, c, sequence, payload @ ..] = bytes else { return !alone };
        let length = u32::from_le_bytes([*a, *b, *c, 0]);
        let whole = payload.is_empty() || payload.len() as u64 == u64::from(length);
        length > 0 && *sequence == 0 && payload.first().is_none_or(|&byte| Command(byte).is_sent()) && (whole || !alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_names_a_schema() {
        for (text, expected) in [
            (&b"USE shop"[..], Some(Some(&b"shop"[..]))),
            (b"  use\tshop ; ", Some(Some(b"shop"))),
            (b"use`shop`", Some(Some(b"shop"))),
            (b"USE sh``op", Some(None)),
            (b"USE shop; SELECT 1", Some(None)),
            (b"USE ", None),
            (b"used", None),
            (b"SELECT 1", None),
        ] {
            assert_eq!(used_schema(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn attributes_of_a_query_are_passed_over() {
        assert_eq!(behind_attributes(b"SELECT 1"), Some(&b"SELECT 1"[..]));
        assert_eq!(behind_attributes(b"\0\x01SELECT 1"), Some(&b"SELECT 1"[..]));
        let two = b"\x02\x01\x02\x01\xfe\0\x01a\x03\0\x01b\x06secretSELECT 1";
        assert_eq!(behind_attributes(two), Some(&b"SELECT 1"[..]));
        assert_eq!(behind_attributes(b"\x01\x01\0\x01\xfe\0\x01a\x06sec"), None, "cut in a value");
    }

    #[test]
    fn beginnings() {
        for (bytes, turn, alone) in [
            (&b"\x01\0\0\0\x0e"[..], true, true),
            (b"\x09\0\0\0", true, true),
            (b"\x09\0", true, false),
            (b"\x09\0\0\0\x03SEL", true, false),
            (b"\x01\0\0\x02\x0e", false, false),
            (b"\0\0\0\0", false, false),
            (b"\x01\0\0\0\x0b", false, false),
        ] {
            assert_eq!((Commands::begins(bytes, false), Commands::begins(bytes, true)), (turn, alone));
        }
    }
}
