//! Messages out of a TCP stream: each behind its length in two bytes (RFC 7766, 8).
//!
//! Behind a gap of unknown framing the next message is searched for: a length and a header that fit each other. These are
//! 14 bytes of which most must have one value, so that the middle of a message is not taken for the beginning of one.

use super::message::{HEADER, Header};
use super::mnemonic;
use crate::{Cut, Direction, Piece};

/// A message, or as much of it as is there.
#[derive(Debug)]
pub(super) struct Message<'m> {
    pub(super) direction: Direction,
    /// From its first byte on.
    pub(super) bytes: &'m [u8],
    /// Why these are not all.
    pub(super) cut: Option<Cut>,
    /// Position of its first byte, the length's first where there is one.
    pub(super) offset: u64,
    /// Bytes on the wire, the length's included.
    pub(super) size: u64,
    /// Time of its first byte, its arrival, time of its last byte.
    pub(super) start: u64,
    pub(super) arrival: u64,
    pub(super) end: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next<'m> {
    /// No message is complete.
    More,
    /// This message.
    Message(Message<'m>),
    /// This is not the beginning of a message.
    Bad,
}

/// What is left behind by a gap.
#[derive(Debug, Default)]
pub(super) struct Crossed<'m> {
    /// The message that ended in it.
    pub(super) message: Option<Message<'m>>,
    /// A message began before it, and cannot be told from what follows.
    pub(super) abandoned: bool,
    /// There was more in it than that.
    pub(super) beyond: bool,
}

/// Most bytes that are kept of a message that comes in parts: as much as the kernel side copies of one call.
const KEPT: usize = 16 * 1024;
/// Room that stays allocated between messages.
const ROOM: usize = 2048;
/// Bytes of length and header.
const HEAD: u8 = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Length,
    Body,
    /// Framing is unknown.
    Deaf,
}

/// One direction of a stream.
#[derive(Debug)]
pub(super) struct Frames {
    direction: Direction,
    step: Step,
    /// The first byte of a length whose second byte has not come.
    half: Option<u8>,
    length: usize,
    seen: usize,
    kept: Vec<u8>,
    cut: Option<Cut>,
    offset: u64,
    start: u64,
    arrival: u64,
    /// The last bytes that passed without framing, and how many of them there are.
    window: u128,
    known: u8,
}

impl Frames {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            step: Step::Length,
            half: None,
            length: 0,
            seen: 0,
            kept: Vec::new(),
            cut: None,
            offset: 0,
            start: 0,
            arrival: 0,
            window: 0,
            known: 0,
        }
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.step == Step::Deaf
    }

    /// Framing is unknown from here on.
    pub(super) fn deafen(&mut self) {
        (self.step, self.half, self.known, self.cut) = (Step::Deaf, None, 0, None);
        self.give_back();
    }

    /// Reads on at `at`, up to the end of the next message.
    #[inline]
    pub(super) fn read<'m>(&'m mut self, bytes: &'m [u8], at: &mut usize, piece: &Piece<'_>) -> Next<'m> {
        if self.step == Step::Deaf && !self.search(bytes, at, piece) {
            return Next::More;
        }
        if self.step == Step::Length {
            let Some(&byte) = bytes.get(*at) else { return Next::More };
            let high = match self.half.take() {
                Some(high) => high,
                None => {
                    (self.offset, self.start, self.arrival) = (piece.offset + *at as u64, piece.time, piece.arrival);
                    *at += 1;
                    byte
                }
            };
            let Some(&low) = bytes.get(*at) else {
                self.half = Some(high);
                return Next::More;
            };
            *at += 1;
            (self.length, self.seen, self.cut) = (usize::from(u16::from_be_bytes([high, low])), 0, None);
            self.give_back();
            if self.length < HEADER {
                return Next::Bad;
            }
            self.step = Step::Body;
        }
        let rest = bytes.get(*at..).unwrap_or_default();
        let part = rest.get(..self.length - self.seen).unwrap_or(rest);
        if part.is_empty() {
            return Next::More;
        }
        // Whatever follows a length that is none is not this message's: the next one may begin in it.
        if self.seen == 0 && Header::read(part).is_some_and(|header| !fits(header, self.length, self.direction)) {
            return Next::Bad;
        }
        let begun = *at;
        *at += part.len();
        if self.seen == 0 && part.len() == self.length {
            self.step = Step::Length;
            return Next::Message(self.message(part, piece.time));
        }
        let checked = self.kept.len() >= HEADER;
        if self.cut.is_none() {
            let room = KEPT - self.kept.len().min(KEPT);
            self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
            if part.len() > room {
                self.cut = Some(Cut::Skipped);
            }
        }
        self.seen += part.len();
        if !checked && Header::read(&self.kept).is_some_and(|header| !fits(header, self.length, self.direction)) {
            *at = begun;
            return Next::Bad;
        }
        self.complete(piece.time).map_or(Next::More, Next::Message)
    }

    /// Crosses `n` bytes that are not there.
    pub(super) fn cross(&mut self, n: u64, cut: Cut, piece: &Piece<'_>) -> Crossed<'_> {
        let left = match self.step {
            Step::Body => (self.length - self.seen) as u64,
            Step::Length if self.half.is_some() => {
                self.deafen();
                return Crossed { message: None, abandoned: true, beyond: true };
            }
            Step::Length | Step::Deaf => {
                self.deafen();
                return Crossed { message: None, abandoned: false, beyond: true };
            }
        };
        if self.cut.is_none() || cut == Cut::Lost {
            self.cut = Some(cut);
        }
        self.seen += n.min(left) as usize;
        let beyond = n > left;
        if n < left {
            return Crossed::default();
        }
        self.step = if beyond { Step::Deaf } else { Step::Length };
        self.known = 0;
        Crossed { message: Some(self.message(&self.kept, piece.time)), abandoned: false, beyond }
    }

    /// The stream ends: the message in progress, if there is one, and whether there is something of it at all.
    pub(super) fn end(&mut self, time: u64) -> Crossed<'_> {
        let (step, half) = (self.step, self.half.is_some());
        self.deafen_softly();
        match step {
            Step::Body => {
                self.cut.get_or_insert(Cut::Skipped);
                self.length = self.seen;
                Crossed { message: Some(self.message(&self.kept, time)), abandoned: false, beyond: false }
            }
            Step::Length => Crossed { message: None, abandoned: half, beyond: false },
            Step::Deaf => Crossed::default(),
        }
    }

    /// Deaf, but what was kept stays.
    fn deafen_softly(&mut self) {
        (self.step, self.half, self.known) = (Step::Deaf, None, 0);
    }

    fn complete(&mut self, time: u64) -> Option<Message<'_>> {
        if self.seen < self.length {
            return None;
        }
        self.step = Step::Length;
        Some(self.message(&self.kept, time))
    }

    #[inline]
    fn message<'m>(&self, bytes: &'m [u8], end: u64) -> Message<'m> {
        Message {
            direction: self.direction,
            bytes,
            cut: self.cut,
            offset: self.offset,
            size: 2 + self.length as u64,
            start: self.start,
            arrival: self.arrival,
            end,
        }
    }

    #[inline]
    fn give_back(&mut self) {
        if self.kept.capacity() > ROOM {
            self.kept = Vec::new();
        }
        self.kept.clear();
    }

    /// Looks for the beginning of a message. Found, its header has been read.
    #[cold]
    fn search(&mut self, bytes: &[u8], at: &mut usize, piece: &Piece<'_>) -> bool {
        while let Some(&byte) = bytes.get(*at) {
            *at += 1;
            self.window = self.window << 8 | u128::from(byte);
            self.known = (self.known + 1).min(HEAD);
            if self.known < HEAD {
                continue;
            }
            let [_, _, high, low, header @ ..] = self.window.to_be_bytes();
            let length = usize::from(u16::from_be_bytes([high, low]));
            if !Header::read(&header).is_some_and(|header| begins(header, length, self.direction)) {
                continue;
            }
            (self.step, self.length, self.seen, self.cut) = (Step::Body, length, HEADER, None);
            self.give_back();
            self.kept.extend_from_slice(&header);
            self.offset = (piece.offset + *at as u64).saturating_sub(HEAD.into());
            (self.start, self.arrival) = (piece.time, piece.arrival);
            return true;
        }
        false
    }
}

/// Whether what the header announces fits into the message: a question takes 5 bytes at least, a record 11. A response
/// that was truncated may announce what it does not have. In a stream it is the client who asks. One byte out of step, one
/// question looks like 256, for which a length out of step may have room.
fn fits(header: Header, length: usize, direction: Direction) -> bool {
    let records: usize = header.records.into_iter().map(usize::from).sum();
    let least = HEADER + 5 * usize::from(header.questions) + 11 * records;
    let towards = if header.is_response() { Direction::Response } else { Direction::Request };
    let room = least <= length || header.is_response() && header.is_truncated();
    towards == direction && header.makes_sense() && header.questions <= 16 && room
}

/// Whether a message begins like this for certain. It has a question, which a header alone has no room for, truncated or not.
fn begins(header: Header, length: usize, direction: Direction) -> bool {
    let [answers, authority, additional] = header.records;
    let is_query = header.opcode() == mnemonic::QUERY && !header.is_response();
    let few = !is_query || (answers == 0 && authority <= 1 && !header.is_truncated());
    length >= HEADER + 5 && fits(header, length, direction) && header.questions == 1 && additional <= 16 && few
}
