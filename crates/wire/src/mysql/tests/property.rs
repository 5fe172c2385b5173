//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::by_hand::{Conversation, any_bytes, end, noise, properties};
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

/// Rounds of pipelined commands, with or without EOF packets, behind a login or joined late.
fn conversation() -> impl Strategy<Value = Conversation> {
    let rounds = |eof| prop::collection::vec(prop::collection::vec(exchange(eof), 1..5), 1..6);
    any::<bool>().prop_flat_map(move |eof| (Just(eof), rounds(eof), any::<bool>())).prop_map(
        |(eof, rounds, logs_in)| {
            let mut conversation = Conversation::pipelined(&rounds);
            if logs_in {
                let login = [
                    (Direction::Response, greeting("11.4.2-MariaDB")),
                    (Direction::Request, login(u32::from(!eof) << 24, "shop")),
                    (Direction::Response, packet(2, OK)),
                ];
                conversation.turns.splice(..0, login);
                conversation.exchanges += 1;
            }
            conversation
        },
    )
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = b"\0\0\0\0\x01\x02\x03\x05\x07\x0b\x16\x17\x1c\xfb\xfe\xff".to_vec();
    prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(prop::sample::select(telling), 0..40),]
}

properties!(Session, conversation(), bytes());

proptest! {
    #[test]
    fn any_bytes_behind_a_compressed_login_are_survived(noise in noise(bytes()), end in end()) {
        let mut kit = Kit::default();
        kit.response(greeting("8.0.36"));
        kit.ask(login(1 << 5, ""), packet(2, OK));
        any_bytes(kit, &noise, end);
    }
}
