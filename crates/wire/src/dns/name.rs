//! Domain names: on the wire (RFC 1035, 3.1 and 4.1.4), and as people write them.

/// Longest name, length bytes included (RFC 1035, 2.3.4).
pub(super) const LONGEST: usize = 255;

/// Pointers that are followed within one name. Compressors need one or two.
const HOPS: usize = 32;

/// Room for a name, in whole vectors of the processor.
pub(super) const ROOM: usize = 256;

/// A name as on the wire, without pointers and in lower case: names are equal if and only if these bytes are.
#[derive(Clone, Copy)]
pub(super) struct Domain {
    bytes: [u8; ROOM],
    length: usize,
}

impl Domain {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Reads the name at a position. None if it is cut off or malformed.
    pub(super) fn read(message: &[u8], at: usize) -> Option<Self> {
        let mut bytes = [0; ROOM];
        let (length, _) = read(message, at, &mut bytes)?;
        Some(Self { bytes, length })
    }

    /// Appends the name as people write it (RFC 1035, 5.1): in lower case, without the last dot, `.` for the root. Bytes
    /// that are not printable ASCII become `\DDD`, as OpenTelemetry's `dns.question.name` has it, blanks included, so that
    /// a name has no blank.
    pub(super) fn write(&self, text: &mut Text) {
        let mut rest = self.bytes();
        if rest == [0] {
            text.push(b".");
        }
        let mut first = true;
        while let Some((&length, behind)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let (label, next) = behind.split_at(usize::from(length).min(behind.len()));
            if !std::mem::take(&mut first) {
                text.push(b".");
            }
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' => text.push(&[b'\\', byte]),
                    0x21..=0x7e => text.push(&[byte]),
                    _ => text.push(&[b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
                }
            }
            rest = next;
        }
    }
}

/// Reads the name at a position into `room`, in the form of [`Domain`]: its length there, and the position behind it in the
/// message. None if it is cut off or malformed. Every pointer must lead further back than all before it, so that there is
/// no circle.
#[inline]
pub(super) fn read(message: &[u8], at: usize, room: &mut [u8; ROOM]) -> Option<(usize, usize)> {
    let (mut from, mut back, mut hops, mut length, mut behind) = (at, at, 0, 0, None);
    loop {
        let (end, next) = labels(message, from)?;
        behind.get_or_insert(if next.is_some() { end + 2 } else { end });
        let part = message.get(from..end)?;
        room.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
        let Some(target) = next else { break };
        hops += 1;
        if target >= back || hops > HOPS {
            return None;
        }
        (from, back) = (target, target);
    }
    if length > LONGEST {
        return None;
    }
    // A length is at most 63, below every letter. Whole vectors, whatever is behind the name.
    for vector in room.as_chunks_mut::<16>().0.iter_mut().take(length.div_ceil(16)) {
        vector.make_ascii_lowercase();
    }
    Some((length, behind?))
}

/// The labels at a position, which lie in one piece: where they end, with the root's if it is there; else where the pointer
/// behind them leads. None if they are cut off, malformed, or more than a name may have.
#[inline]
fn labels(message: &[u8], at: usize) -> Option<(usize, Option<usize>)> {
    let mut from = at;
    while from - at < LONGEST {
        match *message.get(from)? {
            0 => return Some((from + 1, None)),
            length @ 1..=0x3f => from += 1 + usize::from(length),
            high @ 0xc0.. => {
                let low = *message.get(from + 1)?;
                return Some((from, Some(usize::from(high & 0x3f) << 8 | usize::from(low))));
            }
            // 0x40 and 0x80 never became anything (RFC 6891, 5).
            _ => return None,
        }
    }
    None
}

/// Position behind the name at a position. None if it is cut off or malformed.
#[inline]
pub(super) fn skip(message: &[u8], at: usize) -> Option<usize> {
    let (end, pointer) = labels(message, at)?;
    Some(if pointer.is_some() { end + 2 } else { end })
}

/// Whether the names at two positions are the same one. Compressed messages answer by one comparison: both are the same
/// bytes, or one points to the other.
#[inline]
pub(super) fn same(message: &[u8], one: usize, other: usize) -> bool {
    let target = |at: usize| match message.get(at..at + 2) {
        Some(&[high, low]) if high >= 0xc0 => usize::from(high & 0x3f) << 8 | usize::from(low),
        _ => at,
    };
    if target(one) == target(other) {
        return true;
    }
    match (Domain::read(message, one), Domain::read(message, other)) {
        (Some(one), Some(other)) => one.bytes() == other.bytes(),
        _ => false,
    }
}

/// Text of bounded length; what does not fit is left out.
pub(super) struct Text {
    bytes: [u8; Self::MAX],
    length: usize,
    full: bool,
}

impl Text {
    const MAX: usize = crate::Names::MAX_LENGTH;

    pub(super) fn new() -> Self {
        Self { bytes: [0; Self::MAX], length: 0, full: false }
    }

    /// Appends all of `part`, or nothing from here on: an escape is never cut.
    pub(super) fn push(&mut self, part: &[u8]) {
        match self.bytes.get_mut(self.length..self.length + part.len()) {
            Some(room) if !self.full => {
                room.copy_from_slice(part);
                self.length += part.len();
            }
            _ => self.full = true,
        }
    }

    pub(super) fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &[u8], at: usize) -> Option<String> {
        let mut text = Text::new();
        Domain::read(message, at)?.write(&mut text);
        Some(String::from_utf8(text.get().to_vec()).unwrap())
    }

    #[test]
    fn names_as_people_write_them() {
        for (wire, expected) in [
            (&b"\x03wWw\x07Example\x03ORG\0"[..], "www.example.org"),
            (b"\0", "."),
            (b"\x04a.b\\\x02c\"\0", "a\\.b\\\\.c\\\""),
            (b"\x05caf\xc3\xa9\x03a b\0", "caf\\195\\169.a\\032b"),
            (b"\x02\x00\x7f\0", "\\000\\127"),
            (b"\x04_sip\x04_tcp\0", "_sip._tcp"),
        ] {
            assert_eq!(text(wire, 0).as_deref(), Some(expected));
            assert_eq!(skip(wire, 0), Some(wire.len()));
        }
    }

    #[test]
    fn pointers_lead_back() {
        let message = b"\x03org\0\x01a\xc0\x00\x01b\xc0\x05\xc0\x09";
        assert_eq!(text(message, 5).as_deref(), Some("a.org"));
        assert_eq!(text(message, 13).as_deref(), Some("b.a.org"));
        assert_eq!((skip(message, 9), skip(message, 13)), (Some(13), Some(15)));
        assert!(same(message, 13, 9) && same(message, 9, 9) && !same(message, 5, 9));
    }

    #[test]
    fn circles_and_what_is_cut_off_are_no_names() {
        for wire in [
            &b"\xc0\x00"[..],    // to itself
            b"\x01a\xc0\x00",    // to its own beginning
            b"\xc0\x02\xc0\x00", // forward
            b"\x01a\x01",        // cut in a label
            b"\x01a",            // no end
            b"\xc0",             // half a pointer
            b"\x40a\0",          // a type that never was
            b"",
        ] {
            assert_eq!(text(wire, 0), None, "{}", wire.escape_ascii());
        }
        let chain: Vec<u8> =
            [0, 0].into_iter().chain((0..40u16).flat_map(|n| (0xc000 + 2 * n).to_be_bytes())).collect();
        assert_eq!(text(&chain, 2 * 30).as_deref(), Some("."));
        assert_eq!(text(&chain, 2 * 40), None, "too many hops");
        let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(4);
        assert_eq!(text(&[&long[..], b"\0"].concat(), 0), None);
        assert_eq!(skip(&[&long[..], b"\0"].concat(), 0), None);
        let fits = [&long[..192], b"\x3d", &[b'a'; 61], b"\0"].concat();
        assert_eq!((fits.len(), skip(&fits, 0)), (255, Some(255)));
        assert_eq!(text(&fits, 0).map(|text| text.len()), Some(253));
    }

    #[test]
    fn a_long_text_is_cut_between_escapes() {
        let label = [&b"\x3f"[..], &[0xff; 63]].concat();
        let text = text(&[&label[..], &label, b"\0"].concat(), 0).unwrap();
        assert_eq!((text.len(), text.ends_with("\\255.")), (253, true));
    }
}
