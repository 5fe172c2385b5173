//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::Bytes;
use crate::by_hand::{hole, holes, sizes};
use crate::parser::Parser as _;
use proptest::prelude::*;

/// The requests of a round and their answers, and how many exchanges that is.
type Round = (Vec<u8>, Vec<u8>, u64);

/// One group of the extended protocol, or one query.
fn round() -> impl Strategy<Value = Round> {
    let text = prop_oneof![Just("SELECT a"), Just("INSERT b"), Just("UPDATE c")];
    let value = prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        (text.clone(), prop::collection::vec(value, 0..4)).prop_map(|(text, rows)| {
            let rows: Vec<u8> = rows.iter().flat_map(|value| row(value)).collect();
            (query(text), all![columns(), rows, complete("SELECT 3"), ready()], 1)
        }),
        prop::collection::vec(text.clone(), 1..6).prop_map(|texts| {
            let requests: Vec<u8> = texts.iter().flat_map(|text| run(text)).collect();
            let answers = vec![ran("INSERT 0 1"); texts.len()].concat();
            (all![requests, sync()], all![answers, ready()], texts.len() as u64)
        }),
        (prop::collection::vec(text, 1..6), any::<prop::sample::Index>()).prop_map(|(texts, at)| {
            let requests: Vec<u8> = texts.iter().flat_map(|text| run(text)).collect();
            let answers = vec![ran("INSERT 0 1"); at.index(texts.len())].concat();
            (
                all![requests, sync()],
                all![answers, done(b'1'), done(b'2'), error("23505"), notice(), ready()],
                texts.len() as u64,
            )
        }),
        Just((
            query("BEGIN; SELECT a; COMMIT"),
            all![complete("BEGIN"), complete("SELECT 1"), complete("COMMIT"), ready()],
            3
        )),
        Just((all![parse("s", "SELEC"), sync()], all![error("42601"), ready()], 1)),
        Just((
            all![parse("s", "SELECT s"), describe(b'S', "s"), sync(), bind("", "s"), execute(""), sync()],
            all![done(b'1'), message(b't', b"\0\0"), columns(), ready(), done(b'2'), row(b"1"), done(b's'), ready()],
            1
        )),
        Just((
            query("COPY t TO STDOUT"),
            all![message(b'H', b"\0\0\0"), message(b'd', b"1"), done(b'c'), complete("COPY 1"), ready()],
            1
        )),
    ]
}

fn conversation() -> impl Strategy<Value = Vec<Round>> {
    prop::collection::vec(round(), 1..7)
}

/// Where request and answer ended, and what the answer said.
fn ends<'a>(kit: &'a Kit, e: &crate::Exchange) -> (u64, u64, &'a str) {
    let status = if let crate::Status::Word(word) = e.status { kit.names.get(word) } else { "" };
    (e.request_offset + e.request_bytes, e.response_offset + e.response_bytes, status)
}

fn play(rounds: &[Round], mut feed: impl FnMut(&mut Kit, Direction, &[u8])) -> Kit {
    let mut kit = Kit::default();
    feed(&mut kit, Direction::Request, &startup(&["user", "me"]));
    feed(&mut kit, Direction::Response, &welcome());
    for (requests, answers, _) in rounds {
        feed(&mut kit, Direction::Request, requests);
        feed(&mut kit, Direction::Response, answers);
    }
    kit.close(End::Closed);
    kit
}

proptest! {
    #[test]
    fn any_split_gives_the_same_exchanges(rounds in conversation(), sizes in sizes()) {
        let whole = play(&rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        let mut sizes = sizes;
        let parts = play(&rounds, |kit, direction, bytes| kit.in_pieces(direction, bytes, &mut sizes));
        prop_assert_eq!(whole.facts(), parts.facts());
        let exchanges: u64 = 1 + rounds.iter().map(|round| round.2).sum::<u64>();
        prop_assert_eq!((whole.count.reported, whole.count.lost()), (exchanges, 0));
    }

    /// Whatever was reported of a conversation with holes was in the conversation without them, with the same answer; and
    /// what is reported and what is counted are together no more than what happened, and no less than what was seen whole.
    #[test]
    fn any_gap_keeps_the_ledger_and_gives_no_wrong_pair(
        rounds in conversation(), sizes in sizes(),
        holes in holes(),
        responses_only in any::<bool>(),
    ) {
        let whole = play(&rounds, |kit, direction, bytes| _ = kit.feed(direction, Bytes::Captured(bytes)));
        let (mut sizes, mut holes) = (sizes, holes);
        let mut began = false;
        let holed = play(&rounds, |kit, direction, bytes| {
            if began && (direction == Direction::Response || !responses_only) {
                kit.with_holes(direction, bytes, &mut sizes, &mut holes);
            } else {
                kit.in_pieces(direction, bytes, &mut sizes);
            }
            began |= direction == Direction::Response;
        });
        let exchanges = whole.count.reported;
        prop_assert_eq!(holed.count.reported, holed.out.len() as u64);
        prop_assert_eq!(holed.session.pending(), 0);
        if responses_only {
            // A statement that is only prepared is an exchange once it is seen to fail.
            let unseen = rounds.iter().filter(|round| round.1.starts_with(b"E")).count() as u64;
            let accounted = holed.count.reported + holed.count.lost();
            prop_assert!((exchanges - unseen..=exchanges).contains(&accounted), "{accounted} of {exchanges}");
        }
        for e in &holed.out {
            if e.outcome != Outcome::Answered || e.truncated {
                continue;
            }
            if !whole.out.iter().any(|other| ends(&whole, other) == ends(&holed, e)) {
                let text = format!("of {}: {} has {e:?}", whole.brief(), holed.brief());
                return Err(TestCaseError::fail(text));
            }
        }
    }

    #[test]
    fn any_bytes(steps in prop::collection::vec((any::<bool>(), prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        round().prop_map(|round| round.0),
        round().prop_map(|round| round.1),
        Just(startup(&["user", "me"])),
        Just(b"N".to_vec()),
    ], 0..8u8), 1..40)) {
        let mut kit = Kit::default();
        for (request, bytes, how) in &steps {
            let direction = if *request { Direction::Request } else { Direction::Response };
            kit.feed(direction, hole(*how, bytes));
        }
        kit.close(End::Reset);
        prop_assert_eq!((kit.session.pending(), kit.count.reported), (0, kit.out.len() as u64));
        prop_assert!(kit.out.iter().all(|e| e.start <= e.end));
    }
}
