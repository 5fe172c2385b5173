//! The lines of a head.
//!
//! A line of a head is some twenty bytes long, so that a search of its own for the end of each would spend more on
//! getting started than on searching. One pass looks at a block of bytes at a time and remembers all ends among them.

use wide::u8x16;

/// The whole lines at the beginning of some bytes, without their line feeds. What follows the last line feed is not one.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    start: usize,
    /// Where the last block that was searched begins.
    block: usize,
    /// A bit for each line feed in it whose line has not been taken, the lowest for its first byte.
    feeds: u64,
}

/// As many bytes as there are bits for them.
const BLOCK: usize = 64;

impl<'a> Lines<'a> {
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, block: 0, feeds: feeds_at_the_beginning(bytes) }
    }

    /// How many bytes the lines had so far, their line feeds included.
    #[inline]
    pub(super) fn taken(&self) -> usize {
        self.start
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.feeds == 0 {
            let block = self.block + BLOCK;
            let rest = self.bytes.get(block..).filter(|rest| !rest.is_empty())?;
            self.feeds = match (rest.first_chunk(), self.bytes.last_chunk()) {
                (Some(whole), _) => feeds(whole),
                // What is in front of the rest has been searched.
                (None, Some(last)) => feeds(last) >> (BLOCK - rest.len()),
                (None, None) => feeds_at_the_beginning(rest),
            };
            self.block = block;
        }
        let end = self.block + self.feeds.trailing_zeros() as usize;
        self.feeds &= self.feeds - 1;
        let line = self.bytes.get(self.start..end);
        self.start = end + 1;
        line
    }
}

#[inline]
fn feeds_at_the_beginning(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(whole) => feeds(whole),
        None => {
            let mut padded = [0; BLOCK];
            padded[..bytes.len()].copy_from_slice(bytes);
            feeds(&padded)
        }
    }
}

/// A bit for each line feed.
#[inline]
fn feeds(block: &[u8; BLOCK]) -> u64 {
    let (sixteens, _) = block.as_chunks();
    let feeds_of = |bytes: &[u8; 16]| u8x16::new(*bytes).simd_eq(u8x16::splat(b'\n')).to_bitmask();
    sixteens.iter().rev().fold(0, |bits, bytes| bits << 16 | u64::from(feeds_of(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_at_line_feeds_only() {
        let mut lines = Lines::of(b"GET / HTTP/1.1\r\nA: b\n\r\nrest");
        assert_eq!(lines.next(), Some(&b"GET / HTTP/1.1\r"[..]));
        assert_eq!((lines.next(), lines.next()), (Some(&b"A: b"[..]), Some(&b"\r"[..])));
        assert_eq!((lines.taken(), lines.next()), (23, None));
        assert_eq!((lines.taken(), lines.next()), (23, None), "asked again");
        assert_eq!(Lines::of(b"").next(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_as_by_a_plain_search(bytes in prop::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x8a), Just(0x0b), any::<u8>()], 0..200,
        )) {
            let mut expected: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
            let rest = expected.pop().unwrap_or_default();
            let mut lines = Lines::of(&bytes);
            let got: Vec<_> = lines.by_ref().collect();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(lines.taken(), bytes.len() - rest.len());
        }

        #[test]
        fn a_block_has_a_bit_for_each_line_feed(bytes in prop::array::uniform32(
            prop_oneof![Just(b'\n'), Just(0x8a), Just(0x0b), Just(0), any::<u8>()],
        )) {
            let mut block = [0; BLOCK];
            block[7..39].copy_from_slice(&bytes);
            let plain = (0..BLOCK).filter(|at| block[*at] == b'\n').fold(0, |bits, at| bits | 1u64 << at);
            prop_assert_eq!(feeds(&block), plain);
        }
    }
}
