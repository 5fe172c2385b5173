//! The beginning of a conversation: which protocol its first bytes speak, and what is kept until that is known.

use super::datagrams::Accounts;
use super::destinations::Destinations;
use steth_event::{ROLE_SERVER, SEND};
use steth_flow::{Connection, Content, Segment};
use steth_identity::Beyond;
use steth_wire::infer::{Guess, PREFIX, infer, infer_datagram};
use steth_wire::{Bytes, Direction, Piece, Session, Transport};

/// What is kept of a connection between flow and wire.
#[derive(Debug, Default)]
pub(super) struct Talk<M> {
    pub(super) session: Option<Session>,
    /// No further attempt: the protocol is unknown, or has agreed to become something else.
    pub(super) deaf: bool,
    pub(super) tries: u8,
    /// Its first exchange has been handed on.
    pub(super) exchanged: bool,
    /// Bytes have passed that no session saw, because the protocol was not wanted: requests may wait that nobody knows of.
    pub(super) missed: bool,
    /// A capture joined in mid-stream: who was taken for the client is the server.
    pub(super) reversed: bool,
    /// When the session is to be told the time.
    pub(super) deadline: Option<u64>,
    /// Who is behind the local and the remote address, once it is known: a connection outlives the answer that led to it.
    pub(super) peers: [Option<Beyond>; 2],
    pub(super) undecided: Option<Box<Undecided>>,
    /// Of a datagram socket that is not connected.
    pub(super) destinations: Option<Box<Destinations>>,
    /// The same, of its books.
    pub(super) accounts: Option<Box<Accounts>>,
    pub(super) memo: M,
}

/// The first bytes of a message, too few to tell its protocol.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    pieces: Vec<(u8, OwnedPiece)>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct OwnedPiece {
    offset: u64,
    opposite: u64,
    time: u64,
    arrival: u64,
    turn: bool,
    bytes: Vec<u8>,
}

/// A message of this many bytes is decided or never will be.
const UNDECIDED_PIECES: usize = PREFIX;
/// Message beginnings that are looked at before a connection counts as unknown.
const TRIES: u8 = 8;

/// Packets from a file have not been through the kernel side: the same inference, here.
pub(super) fn recognise<M>(connection: &mut Connection<Talk<M>>, direction: u8, segment: &Segment<'_>) {
    let Content::Captured(bytes) = segment.content else {
        connection.state.undecided = None;
        return;
    };
    let guess = if transport(connection, segment) == Transport::Stream {
        let mut known = match &connection.state.undecided {
            Some(undecided) if !segment.turn => undecided.bytes.clone(),
            _ if segment.turn => {
                connection.state.undecided = None;
                Vec::new()
            }
            _ => return,
        };
        known.extend_from_slice(&bytes[..bytes.len().min(PREFIX)]);
        infer(&known)
    } else {
        infer_datagram(bytes, bytes.len())
    };
    match guess {
        Guess::Is { protocol, request } => {
            connection.protocol = protocol as u8;
            // Who answers is the server, whatever the ports suggested.
            connection.state.reversed = request != (direction == SEND);
        }
        Guess::More => {}
        Guess::No => {
            connection.state.undecided = None;
            connection.state.tries += 1;
            connection.state.deaf = connection.state.tries >= TRIES;
        }
    }
}

/// Keeps the beginning of a message until its protocol is known. How many bytes were not kept.
pub(super) fn keep<M>(connection: &mut Connection<Talk<M>>, direction: u8, segment: &Segment<'_>) -> u64 {
    let Content::Captured(bytes) = segment.content else { return length(&segment.content) };
    if segment.turn {
        connection.state.undecided = None;
    }
    let undecided = connection.state.undecided.get_or_insert_default();
    if undecided.pieces.len() >= UNDECIDED_PIECES || bytes.len() > 64 * 1024 {
        connection.state.undecided = None;
        return bytes.len() as u64;
    }
    undecided.bytes.extend_from_slice(&bytes[..bytes.len().min(PREFIX)]);
    undecided.pieces.push((
        direction,
        OwnedPiece {
            offset: segment.offset,
            opposite: segment.opposite,
            time: segment.time,
            arrival: segment.arrival,
            turn: segment.turn,
            bytes: bytes.to_vec(),
        },
    ));
    0
}

impl Undecided {
    /// Direction and bytes of each piece, as they came.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (u8, Piece<'_>)> {
        self.pieces.iter().map(|(direction, piece)| {
            let &OwnedPiece { offset, opposite, time, arrival, turn, ref bytes } = piece;
            (*direction, Piece { offset, opposite, time, arrival, turn, bytes: Bytes::Captured(bytes) })
        })
    }
}

pub(super) fn length(content: &Content<'_>) -> u64 {
    match content {
        Content::Captured(bytes) => bytes.len() as u64,
        Content::Skipped(n) | Content::Lost(n) => *n,
    }
}

/// Which way bytes travel, from whose end they were seen. On the network, `SEND` is client to server, unless the reader of
/// the capture took one for the other.
#[inline]
pub(super) fn towards<M>(connection: &Connection<Talk<M>>, direction: u8) -> Direction {
    let server_sends = connection.role == ROLE_SERVER || connection.state.reversed;
    if server_sends == (direction == SEND) { Direction::Response } else { Direction::Request }
}

/// What the connection's bytes travel in.
pub(super) fn transport<M>(connection: &Connection<Talk<M>>, segment: &Segment<'_>) -> Transport {
    // mDNS (RFC 6762), LLMNR (RFC 4795), and the NetBIOS name service, whose messages look alike (RFC 1002).
    const GROUPS: [u16; 3] = [5353, 5355, 137];
    match (&connection.open, &segment.content) {
        (Some(open), _) if open.transport != UDP => Transport::Stream,
        (Some(open), _) if GROUPS.contains(&open.local_port) || GROUPS.contains(&open.remote_port) => {
            Transport::Multicast
        }
        (Some(_), _) => Transport::Datagrams,
        // The announcement was lost. What makes sense as a datagram does not as the beginning of a stream.
        (None, Content::Captured(bytes)) if infer_datagram(bytes, bytes.len()) != Guess::No => Transport::Datagrams,
        (None, _) => Transport::Stream,
    }
}

/// `IPPROTO_UDP`.
pub(super) const UDP: u8 = 17;
