//! The tokens of both dialects: "Lexical Structure" of PostgreSQL's manual (section 4.1), "Language Structure" of MySQL's
//! (chapter 11).
//!
//! Two rules keep literals from getting out, whatever the text is. What begins with a digit is a literal as a whole
//! (`1e5`, `0xAB`, `12abc`; MySQL's unquoted `2024_events` as well). And where the text may be read in two ways that
//! disagree on where a literal ends, all of the rest is one token of [`Kind::Doubt`].

use super::class::{self, Class};
use super::reading::{self, Reading};
use super::{Dialect, Syntax};
use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an identifier without quotes.
    Word,
    /// A quoted identifier.
    Quoted,
    /// A string, its prefix included; also one that the text ends in.
    Text,
    /// Whatever begins with a digit, or a point and a digit.
    Number,
    /// `?`, `$1`, `:name`, `@name`, `@@name`.
    Placeholder,
    /// `+` or `-` with nothing between it and the next token.
    Sign,
    Dot,
    Comma,
    Open,
    Close,
    Semicolon,
    /// Any other character, or two.
    Symbol,
    /// All of the rest, because it cannot be told what of it is literal.
    Doubt,
}

/// A token: the bytes of the text from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads a text once, from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Where the last token begins.
    pub(super) start: usize,
    pub(super) dialect: Dialect,
    pub(super) reading: Reading,
    /// The text ended within quotes or within a comment.
    pub(super) unfinished: bool,
    /// Within `/*! … */`, which MySQL executes, or not, by the server's version.
    pub(super) executable: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], syntax: Syntax) -> Self {
        let (dialect, reading) = (syntax.dialect, Reading::of(syntax));
        Self { text, at: 0, start: 0, dialect, reading, unfinished: false, executable: false }
    }

    #[inline]
    fn peek(&self, at: usize) -> u8 {
        // No token begins with a zero byte, so that it can stand for the end.
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The next token. White space and comments are passed over.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Token> {
        let kind = self.advance()?;
        Some(Token { kind, start: self.start, end: self.at })
    }

    /// Its kind alone, which fits into a register: a whole token would be written byte by byte and read as one, for which
    /// a processor waits longer than all else takes.
    fn advance(&mut self) -> Option<Kind> {
        loop {
            let start = self.at;
            let first = *self.text.get(start)?;
            let class = class::of(first);
            let kind = match class {
                Class::Space => {
                    self.at += 1;
                    continue;
                }
                Class::Letter => self.word(),
                Class::Digit => self.number(),
                Class::Single => self.string(start, None),
                Class::Double => match self.dialect {
                    Dialect::Mysql => self.string(start, None),
                    Dialect::Postgresql => self.quoted(start, b'"'),
                },
                Class::Backtick if self.dialect == Dialect::Mysql => self.quoted(start, b'`'),
                Class::Dot if class::of(self.peek(start + 1)) == Class::Digit && !self.after_name() => self.number(),
                Class::Dollar => self.dollar(),
                Class::At => self.variable(),
                Class::Colon => self.colon(),
                Class::Minus | Class::Slash | Class::Hash | Class::Star => match self.comment(first) {
                    Comment::Passed => continue,
                    Comment::None => {
                        self.at += 1;
                        if first == b'-' { Kind::Sign } else { Kind::Symbol }
                    }
                    Comment::Doubt => self.doubt(),
                },
                _ => {
                    self.at += 1;
                    match class {
                        Class::Dot => Kind::Dot,
                        Class::Comma => Kind::Comma,
                        Class::Open => Kind::Open,
                        Class::Close => Kind::Close,
                        Class::Semicolon => Kind::Semicolon,
                        Class::Question => Kind::Placeholder,
                        _ if first == b'+' => Kind::Sign,
                        _ => Kind::Symbol,
                    }
                }
            };
            if self.executable && !matches!(kind, Kind::Word | Kind::Doubt) && self.crosses(start) {
                self.start = start;
                return Some(self.doubt());
            }
            self.start = start;
            return Some(kind);
        }
    }

    /// A server that does not execute `/*! … */` ends it at the first `*/`, within quotes too.
    fn crosses(&self, start: usize) -> bool {
        comment_end(self.text.get(start..self.at).unwrap_or_default()).is_some()
    }

    fn doubt(&mut self) -> Kind {
        self.at = self.text.len();
        Kind::Doubt
    }

    /// The end of a run of word bytes.
    #[inline]
    fn word_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.iter().position(|byte| !class::in_word(*byte)).map_or(self.text.len(), |length| at + length)
    }

    #[inline]
    fn word(&mut self) -> Kind {
        let start = self.at;
        let end = self.word_end(start + 1);
        self.at = end;
        match self.peek(end) {
            b'\'' if end - start == 1 => match (self.peek(start) | 0x20, self.dialect) {
                (b'e', Dialect::Postgresql) => self.string(end, Some(true)),
                // The one holds digits only, the other is a plain string.
                (b'b' | b'x' | b'n', _) => self.string(end, None),
                _ => Kind::Word,
            },
            b'&' if end - start == 1 && self.dialect == Dialect::Postgresql && self.peek(start) | 0x20 == b'u' => {
                match self.peek(end + 1) {
                    b'\'' => self.string(end + 1, None),
                    b'"' => self.quoted(end + 1, b'"'),
                    _ => {
                        if end + 1 == self.text.len() {
                            self.at = end + 1; // the quote may follow
                        }
                        Kind::Word
                    }
                }
            }
            _ => Kind::Word,
        }
    }

    /// Whether a name ends here: a point behind it belongs to it, as in MySQL's `db.2024_events`.
    fn after_name(&self) -> bool {
        let before = self.peek(self.at.wrapping_sub(1));
        class::in_word(before) || before == b'`'
    }

    /// Reads on while it could be a number in any notation of either dialect, or an identifier.
    fn number(&mut self) -> Kind {
        let hex = self.peek(self.at) == b'0' && self.peek(self.at + 1) | 0x20 == b'x';
        let mut at = self.at;
        loop {
            let byte = self.peek(at);
            let exponent = byte | 0x20 == b'e' && !hex;
            if exponent && matches!(self.peek(at + 1), b'+' | b'-') && self.peek(at + 2).is_ascii_digit() {
                at += 2;
            } else if byte == b'$' && self.dialect == Dialect::Postgresql {
                break; // a dollar quote may begin here
            } else if class::in_word(byte) || byte == b'.' {
                at += 1;
            } else {
                break;
            }
        }
        self.at = at;
        Kind::Number
    }

    /// A string whose opening quote is at `open`. `escapes`: whether backslashes do; the session decides if `None`. If it is not
    /// known what the session says, more than the string may be masked with it.
    fn string(&mut self, open: usize, escapes: Option<bool>) -> Kind {
        let quote = self.peek(open);
        let mut at = open + 1;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(quote, b'\\', rest) else { break };
            at += found;
            let next = self.peek(at + 1);
            if self.peek(at) == quote {
                if next == quote {
                    at += 2;
                    continue;
                }
                at += 1;
                match self.continuation(at) {
                    Some(behind) => at = behind,
                    None => {
                        self.at = at;
                        return Kind::Text;
                    }
                }
            } else if next == quote {
                match escapes.or(self.reading.escapes(quote)) {
                    Some(true) => at += 2,
                    Some(false) => at += 1,
                    None => {
                        let Some(end) = reading::meet(self, open) else { return self.doubt() };
                        self.at = end;
                        return Kind::Text;
                    }
                }
            } else {
                // A pair of backslashes is one character or two, and hides nothing in either case.
                at += 2;
            }
        }
        self.unfinished = true;
        self.at = self.text.len();
        Kind::Text
    }

    /// PostgreSQL: a string goes on, as the same kind of string, in quotes on another line (section 4.1.2.1).
    fn continuation(&self, mut at: usize) -> Option<usize> {
        if self.dialect != Dialect::Postgresql {
            return None;
        }
        let mut newline = false;
        loop {
            match self.peek(at) {
                b'\'' if newline => return Some(at + 1),
                b'\n' | b'\r' => newline = true,
                b'-' if self.peek(at + 1) == b'-' => {
                    let rest = self.text.get(at..)?;
                    at += memchr::memchr2(b'\n', b'\r', rest)?;
                    continue;
                }
                0 => return None,
                byte if class::of(byte) == Class::Space => {}
                _ => return None,
            }
            at += 1;
        }
    }

    /// An identifier whose opening quote is at `open`. One without an end may as well be a string, and is masked as such.
    fn quoted(&mut self, open: usize, quote: u8) -> Kind {
        let mut at = open + 1;
        while let Some(found) = memchr::memchr(quote, self.text.get(at..).unwrap_or_default()) {
            at += found + 1;
            if self.peek(at) != quote {
                self.at = at;
                return Kind::Quoted;
            }
            at += 1;
        }
        self.unfinished = true;
        self.at = self.text.len();
        Kind::Text
    }

    /// `$1`, or a string in dollar quotes. MySQL has had these since version 9; before, `$` was a letter.
    fn dollar(&mut self) -> Kind {
        let start = self.at;
        let mut end = start + 1;
        while self.peek(end) != b'$' && class::in_word(self.peek(end)) {
            end += 1;
        }
        let digits = self.peek(start + 1).is_ascii_digit();
        if digits {
            end = self.word_end(end);
            let name = self.text.get(start + 1..end).unwrap_or_default();
            self.at = end;
            let parameter = self.dialect == Dialect::Postgresql && name.iter().all(u8::is_ascii_digit);
            return if parameter { Kind::Placeholder } else { Kind::Number };
        }
        if self.peek(end) != b'$' {
            if end == self.text.len() {
                self.at = end; // a tag, of which the rest may follow
                return Kind::Text;
            }
            let word = self.dialect == Dialect::Mysql && end > start + 1;
            self.at = if word { end } else { start + 1 };
            return if word { Kind::Word } else { Kind::Symbol };
        }
        let tag = self.text.get(start..=end).unwrap_or_default();
        let Some(length) = memchr::memmem::find(self.text.get(end + 1..).unwrap_or_default(), tag) else {
            self.unfinished = true;
            self.at = self.text.len();
            return Kind::Text;
        };
        self.at = end + 1 + length + tag.len();
        let inside = self.text.get(start..self.at).unwrap_or_default();
        if self.dialect == Dialect::Mysql && memchr::memchr3(b'\'', b'"', b'`', inside).is_some() {
            return self.doubt();
        }
        Kind::Text
    }

    /// `@name` and `@@name`; a quoted name is the next token, and so are digits. In PostgreSQL `@` is an operator.
    fn variable(&mut self) -> Kind {
        let name = self.at + 1 + usize::from(self.peek(self.at + 1) == b'@');
        if self.dialect == Dialect::Mysql && class::of(self.peek(name)) == Class::Letter {
            self.at = self.word_end(name);
            Kind::Placeholder
        } else {
            self.at = name;
            Kind::Symbol
        }
    }

    /// `:name`, `::`, `:=`, `:`. Digits behind it may be an array's bound.
    fn colon(&mut self) -> Kind {
        match self.peek(self.at + 1) {
            b':' | b'=' => self.at += 2,
            // A single letter may be the prefix of a string.
            next if class::of(next) == Class::Letter && !matches!(self.peek(self.at + 2), b'\'' | b'&') => {
                self.at = self.word_end(self.at + 1);
                return Kind::Placeholder;
            }
            _ => self.at += 1,
        }
        Kind::Symbol
    }

    /// Passes over a comment that begins here.
    fn comment(&mut self, first: u8) -> Comment {
        let start = self.at;
        let next = self.peek(start + 1);
        match (first, next, self.dialect) {
            (b'*', b'/', _) if self.executable => {
                self.executable = false;
                self.at += 2;
                return Comment::Passed;
            }
            (b'-', b'-', Dialect::Postgresql) | (b'#', _, Dialect::Mysql) => self.line_comment(),
            // MySQL wants white space behind the dashes: `5--3` is a difference.
            (b'-', b'-', Dialect::Mysql) if class::of(self.peek(start + 2)) == Class::Space => self.line_comment(),
            (b'/', b'*', Dialect::Postgresql) => self.nested_comment(),
            (b'/', b'*', Dialect::Mysql) => {
                let mariadb = usize::from(self.peek(start + 2) == b'M');
                if self.peek(start + 2 + mariadb) == b'!' {
                    return self.executable_comment(start + 3 + mariadb);
                }
                match comment_end(self.text.get(start + 2..).unwrap_or_default()) {
                    Some(length) => self.at = start + 2 + length,
                    None => self.unfinished_comment(),
                }
            }
            _ => return Comment::None,
        }
        if self.executable && self.crosses(start) { Comment::Doubt } else { Comment::Passed }
    }

    fn line_comment(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = match self.dialect {
            Dialect::Mysql => memchr::memchr(b'\n', rest),
            Dialect::Postgresql => memchr::memchr2(b'\n', b'\r', rest),
        };
        self.at += end.unwrap_or(rest.len());
    }

    fn nested_comment(&mut self) {
        let (mut at, mut depth) = (self.at, 0);
        while let Some(found) = memchr::memchr2(b'/', b'*', self.text.get(at..).unwrap_or_default()) {
            at += found;
            match (self.peek(at), self.peek(at + 1)) {
                (b'/', b'*') => depth += 1,
                (b'*', b'/') => depth -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if depth == 0 {
                self.at = at;
                return;
            }
        }
        self.unfinished_comment();
    }

    fn unfinished_comment(&mut self) {
        self.unfinished = true;
        self.at = self.text.len();
    }

    /// `/*!`, with the server's version in five or six digits or without. What is inside is read as if it were outside.
    fn executable_comment(&mut self, mut at: usize) -> Comment {
        let digits = (0..6).take_while(|n| self.peek(at + n).is_ascii_digit()).count();
        if digits >= 5 {
            at += digits;
        }
        if self.executable {
            return Comment::Doubt;
        }
        self.executable = true;
        self.at = at.min(self.text.len());
        Comment::Passed
    }
}

/// Where the first `*/` ends.
fn comment_end(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'/', text).find(|at| *at > 0 && text.get(at - 1) == Some(&b'*')).map(|at| at + 1)
}

/// Copies the white space between two tokens, without the comments.
pub(super) fn white_space(text: &[u8], dialect: Dialect, gap: Range<usize>, to: &mut Vec<u8>) {
    let mut lexer = Lexer { at: gap.start, ..Lexer::new(text, dialect.into()) };
    while lexer.at < gap.end {
        let byte = lexer.peek(lexer.at);
        if class::of(byte) == Class::Space {
            to.push(byte);
            lexer.at += 1;
            continue;
        }
        // What ends here began before the gap.
        lexer.executable = byte == b'*';
        if !matches!(lexer.comment(byte), Comment::Passed) {
            return;
        }
    }
}

/// What became of a character that may begin a comment.
enum Comment {
    /// It did, and the comment is behind.
    Passed,
    /// It did not.
    None,
    /// It did, and where the comment ends depends on the server.
    Doubt,
}
