//! DNS over UDP and TCP.
//!
//! Specification: RFC 1035 (names, messages), RFC 7766 (TCP: pipelining, answers out of order), RFC 6891 (EDNS), RFC 2181
//! (TTL), RFC 5936 and 1995 (zone transfers), RFC 8490 (stateful operations), as far as they concern what is read:
//!
//! * `name`: names, with pointers, and how they are written;
//! * `message`: header, question, outlines of the records;
//! * `answer`: the code (EDNS's upper bits included) and the addresses behind a chain of aliases;
//! * `frames`: messages out of a TCP stream, also behind a gap;
//! * `lookup`: one query and its exchange;
//! * `talk`: which response is whose, repetitions, time-outs;
//! * `early`: answers that were seen before their query;
//! * `domains`: few enough names for operations, and the addresses on their way out.
//!
//! A response belongs to the query with its id and its question (in any case: resolvers mix cases on purpose), asked on the
//! same socket in the other direction. A query that is repeated while it waits is one lookup with two attempts. Who is not
//! answered for 5 seconds is not answered; that is decided a little later, so that the repetition of a client that waits
//! for just these 5 seconds is still a repetition.
//!
//! A truncated answer (TC) and the query over TCP that follows are two exchanges, on two sockets. One name server may ask
//! and be asked on one UDP socket: the bit QR tells, not who sent first. Messages to a group (mDNS, LLMNR) are
//! recognised by [`Transport::Multicast`] and left alone: anybody may answer them, or nobody.
//!
//! One socket that talks to many clients does not show who they are. Two that ask the same with the same id at once are
//! taken for one that repeats itself: one lookup, two attempts.
//!
//! Nothing else of the records is looked at.

mod answer;
mod attributes;
mod domains;
mod early;
mod frames;
mod infer;
mod lookup;
mod message;
mod mnemonic;
mod name;
mod talk;
#[cfg(test)]
mod tests;

pub use answer::Addresses;
pub use attributes::Attributes;
pub use domains::Domains;

use crate::http1::Routing;
use crate::parser::{Begin, Parser};
use crate::{Bytes, Context, Cut, Direction, End, Names, Piece, ShareOf, State, Transport};
use frames::{Crossed, Frames, Message, Next};
pub(crate) use infer::{infer, infer_datagram};
use std::sync::Arc;
use steth_ledger::Lost;
use talk::{Sense, Talk, reason};

/// Who has not been answered for so long is not answered.
const LIMIT: u64 = 5_000_000_000;
/// When that is decided.
const PATIENCE: u64 = 5_500_000_000;
/// Questions of one service that have a name of their own.
const QUESTIONS: u32 = 1000;
/// Messages in a row that make no sense, after which this is not DNS.
const STRIKES: u8 = 5;

/// One connection.
#[derive(Debug)]
pub struct Session {
    talk: Talk,
    /// Requests and responses of a stream.
    frames: [Frames; 2],
    /// The datagram that came last: its direction, where it ended, when, and what it was.
    last: Option<(Direction, u64, u64, Sense)>,
    strikes: u8,
    state: State,
}

impl Begin for Session {
    fn new(transport: Transport) -> Self {
        Self {
            talk: Talk::new(transport == Transport::Stream),
            frames: [Frames::new(Direction::Request), Frames::new(Direction::Response)],
            last: None,
            strikes: 0,
            state: if transport == Transport::Multicast { State::Opaque } else { State::Parsing },
        }
    }
    /// The same of a socket of somebody who is known by these bytes, and who has a share of `names` for what he asks.
    fn to_service(transport: Transport, service: &[u8], _: &Arc<Routing>, names: &mut Names) -> Self {
        let mut session = Self::new(transport);
        session.talk.share = names.share(ShareOf::Questions, service, QUESTIONS);
        session
    }
}

impl Parser for Session {
    #[inline]
    fn feed(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        if self.state != State::Parsing {
            return;
        }
        if self.talk.stream {
            self.stream(direction, piece, cx);
        } else {
            self.datagram(direction, piece, cx);
        }
        if self.talk.joined && (direction == Direction::Response || self.talk.pending() > 0) {
            self.talk.joined = false;
        }
        if self.strikes >= STRIKES {
            self.state = State::Misinferred;
            self.talk.withdraw(cx);
        }
    }

    /// One direction has ended in order. Behind the responses' end nobody is answered any more.
    fn shutdown(&mut self, direction: Direction, time: u64, cx: &mut Context<'_>) {
        if direction == Direction::Response {
            self.talk.settle(End::Closed, time, cx);
        }
    }

    fn close(&mut self, end: End, time: u64, cx: &mut Context<'_>) {
        if self.state == State::Parsing {
            // A query whose end was not seen is a query; a response whose end was not seen answers nobody.
            let [requests, _] = &mut self.frames;
            let Crossed { message, abandoned, .. } = requests.end(time);
            match message {
                Some(message) if message.bytes.len() >= message::HEADER => drop(self.talk.message(&message, cx)),
                None if !abandoned => {}
                _ => self.talk.unreadable(Direction::Request, time, Lost::Truncated, cx),
            }
        }
        self.talk.settle(end, time, cx);
    }

    fn state(&self) -> State {
        self.state
    }

    /// Lookups that wait for their response.
    fn pending(&self) -> usize {
        self.talk.pending()
    }

    fn in_step(&self) -> bool {
        true
    }

    fn joined(&mut self) {
        self.talk.joined = true;
    }

    fn pairs_by_order(&self) -> bool {
        false
    }

    /// When lookups will have timed out, if nothing happens before.
    #[inline]
    fn deadline(&self) -> Option<u64> {
        self.talk.deadline()
    }

    fn tick(&mut self, now: u64, cx: &mut Context<'_>) {
        self.talk.tick(now, cx);
    }
}

impl Session {
    #[inline]
    fn datagram(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        let last = self.last.take();
        if let (Bytes::Skipped(n), Some((before, end, time, sense))) = (piece.bytes, last)
            && (before, end, time) == (direction, piece.offset, piece.time)
        {
            return self.talk.rest(sense, n, cx);
        }
        self.talk.release(cx);
        match piece.bytes {
            Bytes::Captured([]) => {}
            Bytes::Captured(bytes) => {
                let message = Message {
                    direction,
                    bytes,
                    cut: None,
                    offset: piece.offset,
                    size: piece.len(),
                    start: piece.time,
                    arrival: piece.arrival,
                    end: piece.time,
                };
                let sense = self.talk.message(&message, cx);
                self.judge(sense);
                self.last = Some((direction, piece.offset + piece.len(), piece.time, sense));
            }
            Bytes::Skipped(_) => self.talk.unreadable(direction, piece.time, Lost::Truncated, cx),
            Bytes::Lost(_) => self.talk.missing(direction, piece.time, Cut::Lost),
        }
    }

    fn stream(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) {
        let [requests, responses] = &mut self.frames;
        let frames = if direction == Direction::Request { requests } else { responses };
        let cut = match piece.bytes {
            Bytes::Captured(bytes) => {
                let (mut at, mut sense, was_deaf) = (0, Sense::Unseen, frames.is_deaf());
                loop {
                    match frames.read(bytes, &mut at, piece) {
                        Next::More => break,
                        Next::Message(message) => sense = self.talk.message(&message, cx),
                        Next::Bad => {
                            sense = Sense::Bad;
                            self.talk.unreadable(direction, piece.time, Lost::Parse, cx);
                        }
                    }
                    if sense == Sense::Bad {
                        frames.deafen();
                        sense = Sense::Unseen;
                        self.strikes += 1;
                        if self.strikes >= STRIKES {
                            return;
                        }
                    }
                }
                // A turn that begins with no message at all.
                let lost = was_deaf && frames.is_deaf() && piece.turn && bytes.len() > message::HEADER;
                return self.judge(if lost { Sense::Bad } else { sense });
            }
            Bytes::Skipped(_) => Cut::Skipped,
            Bytes::Lost(_) => Cut::Lost,
        };
        let Crossed { message, abandoned, beyond } = frames.cross(piece.len(), cut, piece);
        if let Some(message) = message {
            self.talk.message(&message, cx);
        }
        if abandoned {
            self.talk.unreadable(direction, piece.time, reason(cut), cx);
        }
        if beyond {
            self.talk.missing(direction, piece.time, cut);
        }
    }

    #[inline]
    fn judge(&mut self, sense: Sense) {
        match sense {
            Sense::Bad => self.strikes += 1,
            Sense::Query | Sense::Response => self.strikes = 0,
            Sense::Unseen => {}
        }
    }
}
