//! Writes records, all in one buffer.

use steth_event::{Chunk, Clock, IntoBytes, LAG_UNKNOWN, ROLE_NETWORK, Tick, kind};

/// Most payload bytes in one chunk, as in the kernel side.
pub(crate) const MOST: usize = 16 * 1024;

/// Where records go.
pub(crate) struct Records<'e> {
    emit: &'e mut dyn FnMut(&[u8]),
    record: Vec<u8>,
    pub(crate) count: u64,
    /// The last connection number given out.
    connections: u64,
}

impl<'e> Records<'e> {
    pub(crate) fn new(emit: &'e mut dyn FnMut(&[u8])) -> Self {
        Self { emit, record: Vec::new(), count: 0, connections: 0 }
    }

    /// The next connection's number.
    pub(crate) fn connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// A record without a tail.
    pub(crate) fn plain(&mut self, record: &[u8]) {
        self.count += 1;
        (self.emit)(record);
    }

    /// A chunk of what the capture has; the rest of its fields are the caller's.
    pub(crate) fn chunk(&mut self, mut chunk: Chunk, data: &[u8]) {
        let data = &data[..data.len().min(MOST)];
        (chunk.kind, chunk.role, chunk.lag_us) = (kind::CHUNK, ROLE_NETWORK, LAG_UNKNOWN);
        chunk.captured = data.len() as u16;
        self.record.clear();
        self.record.extend_from_slice(chunk.as_bytes());
        self.record.extend_from_slice(data);
        self.count += 1;
        (self.emit)(&self.record);
    }

    /// Times are wall-clock already.
    pub(crate) fn clock(&mut self, time: u64) {
        self.plain(Clock { kind: kind::CLOCK, monotonic: time, ..Clock::default() }.as_bytes());
    }

    pub(crate) fn tick(&mut self, time: u64) {
        self.plain(Tick { kind: kind::TICK, time, ..Tick::default() }.as_bytes());
    }
}
