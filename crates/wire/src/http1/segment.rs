//! One segment of a path: a word, or a value.

use wide::u8x16;

/// A longer segment is a value, whatever it is made of.
const LONGEST: usize = 64;
/// A segment with so many marks is a headline.
const MARKS: usize = 5;

const ID: &[u8] = b"{id}";
const DATE: &[u8] = b"{date}";

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class<'a> {
    /// A word: it stays.
    Word,
    /// A value: what stands for it, and the extension behind that.
    Value(&'static [u8], &'a [u8]),
}

/// What each byte of a short path is: one bit for each in each of these, the lowest for the first.
pub(super) struct Kinds {
    /// What ends a segment (RFC 3986 §3.3), and the place behind the target.
    ends: u64,
    lower: u64,
    digits: u64,
    marks: u64,
}

/// A path of so many bytes is short.
pub(super) const SHORT: usize = 63;

impl Kinds {
    /// None: the path is longer, or does not begin as paths do.
    #[inline]
    pub(super) fn of(target: &[u8]) -> Option<Self> {
        let known = target.len().min(SHORT);
        target.strip_prefix(b"/")?;
        let mut padded = [0; SHORT + 1];
        padded.get_mut(..known)?.copy_from_slice(target.get(..known)?);
        let (sixteens, _) = padded.as_chunks();
        let mut kinds = Self { ends: 0, lower: 0, digits: 0, marks: 0 };
        let mut over = 0;
        for (sixteen, place) in sixteens.iter().take(known / 16 + 1).zip((0..).step_by(16)) {
            let bytes = u8x16::new(*sixteen);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            // Those that are no further from the first than the last is.
            let among = |first: u8, last: u8| {
                let distance = bytes - u8x16::splat(first);
                distance.simd_eq(distance.min(u8x16::splat(last - first)))
            };
            let bits = |bytes: u8x16| u64::from(bytes.to_bitmask()) << place;
            over |= bits(is(b'?') | is(b'#'));
            kinds.ends |= bits(is(b'/'));
            kinds.lower |= bits(among(b'a', b'z'));
            kinds.digits |= bits(among(b'0', b'9'));
            kinds.marks |= bits(is(b'.') | is(b'-') | is(b'_'));
        }
        if known == target.len() {
            over |= 1 << known;
        }
        kinds.ends |= over;
        (over != 0).then_some(kinds)
    }

    /// How long the segment is that begins here.
    #[inline]
    pub(super) fn length(&self, at: usize) -> usize {
        (self.ends >> at).trailing_zeros() as usize
    }

    /// [`class`] of the segment that begins here. Most are words, file names or numbers, which it says too after many more looks.
    #[inline]
    pub(super) fn class<'a>(&self, at: usize, length: usize, target: &'a [u8]) -> (&'a [u8], Class<'a>) {
        let segment = target.get(at..at + length).unwrap_or_default();
        let bits = ((1 << length) - 1) << at;
        // Takes away as many marks as a word may have: not all processors count bits.
        let beyond = (1..MARKS).fold(bits & self.marks, |marks, _| marks & marks.wrapping_sub(1));
        if bits & !(self.lower | self.marks) == 0 && length <= 20 && beyond == 0 {
            (segment, Class::Word)
        } else if bits & !self.digits == 0 {
            (segment, Class::Value(ID, b""))
        } else {
            class(segment)
        }
    }
}

/// A segment without its matrix parameters, which are values like a query (`;jsessionid=…`), and what it is.
pub(super) fn class(segment: &[u8]) -> (&[u8], Class<'_>) {
    let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    (segment, judge(segment))
}

fn judge(segment: &[u8]) -> Class<'_> {
    if segment.len() > LONGEST {
        return Class::Value(ID, b"");
    }
    if is_version(segment) {
        return Class::Word;
    }
    let whole = Counts::of(segment);
    if is_date(segment) {
        return Class::Value(DATE, b"");
    }
    // A file name keeps its extension: `/photos/{id}.jpg`.
    if let Some(dot) = memchr::memrchr(b'.', segment) {
        let (stem, extension) = segment.split_at(dot);
        let kept = extension.len() <= 6
            && extension.iter().skip(1).all(u8::is_ascii_alphanumeric)
            && extension.iter().any(u8::is_ascii_alphabetic)
            && whole.strange == 0;
        if kept && !stem.is_empty() {
            return if Counts::of(stem).is_value(stem) { Class::Value(ID, extension) } else { Class::Word };
        }
    }
    if whole.is_value(segment) { Class::Value(ID, b"") } else { Class::Word }
}

/// `v1`, `v2beta1`, `v1.2`.
fn is_version(segment: &[u8]) -> bool {
    segment.len() <= 10
        && matches!(segment, [b'v' | b'V', b'0'..=b'9', rest @ ..]
            if rest.iter().filter(|byte| byte.is_ascii_digit()).count() < 4
                && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.'))
}

/// `2026-08-21`, also with a time behind it.
fn is_date(segment: &[u8]) -> bool {
    segment.len() >= 10
        && segment.iter().zip(b"dddd-dd-dd").all(|(byte, kind)| match kind {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && matches!(segment.get(10), None | Some(b'T' | b't' | b' ' | b'_' | b'-'))
}

/// What a segment is made of.
#[derive(Clone, Copy, Default)]
struct Counts {
    digits: usize,
    lower: usize,
    upper: usize,
    /// Hexadecimal letters, which are among the letters too.
    hex: usize,
    /// `-`, `_`, `.`, `~`, `:`.
    marks: usize,
    /// Anything else: percent-encoding, `@`, `=`, `,`, brackets, bytes that are not ASCII.
    strange: usize,
    /// Changes from a lower-case to an upper-case letter, and between letters and digits.
    turns: usize,
}

impl Counts {
    fn of(segment: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut last = 0u8;
        for &byte in segment {
            match byte {
                b'0'..=b'9' => {
                    counts.digits += 1;
                    counts.turns += usize::from(last.is_ascii_alphabetic());
                }
                b'a'..=b'z' => {
                    counts.lower += 1;
                    counts.hex += usize::from(byte <= b'f');
                    counts.turns += usize::from(last.is_ascii_digit());
                }
                b'A'..=b'Z' => {
                    counts.upper += 1;
                    counts.hex += usize::from(byte <= b'F');
                    counts.turns += usize::from(last.is_ascii_lowercase() || last.is_ascii_digit());
                }
                b'-' | b'_' | b'.' | b'~' | b':' => counts.marks += 1,
                _ => counts.strange += 1,
            }
            last = byte;
        }
        counts
    }

    fn is_value(&self, segment: &[u8]) -> bool {
        let letters = self.lower + self.upper;
        let length = segment.len();
        // `@scope` is a package scope, `{id}` a template that a client did not fill in.
        let strange = match segment {
            [b'@', rest @ ..] | [b'{', rest @ .., b'}'] => self.strange > length - rest.len(),
            _ => self.strange > 0,
        };
        strange
            // Numbers, addresses, UUIDs, time stamps, and names with a number that may run on: order-12345.
            || self.digits >= 3
            || (letters == 0 && self.digits > 0)
            // Hashes.
            || (length >= 8 && self.digits > 0 && self.digits + self.hex == length)
            // Base64 and its kind: cases and digits change as words' do not.
            || (length >= 8 && self.digits > 0 && self.turns * 3 > length)
            || (length >= 16 && self.digits > 0 && self.lower > 0 && self.upper > 0)
            || (length >= 20 && self.turns * 4 >= length)
            // No word is that long without a mark or a capital.
            || (length > 24 && (letters == self.lower || letters == self.upper) && self.marks == 0)
            // A headline: `how-to-do-this-and-that-in-rust`.
            || self.marks >= MARKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_quick_look_says_what_the_thorough_one_says(
            segment in "[a-z._-]{0,20}|[0-9]{1,62}|[a-z0-9.-]{0,6}|[a-z]{18,25}|[A-Za-z0-9;.%:~_-]{0,30}", behind in "(/[a-z0-9]{0,9})?",
        ) {
            let path = format!("/{segment}{behind}");
            let Some(kinds) = Kinds::of(path.as_bytes()) else { return Ok(()) };
            let length = kinds.length(1);
            proptest::prop_assert_eq!(length, segment.len());
            proptest::prop_assert_eq!(kinds.class(1, length, path.as_bytes()), class(segment.as_bytes()));
        }
    }
}
