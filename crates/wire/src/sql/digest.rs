//! The digest: a statement's text without its literals, in one form whatever the form it was sent in.
//!
//! Masked with `?`: strings, numbers with their sign, TRUE and FALSE, and NULL and DEFAULT where they are elements of a
//! list; names that a session makes up (savepoints, cursors, prepared statements). Folded: `IN (?, ?, ?)` and `ARRAY[?, ?]`
//! to their first element, the rows of VALUES to the first row, adjacent strings to one. Comments and semicolons at the end
//! are dropped, reserved words written in capitals, white space set by the tokens alone. Everything else is kept.

use super::keyword::{self, Key};
use super::lex::{self, Kind, Lexer, Token};
use super::summary::Summary;
use super::{Dialect, Syntax};

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One form for all texts that mean the same.
    Digest,
    /// White space and case as sent: `db.query.text`.
    Sent,
}

/// Longest digest in bytes.
pub(super) const MAX: usize = 1024;
/// Stands for what is missing at the end.
const MARK: &[u8] = b"...";

/// Writes the text and its summary. Whether the text is of the statement's beginning only.
pub(super) fn write(
    text: &[u8],
    complete: bool,
    syntax: Syntax,
    form: Form,
    out: &mut Vec<u8>,
    summary: &mut Summary<'_>,
) -> bool {
    let dialect = syntax.dialect;
    out.clear();
    let mut writer = Writer {
        text,
        dialect,
        form,
        out,
        settled: 0,
        end: 0,
        before: Before::Start,
        sign: None,
        depth: 0,
        list: None,
        rows: Rows::None,
        row: 0,
        mute: false,
        full: false,
        soft: false,
        first: true,
        session: Session::No,
        semicolons: 0,
    };
    let mut lexer = Lexer::new(text, syntax);
    let mut cut = !complete;
    while let Some(token) = lexer.next() {
        let word = matches!(token.kind, Kind::Word | Kind::Quoted);
        if !complete && token.end == text.len() && may_go_on(token.kind) {
            break;
        }
        if word {
            let (key, capitals, reserved) = match token.kind {
                Kind::Word => keyword::find(text.get(token.start..token.end).unwrap_or_default()),
                _ => (Key::None, &b""[..], false),
            };
            let named = summary.word(token, key);
            writer.word(token, key, capitals, reserved, named);
        } else {
            summary.token(token);
            writer.token(token);
            cut |= token.kind == Kind::Doubt;
        }
        if writer.full && summary.done() {
            break;
        }
    }
    cut |= lexer.unfinished;
    writer.finish(cut)
}

/// Whether the rest of a token may be missing where the text was cut behind it. A literal is masked in any case.
fn may_go_on(kind: Kind) -> bool {
    use Kind::{Dot, Placeholder, Quoted, Sign, Symbol, Word};
    matches!(kind, Word | Quoted | Placeholder | Symbol | Sign | Dot)
}

/// The token before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Start,
    /// A name, a placeholder, a closing parenthesis: an operator behind it has two operands.
    Operand,
    Word(Key),
    String,
    Number,
    Sign,
    Symbol,
    Dot,
    Comma,
    Open,
}

/// The list of IN, or an array's.
#[derive(Clone, Copy, Debug)]
struct List {
    /// Depth of its elements.
    depth: u32,
    /// It ends with `]`.
    array: bool,
    /// Where the first element ends.
    first: Option<usize>,
    /// In an element that is a row.
    row: bool,
}

/// The rows of VALUES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    None,
    /// VALUES was the last word.
    Wanted,
    /// In the first row.
    First,
    /// Behind a row.
    Behind,
    /// Behind the comma that follows a row.
    Comma,
    /// In a further row.
    Further,
}

/// How things were before a sign, which is part of the number behind it.
#[derive(Clone, Copy, Debug)]
struct Sign {
    start: usize,
    /// Length of the output.
    length: usize,
    end: usize,
    before: Before,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    No,
    /// The statement is about names that the session makes up.
    Names,
    /// The next word is such a name.
    Next,
}

struct Writer<'a, 'o> {
    text: &'a [u8],
    dialect: Dialect,
    form: Form,
    out: &'o mut Vec<u8>,
    /// Length of the output at the end of the last token that leaves room for the mark.
    settled: usize,
    /// Where the last token ends in the text.
    end: usize,
    before: Before,
    /// The last token, if it is a sign that has one operand.
    sign: Option<Sign>,
    depth: u32,
    list: Option<List>,
    rows: Rows,
    /// Depth within a row.
    row: u32,
    /// In a further row: nothing is written.
    mute: bool,
    /// Nothing more will fit.
    full: bool,
    /// The last word is not reserved: a parenthesis behind it makes it a function.
    soft: bool,
    /// No word of the statement has come yet.
    first: bool,
    session: Session,
    /// How many bytes at the end of the output are semicolons and what precedes them.
    semicolons: usize,
}

impl Writer<'_, '_> {
    fn word(&mut self, token: Token, key: Key, capitals: &'static [u8], reserved: bool, named: bool) {
        let raw = self.text.get(token.start..token.end).unwrap_or_default();
        let dotted = self.before == Before::Dot || self.text.get(token.end) == Some(&b'.');
        let key = if named || dotted { Key::None } else { key };
        let first = std::mem::take(&mut self.first);
        if self.rows != Rows::None && self.depth < self.row {
            match (self.rows, key) {
                (Rows::Wanted, Key::Row) => {}
                (Rows::Comma, Key::Row) => {
                    self.end = token.end;
                    return;
                }
                _ => self.leave_rows(),
            }
        }
        let masked = match key {
            Key::Boolean => true,
            Key::Null | Key::Default => self.is_element(),
            _ => self.session(raw, key, token.kind, first),
        };
        if masked {
            self.put(token, b"?", Before::Operand);
            self.sign = None;
            return;
        }
        let cast = self.before == Before::Symbol && self.out.ends_with(b"::");
        if !cast && !self.mute {
            self.list = None;
        }
        let keyword = key != Key::None;
        let before = if keyword { Before::Word(key) } else { Before::Operand };
        let capital = self.form == Form::Digest && keyword && (reserved || first);
        self.put(token, if capital { capitals } else { raw }, before);
        self.soft = !reserved && !first;
        self.sign = None;
        if key == Key::Values && !self.mute {
            (self.rows, self.row) = (Rows::Wanted, self.depth + 1);
        }
    }

    /// Whether this is a name that the session makes up.
    fn session(&mut self, raw: &[u8], key: Key, kind: Kind, first: bool) -> bool {
        if first {
            self.session = match key {
                Key::Session => Session::Names,
                Key::Declare => Session::Next,
                _ => Session::No,
            };
            return false;
        }
        match self.session {
            Session::No => false,
            Session::Next => {
                self.session = Session::No;
                true
            }
            Session::Names => kind == Kind::Quoted || !is_option(raw),
        }
    }

    /// NULL and DEFAULT are masked where a literal could stand as well.
    fn is_element(&self) -> bool {
        let row = matches!(self.rows, Rows::First | Rows::Further) && self.depth == self.row;
        row || self.list.is_some()
    }

    fn token(&mut self, token: Token) {
        let raw = self.text.get(token.start..token.end).unwrap_or_default();
        if self.rows != Rows::None && self.depth < self.row && !matches!(token.kind, Kind::Open | Kind::Comma) {
            self.leave_rows();
        }
        if self.session == Session::Next {
            self.session = Session::No;
        }
        match token.kind {
            // One string after another is one string.
            Kind::Text if self.before == Before::String => self.end = token.end,
            Kind::Text | Kind::Doubt => self.put(token, b"?", Before::String),
            Kind::Number => {
                let mut token = token;
                if let Some(sign) = self.sign.take_if(|_| self.end == token.start) {
                    self.truncate(sign.length);
                    (self.end, self.before, token.start) = (sign.end, sign.before, sign.start);
                }
                self.put(token, b"?", Before::Number);
            }
            Kind::Sign => {
                let sign = Sign { start: token.start, length: self.out.len(), end: self.end, before: self.before };
                self.put(token, raw, Before::Sign);
                self.sign = (sign.before != Before::Operand).then_some(sign);
                return;
            }
            Kind::Placeholder => self.put(token, raw, Before::Operand),
            Kind::Open => self.open(token, raw),
            Kind::Close => self.close(token, raw),
            Kind::Comma => self.comma(token, raw),
            Kind::Dot => self.put(token, raw, Before::Dot),
            Kind::Semicolon => {
                self.put(token, raw, Before::Start);
                (self.depth, self.first, self.list) = (0, true, None);
            }
            Kind::Symbol | Kind::Word | Kind::Quoted => self.symbol(token, raw),
        }
        self.sign = None;
    }

    fn open(&mut self, token: Token, raw: &[u8]) {
        let list = self.before == Before::Word(Key::In);
        self.depth += 1;
        match self.rows {
            Rows::Wanted if self.depth == self.row => self.rows = Rows::First,
            Rows::Comma if self.depth == self.row => (self.rows, self.mute) = (Rows::Further, true),
            _ => {}
        }
        if !self.mute {
            match &mut self.list {
                Some(list) if self.depth == list.depth + 1 && !list.row => list.row = true,
                Some(_) => self.list = None,
                None => {}
            }
            if list {
                self.list = Some(List { depth: self.depth, array: false, first: None, row: false });
            }
        }
        self.put(token, raw, Before::Open);
    }

    fn close(&mut self, token: Token, raw: &[u8]) {
        match &mut self.list {
            Some(list) if self.depth == list.depth && !list.array => self.fold(),
            Some(list) if self.depth == list.depth + 1 && list.row => list.row = false,
            Some(_) if !self.mute => self.list = None,
            _ => {}
        }
        self.put(token, raw, Before::Operand);
        if self.rows != Rows::None && self.depth == self.row {
            (self.rows, self.mute) = (Rows::Behind, false);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn comma(&mut self, token: Token, raw: &[u8]) {
        match self.rows {
            Rows::Behind if self.depth + 1 == self.row => {
                self.rows = Rows::Comma;
                self.end = token.end;
                return;
            }
            Rows::Wanted | Rows::Comma if self.depth + 1 == self.row => self.leave_rows(),
            _ => {}
        }
        if let Some(list) = &mut self.list
            && list.depth == self.depth
            && !list.row
        {
            list.first.get_or_insert(self.out.len());
        }
        self.put(token, raw, Before::Comma);
    }

    fn symbol(&mut self, token: Token, raw: &[u8]) {
        let array = self.before == Before::Word(Key::Array) && raw == b"[";
        if self.list.is_some() && !self.mute {
            match raw {
                b"]" if self.list.is_some_and(|list| list.array && list.depth == self.depth) => self.fold(),
                b"::" => {}
                _ => self.list = None,
            }
        }
        if array && !self.mute {
            self.list = Some(List { depth: self.depth, array: true, first: None, row: false });
        }
        self.put(token, raw, Before::Symbol);
    }

    /// The list is complete: what follows its first element goes.
    fn fold(&mut self) {
        if let Some(first) = self.list.take().and_then(|list| list.first) {
            self.truncate(first);
        }
    }

    /// The rows of VALUES are over. A comma behind them belongs to something else.
    fn leave_rows(&mut self) {
        if self.rows == Rows::Comma {
            self.out.push(b',');
            self.before = Before::Comma;
        }
        self.rows = Rows::None;
    }

    fn truncate(&mut self, length: usize) {
        if !self.mute {
            self.out.truncate(length);
            self.settled = self.settled.min(length);
        }
    }

    #[inline]
    fn put(&mut self, token: Token, bytes: &[u8], before: Before) {
        if !self.mute && !self.full {
            match self.form {
                Form::Sent => lex::white_space(self.text, self.dialect, self.end..token.start, self.out),
                Form::Digest if self.spaced(token) => self.out.push(b' '),
                Form::Digest => {}
            }
            self.out.extend_from_slice(bytes);
            self.semicolons = if token.kind == Kind::Semicolon { self.semicolons + 1 } else { 0 };
            if self.form == Form::Digest {
                if self.out.len() < MAX - MARK.len() {
                    self.settled = self.out.len();
                }
                // What is in a list may still go.
                self.full = self.out.len() > MAX && self.list.is_none();
            }
        }
        self.end = token.end;
        self.before = before;
    }

    /// Whether a space precedes this token in a digest.
    #[inline]
    fn spaced(&self, token: Token) -> bool {
        let adjacent = token.start == self.end;
        match (self.before, token.kind) {
            (_, Kind::Close | Kind::Comma | Kind::Semicolon | Kind::Dot) => false,
            (Before::Start, _) => !self.out.is_empty(),
            (Before::Open | Before::Dot, _) => false,
            // `f(x)`, but `IN (x)`.
            (Before::Operand, Kind::Open) => !adjacent && self.last() == b')',
            (Before::Word(_), Kind::Open) => !self.soft,
            (Before::Sign, Kind::Symbol) | (Before::Symbol, Kind::Sign) => !adjacent,
            (Before::Sign, _) => !(adjacent && self.sign.is_some()),
            (Before::Symbol, Kind::Symbol) => !adjacent,
            // Operators stand apart; brackets, casts and the parts of an account's name do not.
            (Before::Symbol, _) => !(adjacent && matches!(self.last(), b'[' | b'@' | b':')),
            (_, Kind::Symbol) => !(adjacent && self.clings(token)),
            _ => true,
        }
    }

    /// The last byte of the last token.
    fn last(&self) -> u8 {
        self.text.get(self.end.wrapping_sub(1)).copied().unwrap_or(0)
    }

    fn clings(&self, token: Token) -> bool {
        match self.text.get(token.start..token.end) {
            Some(symbol) => matches!(symbol, b"[" | b"]" | b"@" | b":" | b"::"),
            None => false,
        }
    }

    /// Closes what is open. Whether the end is missing.
    fn finish(mut self, cut: bool) -> bool {
        if cut {
            // Of a list that was cut the number of elements says nothing.
            self.mute = false;
            self.fold();
        }
        if self.form == Form::Sent {
            return cut;
        }
        if self.semicolons > 0 {
            let length = self.out.len() - self.semicolons;
            self.truncate(length);
        }
        let long = self.out.len() > MAX || self.full || cut && self.out.len() > self.settled;
        if long {
            self.out.truncate(self.settled);
        }
        if (cut || long) && !self.out.is_empty() {
            self.out.push(b' ');
        }
        if cut || long {
            self.out.extend_from_slice(MARK);
        }
        cut || long
    }
}

/// Words that are no names in SAVEPOINT, RELEASE, ROLLBACK, DEALLOCATE, CLOSE, FETCH and MOVE.
fn is_option(word: &[u8]) -> bool {
    const OPTIONS: [&[u8]; 20] = [
        b"WORK",
        b"TRANSACTION",
        b"TO",
        b"SAVEPOINT",
        b"PREPARE",
        b"PREPARED",
        b"ALL",
        b"AND",
        b"CHAIN",
        b"NO",
        b"NEXT",
        b"PRIOR",
        b"FIRST",
        b"LAST",
        b"ABSOLUTE",
        b"RELATIVE",
        b"FORWARD",
        b"BACKWARD",
        b"FROM",
        b"IN",
    ];
    OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(word))
}
