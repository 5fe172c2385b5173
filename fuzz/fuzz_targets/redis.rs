//! Any bytes, split anyhow, with gaps, in both directions: no panic, and nothing is left pending or allocated for.
//!
//! The input is a program: one byte says what is fed, the next how much; what is fed is taken from the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use steth_wire::{Bytes, Context, Direction, End, Names, Piece, Protocol, Session};

fuzz_target!(|data: &[u8]| {
    let (mut names, mut out, mut count) = (Names::default(), Vec::new(), Default::default());
    let mut cx = Context { names: &mut names, out: &mut out, count: &mut count };
    let Some(mut session) = Session::new(Protocol::Redis) else { return };
    let (mut at, mut last, mut time, mut rest) = ([0u64; 2], None, 0, data);
    while let [what, size, behind @ ..] = rest {
        let (bytes, behind) = behind.split_at((*size as usize).min(behind.len()));
        rest = behind;
        time += 1;
        let (direction, mine, other) =
            if what & 1 == 0 { (Direction::Request, 0, 1) } else { (Direction::Response, 1, 0) };
        let bytes = match what >> 1 & 15 {
            0 => Bytes::Skipped(u64::from(*size)),
            1 => Bytes::Lost(u64::from(*size)),
            2 => Bytes::Skipped(u64::from(*size) << 24),
            3 => {
                session.shutdown(direction, time, &mut cx);
                continue;
            }
            _ => Bytes::Captured(bytes),
        };
        let turn = last != Some(direction);
        let piece = Piece { offset: at[mine], opposite: at[other], time, arrival: 0, turn, bytes };
        session.feed(direction, &piece, &mut cx);
        at[mine] += piece.len();
        last = Some(direction);
    }
    let end = [End::Closed, End::Reset, End::TimedOut, End::Evicted][data.len() % 4];
    session.close(end, time + 1, &mut cx);
    session.close(end, time + 1, &mut cx);
    assert_eq!(session.pending(), 0);
    assert_eq!(cx.count.reported, cx.out.len() as u64);
    // An exchange has at least one byte of its own, on either side.
    assert!(cx.out.len() <= data.len());
});
