//! A connection fed by hand.

use crate::parser::Parser as _;
use crate::redis::Session;
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

    /// `GET OK, SET WRONGTYPE`.
    pub(super) fn brief(&self) -> String {
        let one = |e: &Exchange| {
            let status = if let Status::Word(word) = e.status { self.names.get(word) } else { "-" };
            format!("{} {status}", self.names.get(e.operation))
        };
        self.out.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn attribute(&self, n: usize, key: &str) -> Option<String> {
        let mut found = None;
        self.out[n].attributes(crate::Side::Client, &self.names, &mut |name, value| {
            if let (true, crate::Value::Text(text)) = (name == key, value) {
                found = Some(text.into_owned());
            }
        });
        found
    }
}

/// A command as clients send it.
pub(super) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
    bytes
}
