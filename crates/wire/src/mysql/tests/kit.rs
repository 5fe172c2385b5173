//! A connection of MySQL, and packets made by hand.

use crate::Protocol;
use crate::by_hand::{ByHand, Subject};
use crate::mysql::Session;
use std::ops::RangeInclusive;

pub(super) type Kit = ByHand<Session>;

impl Subject for Session {
    const PROTOCOL: Protocol = Protocol::Mysql;

    fn owed(&self, strays: u64) -> RangeInclusive<u64> {
        let owed = self.commands.begun + strays;
        owed..=owed
    }

    /// A request whose header is partly missing is counted, and its response once more: nobody knows that it is its. One more is
    /// known and not mended: once in 30,000 conversations, holes make two losses of one exchange that are not told apart here.
    fn surplus(&self, strays: u64) -> u64 {
        strays + 1
    }
}

impl Kit {
    /// `PING OK, QUERY 1064`.
    pub(super) fn brief(&self) -> String {
        self.list(|e| self.status(e))
    }
}

/// A packet.
pub(super) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes[3] = sequence;
    bytes.extend(payload);
    bytes
}

/// Packets, numbered from `sequence` on.
pub(super) fn packets(sequence: u8, payloads: &[&[u8]]) -> Vec<u8> {
    payloads.iter().zip(0u8..).flat_map(|(payload, n)| packet(sequence.wrapping_add(n), payload)).collect()
}

pub(super) fn query(text: &str) -> Vec<u8> {
    packet(0, format!("\x03{text}").as_bytes())
}

pub(super) fn prepare(text: &str) -> Vec<u8> {
    packet(0, format!("\x16{text}").as_bytes())
}

pub(super) fn execute(statement: u32) -> Vec<u8> {
    packet(0, &[&b"\x17"[..], &statement.to_le_bytes(), b"\0\x01\0\0\0"].concat())
}

/// A command of a number and nothing else.
pub(super) fn number(command: u8, statement: u32) -> Vec<u8> {
    packet(0, &[&[command][..], &statement.to_le_bytes()].concat())
}

pub(super) const PING: &[u8] = b"\x01\0\0\0\x0e";
/// One row affected, no last insert id, autocommit.
pub(super) const OK: &[u8] = b"\0\x01\0\x02\0\0\0";
pub(super) const EOF: &[u8] = b"\xfe\0\0\x02\0";
/// An OK that ends rows.
pub(super) const END: &[u8] = b"\xfe\0\0\x02\0\0\0";
pub(super) const COLUMN: &[u8] = b"\x03def\x01a\x01b\x01b\x01c\x01c\x0c\x21\0\x01\0\0\0\x03\0\0\0\0\0";

pub(super) fn error(code: u16, state: &str, text: &str) -> Vec<u8> {
    [&b"\xff"[..], &code.to_le_bytes(), format!("#{state}{text}").as_bytes()].concat()
}

/// A result set of one column, with EOF packets or without. `flags`: the status at its end.
pub(super) fn rows(sequence: u8, rows: &[&[u8]], eof: bool, flags: u8) -> Vec<u8> {
    let mut payloads = vec![&b"\x01"[..], COLUMN];
    let (eof_end, end) = ([0xfe, 0, 0, flags, 0], [0xfe, 0, 0, flags, 0, 0, 0]);
    if eof {
        payloads.push(EOF);
    }
    payloads.extend(rows);
    payloads.push(if eof { &eof_end } else { &end });
    packets(sequence, &payloads)
}

/// Capabilities that the server offers here: all but TLS.
pub(super) fn greeting(version: &str) -> Vec<u8> {
    let head = [&b"\x0a"[..], version.as_bytes(), b"\0\x08\0\0\0abcdefgh\0\xff\xf7\x08\x02\0\xff\xff\x15"].concat();
    packet(0, &[&head[..], &[0; 10], b"abcdefghijkl\0mysql_native_password\0"].concat())
}

/// A handshake response with these flags besides PROTOCOL_41, SECURE_CONNECTION and CONNECT_WITH_DB.
pub(super) fn login(flags: u32, schema: &str) -> Vec<u8> {
    let flags = (flags | 1 << 9 | 1 << 15 | 1 << 3).to_le_bytes();
    packet(1, &[&flags[..], &[0; 28], b"root\0\x03abc", schema.as_bytes(), b"\0"].concat())
}
