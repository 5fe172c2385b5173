//! A connection of PostgreSQL, and messages made by hand.

use crate::Protocol;
use crate::by_hand::{ByHand, Subject, Told};
use crate::postgresql::Session;
use crate::{Outcome, Status};
use std::ops::RangeInclusive;
use steth_ledger::Exchanges;

pub(super) type Kit = ByHand<Session>;

impl Subject for Session {
    const PROTOCOL: Protocol = Protocol::Postgresql;

    /// An error may be that of a statement before: what is behind it in its pipeline is skipped.
    const CERTAIN_FROM_A_TURN: bool = false;

    /// It keeps no count of what began: that is a matter of several messages, of which some may be missing.
    fn owed(&self, _: u64) -> RangeInclusive<u64> {
        0..=u64::MAX
    }

    /// Of the messages that an exchange begins with, the first may be missing.
    fn agrees(told: &Told, whole: &Told) -> bool {
        let ends = |told: &Told| (told.request.0 + told.request.1, told.response.0 + told.response.1);
        (ends(told), &told.status) == (ends(whole), &whole.status)
    }
}

impl Kit {
    /// A connection whose session has begun, without the record of that.
    pub(super) fn started() -> Self {
        let mut kit = Kit::default();
        kit.request(startup(&["user", "me", "database", "shop"])).response(welcome());
        assert_eq!(kit.brief(), "CONNECT OK");
        kit.out.clear();
        kit.count = Exchanges::default();
        kit
    }

    /// `SELECT a OK, INSERT b 23505, UPDATE c skipped`.
    pub(super) fn brief(&self) -> String {
        self.list(|e| match (e.outcome, e.status) {
            (Outcome::Answered, Status::Word(word)) => self.names.get(word).to_owned(),
            (Outcome::Answered, _) => "?".to_owned(),
            (outcome, _) => outcome.name().to_owned(),
        })
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
