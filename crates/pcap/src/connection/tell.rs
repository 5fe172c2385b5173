//! The records of a connection.

use super::{BY_REQUEST, Connection, Cx};
use crate::records::MOST;
use crate::stream::Held;
use crate::tuple::Side;
use steth_event as event;
use steth_event::{Books, Chunk, IntoBytes, RECEIVE, ROLE_NETWORK, SEND, Shutdown, kind};

impl<'a> Connection<'a> {
    /// The next bytes of a direction.
    pub(super) fn chunk(&mut self, side: Side, held: &Held<'a>, time: u64, cx: &mut Cx<'_, '_>) {
        let client = self.announce(side, time, cx);
        let mut chunk = Chunk {
            direction: if side == client { SEND } else { RECEIVE },
            flags: if self.moved == Some(side) { 0 } else { event::CHUNK_TURN },
            connection: self.id,
            time,
            offset: self.streams[side].next,
            opposite: self.streams[1 - side].reached().min(held.opposite),
            role_source: self.role_source,
            ..Chunk::default()
        };
        let (mut data, mut left) = (&held.data[..], held.length);
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
        cx.stats.delivered += held.length;
        self.moved = Some(side);
        self.streams[side].next += held.length;
        self.streams[side].time = time;
    }

    /// Makes the connection known, before anything else is said of it. `first` has made it worth telling.
    pub(super) fn announce(&mut self, first: Side, time: u64, cx: &mut Cx<'_, '_>) -> Side {
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
            // The handshake is not in the file.
            open.joined = u8::from(self.established == 0);
            (open.sent, open.received) = (self.streams[client].start, self.streams[1 - client].start);
            cx.records.plain(open.as_bytes());
        }
        client
    }

    pub(super) fn shutdown(&mut self, side: Side, time: u64, cx: &mut Cx<'_, '_>) {
        let client = self.announce(side, time, cx);
        self.streams[side].fin_told = true;
        let shutdown = Shutdown {
            kind: kind::SHUTDOWN,
            direction: if side == client { SEND } else { RECEIVE },
            connection: self.id,
            time,
            offset: self.streams[side].reached(),
            ..Shutdown::default()
        };
        cx.records.plain(shutdown.as_bytes());
    }

    /// Nothing more is waited for: what is held is delivered, with holes.
    pub(crate) fn flush(&mut self, time: u64, cx: &mut Cx<'_, '_>) {
        for side in [0, 1] {
            while self.skip(side, time, cx) {}
            let stream = &mut self.streams[side];
            cx.stats.lost_acknowledged += stream.reached() - stream.next;
            stream.next = stream.reached();
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
