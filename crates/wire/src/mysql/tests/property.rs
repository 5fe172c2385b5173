//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::by_hand::{end, hole, holes, no_wrong_pair, sizes};
use proptest::prelude::*;

/// One command and its answer, which is nothing if it has none. `eof`: there are EOF packets.
fn exchange(eof: bool) -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let value = prop::collection::vec(any::<u8>(), 1..300);
    prop_oneof![
        value.clone().prop_map(|v| (packet(0, &[b"\x03INSERT ".to_vec(), v].concat()), packet(1, OK))),
        (prop::collection::vec(value, 0..6), any::<bool>()).prop_map(move |(values, more)| {
            let values: Vec<Vec<u8>> = values.iter().map(|v| [&b"\0"[..], v].concat()).collect();
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let mut answer = rows(1, &values, eof, if more { 10 } else { 2 });
            if more {
                let next = 4 + values.len() as u8 + u8::from(eof);
                answer.extend(packet(next, OK));
            }
            (execute(3), answer)
        }),
        Just((PING.to_vec(), packet(1, OK))),
        Just((query("SELEC 1"), packet(1, &error(1064, "42000", "You have an error in your SQL syntax")))),
        Just((number(0x19, 3), Vec::new())),
        Just((packet(0, b"\x18\x03\0\0\0\0\0long data"), Vec::new())),
        Just((
            prepare("SELECT a FROM t WHERE b = ?"),
            packets(1, if eof { &[PREPARED, COLUMN, EOF, COLUMN, EOF] } else { &[PREPARED, COLUMN, COLUMN] })
        )),
        Just((query("ALTER TABLE t"), packets(1, &[b"\xff\xff\xff\x01\x01\x02\x10\x27\0\x05alter", OK]))),
        Just((packet(0, b"\x02shop"), packet(1, OK))),
        Just((packet(0, b"\x09"), packet(1, b"Uptime: 10"))),
        Just((packet(0, b"\x04t\0"), packets(1, &[COLUMN, COLUMN, EOF]))),
        Just((packet(0, b"\x1c\x03\0\0\0\x02\0\0\0"), packets(1, &[b"\0\0\x01a", EOF]))),
    ]
}

/// Statement 3, with a column and a parameter.
const PREPARED: &[u8] = &[0, 3, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];

/// A command's bytes and its answer's, by rounds.
type Rounds = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

/// Rounds of pipelined exchanges, the requests of a round and their answers; and whether there are EOF packets.
fn conversation() -> impl Strategy<Value = (bool, Rounds)> {
    any::<bool>()
        .prop_flat_map(|eof| (Just(eof), prop::collection::vec(prop::collection::vec(exchange(eof), 1..5), 1..6)))
}

/// Logs in, or joins late; then the rounds.
fn run(
    login: Option<u32>,
    rounds: &[Vec<(Vec<u8>, Vec<u8>)>],
    mut feed: impl FnMut(&mut Kit, Direction, &[u8]),
) -> Kit {
    let mut kit = Kit::default();
    if let Some(flags) = login {
        feed(&mut kit, Direction::Response, &greeting("11.4.2-MariaDB"));
        feed(&mut kit, Direction::Request, &self::login(flags, "shop"));
        feed(&mut kit, Direction::Response, &packet(2, OK));
    }
    for round in rounds {
        let requests: Vec<u8> = round.iter().flat_map(|(request, _)| request.clone()).collect();
        let answers: Vec<u8> = round.iter().flat_map(|(_, answer)| answer.clone()).collect();
        feed(&mut kit, Direction::Request, &requests);
        feed(&mut kit, Direction::Response, &answers);
    }
    kit.close(End::Closed);
    kit
}

proptest! {
    #[test]
    fn any_split_gives_the_same_exchanges(login: bool, (eof, rounds) in conversation(), sizes in sizes()) {
        let login = login.then_some(u32::from(!eof) << 24);
        let whole = run(login, &rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        let mut sizes = sizes;
        let parts = run(login, &rounds, |kit, direction, bytes| kit.in_pieces(direction, bytes, &mut sizes));
        prop_assert_eq!(whole.facts(), parts.facts());
        let commands = rounds.iter().flatten().count() as u64 + u64::from(login.is_some());
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (commands, 0));
        prop_assert!(whole.out.iter().all(|e| e.outcome != Outcome::Unanswered));
    }

    #[test]
    fn any_gap_keeps_the_ledger(
        login: bool, (eof, rounds) in conversation(), sizes in sizes(),
        holes in holes(), end in end(),
    ) {
        let login = login.then_some(u32::from(!eof) << 24);
        let (mut sizes, mut holes) = (sizes, holes);
        let mut kit = run(login, &rounds, |kit, direction, bytes| kit.with_holes(direction, bytes, &mut sizes, &mut holes));
        kit.close(end);
        let truth = run(login, &rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        no_wrong_pair(&kit, &truth)?;
        let begun = kit.session.commands.begun;
        prop_assert_eq!(begun, kit.count.reported + kit.count.lost() - kit.strays, "{:?} {:?}", kit.count, kit.facts());
        prop_assert_eq!(kit.session.pending(), 0);
    }

    #[test]
    fn any_bytes_are_survived(
        compressed: bool,
        pieces in prop::collection::vec((any::<bool>(), 0..12u8, prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(b"\0\0\0\0\x01\x02\x03\x05\x07\x0b\x16\x17\x1c\xfb\xfe\xff".to_vec()), 0..40),
        ]), 0..60),
    ) {
        let mut kit = Kit::default();
        if compressed {
            kit.response(greeting("8.0.36"));
            kit.ask(self::login(1 << 5, ""), packet(2, OK));
        }
        for (request, kind, bytes) in pieces {
            let direction = if request { Direction::Request } else { Direction::Response };
            kit.feed(direction, hole(kind, &bytes));
        }
        kit.close(End::Closed);
        prop_assert_eq!(kit.session.commands.begun, kit.count.reported + kit.count.lost() - kit.strays);
        prop_assert_eq!(kit.session.pending(), 0);
    }
}
