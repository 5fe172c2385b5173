//! Names the protocol from the first bytes of a message.
//!
//! The kernel side does the same in `bpf/infer.h`, before it copies anything; this twin serves pcap files and is held
//! against it by a differential test. A further protocol is one function in its module, one there, and a row in each table:
//! `docs/adding-a-protocol.md`.

use crate::{Protocol, dns, http1, mysql, postgresql, redis};

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

/// The table, in the order of `steth_infer()`.
const ROWS: [fn(&[u8]) -> Guess; 5] = [http1::infer, redis::infer, mysql::infer, postgresql::infer, dns::infer];

/// Guesses from the first bytes of a message, of which at most [`PREFIX`] are looked at.
#[must_use]
pub fn infer(bytes: &[u8]) -> Guess {
    let bytes = &bytes[..bytes.len().min(PREFIX)];
    let mut more = false;
    for row in ROWS {
        match row(bytes) {
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
    dns::infer_datagram(bytes, length)
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
            Guess::Is { protocol: Protocol::Redis, request: false } => "redis reply",
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
            (b"PROPFIND /dav HTTP/1.1", "http request"),
            (b"PROPPATCH /dav HTTP/1.1", "http request"),
            (b"PURGE http://example.org/ HTTP/1.1", "http request"),
            (b"COPY a b", "no"),
            (b"PURGE ", "more"),
            (b"PROPFIND", "more"),
            (b"PROPPATCHES", "no"),
            (b"HTTP", "more"),
            (b"", "more"),
            (b"*1\r\n$4\r\nPING\r\n", "redis"),
            (b"*1\r\n$4\r", "more"),
            (b"*1\r\n$4\r\n", "more"),
            (b"*1\r\n$4\r\nP", "redis"),
            (b"*2\r\n$4\r\nmget\r\n", "redis"),
            (b"*2\r\n$8\r\nsmembers\r\n", "redis"),
            // A subscriber is sent these; an array whose first element is no word is a reply.
            (b"*3\r\n$7\r\nmessage\r\n$4\r\nnews", "redis reply"),
            (b"*4\r\n$8\r\npmessage\r\n$2\r\nn*", "redis reply"),
            (b">3\r\n$8\r\nsmessage\r\n", "redis reply"),
            (b"*3\r\n$7\r\nmessage", "more"),
            (b">3\r\n$9\r\nsubscribe\r\n", "no"),
            (b"*2\r\n$2\r\n42\r\n", "no"),
            (b"*2\r\n$2\r\n{}\r\n", "no"),
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
            // Comments; verbs that come seldom; and what a server answers to a keep-alive.
            (b"\x20\0\0\0\x03/* app:shop */ SELECT 1", "mysql"),
            (b"\x20\0\0\0\x03 /*!40101 SET a = 1 */", "mysql"),
            (b"\x20\0\0\0\x03-- why\nSELECT 1", "mysql"),
            (b"\x20\0\0\0\x03# why\nSELECT 1", "mysql"),
            (b"\x20\0\0\0\x03/ no comment", "no"),
            (b"\x20\0\0\0\x03xa start 'a'", "mysql"),
            (b"\x20\0\0\0\x03xargs -n 1 a", "no"),
            (b"\x20\0\0\0\x03do sleep(1)", "mysql"),
            (b"\x20\0\0\0\x03EXECUTE s1", "mysql"),
            (b"\x07\0\0\x01\0\0\0\x02\0\0\0", "mysql greeting"),
            (b"\x07\0\0\x01\0\0\0\x02\0\0", "more"),
            (b"\x07\0\0\x01\0\0\0\x07\0\0\0", "no"),
            (b"\x27\0\0\x01\0\0\0\x02\0\0\0", "no"),
            (b"\x0a\0\0\0\x17\x01\0\0\0\0\x01\0\0\0", "mysql"),
            (b"\x0a\0\0\0\x17\x01\0\0\0\0\x02\0\0\0", "no"),
            // Compressed: a PING and a statement as they are; zlib; Zstandard; and what is nearly that.
            (b"\x05\0\0\0\0\0\0\x01\0\0\0\x0e", "mysql"),
            (b"\x0d\0\0\0\0\0\0\x09\0\0\0\x03SELECT 1", "mysql"),
            (b"\x0d\0\0\0\0\0\0\x08\0\0\0\x03SELECT 1", "no"),
            (b"\x0d\0\0\0\0\0\0", "more"),
            (b"\x30\0\0\0\x52\0\0\x78\x9c\x53", "mysql"),
            (b"\x30\0\0\x01\x52\0\0\x78\x9c\x53", "no"),
            (b"\x30\0\0\0\x2f\0\0\x78\x9c\x53", "no"),
            (b"\x40\0\0\0\x52\0\0\x28\xb5\x2f\xfd", "mysql"),
            // PostgreSQL: a Parse and a Bind whose lengths look like MySQL's commands.
            (b"P\0\0\0\x16s1\0SELECT 1\0\0\0", "postgresql"),
            (b"B\0\0\0\x17\0s1\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0", "postgresql"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", "dns"),
            (b"\x00\x1d", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x02", "more"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x05", "no"),
            (b"\x00\x1d\xab\xcd\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", "dns"),
            (b"\x00\x15\xab\xcd\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", "no"),
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
