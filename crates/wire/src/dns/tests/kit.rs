//! A connection fed by hand, and messages made by hand.

use crate::dns::Session;
use crate::parser::Parser as _;
use crate::{Bytes, Context, Direction, Domains, End, Exchange, Names, Piece, Status, Transport, Value};
use std::net::IpAddr;
use steth_ledger::{Exchanges, Lost};

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000 * MS;

#[derive(Debug)]
pub(super) struct Kit {
    pub(super) session: Session,
    pub(super) names: Names,
    pub(super) statements: crate::Statements,
    pub(super) domains: Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) count: Exchanges,
    pub(super) time: u64,
    /// Positions of requests and responses.
    pub(super) at: [u64; 2],
    pub(super) last: Option<Direction>,
}

impl Kit {
    fn new(transport: Transport) -> Self {
        Self {
            session: Session::new(transport),
            names: Names::default(),
            statements: crate::Statements::default(),
            domains: Domains::default(),
            out: Vec::new(),
            count: Exchanges::default(),
            time: 0,
            at: [0; 2],
            last: None,
        }
    }

    pub(super) fn udp() -> Self {
        Self::new(Transport::Datagrams)
    }

    pub(super) fn tcp() -> Self {
        Self::new(Transport::Stream)
    }

    fn with(&mut self, act: impl FnOnce(&mut Session, &mut Context<'_>)) {
        let Self { session, names, statements, domains, out, count, .. } = self;
        act(session, &mut Context { names, statements, domains, out, count });
    }

    /// A piece, a millisecond after the one before.
    pub(super) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) {
        self.time += MS;
        self.at_once(direction, bytes);
    }

    /// A piece at the time of the one before.
    pub(super) fn at_once(&mut self, direction: Direction, bytes: Bytes<'_>) {
        let [mine, other] = if direction == Direction::Request { [0, 1] } else { [1, 0] };
        let piece = Piece {
            offset: self.at[mine],
            opposite: self.at[other],
            time: self.time,
            arrival: 0,
            turn: self.last != Some(direction),
            bytes,
        };
        self.at[mine] += piece.len();
        self.last = Some(direction);
        self.with(|session, cx| session.feed(direction, &piece, cx));
    }

    pub(super) fn request(&mut self, bytes: impl AsRef<[u8]>) {
        self.feed(Direction::Request, Bytes::Captured(bytes.as_ref()));
    }

    pub(super) fn response(&mut self, bytes: impl AsRef<[u8]>) {
        self.feed(Direction::Response, Bytes::Captured(bytes.as_ref()));
    }

    pub(super) fn tick(&mut self) {
        let now = self.time;
        self.with(|session, cx| session.tick(now, cx));
    }

    pub(super) fn close(&mut self, end: End) {
        self.time += MS;
        let time = self.time;
        self.with(|session, cx| session.close(end, time, cx));
    }

    /// `A example.org NOERROR answered, …`.
    pub(super) fn brief(&self) -> String {
        let one = |e: &Exchange| {
            let status = if let Status::Word(word) = e.status { self.names.get(word) } else { "-" };
            format!("{} {status} {}", self.names.get(e.operation), e.outcome.name())
        };
        self.out.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn attribute(&self, n: usize, key: &str) -> Option<String> {
        let mut found = None;
        self.out[n].attributes(crate::Side::Client, &self.names, &mut |name, value| {
            if name == key {
                found = Some(match value {
                    Value::Text(text) => text.into_owned(),
                    Value::Number(number) => number.to_string(),
                    Value::List(list) => list.join(" "),
                });
            }
        });
        found
    }

    pub(super) fn lost(&self) -> Vec<(Lost, u64)> {
        Lost::ALL.iter().map(|lost| (*lost, self.count.lost_by(*lost))).filter(|(_, n)| *n > 0).collect()
    }

    /// `name address ttl`, of all that was learnt since the last call.
    pub(super) fn learnt(&mut self) -> Vec<String> {
        let mut learnt = Vec::new();
        self.domains.drain(|name, address, ttl, _| learnt.push(format!("{name} {address} {ttl}")));
        learnt
    }
}

pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;

/// A name in wire form, labels separated by dots.
pub(super) fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

pub(super) fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [id, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes).collect()
}

pub(super) fn question(text: &str, kind: u16) -> Vec<u8> {
    [name(text), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

/// As stub resolvers send it.
pub(super) fn query(id: u16, text: &str, kind: u16) -> Vec<u8> {
    [header(id, 0x0100, [1, 0, 0, 0]), question(text, kind)].concat()
}

/// A record whose owner is given in wire form (`[0xc0, 12]`: the question's name).
pub(super) fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

pub(super) fn address(text: &str, ttl: u32) -> Vec<u8> {
    match text.parse().unwrap() {
        IpAddr::V4(four) => record(&[0xc0, 12], A, ttl, &four.octets()),
        IpAddr::V6(six) => record(&[0xc0, 12], AAAA, ttl, &six.octets()),
    }
}

pub(super) fn answer(id: u16, text: &str, kind: u16, rcode: u16, records: &[Vec<u8>]) -> Vec<u8> {
    [header(id, 0x8180 | rcode, [1, records.len() as u16, 0, 0]), question(text, kind), records.concat()].concat()
}

/// Behind its length.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}
