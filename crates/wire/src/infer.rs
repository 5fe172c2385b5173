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
    for guess in [http1(bytes), redis(bytes), dns(bytes)] {
        match guess {
            Guess::No => {}
            Guess::More => more = true,
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
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", "dns"),
            (b"\x00\x1d", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x02", "no"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00", "no"),
            (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "no"),
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
