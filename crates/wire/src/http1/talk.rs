//! The test kit: a connection that is spoken to, and what it told.

use super::Attributes;
use crate::parser::Parser as _;
use crate::{Bytes, Context, Direction, End, Exchange, Names, Piece, Side, Status, Value};
use steth_ledger::{Exchanges, Lost};

/// A connection under test. Every call is one piece, a microsecond after the one before.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) session: super::Session,
    pub(super) names: Names,
    pub(super) statements: crate::Statements,
    pub(super) domains: crate::Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) count: Exchanges,
    pub(super) position: [u64; 2],
    pub(super) time: u64,
    last: Option<Direction>,
}

impl Talk {
    pub(super) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
        self.time += 1000;
        let piece = Piece {
            offset: self.position[direction as usize],
            opposite: self.position[direction.opposite() as usize],
            time: self.time,
            arrival: self.time - 100,
            turn: self.last != Some(direction),
            bytes,
        };
        self.last = Some(direction);
        self.position[direction as usize] += piece.len();
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.feed(direction, &piece, &mut cx);
        self
    }
    pub(super) fn request(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.feed(Direction::Request, Bytes::Captured(bytes.as_ref()))
    }
    pub(super) fn response(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.feed(Direction::Response, Bytes::Captured(bytes.as_ref()))
    }
    pub(super) fn request_skips(&mut self, n: u64) -> &mut Self {
        self.feed(Direction::Request, Bytes::Skipped(n))
    }
    pub(super) fn response_skips(&mut self, n: u64) -> &mut Self {
        self.feed(Direction::Response, Bytes::Skipped(n))
    }
    pub(super) fn request_loses(&mut self, n: u64) -> &mut Self {
        self.feed(Direction::Request, Bytes::Lost(n))
    }
    pub(super) fn response_loses(&mut self, n: u64) -> &mut Self {
        self.feed(Direction::Response, Bytes::Lost(n))
    }
    pub(super) fn shutdown(&mut self, direction: Direction) -> &mut Self {
        self.time += 1000;
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.shutdown(direction, self.time, &mut cx);
        self
    }
    pub(super) fn close(&mut self, end: End) -> &mut Self {
        self.time += 1000;
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.close(end, self.time, &mut cx);
        self.session.close(end, self.time, &mut cx);
        assert_eq!(self.session.pending(), 0);
        self.balance();
        self
    }
    /// The ledger's identity: every request that began, and every orphan, is reported or counted as lost, once.
    pub(super) fn balance(&self) {
        let audit = self.session.audit;
        assert_eq!(audit.begun + audit.orphans, self.count.reported + self.count.lost(), "{audit:?} {:?}", self.count);
        assert_eq!(self.count.reported, self.out.len() as u64);
    }
    /// `operation status outcome`, with a `!` if truncated.
    pub(super) fn told(&self) -> Vec<String> {
        self.out
            .iter()
            .map(|e| {
                let status = match e.status {
                    Status::Code(code) => code.to_string(),
                    _ => "-".to_owned(),
                };
                let mark = if e.truncated { "!" } else { "" };
                format!("{} {status} {}{mark}", self.names.get(e.operation), e.outcome.name())
            })
            .collect()
    }
    pub(super) fn lost(&self) -> Vec<(&'static str, u64)> {
        Lost::ALL.iter().map(|l| (l.name(), self.count.lost_by(*l))).filter(|(_, n)| *n > 0).collect()
    }
    pub(super) fn http(&self, at: usize) -> Attributes {
        match self.out[at].attributes {
            crate::Attributes::Http1(http) => http,
            _ => panic!("not HTTP"),
        }
    }
    pub(super) fn attributes(&self, at: usize, side: Side) -> Vec<String> {
        let mut all = Vec::new();
        self.out[at].attributes(side, &self.names, &mut |name, value| {
            all.push(match value {
                Value::Text(text) => format!("{name}={text}"),
                Value::Number(number) => format!("{name}={number}"),
                Value::List(list) => format!("{name}={list:?}"),
            });
        });
        all
    }
}

pub(super) fn talk() -> Talk {
    Talk::default()
}
