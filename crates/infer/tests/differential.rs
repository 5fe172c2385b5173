//! The kernel side's inference against its Rust twin.

use proptest::prelude::*;
use steth_infer::{infer, scan};

fn same(bytes: &[u8]) {
    assert_eq!(infer(bytes), steth_wire::infer::infer(bytes), "{}", bytes.escape_ascii());
}

const FIRST_MESSAGES: &[&[u8]] = &[
    b"GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://example.org/ HTTP/1.1\r\n",
    b"GET key\r\n",
    b"get key\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\n",
    b"DELETE  HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/2 200\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*12345678\r\n$12345678\r\n",
    b"*123456789\r\n",
    b"*1\n$4\nPING\n",
    b"PING\r\n",
    b"pInG\r\n",
    b"INCR counter\r\n",
    b"SET key a-value-that-fills-the-whole-prefix-and-more\r\n",
    b"QUIT\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x4a\x00\x00\x00\x0a8.0.36\x00",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"220 mail.example.org ESMTP\r\n",
    b"get key:1\r\nset key 0 0 5\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

#[test]
fn every_beginning_of_real_first_messages() {
    for message in FIRST_MESSAGES {
        (0..=message.len()).for_each(|end| same(&message[..end]));
    }
}

#[test]
fn all_strings_of_two_bytes() {
    same(b"");
    for a in 0..=255 {
        same(&[a]);
        (0..=255).for_each(|b| same(&[a, b]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        same(&bytes);
    }

    #[test]
    fn bytes_near_the_protocols(
        text in "(GET|get|SET|PING|ping|ECHO|INFO|QUIT|AUTH|INCR|POST|PUT|HEAD|HTTP/1\\.|\\*[0-9]{0,9}\r\n\\$[0-9]{0,9}\r\n)[ /*a-z\r\n\\[`{]{0,36}"
    ) {
        same(text.as_bytes());
    }

    #[test]
    fn one_bit_off(which in 0..FIRST_MESSAGES.len(), at in 0..40usize, bit in 0..8u8) {
        let mut bytes = FIRST_MESSAGES[which].to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        same(&bytes);
    }

    #[test]
    fn a_head_is_measured(
        before in prop::collection::vec("[A-Za-z-]{1,12}: [a-z0-9 ]{0,20}", 0..6),
        length in prop::option::of(0..1u64 << 40),
        upper: bool,
        ending in prop::sample::select(vec!["\r\n", "\n"]),
        body in "[a-zA-Z0-9 :]{0,40}",
    ) {
        let mut lines = vec!["HTTP/1.1 200 OK".to_owned()];
        lines.extend(before.into_iter().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:")));
        if let Some(length) = length {
            lines.push(format!("{}: {length}", if upper { "CONTENT-LENGTH" } else { "Content-Length" }));
        }
        let head: String = lines.iter().map(|line| format!("{line}{ending}")).collect::<String>() + ending;
        let whole = format!("{head}{body}");
        prop_assert_eq!(scan(whole.as_bytes()), (head.len() as u32, length));
        prop_assert_eq!(scan(&whole.as_bytes()[..head.len() - 1]).0, 0);
    }
}
