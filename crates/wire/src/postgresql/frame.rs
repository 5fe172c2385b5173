//! What both directions share: messages of a type byte, a length and a body ("Message Formats").
//!
//! Of a body no more is looked at than the reader asks for; the rest is skipped by its length, captured or not. What lies in
//! one piece is read in place; only what is split over pieces is kept, and of it no more than was asked for.

use crate::Piece;
use crate::ahead;

/// Longest message. PostgreSQL allocates no more than this either (`MaxAllocSize`).
const LARGEST: u32 = 0x3fff_ffff;

/// What comes next in a direction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The piece is used up.
    More,
    /// The wanted part of the body.
    Look(&'a [u8]),
    /// The same, in [`Frames::take_kept`] because it came in parts.
    Kept,
    /// The message is complete.
    End,
    /// This is no message.
    Bad,
}

/// Which messages there are: given type and length of the body, how much of it is wanted; `None` if there is no such
/// message.
pub(super) type Rule = fn(u8, u32) -> Option<u32>;

/// The framing of one direction. What is public describes the message in progress, or the one just completed.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; 5],
    have: u8,
    inside: bool,
    /// Type; 0 if it has none, as the first messages of a connection.
    pub(super) kind: u8,
    /// Length of the body.
    size: u32,
    /// Body bytes outstanding.
    left: u64,
    /// Wanted ones among them.
    want: u32,
    kept: Vec<u8>,
    broken: bool,
    /// Position and times of the first byte.
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) arrival: u64,
    /// Where the other direction was when it moved.
    pub(super) opposite: u64,
}

impl Frames {
    /// Between messages.
    #[inline]
    pub(super) fn idle(&self) -> bool {
        !self.inside && self.have == 0
    }

    /// The type of the message in progress, as far as it is known.
    pub(super) fn in_progress(&self) -> Option<u8> {
        match (self.inside, self.have) {
            (true, _) => Some(self.kind),
            (false, 1..) => Some(self.head[0]),
            (false, 0) => None,
        }
    }

    /// Gives up what is in progress.
    pub(super) fn abandon(&mut self) {
        (self.inside, self.have, self.kept) = (false, 0, Vec::new());
    }

    /// Whether this is the whole body.
    pub(super) fn is_whole(&self, body: &[u8]) -> bool {
        !self.broken && body.len() as u64 == u64::from(self.size)
    }

    pub(super) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// A message that begins at `at` and is there to its end, as most are: it is passed. The wanted part of its body. None if
    /// there is none like that; then nothing has changed.
    #[inline]
    pub(super) fn whole<'a>(
        &mut self,
        bytes: &'a [u8],
        at: &mut usize,
        piece: &Piece<'_>,
        rule: impl Fn(u8, u32) -> Option<u32>,
    ) -> Option<&'a [u8]> {
        let (head, behind) = bytes.get(*at..)?.split_first_chunk::<5>()?;
        let (kind, size) = sizes(head, 5).filter(|(kind, _)| *kind != 0 && self.idle())?;
        let body = behind.get(..size as usize)?;
        let want = rule(kind, size)?.min(size);
        self.start = piece.offset + *at as u64;
        (self.time, self.arrival, self.opposite) = (piece.time, piece.arrival, piece.opposite);
        (self.kind, self.size, self.broken) = (kind, size, false);
        if self.kept.capacity() > 0 {
            self.kept = Vec::new();
        }
        *at += 5 + body.len();
        body.get(..want as usize)
    }

    /// Passes messages of this type that are there to their end, as long as they are no shorter than `least`. How many they
    /// were.
    #[inline]
    pub(super) fn pass(&self, bytes: &[u8], at: &mut usize, kind: u8, least: u32) -> u64 {
        let mut passed = 0;
        while self.idle()
            && let Some((head, behind)) = bytes.get(*at..).and_then(|rest| rest.split_first_chunk::<5>())
            && head[0] == kind
            && let Some((_, size)) = sizes(head, 5)
            && size >= least
            && behind.len() >= size as usize
        {
            *at += 5 + size as usize;
            passed += 1;
            if passed == ahead::WORTH {
                ahead::fetch(&bytes[*at..]);
            }
        }
        passed
    }

    /// Reads on at `at`.
    #[inline]
    pub(super) fn read<'a>(&mut self, bytes: &'a [u8], at: &mut usize, piece: &Piece<'_>, rule: Rule) -> Step<'a> {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            if !self.inside {
                if rest.is_empty() {
                    return Step::More;
                }
                if !self.head(rest, at, piece, rule) {
                    return Step::Bad;
                }
                if !self.inside {
                    return Step::More;
                }
                continue;
            }
            let part = rest.get(..rest.len().min(self.outstanding())).unwrap_or(rest);
            *at += part.len();
            self.left -= part.len() as u64;
            if self.want > 0 {
                if part.is_empty() {
                    return Step::More;
                }
                self.want -= part.len() as u32;
                if self.want == 0 && self.kept.is_empty() {
                    return Step::Look(part);
                }
                self.kept.extend_from_slice(part);
                if self.want == 0 {
                    return Step::Kept;
                }
            } else if self.left == 0 {
                self.inside = false;
                return Step::End;
            } else if part.is_empty() {
                return Step::More;
            }
        }
    }

    fn outstanding(&self) -> usize {
        if self.want > 0 { self.want as usize } else { self.left.min(u64::from(u32::MAX)) as usize }
    }

    /// Reads type and length, as far as they are there. Whether they may be such.
    #[inline]
    fn head(&mut self, rest: &[u8], at: &mut usize, piece: &Piece<'_>, rule: Rule) -> bool {
        if self.have == 0 {
            self.start = piece.offset + *at as u64;
            (self.time, self.arrival, self.opposite) = (piece.time, piece.arrival, piece.opposite);
            if let (Some(&head), true) = (rest.first_chunk::<5>(), rest.first() != Some(&0)) {
                *at += 5;
                self.head = head;
                return self.begin(5, rule);
            }
        }
        for &byte in rest {
            if let Some(slot) = self.head.get_mut(usize::from(self.have)) {
                *slot = byte;
            }
            self.have += 1;
            *at += 1;
            // Lengths are below 2^24 where there is no type byte, so that such a message begins with a zero.
            let length = if self.head[0] == 0 { 4 } else { 5 };
            if self.have == length {
                return self.begin(length, rule);
            }
        }
        true
    }

    #[inline]
    fn begin(&mut self, length: u8, rule: Rule) -> bool {
        let Some((kind, size)) = sizes(&self.head, length) else { return false };
        let Some(want) = rule(kind, size) else { return false };
        (self.kind, self.size, self.left) = (kind, size, u64::from(size));
        (self.want, self.broken, self.inside, self.have) = (want.min(size), false, true, 0);
        if self.kept.capacity() > 0 {
            self.kept = Vec::new();
        }
        true
    }

    /// Crosses `n` bytes that are not there. How many of them are beyond what the framing tells; whether they cut off what
    /// was wanted, which is as far as it came in [`Frames::take_kept`]; and whether they completed the message.
    pub(super) fn cross(&mut self, n: u64) -> (u64, bool, bool) {
        if !self.inside {
            return (n, false, false);
        }
        let crossed = n.min(self.left);
        let cut = self.want > 0 && crossed > 0;
        if cut {
            (self.broken, self.want) = (true, 0);
        }
        self.left -= crossed;
        self.inside = self.left > 0;
        (n - crossed, cut, !self.inside)
    }
}

#[inline]
fn sizes(head: &[u8; 5], length: u8) -> Option<(u8, u32)> {
    let [kind, a, b, c, d] = *head;
    let (kind, size) = if length == 4 { (0, [kind, a, b, c]) } else { (kind, [a, b, c, d]) };
    // The length counts itself.
    let size = u32::from_be_bytes(size).checked_sub(4)?;
    (size <= LARGEST).then_some((kind, size))
}

/// Whether a message may begin with these bytes. `for_certain`: it does, as far as type and length can tell.
pub(super) fn begins(bytes: &[u8], rule: Rule, for_certain: bool) -> bool {
    let Some(&kind) = bytes.first() else { return false };
    let length = if kind == 0 { 4 } else { 5 };
    let mut head = [0; 5];
    match (bytes.get(..length), head.get_mut(..length)) {
        (Some(from), Some(to)) => {
            to.copy_from_slice(from);
            sizes(&head, length as u8).is_some_and(|(kind, size)| rule(kind, size).is_some())
        }
        // Any type has some length that is right.
        _ => !for_certain && (kind == 0 || kind.is_ascii_alphanumeric()),
    }
}

/// The string up to the next zero byte, and what follows it; `None` if it does not end.
#[inline]
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // As most names of portals and many of statements are.
    if let [0, rest @ ..] = bytes {
        return Some((&[], rest));
    }
    let end = memchr::memchr(0, bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}
