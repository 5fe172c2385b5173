//! SQL: digests and summaries, by a tokenizer.
//!
//! ```text
//! text --> lex (reading: what the session's settings leave open) --> digest   SELECT a FROM t WHERE b IN (?)
//!                                                             `----> summary  SELECT t
//! ```
//!
//! Nothing of a statement's literals gets into either, whole or in part, whatever the text is: also if it is cut, broken,
//! or may be read in two ways. The rules, and where they come from, are in `docs/sql-digests.md`.

mod cache;
mod class;
mod digest;
mod keyword;
mod lex;
mod reading;
mod skeleton;
mod split;
mod summary;
#[cfg(test)]
mod tests;

use crate::{Name, Names, Share, ShareOf};
use cache::Cache;
use digest::Form;
use summary::Summary;

pub use split::statements;

/// Which language's lexical rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// MySQL and MariaDB: `"` and backslash in strings, backticks, `#` comments.
    Mysql,
    /// PostgreSQL: dollar quotes, `E''`, nested comments, `"` for identifiers.
    Postgresql,
}

/// Which language's lexical rules hold, and which of them the session has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// The language.
    pub dialect: Dialect,
    /// Whether a backslash in a string without a prefix escapes what follows: MySQL without `NO_BACKSLASH_ESCAPES`, PostgreSQL
    /// without `standard_conforming_strings`. If that is not known, nothing is shown that is a literal in either case.
    pub escapes: Option<bool>,
}

impl Syntax {
    /// What servers do that nobody has told otherwise.
    #[must_use]
    pub fn usual(dialect: Dialect) -> Self {
        Syntax { dialect, escapes: Some(dialect == Dialect::Mysql) }
    }

    /// Another number for every other syntax, below 8.
    fn number(self) -> u64 {
        (self.dialect as u64) << 2 | self.escapes.map_or(0, |escapes| 1 + u64::from(escapes))
    }
}

impl From<Dialect> for Syntax {
    /// Of the session nothing is known.
    fn from(dialect: Dialect) -> Self {
        Syntax { dialect, escapes: None }
    }
}

/// What a database may take of the table of names: whoever asks it can invent as many texts and schemas as he likes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    pub(crate) texts: Share,
    pub(crate) schemas: Share,
}

impl Own {
    /// Digests and summaries of one database.
    const TEXTS: u32 = 2000;
    /// Schemas of one database.
    const SCHEMAS: u32 = 200;

    /// The shares of the service that is known by these bytes.
    pub(crate) fn of(service: &[u8], names: &mut Names) -> Self {
        Self {
            texts: names.share(ShareOf::Statements, service, Self::TEXTS),
            schemas: names.share(ShareOf::Schemas, service, Self::SCHEMAS),
        }
    }

    /// A schema's name.
    pub(crate) fn schema(&self, name: &[u8], names: &mut Names) -> Name {
        names.intern_within(self.schemas, name).unwrap_or(Name::OTHER)
    }
}

/// How a session's texts are read, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    pub(crate) syntax: Syntax,
    pub(crate) own: Own,
}

/// What is kept of a statement's text. Nothing of its literals is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The text with literals masked, lists folded, comments dropped. What is missing at its end shows as `...`.
    pub digest: Name,
    /// Verbs and targets in order: `SELECT songs artists`. Empty if there is no verb.
    pub summary: Name,
    /// The digest is of the text's beginning only: the text was cut, is longer than what is looked at or shown, or ends
    /// within a literal.
    pub truncated: bool,
}

/// The attribute for the number of rows that a statement changed. The conventions have `db.response.returned_rows` and no
/// counterpart, so this is our own name, the same for every database.
pub(crate) const AFFECTED_ROWS: &str = "steth.db.response.affected_rows";

/// How much of a text is looked at: what the kernel side copies of one call.
pub const LOOKED_AT: usize = 16 * 1024;

/// A text with its literals masked, otherwise as it was sent but for the comments: `db.query.text`. `complete`: the text is
/// whole.
///
/// ```
/// use steth_wire::sql::{Dialect, sanitized};
/// let text = b"select *  from users where name = 'Ann' -- who?";
/// assert_eq!(sanitized(text, true, Dialect::Mysql), b"select *  from users where name = ?");
/// ```
#[must_use]
pub fn sanitized(text: &[u8], complete: bool, syntax: impl Into<Syntax>) -> Vec<u8> {
    let (text, complete) = bounded(text, complete);
    let mut out = Vec::new();
    digest::write(text, complete, syntax.into(), Form::Sent, &mut out, &mut Summary::new(text));
    out
}

fn bounded(text: &[u8], complete: bool) -> (&[u8], bool) {
    match text.get(..LOOKED_AT) {
        Some(beginning) if text.len() > LOOKED_AT => (beginning, false),
        _ => (text, complete),
    }
}

/// The digests of all statements, bounded: one that does not fit is [`Name::OTHER`], and counted. One table for all
/// connections, always used with the same [`Names`].
#[derive(Debug, Default)]
pub struct Statements {
    cache: Cache,
    /// The digest being written.
    out: Vec<u8>,
    /// Of the text at hand.
    skeleton: Vec<u8>,
    /// Digests and summaries that have a name.
    named: usize,
    /// Their bytes.
    bytes: usize,
    folded: u64,
}

impl Statements {
    /// Most digests and summaries: they share a table of names with everything else, and must not fill it.
    pub const MAX: usize = Names::MAX / 4;
    /// Most bytes of all of them.
    pub const MAX_TEXT: usize = Names::MAX_TEXT / 2;
    /// Longest digest in bytes.
    pub const MAX_LENGTH: usize = digest::MAX;

    /// Digest and summary of one statement. `complete`: the text is whole.
    #[inline]
    pub fn digest(&mut self, text: &[u8], complete: bool, syntax: impl Into<Syntax>, names: &mut Names) -> Statement {
        let reader = Reader { syntax: syntax.into(), own: Own::default() };
        self.digest_for(reader, text, complete, names)
    }

    /// The same of a text whose digest, if it is a new one, counts against a share.
    #[inline]
    pub(crate) fn digest_for(&mut self, reader: Reader, text: &[u8], complete: bool, names: &mut Names) -> Statement {
        let syntax = reader.syntax;
        let (text, complete) = bounded(text, complete);
        let key = (text.len() <= Cache::LONGEST).then(|| {
            skeleton::write(text, &mut self.skeleton);
            Cache::key(&self.skeleton, complete, syntax)
        });
        let known = key.and_then(|key| self.cache.get(key, &self.skeleton, complete, syntax));
        let statement = known.unwrap_or_else(|| self.read(text, complete, reader, key, names));
        self.folded += u64::from(statement.digest == Name::OTHER);
        statement
    }

    /// How many statements were counted under [`Name::OTHER`] because there are too many digests.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// A word and the name of a digest or a summary, as one name. It takes a place as a digest does.
    pub(crate) fn prefixed(&mut self, own: Own, word: &[u8], name: Name, names: &mut Names) -> Name {
        let mut both = [0u8; Names::MAX_LENGTH];
        let mut len = 0;
        for (to, from) in both.iter_mut().zip(word.iter().chain(names.get(name).as_bytes())) {
            *to = *from;
            len += 1;
        }
        self.name(both.get(..len).unwrap_or_default().trim_ascii_end(), own.texts, names)
    }

    fn read(&mut self, text: &[u8], complete: bool, reader: Reader, key: Option<u64>, names: &mut Names) -> Statement {
        let Reader { syntax, own } = reader;
        let mut out = std::mem::take(&mut self.out);
        let mut summary = Summary::new(text);
        let truncated = digest::write(text, complete, syntax, Form::Digest, &mut out, &mut summary);
        let statement = Statement {
            digest: self.name(&out, own.texts, names),
            summary: self.name(summary.get(), own.texts, names),
            truncated,
        };
        self.out = out;
        // Somebody else may have room for it.
        let named = statement.digest != Name::OTHER && statement.summary != Name::OTHER;
        if let Some(key) = key.filter(|_| named) {
            self.cache.put(key, &self.skeleton, complete, syntax, statement);
        }
        statement
    }

    fn name(&mut self, text: &[u8], share: Share, names: &mut Names) -> Name {
        if let Some(name) = names.find_long(text) {
            return name;
        }
        // The table holds text: what is not, is looked up in the form in which it is kept.
        let clean = String::from_utf8_lossy(text);
        let clean = clean.get(..clean.floor_char_boundary(Names::MAX_LONG)).unwrap_or_default().as_bytes();
        if let Some(name) = names.find_long(clean) {
            return name;
        }
        if self.named >= Self::MAX || self.bytes + clean.len() > Self::MAX_TEXT || !names.charge(share) {
            return Name::OTHER;
        }
        self.named += 1;
        self.bytes += clean.len();
        names.intern_long(clean)
    }
}
