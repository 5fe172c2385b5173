//! The kernel side's scan of a response's head against a reading of the same head line by line.

use proptest::prelude::*;
use proptest::sample::select;
use steth_infer::{SCAN_MAX, scan, want_more};

/// What crates/wire makes of a head, said simply: the first Content-Length that is a number counts; "7, 7" is 7. The
/// number matters up to 2^48 only: no call is longer.
fn read(bytes: &[u8]) -> Option<(u32, Option<u64>)> {
    let (mut head, mut found) = (0, None);
    for line in bytes[..bytes.len().min(SCAN_MAX)].split_inclusive(|byte| *byte == b'\n') {
        head += line.len();
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?.trim_end_matches('\r');
        if line.is_empty() {
            return Some((u32::try_from(head).ok()?, found));
        }
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
fn same(bytes: &[u8], total: u32) {
    let (head, length) = scan(bytes);
    let expected = read(bytes);
    match expected {
        None => assert_eq!(head, 0, "{}", bytes.escape_ascii()),
        Some(expected) => {
            let capped = |(head, length): (u32, Option<u64>)| (head, length.map(|length| length.min(1 << 48)));
            assert_eq!(capped((head, length)), capped(expected), "{}", bytes.escape_ascii());
        }
    }
    let body_and_nothing_else = matches!(
        expected,
        Some((head, Some(length))) if u64::from(head).saturating_add(length) >= u64::from(total)
    );
    assert_eq!(want_more(bytes, total), !body_and_nothing_else, "{total} bytes: {}", bytes.escape_ascii());
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
        assert!(!want_more(head.as_bytes(), u32::MAX), "{digits}");
    }
}

#[test]
fn a_head_longer_than_the_scan_has_no_end() {
    let at = |length: usize| format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(length - 24));
    assert_eq!(scan(at(SCAN_MAX).as_bytes()), (SCAN_MAX as u32, None));
    assert_eq!(scan(at(SCAN_MAX + 1).as_bytes()), (0, None));
}

#[test]
fn the_rest_is_wanted_when_more_than_the_body_is_in_the_call() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let length = head.len() as u32;
    assert!(!want_more(head, length + 1), "a part of the body");
    assert!(!want_more(head, length + 1000), "all of it");
    assert!(want_more(head, length + 1001), "and another response");
    assert!(want_more(&head[..30], length + 1000), "no end of the head");
    assert!(want_more(b"HTTP/1.1 200 OK\r\n\r\n", 5000), "no length");
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
        total in 0..6000u32,
    ) {
        let mut bytes = String::from("HTTP/1.1 200 OK\r\n");
        lines.iter().for_each(|(field, end)| bytes.extend([field, *end]));
        bytes.extend([last, &body]);
        same(bytes.as_bytes(), total);
        same(bytes.as_bytes(), bytes.len() as u32);
    }

    #[test]
    fn a_cut_head_has_no_end(lines in prop::collection::vec(field(), 0..6), cut in 1..200usize) {
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.trim_matches('\r').is_empty()).collect();
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n", lines.iter().map(|line| format!("{line}\r\n")).collect::<String>());
        let at = head.len().saturating_sub(cut);
        prop_assert!(head.len() > SCAN_MAX || scan(head.as_bytes()).0 as usize == head.len());
        prop_assert_eq!(scan(&head.as_bytes()[..at]).0, 0);
        prop_assert!(want_more(&head.as_bytes()[..at], 5000));
    }
}
