//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use proptest::prelude::*;

/// One command and its reply.
fn exchange() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let value = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        value.clone().prop_map(|v| {
            let mut request = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", v.len()).into_bytes();
            request.extend(&v);
            request.extend(b"\r\n");
            (request, b"+OK\r\n".to_vec())
        }),
        value.prop_map(|v| {
            let mut reply = format!("${}\r\n", v.len()).into_bytes();
            reply.extend(&v);
            reply.extend(b"\r\n");
            (command(&["get", "k"]), reply)
        }),
        (0..5usize).prop_map(|n| (command(&["LRANGE", "l", "0", "-1"]), {
            let mut reply = format!("*{n}\r\n").into_bytes();
            (0..n).for_each(|n| reply.extend(format!("*2\r\n:{n}\r\n$2\r\n\r\n\r\n").bytes()));
            reply
        })),
        Just((command(&["CONFIG", "GET", "x"]), b"%1\r\n+x\r\n$?\r\n;3\r\nabc\r\n;0\r\n".to_vec())),
        Just((command(&["XREAD", "BLOCK", "1", "STREAMS", "s", "0"]), b"*-1\r\n".to_vec())),
        Just((command(&["EVALSHA", "0123456789012345678901234567890123456789", "0"]), b"-NOSCRIPT No\r\n".to_vec())),
        Just((command(&["SELECT", "3"]), b"|1\r\n+a\r\n*1\r\n#t\r\n+OK\r\n".to_vec())),
        Just((command(&["NOPE"]), b"!13\r\nWRONG no such\r\n".to_vec())),
        Just((b"PING\r\n".to_vec(), b">2\r\n$3\r\nfoo\r\n,1.5\r\n+PONG\r\n".to_vec())),
        Just((b"CLIENT REPLY SKIP\r\n\r\nGET x\r\nINCR a\r\n".to_vec(), b":1\r\n".to_vec())),
        Just((command(&["SUBSCRIBE", "a", "b"]), {
            let one = |name: &str, n| format!("*3\r\n$9\r\nsubscribe\r\n$1\r\n{name}\r\n:{n}\r\n");
            [one("a", 1), one("b", 2)].concat().into_bytes()
        })),
    ]
}

/// Rounds of pipelined exchanges: the requests of a round, and their replies.
fn conversation() -> impl Strategy<Value = Vec<Vec<(Vec<u8>, Vec<u8>)>>> {
    prop::collection::vec(prop::collection::vec(exchange(), 1..5), 1..6)
}

/// What must not depend on how the bytes were split.
fn facts(kit: &Kit) -> Vec<String> {
    let fact = |e: &crate::Exchange| {
        let mut all = format!(
            "{} {:?} {:?} {} {} {} {} {} {}",
            kit.names.get(e.operation),
            e.status,
            e.outcome,
            e.truncated,
            e.blocking,
            e.request_bytes,
            e.response_bytes,
            e.request_offset,
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

fn run(rounds: &[Vec<(Vec<u8>, Vec<u8>)>], mut feed: impl FnMut(&mut Kit, Direction, &[u8])) -> Kit {
    let mut kit = Kit::default();
    for round in rounds {
        let requests: Vec<u8> = round.iter().flat_map(|(request, _)| request.clone()).collect();
        let replies: Vec<u8> = round.iter().flat_map(|(_, reply)| reply.clone()).collect();
        feed(&mut kit, Direction::Request, &requests);
        feed(&mut kit, Direction::Response, &replies);
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
    fn any_split_gives_the_same_exchanges(rounds in conversation(), sizes in sizes()) {
        let whole = run(&rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
        let mut turn = 0;
        let parts = run(&rounds, |kit, direction, bytes| {
            for piece in split(bytes, &sizes, &mut turn) {
                kit.feed(direction, Bytes::Captured(piece));
            }
        });
        prop_assert_eq!(facts(&whole), facts(&parts));
        // CLIENT REPLY SKIP and the command behind it are in one element of the conversation.
        let extra = |request: &Vec<u8>| if request.starts_with(b"CLIENT") { 3 } else { 1 };
        let commands: u64 = rounds.iter().flatten().map(|(request, _)| extra(request)).sum();
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (commands, 0));
        prop_assert!(whole.out.iter().all(|e| e.outcome != Outcome::Unanswered));
    }

    #[test]
    fn any_gap_keeps_the_ledger(
        rounds in conversation(), sizes in sizes(),
        cuts in prop::collection::vec(prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2)], 1..40),
        end in prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::Evicted)],
    ) {
        let mut turn = 0;
        let mut kit = run(&rounds, |kit, direction, bytes| {
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
        let truth = run(&rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
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
        pieces in prop::collection::vec((any::<bool>(), 0..12u8, prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(b"*$+-:_#,(!=%~>|;.?0123\r\nPINGOK ".to_vec()), 0..40),
        ]), 0..60),
    ) {
        let mut kit = Kit::default();
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
    }
}
