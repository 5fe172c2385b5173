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
    for guess in [http1(bytes), redis(bytes), mysql(bytes), postgresql(bytes), dns(bytes)] {
        match guess {
            Guess::No => {}
            Guess::More => more = true,
            // One before it may still be sure with more bytes, and an answer does not change.
            Guess::Is { .. } if more => return Guess::More,
            is @ Guess::Is { .. } => return is,
        }
    }
    if more { Guess::More } else { Guess::No }
}

/// Guesses from a datagram, all of it or its first [`PREFIX`] bytes and more. Only DNS travels in datagrams, and a datagram
/// tells or never will.
#[must_use]
pub fn infer_datagram(bytes: &[u8], length: usize) -> Guess {
    if bytes.len() < DNS_LEAST || length < DNS_LEAST { Guess::No } else { dns_message(bytes, length) }
}

const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE "];

/// A method, a space and the first byte of a target (`/`, `*`, or a letter, digit or bracket of an authority or an
/// absolute URI); or `HTTP/1.`. A lone `GET word` may be an inline Redis command, so GET wants `/` or `h` behind it.
pub(crate) fn http1(bytes: &[u8]) -> Guess {
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

/// PostgreSQL: a startup message or what stands in its place; or, of a conversation under way, a message of either side
/// that has its type, a length that fits, and a body that begins as that type's do. A message that fits into the prefix
/// is looked at whole, because short lengths are what other binary protocols begin with too.
fn postgresql(bytes: &[u8]) -> Guess {
    const REQUEST: Guess = Guess::Is { protocol: Protocol::Postgresql, request: true };
    const RESPONSE: Guess = Guess::Is { protocol: Protocol::Postgresql, request: false };
    let at = |n: usize| bytes.get(n).copied().unwrap_or(0);
    let number = |n: usize| u32::from_be_bytes([at(n), at(n + 1), at(n + 2), at(n + 3)]);
    let n = bytes.len();
    let is = |yes: bool, guess| if yes { guess } else { Guess::No };
    match at(0) {
        _ if n == 0 => Guess::More,
        0 => {
            if n < 8 {
                return is(n < 2 || at(1) == 0, Guess::More);
            }
            match (number(4), number(0)) {
                // SSLRequest, GSSENCRequest; CancelRequest, whose key is 4 bytes, or up to 256 since version 3.2.
                (80_877_103 | 80_877_104, 8) | (80_877_102, 16..=268) => REQUEST,
                // Version 3: then the name of a parameter.
                (0x0003_0000..=0x0003_ffff, 16..=10_000) => {
                    let letters = bytes.iter().skip(8).take(4).all(|b| b.is_ascii_lowercase() || *b == b'_');
                    if n < 12 { is(letters, Guess::More) } else { is(letters, REQUEST) }
                }
                _ => Guess::No,
            }
        }
        b'Q' | b'P' | b'B' => texts(bytes, if at(0) == b'Q' { 1 } else { 2 }),
        // Execute and Sync do not come alone.
        b'E' if at(5) == 0 => followed(bytes, 9, b"SHBPCDE", REQUEST),
        b'S' => followed(bytes, 4, b"QPBEDCH", REQUEST),
        b'1' => followed(bytes, 4, b"ZTDC23NEtnSA", RESPONSE),
        b'2' => followed(bytes, 4, b"ZTDCNEnIsGHSA", RESPONSE),
        b'Z' if n < 6 => is(begins(bytes, 5), Guess::More),
        b'Z' => is(number(1) == 5 && matches!(at(5), b'I' | b'T' | b'E'), RESPONSE),
        b'C' => completed(bytes),
        b'T' if n < 8 => is(n < 2 || at(1) == 0, Guess::More),
        b'T' => {
            let (length, fields) = (number(1), u32::from(at(5)) << 8 | u32::from(at(6)));
            // A field is described by 19 bytes or more, of which the first are its name.
            let fits = (1..=1664).contains(&fields) && length >= 6 + 19 * fields && length < 1 << 24;
            is(fits && at(7) >= b' ', RESPONSE)
        }
        b'D' if n < 11 => is(n < 2 || at(1) == 0, Guess::More),
        b'D' => {
            let (length, columns) = (number(1), u32::from(at(5)) << 8 | u32::from(at(6)));
            let first = number(7);
            let first = if first == u32::MAX { 0 } else { first };
            if !(1..=1664).contains(&columns) || length >= 1 << 24 || first >= 1 << 24 {
                return Guess::No;
            }
            let least = 6 + 4 * columns + first;
            is(if columns == 1 { length == least } else { length >= least }, RESPONSE)
        }
        _ => Guess::No,
    }
}

/// Whether the length behind the type is this one, as far as it is there.
fn begins(bytes: &[u8], length: u8) -> bool {
    bytes.iter().skip(1).zip([0, 0, 0, length]).all(|(byte, expected)| *byte == expected)
}

/// A message of this length, and the beginning of another one of these types.
fn followed(bytes: &[u8], length: u8, types: &[u8], guess: Guess) -> Guess {
    if begins(bytes, length) { next(bytes, usize::from(length) + 1, types, guess) } else { Guess::No }
}

/// The beginning of a message of these types. Lengths begin with a zero.
fn next(bytes: &[u8], at: usize, types: &[u8], guess: Guess) -> Guess {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(kind), _) if !types.contains(kind) => Guess::No,
        (Some(_), Some(0)) => guess,
        (Some(_), Some(_)) => Guess::No,
        _ => Guess::More,
    }
}

/// Query, Parse, Bind: this many strings, which end within the message. The text of a Query is all there is in it.
fn texts(bytes: &[u8], strings: u32) -> Guess {
    let Some(&[high, a, b, c]) = bytes.get(1..).and_then(|rest| rest.first_chunk::<4>()) else {
        return if bytes.get(1).is_none_or(|&high| high == 0) { Guess::More } else { Guess::No };
    };
    let length = u32::from_be_bytes([high, a, b, c]) as usize;
    if high != 0 || length < 5 {
        return Guess::No;
    }
    let mut left = strings;
    for (at, &byte) in bytes.iter().enumerate().skip(5) {
        match byte {
            0 if left == 1 => {
                let is = at == length || strings > 1;
                return if is { Guess::Is { protocol: Protocol::Postgresql, request: true } } else { Guess::No };
            }
            // MySQL's statement number, in an execution of the right length.
            0 if at == 6 => return Guess::No,
            0 => left -= 1,
            b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80.. => {}
            _ => return Guess::No,
        }
        if at >= length {
            return Guess::No;
        }
    }
    // It goes on behind what is there.
    if bytes.len() < PREFIX {
        return Guess::More;
    }
    Guess::Is { protocol: Protocol::Postgresql, request: true }
}

/// CommandComplete: a short tag in upper case, then another message of the server. A Close of the client looks the same but
/// for what follows.
fn completed(bytes: &[u8]) -> Guess {
    if !begins(bytes.get(..4.min(bytes.len())).unwrap_or_default(), 0) {
        return Guess::No;
    }
    let Some(&length) = bytes.get(4) else { return Guess::More };
    let length = usize::from(length);
    if !(7..PREFIX - 2).contains(&length) {
        return Guess::No;
    }
    for (at, &byte) in bytes.iter().enumerate().skip(5).take(length - 4) {
        let ends = at == length;
        if ends != (byte == 0) || !(ends || byte == b' ' || byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Guess::No;
        }
    }
    next(bytes, length + 1, b"ZTDC123NE", Guess::Is { protocol: Protocol::Postgresql, request: false })
}

/// Bytes of a DNS message with a question.
const DNS_LEAST: usize = 17;

/// A length, of less than 4 KiB here, and the message behind it.
fn dns(bytes: &[u8]) -> Guess {
    match *bytes {
        [] => Guess::More,
        [first, ..] if first > 15 => Guess::No,
        [_] => Guess::More,
        [high, low, ref message @ ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let one_question = match message {
                [_, _, _, _, 0, 1, ..] | [_, _, _, _, 0] => true,
                _ => message.len() < 5,
            };
            match message.len() {
                _ if length < DNS_LEAST || !one_question => Guess::No,
                ..13 => Guess::More,
                _ => dns_message(message, length),
            }
        }
    }
}

/// Header and first label of a message of `length` bytes: a known operation, one question, no more records than there is
/// room for, nothing in a query that only a response has.
fn dns_message(message: &[u8], length: usize) -> Guess {
    let &[_, _, high, low, 0, 1, a, b, c, d, e, f, 0..=63, ..] = message else { return Guess::No };
    let [answers, authority, additional] = [[a, b], [c, d], [e, f]].map(|count| usize::from(u16::from_be_bytes(count)));
    let (request, truncated, opcode) = (high & 0x80 == 0, high & 2 != 0, high >> 3 & 15);
    let known = matches!(opcode, 0 | 4 | 5) && low & 0x40 == 0;
    let foreign = request && (low & 0x8f != 0 || truncated);
    let not_asked = request && opcode == 0 && (high & 4 != 0 || answers > 0 || authority > 1);
    // A question takes 5 bytes at least, a record 11; a truncated response may announce what it does not have.
    let fits = truncated || 12 + 5 + 11 * (answers + authority + additional) <= length;
    if known && fits && !foreign && !not_asked { Guess::Is { protocol: Protocol::Dns, request } } else { Guess::No }
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
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "postgresql"),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x30", "postgresql"),
            (b"\x00\x00\x00\x10\x04\xd2\x16\x2e\0\0\0\x01\x02\x03\x04\x05", "postgresql"),
            (b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00", "postgresql"),
            (b"\x00\x00\x00\x29\x00\x03\x00\x02database\x00", "postgresql"),
            (b"\x00\x00\x00\x29\x00\x03", "more"),
            // Kafka: Metadata of version 0 and 2.
            (b"\x00\x00\x00\x1d\x00\x03\x00\x00\x00\x00\x00\x02\x00\x07console", "no"),
            (b"Q\x00\x00\x00\x0dSELECT 1\x00", "postgresql"),
            (b"Q\x00\x00\x00\x0dSELECT 12", "no"),
            (b"Q\x00\x00\x01\x0dSELECT a FROM t WHERE b = 1234567890", "postgresql"),
            (b"Q\x00\x00\x00\x05\x00", "postgresql"),
            (b"P\x00\x00\x00\x10\x00SELECT 1\x00\x00\x00", "postgresql"),
            (b"P\x00\x00\x01\x10__statement_with_a_long_name__", "postgresql"),
            (b"B\x00\x00\x00\x0e\x00s1\x00\x00\x00\x00\x00\x00\x00", "postgresql"),
            (b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04", "postgresql"),
            (b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00", "more"),
            (b"S\x00\x00\x00\x04", "more"),
            (b"S\x00\x00\x00\x04B\x00", "postgresql"),
            (b"T\x00\x00\x00\x21\x00\x01a\x00\x00\x00", "postgresql"),
            (b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011D\x00", "postgresql"),
            (b"C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I", "postgresql"),
            (b"C\x00\x00\x00\x08SS1\x00S\x00\x00\x00\x04", "no"),
            (b"Z\x00\x00\x00\x05I", "postgresql"),
            (b"1\x00\x00\x00\x042\x00\x00\x00\x04", "postgresql"),
            (b"2\x00\x00\x00\x04D\x00", "postgresql"),
            // MySQL, whose lengths look like types here: a prepare of 80 bytes, an execution of 66, a greeting; errors of 84 and 68.
            (b"P\x00\x00\x00\x16SELECT a FROM t WHERE b = ?", "mysql"),
            (b"B\x00\x00\x00\x17\x21\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfe\x00\x05hello12345", "mysql"),
            (b"Q\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB\x00", "mysql greeting"),
            (b"T\x00\x00\x01\xff\x7a\x04#42S02Table", "no"),
            (b"D\x00\x00\x01\xff\x7a\x04#42S02Table", "no"),
            // MongoDB: messages of 69, 81 and 83 bytes.
            (b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "no"),
            (b"Q\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "no"),
            (b"S\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", "no"),
            (b"PRI * HTTP/2.0\r\n", "no"),
            (b"QUIT\r\n", "redis"),
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
            // PostgreSQL: a Parse and a Bind whose lengths look like MySQL's commands.
            (b"P\0\0\0\x16s1\0SELECT 1\0\0\0", "postgresql"),
            (b"B\0\0\0\x17\0s1\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0", "postgresql"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", "dns"),
            (b"\x00\x1d", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x02", "no"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00", "no"),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "postgresql"),
        ] {
            assert_eq!(name(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn datagrams() {
        let is = |request| Guess::Is { protocol: Protocol::Dns, request };
        for (bytes, length, expected) in [
            (&b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01"[..], 19, is(true)),
            (b"\xab\xcd\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c", 35, is(false)),
            (b"\xab\xcd\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01", 19, Guess::No),
            (b"\xab\xcd\x83\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01", 19, is(false)),
            (b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12, Guess::No),
            // STUN, NTP, QUIC
            (b"\x00\x01\x00\x08\x21\x12\xa4\x42\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", 20, Guess::No),
            (b"\x23\x00\x06\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 48, Guess::No),
            (b"\xc3\x00\x00\x00\x01\x08\x83\x94\xc8\xf0\x3e\x51\x57\x08\x00\x00\x44\x9e", 1200, Guess::No),
        ] {
            assert_eq!(infer_datagram(bytes, length), expected, "{}", bytes.escape_ascii());
        }
    }
}
