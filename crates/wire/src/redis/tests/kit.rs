//! A connection of Redis, and commands made by hand.

use crate::by_hand::ByHand;
use crate::redis::Session;

pub(super) type Kit = ByHand<Session>;

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
