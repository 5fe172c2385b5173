//! The lines of a head.
//!
//! A line of a head is some twenty bytes long, so that a search of its own for the end of each would spend more on
//! getting started than on searching. One pass looks at eight bytes at a time and remembers all ends among them.

/// The whole lines at the beginning of some bytes, without their line feeds. What follows the last line feed is not one.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    start: usize,
    /// Bytes that have been searched, eight by eight.
    searched: usize,
    /// The highest bit of each line feed among the last eight of them.
    feeds: u64,
}

const HIGH: u64 = 0x8080_8080_8080_8080;
const LOW: u64 = !HIGH;
const FEEDS: u64 = 0x0a0a_0a0a_0a0a_0a0a;

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, searched: 0, feeds: 0 }
    }

    /// How many bytes the lines had so far, their line feeds included.
    pub(super) fn taken(&self) -> usize {
        self.start
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.feeds == 0 {
            let rest = self.bytes.get(self.searched..)?;
            let word = match rest.first_chunk() {
                Some(eight) => u64::from_le_bytes(*eight),
                None if rest.is_empty() => return None,
                None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
            };
            self.searched += 8;
            self.feeds = feeds(word);
        }
        let end = self.searched - 8 + (self.feeds.trailing_zeros() / 8) as usize;
        self.feeds &= self.feeds - 1;
        let line = self.bytes.get(self.start..end);
        self.start = end + 1;
        line
    }
}

/// The highest bit of each byte that is a line feed: the only one that neither has a bit set nor gets one by the addition.
#[inline]
fn feeds(word: u64) -> u64 {
    let other = word ^ FEEDS;
    !(((other & LOW) + LOW) | other) & HIGH
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
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(0x8a), Just(0x0b), any::<u8>()], 0..80,
        )) {
            let mut expected: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
            let rest = expected.pop().unwrap_or_default();
            let mut lines = Lines::of(&bytes);
            let got: Vec<_> = lines.by_ref().collect();
            prop_assert_eq!(got, expected);
            prop_assert_eq!(lines.taken(), bytes.len() - rest.len());
        }
    }
}
