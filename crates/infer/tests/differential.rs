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
    b"PROPFIND /dav HTTP/1.1\r\n",
    b"PROPPATCH http://a/ HTTP/1.1\r\n",
    b"UNLOCK /a HTTP/1.1\r\n",
    b"PURGE Http://a/ HTTP/1.1\r\n",
    b"COPY a b\r\n",
    b"HTTP/1.1 200 OK\r\n",
    // Redis
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*12345678\r\n$12345678\r\nx",
    b"*123456789\r\n",
    b"*1\r\n$123456789\r\n",
    b"*1\n$4\nPING\n",
    b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n",
    b"*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n",
    b"*12345678\r\n$12345678\r\nsmessage\r\n",
    b">3\r\n$7\r\nmessage\r\n",
    b">3\r\n$9\r\nsubscribe\r\n",
    b"*2\r\n$2\r\n42\r\n",
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
    // MySQL
    b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0\x5c\x4b",
    b"\x5d\0\0\0\x0a5.5.5-10.11.6-MariaDB\0",
    b"\x5d\0\0\0\x0a11.4.2-MariaDB\0",
    b"\x09\0\0\0\x03SELECT 1",
    b"\x0c\0\0\0\x03Set names a",
    b"\x0b\0\0\0\x03\0\x01SELECT 1",
    b"\x20\0\0\0\x16\r\n\t ((select a from t where b",
    b"\x05\0\0\0\x03show",
    b"\xff\x3f\0\0\x03                           SELECT",
    b"\x30\0\0\0\x03 /* app:shop */ SELECT 1",
    b"\x30\0\0\0\x16-- why\nSELECT 1",
    b"\x30\0\0\0\x03# why\nSELECT 1",
    b"\x30\0\0\0\x03xa start 'a'",
    b"\x30\0\0\0\x03Deallocate prepare a",
    b"\x07\0\0\x01\0\0\0\x02\0\0\0",
    b"\x07\0\0\x01\0\0\0\x03\x40\0\0",
    b"\x0a\0\0\0\x17\x01\0\0\0\0\x01\0\0\0",
    b"\x17\0\0\0\x17\xff\xff\x0f\0\x01\x01\0\0\0\0\x01\x0f\0\x01\x61",
    b"\x01\0\0\0\x0e",
    // PostgreSQL: openings
    b"\x00\x00\x00\x08\x04\xd2\x16\x30",
    b"\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x12\x34\x56\x78\x9a\xbc",
    b"\x00\x00\x01\x0c\x04\xd2\x16\x2e\x00\x00\x12\x34\x56\x78\x9a\xbc",
    b"\x00\x00\x00\x29\x00\x03\x00\x02_pq_.x\x001\x00user\x00me\x00\x00",
    // client
    b"Q\x00\x00\x00\x0dSELECT 1\x00",
    b"Q\x00\x00\x00\x05\x00",
    b"Q\x00\x00\x00\x1fSELECT a FROM t WHERE b=1\n\x00",
    b"Q\x00\x00\x00\x20SELECT a FROM t WHERE b=12\n\x00",
    b"Q\x00\x00\x02\x20SELECT a FROM t WHERE b=12 AND c = 13 AND d",
    b"P\x00\x00\x00\x16s1\x00SELECT $1\x00\x00\x01\x00\x00\x00\x17",
    b"P\x00\x00\x01\x10stmtcache_0123456789abcdef0123456789abcdef\x00SELECT",
    b"B\x00\x00\x00\x13\x00s1\x00\x00\x00\x00\x01\x00\x00\x00\x01x\x00\x00D\x00\x00\x00\x06P\x00",
    b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00S\x00\x00\x00\x04",
    b"S\x00\x00\x00\x04Q\x00\x00\x00\x0dSELECT 1\x00",
    b"X\x00\x00\x00\x04",
    // server
    b"1\x00\x00\x00\x042\x00\x00\x00\x04T\x00\x00\x00\x21\x00\x01",
    b"2\x00\x00\x00\x04D\x00\x00\x00\x0b\x00\x01",
    b"T\x00\x00\x00\x21\x00\x01?column?\x00\x00\x00",
    b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011C\x00\x00\x00\x0d",
    b"D\x00\x00\x00\x20\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01",
    b"C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I",
    b"C\x00\x00\x00\x0fINSERT 0 1\x00Z\x00\x00\x00\x05T",
    b"C\x00\x00\x00\x1cCREATE MATERIALIZED VIEW1\x00Z\x00",
    b"Z\x00\x00\x00\x05I",
    // others
    b"B\x00\x00\x00\x17\x21\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\xfe\x00\x05hello", // MySQL execution
    b"P\x00\x00\x00\x16SELECT a FROM t WHERE b = ?",                                   // MySQL prepare
    b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00",  // MongoDB
    b"\x00\x00\x00\x1d\x00\x03\x00\x00\x00\x00\x00\x02\x00\x07console",                // Kafka Metadata
    b"B\0\0\0\x17\0s1\0\0\x01\0\0\0\x01\0\0\0\x01x\0\0",                               // PostgreSQL Bind
    b"P\0\0\0\x16s1\0SELECT 1\0\0\0",                                                  // PostgreSQL Parse
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\xb9\x11", // TLS ClientHello
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
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", is(Protocol::Postgresql, true)),
        (b"\x00\x1d\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00", is(Protocol::Dns, true)),
        (b"\x00\x30\xab\xcd\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07example\x03org\x00", is(Protocol::Dns, false)),
        (b"Q\x00\x00\x00\x0dSELECT 1\x00", is(Protocol::Postgresql, true)),
        (b"C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I", is(Protocol::Postgresql, false)),
        (b"\x00\x00\x00\x1d\x00\x03\x00\x00\x00\x00\x00\x02\x00\x07console", Guess::No),
        (b"get key\r\n", is(Protocol::Redis, true)),
        (b"\x4a\0\0\0\x0a8.0.36\0", is(Protocol::Mysql, false)),
        (b"\x09\0\0\0\x03SELECT 1", is(Protocol::Mysql, true)),
        (b"PRI * HTTP/2.0\r\n", Guess::No),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Guess::No),
        (b"GET ", Guess::More),
    ] {
        assert_eq!(infer(bytes, ALL), expected, "{}", bytes.escape_ascii());
    }
}

/// The answer of the first row of the table that does not say no.
fn first_that_may_be(bytes: &[u8]) -> Guess {
    let alone = Protocol::ALL.map(|protocol| infer(bytes, 1 << protocol as u32));
    alone.into_iter().find(|guess| *guess != Guess::No).unwrap_or(Guess::No)
}

#[test]
fn a_protocol_is_not_named_while_one_before_it_may_still_be() {
    // A Parse of PostgreSQL, whole; or the beginning of a prepare of MySQL, of 80 bytes and with blanks before its verb.
    let bytes = b"P\0\0\0\x16  \0\0";
    assert_eq!(infer(bytes, 1 << Protocol::Mysql as u32), Guess::More);
    let parse = Guess::Is { protocol: Protocol::Postgresql, request: true };
    assert_eq!(infer(bytes, 1 << Protocol::Postgresql as u32), parse);
    assert_eq!((infer(bytes, ALL), first_that_may_be(bytes)), (Guess::More, Guess::More));
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
        b"PROPFIND",
        b"PROPPATCH ",
        b"MKCOL ",
        b"UNLINK ",
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
        b"Q\x00\x00\x00\x0dSELECT 1\x00",
        b"P\x00\x00\x00\x10\x00SELECT 1\x00\x00\x00",
        b"B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00",
        b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00",
        b"S\x00\x00\x00\x04",
        b"1\x00\x00\x00\x04",
        b"2\x00\x00\x00\x04",
        b"C\x00\x00\x00\x0bBEGIN1\x00",
        b"D\x00\x00\x00\x0b\x00\x01\x00\x00\x00\x011",
        b"T\x00\x00\x00\x21\x00\x01a",
        b"Z\x00\x00\x00\x05I",
        b"\x00\x00\x00\x29\x00\x03\x00\x00",
        b"\x00",
        b"key",
        b"1",
        b"12345678",
        b"\x40\0\0\0",
        b"\x03",
        b"\x16",
        b"\x17",
        b"\x07\0\0\x01\0\0\0",
        b"/*",
        b"xa ",
        b"$7\r\nmessage",
        b">3\r\n",
        b"\x0a",
        b"\0",
        b"\x01",
        b"select",
        b"DROP",
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

    /// The twin knows no setting: what holds there is that each row answers for itself and that the first one that does not say
    /// no decides: it is sure, or nobody behind it is heard yet.
    #[test]
    fn a_protocol_that_is_not_enabled_is_not_named(parts in prop::collection::vec(part(), 1..6)) {
        let bytes = parts.concat();
        let alone = Protocol::ALL.map(|protocol| (protocol, infer(&bytes, 1 << protocol as u32)));
        for (own, guess) in alone {
            if let Guess::Is { protocol, .. } = guess {
                prop_assert_eq!(protocol, own);
            }
        }
        prop_assert_eq!(infer(&bytes, ALL), first_that_may_be(&bytes));
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
