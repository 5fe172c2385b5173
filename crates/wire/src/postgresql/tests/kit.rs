//! A connection fed by hand, and the messages that travel on one.

use crate::parser::Parser as _;
use crate::postgresql::Session;
use crate::{Bytes, Context, Direction, End, Exchange, Names, Outcome, Piece, Status, Value};
use steth_ledger::Exchanges;

#[derive(Debug, Default)]
pub(super) struct Kit {
    pub(super) session: Session,
    pub(super) names: Names,
    pub(super) statements: crate::Statements,
    pub(super) domains: crate::Domains,
    pub(super) out: Vec<Exchange>,
    pub(super) count: Exchanges,
    pub(super) time: u64,
    /// Positions of requests and responses.
    pub(super) at: [u64; 2],
    pub(super) last: Option<Direction>,
}

impl Kit {
    /// A connection whose session has begun, without the record of that.
    pub(super) fn started() -> Self {
        let mut kit = Kit::default();
        kit.request(&startup(&["user", "me", "database", "shop"])).response(&welcome());
        assert_eq!(kit.brief(), "CONNECT OK");
        kit.out.clear();
        kit.count = Exchanges::default();
        kit
    }

    pub(super) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
        self.time += 1;
        let [mine, other] = if direction == Direction::Request { [0, 1] } else { [1, 0] };
        let piece = Piece {
            offset: self.at[mine],
            opposite: self.at[other],
            time: self.time,
            arrival: 0,
            turn: self.last != Some(direction),
            bytes,
        };
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.feed(direction, &piece, &mut cx);
        self.at[mine] += piece.len();
        if piece.len() > 0 {
            self.last = Some(direction);
        }
        self
    }

    pub(super) fn request(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(Direction::Request, Bytes::Captured(bytes))
    }

    pub(super) fn response(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(Direction::Response, Bytes::Captured(bytes))
    }

    pub(super) fn close(&mut self, end: End) -> &mut Self {
        self.time += 1;
        let mut cx = Context {
            names: &mut self.names,
            statements: &mut self.statements,
            domains: &mut self.domains,
            out: &mut self.out,
            count: &mut self.count,
        };
        self.session.close(end, self.time, &mut cx);
        self
    }

    /// `SELECT a OK, INSERT b 23505, UPDATE c skipped`.
    pub(super) fn brief(&self) -> String {
        let one = |e: &Exchange| {
            let status = match (e.outcome, e.status) {
                (Outcome::Answered, Status::Word(word)) => self.names.get(word),
                (Outcome::Answered, _) => "?",
                (outcome, _) => outcome.name(),
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
                    Value::Text(text) => text.into_owned(),
                    Value::Number(n) => n.to_string(),
                    Value::List(list) => list.join(","),
                });
            }
        });
        found
    }
}

/// A message.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// One without a type.
pub(super) fn opening(code: u32, body: &[u8]) -> Vec<u8> {
    let body = [&code.to_be_bytes()[..], body].concat();
    message(0, &body)[1..].to_vec()
}

pub(super) fn startup(parameters: &[&str]) -> Vec<u8> {
    let body: Vec<u8> = parameters.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    opening(0x0003_0000, &[&body[..], b"\0"].concat())
}

/// Everything that follows an accepted startup message.
pub(super) fn welcome() -> Vec<u8> {
    [
        message(b'R', &0u32.to_be_bytes()),
        message(b'S', b"server_version\x0015.4\0"),
        message(b'K', &[0, 0, 1, 0, 1, 2, 3, 4]),
        ready(),
    ]
    .concat()
}

pub(super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

pub(super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), b"\0", text.as_bytes(), b"\0\0\0"].concat())
}

pub(super) fn bind(portal: &str, name: &str) -> Vec<u8> {
    message(b'B', &[portal.as_bytes(), b"\0", name.as_bytes(), b"\0\0\0\0\x01\0\0\0\x03abc\0\0"].concat())
}

pub(super) fn describe(of: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[of], name.as_bytes(), b"\0"].concat())
}

pub(super) fn close(of: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[of], name.as_bytes(), b"\0"].concat())
}

pub(super) fn execute(portal: &str) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0\0\0\0\0"].concat())
}

/// Parse, Bind, Describe and Execute of the unnamed statement.
pub(super) fn run(text: &str) -> Vec<u8> {
    [parse("", text), bind("", ""), describe(b'P', ""), execute("")].concat()
}

/// What answers [`run`], but for the end.
pub(super) fn ran(tag: &str) -> Vec<u8> {
    [done(b'1'), done(b'2'), done(b'n'), complete(tag)].concat()
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// A message without a body.
pub(super) fn done(kind: u8) -> Vec<u8> {
    message(kind, b"")
}

pub(super) fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &[tag.as_bytes(), b"\0"].concat())
}

pub(super) fn columns() -> Vec<u8> {
    message(b'T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0")
}

pub(super) fn row(value: &[u8]) -> Vec<u8> {
    message(b'D', &[b"\0\x01", &(value.len() as u32).to_be_bytes()[..], value].concat())
}

pub(super) fn error(code: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0Mwhat happened, with 'values'\0\0").as_bytes())
}

pub(super) fn fatal(code: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C{code}\0Mgood bye\0\0").as_bytes())
}

pub(super) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

pub(super) fn notice() -> Vec<u8> {
    message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mby the way\0\0")
}

pub(super) fn notification() -> Vec<u8> {
    message(b'A', b"\0\0\0\x07channel\0payload\0")
}
