//! Packets of one direction: a length of three bytes, a sequence number, a payload ("MySQL Packets").
//!
//! A payload of 2^24-1 bytes is continued by the next packet; what is called a message here is all of it. Of a message only
//! its head is looked at, and only as much of it as the caller wants. A head that lies in one piece is read in place; one
//! that is split over pieces is kept, up to what is wanted of it.

/// A payload of this length is continued.
const FULL: u32 = 0xff_ffff;

/// What is kept between messages is no larger than this; a long statement's room is given back.
const ROOM: usize = 1024;

/// Where bytes stand on the wire, and when they passed. Bytes out of a compressed frame all stand where their frame
/// begins, and end where it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// Position of the first byte.
    pub(super) offset: u64,
    /// Position of the other direction when these bytes, or the frame that they are in, moved.
    pub(super) opposite: u64,
    /// When these bytes passed.
    pub(super) time: u64,
    /// When the first byte of these, or of the frame that they are in, passed.
    pub(super) started: u64,
    /// When they reached the socket; 0 if not known.
    pub(super) arrival: u64,
    /// First of its direction since the other moved.
    pub(super) turn: bool,
    /// Position behind the frame that these bytes are in; `None` if they are in none.
    pub(super) frame_end: Option<u64>,
}

impl Run {
    /// The position of byte `at` of this run.
    #[inline]
    pub(super) fn position(&self, at: usize) -> u64 {
        if self.frame_end.is_some() { self.offset } else { self.offset + at as u64 }
    }

    /// The position behind the first `at` bytes.
    #[inline]
    pub(super) fn behind(&self, at: u64) -> u64 {
        self.frame_end.unwrap_or(self.offset.saturating_add(at))
    }
}

/// What was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The bytes are used up.
    More,
    /// A message has begun: its length and number are known.
    Begun,
    /// As much of the message as is wanted is there.
    Head,
    /// The message is complete.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Header,
    /// The header is complete, and nobody has been told.
    Begun,
    Head,
    Rest,
}

/// What a gap passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Crossed {
    /// The head of the message in progress ends here, before all that is wanted of it.
    pub(super) head: bool,
    /// The message is complete.
    pub(super) end: bool,
    /// Bytes of unknown framing.
    pub(super) beyond: u64,
}

/// Reads packets.
#[derive(Debug, Default)]
pub(super) struct Packets {
    step: Step,
    header: [u8; 4],
    have: u8,
    /// The packet in progress continues the one before.
    continued: bool,
    /// Payload of the packet in progress, and how much of it is still to come.
    size: u32,
    left: u32,
    kept: Vec<u8>,
    /// Where the head is in the current run.
    range: (usize, usize),
    /// Length of the message's first packet.
    pub(super) length: u32,
    /// Number of the message's first packet.
    pub(super) sequence: u8,
    /// Number of its last one.
    pub(super) last: u8,
    /// Number of the last one of the message before.
    pub(super) before: u8,
    /// The run of the message's first byte; its offset is that byte's.
    pub(super) start: Run,
    /// The head is not all that was wanted.
    pub(super) cut: bool,
}

impl Packets {
    /// Nothing of a message has been seen.
    #[inline]
    pub(super) fn idle(&self) -> bool {
        self.step == Step::Header && self.have == 0 && !self.continued
    }

    /// The caller has been told that a message has begun.
    #[inline]
    pub(super) fn told(&self) -> bool {
        self.step != Step::Header || self.continued
    }

    /// The message in progress is given up.
    pub(super) fn abandon(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        *self = Packets { kept, ..Packets::default() };
        self.clear();
    }

    /// Room that is held for what is kept.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.kept.capacity()
    }

    /// The head, out of the bytes with which [`Packets::next`] was called.
    #[inline]
    pub(super) fn head<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if self.kept.is_empty() { bytes.get(self.range.0..self.range.1).unwrap_or_default() } else { &self.kept }
    }

    /// A message that begins at `at`, and is there to its end, as most are: it is passed, and is told like one of which all is
    /// the head. False if there is none; then nothing has changed.
    #[inline]
    pub(super) fn whole(&mut self, bytes: &[u8], at: &mut usize, run: &Run) -> bool {
        let Some((length, sequence)) = self.header_of_whole(bytes, *at) else { return false };
        self.start = Run { offset: run.position(*at), ..*run };
        self.before = std::mem::replace(&mut self.last, sequence);
        (self.length, self.sequence, self.cut) = (length, sequence, false);
        self.range = (*at + 4, *at + 4 + length as usize);
        *at = self.range.1;
        true
    }

    /// Behind [`Packets::whole`]: no more of the message is wanted than this.
    #[inline]
    pub(super) fn shorten(&mut self, bytes: &[u8], want: impl Fn(u8) -> usize) {
        if let Some(&first) = bytes.get(self.range.0) {
            self.range.1 = self.range.1.min(self.range.0.saturating_add(want(first)));
        }
    }

    /// Passes messages that are there to their end, `most` at most, as long as `is` holds of the first byte and no other
    /// answer begins. How many they were.
    #[inline]
    pub(super) fn pass(&mut self, bytes: &[u8], at: &mut usize, most: u64, is: impl Fn(u8) -> bool) -> u64 {
        if !self.idle() {
            return 0;
        }
        let (mut rest, mut passed) = (bytes.get(*at..).unwrap_or_default(), 0);
        while passed < most
            && let Some(&[a, b, c, sequence, first]) = rest.first_chunk()
            && is(first)
            && let length = u32::from_le_bytes([a, b, c, sequence]) & FULL
            && (1..FULL).contains(&length)
            && let Some(behind) = rest.get(4 + length as usize..)
            && (sequence != 1 || self.last == 0)
        {
            self.last = sequence;
            rest = behind;
            passed += 1;
            if passed == crate::ahead::WORTH {
                crate::ahead::fetch(rest);
            }
        }
        *at = bytes.len() - rest.len();
        passed
    }

    /// Length and number of the message that begins at `at`, if it is one packet and there to its end.
    #[inline]
    fn header_of_whole(&self, bytes: &[u8], at: usize) -> Option<(u32, u8)> {
        let (header, behind) = bytes.get(at..)?.split_first_chunk::<4>()?;
        let (length, sequence) = (u32::from_le_bytes(*header) & FULL, header[3]);
        (self.idle() && length != FULL && behind.len() >= length as usize).then_some((length, sequence))
    }

    /// Goes on reading at `at`. `want` tells how much of a message is wanted, by its first byte.
    #[inline]
    pub(super) fn next(&mut self, bytes: &[u8], at: &mut usize, run: &Run, want: impl Fn(u8) -> usize) -> Event {
        loop {
            match self.step {
                Step::Header => {
                    let Some(rest) = bytes.get(*at..).filter(|rest| !rest.is_empty()) else { return Event::More };
                    if self.have == 0 && !self.continued {
                        self.start = Run { offset: run.position(*at), ..*run };
                    }
                    if !self.take_header(rest, at) {
                        return Event::More;
                    }
                }
                Step::Begun => {
                    self.step = Step::Head;
                    return Event::Begun;
                }
                Step::Head => {
                    let rest = bytes.get(*at..).unwrap_or_default();
                    if !self.take_head(rest, at, &want) {
                        return Event::More;
                    }
                    self.step = Step::Rest;
                    return Event::Head;
                }
                Step::Rest => {
                    let n = (self.left as usize).min(bytes.len().saturating_sub(*at));
                    *at += n;
                    self.left -= n as u32;
                    if self.left > 0 {
                        return Event::More;
                    }
                    if self.end_packet() {
                        return Event::End;
                    }
                }
            }
        }
    }

    #[inline]
    fn take_header(&mut self, rest: &[u8], at: &mut usize) -> bool {
        if let (0, Some(header)) = (self.have, rest.first_chunk()) {
            (self.header, self.have) = (*header, 4);
            *at += 4;
        } else {
            for (to, from) in self.header.iter_mut().skip(self.have.into()).zip(rest) {
                *to = *from;
                self.have += 1;
                *at += 1;
            }
        }
        if self.have < 4 {
            return false;
        }
        let [a, b, c, sequence] = self.header;
        self.size = u32::from_le_bytes([a, b, c, 0]);
        (self.left, self.have) = (self.size, 0);
        let last = std::mem::replace(&mut self.last, sequence);
        if std::mem::take(&mut self.continued) {
            self.step = Step::Rest;
        } else {
            self.before = last;
            (self.length, self.sequence, self.cut) = (self.size, sequence, false);
            self.step = Step::Begun;
        }
        true
    }

    #[inline]
    fn take_head(&mut self, rest: &[u8], at: &mut usize, want: impl Fn(u8) -> usize) -> bool {
        self.range = (*at, *at);
        if self.left == 0 && self.kept.is_empty() {
            return true;
        }
        let Some(&first) = self.kept.first().or(rest.first()) else { return false };
        let want = want(first).min(self.length as usize).saturating_sub(self.kept.len());
        let n = want.min(rest.len());
        *at += n;
        self.left -= n as u32;
        self.range.1 = *at;
        if !self.kept.is_empty() || n < want {
            self.kept.extend_from_slice(rest.get(..n).unwrap_or_default());
        }
        n == want
    }

    /// A packet is complete. Whether the message is.
    #[inline]
    fn end_packet(&mut self) -> bool {
        self.step = Step::Header;
        self.continued = self.size == FULL;
        if !self.continued {
            self.clear();
        }
        !self.continued
    }

    #[inline]
    fn clear(&mut self) {
        if self.kept.capacity() > ROOM {
            self.kept = Vec::new();
        }
        self.kept.clear();
    }

    /// The next `n` bytes are missing. The head, if it ends here, is in [`Packets::head`] of no bytes.
    pub(super) fn cross(&mut self, n: u64) -> Crossed {
        let mut crossed = Crossed { beyond: n, ..Crossed::default() };
        if self.step == Step::Header {
            return crossed;
        }
        if self.step != Step::Rest {
            self.range = (0, 0);
            (crossed.head, self.cut, self.step) = (true, true, Step::Rest);
        }
        let passed = n.min(self.left.into());
        self.left -= passed as u32;
        crossed.beyond -= passed;
        if self.left == 0 {
            // What was kept is still wanted, if only now it is known that there is no more of it.
            let kept = std::mem::take(&mut self.kept);
            crossed.end = self.end_packet();
            self.kept = kept;
        }
        crossed
    }

    /// Behind [`Packets::cross`] and what it led to: forgets a message that is over.
    pub(super) fn crossed(&mut self) {
        if self.idle() {
            self.clear();
        }
    }
}

/// Reads a payload's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `n` bytes.
    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// `int<n>`, little-endian.
    pub(super) fn int(&mut self, n: usize) -> Option<u64> {
        let bytes = self.bytes(n)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// `int<lenenc>`; `None` for NULL and for what is no length.
    pub(super) fn length(&mut self) -> Option<u64> {
        match self.int(1)? {
            n @ 0..=0xfa => Some(n),
            0xfc => self.int(2),
            0xfd => self.int(3),
            0xfe => self.int(8),
            _ => None,
        }
    }

    /// `string<lenenc>`.
    pub(super) fn counted(&mut self) -> Option<&'a [u8]> {
        let n = usize::try_from(self.length()?).ok()?;
        self.bytes(n)
    }

    /// `string<NUL>`.
    pub(super) fn terminated(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, expected) in [
            (&b"\x07"[..], Some(7)),
            (b"\xfa", Some(250)),
            (b"\xfb", None),
            (b"\xfc\x01\x02", Some(0x201)),
            (b"\xfd\x01\x02\x03", Some(0x30201)),
            (b"\xfe\x01\0\0\0\0\0\0\x80", Some(1 << 63 | 1)),
            (b"\xff", None),
            (b"\xfc\x01", None),
            (b"", None),
        ] {
            assert_eq!(Fields(bytes).length(), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(Fields(b"\x05ab").counted(), None);
        assert_eq!(Fields(b"ab\0c").terminated(), Some(&b"ab"[..]));
        assert_eq!(Fields(b"ab").terminated(), None);
    }

    #[test]
    fn a_full_packet_goes_on_in_the_next() {
        let mut packets = Packets::default();
        let (mut at, run) = (0, Run::default());
        assert_eq!(packets.next(b"\xff\xff\xff\0\x03abc", &mut at, &run, |_| 4), Event::Begun);
        assert_eq!(packets.next(b"\xff\xff\xff\0\x03abc", &mut at, &run, |_| 4), Event::Head);
        assert_eq!(packets.head(b"\xff\xff\xff\0\x03abc"), b"\x03abc");
        assert_eq!(packets.cross(0xff_ffff - 4), Crossed::default());
        let second = b"\x02\0\0\x01xy";
        at = 0;
        assert_eq!(packets.next(second, &mut at, &run, |_| 4), Event::End);
        assert_eq!((at, packets.last, packets.idle()), (6, 1, true));
    }
}
