//! Where the payload of a segment belongs, and when it is its turn.

use super::{Connection, Cx, Segment};
use crate::stream::{Held, WINDOW};
use crate::tuple::Side;
use std::borrow::Cow;

impl<'a> Connection<'a> {
    /// The payload of a segment, and its FIN.
    pub(super) fn data(&mut self, side: Side, mut segment: Segment<'a>, cx: &mut Cx<'_, '_>) {
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
            let ahead = stream.distance(sequence.wrapping_add(length as u32));
            if (0..=WINDOW).contains(&ahead) {
                let beyond = stream.next + ahead.cast_unsigned();
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
        // Acknowledged before it was captured: it left when the other direction was no further than it says itself.
        let late = offset < stream.acknowledged;
        let plain = ahead <= 0 && stream.is_plain() && ready;
        let opposite = if late { self.streams[1 - side].position(segment.acknowledged) } else { u64::MAX };
        let held = Held { data, length, time: segment.time, opposite };
        if plain {
            self.chunk(side, &held, segment.time, cx);
            return;
        }

        cx.stats.reordered += u64::from(ahead > 0);
        let stream = &mut self.streams[side];
        let cost = stream.cost;
        let repeated = stream.insert(offset, held);
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
    pub(super) fn skip(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) -> bool {
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
    pub(super) fn drain(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) {
        // An announcement says where both directions begin: the payload of a SYN waits for the answer.
        if !self.streams[1 - side].started {
            return;
        }
        while let Some(held) = self.pop(side, cx) {
            // What filled the hole came later than this, and no byte is there before the ones in front of it.
            let time = held.time.max(self.streams[side].time);
            self.chunk(side, &held, time, cx);
        }
        let stream = &self.streams[side];
        if stream.fin.is_some_and(|fin| stream.reached() >= fin) && !stream.fin_told {
            self.shutdown(side, time, cx);
            if self.streams[1 - side].fin_told {
                self.close(0, time, cx);
            }
        }
    }

    /// What is next among the segments held. A hole before it is given up, once the receiver
    /// has acknowledged what lies behind.
    fn pop(&mut self, side: Side, cx: &mut Cx<'_, '_>) -> Option<Held<'a>> {
        let stream = &mut self.streams[side];
        let first = stream.first()?;
        if first > stream.next && first <= stream.acknowledged {
            cx.stats.lost_acknowledged += first - stream.next;
            stream.next = first;
        }
        let cost = stream.cost;
        let held = stream.pop();
        *cx.held -= cost - stream.cost;
        held
    }
}
