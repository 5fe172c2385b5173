//! What a reply said.

use super::kind::Verb;
use crate::{Name, Names, Share};

/// What a reply said, as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    /// Anything but an error.
    Fine,
    /// `+OK`, and nothing else.
    Ok,
    /// `+QUEUED`, by its name: what the command does it does at EXEC.
    Queued(Name),
    /// An error's first word.
    Error(Name),
}

/// The first element of an array or push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Other,
    /// It is partly missing.
    Unseen,
    /// `message`, `pmessage`, `smessage`.
    Message,
    /// `subscribe` and so on.
    Confirm(Verb),
}

impl Seen {
    /// "Simple errors": the first word, in upper case, is the kind of error. A script's error may have none.
    pub(super) fn error(line: &[u8], share: Share, names: &mut Names) -> Self {
        let word = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let ok = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        // These two are told from errors by their names.
        let fine = word == b"OK" || word == b"QUEUED";
        let word = if word.is_empty() || word.len() > 32 || fine || !word.iter().all(ok) { b"ERR" } else { word };
        Seen::Error(names.intern_within(share, word).unwrap_or(Name::OTHER))
    }
}

impl First {
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"message" | b"pmessage" | b"smessage" => First::Message,
            b"subscribe" => First::Confirm(Verb::Subscribe),
            b"psubscribe" => First::Confirm(Verb::Psubscribe),
            b"ssubscribe" => First::Confirm(Verb::Ssubscribe),
            b"unsubscribe" => First::Confirm(Verb::Unsubscribe),
            b"punsubscribe" => First::Confirm(Verb::Punsubscribe),
            b"sunsubscribe" => First::Confirm(Verb::Sunsubscribe),
            _ => First::Other,
        }
    }
}
