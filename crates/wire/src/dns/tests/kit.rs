//! A connection of DNS, and messages made by hand.

use crate::Protocol;
use crate::by_hand::{ByHand, Subject, Told};
use crate::dns::Session;
use crate::{Outcome, Transport};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use steth_ledger::Lost;

pub(super) const MS: u64 = 1_000_000;
pub(super) const S: u64 = 1_000 * MS;

pub(super) type Kit = ByHand<Session>;

impl Subject for Session {
    const PROTOCOL: Protocol = Protocol::Dns;
    /// The first lookup that is not answered may have been, before.
    const CERTAIN_FROM_A_TURN: bool = false;

    /// Answers that nobody asked for, and what made no sense, are counted beyond what began.
    fn owed(&self, _: u64) -> RangeInclusive<u64> {
        self.talk.begun..=u64::MAX
    }

    fn by_hand() -> Kit {
        Kit::tcp()
    }

    fn claims(told: &Told) -> bool {
        told.outcome == Outcome::Answered
    }
}

impl Kit {
    /// A millisecond from one piece to the next.
    pub(super) fn udp() -> Self {
        Self { step: MS, ..Self::new(Transport::Datagrams) }
    }

    pub(super) fn tcp() -> Self {
        Self { step: MS, ..Self::new(Transport::Stream) }
    }

    /// `A example.org NOERROR answered, …`.
    pub(super) fn brief(&self) -> String {
        self.list(|e| format!("{} {}", self.status(e), e.outcome.name()))
    }

    pub(super) fn lost(&self) -> Vec<(Lost, u64)> {
        Lost::ALL.iter().map(|lost| (*lost, self.count.lost_by(*lost))).filter(|(_, n)| *n > 0).collect()
    }

    /// `name address ttl`, of all that was learnt since the last call.
    pub(super) fn learnt(&mut self) -> Vec<String> {
        let mut learnt = Vec::new();
        self.domains.drain(&self.names, |name, address, ttl, _| learnt.push(format!("{name} {address} {ttl}")));
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
