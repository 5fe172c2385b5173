//! How PostgreSQL begins; twin of `bpf/infer/postgresql.h`.

use crate::Protocol;
use crate::infer::{Guess, PREFIX};

/// PostgreSQL: a startup message or what stands in its place; or, of a conversation under way, a message of either side
/// that has its type, a length that fits, and a body that begins as that type's do. A message that fits into the prefix
/// is looked at whole, because short lengths are what other binary protocols begin with too.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    const REQUEST: Guess = Guess::Is { protocol: Protocol::Postgresql, request: true };
    const RESPONSE: Guess = Guess::Is { protocol: Protocol::Postgresql, request: false };
    let at = |n: usize| bytes.get(n).copied().unwrap_or(0);
    let number = |n: usize| u32::from_be_bytes([at(n), at(n + 1), at(n + 2), at(n + 3)]);
    let n = bytes.len();
    let is = |yes: bool, guess| if yes { guess } else { Guess::No };
    match at(0) {
        _ if n == 0 => Guess::More,
        0 => {
            if n < 8 {
                return is(n < 2 || at(1) == 0, Guess::More);
            }
            match (number(4), number(0)) {
                // SSLRequest, GSSENCRequest; CancelRequest, whose key is 4 bytes, or up to 256 since version 3.2.
                (80_877_103 | 80_877_104, 8) | (80_877_102, 16..=268) => REQUEST,
                // Version 3: then the name of a parameter.
                (0x0003_0000..=0x0003_ffff, 16..=10_000) => {
                    let letters = bytes.iter().skip(8).take(4).all(|b| b.is_ascii_lowercase() || *b == b'_');
                    if n < 12 { is(letters, Guess::More) } else { is(letters, REQUEST) }
                }
                _ => Guess::No,
            }
        }
        b'Q' | b'P' | b'B' => texts(bytes, if at(0) == b'Q' { 1 } else { 2 }),
        // Execute and Sync do not come alone.
        b'E' if at(5) == 0 => followed(bytes, 9, b"SHBPCDE", REQUEST),
        b'S' => followed(bytes, 4, b"QPBEDCH", REQUEST),
        b'1' => followed(bytes, 4, b"ZTDC23NEtnSA", RESPONSE),
        b'2' => followed(bytes, 4, b"ZTDCNEnIsGHSA", RESPONSE),
        b'Z' if n < 6 => is(begins(bytes, 5), Guess::More),
        b'Z' => is(number(1) == 5 && matches!(at(5), b'I' | b'T' | b'E'), RESPONSE),
        b'C' => completed(bytes),
        b'T' if n < 8 => is(n < 2 || at(1) == 0, Guess::More),
        b'T' => {
            let (length, fields) = (number(1), u32::from(at(5)) << 8 | u32::from(at(6)));
            // A field is described by 19 bytes or more, of which the first are its name.
            let fits = (1..=1664).contains(&fields) && length >= 6 + 19 * fields && length < 1 << 24;
            is(fits && at(7) >= b' ', RESPONSE)
        }
        b'D' if n < 11 => is(n < 2 || at(1) == 0, Guess::More),
        b'D' => {
            let (length, columns) = (number(1), u32::from(at(5)) << 8 | u32::from(at(6)));
            let first = number(7);
            let first = if first == u32::MAX { 0 } else { first };
            if !(1..=1664).contains(&columns) || length >= 1 << 24 || first >= 1 << 24 {
                return Guess::No;
            }
            let least = 6 + 4 * columns + first;
            is(if columns == 1 { length == least } else { length >= least }, RESPONSE)
        }
        _ => Guess::No,
    }
}

/// Whether the length behind the type is this one, as far as it is there.
fn begins(bytes: &[u8], length: u8) -> bool {
    bytes.iter().skip(1).zip([0, 0, 0, length]).all(|(byte, expected)| *byte == expected)
}

/// A message of this length, and the beginning of another one of these types.
fn followed(bytes: &[u8], length: u8, types: &[u8], guess: Guess) -> Guess {
    if begins(bytes, length) { next(bytes, usize::from(length) + 1, types, guess) } else { Guess::No }
}

/// The beginning of a message of these types. Lengths begin with a zero.
fn next(bytes: &[u8], at: usize, types: &[u8], guess: Guess) -> Guess {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(kind), _) if !types.contains(kind) => Guess::No,
        (Some(_), Some(0)) => guess,
        (Some(_), Some(_)) => Guess::No,
        _ => Guess::More,
    }
}

/// Query, Parse, Bind: this many strings, which end within the message. The text of a Query is all there is in it.
fn texts(bytes: &[u8], strings: u32) -> Guess {
    let Some(&[high, a, b, c]) = bytes.get(1..).and_then(|rest| rest.first_chunk::<4>()) else {
        return if bytes.get(1).is_none_or(|&high| high == 0) { Guess::More } else { Guess::No };
    };
    let length = u32::from_be_bytes([high, a, b, c]) as usize;
    if high != 0 || length < 5 {
        return Guess::No;
    }
    let mut left = strings;
    for (at, &byte) in bytes.iter().enumerate().skip(5) {
        match byte {
            0 if left == 1 => {
                let is = at == length || strings > 1;
                return if is { Guess::Is { protocol: Protocol::Postgresql, request: true } } else { Guess::No };
            }
            // MySQL's statement number, in an execution of the right length.
            0 if at == 6 => return Guess::No,
            0 => left -= 1,
            b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80.. => {}
            _ => return Guess::No,
        }
        if at >= length {
            return Guess::No;
        }
    }
    // It goes on behind what is there.
    if bytes.len() < PREFIX {
        return Guess::More;
    }
    Guess::Is { protocol: Protocol::Postgresql, request: true }
}

/// CommandComplete: a short tag in upper case, then another message of the server. A Close of the client looks the same but
/// for what follows.
fn completed(bytes: &[u8]) -> Guess {
    if !begins(bytes.get(..4.min(bytes.len())).unwrap_or_default(), 0) {
        return Guess::No;
    }
    let Some(&length) = bytes.get(4) else { return Guess::More };
    let length = usize::from(length);
    if !(7..PREFIX - 2).contains(&length) {
        return Guess::No;
    }
    for (at, &byte) in bytes.iter().enumerate().skip(5).take(length - 4) {
        let ends = at == length;
        if ends != (byte == 0) || !(ends || byte == b' ' || byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return Guess::No;
        }
    }
    next(bytes, length + 1, b"ZTDC123NE", Guess::Is { protocol: Protocol::Postgresql, request: false })
}
