//! Names the protocol from the first bytes of a message.
//!
//! The kernel side does the same in `bpf/infer.h`, before it copies anything; this twin serves pcap files and is held
//! against it by a differential test. A further protocol is one function here, one there, and a row in each table.

use crate::Protocol;

/// What the first bytes of a message say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// None of the protocols.
    No,
    /// Too short to tell: ask again with more.
    More,
    /// This protocol; `request` tells who sent it.
    Is {
        /// The protocol.
        protocol: Protocol,
        /// It was the client that sent these bytes.
        request: bool,
    },
}

/// Bytes that a guess may need; more are not looked at.
pub const PREFIX: usize = 32;

/// Guesses from the first bytes of a message, of which at most [`PREFIX`] are looked at.
#[must_use]
pub fn infer(bytes: &[u8]) -> Guess {
    let bytes = &bytes[..bytes.len().min(PREFIX)];
    let mut more = false;
    for guess in [http1(bytes), redis(bytes), mysql(bytes)] {
        match guess {
            Guess::No => {}
            Guess::More => more = true,
            is @ Guess::Is { .. } => return is,
        }
    }
    if more { Guess::More } else { Guess::No }
}

const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE "];

/// A method, a space and the first byte of a target (`/`, `*`, or a letter, digit or bracket of an authority or an
/// absolute URI); or `HTTP/1.`. A lone `GET word` may be an inline Redis command, so GET wants `/` or `h` behind it.
fn http1(bytes: &[u8]) -> Guess {
    const RESPONSE: &[u8] = b"HTTP/1.";
    if bytes.len() >= RESPONSE.len() && bytes.starts_with(RESPONSE) {
        return Guess::Is { protocol: Protocol::Http1, request: false };
    }
    let mut more = bytes.len() < RESPONSE.len() && RESPONSE.starts_with(bytes);
    for method in METHODS {
        if bytes.len() <= method.len() {
            more |= method.starts_with(bytes);
        } else if bytes.starts_with(method) {
            let target = bytes[method.len()];
            let is = match method {
                b"GET " => matches!(target, b'/' | b'h' | b'H'),
                _ => target == b'/' || target == b'*' || target == b'[' || target.is_ascii_alphanumeric(),
            };
            return if is { Guess::Is { protocol: Protocol::Http1, request: true } } else { Guess::No };
        }
    }
    if more { Guess::More } else { Guess::No }
}

/// Inline commands that are told from their first word; the rest of the line must be printable.
const INLINE: [&[u8]; 8] = [b"PING", b"ECHO", b"INFO", b"QUIT", b"AUTH", b"INCR", b"GET", b"SET"];

/// `*<count>\r\n$<length>\r\n`, the head of every RESP command; or an inline command line. Replies are not enough to
/// tell: a `+` or a `-` at the start of a line is in half of all text protocols.
fn redis(bytes: &[u8]) -> Guess {
    if bytes.first() == Some(&b'*') { resp(bytes) } else { inline(bytes) }
}

fn resp(bytes: &[u8]) -> Guess {
    let mut at = 0;
    for marker in [b'*', b'$'] {
        match bytes.get(at) {
            None => return Guess::More,
            Some(&byte) if byte == marker => at += 1,
            Some(_) => return Guess::No,
        }
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        at += digits;
        if digits > 8 || (digits == 0 && at < bytes.len()) {
            return Guess::No;
        }
        for end in [b'\r', b'\n'] {
            match bytes.get(at) {
                None => return Guess::More,
                Some(&byte) if byte == end => at += 1,
                Some(_) => return Guess::No,
            }
        }
    }
    Guess::Is { protocol: Protocol::Redis, request: true }
}

fn inline(bytes: &[u8]) -> Guess {
    let mut more = false;
    for word in INLINE {
        let both = bytes.len().min(word.len());
        if !bytes[..both].eq_ignore_ascii_case(&word[..both]) {
            continue;
        }
        if bytes.len() <= word.len() {
            more = true;
            continue;
        }
        // The line: printable up to its end, or as far as the prefix goes.
        for (at, &byte) in bytes.iter().enumerate().skip(word.len()) {
            match byte {
                b'\n' => return Guess::Is { protocol: Protocol::Redis, request: true },
                b'\r' => {}
                b' ' if at == word.len() => {}
                0x21..=0x7e | b' ' if at > word.len() => {}
                _ => return Guess::No,
            }
        }
        return if bytes.len() < PREFIX { Guess::More } else { Guess::No };
    }
    if more { Guess::More } else { Guess::No }
}

/// The first four letters of statements, in lower case.
const VERBS: [&[u8; 4]; 26] = [
    b"sele", b"inse", b"upda", b"dele", b"repl", b"with", b"call", b"set ", b"show", b"use ", b"begi", b"star",
    b"comm", b"roll", b"save", b"rele", b"lock", b"unlo", b"crea", b"alte", b"drop", b"trun", b"expl", b"desc",
    b"load", b"kill",
];

/// The server's greeting, which comes first; or, to join late, COM_QUERY and COM_STMT_PREPARE with a statement behind
/// them, or COM_STMT_EXECUTE. All are packets with number 0 and a length that fits: below 16 KiB, so that the second byte
/// of most text is none.
fn mysql(bytes: &[u8]) -> Guess {
    let byte = |at: usize| bytes.get(at).copied();
    let length = usize::from(byte(0).unwrap_or(0)) | usize::from(byte(1).unwrap_or(0)) << 8;
    let digit = |b: u8| b.is_ascii_digit();
    let is = |request| Guess::Is { protocol: Protocol::Mysql, request };
    // Each byte in its turn: too few of them, or one that does not fit.
    let want = |conditions: &[(usize, &dyn Fn(u8) -> bool)]| {
        conditions.iter().find_map(|(at, fits)| match byte(*at) {
            None => Some(Guess::More),
            Some(b) => (!fits(b)).then_some(Guess::No),
        })
    };
    let zero = |b: u8| b == 0;
    let header = want(&[
        (0, &|_| true),
        (1, &|b| b < 0x40),
        (2, &zero),
        (3, &|b| b == 0 && length >= 5),
        (4, &|b| matches!(b, 0x0a | 0x03 | 0x16 | 0x17)),
    ]);
    if let Some(guess) = header {
        return guess;
    }
    match byte(4) {
        Some(0x0a) => want(&[
            (5, &|b| (32..512).contains(&length) && digit(b)),
            (6, &|b| b == b'.' || digit(b)),
            (7, &|b| if byte(6) == Some(b'.') { digit(b) } else { b == b'.' }),
        ])
        .unwrap_or(is(false)),
        // A statement's number, which is not large; flags; one iteration.
        Some(0x17) => want(&[
            (7, &|b| length >= 10 && b < 0x10),
            (8, &zero),
            (9, &|b| b & 0xf0 == 0),
            (10, &|b| b == 1),
            (11, &zero),
            (12, &zero),
            (13, &zero),
        ])
        .unwrap_or(is(true)),
        command => {
            // Attributes of the query: none.
            let attributes = command == Some(0x03) && byte(5) == Some(0);
            if let (true, Some(guess)) = (attributes, want(&[(6, &|b| b == 1)])) {
                return guess;
            }
            verb(bytes, if attributes { 7 } else { 5 }, 4 + length, is(true))
        }
    }
}

/// Blanks and brackets, then the first letters of a statement, at `at` and before `end`.
fn verb(bytes: &[u8], at: usize, end: usize, is: Guess) -> Guess {
    let text = bytes.get(at..end.min(bytes.len())).unwrap_or_default();
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b'(')).count();
    match text.get(blanks..blanks + 4) {
        Some(letters) if VERBS.iter().any(|verb| letters.eq_ignore_ascii_case(*verb)) => is,
        Some(_) => Guess::No,
        None if bytes.len() < end.min(PREFIX) => Guess::More,
        None => Guess::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> &'static str {
        match infer(bytes) {
            Guess::No => "no",
            Guess::More => "more",
            Guess::Is { protocol: Protocol::Http1, request: true } => "http request",
            Guess::Is { protocol: Protocol::Http1, request: false } => "http response",
            Guess::Is { protocol: Protocol::Mysql, request: false } => "mysql greeting",
            Guess::Is { protocol, .. } => protocol.name(),
        }
    }

    #[test]
    fn table() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], "http request"),
            (b"G", "more"),
            (b"GET ", "more"),
            (b"GET h", "http request"),
            (b"OPTIONS * HTTP/1.1", "http request"),
            (b"CONNECT example.org:443 HTTP/1.1", "http request"),
            (b"HTTP/1.1 200 OK", "http response"),
            (b"HTTP/2 200", "no"),
            (b"HTTP", "more"),
            (b"", "more"),
            (b"*1\r\n$4\r\nPING\r\n", "redis"),
            (b"*1\r\n$4\r", "more"),
            (b"*", "more"),
            (b"*x", "no"),
            (b"*123456789\r\n", "no"),
            (b"*-1\r\n", "no"),
            (b"PING\r\n", "redis"),
            (b"PING\n", "redis"),
            (b"PINGS\r\n", "no"),
            (b"get key\r\n", "redis"),
            (b"GET key\r\n", "redis"),
            (b"+OK\r\n", "no"),
            (b"SSH-2.0-OpenSSH", "no"),
            (b"\x16\x03\x01", "no"),
            (b"\x5d\0\0\0\x0a5.5.5-10.11.6-MariaDB\0", "mysql greeting"),
            (b"\x4a\0\0\0\x0a11.4.2", "mysql greeting"),
            (b"\x4a\0\0\0\x0a110.4", "no"),
            (b"\x4a\0\0\0", "more"),
            (b"\x09\0\0\0\x03SELECT 1", "mysql"),
            (b"\x0b\0\0\0\x03\0\x01select 1", "mysql"),
            (b"\x40\0\0\0\x16\n    (SELECT a", "mysql"),
            (b"\x40\0\0\0\x03SEL", "more"),
            (b"\x05\0\0\0\x03 SEL", "no"),
            (b"\x09\0\0\x01\x03SELECT 1", "no"),
            (b"\x09\0\0\0\x03garbage!", "no"),
            (b"\x0a\0\0\0\x17\x01\0\0\0\0\x01\0\0\0", "mysql"),
            (b"\x0a\0\0\0\x17\x01\0\0\0\0\x02\0\0\0", "no"),
            // PostgreSQL: a Parse and a Bind of just these lengths.
            (b"P\0\0\0\x16s1\0SELECT 1\0\0\0", "no"),
            (b"B\0\0\0\x17\0s1\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0", "no"),
        ] {
            assert_eq!(name(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
