//! The client's messages ("Message Formats", those marked F).
//!
//! What is looked at: the text of Query and Parse; the names in Parse, Bind, Describe, Close and Execute; the database in
//! the startup message. Parameters' values, passwords, cancellation keys and copied data are skipped by their length.

use super::frame::string;
use super::prepared::Key;
use crate::sql::{Reader, Statement, statements};
use crate::{Context, Name};

/// Most bytes of a statement that are looked at.
pub(super) const TEXT: u32 = 16 * 1024;
/// Of the names in front of a Bind's parameters. PostgreSQL bounds names of statements only by the message's length.
const NAMES: u32 = 1024;
/// Longest startup message (`MAX_STARTUP_PACKET_LENGTH`).
const STARTUP: u32 = 10_000;
/// Most statements of one query that are told apart.
const SEVERAL: usize = 256;

/// Codes in place of a version ("StartupMessage", "CancelRequest", "SSLRequest", "GSSENCRequest").
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// Which messages there are, and how much of them is looked at.
#[inline]
pub(super) fn rule(kind: u8, size: u32) -> Option<u32> {
    match kind {
        b'Q' if size >= 1 => Some(TEXT),
        b'P' if size >= 4 => Some(TEXT),
        b'B' if size >= 8 => Some(NAMES),
        b'E' if size >= 5 => Some(NAMES),
        b'D' | b'C' if size >= 2 => Some(NAMES),
        b'S' | b'H' | b'X' | b'c' if size == 0 => Some(0),
        b'd' | b'p' => Some(0),
        b'f' if size >= 1 => Some(0),
        b'F' if size >= 10 => Some(0),
        0 if (4..=STARTUP).contains(&size) => Some(STARTUP),
        _ => None,
    }
}

/// What a message without a type byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Opening {
    Startup,
    Cancel,
    Encryption,
    /// Another protocol, or a version that does not exist.
    #[default]
    Unknown,
}

/// What the client's message in progress says, as far as it is looked at.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Statement's name: of Parse, Bind, and of Describe and Close if not `of_portal`.
    pub(super) key: Key,
    /// Portal's name: of Bind, Execute, and of Describe and Close if `of_portal`.
    pub(super) portal: Key,
    pub(super) of_portal: bool,
    pub(super) statement: Option<Statement>,
    pub(super) several: Option<Box<[Statement]>>,
    pub(super) opening: Opening,
    /// The database that the startup message names.
    pub(super) database: Name,
}

impl Message {
    /// Reads the wanted part of a body. `whole`: it is all of it.
    #[inline]
    pub(super) fn read(kind: u8, body: &[u8], whole: bool, reader: Reader, cx: &mut Context<'_>) -> Self {
        match kind {
            b'Q' => Self::query(body, whole, reader, cx),
            b'P' => {
                let Some((key, text)) = name(body) else { return Self::unknown() };
                let (text, whole) = text_of(text, whole);
                Message { key, statement: Some(digest(text, whole, reader, cx)), ..Message::default() }
            }
            b'B' => {
                let Some((portal, rest)) = name(body) else { return Self::unknown() };
                let key = name(rest).map_or(Key::UNKNOWN, |(key, _)| key);
                Message { key, portal, ..Message::default() }
            }
            b'E' => {
                let portal = name(body).map_or(Key::UNKNOWN, |(portal, _)| portal);
                Message { portal, ..Message::default() }
            }
            b'D' | b'C' => {
                let Some((kind, rest)) = body.split_first() else { return Self::unknown() };
                let key = name(rest).map_or(Key::UNKNOWN, |(key, _)| key);
                Message { key, portal: key, of_portal: *kind == b'P', ..Message::default() }
            }
            0 => Self::opening(body, reader, cx),
            _ => Message::default(),
        }
    }

    /// A message of which the part that names something is missing.
    pub(super) fn unknown() -> Self {
        Message { key: Key::UNKNOWN, portal: Key::UNKNOWN, ..Message::default() }
    }

    /// "Query": one or more statements.
    #[inline]
    fn query(body: &[u8], whole: bool, reader: Reader, cx: &mut Context<'_>) -> Self {
        let (text, whole) = text_of(body, whole);
        let semicolon = memchr::memchr(b';', text).unwrap_or(text.len());
        // One statement, perhaps with a semicolon at its end, as nearly always.
        if text.get(semicolon..).is_none_or(|rest| rest.iter().all(|&b| b == b';' || b.is_ascii_whitespace())) {
            let text = text.get(..semicolon).unwrap_or(text);
            return Message { statement: Some(digest(text, whole, reader, cx)), ..Message::default() };
        }
        Self::several(text, whole, reader, cx)
    }

    #[cold]
    fn several(text: &[u8], whole: bool, reader: Reader, cx: &mut Context<'_>) -> Self {
        let mut parts = statements(text, reader.syntax).take(SEVERAL + 1).peekable();
        let (mut several, mut first) = (Vec::new(), None);
        while let Some(part) = parts.next() {
            // Only the last one can be the one that is cut.
            let complete = whole || parts.peek().is_some();
            first.get_or_insert((part, complete));
            if several.len() < SEVERAL {
                several.push(digest(part, complete, reader, cx));
            }
        }
        let statement = match (first, several.len()) {
            (Some((part, complete)), 1) => digest(part, complete, reader, cx),
            _ => digest(text, whole, reader, cx),
        };
        let several = (several.len() > 1).then(|| several.into_boxed_slice());
        Message { statement: Some(statement), several, ..Message::default() }
    }

    /// "StartupMessage" and the requests that stand in its place. The database's name is the user's unless it is given.
    #[cold]
    fn opening(body: &[u8], reader: Reader, cx: &mut Context<'_>) -> Self {
        let Some((code, rest)) = body.split_first_chunk::<4>() else { return Self::unknown() };
        let code = u32::from_be_bytes(*code);
        let mut message = Message {
            opening: match code {
                CANCEL => Opening::Cancel,
                SSL | GSS => Opening::Encryption,
                _ if code >> 16 == 3 => Opening::Startup,
                _ => Opening::Unknown,
            },
            ..Message::default()
        };
        if message.opening == Opening::Startup {
            let (mut database, mut user, mut rest) = (None, None, rest);
            while let Some((key, value, behind)) =
                string(rest).and_then(|(key, rest)| string(rest).map(|(value, behind)| (key, value, behind)))
            {
                match key {
                    b"database" if !value.is_empty() => database = Some(value),
                    b"user" => user = Some(value),
                    b"" => break,
                    _ => {}
                }
                rest = behind;
            }
            message.database = database.or(user).map_or(Name::EMPTY, |name| reader.own.schema(name, cx.names));
        }
        message
    }
}

#[inline]
fn name(body: &[u8]) -> Option<(Key, &[u8])> {
    string(body).map(|(name, rest)| (Key::of(name), rest))
}

/// The text that begins here, and whether that is all of it.
#[inline]
fn text_of(body: &[u8], whole: bool) -> (&[u8], bool) {
    match string(body) {
        Some((text, _)) => (text, true),
        None => (body, whole),
    }
}

#[inline]
fn digest(text: &[u8], complete: bool, reader: Reader, cx: &mut Context<'_>) -> Statement {
    cx.statements.digest_for(reader, text, complete, cx.names)
}
