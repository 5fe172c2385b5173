//! What a session is fed with.

/// Which way bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Request,
    /// Server to client.
    Response,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Direction::Request => Direction::Response,
            Direction::Response => Direction::Request,
        }
    }
}

/// What the bytes travel in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// An ordered stream: TCP, unix stream sockets. Where a piece ends means nothing.
    #[default]
    Stream,
    /// Datagrams: each piece is one; bytes that were not captured of one are a piece of their own, behind it and with its
    /// time.
    Datagrams,
    /// Datagrams to a group, of which anybody may answer, or nobody (mDNS, LLMNR).
    Multicast,
}

/// The next bytes of one direction, in order. Pieces of one direction are contiguous: each begins where the one before
/// ended, because what is missing is itself a piece ([`Bytes::Lost`]).
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Position of the first byte in its direction.
    pub offset: u64,
    /// Position of the next byte of the *other* direction when these bytes moved. A response to a request in this
    /// piece cannot begin before it.
    pub opposite: u64,
    /// When the bytes left (sent) or were read (received), nanoseconds, monotonic.
    pub time: u64,
    /// When received bytes reached the socket, nanoseconds; 0 if not known.
    pub arrival: u64,
    /// First piece of its direction since the other direction moved.
    pub turn: bool,
    /// The bytes, or how many there were.
    pub bytes: Bytes<'a>,
}

/// The content of a [`Piece`].
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// Captured.
    Captured(&'a [u8]),
    /// They passed, and were not copied: beyond the capture limit, sendfile, io_uring, an unreadable page.
    Skipped(u64),
    /// They passed unseen: the record was lost.
    Lost(u64),
}

impl Piece<'_> {
    /// How many bytes passed.
    #[must_use]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        match self.bytes {
            Bytes::Captured(bytes) => bytes.len() as u64,
            Bytes::Skipped(n) | Bytes::Lost(n) => n,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed in order.
    Closed,
    /// Reset by either side.
    Reset,
    /// The kernel gave up on the peer.
    TimedOut,
    /// The agent gave it up: idle for too long, or a limit was reached, or the agent ends.
    Evicted,
}
