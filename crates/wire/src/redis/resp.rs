//! What both directions share: lines, numbers, and payloads of known length.
//!
//! Redis protocol specification, "RESP protocol description": a message is a line that ends in CRLF and, for the types
//! that have one, a payload whose length that line gives. A line that lies in one piece is read in place; only one that
//! is split over pieces is kept, and of it no more than [`KEPT`] bytes, which is more than any header or command word
//! needs.

/// Bytes kept of a line or payload that has to be looked at.
pub(super) const KEPT: usize = 64;

/// Longest payload, and most elements. Redis' own limit is 512 MB unless configured otherwise; beyond this it is not
/// Redis, and would swallow the connection in silence.
const LARGEST: u64 = 1 << 32;

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The piece is used up.
    More,
    /// A message is complete.
    Done,
    /// The bytes are not what the protocol allows.
    Bad,
}

/// The number of a header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// A length or a count.
    Of(u64),
    /// `-1`: a null.
    Null,
    /// `?`: streamed ("Streamed strings", "Streamed aggregated data types").
    Streamed,
}

/// What stands at the beginning of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A number and its CRLF, this many bytes long.
    Is(Number, usize),
    /// The slice ends within it.
    Partial,
    /// Something else.
    Bad,
}

/// Reads the number and the CRLF that follow a type byte. Headers are a few bytes long, so that this is cheaper than to
/// search for the line's end first.
#[inline]
pub(super) fn header(bytes: &[u8]) -> Header {
    let digit = |byte: u8| u64::from(byte - b'0');
    match *bytes {
        // Counts and lengths below a hundred: nearly all of them.
        [a @ b'0'..=b'9', b'\r', b'\n', ..] => return Header::Is(Number::Of(digit(a)), 3),
        [a @ b'0'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            return Header::Is(Number::Of(digit(a) * 10 + digit(b)), 4);
        }
        _ => {}
    }
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + u64::from(byte - b'0');
                if value > LARGEST {
                    return Header::Bad;
                }
            }
            b'\r' if at > 0 => {
                return match bytes.get(at + 1) {
                    None => Header::Partial,
                    Some(b'\n') => Header::Is(Number::Of(value), at + 2),
                    Some(_) => Header::Bad,
                };
            }
            b'-' | b'?' if at == 0 => return rare(bytes),
            _ => return Header::Bad,
        }
        if at > 24 {
            return Header::Bad;
        }
    }
    Header::Partial
}

#[cold]
fn rare(bytes: &[u8]) -> Header {
    for (text, number) in [(&b"-1\r\n"[..], Number::Null), (b"?\r\n", Number::Streamed)] {
        if bytes.starts_with(text) {
            return Header::Is(number, text.len());
        }
        if text.starts_with(bytes) {
            return Header::Partial;
        }
    }
    Header::Bad
}

/// Reads a header line, type byte included, from `rest`, which begins at `at`; or goes on with one in `kept`. Gives its
/// type and number, or why it cannot.
#[inline]
pub(super) fn number(kept: &mut Kept, rest: &[u8], at: &mut usize) -> Result<(u8, Number), Progress> {
    if kept.started() {
        return resume(kept, rest, at);
    }
    let Some((&kind, line)) = rest.split_first() else { return Err(Progress::More) };
    match header(line) {
        Header::Is(number, len) => {
            *at += 1 + len;
            Ok((kind, number))
        }
        Header::Partial => {
            kept.push(rest);
            *at += rest.len();
            Err(Progress::More)
        }
        Header::Bad => Err(Progress::Bad),
    }
}

/// A header is bounded to some twenty bytes, so reading it again with every byte is cheap enough for so rare a case.
#[cold]
fn resume(kept: &mut Kept, rest: &[u8], at: &mut usize) -> Result<(u8, Number), Progress> {
    for &byte in rest {
        *at += 1;
        kept.push(&[byte]);
        let Some((&kind, line)) = kept.get().split_first() else { continue };
        match header(line) {
            Header::Is(number, _) => {
                kept.clear();
                return Ok((kind, number));
            }
            Header::Partial => {}
            Header::Bad => return Err(Progress::Bad),
        }
    }
    Err(Progress::More)
}

/// The first bytes of something that is split over pieces.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: [u8; KEPT],
    len: u8,
    /// Something was left out at the end.
    cut: bool,
    /// The last byte of all, kept or not: a CR at the end of a piece may be half of a CRLF.
    last: u8,
    started: bool,
}

impl Default for Kept {
    fn default() -> Self {
        Self { bytes: [0; KEPT], len: 0, cut: false, last: 0, started: false }
    }
}

impl Kept {
    #[inline]
    pub(super) fn clear(&mut self) {
        (self.len, self.cut, self.started, self.last) = (0, false, false, 0);
    }

    /// Whether there was anything.
    #[inline]
    pub(super) fn started(&self) -> bool {
        self.started
    }

    pub(super) fn last(&self) -> u8 {
        self.last
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        (self.last, self.started) = (last, true);
        let len = usize::from(self.len);
        let n = bytes.len().min(KEPT - len);
        if let (Some(to), Some(from)) = (self.bytes.get_mut(len..len + n), bytes.get(..n)) {
            to.copy_from_slice(from);
            self.len += n as u8;
        }
        self.cut |= n < bytes.len();
    }

    /// What was kept.
    pub(super) fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether that is all there was.
    pub(super) fn whole(&self) -> bool {
        !self.cut
    }
}

/// The first [`KEPT`] bytes: what is looked at must not depend on whether it was split.
#[inline]
pub(super) fn head(bytes: &[u8]) -> &[u8] {
    bytes.get(..KEPT).unwrap_or(bytes)
}

/// Checks the CRLF behind a payload, as far as `bytes` (what of payload and CRLF is in this piece) shows it. `left`:
/// what was outstanding, CRLF included, before these bytes.
#[inline]
pub(super) fn ends_well(bytes: &[u8], left: u64) -> bool {
    let after = left - (bytes.len() as u64).min(left);
    match (after, bytes) {
        (0, [.., b'\r', b'\n'] | [b'\n']) | (1, [.., b'\r']) | (_, []) => true,
        (0 | 1, _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        for (bytes, expected) in [
            (&b"3\r\n"[..], Header::Is(Number::Of(3), 3)),
            (b"1024\r\n$", Header::Is(Number::Of(1024), 6)),
            (b"-1\r\n", Header::Is(Number::Null, 4)),
            (b"?\r\n", Header::Is(Number::Streamed, 3)),
            (b"", Header::Partial),
            (b"12", Header::Partial),
            (b"12\r", Header::Partial),
            (b"-", Header::Partial),
            (b"-1\r", Header::Partial),
            (b"\r\n", Header::Bad),
            (b"-2\r\n", Header::Bad),
            (b"1\n", Header::Bad),
            (b"1\rx", Header::Bad),
            (b"99999999999999999999999999\r\n", Header::Bad),
            (b"4294967297\r\n", Header::Bad),
        ] {
            assert_eq!(header(bytes), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(header(&[b'0'; 100]), Header::Bad, "an endless header");
    }

    #[test]
    fn kept_is_bounded() {
        let mut kept = Kept::default();
        kept.push(b"");
        assert!(!kept.started());
        for _ in 0..10 {
            kept.push(b"0123456789");
        }
        assert_eq!((kept.get().len(), kept.whole(), kept.last()), (KEPT, false, b'9'));
        kept.clear();
        kept.push(b"a");
        assert_eq!((kept.get(), kept.whole()), (&b"a"[..], true));
    }
}
