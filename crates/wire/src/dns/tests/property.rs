//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::kit::{A, AAAA, Kit, address, answer, framed, query};
use crate::by_hand::{Conversation, any_bytes, end, noise, properties};
use crate::dns::Session;
use crate::{Bytes, Direction, End, Outcome};
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

fn conversation() -> impl Strategy<Value = Conversation> {
    rounds().prop_map(|rounds| {
        let asked = rounds.iter().map(Vec::len).sum::<usize>() as u64;
        Conversation::new(rounds.iter().map(|round| (queries(round).concat(), answers(round).concat())), asked)
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 5, 12, 0x80, 0xc0, b'a']), 0..60),
        any::<u16>().prop_map(|id| query(id & 3, "a.example", A)),
        any::<u16>().prop_map(|id| framed(&query(id & 3, "a.example", A))),
        any::<u16>().prop_map(|id| answer(id & 3, "a.example", A, 0, &[address("192.0.2.1", 1)])),
    ]
}

properties!(Session, conversation(), bytes());

proptest! {
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
                3..=5 => _ = kit.response(&r),
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
        for e in &kit.out {
            prop_assert!(e.end >= e.start && (e.outcome != Outcome::Answered || e.first_byte >= e.start));
        }
    }

    #[test]
    fn any_datagrams_are_survived(noise in noise(bytes()), end in end()) {
        any_bytes(Kit::udp(), &noise, end);
    }
}
