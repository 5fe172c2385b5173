//! The books of UDP sockets that are not connected: one socket, many far ends.
//!
//! The kernel side counts what such a socket has moved in all, and what it has sent to whom. What is left when the one is taken from
//! the other went to somebody unknown. Nobody tells whom a datagram came from; but if all that a socket has sent since it was last
//! asked went to one place, it has talked with nobody else, so far as is known, and what it received is taken for that one's.

use super::destinations::connected_to;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use steth_event::{Destination, Open, Sent};
use steth_flow::Delta;

/// Records that wait for the books of their socket: more than the kernel side's table has room for.
const WAITING: usize = 16_384;

/// Sockets that have ended and wait for what they have sent where; those beyond are told of without.
const ENDED: usize = 4096;

/// The last books of a socket. What it has sent where is read at the next sweep.
pub(super) struct Ended {
    pub(super) connection: u64,
    pub(super) open: Open,
    pub(super) tgid: u32,
    pub(super) role: u8,
    pub(super) delta: Delta,
    pub(super) time: u64,
    pub(super) accounts: Box<Accounts>,
}

/// What was sent where, of sockets whose books have not come yet.
pub(super) struct SentTo {
    waiting: HashMap<u64, Vec<Sent>, FixedState>,
    records: usize,
    ended: Vec<Ended>,
    /// Records that found no room, or whose socket's books never came.
    unclaimed: u64,
}

impl Default for SentTo {
    fn default() -> Self {
        Self {
            waiting: HashMap::with_hasher(FixedState::with_seed(0x7365_6e74)),
            records: 0,
            ended: Vec::new(),
            unclaimed: 0,
        }
    }
}

impl SentTo {
    /// A record has come. The books of its socket are behind it.
    pub(super) fn told(&mut self, sent: &Sent) {
        if self.records >= WAITING {
            self.unclaimed += 1;
            return;
        }
        self.records += 1;
        self.waiting.entry(sent.connection).or_default().push(*sent);
    }

    /// Those of one socket.
    pub(super) fn take(&mut self, connection: u64) -> Vec<Sent> {
        if self.records == 0 {
            return Vec::new();
        }
        let taken = self.waiting.remove(&connection).unwrap_or_default();
        self.records -= taken.len();
        taken
    }

    /// Keeps the last books of a socket until a sweep has read what it sent where; gives them back if there is no room.
    pub(super) fn park(&mut self, ended: Ended) -> Option<Ended> {
        if self.ended.len() >= ENDED {
            self.unclaimed += 1;
            return Some(ended);
        }
        self.ended.push(ended);
        None
    }

    /// Those that were kept: a sweep has read it by now.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// A sweep has ended. Books that have not come by now did not fit into the ring, or the socket is gone.
    pub(super) fn swept(&mut self) {
        self.unclaimed += self.records as u64;
        self.waiting.clear();
        self.records = 0;
    }

    pub(super) fn unclaimed(&self) -> u64 {
        self.unclaimed
    }
}

/// Bytes and datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moved {
    bytes: u64,
    datagrams: u64,
}

impl Moved {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.datagrams += other.datagrams;
    }

    fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            datagrams: self.datagrams.saturating_sub(other.datagrams),
        }
    }
}

/// What a socket has sent in all, and how much of it has been put down to somebody, known or unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Accounts {
    sent: Moved,
    told: Moved,
}

/// A part of a socket's books.
pub(super) struct Part {
    /// The socket as if it were connected to whom this is about; as it is, if that is not known.
    pub(super) open: Open,
    pub(super) delta: Delta,
    /// What was received is not known to come from there.
    pub(super) guessed: bool,
}

impl Accounts {
    /// The parts of new books. Added up over time, they are what the socket has sent, and each part is what went there.
    pub(super) fn split(&mut self, open: &Open, delta: &Delta, sent: &[Sent]) -> Vec<Part> {
        self.sent.add(Moved { bytes: delta.sent, datagrams: delta.segments_out });
        let mut parts = Vec::with_capacity(sent.len() + 1);
        let quiet = Delta { sent: 0, received: 0, segments_out: 0, segments_in: 0, ..*delta };
        for sent in sent {
            let to = Destination { family: sent.family, port: sent.port, address: sent.address };
            let Some(open) = connected_to(open, &to) else { continue };
            self.told.add(Moved { bytes: sent.bytes, datagrams: sent.datagrams });
            let delta = Delta { sent: sent.bytes, segments_out: sent.datagrams, ..quiet };
            parts.push(Part { open, delta, guessed: false });
        }
        // The records are read after the books: they may have told already of what the next books will have.
        let rest = self.sent.less(self.told);
        self.told.add(rest);
        let received = Delta { received: delta.received, segments_in: delta.segments_in, ..quiet };
        match parts.as_mut_slice() {
            [only] if rest == Moved::default() => {
                only.delta.received = received.received;
                only.delta.segments_in = received.segments_in;
                only.guessed = received.segments_in > 0;
            }
            _ => {
                let delta = Delta { sent: rest.bytes, segments_out: rest.datagrams, ..received };
                if delta.segments_in > 0 || delta.segments_out > 0 {
                    parts.push(Part { open: *open, delta, guessed: false });
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(port: u16, bytes: u64) -> Sent {
        Sent { connection: 1, family: 2, port, bytes, datagrams: 1, ..Sent::default() }
    }

    fn split(accounts: &mut Accounts, all: (u64, u64), received: u64, to: &[Sent]) -> Vec<(u16, u64, u64, bool)> {
        let open = Open { family: 2, transport: 17, local_port: 53, ..Open::default() };
        let delta =
            Delta { sent: all.0, segments_out: all.1, received, segments_in: received.min(1), ..Delta::default() };
        let parts = accounts.split(&open, &delta, to);
        parts.iter().map(|part| (part.open.remote_port, part.delta.sent, part.delta.received, part.guessed)).collect()
    }

    #[test]
    fn each_destination_has_its_own_and_what_is_left_is_nobodys() {
        let mut accounts = Accounts::default();
        assert_eq!(
            split(&mut accounts, (30, 3), 7, &[sent(1, 10), sent(2, 15)]),
            [(1, 10, 0, false), (2, 15, 0, false), (0, 5, 7, false)]
        );
        assert_eq!(split(&mut accounts, (10, 1), 7, &[sent(1, 10)]), [(1, 10, 7, true)], "nobody else was spoken to");
        assert_eq!(split(&mut accounts, (0, 0), 7, &[]), [(0, 0, 7, false)]);
        assert_eq!(split(&mut accounts, (0, 0), 0, &[]), [], "nothing has moved");
        assert_eq!(split(&mut accounts, (10, 1), 0, &[]), [(0, 10, 0, false)], "an older recording, or no room");
    }

    #[test]
    fn what_was_told_early_is_not_told_again() {
        let mut accounts = Accounts::default();
        // Two datagrams, of which the books have seen one.
        let early = Sent { datagrams: 2, ..sent(1, 20) };
        assert_eq!(split(&mut accounts, (10, 1), 0, &[early]), [(1, 20, 0, false)]);
        assert_eq!(split(&mut accounts, (15, 2), 0, &[sent(2, 5)]), [(2, 5, 0, false)]);
        assert_eq!(split(&mut accounts, (8, 1), 0, &[]), [(0, 8, 0, false)]);
    }

    #[test]
    fn records_without_books_are_counted_and_there_is_a_limit() {
        let mut waiting = SentTo::default();
        (0..WAITING as u64 + 3).for_each(|connection| waiting.told(&Sent { connection, ..sent(1, 1) }));
        assert_eq!((waiting.take(5).len(), waiting.take(5).len(), waiting.unclaimed()), (1, 0, 3));
        waiting.swept();
        assert_eq!((waiting.take(6).len(), waiting.unclaimed()), (0, WAITING as u64 + 2));
    }
}
