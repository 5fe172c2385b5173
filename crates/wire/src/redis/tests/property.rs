//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::by_hand::{end, hole, holes, no_wrong_pair, sizes};
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

proptest! {
    #[test]
    fn any_split_gives_the_same_exchanges(rounds in conversation(), sizes in sizes()) {
        let whole = run(&rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        let mut sizes = sizes;
        let parts = run(&rounds, |kit, direction, bytes| kit.in_pieces(direction, bytes, &mut sizes));
        prop_assert_eq!(whole.facts(), parts.facts());
        // CLIENT REPLY SKIP and the command behind it are in one element of the conversation.
        let extra = |request: &Vec<u8>| if request.starts_with(b"CLIENT") { 3 } else { 1 };
        let commands: u64 = rounds.iter().flatten().map(|(request, _)| extra(request)).sum();
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (commands, 0));
        prop_assert!(whole.out.iter().all(|e| e.outcome != Outcome::Unanswered));
    }

    #[test]
    fn any_gap_keeps_the_ledger(
        rounds in conversation(), sizes in sizes(),
        holes in holes(), end in end(),
    ) {
        let (mut sizes, mut holes) = (sizes, holes);
        let mut kit = run(&rounds, |kit, direction, bytes| kit.with_holes(direction, bytes, &mut sizes, &mut holes));
        kit.close(end);
        let truth = run(&rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        no_wrong_pair(&kit, &truth)?;
        let begun = kit.session.commands.begun;
        prop_assert_eq!(begun, kit.count.reported + kit.count.lost() - kit.strays, "{:?} {:?}", kit.count, kit.facts());
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
            kit.feed(direction, hole(kind, &bytes));
        }
        kit.close(End::Closed);
        prop_assert_eq!(kit.session.commands.begun, kit.count.reported + kit.count.lost() - kit.strays);
    }
}
