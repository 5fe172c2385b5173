//! The kernel side's inference, compiled natively, against its Rust twin; and its scan of a response's head.
//!
//! The input is the first bytes of a message. Both sides must answer alike for each of its beginnings; an answer, once
//! sure, must not change with more bytes; a head must end where it is said to end.

use steth_infer::{ALL, SCAN_MAX, body, infer, infer_datagram, scan};
use steth_wire::Protocol;
use steth_wire::infer::{Guess, PREFIX, infer as twin, infer_datagram as datagram_twin};

/// Asks both sides about every beginning.
pub fn run(bytes: &[u8]) {
    let mut last = Guess::More;
    for end in 0..=bytes.len().min(PREFIX + 1) {
        let beginning = &bytes[..end];
        let guess = infer(beginning, ALL);
        assert_eq!(guess, twin(beginning), "kernel side left, twin right: {}", beginning.escape_ascii());
        assert!(last == Guess::More || guess == last, "another answer: {}", beginning.escape_ascii());
        last = guess;
    }
    assert_eq!(infer(bytes, ALL), twin(bytes));
    for total in [bytes.len(), 17, 512] {
        assert_eq!(infer_datagram(bytes, total as u32, ALL), datagram_twin(bytes, total), "as a datagram");
    }
    for protocol in Protocol::ALL {
        if let Guess::Is { protocol: named, .. } = infer(bytes, 1 << protocol as u32) {
            assert_eq!(named, protocol, "a protocol that is not enabled");
        }
    }
    head(bytes);
}

fn head(bytes: &[u8]) {
    let (head, length) = scan(bytes);
    let end = head as usize;
    if head == 0 {
        assert_eq!(body(bytes, true, false), None, "the end of a message whose head has none");
        return;
    }
    assert!(end <= bytes.len().min(SCAN_MAX), "an end behind the bytes");
    assert_eq!(bytes[end - 1], b'\n');
    assert_eq!(scan(&bytes[..end]), (head, length), "bytes behind the head count");
    assert_eq!(scan(&bytes[..end - 1]).0, 0, "an end before the end");
    let Some(length) = length else {
        assert!(body(bytes, false, false).is_none_or(|length| length == 0), "the end of a body without a length");
        return;
    };
    // A number must stand there: no fewer digits than it has, behind the name.
    let name = b"content-length:";
    assert!(bytes[..end].windows(name.len()).any(|w| w.eq_ignore_ascii_case(name)), "a length from nowhere");
    assert!(body(bytes, true, false).is_none_or(|body| body == length), "another length");
}
