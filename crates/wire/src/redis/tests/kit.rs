//! A connection of Redis, and commands made by hand.

use crate::Protocol;
use crate::by_hand::{ByHand, Subject};
use crate::redis::Session;
use std::ops::RangeInclusive;

pub(super) type Kit = ByHand<Session>;

impl Subject for Session {
    const PROTOCOL: Protocol = Protocol::Redis;

    /// `CLIENT REPLY SKIP` and `OFF`: there are fewer replies than commands.
    fn misses(requests: &[u8]) -> bool {
        requests.windows(5).any(|word| word == b"REPLY")
    }

    fn owed(&self, strays: u64) -> RangeInclusive<u64> {
        let owed = self.commands.begun + strays;
        owed..=owed
    }

    /// An array whose first element is missing may be a reply that nobody asked for, or one of several that confirm.
    fn surplus(&self, strays: u64) -> u64 {
        strays
    }
}

impl Kit {
    /// `GET OK, SET WRONGTYPE`.
    pub(super) fn brief(&self) -> String {
        self.list(|e| self.status(e))
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
