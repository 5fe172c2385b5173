//! Connections that are fed by hand: what the tests of the parsers share.

use crate::parser::Parser;
use crate::{
    Bytes, Context, Direction, Domains, End, Exchange, Names, Piece, Side, Statements, Status, Transport, Value,
};
use proptest::prelude::*;
use steth_ledger::{Exchanges, Lost};

/// A connection, and all that came of it.
#[derive(Debug)]
pub(crate) struct ByHand<S> {
    pub(crate) session: S,
    pub(crate) names: Names,
    pub(crate) statements: Statements,
    pub(crate) domains: Domains,
    pub(crate) out: Vec<Exchange>,
    pub(crate) count: Exchanges,
    pub(crate) time: u64,
    /// From one piece to the next.
    pub(crate) step: u64,
    pub(crate) arrival: u64,
    /// Positions of requests and responses.
    pub(crate) at: [u64; 2],
    pub(crate) last: Option<Direction>,
    /// Losses that are not those of a request that was recognised.
    pub(crate) strays: u64,
}

impl<S: Parser> Default for ByHand<S> {
    fn default() -> Self {
        Self::new(Transport::Stream)
    }
}

impl<S: Parser> ByHand<S> {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            session: S::new(transport),
            names: Names::default(),
            statements: Statements::default(),
            domains: Domains::default(),
            out: Vec::new(),
            count: Exchanges::default(),
            time: 0,
            step: 1,
            arrival: 0,
            at: [0; 2],
            last: None,
            strays: 0,
        }
    }

    pub(crate) fn with(&mut self, act: impl FnOnce(&mut S, &mut Context<'_>)) {
        let Self { session, names, statements, domains, out, count, .. } = self;
        act(session, &mut Context { names, statements, domains, out, count });
    }

    /// A piece, a step after the one before.
    pub(crate) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
        self.time += self.step;
        self.at_once(direction, bytes)
    }

    /// A piece at the time of the one before.
    pub(crate) fn at_once(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
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
        self.with(|session, cx| session.feed(direction, &piece, cx));
        self.strays += stray(&self.count) - before;
        self.at[mine] += piece.len();
        if piece.len() > 0 {
            self.last = Some(direction);
        }
        self
    }

    pub(crate) fn request(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.feed(Direction::Request, Bytes::Captured(bytes.as_ref()))
    }

    pub(crate) fn response(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.feed(Direction::Response, Bytes::Captured(bytes.as_ref()))
    }

    /// A request, and its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) -> &mut Self {
        self.request(request).response(response)
    }

    pub(crate) fn tick(&mut self) {
        let now = self.time;
        self.with(|session, cx| session.tick(now, cx));
    }

    pub(crate) fn close(&mut self, end: End) -> &mut Self {
        self.time += self.step;
        let time = self.time;
        self.with(|session, cx| session.close(end, time, cx));
        self
    }

    pub(crate) fn status(&self, exchange: &Exchange) -> String {
        match exchange.status {
            Status::Word(word) => self.names.get(word).to_owned(),
            Status::Code(code) => code.to_string(),
            Status::Unknown => "-".to_owned(),
        }
    }

    /// Every exchange in a few words, after its operation's name.
    pub(crate) fn list(&self, words: impl Fn(&Exchange) -> String) -> String {
        let one = |e: &Exchange| format!("{} {}", self.names.get(e.operation), words(e));
        self.out.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// An attribute of the n-th exchange.
    pub(crate) fn attribute(&self, n: usize, key: &str) -> Option<String> {
        let mut found = None;
        self.out[n].attributes(Side::Client, &self.names, &mut |name, value| {
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

    /// What must not depend on how the bytes were split, in the order of the requests: those that are never answered are
    /// reported at once, before or after what is pending.
    pub(crate) fn facts(&self) -> Vec<String> {
        let fact = |e: &Exchange| {
            let mut all = format!(
                "{:06} {} {:?} {:?} {} {} {} {} {}",
                e.request_offset,
                self.names.get(e.operation),
                e.status,
                e.outcome,
                e.truncated,
                e.blocking,
                e.request_bytes,
                e.response_bytes,
                e.response_offset,
            );
            e.attributes(Side::Client, &self.names, &mut |key, value| all += &format!(" {key}={value:?}"));
            all
        };
        let mut facts: Vec<_> = self.out.iter().map(fact).collect();
        facts.sort();
        facts
    }

    /// The bytes in pieces of these sizes.
    pub(crate) fn in_pieces(&mut self, direction: Direction, bytes: &[u8], sizes: &mut Sizes) {
        for piece in sizes.split(bytes) {
            self.feed(direction, Bytes::Captured(piece));
        }
    }

    /// The same, with holes.
    pub(crate) fn with_holes(&mut self, direction: Direction, bytes: &[u8], sizes: &mut Sizes, holes: &mut Holes) {
        for piece in sizes.split(bytes) {
            self.feed(direction, holes.next(piece));
        }
    }
}

/// Sizes of pieces, over and over.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    sizes: Vec<usize>,
    turn: usize,
}

impl Sizes {
    fn split<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let n = self.sizes[self.turn % self.sizes.len()].min(rest.len());
            self.turn += 1;
            let (piece, behind) = rest.split_at(n);
            pieces.push(piece);
            rest = behind;
        }
        pieces
    }
}

pub(crate) fn sizes() -> impl Strategy<Value = Sizes> {
    let sizes = prop::collection::vec(prop_oneof![1..4usize, 1..300usize], 1..20);
    sizes.prop_map(|sizes| Sizes { sizes, turn: 0 })
}

/// Which pieces are missing, over and over: most are there.
#[derive(Clone, Debug)]
pub(crate) struct Holes {
    holes: Vec<u8>,
    turn: usize,
}

impl Holes {
    pub(crate) fn next<'a>(&mut self, piece: &'a [u8]) -> Bytes<'a> {
        self.turn += 1;
        hole(self.holes[self.turn % self.holes.len()], piece)
    }
}

pub(crate) fn holes() -> impl Strategy<Value = Holes> {
    let holes = prop::collection::vec(prop_oneof![6 => Just(2u8), 1 => Just(0), 1 => Just(1)], 1..40);
    holes.prop_map(|holes| Holes { holes, turn: 0 })
}

/// 0: lost, 1: skipped, anything else: there.
pub(crate) fn hole(kind: u8, bytes: &[u8]) -> Bytes<'_> {
    match kind {
        0 => Bytes::Lost(bytes.len() as u64),
        1 => Bytes::Skipped(bytes.len() as u64),
        _ => Bytes::Captured(bytes),
    }
}

/// Ends that an agent sees.
pub(crate) fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::Evicted)]
}

/// What is called answered was answered so without the holes: nothing is paired by guess.
pub(crate) fn no_wrong_pair<S: Parser>(holed: &ByHand<S>, whole: &ByHand<S>) -> Result<(), TestCaseError> {
    let pair = |e: &Exchange| (e.request_offset, e.response_offset, e.request_bytes, e.response_bytes);
    let truth: Vec<_> = whole.out.iter().map(pair).collect();
    for e in holed.out.iter().filter(|e| e.outcome == crate::Outcome::Answered && !e.truncated) {
        prop_assert!(truth.contains(&pair(e)), "{} {e:?}", holed.names.get(e.operation));
    }
    Ok(())
}
