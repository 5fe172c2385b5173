//! Connections that were in use before the agent came: which response is whose?
//!
//! Requests that nobody has seen may wait for their responses still, and the first of those then looks like the response
//! to the first request that was seen. So what is paired at first is held until it is certain:
//!
//! - A response that is left over shows that a request was missed: everything that is held is withdrawn.
//! - The client speaks again and everything that was seen is answered: it has waited for its responses, and there was
//!   none too many.
//! - Nothing is left to be answered, and nothing comes for a while.
//!
//! What stays unknown: a client that asks again while it waits for responses that nobody has seen the requests of.

use crate::parser::Parser;
use crate::{Context, Direction, End, Exchange, Piece};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use steth_ledger::Lost;

/// Room for the exchanges that are held, shared by all connections. Those of a connection for which there is none are
/// withdrawn.
#[derive(Clone, Debug, Default)]
pub struct Room {
    held: Arc<AtomicUsize>,
}

impl Room {
    /// Most exchanges that are held at once: about as many as three of the longest pipelines that are paired at all.
    pub const MAX: usize = 3 * 4096;
}

/// A response that is still to come is not expected after so many nanoseconds of silence.
const SILENCE: u64 = 1_000_000_000;

/// What is known of a connection until its first turn is over.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    room: Room,
    held: Vec<Exchange>,
    /// A piece has come.
    begun: bool,
    /// What was paired is wrong, or may be.
    wrong: bool,
    /// When the last piece came.
    last: u64,
}

impl Joined {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, held: Vec::new(), begun: false, wrong: false, last: 0 }
    }

    /// When what is held will be certain, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<u64> {
        (!self.held.is_empty()).then_some(self.last + SILENCE)
    }

    /// Takes the exchanges that were reported since there were `before` of them, and `orphans` responses to nobody.
    fn take(&mut self, (before, orphans): (usize, u64), in_step: bool, cx: &mut Context<'_>) {
        let new = cx.out.drain(before..);
        let count = new.len();
        cx.count.reported -= count as u64;
        self.held.extend(new);
        let held = self.room.held.fetch_add(count, Ordering::Relaxed) + count;
        self.wrong |= !in_step || cx.count.lost_by(Lost::Orphan) > orphans || held > Room::MAX;
        if self.wrong {
            self.withdraw(cx);
        }
    }

    fn withdraw(&mut self, cx: &mut Context<'_>) {
        cx.count.lose(Lost::Joined, self.empty().len() as u64);
    }

    fn empty(&mut self) -> Vec<Exchange> {
        self.room.held.fetch_sub(self.held.len(), Ordering::Relaxed);
        std::mem::take(&mut self.held)
    }

    /// It is certain: what was held is reported, or is lost.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if self.wrong {
            self.withdraw(cx);
        }
        self.empty().into_iter().for_each(|exchange| cx.report(exchange));
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.empty();
    }
}

fn mark(cx: &Context<'_>) -> (usize, u64) {
    (cx.out.len(), cx.count.lost_by(Lost::Orphan))
}

/// Lets the parser do something, and holds what comes of it.
pub(crate) fn watch<P: Parser>(
    joined: &mut Option<Box<Joined>>,
    parser: &mut P,
    cx: &mut Context<'_>,
    act: impl FnOnce(&mut P, &mut Context<'_>),
) {
    let before = mark(cx);
    act(parser, cx);
    if let Some(joined) = joined {
        joined.take(before, parser.in_step(), cx);
    }
}

/// [`Parser::feed`].
#[cold]
pub(crate) fn feed<P: Parser>(
    joined: &mut Option<Box<Joined>>,
    parser: &mut P,
    direction: Direction,
    piece: &Piece<'_>,
    cx: &mut Context<'_>,
) {
    if let Some(known) = joined {
        // Whose first piece is a response has sent what that answers, and will not send more before it has it.
        let over = match direction {
            Direction::Request => known.begun && piece.turn && parser.pending() == 0,
            Direction::Response => !known.begun,
        };
        (known.begun, known.last) = (true, piece.time);
        if over {
            known.settle(cx);
            *joined = None;
        }
    }
    watch(joined, parser, cx, |parser, cx| parser.feed(direction, piece, cx));
}

/// [`Parser::tick`].
pub(crate) fn tick<P: Parser>(joined: &mut Option<Box<Joined>>, parser: &mut P, now: u64, cx: &mut Context<'_>) {
    watch(joined, parser, cx, |parser, cx| parser.tick(now, cx));
    if let Some(known) = joined
        && parser.pending() == 0
        && known.deadline().is_some_and(|deadline| deadline <= now)
    {
        known.settle(cx);
        *joined = None;
    }
}

/// [`Parser::close`]. In order, or at the agent's end, no response was left over; a reset may have come before it. What was not
/// answered at all is certain.
pub(crate) fn close<P: Parser>(
    joined: &mut Option<Box<Joined>>,
    parser: &mut P,
    end: End,
    time: u64,
    cx: &mut Context<'_>,
) {
    let before = mark(cx);
    let wrong = matches!(end, End::Reset | End::TimedOut) || parser.pending() > 0;
    parser.close(end, time, cx);
    if let Some(mut known) = joined.take() {
        cx.out[before.0..].sort_by_key(|exchange| exchange.response_bytes > 0);
        let unanswered = cx.out[before.0..].partition_point(|exchange| exchange.response_bytes == 0);
        known.wrong |= wrong;
        known.take((before.0 + unanswered, before.1), parser.in_step(), cx);
        known.settle(cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::by_hand::ByHand;
    use crate::redis::Session;

    fn joined() -> ByHand<Session> {
        ByHand { joined: Some(Box::default()), ..ByHand::default() }
    }

    fn get(n: usize) -> Vec<u8> {
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(n)
    }

    fn books(kit: &ByHand<Session>) -> (u64, u64, u64) {
        (kit.count.reported, kit.count.lost_by(Lost::Joined), kit.count.lost_by(Lost::Orphan))
    }

    #[test]
    fn what_is_answered_is_told_when_the_client_speaks_again() {
        let mut kit = joined();
        kit.ask(get(2), "$1\r\na\r\n$1\r\nb\r\n");
        assert_eq!(books(&kit), (0, 0, 0));
        kit.request(get(1));
        assert_eq!(books(&kit), (2, 0, 0));
        kit.response("$1\r\nc\r\n");
        assert_eq!(books(&kit), (3, 0, 0));
    }

    #[test]
    fn a_response_too_many_shows_that_a_request_was_missed() {
        let mut kit = joined();
        kit.ask(get(2), "$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
        assert_eq!(books(&kit), (0, 2, 1));
        kit.ask(get(1), "$1\r\nd\r\n");
        assert_eq!(books(&kit), (1, 2, 1));
    }

    #[test]
    fn what_is_answered_is_told_after_a_silence() {
        let mut kit = joined();
        kit.ask(get(1), "$1\r\na\r\n");
        let last = kit.time;
        kit.time = last + SILENCE - 1;
        kit.tick();
        assert_eq!(books(&kit), (0, 0, 0));
        kit.time += 1;
        kit.tick();
        assert_eq!((books(&kit), kit.joined.is_none(), kit.out[0].end), ((1, 0, 0), true, last));
    }

    #[test]
    fn a_client_that_does_not_wait_is_believed_when_it_has_all_that_was_seen() {
        for (surplus, expected) in [("", (3, 0, 0)), ("$1\r\nz\r\n", (0, 3, 1))] {
            let mut kit = joined();
            kit.ask(get(2), "$1\r\na\r\n").ask(get(1), "$1\r\nb\r\n$1\r\nc\r\n");
            assert_eq!(books(&kit), (0, 0, 0));
            kit.response(surplus).request(get(1));
            assert_eq!(books(&kit), expected);
        }
    }

    #[test]
    fn bytes_that_are_missing_may_hide_a_response() {
        let mut kit = joined();
        kit.ask(get(1), "$1\r\na\r\n").feed(Direction::Response, crate::Bytes::Lost(7));
        kit.request(get(1));
        assert_eq!(books(&kit), (0, 1, 0));
    }

    #[test]
    fn joined_within_responses_nothing_is_held() {
        let mut kit = joined();
        kit.response("$1\r\na\r\n").ask(get(1), "$1\r\nb\r\n");
        assert_eq!(books(&kit), (1, 0, 1));
    }

    #[test]
    fn the_end_tells_what_is_certain() {
        for (end, asked, books_then) in [
            (End::Closed, 1, (1, 0, 0)),
            (End::Evicted, 1, (1, 0, 0)),
            (End::Reset, 1, (0, 1, 0)),
            // Whose response it was is not known; that one request had none is.
            (End::Closed, 2, (1, 1, 0)),
        ] {
            let mut kit = joined();
            kit.ask(get(asked), "$1\r\na\r\n").close(end);
            assert_eq!(books(&kit), books_then, "{end:?} {asked}");
        }
    }

    #[test]
    fn all_connections_together_hold_no_more_than_there_is_room_for() {
        let room = Room::default();
        let with_room = || ByHand { joined: Some(Box::new(Joined::new(room.clone()))), ..ByHand::<Session>::default() };
        let (mut one, mut two, mut three, mut late) = (with_room(), with_room(), with_room(), with_room());
        let part = Room::MAX / 3;
        for kit in [&mut one, &mut two, &mut three] {
            kit.ask(get(part), "$1\r\na\r\n".repeat(part));
        }
        late.ask(get(1), "$1\r\na\r\n");
        assert_eq!((room.held.load(Ordering::Relaxed), books(&late)), (Room::MAX, (0, 1, 0)));
        one.request(get(1));
        two.close(End::Reset);
        drop(three);
        assert_eq!((books(&one), books(&two)), ((part as u64, 0, 0), (0, part as u64, 0)));
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }
}
