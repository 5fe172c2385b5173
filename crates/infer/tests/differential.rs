//! The kernel side's inference against its Rust twin: for any bytes whatever, the same answer.

use proptest::prelude::*;
use proptest::sample::select;
use steth_infer::{ALL, infer, infer_datagram};
use steth_wire::Protocol;
use steth_wire::infer::{Guess, PREFIX};

#[track_caller]
fn same(bytes: &[u8]) {
    assert_eq!(infer(bytes, ALL), steth_wire::infer::infer(bytes), "{}", bytes.escape_ascii());
}

/// How real conversations begin, and lines that differ from them in what matters.
const FIRST_MESSAGES: &[&[u8]] = &[
    // HTTP/1
    b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://example.org/ HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"PUT /a HTTP/1.1\r\n",
    b"HEAD / HTTP/1.0\r\n",
    b"PATCH /a HTTP/1.1\r\n",
    b"TRACE /a HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\n",
    b"DELETE /orders/1 HTTP/1.1\r\n",
    b"DELETE  HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    // Redis
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*12345678\r\n$12345678\r\nx",
    b"*123456789\r\n",
    b"*1\r\n$123456789\r\n",
    b"*1\n$4\nPING\n",
    b"PING\r\n",
    b"pInG\r\n",
    b"ECHO hello\r\n",
    b"INFO server\r\n",
    b"INCR counter\r\n",
    b"AUTH user password\r\n",
    b"GET key\r\n",
    b"get key\r\n",
    b"SET key a-value-that-fills-the-prefix\r\n",
    b"SET key a-value-that-fills-the-whole-prefix-and-more\r\n",
    b"QUIT\n",
    b"+OK\r\n",
    b"-ERR unknown command\r\n",
    // others
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\xb9\x11", // TLS ClientHello
    b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00\x5c\x4b",   // MySQL greeting
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",                         // PostgreSQL SSLRequest
    b"\x00\x00\x00\x29\x00\x03\x00\x00user\x00postgres\x00database\x00shop\x00\x00", // PostgreSQL startup
    b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", // DNS over TCP
    b"\x00\x30\xab\xcd\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00", // and its answer
    b"\x0f\xff\x00\x01\x24\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x06\x00\x01", // DNS NOTIFY of the root
    b"\x01\x00\x00\x01\x28\x00\x00\x01\x00\x00\x00\x03\x00\x01\x03org\x00\x00\x06", // DNS UPDATE
    b"\x00\x00\x00\x23\x00\x12\x00\x04\x00\x00\x00\x01\x00\x07console", // Kafka ApiVersions
    b"220 mail.example.org ESMTP\r\n",
    b"EHLO client.example.org\r\n",
    b"get key:1\r\nset key 0 0 5\r\n", // memcached
    b"set key 0 900 5\r\nhello\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04",
    b"HTTP/2 200\r\n",
];

/// Bytes that decide something, their neighbours, and letters that differ from punctuation in the bit of the case.
const INTERESTING: &[u8] =
    b"\0\t\n\x0b\r\x1f !$%*+-./019:;=?@ACEGHIKNOPQRSTUXZ[\\]^_`acdefghinopqrstuz{|}~\x7f\x80\xc7\xff";

#[test]
fn every_beginning_of_a_first_message_and_any_byte_behind_it() {
    for message in FIRST_MESSAGES {
        for end in 0..=message.len() {
            let mut bytes = message[..end].to_vec();
            same(&bytes);
            bytes.push(0);
            for next in 0..=255 {
                bytes[end] = next;
                same(&bytes);
                same(&[&bytes[..], b"\n"].concat());
            }
        }
    }
}

#[test]
fn every_first_message_in_every_mixture_of_cases() {
    for message in FIRST_MESSAGES {
        for mask in 0..1u32 << 8 {
            let mut bytes = message.to_vec();
            bytes.iter_mut().zip(0..8).filter(|(_, at)| mask >> at & 1 == 1).for_each(|(byte, _)| *byte ^= 0x20);
            same(&bytes);
            same(&bytes[..message.len().min(4)]);
        }
    }
}

#[test]
fn a_line_that_ends_near_the_end_of_the_prefix() {
    for word in ["GET", "set", "Incr", "AUTH"] {
        for length in PREFIX - 8..PREFIX + 8 {
            for end in ["", "\n", "\r", "\r\n", "\0"] {
                same(format!("{word} {}{end}", "x".repeat(length - word.len() - 1)).as_bytes());
            }
        }
    }
}

#[test]
fn all_strings_of_up_to_two_bytes_and_interesting_ones_of_three() {
    same(b"");
    for a in 0..=255 {
        same(&[a]);
        (0..=255).for_each(|b| same(&[a, b]));
    }
    for &a in INTERESTING {
        for &b in INTERESTING {
            INTERESTING.iter().for_each(|&c| same(&[a, b, c]));
        }
    }
}

#[test]
fn first_messages_are_told_as_documented() {
    let is = |protocol, request| Guess::Is { protocol, request };
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], is(Protocol::Http1, true)),
        (b"HTTP/1.1 200 OK\r\n", is(Protocol::Http1, false)),
        (b"*1\r\n$4\r\nPING\r\n", is(Protocol::Redis, true)),
        (b"get key\r\n", is(Protocol::Redis, true)),
        (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", is(Protocol::Dns, true)),
        (b"\x00\x30\xab\xcd\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00", is(Protocol::Dns, false)),
        (b"PRI * HTTP/2.0\r\n", Guess::No),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Guess::No),
        (b"GET ", Guess::More),
    ] {
        assert_eq!(infer(bytes, ALL), expected, "{}", bytes.escape_ascii());
    }
}

/// Parts of the protocols, and bytes that break them.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = [
        &b"GET "[..],
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"PATCH ",
        b"OPTIONS ",
        b"CONNECT ",
        b"TRACE ",
        b"HTTP/1.",
        b"PING",
        b"ECHO",
        b"INFO",
        b"QUIT",
        b"AUTH",
        b"INCR",
        b"GET",
        b"SET",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"*",
        b"$",
        b"/",
        b"[",
        b"h",
        b"key",
        b"1",
        b"12345678",
    ]
    .to_vec();
    prop_oneof![
        8 => select(words).prop_map(<[u8]>::to_vec),
        // A word in mixed cases; of punctuation, the bit of the case makes other punctuation.
        3 => (select(vec![&b"PING"[..], b"ECHO", b"INFO", b"QUIT", b"AUTH", b"INCR", b"GET", b"SET", b"*1\r\n$1\r\n"]), any::<u16>())
            .prop_map(|(word, mask)| word.iter().enumerate().map(|(at, b)| b ^ ((mask >> at & 1) as u8) << 5).collect()),
        2 => (select(vec![b'*', b'$']), "[0-9]{0,10}", select(vec!["\r\n", "\n", "\r", ""]))
            .prop_map(|(marker, digits, end)| [&[marker], digits.as_bytes(), end.as_bytes()].concat()),
        2 => "[ -~]{1,30}".prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..=64)) {
        same(&bytes);
    }

    #[test]
    fn bytes_near_the_protocols_cut_anywhere(parts in prop::collection::vec(part(), 1..8)) {
        let bytes = parts.concat();
        (0..=bytes.len().min(2 * PREFIX)).for_each(|end| same(&bytes[..end]));
    }

    #[test]
    fn datagrams(
        header in (any::<u16>(), any::<u16>(), 0..3u16, prop_oneof![0..3u16, any::<u16>()], 0..3u16, 0..3u16),
        rest in prop::collection::vec(0..70u8, 0..30), total in prop_oneof![0..80u32, any::<u16>().prop_map(u32::from)],
        cut in 0..40usize, one_question in any::<bool>(),
    ) {
        let (id, flags, questions, answers, authority, additional) = header;
        let questions = if one_question { 1 } else { questions };
        let words = [id, flags, questions, answers, authority, additional];
        let bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).chain(rest).collect();
        let bytes = &bytes[..cut.min(bytes.len())];
        prop_assert_eq!(infer_datagram(bytes, total, ALL), steth_wire::infer::infer_datagram(bytes, total as usize));
        prop_assert_eq!(infer_datagram(bytes, total, 0), Guess::No);
        // Over TCP the same message is behind its length.
        let framed = [&(total as u16).to_be_bytes(), bytes].concat();
        (0..=framed.len()).for_each(|end| same(&framed[..end]));
    }

    #[test]
    fn one_bit_off(message in select(FIRST_MESSAGES), at in 0..40usize, bit in 0..8u8) {
        let mut bytes = message.to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        (0..=bytes.len()).for_each(|end| same(&bytes[..end]));
    }

    /// The twin knows no setting: what holds there is that each row answers for itself and the first sure one wins.
    #[test]
    fn a_protocol_that_is_not_enabled_is_not_named(parts in prop::collection::vec(part(), 1..6)) {
        let bytes = parts.concat();
        let alone = Protocol::ALL.map(|protocol| (protocol, infer(&bytes, 1 << protocol as u32)));
        for (own, guess) in alone {
            if let Guess::Is { protocol, .. } = guess {
                prop_assert_eq!(protocol, own);
            }
        }
        let guesses = alone.map(|(_, guess)| guess);
        let sure = guesses.into_iter().find(|guess| matches!(guess, Guess::Is { .. }));
        let unsure = if guesses.contains(&Guess::More) { Guess::More } else { Guess::No };
        prop_assert_eq!(infer(&bytes, ALL), sure.unwrap_or(unsure));
        prop_assert_eq!(infer(&bytes, 0), Guess::No);
    }

    /// The kernel side asks once more with every call's bytes: what was sure or hopeless must stay so.
    #[test]
    fn more_bytes_do_not_change_an_answer(parts in prop::collection::vec(part(), 1..6)) {
        let bytes = parts.concat();
        let mut last = Guess::More;
        for end in 0..=bytes.len().min(2 * PREFIX) {
            let guess = infer(&bytes[..end], ALL);
            prop_assert!(last == Guess::More || guess == last, "{}", bytes[..end].escape_ascii());
            last = guess;
        }
        prop_assert!(bytes.len() < PREFIX || last != Guess::More);
    }
}
