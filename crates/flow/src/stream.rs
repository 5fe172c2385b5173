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
    /// Where it was placed.
    first: u64,
    /// Of the last hole, what has not come after all: first byte, and the one behind the last.
    pub(crate) hole: (u64, u64),
    /// Position behind the last byte, and when the FIN passed.
    pub(crate) end: Option<(u64, u64)>,
    pub(crate) ended: bool,
}

impl Stream {
    /// The first thing known of this direction is that it is at `offset`.
    pub(crate) fn place(&mut self, offset: u64) {
        if !self.placed {
            (self.expected, self.first, self.placed) = (offset, offset, true);
        }
    }

    /// Whether everything before `offset` has been handed on.
    pub(crate) fn reached(&self, offset: u64) -> bool {
        !self.placed || self.expected >= offset
    }

    /// Whether these bytes, which come now, were given up before, or lie before the first that was expected. Asked again,
    /// they have come.
    pub(crate) fn gave_up(&mut self, start: u64, end: u64) -> bool {
        let (from, to) = self.hole;
        let in_hole = from <= start && end <= to;
        if in_hole {
            self.hole.0 = end;
        }
        in_hole || end <= self.first
    }
}
