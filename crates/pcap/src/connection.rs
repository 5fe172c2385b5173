//! One TCP connection as seen from the network.

use crate::limits::Limits;
use crate::records::{MOST, Records};
use crate::stats::TcpStats;
use crate::stream::{Held, Stream, WINDOW};
use crate::tuple::{Side, Tuple};
use std::borrow::Cow;
use steth_event as event;
use steth_event::{Books, Chunk, IntoBytes, RECEIVE, ROLE_NETWORK, SEND, Shutdown, kind};

/// `role_source`: the handshake was seen.
const BY_STATE: u8 = 1;
/// `role_source`: from the ports, or from who sent first.
const BY_REQUEST: u8 = 2;

/// What a connection needs to do its work.
pub(crate) struct Cx<'c, 'e> {
    pub(crate) tuple: Tuple,
    pub(crate) records: &'c mut Records<'e>,
    pub(crate) stats: &'c mut TcpStats,
    pub(crate) limits: &'c Limits,
    /// What is held by all connections together.
    pub(crate) held: &'c mut usize,
}

/// A segment behind its header.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// As much as was captured.
    pub(crate) data: Cow<'a, [u8]>,
    /// On the wire.
    pub(crate) length: u64,
    pub(crate) time: u64,
}

/// A connection, both directions.
#[derive(Debug, Default)]
pub(crate) struct Connection<'a> {
    /// 0: not announced yet.
    id: u64,
    client: Option<Side>,
    role_source: u8,
    /// By who sends.
    streams: [Stream<'a>; 2],
    /// Which direction moved last.
    moved: Option<Side>,
    connect_started: u64,
    established: u64,
    pub(crate) closed: Option<u64>,
    chunks: u64,
    segments: [u32; 2],
    retransmitted: u32,
}

impl<'a> Connection<'a> {
    /// A SYN that is this connection's: the first of its direction, or a copy of that.
    pub(crate) fn owns_syn(&self, side: Side, segment: &Segment<'a>) -> bool {
        let stream = &self.streams[side];
        if stream.started {
            stream.start as u32 == segment.sequence.wrapping_add(1)
        } else {
            self.closed.is_none() && self.streams[1 - side].syn
        }
    }

    /// Takes a segment that `side` has sent (RFC 9293, section 3.10.7).
    pub(crate) fn take(&mut self, side: Side, segment: Segment<'a>, cx: &mut Cx<'_, '_>) {
        self.segments[side] = self.segments[side].saturating_add(1);
        if self.closed.is_some() {
            cx.stats.after_close += segment.length;
        } else if segment.rst {
            cx.stats.out_of_window += segment.length;
            self.reset(side, &segment, cx);
        } else if segment.syn {
            self.synchronise(side, &segment);
            self.data(side, segment, cx);
        } else if segment.ack {
            if !self.streams[side].started {
                self.streams[side].begin(segment.sequence);
            }
            self.acknowledge(1 - side, &segment, cx);
            self.data(side, segment, cx);
        } else {
            // Section 3.10.7.4: without ACK, it is dropped.
            cx.stats.out_of_window += segment.length;
        }
    }

    fn synchronise(&mut self, side: Side, segment: &Segment<'a>) {
        if !self.streams[side].started {
            self.streams[side].begin(segment.sequence.wrapping_add(1));
        }
        self.streams[side].syn = true;
        if segment.ack {
            if !self.streams[1 - side].started {
                self.streams[1 - side].begin(segment.acknowledged);
            }
            self.establish(segment.time);
        } else if self.connect_started == 0 {
            self.connect_started = segment.time;
        }
        if self.client.is_none() && self.id == 0 {
            self.client = Some(if segment.ack { 1 - side } else { side });
            self.role_source = BY_STATE;
        }
    }

    fn establish(&mut self, time: u64) {
        if self.established == 0 {
            self.established = time;
        }
    }

    fn reset(&mut self, side: Side, segment: &Segment<'a>, cx: &mut Cx<'_, '_>) {
        let stream = &self.streams[side];
        if stream.started && stream.distance(segment.sequence).abs() > WINDOW {
            return;
        }
        let client = self.announce(side, segment.time, cx);
        let mut flags = if side == client { event::CLOSE_RESET_BY_US } else { event::CLOSE_RESET_BY_PEER };
        if side != client && !self.streams[side].started {
            flags |= event::CLOSE_REFUSED;
        }
        self.close(flags, segment.time, cx);
    }

    /// `side`'s bytes have arrived as far as the segment says. What the capture does not have of them is lost; so is
    /// whatever it has not *yet*, but the answer must not come before the question.
    fn acknowledge(&mut self, side: Side, segment: &Segment<'a>, cx: &mut Cx<'_, '_>) {
        if self.streams.iter().any(|stream| stream.syn) {
            self.establish(segment.time);
        }
        let stream = &mut self.streams[side];
        if !stream.started {
            stream.begin(segment.acknowledged);
            self.drain(1 - side, segment.time, cx);
            return;
        }
        let ahead = stream.distance(segment.acknowledged);
        if ahead <= 0 || ahead > WINDOW {
            return;
        }
        // The FIN has a sequence number, and no byte.
        let target = (stream.next + ahead.cast_unsigned()).min(stream.fin.unwrap_or(u64::MAX));
        loop {
            self.drain(side, segment.time, cx);
            let stream = &mut self.streams[side];
            if stream.next >= target || self.closed.is_some() {
                break;
            }
            let to = stream.first().unwrap_or(target).min(target);
            cx.stats.lost_acknowledged += to - stream.next;
            stream.next = to;
            self.moved = Some(side);
        }
    }

    /// The payload of a segment, and its FIN.
    fn data(&mut self, side: Side, mut segment: Segment<'a>, cx: &mut Cx<'_, '_>) {
        if self.closed.is_some() {
            cx.stats.after_close += segment.length;
            return;
        }
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        let (length, fin, time) = (segment.length, segment.fin, segment.time);
        // Section 3.8.4: one below the next byte, with one byte of rubbish or none.
        if self.streams[side].distance(sequence) == -1 && length <= 1 && !fin && !segment.syn {
            cx.stats.keep_alives += 1;
        }
        if length > 0 {
            self.place(side, sequence, &mut segment, cx);
        }
        let stream = &mut self.streams[side];
        if fin && stream.fin.is_none() {
            // One behind: its sequence number was acknowledged before it came, and taken for that of a lost byte.
            let ahead = stream.distance(sequence.wrapping_add(length as u32));
            if (-1..=WINDOW).contains(&ahead) {
                let beyond = stream.next + ahead.max(0).cast_unsigned();
                let cost = stream.cost;
                cx.stats.out_of_window += stream.end(beyond);
                *cx.held = *cx.held + stream.cost - cost;
            }
        }
        self.drain(side, time, cx);
    }

    /// Finds the payload's place, and what of it is new.
    fn place(&mut self, side: Side, sequence: u32, segment: &mut Segment<'a>, cx: &mut Cx<'_, '_>) {
        let ready = self.streams[1 - side].started;
        let stream = &mut self.streams[side];
        let ahead = stream.distance(sequence);
        if ahead > WINDOW {
            cx.stats.out_of_window += segment.length;
            return;
        }
        let known = ahead.min(0).unsigned_abs().min(segment.length);
        let offset = stream.next + ahead.max(0).cast_unsigned();
        let fresh = segment.length - known;
        let room = stream.fin.map_or(u64::MAX, |fin| fin.saturating_sub(offset));
        let length = fresh.min(room);
        cx.stats.retransmitted += known;
        cx.stats.out_of_window += fresh - length;
        if known > 0 {
            self.retransmitted = self.retransmitted.saturating_add(1);
        }
        if length == 0 {
            return;
        }
        cx.stats.overlapping += u64::from(known > 0);
        let from = usize::try_from(known).unwrap_or(usize::MAX).min(segment.data.len());
        let to = usize::try_from(known + length).unwrap_or(usize::MAX).min(segment.data.len());
        let data = match std::mem::take(&mut segment.data) {
            Cow::Borrowed(data) => Cow::Borrowed(&data[from..to]),
            Cow::Owned(mut data) => {
                data.truncate(to);
                data.drain(..from);
                Cow::Owned(data)
            }
        };
        if ahead <= 0 && stream.is_plain() && ready {
            self.chunk(side, &data, length, segment.time, cx);
            return;
        }

        cx.stats.reordered += u64::from(ahead > 0);
        let cost = stream.cost;
        let repeated = stream.insert(offset, Held { data, length, time: segment.time });
        *cx.held += stream.cost - cost;
        cx.stats.retransmitted += repeated;
        if repeated > 0 {
            cx.stats.overlapping += u64::from(repeated < length);
            self.retransmitted = self.retransmitted.saturating_add(1);
        }
        self.drain(side, segment.time, cx);
        while self.is_over(side, cx) && self.skip(side, segment.time, cx) {}
    }

    fn is_over(&self, side: Side, cx: &Cx<'_, '_>) -> bool {
        let (stream, limits) = (&self.streams[side], cx.limits);
        stream.segments() > limits.segments || stream.cost > limits.bytes || *cx.held > limits.total_bytes
    }

    /// Gives up the first hole. False if there is none.
    fn skip(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) -> bool {
        let stream = &mut self.streams[side];
        let Some(first) = stream.first() else { return false };
        cx.stats.lost_given_up += first - stream.next;
        if first > stream.next {
            stream.next = first;
            self.moved = Some(side);
        }
        if !self.streams[1 - side].started {
            // Only a flood of SYNs with payload gets here.
            self.streams[1 - side].begin(0);
        }
        self.drain(side, time, cx);
        true
    }

    /// Delivers what is in order; then the end, if it is reached.
    fn drain(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) {
        // An announcement says where both directions begin: the payload of a SYN waits for the answer.
        if !self.streams[1 - side].started {
            return;
        }
        while let Some(held) = {
            let stream = &mut self.streams[side];
            let cost = stream.cost;
            let held = stream.pop();
            *cx.held -= cost - stream.cost;
            held
        } {
            // What filled the hole came later than this, and no byte is there before the ones in front of it.
            let time = held.time.max(self.streams[side].time);
            self.chunk(side, &held.data, held.length, time, cx);
        }
        let stream = &self.streams[side];
        if stream.fin.is_some_and(|fin| stream.next >= fin) && !stream.fin_told {
            self.shutdown(side, time, cx);
            if self.streams[1 - side].fin_told {
                self.close(0, time, cx);
            }
        }
    }

    /// The next bytes of a direction.
    fn chunk(&mut self, side: Side, data: &[u8], length: u64, time: u64, cx: &mut Cx<'_, '_>) {
        let client = self.announce(side, time, cx);
        let mut chunk = Chunk {
            direction: if side == client { SEND } else { RECEIVE },
            flags: if self.moved == Some(side) { 0 } else { event::CHUNK_TURN },
            connection: self.id,
            time,
            offset: self.streams[side].next,
            opposite: self.streams[1 - side].next,
            role_source: self.role_source,
            ..Chunk::default()
        };
        let (mut data, mut left) = (data, length);
        while left > 0 {
            // The last one has all that was not captured behind it.
            let (now, later) = data.split_at(data.len().min(MOST));
            let moves = if later.is_empty() { left } else { now.len() as u64 };
            chunk.length = moves as u32;
            cx.records.chunk(chunk, now);
            chunk.flags = 0;
            chunk.offset += moves;
            cx.stats.not_captured += moves - now.len() as u64;
            self.chunks += 1;
            left -= moves;
            data = later;
        }
        cx.stats.delivered += length;
        self.moved = Some(side);
        self.streams[side].next += length;
        self.streams[side].time = time;
    }

    /// Makes the connection known, before anything else is said of it. `first` has made it worth telling.
    fn announce(&mut self, first: Side, time: u64, cx: &mut Cx<'_, '_>) -> Side {
        let client = *self.client.get_or_insert_with(|| {
            self.role_source = BY_REQUEST;
            cx.tuple.client().unwrap_or(first)
        });
        if self.id == 0 {
            self.id = cx.records.connection();
            cx.stats.connections += 1;
            let mut open = cx.tuple.open(client, 6);
            (open.connection, open.time, open.role_source) = (self.id, time, self.role_source);
            (open.established, open.connect_started) = (self.established, self.connect_started);
            (open.sent, open.received) = (self.streams[client].start, self.streams[1 - client].start);
            cx.records.plain(open.as_bytes());
        }
        client
    }

    fn shutdown(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) {
        let client = self.announce(side, time, cx);
        self.streams[side].fin_told = true;
        let shutdown = Shutdown {
            kind: kind::SHUTDOWN,
            direction: if side == client { SEND } else { RECEIVE },
            connection: self.id,
            time,
            offset: self.streams[side].next,
            ..Shutdown::default()
        };
        cx.records.plain(shutdown.as_bytes());
    }

    /// Nothing more is waited for: what is held is delivered, with holes.
    pub(crate) fn flush(&mut self, time: u64, cx: &mut Cx<'_, '_>) {
        for side in [0, 1] {
            while self.skip(side, time, cx) {}
            let stream = &mut self.streams[side];
            if let Some(fin) = stream.fin.filter(|_| !stream.fin_told) {
                cx.stats.lost_given_up += fin.saturating_sub(stream.next);
                stream.next = stream.next.max(fin);
                self.shutdown(side, time, cx);
            }
        }
        if self.streams.iter().all(|stream| stream.fin_told) {
            self.close(0, time, cx);
        }
    }

    /// The connection is over. One that was never announced and was not reset goes without a word.
    pub(crate) fn close(&mut self, mut flags: u8, time: u64, cx: &mut Cx<'_, '_>) {
        // Before the flush, which may reach the end of the second direction and come here again.
        if self.closed.replace(time).is_some() {
            return;
        }
        self.flush(time, cx);
        let Some(client) = self.client.filter(|_| self.id != 0) else { return };
        let [ours, theirs] = [client, 1 - client].map(|side| &self.streams[side]);
        flags |= if ours.fin_told { event::CLOSE_FIN_SENT } else { 0 };
        flags |= if theirs.fin_told { event::CLOSE_FIN_RECEIVED } else { 0 };
        let books = Books {
            kind: kind::CLOSE,
            flags,
            role: ROLE_NETWORK,
            connection: self.id,
            time,
            sent: ours.next,
            received: theirs.next,
            calls: self.chunks,
            segments_out: self.segments[client],
            segments_in: self.segments[1 - client],
            retransmitted: self.retransmitted,
            ..Books::default()
        };
        cx.records.plain(books.as_bytes());
    }
}
