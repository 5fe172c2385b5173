//! How a text's quotes are to be read, where the settings of the session decide.
//!
//! A backslash before a quote escapes it or not: MySQL's `NO_BACKSLASH_ESCAPES`, for `"` its `ANSI_QUOTES` as well,
//! PostgreSQL's `standard_conforming_strings`. Read the wrong way, code and literals change places for the rest of the
//! text. So as long as a setting is not known, no way is preferred: where they part, all of them are followed up to where
//! they are between two tokens at the same place, and what lies between counts as one literal. If they never meet again, the
//! rest of the text is [`Kind::Doubt`].

use super::lex::{Kind, Lexer};
use super::{Dialect, Syntax};

/// Whether a backslash escapes the quote behind it; `None` if that is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// In `'…'`.
    pub(super) single: Option<bool>,
    /// In `"…"`.
    pub(super) double: Option<bool>,
}

impl Reading {
    pub(super) fn of(syntax: Syntax) -> Self {
        let double = match (syntax.dialect, syntax.escapes) {
            // An identifier.
            (Dialect::Postgresql, _) => Some(false),
            // With escapes, a string with them or, by ANSI_QUOTES, an identifier without.
            (Dialect::Mysql, Some(false)) => Some(false),
            (Dialect::Mysql, _) => None,
        };
        Reading { single: syntax.escapes, double }
    }

    /// For the kind of quote at hand.
    #[inline]
    pub(super) fn escapes(self, quote: u8) -> Option<bool> {
        if quote == b'"' { self.double } else { self.single }
    }

    /// The ways to read that are left.
    fn ways(self) -> impl Iterator<Item = Reading> {
        let allows = |known: Option<bool>, value| known.is_none_or(|known| known == value);
        // Escapes in both kinds, in `'` only, in none.
        [(true, true), (true, false), (false, false)]
            .into_iter()
            .filter(move |&(single, double)| allows(self.single, single) && allows(self.double, double))
            .map(|(single, double)| Reading { single: Some(single), double: Some(double) })
    }
}

/// Where all ways to read the text from the quote at `open` meet again; `None` if they do not.
#[cold]
pub(super) fn meet(lexer: &Lexer<'_>, open: usize) -> Option<usize> {
    let mut ways: [Option<Lexer<'_>>; 3] = [None, None, None];
    for (slot, reading) in ways.iter_mut().zip(lexer.reading.ways()) {
        *slot = Some(Lexer { at: open, reading, ..lexer.clone() });
    }
    loop {
        let hindmost = ways.iter().flatten().map(|way| way.at).min()?;
        for way in ways.iter_mut().flatten().filter(|way| way.at == hindmost) {
            let token = way.next()?;
            // A comment that some servers execute is not left or entered by some ways only.
            if token.kind == Kind::Doubt || way.unfinished || way.executable != lexer.executable {
                return None;
            }
        }
        let mut ends = ways.iter().flatten().map(|way| way.at);
        let first = ends.next()?;
        if ends.all(|end| end == first) {
            return Some(first);
        }
    }
}
