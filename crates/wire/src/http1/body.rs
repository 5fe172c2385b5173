//! Where a body ends (RFC 9112 §6): by length, by chunks, or with the connection.
//!
//! Bytes are not looked at unless they are framing, so it makes no difference to a body of known length whether its
//! bytes were captured.

use memchr::memchr;

/// A body in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    framing: Framing,
    /// Bytes of content so far.
    pub(super) size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many more bytes.
    Length(u64),
    /// In the line before a chunk: its size, and whether the digits are over (an extension, or white space).
    ChunkSize { size: u64, digits: u8, over: bool },
    /// So many more bytes of this chunk.
    ChunkData(u64),
    /// So many more bytes of the CR LF behind a chunk.
    ChunkEnd(u8),
    /// In the trailer section; whether its current line is empty so far.
    Trailer { empty: bool },
    /// Until the connection ends.
    Close,
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All bytes belong to it, and more are to come.
    More,
    /// It ended within the bytes.
    Done,
    /// Its framing is broken, or bytes that would tell it are missing.
    Broken,
}

const SIZE: Framing = Framing::ChunkSize { size: 0, digits: 0, over: false };

impl Body {
    /// A body of this length, which is not 0.
    pub(super) fn length(length: u64) -> Self {
        Self { framing: Framing::Length(length), size: 0 }
    }

    /// A chunked body (RFC 9112 §7.1).
    pub(super) fn chunked() -> Self {
        Self { framing: SIZE, size: 0 }
    }

    /// A body that ends with the connection (RFC 9112 §6.3, rule 8).
    pub(super) fn close() -> Self {
        Self { framing: Framing::Close, size: 0 }
    }

    /// Whether only the end of the connection ends it.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.framing == Framing::Close
    }

    /// Takes its part of captured bytes. Gives the number of bytes that belong to it.
    pub(super) fn captured(&mut self, bytes: &[u8]) -> (usize, Progress) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.framing {
                Framing::Length(_) | Framing::ChunkData(_) | Framing::Close => {
                    at += self.content(rest.len() as u64) as usize;
                    if self.framing == Framing::Length(0) {
                        return (at, Progress::Done);
                    }
                }
                Framing::ChunkSize { size, digits, over } => {
                    let Some((&byte, _)) = rest.split_first() else { break };
                    at += 1;
                    match (byte, (byte as char).to_digit(16)) {
                        (_, Some(digit)) if !*over => {
                            // 15 digits: as much as a u64 holds with the CR LF added, and more than anyone sends.
                            if *digits == 15 {
                                return (at, Progress::Broken);
                            }
                            *size = *size << 4 | u64::from(digit);
                            // Leading zeros are not counted: there may be any number of them.
                            *digits = if *size == 0 { 1 } else { *digits + 1 };
                        }
                        (b'\n', _) if *digits > 0 => {
                            self.framing = match *size {
                                0 => Framing::Trailer { empty: true },
                                size => Framing::ChunkData(size),
                            };
                        }
                        (b';' | b' ' | b'\t' | b'\r', _) if *digits > 0 => *over = true,
                        _ if *over => {
                            // A chunk extension (§7.1.1) is ignored up to the end of the line.
                            at += memchr(b'\n', rest).unwrap_or(rest.len()) - 1;
                        }
                        _ => return (at, Progress::Broken),
                    }
                }
                Framing::ChunkEnd(left) => match (rest.first(), *left) {
                    (Some(b'\r'), 2) => {
                        *left = 1;
                        at += 1;
                    }
                    (Some(b'\n'), _) => {
                        self.framing = SIZE;
                        at += 1;
                    }
                    _ => return (at, Progress::Broken),
                },
                Framing::Trailer { empty } => {
                    let end = memchr(b'\n', rest);
                    let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                    *empty &= matches!(line, b"" | b"\r");
                    at += line.len();
                    if end.is_some() {
                        at += 1;
                        if *empty {
                            return (at, Progress::Done);
                        }
                        *empty = true;
                    }
                }
            }
        }
        (bytes.len(), Progress::More)
    }

    /// Takes its part of `n` bytes that were not captured. The CR LF behind a chunk is as certain as the chunk is: a
    /// capture limit that cuts between a chunk and its end costs nothing.
    pub(super) fn passed(&mut self, n: u64) -> (u64, Progress) {
        let mut at = 0;
        while at < n {
            let rest = n - at;
            match &mut self.framing {
                Framing::Length(_) | Framing::ChunkData(_) | Framing::Close => {
                    at += self.content(rest);
                    if self.framing == Framing::Length(0) {
                        return (at, Progress::Done);
                    }
                }
                Framing::ChunkEnd(left) => {
                    let taken = rest.min(u64::from(*left));
                    *left -= taken as u8;
                    at += taken;
                    if *left == 0 {
                        self.framing = SIZE;
                    }
                }
                Framing::ChunkSize { .. } | Framing::Trailer { .. } => return (at, Progress::Broken),
            }
        }
        (n, Progress::More)
    }

    /// Takes content, of which there are at most `n` bytes. Gives how many.
    fn content(&mut self, n: u64) -> u64 {
        let taken = match &mut self.framing {
            Framing::Length(left) | Framing::ChunkData(left) => {
                let taken = n.min(*left);
                *left -= taken;
                taken
            }
            _ => n,
        };
        if self.framing == Framing::ChunkData(0) {
            self.framing = Framing::ChunkEnd(2);
        }
        self.size = self.size.saturating_add(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Progress::{Broken, Done, More};

    #[test]
    fn chunked_bodies_end_where_they_end() {
        for (bytes, taken, progress, size) in [
            (&b"5\r\nhello\r\n0\r\n\r\nHTTP"[..], 15, Done, 5),
            (b"5\nhello\n0\n\nHTTP", 11, Done, 5),
            (b"5;a=b;c\r\nhello\r\n0;x\r\n\r\n", 23, Done, 5),
            (b"5 \r\nhello\r\n0\r\n\r\n", 16, Done, 5),
            (b"00000000000000000000A\r\n0123456789\r\n000\r\n\r\n", 42, Done, 10),
            (b"0\r\nExpires: now\r\nA: b\r\n\r\nX", 25, Done, 0),
            (b"5\r\nhel", 6, More, 3),
            (b"0\r\n", 3, More, 0),
            (b"0\r\n\r", 4, More, 0),
            (b"\r\n", 1, Broken, 0),
            (b"x\r\n", 1, Broken, 0),
            (b"fffffffffffffffff\r\n", 16, Broken, 0),
            (b"1\r\nab\r\n", 4, Broken, 1),
        ] {
            let mut body = Body::chunked();
            assert_eq!((body.captured(bytes), body.size), ((taken, progress), size), "{}", bytes.escape_ascii());
            // The same, byte by byte.
            let mut body = Body::chunked();
            let ends = bytes.iter().position(|byte| body.captured(&[*byte]).1 != More);
            assert_eq!(ends.is_none(), progress == More, "{}", bytes.escape_ascii());
            assert_eq!(body.size, size, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_hole_inside_known_framing_costs_nothing() {
        let mut body = Body::length(10);
        assert_eq!(body.passed(4), (4, More));
        assert_eq!(body.captured(b"abcdefgh"), (6, Done));
        let mut body = Body::chunked();
        assert_eq!(body.captured(b"10\r\nabc"), (7, More));
        assert_eq!(body.passed(15), (15, More));
        assert_eq!(body.captured(b"0\r\n\r\n"), (5, Done));
        assert_eq!(body.size, 16);
        let mut body = Body::chunked();
        body.captured(b"10\r\nabc");
        assert_eq!(body.passed(16), (15, Broken));
        assert_eq!(Body::close().passed(u64::MAX), (u64::MAX, More));
    }
}
