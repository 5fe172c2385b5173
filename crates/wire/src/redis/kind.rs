//! What a command word says about its reply, its arguments and its duration.
//!
//! There is no table of all commands: the server is the table. A word it does not know comes back as `ERR unknown
//! command`, and a connection that collects those no longer names its commands ([`super::Session`]).

use super::resp::KEPT;
use crate::{Name, Names, Share};

/// The commands that are not like the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// One command, one reply.
    #[default]
    Plain,
    /// Its name is partly missing: its replies may tell what it was.
    Unseen,
    /// Its first argument is a sub-command.
    Container,
    /// CLIENT: a container, one of whose sub-commands is REPLY.
    Client,
    /// SELECT.
    Select,
    /// XREAD, XREADGROUP: wait if one of the options is BLOCK.
    Stream,
    /// Waits by design.
    Blocking,
    /// Its first argument names a script or function.
    Procedure,
    /// (P|S)(UN)SUBSCRIBE: one confirmation for each channel.
    PubSub(Verb),
    /// Allowed while subscribed, and answered by a `message` never.
    Control,
    /// MONITOR.
    Monitor,
    /// PSYNC, SYNC.
    Sync,
    /// RESET: the connection as if it were new.
    Reset,
    /// EXEC: answers for all commands since MULTI.
    Exec,
}

/// The pub/sub commands, and the first word of their confirmations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Subscribe,
    Psubscribe,
    Ssubscribe,
    Unsubscribe,
    Punsubscribe,
    Sunsubscribe,
}

impl Verb {
    /// Whether it adds channels.
    pub(super) fn adds(self) -> bool {
        matches!(self, Verb::Subscribe | Verb::Psubscribe | Verb::Ssubscribe)
    }
}

impl Kind {
    /// Of a command word in upper case.
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"GET" | b"SET" | b"HGET" | b"HSET" | b"MGET" | b"INCR" | b"DEL" | b"EXPIRE" => Kind::Plain,
            b"CONFIG" | b"CLUSTER" | b"ACL" | b"OBJECT" | b"SCRIPT" | b"XGROUP" | b"XINFO" | b"MEMORY" | b"LATENCY"
            | b"COMMAND" | b"FUNCTION" | b"PUBSUB" | b"SLOWLOG" | b"MODULE" | b"DEBUG" | b"SENTINEL" => Kind::Container,
            b"CLIENT" => Kind::Client,
            b"SELECT" => Kind::Select,
            b"XREAD" | b"XREADGROUP" => Kind::Stream,
            b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BZPOPMIN" | b"BZPOPMAX" | b"BLMPOP" | b"BZMPOP"
            | b"WAIT" | b"WAITAOF" => Kind::Blocking,
            b"EVALSHA" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" => Kind::Procedure,
            b"SUBSCRIBE" => Kind::PubSub(Verb::Subscribe),
            b"PSUBSCRIBE" => Kind::PubSub(Verb::Psubscribe),
            b"SSUBSCRIBE" => Kind::PubSub(Verb::Ssubscribe),
            b"UNSUBSCRIBE" => Kind::PubSub(Verb::Unsubscribe),
            b"PUNSUBSCRIBE" => Kind::PubSub(Verb::Punsubscribe),
            b"SUNSUBSCRIBE" => Kind::PubSub(Verb::Sunsubscribe),
            b"PING" | b"QUIT" => Kind::Control,
            b"MONITOR" => Kind::Monitor,
            b"PSYNC" | b"SYNC" => Kind::Sync,
            b"RESET" => Kind::Reset,
            b"EXEC" => Kind::Exec,
            _ => Kind::Plain,
        }
    }
}

/// Whether a byte may be in a command word: module commands have dots (`JSON.GET`), some have hyphens or underscores.
#[inline]
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A command and its name, in the two forms that leave the parser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// In upper case, so that clients of different habits are one operation.
    pub(super) operation: Name,
    /// As it was sent (semconv: `db.operation.name` is not normalised).
    pub(super) sent: Name,
    pub(super) kind: Kind,
}

impl Named {
    /// A command that has no name we would repeat.
    pub(super) const OTHER: Named = Named { operation: Name::OTHER, sent: Name::EMPTY, kind: Kind::Plain };

    /// The first argument, a command's name. `fold`: this connection has sent too many unknown words.
    #[inline]
    pub(super) fn command(word: &[u8], fold: bool, share: Share, names: &mut Names) -> Self {
        let mut upper = [0u8; 32];
        let (true, Some(upper)) = (!word.is_empty(), upper.get_mut(..word.len())) else { return Named::OTHER };
        let mut plain = true;
        for (to, &from) in upper.iter_mut().zip(word) {
            plain &= is_word(from);
            *to = from.to_ascii_uppercase();
        }
        let kind = Kind::of(upper);
        if !plain || (fold && kind == Kind::Plain) {
            return Named::OTHER;
        }
        // One command too many for the service has no name, and is what it is all the same.
        let Some(operation) = names.intern_within(share, upper) else { return Named { kind, ..Named::OTHER } };
        Named { operation, sent: sent(word, upper, operation, share, names), kind }
    }

    /// A container's sub-command joins its name. Letters and hyphens only: what else stands there is an argument, and
    /// stays here.
    pub(super) fn join(&mut self, word: &[u8], share: Share, names: &mut Names) {
        let ok = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
        if word.is_empty() || word.len() > 24 || !word.iter().all(ok) || self.operation == Name::OTHER {
            return;
        }
        let mut upper = [0u8; 24];
        let Some(upper) = upper.get_mut(..word.len()) else { return };
        upper.copy_from_slice(word);
        upper.make_ascii_uppercase();
        let operation = pair(self.operation, upper, share, names);
        let lower = word.iter().all(|byte| !byte.is_ascii_uppercase());
        self.sent = if self.sent == self.operation && !lower {
            operation
        } else {
            pair(self.sent, if lower { word } else { upper }, share, names)
        };
        self.operation = operation;
    }
}

/// The name as sent, if it is all in upper or all in lower case. Any mixture of the two is folded into upper case: a
/// word of n letters has 2^n of them.
#[inline]
fn sent(word: &[u8], upper: &[u8], operation: Name, share: Share, names: &mut Names) -> Name {
    let mixed = word == upper || word.iter().any(u8::is_ascii_uppercase);
    if mixed { operation } else { names.intern_within(share, word).unwrap_or(Name::OTHER) }
}

fn pair(first: Name, second: &[u8], share: Share, names: &mut Names) -> Name {
    let mut both = [0u8; KEPT];
    let first = names.get(first).as_bytes();
    let len = first.len() + 1 + second.len();
    let Some(to) = both.get_mut(..len) else { return Name::OTHER };
    for (to, &from) in to.iter_mut().zip(first.iter().chain(b" ").chain(second)) {
        *to = from;
    }
    names.intern_within(share, to).unwrap_or(Name::OTHER)
}
