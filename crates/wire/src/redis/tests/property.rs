//! Any split gives the same exchanges; any bytes give no panic; any gap keeps the ledger's identity.

use super::*;
use crate::by_hand::{Conversation, properties};
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

fn conversation() -> impl Strategy<Value = Conversation> {
    prop::collection::vec(prop::collection::vec(exchange(), 1..5), 1..6).prop_map(|rounds| {
        // CLIENT REPLY SKIP and the commands behind it are one element here.
        let skips = rounds.iter().flatten().filter(|(request, _)| request.starts_with(b"CLIENT")).count() as u64;
        let conversation = Conversation::pipelined(&rounds);
        Conversation { exchanges: conversation.exchanges + 2 * skips, ..conversation }
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(prop::sample::select(b"*$+-:_#,(!=%~>|;.?0123\r\nPINGOK ".to_vec()), 0..40),
    ]
}

properties!(Session, conversation(), bytes());
