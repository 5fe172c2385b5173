//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::by_hand::{Conversation, properties};
use crate::postgresql::Session;
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

fn conversation() -> impl Strategy<Value = Conversation> {
    prop::collection::vec(round(), 1..7).prop_map(|rounds| {
        let exchanges = 1 + rounds.iter().map(|round| round.2).sum::<u64>();
        // A statement that is only prepared is an exchange once it is seen to fail.
        let told_by_responses = rounds.iter().filter(|round| round.1.starts_with(b"E")).count() as u64;
        let start = (startup(&["user", "me"]), welcome());
        let rounds = rounds.into_iter().map(|(requests, answers, _)| (requests, answers));
        Conversation { told_by_responses, ..Conversation::new([start].into_iter().chain(rounds), exchanges) }
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        round().prop_map(|round| round.0),
        round().prop_map(|round| round.1),
        Just(startup(&["user", "me"])),
        Just(b"N".to_vec()),
    ]
}

properties!(Session, conversation(), bytes());
