//! HTTP/1 sessions on arbitrary pieces: no panic, and the ledger's count agrees with what came out.
//!
//! The input is a script. Every command is a byte (what to do, and in which direction) and a length byte, followed by
//! that many bytes to feed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use steth_wire::{Bytes, Context, Direction, End, Names, Piece, http1::Session};

fuzz_target!(|script: &[u8]| {
    let (mut names, mut out, mut count) = (Names::default(), Vec::new(), steth_ledger::Exchanges::default());
    let mut cx = Context { names: &mut names, out: &mut out, count: &mut count };
    let mut session = Session::default();
    let (mut position, mut time, mut last) = ([0u64; 2], 0, None);
    let mut rest = script;
    while let [command, length, behind @ ..] = rest {
        let direction = if command & 1 == 0 { Direction::Request } else { Direction::Response };
        let n = usize::from(*length).min(behind.len());
        let (bytes, next) = behind.split_at(n);
        rest = next;
        time += 1;
        let bytes = match command >> 1 & 7 {
            0..=3 => Bytes::Captured(bytes),
            4 => Bytes::Skipped(u64::from(*length)),
            5 => Bytes::Lost(u64::from(*length) << 20),
            6 => {
                session.shutdown(direction, time, &mut cx);
                continue;
            }
            _ => {
                let end = [End::Closed, End::Reset, End::TimedOut, End::Evicted][usize::from(*length) % 4];
                session.close(end, time, &mut cx);
                continue;
            }
        };
        let piece = Piece {
            offset: position[direction as usize],
            opposite: position[direction.opposite() as usize],
            time,
            arrival: 0,
            turn: last.replace(direction) != Some(direction),
            bytes,
        };
        position[direction as usize] += piece.len();
        session.feed(direction, &piece, &mut cx);
    }
    session.close(End::Closed, time, &mut cx);
    assert_eq!(session.pending(), 0);
    assert_eq!(count.reported, out.len() as u64);
});
