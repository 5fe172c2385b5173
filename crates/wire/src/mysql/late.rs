//! Joining late: whether a connection whose login was not seen speaks the compressed protocol.
//!
//! Its first request bytes tell: a frame has a header of seven bytes, and what is in it fits to it (`infer`). A server
//! reads a header by a call of its own, so that they may come in parts; those are held, and no more than a dozen bytes of them.

use super::frames::Frames;
use super::infer::is_frame;
use super::{Phase, Session};
use crate::infer::Guess;
use crate::{Bytes, Context, Direction, Piece};

/// What [`is_frame`] looks at.
const WANTED: usize = 12;

/// Request bytes that it is not known of what they are, as one piece.
#[derive(Debug)]
pub(super) struct Held {
    bytes: [u8; WANTED],
    have: usize,
    /// The first of them.
    first: Piece<'static>,
}

impl Session {
    /// Whether this piece is held, too.
    #[cold]
    pub(super) fn hold(&mut self, direction: Direction, piece: &Piece<'_>, cx: &mut Context<'_>) -> bool {
        let Bytes::Captured(new) = piece.bytes else {
            self.let_go(cx);
            return false;
        };
        if direction == Direction::Response || self.frames.is_some() {
            self.let_go(cx);
            return false;
        }
        if self.held.is_none() && !(piece.turn && self.commands.idle()) {
            return false;
        }
        let (mut bytes, have) = self.held.as_ref().map_or(([0; WANTED], 0), |held| (held.bytes, held.have));
        for (to, from) in bytes.iter_mut().skip(have).zip(new) {
            *to = *from;
        }
        let all = (have + new.len()).min(WANTED);
        match is_frame(bytes.get(..all).unwrap_or_default()) {
            Guess::More if all == have + new.len() => {
                let Piece { offset, opposite, time, arrival, turn, .. } = *piece;
                let bare = Piece { offset, opposite, time, arrival, turn, bytes: Bytes::Captured(&[]) };
                let first = self.held.take().map_or(bare, |held| held.first);
                self.held = Some(Box::new(Held { bytes, have: all, first }));
                return true;
            }
            Guess::Is { .. } => {
                self.phase = Phase::Commands;
                self.frames = Some(Box::new(Frames::unknown()));
            }
            Guess::More | Guess::No => {}
        }
        self.let_go(cx);
        false
    }

    /// What is held goes on.
    pub(super) fn let_go(&mut self, cx: &mut Context<'_>) {
        if let Some(held) = self.held.take() {
            let bytes = Bytes::Captured(held.bytes.get(..held.have).unwrap_or_default());
            self.go_on(Direction::Request, &Piece { bytes, ..held.first }, cx);
        }
    }
}
