//! How MySQL begins; twin of `bpf/infer/mysql.h`.

use crate::Protocol;
use crate::infer::{Guess, PREFIX};

/// The first four letters of statements, in lower case.
const VERBS: [&[u8; 4]; 26] = [
    b"sele", b"inse", b"upda", b"dele", b"repl", b"with", b"call", b"set ", b"show", b"use ", b"begi", b"star",
    b"comm", b"roll", b"save", b"rele", b"lock", b"unlo", b"crea", b"alte", b"drop", b"trun", b"expl", b"desc",
    b"load", b"kill",
];

/// The server's greeting, which comes first; or, to join late, COM_QUERY and COM_STMT_PREPARE with a statement behind
/// them, or COM_STMT_EXECUTE. All are packets with number 0 and a length that fits: below 16 KiB, so that the second byte
/// of most text is none.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    let byte = |at: usize| bytes.get(at).copied();
    let length = usize::from(byte(0).unwrap_or(0)) | usize::from(byte(1).unwrap_or(0)) << 8;
    let digit = |b: u8| b.is_ascii_digit();
    let is = |request| Guess::Is { protocol: Protocol::Mysql, request };
    // Each byte in its turn: too few of them, or one that does not fit.
    let want = |conditions: &[(usize, &dyn Fn(u8) -> bool)]| {
        conditions.iter().find_map(|(at, fits)| match byte(*at) {
            None => Some(Guess::More),
            Some(b) => (!fits(b)).then_some(Guess::No),
        })
    };
    let zero = |b: u8| b == 0;
    let header = want(&[
        (0, &|_| true),
        (1, &|b| b < 0x40),
        (2, &zero),
        (3, &|b| b == 0 && length >= 5),
        (4, &|b| matches!(b, 0x0a | 0x03 | 0x16 | 0x17)),
    ]);
    if let Some(guess) = header {
        return guess;
    }
    match byte(4) {
        Some(0x0a) => want(&[
            (5, &|b| (32..512).contains(&length) && digit(b)),
            (6, &|b| b == b'.' || digit(b)),
            (7, &|b| if byte(6) == Some(b'.') { digit(b) } else { b == b'.' }),
        ])
        .unwrap_or(is(false)),
        // A statement's number, which is not large; flags; one iteration.
        Some(0x17) => want(&[
            (7, &|b| length >= 10 && b < 0x10),
            (8, &zero),
            (9, &|b| b & 0xf0 == 0),
            (10, &|b| b == 1),
            (11, &zero),
            (12, &zero),
            (13, &zero),
        ])
        .unwrap_or(is(true)),
        command => {
            // Attributes of the query: none.
            let attributes = command == Some(0x03) && byte(5) == Some(0);
            if let (true, Some(guess)) = (attributes, want(&[(6, &|b| b == 1)])) {
                return guess;
            }
            verb(bytes, if attributes { 7 } else { 5 }, 4 + length, is(true))
        }
    }
}

/// Blanks and brackets, then the first letters of a statement, at `at` and before `end`.
fn verb(bytes: &[u8], at: usize, end: usize, is: Guess) -> Guess {
    let text = bytes.get(at..end.min(bytes.len())).unwrap_or_default();
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b'(')).count();
    match text.get(blanks..blanks + 4) {
        Some(letters) if VERBS.iter().any(|verb| letters.eq_ignore_ascii_case(*verb)) => is,
        Some(_) => Guess::No,
        None if bytes.len() < end.min(PREFIX) => Guess::More,
        None => Guess::No,
    }
}
