//! One direction of a TCP connection: segments in any order in, the byte stream out (RFC 9293, section 3.4).
//!
//! ```text
//!   ...delivered | next          held                held
//! ---------------|      hole     [=====][=======]    [====]
//! ```
//!
//! Positions are 64-bit; their low 32 bits are the sequence number. Of bytes that come twice the first copy is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A position further ahead than this is not believed: no window is larger (RFC 7323, section 2.3).
pub(crate) const WINDOW: i64 = 1 << 30;

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Stream<'a> {
    /// The first byte's position is known.
    pub(crate) started: bool,
    /// Its SYN was seen.
    pub(crate) syn: bool,
    /// Where the stream begins, or where it was joined.
    pub(crate) start: u64,
    /// All before it was delivered or given up.
    pub(crate) next: u64,
    /// What the receiver has acknowledged; ahead of `next` if the capture lacks it, or has it later.
    pub(crate) acknowledged: u64,
    /// Where it ends, once its FIN was seen.
    pub(crate) fin: Option<u64>,
    /// That the end was reached has been told.
    pub(crate) fin_told: bool,
    /// When the last byte before `next` was delivered.
    pub(crate) time: u64,
    /// Segments beyond a hole, disjoint, by position. All are beyond `next`, once [`Stream::pop`] gives none.
    held: BTreeMap<u64, Held<'a>>,
    /// What they cost in memory.
    pub(crate) cost: usize,
}

/// A segment, or a part of one.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// As much as was captured. Borrowed from the file, unless the segment came in IP fragments.
    pub(crate) data: Cow<'a, [u8]>,
    /// On the wire.
    pub(crate) length: u64,
    pub(crate) time: u64,
    /// The other direction was not further than this when it left.
    pub(crate) opposite: u64,
}

impl Held<'_> {
    /// A node of the tree is a third empty.
    const NODE: usize = 64;

    fn cost(&self) -> usize {
        self.data.len() + Self::NODE
    }

    /// A part of it.
    fn part(&self, from: u64, to: u64) -> Self {
        let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(self.data.len());
        let data = match &self.data {
            Cow::Borrowed(data) => Cow::Borrowed(&data[at(from)..at(to)]),
            Cow::Owned(data) => Cow::Owned(data[at(from)..at(to)].to_vec()),
        };
        Self { data, length: to - from, time: self.time, opposite: self.opposite }
    }
}

impl<'a> Stream<'a> {
    /// The first byte has this sequence number.
    pub(crate) fn begin(&mut self, sequence: u32) {
        self.started = true;
        self.start = u64::from(sequence);
        self.next = self.start;
    }

    /// How far ahead of `next` a sequence number is; behind it, if negative (RFC 9293, section 3.4: modulo 2^32).
    #[inline]
    pub(crate) fn distance(&self, sequence: u32) -> i64 {
        i64::from(sequence.wrapping_sub(self.next as u32).cast_signed())
    }

    /// The position of a sequence number that has passed; if it has not, as far as anything has.
    pub(crate) fn position(&self, sequence: u32) -> u64 {
        let behind = self.distance(sequence).min(0).unsigned_abs();
        self.next.saturating_sub(behind).max(self.start)
    }

    /// How far the direction has come, whether the capture shows it or not.
    #[inline]
    pub(crate) fn reached(&self) -> u64 {
        self.next.max(self.acknowledged)
    }

    /// Nothing waits for a hole to be filled.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn segments(&self) -> usize {
        self.held.len()
    }

    /// Where the first hole ends.
    pub(crate) fn first(&self) -> Option<u64> {
        self.held.first_key_value().map(|(offset, _)| *offset)
    }

    /// Keeps a segment that begins at or beyond `next`. Gives the number of its bytes that were there already.
    pub(crate) fn insert(&mut self, offset: u64, segment: Held<'a>) -> u64 {
        let end = offset + segment.length;
        let mut at = offset;
        if let Some((start, held)) = self.held.range(..offset).next_back() {
            at = at.max(start + held.length);
        }
        let mut gaps = Vec::new();
        for (start, held) in self.held.range(offset..end) {
            if at < *start {
                gaps.push((at, *start));
            }
            at = start + held.length;
        }
        if at < end {
            gaps.push((at, end));
        }
        let mut repeated = segment.length;
        for (from, to) in gaps {
            repeated -= to - from;
            let part = segment.part(from - offset, to - offset);
            self.cost += part.cost();
            self.held.insert(from, part);
        }
        repeated
    }

    /// The next bytes in order, if they are there.
    pub(crate) fn pop(&mut self) -> Option<Held<'a>> {
        let first = self.held.first_entry().filter(|first| *first.key() == self.next)?;
        let held = first.remove();
        self.cost -= held.cost();
        Some(held)
    }

    /// The stream ends here. Gives the number of bytes that were held beyond, and are no more.
    pub(crate) fn end(&mut self, fin: u64) -> u64 {
        self.fin = Some(fin);
        // The FIN has a sequence number, and no byte.
        self.acknowledged = self.acknowledged.min(fin);
        let mut beyond = 0;
        while let Some(last) = self.held.last_entry().filter(|last| last.key() + last.get().length > fin) {
            let (offset, held) = last.remove_entry();
            self.cost -= held.cost();
            beyond += held.length;
            if offset < fin {
                let part = held.part(0, fin - offset);
                beyond -= part.length;
                self.cost += part.cost();
                self.held.insert(offset, part);
            }
        }
        beyond
    }
}
