//! One connection.

use crate::stream::Stream;
use crate::{Meeting, OtherEnd, Rewritten};
use std::collections::VecDeque;
use steth_event::{Books, Chunk, Open};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// Reset by either side.
    Reset,
    /// The kernel gave up on the peer.
    TimedOut,
    /// Given up by the agent: a limit was reached, the end was not seen, or the agent ends.
    Evicted,
}

/// One connection, with whatever the sink keeps of it.
#[derive(Debug)]
pub struct Connection<S> {
    /// Its id (socket cookie).
    pub id: u64,
    /// The announcement; absent if that record was lost so far.
    pub open: Option<Open>,
    /// Role of the observed end (`steth_event::ROLE_*`).
    pub role: u8,
    /// How the role was learnt.
    pub role_source: u8,
    /// Protocol number that the kernel side has named; 0 if none yet.
    pub protocol: u8,
    /// The process that used the socket last.
    pub tgid: u32,
    /// The process at the other end, where it is observed too.
    pub peer_tgid: u32,
    /// The address and the port that its client went to, where they are not the server's own: of the family of `open`.
    pub asked: Option<([u8; 16], u16)>,
    /// What the sink keeps.
    pub state: S,
    pub(crate) streams: [Stream; 2],
    /// The kernel does not see the turns around bytes that it missed. How many chunks, from the next one of this direction on and by turns
    /// with the other one, begin a turn all the same.
    pub(crate) turns: [u8; 2],
    /// Chunks that wait for an earlier one, in the order in which they came.
    pub(crate) held: VecDeque<Held>,
    pub(crate) held_bytes: usize,
    /// The end, while earlier chunks may still be on their way.
    pub(crate) closing: Option<Books>,
    /// What the kernel's books said last: counts at their highest, and round-trip times, windows and queues as they were at `time`.
    pub books: Option<Box<Books>>,
    /// Where it really leads, if connection tracking has said so.
    pub(crate) rewritten: Option<Rewritten>,
    /// Where it may be met by its other end.
    pub(crate) meetings: [Option<Meeting>; 2],
    pub(crate) last: u64,
    pub(crate) sweep: u32,
    pub(crate) used: bool,
    /// Listed among the connections that wait for a tick.
    pub(crate) listed: bool,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) chunk: Chunk,
    pub(crate) data: Box<[u8]>,
}

impl Held {
    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.data.len()
    }
}

impl<S: Default> Connection<S> {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            open: None,
            role: 0,
            role_source: 0,
            protocol: 0,
            tgid: 0,
            peer_tgid: 0,
            asked: None,
            state: S::default(),
            streams: [Stream::default(); 2],
            turns: [0; 2],
            held: VecDeque::new(),
            held_bytes: 0,
            closing: None,
            books: None,
            rewritten: None,
            meetings: [None; 2],
            last: 0,
            sweep: 0,
            used: true,
            listed: false,
        }
    }
}

impl<S> Connection<S> {
    /// Its other end is known.
    pub(crate) fn meet(&mut self, other: &OtherEnd) {
        self.peer_tgid = other.tgid;
        self.resolve(|open| other.resolve(open));
    }

    /// Its server is somewhere else than where its client went.
    pub(crate) fn resolve(&mut self, resolve: impl FnOnce(&mut Open)) {
        let Some(open) = &mut self.open else { return };
        let before = (open.remote_address, open.remote_port);
        resolve(open);
        if before != (open.remote_address, open.remote_port) {
            self.asked.get_or_insert(before);
        }
    }

    /// Time of the last record of this connection.
    #[must_use]
    pub fn last_time(&self) -> u64 {
        self.last
    }
}
