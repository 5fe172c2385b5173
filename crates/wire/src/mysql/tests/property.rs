//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
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

/// What must not depend on how the bytes were split.
fn facts(kit: &Kit) -> Vec<String> {
    let fact = |e: &crate::Exchange| {
        let mut all = format!(
            "{:06} {} {:?} {:?} {} {} {} {}",
            e.request_offset,
            kit.names.get(e.operation),
            e.status,
            e.outcome,
            e.truncated,
            e.request_bytes,
            e.response_bytes,
            e.response_offset,
        );
        e.attributes(crate::Side::Client, &kit.names, &mut |key, value| all += &format!(" {key}={value:?}"));
        all
    };
    let mut facts: Vec<_> = kit.out.iter().map(fact).collect();
    // One-way commands are reported at once, before or after what is pending.
    facts.sort();
    facts
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

/// Cuts `bytes` into pieces of these sizes, over and over.
fn split<'a>(bytes: &'a [u8], sizes: &[usize], turn: &mut usize) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let n = sizes[*turn % sizes.len()].min(rest.len());
        *turn += 1;
        let (piece, behind) = rest.split_at(n);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1..4usize, 1..300usize], 1..20)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_exchanges(login: bool, (eof, rounds) in conversation(), sizes in sizes()) {
        let login = login.then_some(u32::from(!eof) << 24);
        let whole = run(login, &rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
        let mut turn = 0;
        let parts = run(login, &rounds, |kit, direction, bytes| {
            for piece in split(bytes, &sizes, &mut turn) {
                kit.feed(direction, Bytes::Captured(piece));
            }
        });
        prop_assert_eq!(facts(&whole), facts(&parts));
        let commands = rounds.iter().flatten().count() as u64 + u64::from(login.is_some());
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (commands, 0));
        prop_assert!(whole.out.iter().all(|e| e.outcome != Outcome::Unanswered));
    }

    #[test]
    fn any_gap_keeps_the_ledger(
        login: bool, (eof, rounds) in conversation(), sizes in sizes(),
        cuts in prop::collection::vec(prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2)], 1..40),
        end in prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::Evicted)],
    ) {
        let login = login.then_some(u32::from(!eof) << 24);
        let mut turn = 0;
        let mut kit = run(login, &rounds, |kit, direction, bytes| {
            for piece in split(bytes, &sizes, &mut turn) {
                kit.feed(direction, match cuts[turn % cuts.len()] {
                    0 => Bytes::Captured(piece),
                    1 => Bytes::Skipped(piece.len() as u64),
                    _ => Bytes::Lost(piece.len() as u64),
                });
                turn += 1;
            }
        });
        kit.close(end);
        // Nothing is paired by guess: what is called answered is what would have been without the gaps.
        let truth = run(login, &rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
        let pair = |e: &crate::Exchange| (e.request_offset, e.response_offset, e.request_bytes, e.response_bytes);
        let truth: Vec<_> = truth.out.iter().map(pair).collect();
        for e in kit.out.iter().filter(|e| e.outcome == Outcome::Answered && !e.truncated) {
            prop_assert!(truth.contains(&pair(e)), "{} {e:?}", kit.names.get(e.operation));
        }
        let begun = kit.session.commands.begun;
        prop_assert_eq!(begun, kit.count.reported + kit.count.lost() - kit.strays, "{:?} {:?}", kit.count, facts(&kit));
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
            kit.response(&greeting("8.0.36"));
            kit.ask(&self::login(1 << 5, ""), &packet(2, OK));
        }
        for (request, kind, bytes) in pieces {
            let direction = if request { Direction::Request } else { Direction::Response };
            kit.feed(direction, match kind {
                0 => Bytes::Skipped(bytes.len() as u64),
                1 => Bytes::Lost(bytes.len() as u64),
                _ => Bytes::Captured(&bytes),
            });
        }
        kit.close(End::Closed);
        prop_assert_eq!(kit.session.commands.begun, kit.count.reported + kit.count.lost() - kit.strays);
        prop_assert_eq!(kit.session.pending(), 0);
    }
}
