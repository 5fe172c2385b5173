//! Replies: "RESP protocol description", all types of RESP2 and RESP3, to a bounded depth.
//!
//! What is looked at is the type of the outermost value, the word of an error, and the first element of an array or
//! push, which tells a pub/sub message from a reply. Everything else is skipped by its length, captured or not.

use super::resp::{Kept, Number, Progress, ends_well, head, number};
use super::said::{First, Seen};
use crate::{Names, Piece, Share};

/// Deepest nesting. COMMAND and module replies have about six levels.
pub(super) const DEPTH: usize = 32;

/// Instead of a number of elements: they end with `.` ("Streamed aggregated data types").
const STREAMED: u32 = u32::MAX;
/// Instead of a number of elements: they are the `;` chunks of one string ("Streamed strings").
const CHUNKED: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Head,
    Payload,
}

/// What a payload is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Nothing,
    First,
    Error,
}

/// The response direction's state. What is public describes the reply in progress, or the one just completed.
#[derive(Debug)]
pub(super) struct Replies {
    step: Step,
    want: Want,
    /// The next element is the first one of the outermost array.
    first_next: bool,
    /// A reply has begun and is not [`Replies::clear`]ed yet.
    pub(super) active: bool,
    /// The reply to come is PSYNC's.
    pub(super) sync: bool,
    /// What the words of errors count against.
    pub(super) words: Share,
    /// Type byte of the outermost value; 0 while not seen.
    pub(super) kind: u8,
    pub(super) seen: Seen,
    /// The error is `ERR unknown command`.
    pub(super) unknown: bool,
    /// A simple string that begins with a digit, as MONITOR's lines do.
    pub(super) digit: bool,
    pub(super) first: First,
    /// Errors among the elements of the outermost array, and the first of them.
    pub(super) failed: u32,
    pub(super) first_error: Seen,
    /// The last number in the outermost array is 0: no subscription is left.
    pub(super) zero: bool,
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) first_byte: u64,
    pub(super) end: u64,
    left: u64,
    size: u64,
    kept: Kept,
    depth: usize,
    /// Elements outstanding on each level.
    outstanding: [u32; DEPTH],
    /// The levels that are attributes: the value that they describe follows.
    attributes: u32,
}

impl Default for Replies {
    fn default() -> Self {
        Self {
            step: Step::Head,
            want: Want::Nothing,
            first_next: false,
            active: false,
            sync: false,
            words: Share::default(),
            kind: 0,
            seen: Seen::Nothing,
            unknown: false,
            digit: false,
            first: First::Other,
            failed: 0,
            first_error: Seen::Nothing,
            zero: false,
            start: 0,
            bytes: 0,
            first_byte: 0,
            end: 0,
            left: 0,
            size: 0,
            kept: Kept::default(),
            depth: 0,
            outstanding: [0; DEPTH],
            attributes: 0,
        }
    }
}

impl Replies {
    /// Forgets the reply, complete or not.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.step = Step::Head;
        self.active = false;
        self.depth = 0;
        self.attributes = 0;
        self.kept.clear();
    }

    /// Whether a reply can begin with this byte.
    pub(super) fn begins(byte: u8) -> bool {
        matches!(
            byte,
            b'+' | b'-' | b':' | b'$' | b'*' | b'_' | b'#' | b',' | b'(' | b'!' | b'=' | b'%' | b'~' | b'>' | b'|'
        )
    }

    /// Reads on at `at`, up to the end of the next reply.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], at: &mut usize, piece: &Piece<'_>, names: &mut Names) -> Progress {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let Some(&byte) = rest.first() else { return Progress::More };
            let done = match self.step {
                Step::Payload => {
                    let part = rest.get(..self.left.min(rest.len() as u64) as usize).unwrap_or(rest);
                    if !ends_well(part, self.left) {
                        return Progress::Bad;
                    }
                    *at += part.len();
                    if self.want != Want::Nothing {
                        self.look(part, names);
                    }
                    self.left -= part.len() as u64;
                    self.left == 0 && self.element()
                }
                Step::Head => {
                    if !self.active {
                        // "PSYNC": empty lines keep the connection alive while the master prepares its snapshot.
                        if self.sync && byte == b'\n' {
                            *at += 1;
                            continue;
                        }
                        self.begin(piece, *at);
                    }
                    match self.head(byte, rest, at, names) {
                        Ok(done) => done,
                        Err(progress) => return progress,
                    }
                }
            };
            if done {
                self.finish(piece, *at as u64);
                return Progress::Done;
            }
        }
    }

    /// Crosses `n` bytes that are not there. Gives how many of them are beyond what the framing tells, and whether they
    /// completed a reply.
    pub(super) fn cross(&mut self, n: u64, piece: &Piece<'_>, names: &mut Names) -> (u64, bool) {
        if self.step != Step::Payload {
            return (n, false);
        }
        let crossed = n.min(self.left);
        // A word that may go on where nothing was seen is not known.
        if self.left > 2 && !(self.want == Want::Error && self.kept.get().contains(&b' ')) {
            if self.want == Want::First {
                self.first = First::Unseen;
            }
            self.want = Want::Nothing;
            self.kept.clear();
        }
        self.left -= crossed;
        if self.left > 0 {
            return (0, false);
        }
        if self.want != Want::Nothing {
            self.looked(names);
        }
        let done = self.element();
        if done {
            self.finish(piece, crossed);
        }
        (n - crossed, done)
    }

    #[inline]
    fn begin(&mut self, piece: &Piece<'_>, at: usize) {
        self.active = true;
        (self.kind, self.seen, self.first) = (0, Seen::Nothing, First::Other);
        (self.unknown, self.digit, self.zero, self.first_next) = (false, false, false, false);
        self.failed = 0;
        (self.start, self.first_byte) = (piece.offset + at as u64, piece.time);
    }

    #[inline]
    fn finish(&mut self, piece: &Piece<'_>, at: u64) {
        self.end = piece.time;
        self.bytes = (piece.offset + at).saturating_sub(self.start);
    }

    /// The head of a value. Whether it completes the reply.
    #[inline]
    fn head(&mut self, byte: u8, rest: &[u8], at: &mut usize, names: &mut Names) -> Result<bool, Progress> {
        let kind = self.kept.get().first().copied().unwrap_or(byte);
        let chunked = self.depth > 0 && self.outstanding.get(self.depth - 1) == Some(&CHUNKED);
        if chunked != (kind == b';') {
            return Err(Progress::Bad);
        }
        match kind {
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                let header = number(&mut self.kept, rest, at)?;
                self.aggregate(header)
            }
            b'$' | b'!' | b'=' | b';' if !self.sync => {
                let header = number(&mut self.kept, rest, at)?;
                self.payload(header)
            }
            // After SYNC `$` is the first line of a snapshot or of "$EOF:<mark>", and tells enough.
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' | b'.' | b'$' => self.simple(kind, rest, at, names),
            _ => Err(Progress::Bad),
        }
    }

    /// "Bulk strings", "Bulk errors", "Verbatim strings", and the chunks of "Streamed strings".
    #[inline]
    fn payload(&mut self, (kind, number): (u8, Number)) -> Result<bool, Progress> {
        self.want = if self.depth == 0 {
            self.kind = kind;
            match kind {
                b'!' => Want::Error,
                _ => {
                    self.seen = Seen::Fine;
                    Want::Nothing
                }
            }
        } else if std::mem::take(&mut self.first_next) && kind == b'$' {
            Want::First
        } else {
            Want::Nothing
        };
        match number {
            Number::Of(0) if kind == b';' => {
                self.depth -= 1;
                Ok(self.element())
            }
            Number::Of(size) => {
                (self.step, self.size, self.left) = (Step::Payload, size, size + 2);
                Ok(false)
            }
            Number::Null if kind == b'$' => Ok(self.element()),
            Number::Streamed if kind == b'$' => self.nest(CHUNKED, false),
            Number::Null | Number::Streamed => Err(Progress::Bad),
        }
    }

    /// "Arrays", "Maps", "Sets", "Pushes" and "Attributes".
    #[inline]
    fn aggregate(&mut self, (kind, number): (u8, Number)) -> Result<bool, Progress> {
        let attribute = kind == b'|';
        if self.depth == 0 && !attribute {
            self.kind = kind;
            self.seen = Seen::Fine;
            self.first_next = matches!(kind, b'*' | b'>');
        } else if kind == b'>' {
            // "Pushes": never inside of another value.
            return Err(Progress::Bad);
        } else {
            self.first_next = false;
        }
        match number {
            Number::Of(0) if attribute => Ok(false),
            Number::Of(0) => Ok(self.element()),
            Number::Of(n) => {
                let n = if matches!(kind, b'%' | b'|') { n * 2 } else { n };
                self.nest(u32::try_from(n).ok().filter(|&n| n < CHUNKED).ok_or(Progress::Bad)?, attribute)
            }
            Number::Null if kind == b'*' => Ok(self.element()),
            Number::Streamed => self.nest(STREAMED, attribute),
            Number::Null => Err(Progress::Bad),
        }
    }

    #[inline]
    fn nest(&mut self, n: u32, attribute: bool) -> Result<bool, Progress> {
        let Some(level) = self.outstanding.get_mut(self.depth) else { return Err(Progress::Bad) };
        *level = n;
        self.attributes |= u32::from(attribute) << self.depth;
        self.depth += 1;
        Ok(false)
    }

    /// The types that are one line.
    #[inline]
    fn simple(&mut self, kind: u8, rest: &[u8], at: &mut usize, names: &mut Names) -> Result<bool, Progress> {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.kept.push(rest);
            *at += rest.len();
            return Err(Progress::More);
        };
        let part = rest.get(..end).unwrap_or_default();
        *at += end + 1;
        if !self.kept.started() {
            return match part {
                [_, line @ .., b'\r'] => self.line(kind, head(line), names),
                _ => Err(Progress::Bad),
            };
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.push(part);
        match kept.get() {
            _ if kept.last() != b'\r' => Err(Progress::Bad),
            [_, line @ .., b'\r'] if kept.whole() => self.line(kind, line, names),
            [_, line @ ..] => self.line(kind, line, names),
            [] => Err(Progress::Bad),
        }
    }

    /// "Simple strings", "Simple errors", "Integers", "Nulls", "Booleans", "Doubles", "Big numbers", and `.`.
    #[inline]
    fn line(&mut self, kind: u8, line: &[u8], names: &mut Names) -> Result<bool, Progress> {
        self.first_next = false;
        let ok = match kind {
            b':' => !line.is_empty() && line.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+')),
            b'_' => line.is_empty(),
            b'#' => matches!(line, b"t" | b"f"),
            b',' | b'(' => !line.is_empty(),
            b'.' => {
                let level = self.depth.checked_sub(1).and_then(|depth| self.outstanding.get(depth));
                if !line.is_empty() || level != Some(&STREAMED) {
                    return Err(Progress::Bad);
                }
                return Ok(self.ascend());
            }
            _ => true,
        };
        if !ok {
            return Err(Progress::Bad);
        }
        match self.depth {
            0 => {
                self.kind = kind;
                self.digit = line.first().is_some_and(u8::is_ascii_digit);
                self.seen = match (kind, line) {
                    (b'-', _) => {
                        self.unknown = line.starts_with(b"ERR unknown command");
                        Seen::error(line, self.words, names)
                    }
                    (b'+', b"OK") => Seen::Ok,
                    (b'+', b"QUEUED") => Seen::Queued(names.intern(b"QUEUED")),
                    _ => Seen::Fine,
                };
            }
            1 if kind == b':' => self.zero = line == b"0",
            1 if kind == b'-' => {
                if self.failed == 0 {
                    self.first_error = Seen::error(line, self.words, names);
                }
                self.failed += 1;
            }
            _ => {}
        }
        Ok(self.element())
    }

    /// A value is complete. Whether the reply is, too.
    #[inline]
    fn element(&mut self) -> bool {
        self.step = Step::Head;
        while let Some(level) = self.depth.checked_sub(1).and_then(|depth| self.outstanding.get_mut(depth)) {
            if *level >= CHUNKED {
                return false;
            }
            *level -= 1;
            if *level > 0 {
                return false;
            }
            self.depth -= 1;
            if self.described() {
                return false;
            }
        }
        true
    }

    /// A streamed aggregate has ended.
    fn ascend(&mut self) -> bool {
        self.depth -= 1;
        !self.described() && self.element()
    }

    /// The level just left was an attribute, so that the value that it describes comes next.
    #[inline]
    fn described(&mut self) -> bool {
        let bit = 1u32.checked_shl(self.depth as u32).unwrap_or(0);
        let was = self.attributes & bit != 0;
        self.attributes &= !bit;
        was
    }

    /// Part of a wanted payload, its CRLF perhaps included.
    #[inline]
    fn look(&mut self, part: &[u8], names: &mut Names) {
        let payload = part.get(..self.left.saturating_sub(2).min(part.len() as u64) as usize).unwrap_or_default();
        let ends = self.left == part.len() as u64;
        if ends && payload.len() as u64 == self.size {
            return self.wanted(head(payload), names);
        }
        self.kept.push(payload);
        if ends {
            self.looked(names);
        }
    }

    #[cold]
    fn looked(&mut self, names: &mut Names) {
        let kept = std::mem::take(&mut self.kept);
        self.wanted(kept.get(), names);
    }

    #[inline]
    fn wanted(&mut self, bytes: &[u8], names: &mut Names) {
        match self.want {
            Want::Error => self.seen = Seen::error(bytes, self.words, names),
            Want::First => self.first = First::of(bytes),
            Want::Nothing => {}
        }
    }
}
