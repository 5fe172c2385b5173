//! The kernel side's scan of a response's head against a reading of the same head line by line.

use proptest::prelude::*;
use proptest::sample::select;
use steth_infer::{SCAN_MAX, body, scan};

/// What crates/wire makes of a head, said simply: the first Content-Length that is a number counts; "7, 7" is 7. The
/// number matters up to 2^48 only: no call is longer.
fn read(bytes: &[u8]) -> Option<(u32, Option<u64>, bool)> {
    let (mut head, mut found, mut coded) = (0, None, false);
    for line in bytes[..bytes.len().min(SCAN_MAX)].split_inclusive(|byte| *byte == b'\n') {
        head += line.len();
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?.trim_end_matches('\r');
        if line.is_empty() {
            return Some((u32::try_from(head).ok()?, found, coded));
        }
        coded |= line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            let digits = value.split(',').next().unwrap_or_default().trim_matches([' ', '\t', '\r']);
            let number = (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse());
            found = found.or(number.map(|number| number.unwrap_or(u64::MAX)));
        }
    }
    None
}

#[track_caller]
fn same(bytes: &[u8]) {
    let (head, length) = scan(bytes);
    let expected = read(bytes);
    match expected {
        None => assert_eq!(head, 0, "{}", bytes.escape_ascii()),
        Some((end, expected, _)) => {
            let expected = (end, expected);
            let capped = |(head, length): (u32, Option<u64>)| (head, length.map(|length| length.min(1 << 48)));
            assert_eq!(capped((head, length)), capped(expected), "{}", bytes.escape_ascii());
        }
    }
    let known = |without: Option<u64>| {
        let (_, length, coded) = expected?;
        if coded { None } else { length.or(without).map(|length| length.min(1 << 48)) }
    };
    let capped = |length: Option<u64>| length.map(|length| length.min(1 << 48));
    assert_eq!(capped(body(bytes, false, false)), known(None), "a response: {}", bytes.escape_ascii());
    assert_eq!(capped(body(bytes, true, false)), known(Some(0)), "a request: {}", bytes.escape_ascii());
    assert_eq!(body(bytes, false, true), None, "it may answer a HEAD");
}

#[test]
fn table() {
    for (fields, expected) in [
        ("Content-Length: 7", Some(7)),
        ("content-length:7", Some(7)),
        ("CONTENT-LENGTH:\t 7 \t", Some(7)),
        ("Content-Length: 007", Some(7)),
        ("Content-Length: 0", Some(0)),
        ("Server: a\r\nContent-Length: 7\nDate: b", Some(7)),
        ("", None),
        // Twice: the first one, as in crates/wire.
        ("Content-Length: 7\r\nContent-Length: 8", Some(7)),
        ("Content-Length: 7, 7", Some(7)),
        ("Content-Length: 7 ,7", Some(7)),
        ("Content-Length: \r7\r", Some(7)),
        ("Content-Length: x\r\nContent-Length: 8", Some(8)),
        // No number, so the body's end is not known.
        ("Content-Length:", None),
        ("Content-Length: ", None),
        ("Content-Length: +7", None),
        ("Content-Length: -7", None),
        ("Content-Length: 7x", None),
        ("Content-Length: 7 8", None),
        ("Content-Length: 0x10", None),
        ("Content-Length: , 7", None),
        ("Content-Length: 7\r8", None),
        // Another field.
        ("Content-Length : 7", None),
        ("X-Content-Length: 7", None),
        (" Content-Length: 7", None),
        ("\rContent-Length: 7", None),
        ("Content-\rLength: 7", None),
        ("Content-Lengths: 7", None),
        ("Content-Length", None),
        ("Via: Content-Length: 7", None),
    ] {
        let separator = if fields.is_empty() { "" } else { "\r\n" };
        let head = format!("HTTP/1.1 200 OK\r\n{fields}{separator}\r\n");
        assert_eq!(scan(head.as_bytes()), (head.len() as u32, expected), "{fields:?}");
    }
}

#[test]
fn a_number_that_no_call_reaches_means_a_body_to_the_end() {
    for digits in ["281474976710656", "99999999999999999999999999", "18446744073709551616"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {digits}\r\n\r\n");
        assert!(body(head.as_bytes(), false, false).is_some_and(|length| length >= 1 << 47), "{digits}");
    }
}

#[test]
fn a_head_longer_than_the_scan_has_no_end() {
    let at = |length: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(length - 24));
    assert_eq!(scan(at(SCAN_MAX).as_bytes()), (SCAN_MAX as u32, None));
    assert_eq!(scan(at(SCAN_MAX + 1).as_bytes()), (0, None));
}

#[test]
fn the_body_is_known_where_the_head_tells_it() {
    for (head, response, request) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Some(1000), Some(1000)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n", None, None),
        ("HTTP/1.1 200 OK\r\n\r\n", None, Some(0)),
        // Chunked wins (RFC 9112, 6.3), in either order.
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\ntransfer-Encoding: chunked\r\n\r\n", None, None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n", None, None),
        ("HTTP/1.1 200 OK\r\nTransfer-Encodings: 7\r\nContent-Length: 7\r\n\r\n", Some(7), Some(7)),
        // No body, whatever the fields say.
        ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", Some(0), Some(7)),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Some(0), Some(7)),
        ("HTTP/1.1 100 Continue\r\n\r\n", Some(0), Some(0)),
        ("HTTP/1.1 205 Reset Content\r\nContent-Length: 7\r\n\r\n", Some(7), Some(7)),
        ("POST /x HTTP/1.1\r\nContent-Length: 7\r\n\r\n", Some(7), Some(7)),
    ] {
        assert_eq!(body(head.as_bytes(), false, false), response, "a response: {head:?}");
        assert_eq!(body(head.as_bytes(), true, false), request, "a request: {head:?}");
        assert!(body(head.as_bytes(), false, true).is_none_or(|length| length == 0), "{head:?}");
    }
}

/// A name in a mixture of cases.
fn cased(name: &'static str) -> impl Strategy<Value = String> {
    any::<u16>().prop_map(move |mask| {
        let flip = |(at, c): (usize, char)| if mask >> (at % 16) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        name.chars().enumerate().map(flip).collect()
    })
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z-]{1,16}:[ -~]{0,30}",
        4 => (cased("content-length"), "[ \t]{0,2}", 0..3000u64, "[ \t]{0,2}").prop_map(|(n, a, v, b)| format!("{n}:{a}{v}{b}")),
        1 => (cased("content-length"), any::<u64>()).prop_map(|(name, value)| format!("{name}: {value}")),
        1 => (cased("transfer-encoding"), "[ -~]{0,8}").prop_map(|(name, value)| format!("{name}:{value}")),
        2 => (cased("content-length"), "[ \t\r0-9,+x-]{0,6}").prop_map(|(name, value)| format!("{name}:{value}")),
        1 => (cased("content-length"), "[ -~\r]{0,3}").prop_map(|(name, rest)| format!("{name}{rest}: 5")),
        1 => (0..15usize, cased("content-length:"), "[ -~\r]{0,8}").prop_map(|(cut, name, rest)| format!("{}{rest}", &name[..cut])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8192))]

    #[test]
    fn a_head_is_read_alike(
        lines in prop::collection::vec((field(), select(vec!["\r\n", "\r\n", "\n"])), 0..8),
        last in select(vec!["\r\n", "\n", ""]),
        body in "[ -~\r\n]{0,60}",
    ) {
        let mut bytes = String::from("HTTP/1.1 200 OK\r\n");
        lines.iter().for_each(|(field, end)| bytes.extend([field, *end]));
        bytes.extend([last, &body]);
        same(bytes.as_bytes());
    }

    #[test]
    fn a_cut_head_has_no_end(lines in prop::collection::vec(field(), 0..6), cut in 1..200usize) {
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.trim_matches('\r').is_empty()).collect();
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", lines.iter().map(|line| format!("{line}\r\n")).collect::<String>());
        let at = head.len().saturating_sub(cut);
        prop_assert!(head.len() > SCAN_MAX || scan(head.as_bytes()).0 as usize == head.len());
        prop_assert_eq!(scan(&head.as_bytes()[..at]).0, 0);
        prop_assert_eq!(body(&head.as_bytes()[..at], true, false), None);
    }
}
