//! `db.query.summary` of OpenTelemetry ("Generating a summary of the query" in its conventions for database spans): verbs
//! and what they work on, in order and as sent. `SELECT songs artists`, `INSERT a SELECT b`, `CREATE TABLE t`.
//!
//! A statement that creates or alters something ends with the name of that: what a view selects is not done when it is
//! created. Names of common table expressions are no targets. The second SELECT of a UNION is not repeated.

use super::keyword::Key;
use super::lex::{Kind, Token};

/// What the next word may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// A target, or a list of them.
    Target,
    /// A target unless a parenthesis follows: USING is also a part of JOIN.
    Using,
    /// TABLE, INDEX or another kind; of CREATE and its like.
    Kind,
    /// A kind, or the target without one: `TRUNCATE t`, `TRUNCATE TABLE t`.
    Command,
    /// A word: `SHOW TABLES`.
    Word,
    /// The name of a common table expression.
    Common,
}

/// The token before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Start,
    Open,
    Close,
    /// A target, or a dot behind one: its name may go on.
    Target,
    Dot,
    Word(Key),
    Other,
}

/// One bit for each depth of parentheses; what is deeper shares the last.
#[derive(Clone, Copy, Debug, Default)]
struct Depths(u64);

impl Depths {
    fn has(self, depth: u32) -> bool {
        self.0 >> depth.min(63) & 1 == 1
    }
    fn put(&mut self, depth: u32, on: bool) {
        let bit = 1 << depth.min(63);
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}

/// A summary being made.
#[derive(Debug)]
pub(super) struct Summary<'a> {
    text: &'a [u8],
    out: [u8; Summary::MAX],
    length: usize,
    /// Length before the last word: what remains if its name grows too long.
    settled: usize,
    expect: Expect,
    before: Before,
    depth: u32,
    /// Where FROM begins a list of tables: SELECT, DELETE or UPDATE came before it.
    open: Depths,
    /// Where a comma separates tables.
    tables: Depths,
    /// UNION was the last word that counts.
    union: bool,
    /// USING names tables.
    using: bool,
    /// Something is created: its name is the last word.
    creates: bool,
    /// Nothing of this statement is wanted any more.
    idle: bool,
    /// Nothing at all is.
    done: bool,
    /// The depth of a WITH whose statement is yet to come.
    with: Option<u32>,
    common: [&'a [u8]; 8],
}

impl<'a> Summary<'a> {
    /// Longest summary in bytes: no more than the 255 characters of the conventions.
    pub(super) const MAX: usize = 255;

    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            out: [0; Self::MAX],
            length: 0,
            settled: 0,
            expect: Expect::Nothing,
            before: Before::Start,
            depth: 0,
            open: Depths::default(),
            tables: Depths::default(),
            union: false,
            using: false,
            creates: false,
            idle: false,
            done: false,
            with: None,
            common: [b""; 8],
        }
    }

    pub(super) fn get(&self) -> &[u8] {
        self.out.get(..self.length).unwrap_or_default()
    }

    /// Whether nothing can follow any more.
    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// The next token that is no word. A quoted identifier is one.
    pub(super) fn token(&mut self, token: Token) {
        if self.done {
            return;
        }
        let before = match token.kind {
            Kind::Open => {
                self.depth += 1;
                self.open.put(self.depth, false);
                self.tables.put(self.depth, self.expect == Expect::Target);
                if self.expect != Expect::Target {
                    self.expect = Expect::Nothing;
                }
                Before::Open
            }
            Kind::Close => {
                self.depth = self.depth.saturating_sub(1);
                self.expect = Expect::Nothing;
                Before::Close
            }
            Kind::Comma => {
                if self.with == Some(self.depth) {
                    self.expect = Expect::Common;
                } else if self.tables.has(self.depth) {
                    self.expect = Expect::Target;
                }
                Before::Other
            }
            Kind::Dot if self.before == Before::Target => Before::Dot,
            Kind::Semicolon if !self.creates => {
                (self.expect, self.depth, self.using, self.with) = (Expect::Nothing, 0, false, None);
                self.idle = false;
                (self.open, self.tables) = (Depths::default(), Depths::default());
                Before::Start
            }
            Kind::Doubt => {
                self.done = true;
                Before::Other
            }
            // `{call p}`
            Kind::Symbol if self.before == Before::Start => Before::Start,
            _ => {
                if self.expect != Expect::Kind {
                    self.expect = Expect::Nothing;
                }
                Before::Other
            }
        };
        self.done |= self.creates && self.before == Before::Target && before != Before::Dot;
        self.union &= token.kind == Kind::Open;
        self.before = before;
    }

    /// The next word, or quoted identifier. Whether it is the name of something, whatever else it may mean.
    pub(super) fn word(&mut self, token: Token, key: Key) -> bool {
        if self.done || self.idle {
            return false;
        }
        let word = self.text.get(token.start..token.end).unwrap_or_default();
        if self.before == Before::Dot {
            self.append(b'.', word);
            self.before = Before::Target;
            return true;
        }
        if self.creates && self.before == Before::Target {
            self.done = true;
            return false;
        }
        let named = self.expected(word, token.kind, key);
        if !named {
            self.keyword(word, key, token.end);
            self.before = Before::Word(key);
        }
        self.union &= matches!(key, Key::Union | Key::All | Key::Distinct);
        named
    }

    /// Whether the word is the name that was expected.
    fn expected(&mut self, word: &'a [u8], kind: Kind, key: Key) -> bool {
        let quoted = kind == Kind::Quoted;
        match self.expect {
            Expect::Nothing => return false,
            Expect::Common if key == Key::Recursive => return false,
            Expect::Common => {
                if let Some(free) = self.common.iter_mut().find(|name| name.is_empty()) {
                    *free = word;
                }
                self.expect = Expect::Nothing;
                self.before = Before::Other;
                return true;
            }
            Expect::Kind => {
                if key == Key::Kind {
                    self.append(b' ', word);
                    self.expect = Expect::Target;
                }
                return false;
            }
            Expect::Command if key == Key::Kind => {
                self.append(b' ', word);
                self.expect = Expect::Target;
                return false;
            }
            Expect::Word if !quoted && key != Key::Filler => {
                self.append(b' ', word);
                self.idle = true;
                return false;
            }
            Expect::Word => return false,
            // The index has no name: `CREATE INDEX ON t`.
            Expect::Target if self.creates && word.eq_ignore_ascii_case(b"ON") => return false,
            Expect::Target | Expect::Using | Expect::Command => {}
        }
        match key {
            Key::Filler | Key::Not | Key::Explain => return false,
            Key::Select | Key::Values | Key::With | Key::Set => {
                self.expect = Expect::Nothing;
                return false;
            }
            _ => {}
        }
        self.expect = Expect::Nothing;
        self.before = Before::Target;
        if self.common.iter().any(|name| !name.is_empty() && name.eq_ignore_ascii_case(word)) {
            self.before = Before::Other;
        } else {
            self.append(b' ', word);
        }
        true
    }

    fn keyword(&mut self, word: &[u8], key: Key, end: usize) {
        if self.before == Before::Start {
            return self.first(word, key);
        }
        let begins = match self.before {
            Before::Open | Before::Close => true,
            Before::Word(Key::As | Key::Explain) => true,
            // EXPLAIN ANALYZE
            Before::Word(Key::Command) => true,
            _ => false,
        };
        match key {
            Key::Select => {
                if !self.union {
                    self.append(b' ', word);
                }
                self.open.put(self.depth, true);
                self.tables.put(self.depth, false);
                self.with = self.with.filter(|depth| *depth != self.depth);
            }
            Key::Insert | Key::Update | Key::Delete if begins && !self.called(end) => self.verb(word, key),
            Key::With if begins => (self.with, self.expect) = (Some(self.depth), Expect::Common),
            Key::From if self.open.has(self.depth) && self.before != Before::Word(Key::Distinct) => {
                self.open.put(self.depth, false);
                self.tables.put(self.depth, true);
                self.expect = Expect::Target;
            }
            Key::Join => {
                self.tables.put(self.depth, true);
                self.expect = Expect::Target;
            }
            Key::Using if self.using => self.expect = Expect::Using,
            Key::Clause | Key::Set | Key::Values => self.tables.put(self.depth, false),
            Key::Union => {
                self.tables.put(self.depth, false);
                self.union = true;
            }
            _ => {}
        }
    }

    /// Whether the word that ends there is the name of a function: MySQL has `INSERT(…)`.
    fn called(&self, end: usize) -> bool {
        self.text.get(end..).and_then(|rest| rest.trim_ascii_start().first()) == Some(&b'(')
    }

    /// The first word is a verb, whatever it is.
    fn first(&mut self, word: &[u8], key: Key) {
        match key {
            Key::With => (self.with, self.expect) = (Some(self.depth), Expect::Common),
            Key::Select => {
                self.append(b' ', word);
                self.open.put(self.depth, true);
            }
            Key::Insert | Key::Replace | Key::Update | Key::Delete => self.verb(word, key),
            _ => {
                let letters = word.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
                if !letters || word.len() > 24 {
                    self.idle = true; // no statement of any server's
                    return;
                }
                self.append(b' ', word);
                (self.expect, self.creates, self.idle) = match key {
                    Key::Create => (Expect::Kind, true, false),
                    Key::Drop => (Expect::Kind, false, false),
                    Key::Command => (Expect::Command, false, false),
                    Key::Set | Key::Show => (Expect::Word, false, false),
                    Key::Lone | Key::Session => (Expect::Nothing, false, true),
                    _ => (Expect::Nothing, false, false),
                };
                // DROP, TRUNCATE and their like take lists.
                self.tables.put(self.depth, matches!(key, Key::Drop | Key::Command));
            }
        }
    }

    fn verb(&mut self, word: &[u8], key: Key) {
        self.append(b' ', word);
        self.with = self.with.filter(|depth| *depth != self.depth);
        self.open.put(self.depth, matches!(key, Key::Update | Key::Delete));
        self.tables.put(self.depth, key == Key::Update);
        self.using = matches!(key, Key::Insert | Key::Delete); // MERGE is among the first
        self.expect = if key == Key::Delete { Expect::Nothing } else { Expect::Target };
    }

    /// Adds a word, or the next part of a name. One that does not fit ends the summary, before it and not within.
    fn append(&mut self, separator: u8, word: &[u8]) {
        let separator: &[u8] = if self.length == 0 { b"" } else { &[separator] };
        if separator != b"." {
            self.settled = self.length;
        }
        for part in [separator, word] {
            let Some(room) = self.out.get_mut(self.length..self.length + part.len()) else {
                (self.length, self.done) = (self.settled, true);
                return;
            };
            room.copy_from_slice(part);
            self.length += part.len();
        }
    }
}
