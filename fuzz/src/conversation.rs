//! What the protocol targets share: the input is a script, which this plays to a session.
//!
//! A step is a byte (what, and in which direction), a length byte, and that many bytes:
//!
//! ```text
//! bit 0      0 from the client, 1 from the server
//! bits 1-3   0, 1, 2, 3: these bytes     4, 5: as many bytes that were not captured, that were lost
//!            6: the direction ends       7: the connection ends, one way or another
//! bits 4-5   for 4 and 5: times 1, 256, 64 Ki, 16 Mi
//! bits 6-7   how long after the step before: a nanosecond, a millisecond, a second, six
//! ```
//!
//! A connection with a script of odd length was in use before.

use std::sync::Arc;
use steth_wire::http1::{Routing, Rules};
use steth_wire::{
    Bytes, Context, Direction, Domains, End, Exchange, Names, Piece, Protocol, Room, Session, Statements, Transport,
};

/// What came of a script.
pub struct Played {
    /// The exchanges, in order.
    pub exchanges: Vec<Exchange>,
    /// How many bytes were fed, whether captured or not.
    pub fed: u64,
}

/// Plays a script, ends the connection, and asserts what holds for every protocol: nothing is left pending, ending twice
/// changes nothing, every exchange was counted, and its end is not before its start.
pub fn play(protocol: Protocol, script: &[u8]) -> Played {
    play_over(Transport::Stream, protocol, script)
}

/// The same over any transport.
pub fn play_over(transport: Transport, protocol: Protocol, script: &[u8]) -> Played {
    let (mut names, mut out, mut count) = (Names::default(), Vec::new(), steth_ledger::Exchanges::default());
    let (mut statements, mut domains) = (Statements::default(), Domains::default());
    let mut cx = Context {
        names: &mut names,
        statements: &mut statements,
        domains: &mut domains,
        out: &mut out,
        count: &mut count,
    };
    // Few routes, so that they run out; rules of any host and of one.
    let rules = Rules::parse(&["h/{host}/a", "/a/*rest", "/{one}"]).expect("rules");
    let routing = Arc::new(Routing { rules, routes_per_service: 3 });
    let mut session = Session::to_service(protocol, transport, b"service", &routing, cx.names);
    if script.len() % 2 == 1 {
        session = session.joined(&Room::default());
    }
    let (mut position, mut time, mut last) = ([0u64; 2], 0, None);
    let mut rest = script;
    while let [command, length, behind @ ..] = rest {
        let direction = if command & 1 == 0 { Direction::Request } else { Direction::Response };
        let (bytes, next) = behind.split_at(usize::from(*length).min(behind.len()));
        rest = next;
        time += [1, 1_000_000, 1_000_000_000, 6_000_000_000][usize::from(command >> 6)];
        session.tick(time, &mut cx);
        let many = u64::from(*length) << (8 * (command >> 4 & 3));
        let bytes = match command >> 1 & 7 {
            0..=3 => Bytes::Captured(bytes),
            4 => Bytes::Skipped(many),
            5 => Bytes::Lost(many),
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
    session.close(End::Closed, time + 1, &mut cx);
    assert_eq!(session.pending(), 0, "requests left behind");
    let reported = cx.count.reported;
    session.close(End::Reset, time + 2, &mut cx);
    assert_eq!(cx.count.reported, reported, "the second end was not idle");
    assert_eq!(reported, out.len() as u64, "an exchange was not counted");
    assert!(out.iter().all(|exchange| exchange.start <= exchange.end), "an exchange ends before it starts");
    Played { exchanges: out, fed: position[0] + position[1] }
}
