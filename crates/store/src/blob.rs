//! Sketches and sums of books as bytes: small numbers take one byte, most numbers are small.
//!
//! A number is written seven bits a byte, lowest first; the top bit says that another byte follows (LEB128). A sketch is its sum, its
//! least value, the distance from there to its greatest, the count of zeros, and then its buckets, ascending: twice the count, plus
//! one if it does not follow directly upon the bucket before; then the distance from there is written, too. An empty sketch is no bytes.

use steth_window::bucket::{HIGHEST, Index, LOWEST};
use steth_window::{EdgeSums, Sketch};

/// Bytes that are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sketch or a sum is damaged")]
pub(crate) struct Damaged;

fn put(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn take(from: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or(Damaged)?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Damaged);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged)
}

/// Appends a sketch.
pub(crate) fn put_sketch(sketch: &Sketch, to: &mut Vec<u8>) {
    let (Some(min), Some(max)) = (sketch.min(), sketch.max()) else { return };
    put(sketch.sum(), to);
    put(min, to);
    put(max - min, to);
    put(sketch.zeros(), to);
    let mut before = LOWEST - 1;
    for (index, count) in sketch.buckets() {
        let gap = (index - before) as u64;
        put(count << 1 | u64::from(gap != 1), to);
        if gap != 1 {
            put(gap, to);
        }
        before = index;
    }
}

/// Adds a sketch that was written by [`put_sketch`] to another one.
///
/// # Errors
/// [`Damaged`]; some of it may have been added by then.
pub(crate) fn add_sketch(mut from: &[u8], to: &mut Sketch) -> Result<(), Damaged> {
    if from.is_empty() {
        return Ok(());
    }
    let (sum, min) = (take(&mut from)?, take(&mut from)?);
    let max = min.checked_add(take(&mut from)?).ok_or(Damaged)?;
    let zeros = take(&mut from)?;
    let mut buckets = Buckets { from, before: LOWEST - 1, damaged: false };
    to.absorb(sum, min, max, std::iter::once((None, zeros)).chain(&mut buckets));
    if buckets.damaged { Err(Damaged) } else { Ok(()) }
}

struct Buckets<'a> {
    from: &'a [u8],
    before: Index,
    damaged: bool,
}

impl Buckets<'_> {
    fn read(&mut self) -> Result<(Option<Index>, u64), Damaged> {
        let head = take(&mut self.from)?;
        let gap = if head & 1 == 0 { 1 } else { take(&mut self.from)? };
        let gap = Index::try_from(gap).map_err(|_| Damaged)?;
        let index = self.before.checked_add(gap).filter(|index| gap > 0 && *index <= HIGHEST).ok_or(Damaged)?;
        self.before = index;
        Ok((Some(index), head >> 1))
    }
}

impl Iterator for Buckets<'_> {
    type Item = (Option<Index>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.from.is_empty() || self.damaged {
            return None;
        }
        let bucket = self.read();
        self.damaged = bucket.is_err();
        bucket.ok()
    }
}

macro_rules! sums {
    ($($field:ident)*) => {
        /// Appends sums: which of them are not zero, one bit each, and then those. A field that is new goes to the end of this list.
        pub(crate) fn put_sums(sums: &EdgeSums, to: &mut Vec<u8>) {
            let all = [$(sums.$field),*];
            put((0..).zip(all).map(|(bit, value)| u64::from(value != 0) << bit).sum(), to);
            all.into_iter().filter(|value| *value != 0).for_each(|value| put(value, to));
        }

        /// Reads sums that were written by [`put_sums`].
        ///
        /// # Errors
        /// [`Damaged`].
        pub(crate) fn take_sums(mut from: &[u8]) -> Result<EdgeSums, Damaged> {
            let mut sums = EdgeSums::default();
            let mut there = take(&mut from)?;
            for field in [$(&mut sums.$field),*] {
                if there & 1 != 0 {
                    *field = take(&mut from)?;
                }
                there >>= 1;
            }
            if there == 0 { Ok(sums) } else { Err(Damaged) }
        }
    };
}
sums!(opened closed bytes_to_server bytes_to_client segments_to_server segments_to_client retransmitted_segments
    retransmitted_bytes acked_bytes lost_segments reordered duplicate_segments busy_us receive_window_us send_buffer_us refused
    connect_timed_out unreachable abandoned failed_otherwise resets_by_client resets_by_server timed_out);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn durations() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(
            (0u32..=64, any::<u64>()).prop_map(|(bits, noise)| noise.checked_shr(bits).unwrap_or(0)),
            0..200,
        )
    }

    fn sketch(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.record(*value));
        sketch
    }

    fn bytes(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_sketch(sketch, &mut bytes);
        bytes
    }

    #[test]
    fn a_busy_row_takes_few_bytes() {
        let sketch = sketch(&(0..1000).map(|n| 1_000_000 + n * 10_000).collect::<Vec<_>>());
        assert!(bytes(&sketch).len() < 2 * sketch.buckets().count() + 16, "{}", bytes(&sketch).len());
        assert!(bytes(&Sketch::default()).is_empty());
    }

    proptest! {
        #[test]
        fn a_sketch_comes_back_as_it_was(values in durations()) {
            let (mut back, there) = (Sketch::default(), sketch(&values));
            prop_assert_eq!(add_sketch(&bytes(&there), &mut back), Ok(()));
            prop_assert_eq!(back, there);
        }

        #[test]
        fn any_order_and_any_partition_gives_the_same_sketch(values in durations(), cuts in proptest::collection::vec(0usize..200, 0..5),
            turn in 0usize..7) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(values.len())).chain([0, values.len()]).collect();
            cuts.sort_unstable();
            let mut parts: Vec<_> = cuts.windows(2).map(|cut| bytes(&sketch(&values[cut[0]..cut[1]]))).collect();
            let turn = turn % parts.len().max(1);
            parts.rotate_left(turn);
            // Two levels, as a roll-up of roll-ups.
            let (mut left, mut right) = (Sketch::default(), Sketch::default());
            for (n, part) in parts.iter().enumerate() {
                add_sketch(part, if n % 2 == 0 { &mut left } else { &mut right }).unwrap();
            }
            let mut all = Sketch::default();
            add_sketch(&bytes(&right), &mut all).unwrap();
            add_sketch(&bytes(&left), &mut all).unwrap();
            prop_assert_eq!(all, sketch(&values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(any in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = add_sketch(&any, &mut Sketch::default());
            let _ = take_sums(&any);
        }

        #[test]
        fn sums_come_back_as_they_were(a: u64, b: u64, c in 0u64..3, d in 0u64..300) {
            let sums = EdgeSums { opened: a, timed_out: b, refused: c, bytes_to_client: d, ..EdgeSums::default() };
            let mut bytes = Vec::new();
            put_sums(&sums, &mut bytes);
            prop_assert_eq!(take_sums(&bytes), Ok(sums));
        }
    }
}
