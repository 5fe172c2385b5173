//! The response direction: how an answer goes on from message to message, and what it said.
//!
//! "COM_QUERY Response", "COM_STMT_PREPARE Response", "OK_Packet", "ERR_Packet", "EOF_Packet". Definitions and rows are
//! counted by their packets and not looked into. Whether there are EOF packets (CLIENT_DEPRECATE_EOF) is seen in the
//! answers themselves, which also works where the handshake was not seen: an EOF is five bytes long, an OK in its place
//! at least seven, and a row that begins with the same byte 2^24.

use super::command::Shape;
use super::packet::Fields;

/// Status flags of the server.
const MORE_RESULTS: u64 = 0x0008;
const CURSOR_EXISTS: u64 = 0x0040;
const NO_BACKSLASH_ESCAPES: u64 = 0x0200;

/// MariaDB: a progress report in the shape of an error.
const PROGRESS: u64 = 0xffff;

/// A count that is not known.
pub(super) const UNKNOWN: u64 = u64::MAX;

/// How much of a message is wanted, by its first byte: OK, EOF and ERR up to what is read of them, of all others less.
#[inline]
pub(super) fn want(first: u8) -> usize {
    match first {
        0x00 | 0xfe => 32,
        _ => 16,
    }
}

/// Whether a message that begins like this is a row for certain, where rows are, or a definition, where those are.
#[inline]
pub(super) fn is_row(first: u8) -> bool {
    first < 0xfe
}

/// How much of a greeting is wanted.
pub(super) const GREETING: usize = 512;

/// What an answer said, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Its end was not seen.
    Nothing,
    Ok,
    /// Code and SQLSTATE; the latter is zeros if there was none.
    Error(u16, [u8; 5]),
}

/// What a message means to the answer that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    More,
    /// The answer ends with it.
    Last,
    /// The answer ends with it, unless an EOF follows.
    Perhaps,
    /// The client will say something before the answer goes on.
    Ask,
    /// Where the answer ends is not known.
    Unseen,
    /// It is not what the protocol allows.
    Bad,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    First,
    /// Definitions of columns, before rows.
    Columns,
    BehindColumns,
    Rows,
    /// PREPARE: definitions of parameters, perhaps an EOF; definitions of columns, perhaps an EOF.
    Parameters,
    BehindParameters,
    PreparedColumns,
    BehindPrepared,
}

/// The answer in progress.
#[derive(Debug)]
pub(super) struct Replies {
    pub(super) active: bool,
    shape: Shape,
    step: Step,
    /// Length of the message in progress, and whether its head is not all that was wanted.
    length: u32,
    cut: bool,
    /// Definitions still to come.
    left: u64,
    /// PREPARE: definitions of columns behind those of parameters.
    columns: u64,
    pub(super) seen: Seen,
    pub(super) affected: u64,
    pub(super) rows: u64,
    /// The statement's number that PREPARE was answered with.
    pub(super) statement: u32,
    /// What the message in progress means.
    pub(super) verdict: Verdict,
    /// Definitions are followed by an EOF; `None` until it is known.
    pub(super) eof: Option<bool>,
    /// Whether backslashes escape in the session's strings, by the last status flags that were seen.
    pub(super) escapes: Option<bool>,
    /// Result sets tell whether their definitions follow (MySQL's CLIENT_OPTIONAL_RESULTSET_METADATA).
    pub(super) optional: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            length: 0,
            cut: false,
            active: false,
            shape: Shape::Unknown,
            step: Step::First,
            left: 0,
            columns: 0,
            seen: Seen::Nothing,
            affected: UNKNOWN,
            rows: UNKNOWN,
            statement: 0,
            verdict: Verdict::More,
            eof: None,
            escapes: None,
            optional: false,
        }
    }
}

impl Replies {
    /// An answer of this shape begins.
    pub(super) fn begin(&mut self, shape: Shape) {
        self.active = true;
        self.shape = shape;
        self.step = if shape == Shape::Rows { Step::Rows } else { Step::First };
        (self.seen, self.affected, self.verdict) = (Seen::Nothing, UNKNOWN, Verdict::More);
        self.rows = if shape == Shape::Rows { 0 } else { UNKNOWN };
    }

    /// The answer is over, or given up.
    pub(super) fn end(&mut self) {
        self.active = false;
        self.verdict = Verdict::More;
    }

    /// A message of the answer, of this length: its head, or what was seen of it before it was cut.
    #[inline]
    pub(super) fn take(&mut self, head: &[u8], length: u32, cut: bool) -> Verdict {
        (self.length, self.cut) = (length, cut);
        self.verdict = self.judge(head);
        self.verdict
    }

    /// How many messages may come next of which each means the same, if [`is_row`] holds of them: definitions but for the last
    /// one, and rows.
    #[inline]
    pub(super) fn alike(&self) -> u64 {
        match self.step {
            _ if !self.active => 0,
            Step::Rows => u64::MAX,
            Step::Columns | Step::Parameters | Step::PreparedColumns => self.left.saturating_sub(1),
            _ => 0,
        }
    }

    /// So many of these have come.
    #[inline]
    pub(super) fn pass(&mut self, n: u64) {
        if self.step == Step::Rows {
            self.rows = self.rows.saturating_add(n);
        } else {
            self.left = self.left.saturating_sub(n);
        }
        self.verdict = Verdict::More;
    }

    #[inline]
    fn judge(&mut self, head: &[u8]) -> Verdict {
        let length = self.length;
        let Some(&first) = head.first() else {
            let known = matches!(self.step, Step::Columns | Step::Parameters | Step::PreparedColumns);
            return match (length, known) {
                (_, true) => self.definition(),
                (0, _) => Verdict::Bad,
                _ => Verdict::Unseen,
            };
        };
        match self.step {
            _ if first == 0xff => self.error(head),
            Step::First => self.first(first, head),
            Step::Columns | Step::Parameters | Step::PreparedColumns => self.definition(),
            Step::BehindColumns => {
                self.step = Step::Rows;
                if first == 0xfe && length == 5 {
                    self.eof = Some(true);
                    return match self.status(head) {
                        None => Verdict::Unseen,
                        Some(status) if status & CURSOR_EXISTS != 0 => self.done(status),
                        Some(_) => Verdict::More,
                    };
                }
                self.eof = Some(false);
                self.row(first, head)
            }
            Step::Rows => self.row(first, head),
            Step::BehindParameters if first == 0xfe && length == 5 => {
                (self.eof, _) = (Some(true), self.status(head));
                self.prepared_columns()
            }
            Step::BehindParameters => {
                self.eof = Some(false);
                self.step = Step::PreparedColumns;
                self.left = self.columns;
                self.definition()
            }
            Step::BehindPrepared if first == 0xfe && length == 5 => {
                (self.eof, _) = (Some(true), self.status(head));
                Verdict::Last
            }
            Step::BehindPrepared => Verdict::Bad,
        }
    }

    #[inline]
    fn row(&mut self, first: u8, head: &[u8]) -> Verdict {
        if first == 0xfe && self.length < 0xff_ffff {
            return match self.status(head) {
                Some(status) => self.done(status),
                None => Verdict::Unseen,
            };
        }
        self.rows = self.rows.saturating_add(1);
        Verdict::More
    }

    /// The status flags of an EOF, or of an OK that stands for one.
    fn status(&mut self, head: &[u8]) -> Option<u64> {
        let mut fields = Fields(head);
        fields.bytes(1)?;
        if head.len() == 5 {
            fields.bytes(2)?;
        } else {
            fields.length()?;
            fields.length()?;
        }
        let status = fields.int(2)?;
        self.escapes = Some(escapes(status));
        Some(status)
    }

    /// A result has ended well.
    fn done(&mut self, status: u64) -> Verdict {
        if status & MORE_RESULTS != 0 {
            (self.step, self.shape) = (Step::First, Shape::Results);
            return Verdict::More;
        }
        self.seen = Seen::Ok;
        Verdict::Last
    }

    fn first(&mut self, first: u8, head: &[u8]) -> Verdict {
        match (self.shape, first) {
            (Shape::Results | Shape::Plain | Shape::Login, 0x00) if self.length >= 7 || !self.optional => self.ok(head),
            (Shape::Plain, 0xfe) => self.status(head).map_or(Verdict::Unseen, |status| self.done(status)),
            (Shape::Results, 0xfb) | (Shape::Login, _) => Verdict::Ask,
            (Shape::Results, _) => self.columns(head),
            (Shape::Prepared, 0x00) => self.prepared(head),
            (Shape::Columns, 0xfe) if self.length < 9 => self.done(0),
            (Shape::Columns, _) => Verdict::More,
            (Shape::Text, _) => self.done(0),
            (Shape::Unknown, _) => Verdict::Unseen,
            (Shape::Plain | Shape::Prepared | Shape::Rows, _) => Verdict::Bad,
        }
    }

    fn ok(&mut self, head: &[u8]) -> Verdict {
        let mut fields = Fields(head);
        let parts = (|| {
            fields.bytes(1)?;
            let affected = fields.length()?;
            fields.length()?;
            // Servers of old send no status to clients of old.
            Some((affected, fields.int(2)))
        })();
        let Some((affected, status)) = parts else {
            return if self.cut { Verdict::Unseen } else { Verdict::Bad };
        };
        if self.shape == Shape::Results {
            self.affected = if self.affected == UNKNOWN { affected } else { self.affected.saturating_add(affected) };
        }
        self.escapes = status.map(escapes);
        self.done(status.unwrap_or(0))
    }

    fn error(&mut self, head: &[u8]) -> Verdict {
        let mut fields = Fields(head);
        fields.bytes(1);
        let Some(code) = fields.int(2) else {
            return if self.cut { Verdict::Unseen } else { Verdict::Bad };
        };
        if code == PROGRESS {
            return Verdict::More;
        }
        let state = match fields.0 {
            [b'#', state @ ..] => state.first_chunk().filter(|state| state.iter().all(u8::is_ascii_alphanumeric)),
            _ => None,
        };
        self.seen = Seen::Error(code as u16, state.copied().unwrap_or_default());
        Verdict::Last
    }

    /// The head of a result set.
    fn columns(&mut self, head: &[u8]) -> Verdict {
        let mut fields = Fields(head);
        let mut follow = true;
        if self.optional && self.length > 1 {
            follow = fields.int(1) != Some(0);
        }
        let (Some(count), false) = (fields.length(), self.cut) else {
            return if self.cut { Verdict::Unseen } else { Verdict::Bad };
        };
        // MariaDB's MARIADB_CLIENT_CACHE_METADATA: a byte more.
        if let [flag] = fields.0 {
            follow = *flag != 0;
        }
        if count == 0 || count > 0xffff || fields.0.len() > 1 {
            return Verdict::Bad;
        }
        self.rows = if self.rows == UNKNOWN { 0 } else { self.rows };
        self.left = count;
        self.step = match (follow, self.eof) {
            (true, _) => Step::Columns,
            (false, _) => Step::BehindColumns,
        };
        Verdict::More
    }

    /// One definition.
    fn definition(&mut self) -> Verdict {
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return Verdict::More;
        }
        match self.step {
            Step::Parameters if self.eof == Some(false) => self.prepared_columns(),
            // Without columns the answer may end here.
            Step::Parameters if self.columns == 0 => self.behind_prepared(),
            Step::Parameters => {
                self.step = Step::BehindParameters;
                Verdict::More
            }
            Step::PreparedColumns => self.behind_prepared(),
            _ => {
                self.step = Step::BehindColumns;
                Verdict::More
            }
        }
    }

    /// "COM_STMT_PREPARE_OK".
    fn prepared(&mut self, head: &[u8]) -> Verdict {
        let mut fields = Fields(head);
        let parts = (|| {
            fields.bytes(1)?;
            let statement = fields.int(4)? as u32;
            let columns = fields.int(2)?;
            Some((statement, columns, fields.int(2)?))
        })();
        let Some((statement, columns, parameters)) = parts else {
            return if self.cut { Verdict::Unseen } else { Verdict::Bad };
        };
        // Filler, warnings; then whether definitions follow.
        let follow = !self.optional || fields.0.get(3) != Some(&0);
        self.seen = Seen::Ok;
        self.statement = statement;
        if !follow {
            return Verdict::Last;
        }
        (self.left, self.columns) = (parameters, columns);
        if parameters == 0 {
            return self.prepared_columns();
        }
        self.step = Step::Parameters;
        Verdict::More
    }

    fn prepared_columns(&mut self) -> Verdict {
        if self.columns == 0 {
            return Verdict::Last;
        }
        self.left = self.columns;
        self.step = Step::PreparedColumns;
        Verdict::More
    }

    fn behind_prepared(&mut self) -> Verdict {
        self.step = Step::BehindPrepared;
        match self.eof {
            Some(false) => Verdict::Last,
            Some(true) => Verdict::More,
            None => Verdict::Perhaps,
        }
    }
}

fn escapes(status: u64) -> bool {
    status & NO_BACKSLASH_ESCAPES == 0
}
