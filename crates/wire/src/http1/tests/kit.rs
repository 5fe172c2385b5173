//! A connection of HTTP, and what it told.

use crate::Protocol;
use crate::by_hand::{ByHand, Subject, Told};
use crate::http1::{Attributes, Session};
use crate::{Bytes, Direction, Side, Value};
use std::ops::RangeInclusive;
use steth_ledger::Lost;

pub(super) type Talk = ByHand<Session>;

impl Subject for Session {
    const PROTOCOL: Protocol = Protocol::Http1;

    fn owed(&self, _: u64) -> RangeInclusive<u64> {
        let owed = self.audit.begun + self.audit.orphans;
        owed..=owed
    }

    /// A microsecond from one piece to the next.
    fn by_hand() -> Talk {
        Talk { step: 1000, lag: Some(100), ..Talk::default() }
    }

    /// Every request that is told of began, and there.
    fn claims(_: &Told) -> bool {
        true
    }

    fn agrees(told: &Told, whole: &Told) -> bool {
        told.request.0 == whole.request.0 && (told.status == "-" || told.status == whole.status)
    }
}

impl Talk {
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
    /// `operation status outcome`, with a `!` if truncated.
    pub(super) fn told(&self) -> Vec<String> {
        let one = |e: &crate::Exchange| {
            let mark = if e.truncated { "!" } else { "" };
            format!("{} {} {}{mark}", self.names.get(e.operation), self.status(e), e.outcome.name())
        };
        self.out.iter().map(one).collect()
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
    Session::by_hand()
}
