//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::kit::{A, AAAA, Kit, address, answer, framed, query};
use crate::parser::Parser as _;
use crate::{Bytes, Direction, End, Exchange, Outcome};
use proptest::prelude::*;

/// Queries of one round, and the order in which they are answered; `None`: not at all.
#[derive(Clone, Debug)]
struct Lookup {
    id: u16,
    name: String,
    kind: u16,
    rcode: u16,
    records: usize,
}

fn lookup() -> impl Strategy<Value = Lookup> {
    let name = prop_oneof![3 => "[a-c]\\.example", 1 => "[a-z]{1,60}(\\.[a-z]{1,20}){0,4}"];
    (any::<u16>(), name, prop_oneof![Just(A), Just(AAAA), Just(16)], 0..6u16, 0..40usize)
        .prop_map(|(id, name, kind, rcode, records)| Lookup { id, name, kind, rcode, records })
}

fn rounds() -> impl Strategy<Value = Vec<Vec<Lookup>>> {
    prop::collection::vec(prop::collection::vec(lookup(), 1..6), 1..6).prop_map(|mut rounds| {
        // An id that comes twice at once would be a repetition.
        for (n, lookup) in rounds.iter_mut().flatten().enumerate() {
            lookup.id = (lookup.id & 0xff00) | n as u16;
        }
        rounds
    })
}

fn queries(round: &[Lookup]) -> Vec<Vec<u8>> {
    round.iter().map(|lookup| framed(&query(lookup.id, &lookup.name, lookup.kind))).collect()
}

/// Last asked, first answered.
fn answers(round: &[Lookup]) -> Vec<Vec<u8>> {
    let one = |l: &Lookup| framed(&answer(l.id, &l.name, l.kind, l.rcode, &vec![address("192.0.2.1", 1); l.records]));
    round.iter().rev().map(one).collect()
}

fn run(rounds: &[Vec<Lookup>], mut feed: impl FnMut(&mut Kit, Direction, &[u8])) -> Kit {
    let mut kit = Kit::tcp();
    for round in rounds {
        feed(&mut kit, Direction::Request, &queries(round).concat());
        feed(&mut kit, Direction::Response, &answers(round).concat());
    }
    kit
}

fn facts(kit: &Kit) -> Vec<String> {
    let fact = |(n, e): (usize, &Exchange)| {
        let place = (e.request_bytes, e.response_bytes, e.request_offset, e.response_offset, e.truncated);
        format!("{:?} {:?} {place:?} {:?}", e.status, kit.names.get(e.operation), kit.attribute(n, "dns.answers"))
    };
    kit.out.iter().enumerate().map(fact).collect()
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
    fn any_split_of_a_stream_gives_the_same_exchanges(rounds in rounds(), sizes in sizes()) {
        let whole = run(&rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
        let mut turn = 0;
        let parts = run(&rounds, |kit, direction, bytes| {
            for piece in split(bytes, &sizes, &mut turn) {
                kit.feed(direction, Bytes::Captured(piece));
            }
        });
        prop_assert_eq!(facts(&whole), facts(&parts));
        let asked: usize = rounds.iter().map(Vec::len).sum();
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (asked as u64, 0));
    }

    #[test]
    fn any_gap_in_a_stream_keeps_the_ledger(
        rounds in rounds(), sizes in sizes(),
        cuts in prop::collection::vec(prop_oneof![6 => Just(0u8), 1 => Just(1), 1 => Just(2)], 1..40),
        end in prop_oneof![Just(End::Closed), Just(End::Reset), Just(End::Evicted)],
    ) {
        let truth = run(&rounds, |kit, direction, bytes| kit.feed(direction, Bytes::Captured(bytes)));
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
        let pair = |e: &Exchange| (e.request_offset, e.response_offset, e.request_bytes, e.response_bytes);
        let truth: Vec<_> = truth.out.iter().map(pair).collect();
        for e in kit.out.iter().filter(|e| e.outcome == Outcome::Answered) {
            prop_assert!(truth.contains(&pair(e)), "{} {e:?}", kit.names.get(e.operation));
        }
        // Each query that was recognised is a record or was counted; answers to others may be counted beyond that.
        let accounted = kit.count.reported + kit.count.lost();
        let asked: usize = rounds.iter().map(Vec::len).sum();
        prop_assert!((kit.session.talk.begun..=asked as u64).contains(&accounted), "{:?} {:?}", kit.count, facts(&kit));
        prop_assert_eq!(kit.session.pending(), 0);
    }

    /// Queries and answers whose datagrams are lost, doubled and reordered.
    #[test]
    fn any_order_of_datagrams_keeps_the_ledger(
        lookups in prop::collection::vec(lookup(), 1..20),
        events in prop::collection::vec((0..20usize, 0..8u8), 0..80),
    ) {
        let mut kit = Kit::udp();
        let (mut asked, mut missing) = (std::collections::BTreeSet::new(), 0u64);
        for (n, what) in events {
            let n = n % lookups.len();
            let l = &lookups[n];
            let (q, r) = (query(n as u16, &l.name, l.kind), answer(n as u16, &l.name, l.kind, l.rcode, &[]));
            match what {
                0..=2 => {
                    kit.request(&q);
                    asked.insert(n);
                }
                3..=5 => kit.response(&r),
                6 => {
                    kit.feed(Direction::Request, Bytes::Lost(q.len() as u64));
                    missing += 1;
                }
                _ => kit.time += 700_000_000,
            }
            kit.tick();
        }
        kit.close(End::Closed);
        let orphans = kit.count.lost_by(steth_ledger::Lost::Orphan);
        prop_assert_eq!(kit.session.talk.begun, kit.count.reported + kit.count.lost() - orphans);
        prop_assert!(kit.session.talk.begun >= asked.len() as u64);
        prop_assert!(missing > 0 || kit.count.lost() == orphans);
        prop_assert_eq!(kit.session.pending(), 0);
        for e in &kit.out {
            prop_assert!(e.end >= e.start && (e.outcome != Outcome::Answered || e.first_byte >= e.start));
        }
    }

    #[test]
    fn any_bytes_are_survived(
        stream in any::<bool>(),
        pieces in prop::collection::vec((any::<bool>(), 0..12u8, prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 5, 12, 0x80, 0xc0, b'a']), 0..60),
            any::<u16>().prop_map(|id| query(id & 3, "a.example", A)),
            any::<u16>().prop_map(|id| framed(&query(id & 3, "a.example", A))),
            any::<u16>().prop_map(|id| answer(id & 3, "a.example", A, 0, &[address("192.0.2.1", 1)])),
        ]), 0..60),
    ) {
        let mut kit = if stream { Kit::tcp() } else { Kit::udp() };
        for (request, kind, bytes) in pieces {
            let direction = if request { Direction::Request } else { Direction::Response };
            kit.feed(direction, match kind {
                0 => Bytes::Skipped(bytes.len() as u64),
                1 => Bytes::Lost(bytes.len() as u64),
                _ => Bytes::Captured(&bytes),
            });
            kit.time += 300_000_000;
            if kind == 2 {
                kit.tick();
            }
        }
        kit.close(End::Closed);
        prop_assert_eq!(kit.session.pending(), 0);
        prop_assert!(kit.count.reported + kit.count.lost() >= kit.session.talk.begun);
    }
}
