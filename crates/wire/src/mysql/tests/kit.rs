//! A connection fed by hand.

use crate::mysql::Session;
use crate::parser::Parser as _;
use crate::{Bytes, Context, Direction, End, Exchange, Names, Piece, Status};
use steth_ledger::{Exchanges, Lost};

#[derive(Debug, Default)]
pub(super) struct Kit {
    pub(super) session: Session,
    pub(super) names: Names,
    pub(super) statements: crate::Statements,
    pub(super) domains: crate::Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) count: Exchanges,
    pub(super) time: u64,
    pub(super) arrival: u64,
    /// Positions of requests and responses.
    pub(super) at: [u64; 2],
    pub(super) last: Option<Direction>,
    /// Losses that are not those of a recognised command.
    pub(super) strays: u64,
}

impl Kit {
    pub(super) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) {
        self.time += 1;
        let [mine, other] = if direction == Direction::Request { [0, 1] } else { [1, 0] };
        let piece = Piece {
            offset: self.at[mine],
            opposite: self.at[other],
            time: self.time,
            arrival: self.arrival,
            turn: self.last != Some(direction),
            bytes,
        };
        let stray = |count: &Exchanges| {
            let truncated = if direction == Direction::Response { count.lost_by(Lost::Truncated) } else { 0 };
            count.lost_by(Lost::Orphan) + truncated
        };
        let before = stray(&self.count);
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.feed(direction, &piece, &mut cx);
        self.strays += stray(&self.count) - before;
        self.at[mine] += piece.len();
        if piece.len() > 0 {
            self.last = Some(direction);
        }
    }

    pub(super) fn request(&mut self, bytes: &[u8]) {
        self.feed(Direction::Request, Bytes::Captured(bytes));
    }

    pub(super) fn response(&mut self, bytes: &[u8]) {
        self.feed(Direction::Response, Bytes::Captured(bytes));
    }

    /// A request, and its answer.
    pub(super) fn ask(&mut self, request: &[u8], response: &[u8]) {
        self.request(request);
        self.response(response);
    }

    pub(super) fn close(&mut self, end: End) {
        self.time += 1;
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.close(end, self.time, &mut cx);
    }

    /// `PING OK, QUERY 1064`.
    pub(super) fn brief(&self) -> String {
        let one = |e: &Exchange| {
            let status = match e.status {
                Status::Word(word) => self.names.get(word).to_string(),
                Status::Code(code) => code.to_string(),
                Status::Unknown => "-".to_string(),
            };
            format!("{} {status}", self.names.get(e.operation))
        };
        self.out.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn attribute(&self, n: usize, key: &str) -> Option<String> {
        let mut found = None;
        self.out[n].attributes(crate::Side::Client, &self.names, &mut |name, value| {
            if name == key {
                found = Some(match value {
                    crate::Value::Text(text) => text.into_owned(),
                    crate::Value::Number(number) => number.to_string(),
                    crate::Value::List(list) => list.join(","),
                });
            }
        });
        found
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
