//! One TCP connection as seen from the network: what its segments mean ([`order`] for their payload, [`tell`] for what is
//! made of it).

mod order;
mod tell;

use crate::limits::Limits;
use crate::records::Records;
use crate::stats::TcpStats;
use crate::stream::{Stream, WINDOW};
use crate::tuple::{Side, Tuple};
use std::borrow::Cow;
use steth_event as event;

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
            self.drain(1 - side, segment.time, cx);
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

    /// `side`'s bytes have arrived as far as the segment says.
    ///
    /// What the capture does not have of them by now, it may have later: packets of two directions can swap on their way
    /// into a file. So the place is kept, and only the chunks that follow say how far the direction must have come.
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
        let target = (stream.next + ahead.cast_unsigned()).min(stream.fin.unwrap_or(u64::MAX));
        if target > stream.reached() {
            // Bytes that are missing have moved as well: what comes behind them is not the first of its turn.
            let hole = stream.first() != Some(stream.next);
            stream.acknowledged = target;
            if hole {
                self.moved = Some(side);
            }
            self.drain(side, segment.time, cx);
            let stream = &mut self.streams[side];
            let missing = target.saturating_sub(stream.next);
            if missing > 0 {
                self.moved = Some(side);
            }
            // No slip is that long: this direction, or a part of it, is not in the capture at all.
            if missing > cx.limits.bytes as u64 {
                cx.stats.lost_acknowledged += missing;
                stream.next = target;
            }
        }
    }
}
