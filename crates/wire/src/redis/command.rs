//! Requests: "Sending commands to a Redis server" (arrays of bulk strings) and "Inline commands".
//!
//! What is looked at is the first argument, and of a few commands one or two more (see [`Want`]); everything else is
//! skipped by its length, captured or not. So a password never enters.

use super::kind::{Kind, Named, is_word};
use super::request::{Mode, Request, index};
use super::resp::{Kept, Number, Progress, ends_well, head, number};
use crate::{Cut, Name, Names, Piece, Share};

/// Longest inline command; Redis refuses longer ones too (`PROTO_INLINE_MAX_SIZE`).
const INLINE_MAX: u64 = 64 * 1024;

/// What the next argument is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Name,
    SubCommand,
    /// CLIENT REPLY ON, OFF or SKIP.
    Mode,
    /// SELECT's database.
    Index,
    /// XREAD's options, of which this many arguments are some other option's value.
    Option(u8),
    Procedure,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    /// In `*<count>`.
    Count,
    /// In `$<length>`.
    Length,
    /// In an argument.
    Payload,
    Inline,
}

/// How far the framing, and the pairing that rests on it, are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Every command is seen, and goes to its reply.
    Paired,
    /// Commands are seen, but an unknown number before them was lost: they are counted, not paired.
    Counted,
    /// It is not known where commands begin.
    Blind(Cut),
}

/// What the service may take of the table of names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shares {
    /// Commands, with their sub-commands and in either case; and the words of errors.
    pub(super) words: Share,
    /// Scripts and functions: whoever writes a script for each call has no end of them.
    pub(super) procedures: Share,
}

/// The request direction's state.
#[derive(Debug)]
pub(super) struct Commands {
    step: Step,
    want: Want,
    pub(super) trust: Trust,
    /// Bytes were unreadable, rather than missing.
    pub(super) garbage: bool,
    /// The next command to begin is the first one since the other direction moved.
    pub(super) turn: bool,
    /// Part of the wanted argument is missing.
    broken: bool,
    /// The name of the command in progress is known.
    pub(super) known: bool,
    /// This connection has sent inline commands.
    inline: bool,
    /// Arguments outstanding, the one in progress included.
    args: u64,
    /// Arguments seen.
    seen: u64,
    /// Outstanding of the argument in progress and its CRLF.
    left: u64,
    /// Length of that argument; of an inline command as far as it came.
    size: u64,
    kept: Kept,
    pub(super) mode: Option<Mode>,
    pub(super) current: Request,
    /// The command before: a client mostly sends the same over and over.
    last: Named,
    pub(super) shares: Shares,
    #[cfg(test)]
    pub(super) begun: u64,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            step: Step::Idle,
            want: Want::Nothing,
            trust: Trust::Paired,
            garbage: false,
            turn: false,
            broken: false,
            known: false,
            inline: false,
            args: 0,
            seen: 0,
            left: 0,
            size: 0,
            kept: Kept::default(),
            mode: None,
            current: Request::NONE,
            last: Named::OTHER,
            shares: Shares::default(),
            #[cfg(test)]
            begun: 0,
        }
    }
}

impl Commands {
    /// Between commands.
    pub(super) fn idle(&self) -> bool {
        self.step == Step::Idle
    }

    /// Gives up what is in progress.
    pub(super) fn abandon(&mut self) {
        self.step = Step::Idle;
        self.kept.clear();
    }

    /// Whether a command may begin with these bytes; `for_certain`: it does.
    pub(super) fn begins(&self, bytes: &[u8], for_certain: bool) -> bool {
        let (mut kept, mut at) = (Kept::default(), 0);
        let Some(&first) = bytes.first() else { return false };
        if first != b'*' {
            return !for_certain && self.inline && first.is_ascii_alphabetic();
        }
        for marker in [b'*', b'$'] {
            let rest = bytes.get(at..).unwrap_or_default();
            match (rest.first(), number(&mut kept, rest, &mut at)) {
                (None, _) => return !for_certain,
                (Some(&byte), Ok((_, Number::Of(n)))) if byte == marker && n > 0 => {}
                (Some(&byte), Err(Progress::More)) if byte == marker => return !for_certain,
                _ => return false,
            }
        }
        true
    }

    /// Reads on at `at`, up to the end of the next command.
    #[inline]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        piece: &Piece<'_>,
        fold: bool,
        names: &mut Names,
    ) -> Progress {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let Some(&first) = rest.first() else { return Progress::More };
            match self.step {
                Step::Idle => match first {
                    b'*' => self.begin(Step::Count, piece, *at),
                    // "Inline commands": Redis splits the line at white space; an empty one is no command.
                    b'\r' | b'\n' | b' ' | b'\t' => *at += 1,
                    _ if first.is_ascii_alphabetic() => self.begin(Step::Inline, piece, *at),
                    _ => return Progress::Bad,
                },
                Step::Count => match number(&mut self.kept, rest, at) {
                    // No command, and no reply.
                    Ok((_, Number::Of(0) | Number::Null)) => self.unbegin(),
                    Ok((_, Number::Of(n))) => (self.step, self.args) = (Step::Length, n),
                    Ok(_) => return Progress::Bad,
                    Err(progress) => return progress,
                },
                Step::Length => match number(&mut self.kept, rest, at) {
                    Ok((b'$', Number::Of(n))) => {
                        (self.step, self.size, self.left, self.broken) = (Step::Payload, n, n + 2, false);
                    }
                    Ok(_) => return Progress::Bad,
                    Err(progress) => return progress,
                },
                Step::Payload => {
                    let part = rest.get(..self.left.min(rest.len() as u64) as usize).unwrap_or(rest);
                    if !ends_well(part, self.left) {
                        return Progress::Bad;
                    }
                    *at += part.len();
                    if self.want != Want::Nothing {
                        self.look(part, fold, names);
                    }
                    self.left -= part.len() as u64;
                    if self.left == 0 && self.next_argument() {
                        return self.finish(piece, *at as u64);
                    }
                }
                Step::Inline => {
                    let end = memchr::memchr(b'\n', rest);
                    self.size += end.unwrap_or(rest.len()) as u64;
                    if self.size > INLINE_MAX {
                        return Progress::Bad;
                    }
                    let Some(end) = end else {
                        self.kept.push(rest);
                        *at += rest.len();
                        return Progress::More;
                    };
                    *at += end + 1;
                    if !self.line(rest.get(..end).unwrap_or_default(), fold, names) {
                        return Progress::Bad;
                    }
                    return self.finish(piece, *at as u64);
                }
            }
        }
    }

    /// Crosses `n` bytes that are not there. Gives how many of them are beyond what the framing tells, and whether they
    /// completed a command.
    pub(super) fn cross(&mut self, n: u64, piece: &Piece<'_>, fold: bool, names: &mut Names) -> (u64, bool) {
        if self.step != Step::Payload {
            return (n, false);
        }
        let crossed = n.min(self.left);
        if self.want != Want::Nothing && self.left > 2 {
            self.broken = true;
        }
        self.left -= crossed;
        if self.left > 0 {
            return (0, false);
        }
        if self.want != Want::Nothing {
            self.argued(fold, names);
        }
        let done = self.next_argument();
        if done {
            self.finish(piece, crossed);
        }
        (n - crossed, done)
    }

    #[inline]
    fn begin(&mut self, step: Step, piece: &Piece<'_>, at: usize) {
        self.step = step;
        self.want = Want::Name;
        (self.known, self.args, self.seen, self.size, self.mode) = (false, 0, 0, 0, None);
        self.current = Request {
            turn: std::mem::take(&mut self.turn),
            not_before: piece.opposite,
            start: piece.time,
            arrival: piece.arrival,
            offset: piece.offset + at as u64,
            ..Request::NONE
        };
        #[cfg(test)]
        (self.begun += 1);
    }

    /// What began was no command.
    fn unbegin(&mut self) {
        self.step = Step::Idle;
        self.turn = self.current.turn;
        #[cfg(test)]
        (self.begun -= 1);
    }

    /// An argument is complete. Whether the command is, too.
    #[inline]
    fn next_argument(&mut self) -> bool {
        self.seen += 1;
        self.args -= 1;
        self.step = Step::Length;
        self.args == 0
    }

    #[inline]
    fn finish(&mut self, piece: &Piece<'_>, at: u64) -> Progress {
        self.step = Step::Idle;
        self.current.end = piece.time;
        self.current.bytes = (piece.offset + at).saturating_sub(self.current.offset);
        self.count_channels();
        Progress::Done
    }

    /// The arguments of a pub/sub command, those to come included.
    #[inline]
    pub(super) fn count_channels(&mut self) {
        if let Kind::PubSub(_) | Kind::Unseen = self.current.named.kind {
            self.current.argument = (self.seen + self.args).saturating_sub(1).min(1 << 20) as u32;
        }
    }

    /// Part of a wanted argument, its CRLF perhaps included.
    #[inline]
    fn look(&mut self, part: &[u8], fold: bool, names: &mut Names) {
        let payload = part.get(..self.left.saturating_sub(2).min(part.len() as u64) as usize).unwrap_or_default();
        let ends = self.left == part.len() as u64;
        if ends && payload.len() as u64 == self.size {
            let whole = payload.len() <= super::resp::KEPT;
            return self.argument(whole.then_some(payload), fold, names);
        }
        self.kept.push(payload);
        if ends {
            self.argued(fold, names);
        }
    }

    /// A wanted argument is complete, and came in parts.
    #[cold]
    fn argued(&mut self, fold: bool, names: &mut Names) {
        let kept = std::mem::take(&mut self.kept);
        if self.broken {
            self.current.truncated = true;
        }
        let named = self.want == Want::Name;
        let whole = !self.broken && kept.whole();
        self.argument(whole.then_some(kept.get()), fold, names);
        if named && self.broken {
            self.current.named.kind = Kind::Unseen;
        }
    }

    /// A wanted argument; `None` if it is too long to be what was wanted, or partly missing.
    #[inline]
    fn argument(&mut self, argument: Option<&[u8]>, fold: bool, names: &mut Names) {
        if self.want == Want::Name {
            self.known = true;
            self.current.named = argument.map_or(Named::OTHER, |word| self.named(word, fold, names));
            self.want = match self.current.named.kind {
                Kind::Container | Kind::Client => Want::SubCommand,
                Kind::Select => Want::Index,
                Kind::Stream => Want::Option(0),
                Kind::Procedure => Want::Procedure,
                _ => Want::Nothing,
            };
            self.current.blocking = self.current.named.kind == Kind::Blocking;
        } else {
            self.option(argument, names);
        }
    }

    #[inline]
    fn named(&mut self, word: &[u8], fold: bool, names: &mut Names) -> Named {
        // A sub-command joins a copy of it, so this is what the word alone says.
        if fold || !names.is(self.last.sent, word) {
            self.last = Named::command(word, fold, self.shares.words, names);
        }
        self.last
    }

    fn option(&mut self, argument: Option<&[u8]>, names: &mut Names) {
        let word = argument.unwrap_or_default();
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        self.want = match self.want {
            Want::SubCommand => {
                self.current.named.join(word, self.shares.words, names);
                if self.current.named.kind == Kind::Client && is(b"REPLY") { Want::Mode } else { Want::Nothing }
            }
            Want::Mode => {
                let modes = [(&b"ON"[..], Mode::On), (b"OFF", Mode::Off), (b"SKIP", Mode::Skip)];
                self.mode = modes.into_iter().find(|(name, _)| is(name)).map(|(_, mode)| mode);
                Want::Nothing
            }
            Want::Index => {
                self.current.argument = index(word).unwrap_or(u32::MAX);
                Want::Nothing
            }
            Want::Option(n @ 1..) => Want::Option(n - 1),
            Want::Option(0) if is(b"GROUP") => Want::Option(2),
            Want::Option(0) if is(b"COUNT") => Want::Option(1),
            Want::Option(0) if is(b"BLOCK") => {
                self.current.blocking = true;
                Want::Nothing
            }
            Want::Option(0) if !is(b"STREAMS") => Want::Option(0),
            Want::Procedure => {
                if !word.is_empty() && word.iter().all(|&byte| is_word(byte)) {
                    let procedure = names.intern_within(self.shares.procedures, word);
                    self.current.procedure = procedure.unwrap_or(Name::OTHER);
                }
                Want::Nothing
            }
            Want::Name | Want::Nothing | Want::Option(0) => Want::Nothing,
        };
    }

    /// The rest of an inline command. Only its first bytes are looked at, whether or not they came in one piece.
    fn line(&mut self, rest: &[u8], fold: bool, names: &mut Names) -> bool {
        let mut kept = std::mem::take(&mut self.kept);
        let (line, whole) = if kept.started() {
            kept.push(rest);
            (kept.get(), kept.whole())
        } else {
            (head(rest), head(rest).len() == rest.len())
        };
        self.inline = true;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            if self.seen == 0 && !(word.len() <= 32 && word.iter().all(|&byte| is_word(byte))) {
                return false;
            }
            // The last word of a line that is longer than what is looked at may go on.
            let whole = whole || words.peek().is_some();
            if self.want != Want::Nothing {
                self.argument(whole.then_some(word), fold, names);
            }
            self.seen += 1;
        }
        true
    }
}
