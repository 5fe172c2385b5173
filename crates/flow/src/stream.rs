//! One direction of a connection.

/// The next bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Position of the first byte.
    pub offset: u64,
    /// How far the other direction was when these bytes moved.
    pub opposite: u64,
    /// When they moved.
    pub time: u64,
    /// When received bytes reached the socket; 0 if not known.
    pub arrival: u64,
    /// First of its direction since the other direction moved, and nothing is missing in between.
    pub turn: bool,
    /// The bytes.
    pub content: Content<'a>,
}

/// What is known of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// They are here.
    Captured(&'a [u8]),
    /// They passed and were not copied.
    Skipped(u64),
    /// They passed unseen.
    Lost(u64),
}

/// Position and end of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    /// Position of the next byte to be handed on; meaningless before `placed`.
    pub(crate) expected: u64,
    pub(crate) placed: bool,
    /// Position behind the last byte, and when the FIN passed.
    pub(crate) end: Option<(u64, u64)>,
    pub(crate) ended: bool,
}

impl Stream {
    /// The first thing known of this direction is that it is at `offset`.
    pub(crate) fn place(&mut self, offset: u64) {
        if !self.placed {
            (self.expected, self.placed) = (offset, true);
        }
    }

    /// Whether everything before `offset` has been handed on.
    pub(crate) fn reached(&self, offset: u64) -> bool {
        !self.placed || self.expected >= offset
    }
}
