//! Connections that are fed by hand: what the tests of the parsers share. A protocol's session becomes a [`Subject`], its cases
//! speak through a [`ByHand`], and [`properties!`] proves of it what every parser owes.

mod properties;

pub(crate) use properties::{Conversation, Fate, cuts, end, fate, noise, properties, splits};
pub(crate) use properties::{any_bytes, any_gap, any_split, late_join, late_join_anywhere};

use crate::joined::{self, Joined};
use crate::parser::Begin;
use crate::{
    Bytes, Context, Direction, Domains, End, Exchange, Names, Outcome, Piece, Protocol, Side, Statements, Status,
};
use crate::{Transport, Value};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use steth_ledger::{Exchanges, Lost};

/// A parser under test.
pub(crate) trait Subject: Begin + Debug {
    /// What it is a session of.
    const PROTOCOL: Protocol;

    /// Whether a connection that was joined where a turn begins is always understood at once.
    const CERTAIN_FROM_A_TURN: bool = true;

    /// Whether nobody could understand what follows who has missed these bytes of requests.
    fn misses(_requests: &[u8]) -> bool {
        false
    }

    /// How many exchanges, reported and lost together, this session accounts for. `strays`: losses that are not those of a
    /// request that was recognised, as far as the ledger's reasons tell.
    fn owed(&self, strays: u64) -> RangeInclusive<u64>;

    /// How many responses it may have counted beyond the exchanges that happened, where bytes are missing.
    fn surplus(&self, _strays: u64) -> u64 {
        0
    }

    /// A connection of its own.
    fn by_hand() -> ByHand<Self> {
        ByHand::default()
    }

    /// Whether `told`, of a conversation with holes, claims something that can be held against the one without.
    fn claims(told: &Told) -> bool {
        told.outcome == Outcome::Answered && !told.truncated
    }

    /// Whether it is so: `whole` is told of the one without.
    fn agrees(told: &Told, whole: &Told) -> bool {
        let same = (told.request, told.response) == (whole.request, whole.response);
        same && (told.status == "-" || told.status == whole.status)
    }
}

/// A connection, and all that came of it.
#[derive(Debug)]
pub(crate) struct ByHand<S> {
    pub(crate) session: S,
    /// The connection was in use before.
    pub(crate) joined: Option<Box<Joined>>,
    pub(crate) names: Names,
    pub(crate) statements: Statements,
    pub(crate) domains: Domains,
    pub(crate) out: Vec<Exchange>,
    pub(crate) count: Exchanges,
    pub(crate) time: u64,
    /// From one piece to the next.
    pub(crate) step: u64,
    /// How long before a piece its bytes reached the socket, if that is known.
    pub(crate) lag: Option<u64>,
    /// Positions of requests and responses.
    pub(crate) at: [u64; 2],
    pub(crate) last: Option<Direction>,
    /// Losses that are not those of a request that was recognised.
    pub(crate) strays: u64,
}

impl<S: Subject> Default for ByHand<S> {
    fn default() -> Self {
        Self::new(Transport::Stream)
    }
}

impl<S: Subject> ByHand<S> {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            session: S::new(transport),
            joined: None,
            names: Names::default(),
            statements: Statements::default(),
            domains: Domains::default(),
            out: Vec::new(),
            count: Exchanges::default(),
            time: 0,
            step: 1,
            lag: None,
            at: [0; 2],
            last: None,
            strays: 0,
        }
    }

    pub(crate) fn with(&mut self, act: impl FnOnce(&mut Option<Box<Joined>>, &mut S, &mut Context<'_>)) {
        let Self { session, joined, names, statements, domains, out, count, .. } = self;
        act(joined, session, &mut Context { names, statements, domains, out, count });
    }

    /// A piece, a step after the one before.
    pub(crate) fn feed(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
        self.time += self.step;
        self.at_once(direction, bytes)
    }

    /// A piece at the time of the one before.
    pub(crate) fn at_once(&mut self, direction: Direction, bytes: Bytes<'_>) -> &mut Self {
        let piece = Piece {
            offset: self.at[direction as usize],
            opposite: self.at[direction.opposite() as usize],
            time: self.time,
            arrival: self.lag.map_or(0, |lag| self.time - lag),
            turn: self.last != Some(direction),
            bytes,
        };
        let stray = |count: &Exchanges| {
            let truncated = if direction == Direction::Response { count.lost_by(Lost::Truncated) } else { 0 };
            count.lost_by(Lost::Orphan) + truncated
        };
        let before = stray(&self.count);
        self.with(|joined, session, cx| joined::feed(joined, session, direction, &piece, cx));
        self.strays += stray(&self.count) - before;
        self.at[direction as usize] += piece.len();
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
        self.with(|joined, session, cx| joined::tick(joined, session, now, cx));
    }

    pub(crate) fn shutdown(&mut self, direction: Direction) -> &mut Self {
        self.time += self.step;
        let time = self.time;
        self.with(|joined, session, cx| {
            joined::watch(joined, session, cx, |session, cx| session.shutdown(direction, time, cx));
        });
        self
    }

    /// The end; once more, which must change nothing; and the books.
    pub(crate) fn close(&mut self, end: End) -> &mut Self {
        self.time += self.step;
        let time = self.time;
        self.with(|joined, session, cx| joined::close(joined, session, end, time, cx));
        let once = self.accounted();
        self.with(|joined, session, cx| joined::close(joined, session, end, time, cx));
        assert_eq!((self.session.pending(), self.accounted()), (0, once));
        self.balance();
        self
    }

    /// The ledger's identity: every exchange that began is reported or counted as lost, once. And none ends before it begins.
    pub(crate) fn balance(&self) {
        let owed = self.session.owed(self.strays);
        assert!(owed.contains(&self.accounted()), "{owed:?} {:?} {:#?}", self.count, self.exchanges());
        assert_eq!(self.count.reported, self.out.len() as u64);
        for e in &self.out {
            assert!(e.end >= e.start && (e.first_byte == 0 || e.end >= e.first_byte), "{e:?}");
        }
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

    /// What must not depend on how the bytes were split.
    pub(crate) fn exchanges(&self) -> Vec<Told> {
        let one = |e: &Exchange| {
            let mut attributes = Vec::new();
            e.attributes(Side::Client, &self.names, &mut |name, value| attributes.push(format!("{name}={value:?}")));
            Told {
                operation: self.names.get(e.operation).to_owned(),
                status: self.status(e),
                outcome: e.outcome,
                truncated: e.truncated,
                blocking: e.blocking,
                request: (e.request_offset, e.request_bytes),
                response: (e.response_offset, e.response_bytes),
                attributes,
            }
        };
        self.out.iter().map(one).collect()
    }

    /// Exchanges that were reported or counted as lost.
    pub(crate) fn accounted(&self) -> u64 {
        self.count.reported + self.count.lost()
    }
}

/// An exchange without its times, and without the tables that have its names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) operation: String,
    pub(crate) status: String,
    pub(crate) outcome: Outcome,
    pub(crate) truncated: bool,
    pub(crate) blocking: bool,
    /// Where it begins, and its length.
    pub(crate) request: (u64, u64),
    pub(crate) response: (u64, u64),
    pub(crate) attributes: Vec<String>,
}
