//! How a text's quotes are to be read, where the settings of the session decide and are not known.
//!
//! A backslash before a quote escapes it or not: MySQL's `NO_BACKSLASH_ESCAPES`, for `"` its `ANSI_QUOTES` as well,
//! PostgreSQL's `standard_conforming_strings`. Read the wrong way, code and literals change places for the rest of the
//! text. So where the two ways part, each is tried to the end: one that ends within quotes, or that meets a backslash
//! outside of them, where no statement can have one, is not what the client meant. If that does not leave exactly one
//! way, the rest of the text is [`Kind::Doubt`](super::lex::Kind::Doubt).

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
    // Escapes in both kinds by default, in `'` only with ANSI_QUOTES, in none with NO_BACKSLASH_ESCAPES.
    let (mut escaping, mut plain) = (false, false);
    for (single, double) in [(true, true), (true, false), (false, false)] {
        let twice = lexer.dialect == Dialect::Postgresql && single && double; // `"` has no escapes at all there
        if twice || !lexer.reading.allows(single, double) || !viable(lexer, start, single, double) {
            continue;
        }
        let escapes = if quote == b'"' { double } else { single };
        escaping |= escapes;
        plain |= !escapes;
    }
    (escaping != plain).then_some(escaping)
}

/// Whether the rest of the text can be meant that way.
fn viable(lexer: &Lexer<'_>, start: usize, single: bool, double: bool) -> bool {
    let reading = Reading { single: Some(single), double: Some(double) };
    let mut probe = Lexer { at: start, reading, ..lexer.clone() };
    while let Some(token) = probe.next() {
        match token.kind {
            Kind::Doubt => return true,
            Kind::Symbol if stray(probe.text.get(token.start..).unwrap_or_default(), lexer.dialect) => return false,
            _ => {}
        }
    }
    !(lexer.complete && probe.unfinished)
}

/// A backslash outside of quotes. MySQL has one: `\N` is NULL.
fn stray(rest: &[u8], dialect: Dialect) -> bool {
    rest.first() == Some(&b'\\') && !(dialect == Dialect::Mysql && rest.get(1) == Some(&b'N'))
}
