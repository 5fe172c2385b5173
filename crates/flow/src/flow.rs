//! The table of connections, and the order of their chunks.

use crate::connection::Held;
use crate::order::{declare, deliver, end_stream, in_order, miss, next, take, to_force};
use crate::{Connection, Delta, End, Meeting, OtherEnd, Rewritten, Segment, books};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use steth_event::{
    Books, CHUNK_TURN, CLOSE_RESET_BY_PEER, CLOSE_RESET_BY_US, CLOSE_TIMED_OUT, Chunk, Open, ROLE_NETWORK, ROLE_SERVER,
    Shutdown,
};

/// Who takes the ordered streams.
pub trait Sink {
    /// What it keeps of each connection.
    type State: Default;
    /// The next bytes of one direction (`steth_event::SEND`, `RECEIVE`).
    fn segment(&mut self, connection: &mut Connection<Self::State>, direction: u8, segment: &Segment<'_>);
    /// Bytes that come only now, after they were given up as lost, or from before the first position that was known of
    /// their direction. Nothing of them is handed on any more.
    fn late(&mut self, _: &mut Connection<Self::State>, _direction: u8, _: &Segment<'_>) {}
    /// One direction has ended in order, behind its last segment.
    fn shutdown(&mut self, connection: &mut Connection<Self::State>, direction: u8, time: u64);
    /// The kernel's books have something new to say. At the end of a connection this comes before its last bytes.
    fn books(&mut self, _: &mut Connection<Self::State>, _: &Delta) {}
    /// The connection is gone. Nothing follows.
    fn closed(&mut self, connection: &mut Connection<Self::State>, end: End, time: u64);
}

/// What the flow stage counts for the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sends and receives in the chunks that came.
    pub chunks: u64,
    /// Bytes in them, captured or not.
    pub bytes: u64,
    /// Bytes that were captured.
    pub captured: u64,
    /// Bytes declared as holes.
    pub lost_bytes: u64,
    /// Holes.
    pub holes: u64,
    /// Bytes that had been handed on already, or declared lost, when they came.
    pub late_bytes: u64,
    /// Chunks that had to wait for an earlier one.
    pub held: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections given up to stay within the limit.
    pub evicted: u64,
    /// Connections whose end was not seen, found gone by a sweep.
    pub vanished: u64,
    /// Sockets of UDP and unix sockets that a sweep did not find any more: what they moved since the one before is in no books.
    pub unended: u64,
}

/// Most memory that what one connection holds back may take. A thread that is interrupted between its call and the
/// record of it makes all that others do on the socket in the meantime wait: some milliseconds, at 100,000 messages a second.
const HELD_BYTES: usize = 1 << 20;
/// How long a chunk waits for an earlier one, in nanoseconds of the records' own time.
const PATIENCE: u64 = 200_000_000;

/// Connections that are remembered beyond their end, twice each: [`Meeting::of`].
const DEPARTED: usize = 2 * 4096;

/// All connections.
#[derive(Debug)]
pub struct Flow<S> {
    slots: Vec<Option<Box<Connection<S>>>>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32, FixedState>,
    /// Where the ends of a connection find each other.
    meetings: HashMap<Meeting, u64, FixedState>,
    /// Of connections that ended lately: their other ends may be told of only now.
    departed: HashMap<Meeting, OtherEnd, FixedState>,
    departures: VecDeque<Meeting>,
    /// Connections that hold something back until a tick.
    waiting: Vec<u64>,
    maximum: usize,
    hand: usize,
    sweep: u32,
    now: u64,
    counts: Counts,
}

impl<S: Default> Flow<S> {
    /// A table for at most `maximum` connections.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        let hasher = || FixedState::with_seed(0x666c_6f77);
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(hasher()),
            meetings: HashMap::with_hasher(hasher()),
            departed: HashMap::with_hasher(hasher()),
            departures: VecDeque::new(),
            waiting: Vec::new(),
            maximum: maximum.max(1),
            hand: 0,
            sweep: 0,
            now: 0,
            counts: Counts::default(),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Connections in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// A connection is announced. A second announcement (the first record was lost) fills in what is missing.
    pub fn open(&mut self, open: &Open, sink: &mut impl Sink<State = S>) {
        let index = self.entry(open.connection, sink);
        let Some(connection) = self.slots[index].as_deref_mut() else { return };
        connection.open = Some(*open);
        connection.asked = None;
        connection.last = open.time;
        if open.role != 0 {
            (connection.role, connection.role_source) = (open.role, open.role_source);
        }
        if open.tgid != 0 {
            connection.tgid = open.tgid;
        }
        connection.peer_tgid = open.peer_tgid;
        if open.untold == 0 && open.counted == 0 {
            connection.streams[0].place(open.sent);
            connection.streams[1].place(open.received);
        }
        let id = connection.id;
        let mut meetings = if open.role == ROLE_NETWORK { [None; 2] } else { Meeting::of(open) };
        if let Some(rewritten) = connection.rewritten {
            // What was found out of it holds though it is announced again.
            meetings[0] = rewritten.meeting(open);
            connection.resolve(|open| rewritten.resolve(open));
        }
        connection.meetings = meetings;
        let here = OtherEnd::of(open, connection.tgid);
        for meeting in meetings.into_iter().flatten() {
            self.meetings.insert(meeting, id);
        }
        if meetings.iter().flatten().any(|meeting| self.introduce(index, meeting.reversed(), id, &here)) {
            return;
        }
        let gone = meetings.iter().flatten().find_map(|meeting| self.departed.get(&meeting.reversed()));
        if let (Some(gone), Some(connection)) = (gone, self.slots[index].as_deref_mut()) {
            connection.meet(gone);
        }
    }

    /// Where a client's connection leads is known: its address is the server's from now on, and if that end is observed too they find each
    /// other. `None`: there is no such connection, or its other end is known already, which says more.
    pub fn rewrite(&mut self, id: u64, rewritten: Rewritten) -> Option<&mut Connection<S>> {
        let index = *self.by_id.get(&id)? as usize;
        let connection = self.slots[index].as_deref_mut()?;
        let serves = [ROLE_SERVER, ROLE_NETWORK].contains(&connection.role);
        let open = connection.open.filter(|_| !serves && connection.peer_tgid == 0)?;
        let meeting = rewritten.meeting(&open);
        let before = std::mem::replace(&mut connection.meetings[0], meeting);
        connection.rewritten = Some(rewritten);
        connection.resolve(|open| rewritten.resolve(open));
        let here = connection.open.as_ref().map(|open| OtherEnd::of(open, connection.tgid))?;
        if let Some(before) = before.filter(|before| self.meetings.get(before) == Some(&id)) {
            self.meetings.remove(&before);
        }
        if let Some(meeting) = meeting {
            self.meetings.insert(meeting, id);
            self.introduce(index, meeting.reversed(), id, &here);
        }
        self.slots[index].as_deref_mut()
    }

    /// Where both ends are observed, each learns the other's process, and a client where the server really is.
    fn introduce(&mut self, index: usize, peer: Meeting, id: u64, here: &OtherEnd) -> bool {
        let Some(&peer_id) = self.meetings.get(&peer).filter(|peer| **peer != id) else { return false };
        let Some(&peer_index) = self.by_id.get(&peer_id) else { return false };
        let Some(other) = self.slots[peer_index as usize].as_deref_mut() else { return false };
        other.meet(here);
        let there = other.open.as_ref().map(|open| OtherEnd::of(open, other.tgid));
        if let (Some(connection), Some(there)) = (self.slots[index].as_deref_mut(), there) {
            connection.meet(&there);
        }
        true
    }

    /// Bytes have moved.
    #[inline]
    pub fn chunk(&mut self, chunk: &Chunk, data: &[u8], sink: &mut impl Sink<State = S>) {
        self.counts.chunks += u64::from(chunk.calls.max(1));
        self.counts.bytes += u64::from(chunk.length);
        self.counts.captured += data.len() as u64;
        self.now = self.now.max(chunk.time);
        let index = self.entry(chunk.connection, sink);
        let Some(connection) = self.slots[index].as_deref_mut() else { return };
        connection.used = true;
        connection.last = chunk.time;
        if chunk.tgid != 0 {
            connection.tgid = chunk.tgid;
        }
        if connection.held.is_empty() && in_order(connection, chunk) {
            deliver(connection, chunk, data, &mut self.counts, sink);
            if connection.closing.is_some() {
                self.settle(index, false, sink);
            }
            return;
        }
        self.hold(index, chunk, data, sink);
    }

    #[cold]
    fn hold(&mut self, index: usize, chunk: &Chunk, data: &[u8], sink: &mut impl Sink<State = S>) {
        let Some(connection) = self.slots[index].as_deref_mut() else { return };
        self.counts.held += 1;
        let held = Held { chunk: *chunk, data: data.into() };
        connection.held_bytes += held.size();
        connection.held.push_back(held);
        let full = connection.held_bytes > HELD_BYTES;
        if !std::mem::replace(&mut connection.listed, true) {
            self.waiting.push(connection.id);
        }
        // One that is not even next in its own direction lets nothing go on.
        if full || connection.streams[usize::from(chunk.direction & 1)].reached(chunk.offset) {
            self.settle(index, full, sink);
        }
    }

    /// One direction ends at an offset, which may lie ahead of what has been handed on.
    pub fn shutdown(&mut self, shutdown: &Shutdown, sink: &mut impl Sink<State = S>) {
        self.now = self.now.max(shutdown.time);
        let Some(connection) = self.find(shutdown.connection) else { return };
        let direction = usize::from(shutdown.direction & 1);
        connection.streams[direction].end = Some((shutdown.offset, shutdown.time));
        end_stream(connection, direction, sink);
    }

    /// The connection is over, once everything before its end has come.
    pub fn close(&mut self, books: &Books, sink: &mut impl Sink<State = S>) {
        self.now = self.now.max(books.time);
        let Some(&index) = self.by_id.get(&books.connection) else { return };
        let Some(connection) = self.slots[index as usize].as_deref_mut() else { return };
        tell_books(connection, books, sink);
        connection.closing = Some(*books);
        if !std::mem::replace(&mut connection.listed, true) {
            self.waiting.push(connection.id);
        }
        self.settle(index as usize, false, sink);
    }

    /// The sweep has found the connection alive.
    pub fn progress(&mut self, books: &Books, sink: &mut impl Sink<State = S>) {
        self.now = self.now.max(books.time);
        let sweep = self.sweep;
        let Some(connection) = self.find(books.connection) else { return };
        connection.sweep = sweep + 1;
        connection.used = true;
        connection.last = connection.last.max(books.time);
        tell_books(connection, books, sink);
    }

    /// The ring was empty at `time`: what a chunk from before has been waiting for will not come. `swept`: a sweep has
    /// just ended, so connections that it did not report are gone.
    pub fn tick(&mut self, time: u64, swept: bool, sink: &mut impl Sink<State = S>) {
        self.now = self.now.max(time);
        for id in std::mem::take(&mut self.waiting) {
            let Some(&index) = self.by_id.get(&id) else { continue };
            let Some(connection) = self.slots[index as usize].as_deref_mut() else { continue };
            connection.listed = false;
            let oldest = connection.held.iter().map(|held| held.chunk.time).min();
            let closed = connection.closing.map(|books| books.time);
            let since = oldest.into_iter().chain(closed).min().unwrap_or(time);
            let patience_over = time.saturating_sub(since) > PATIENCE;
            self.settle(index as usize, patience_over, sink);
            if let Some(connection) = self.slots[index as usize].as_deref_mut().filter(|c| c.id == id)
                && (!connection.held.is_empty() || connection.closing.is_some())
                && !std::mem::replace(&mut connection.listed, true)
            {
                self.waiting.push(id);
            }
        }
        if swept {
            self.vanish(time, sink);
        }
    }

    /// Connections that two sweeps in a row did not find, and that nothing has been heard of since.
    fn vanish(&mut self, time: u64, sink: &mut impl Sink<State = S>) {
        self.sweep += 1;
        for index in 0..self.slots.len() {
            let Some(connection) = self.slots[index].as_deref() else { continue };
            let seen = connection.sweep == self.sweep;
            // Heard of less than a second ago: it may have been opened behind the iterator's back.
            if seen || time.saturating_sub(connection.last) < 1_000_000_000 {
                continue;
            }
            const UDP: u8 = 17;
            let untold = connection.open.is_some_and(|open| open.family == 1 || open.transport == UDP);
            let network = connection.role == ROLE_NETWORK;
            if network {
                continue;
            }
            self.counts.vanished += u64::from(!untold);
            self.counts.unended += u64::from(untold);
            // Of unix sockets nothing tells the end, unless the other one is closed first; of UDP only where there is a hierarchy of
            // cgroups of version 2. Gone is closed.
            self.remove(index, if untold { End::Closed } else { End::Evicted }, time, sink);
        }
    }

    /// Ends all connections: the agent stops.
    pub fn finish(&mut self, time: u64, sink: &mut impl Sink<State = S>) {
        for index in 0..self.slots.len() {
            if self.slots[index].is_some() {
                self.settle(index, true, sink);
                self.remove(index, End::Evicted, time, sink);
            }
        }
    }

    /// Hands on what is in order now; with `force`, also what is not, declaring what is missing.
    fn settle(&mut self, index: usize, force: bool, sink: &mut impl Sink<State = S>) {
        let Some(connection) = self.slots[index].as_deref_mut() else { return };
        loop {
            let next = match next(connection) {
                Some(next) => next,
                None if force && !connection.held.is_empty() => {
                    let Some(oldest) = to_force(connection) else { break };
                    let Some(chunk) = connection.held.get(oldest).map(|held| held.chunk) else { break };
                    if declare(connection, &chunk, &mut self.counts, sink)
                        && let Some(held) = connection.held.get_mut(oldest)
                    {
                        held.chunk.flags |= CHUNK_TURN;
                    }
                    oldest
                }
                None => break,
            };
            let Some(held) = take(connection, next) else { break };
            deliver(connection, &held.chunk, &held.data, &mut self.counts, sink);
        }
        let Some(books) = connection.closing else { return };
        let ends = [books.sent, books.received];
        // What its first chunk says is not known while that is held.
        let waits = connection.protocol != 0 || !connection.held.is_empty();
        if !force && waits && (0..2).any(|direction| !connection.streams[direction].reached(ends[direction])) {
            return;
        }
        // Of a connection that nobody has read, no byte is missing.
        let read = connection.protocol != 0 || connection.role == ROLE_NETWORK;
        for (direction, end) in ends.into_iter().enumerate().filter(|_| read) {
            miss(connection, direction, end, books.time, &mut self.counts, sink);
        }
        let end = if books.flags & (CLOSE_RESET_BY_PEER | CLOSE_RESET_BY_US) != 0 {
            End::Reset
        } else if books.flags & CLOSE_TIMED_OUT != 0 {
            End::TimedOut
        } else {
            End::Closed
        };
        self.remove(index, end, books.time, sink);
    }

    fn remove(&mut self, index: usize, end: End, time: u64, sink: &mut impl Sink<State = S>) {
        let Some(mut connection) = self.slots[index].take() else { return };
        self.by_id.remove(&connection.id);
        for meeting in connection.meetings.into_iter().flatten() {
            if self.meetings.get(&meeting) != Some(&connection.id) {
                continue;
            }
            self.meetings.remove(&meeting);
            let here = connection.open.as_ref().map(|open| OtherEnd::of(open, connection.tgid));
            if let Some(here) = here.filter(|here| here.tgid != 0)
                && self.departed.insert(meeting, here).is_none()
            {
                self.departures.push_back(meeting);
            }
            if self.departures.len() > DEPARTED
                && let Some(oldest) = self.departures.pop_front()
            {
                self.departed.remove(&oldest);
            }
        }
        self.free.push(index as u32);
        sink.closed(&mut connection, end, time);
    }

    /// The other end of a connection that ended, if it is observed too, or was lately; `None` if it is not known.
    #[must_use]
    pub fn other_end(&self, open: &Open) -> Option<OtherEnd> {
        let of = |meeting: Meeting| {
            let id = self.meetings.get(&meeting)?;
            let connection = self.slots[*self.by_id.get(id)? as usize].as_deref()?;
            connection.open.as_ref().map(|open| OtherEnd::of(open, connection.tgid)).filter(|end| end.tgid != 0)
        };
        let there =
            |meeting: &Meeting| of(meeting.reversed()).or_else(|| self.departed.get(&meeting.reversed()).copied());
        Meeting::of(open).iter().flatten().find_map(there)
    }

    /// Calls `act` for every connection in the table.
    pub fn each(&mut self, act: impl FnMut(&mut Connection<S>)) {
        self.slots.iter_mut().flatten().map(Box::as_mut).for_each(act);
    }

    /// The connection with this id, if it is in the table.
    pub fn find(&mut self, id: u64) -> Option<&mut Connection<S>> {
        let index = *self.by_id.get(&id)?;
        self.slots[index as usize].as_deref_mut()
    }

    #[inline]
    fn entry(&mut self, id: u64, sink: &mut impl Sink<State = S>) -> usize {
        match self.by_id.get(&id) {
            Some(&index) => index as usize,
            None => self.insert(id, sink),
        }
    }

    #[cold]
    fn insert(&mut self, id: u64, sink: &mut impl Sink<State = S>) -> usize {
        if self.by_id.len() >= self.maximum {
            self.evict(sink);
        }
        self.counts.connections += 1;
        let mut connection = Connection::new(id);
        connection.sweep = self.sweep + 1;
        let connection = Some(Box::new(connection));
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = connection;
                index
            }
            None => {
                self.slots.push(connection);
                (self.slots.len() - 1) as u32
            }
        };
        self.by_id.insert(id, index);
        index as usize
    }

    /// Second chance: the first connection that has not been used since the hand last passed.
    fn evict(&mut self, sink: &mut impl Sink<State = S>) {
        for _ in 0..2 * self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(connection) = self.slots[self.hand].as_deref_mut() else { continue };
            if !std::mem::take(&mut connection.used) {
                self.counts.evicted += 1;
                let (hand, now) = (self.hand, self.now);
                return self.remove(hand, End::Evicted, now, sink);
            }
        }
    }
}

fn tell_books<S>(connection: &mut Connection<S>, books: &Books, sink: &mut impl Sink<State = S>) {
    // Where no bytes are read, the books are all that tells who uses it by now.
    if books.tgid != 0 {
        connection.tgid = books.tgid;
    }
    if let Some(delta) = books::take(connection, books) {
        sink.books(connection, &delta);
    }
}
