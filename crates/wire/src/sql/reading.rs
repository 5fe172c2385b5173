//! How a text's quotes are to be read, where the settings of the session decide and are not known.
//!
//! A backslash before a quote escapes it or not: MySQL's `NO_BACKSLASH_ESCAPES`, for `"` its `ANSI_QUOTES` as well,
//! PostgreSQL's `standard_conforming_strings`. Read the wrong way, code and literals change places for the rest of the
//! text. So where the two ways part, each is tried to the end. The server's default is right if it leads somewhere and the
//! other way does not: it ends within quotes, or meets a backslash outside of them, where no statement can have one. In
//! any other case the rest of the text is [`Kind::Doubt`].
//!
//! That the default fails is not taken for evidence of the other way: the statement may just as well be broken. What is
//! left is a broken statement of a session with other settings than the default.

use super::Dialect;
use super::lex::{Kind, Lexer};

/// Whether a backslash escapes the quote behind it; `None` as long as nothing in the text has asked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// In `'…'`.
    pub(super) single: Option<bool>,
    /// In `"…"`.
    pub(super) double: Option<bool>,
}

impl Reading {
    /// For the kind of quote at hand.
    #[inline]
    pub(super) fn of(self, quote: u8) -> Option<bool> {
        if quote == b'"' { self.double } else { self.single }
    }

    fn allows(self, single: bool, double: bool) -> bool {
        self.single.is_none_or(|known| known == single) && self.double.is_none_or(|known| known == double)
    }
}

/// Decides for one kind of quote at a string that begins at `start`: `None` if that cannot be told.
#[cold]
pub(super) fn decide(lexer: &Lexer<'_>, quote: u8, start: usize) -> Option<bool> {
    let default = lexer.dialect == Dialect::Mysql;
    // Escapes in both kinds, in `'` only (ANSI_QUOTES), in none. PostgreSQL's `"` has none in any case.
    let ways: &[(bool, bool)] = match lexer.dialect {
        Dialect::Mysql => &[(true, true), (true, false), (false, false)],
        Dialect::Postgresql => &[(true, false), (false, false)],
    };
    let possible = |escapes: bool| {
        ways.iter().any(|&(single, double)| {
            let meant = if quote == b'"' { double } else { single };
            meant == escapes && lexer.reading.allows(single, double) && viable(lexer, start, single, double)
        })
    };
    (possible(default) && !possible(!default)).then_some(default)
}

/// Whether the rest of the text can be meant that way.
fn viable(lexer: &Lexer<'_>, start: usize, single: bool, double: bool) -> bool {
    let reading = Reading { single: Some(single), double: Some(double) };
    let mut probe = Lexer { at: start, reading, ..lexer.clone() };
    while let Some(token) = probe.next() {
        match token.kind {
            Kind::Doubt => return true,
            Kind::Symbol if stray(&probe, token.start) => return false,
            _ => {}
        }
    }
    !(lexer.complete && probe.unfinished)
}

/// Whether a backslash outside of quotes is there. MySQL has one: `\N` is NULL.
fn stray(lexer: &Lexer<'_>, at: usize) -> bool {
    let null = match lexer.text.get(at + 1) {
        Some(next) => *next == b'N',
        None => !lexer.complete,
    };
    lexer.text.get(at) == Some(&b'\\') && !(null && lexer.dialect == Dialect::Mysql)
}
