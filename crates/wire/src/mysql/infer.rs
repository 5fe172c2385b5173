//! How MySQL begins; twin of `bpf/infer/mysql.h`.

use crate::Protocol;
use crate::infer::{Guess, PREFIX};

/// The first four letters of statements, in lower case.
const VERBS: [&[u8; 4]; 54] = [
    b"sele", b"inse", b"upda", b"dele", b"repl", b"with", b"call", b"set ", b"show", b"use ", b"begi", b"star",
    b"comm", b"roll", b"save", b"rele", b"lock", b"unlo", b"crea", b"alte", b"drop", b"trun", b"expl", b"desc",
    b"load", b"kill", b"prep", b"exec", b"deal", b"flus", b"gran", b"revo", b"anal", b"opti", b"chec", b"valu",
    b"tabl", b"hand", b"back", b"get ", b"rena", b"chan", b"rese", b"purg", b"binl", b"inst", b"unin", b"sign",
    b"resi", b"repa", b"help", b"clon", b"shut", b"stop",
];

/// Those of three.
const SHORT_VERBS: [&[u8; 3]; 2] = [b"xa ", b"do "];

/// How comments begin.
const COMMENTS: [&[u8]; 3] = [b"/*", b"--", b"#"];

/// The server's greeting, which comes first; or, to join late, COM_QUERY and COM_STMT_PREPARE with a statement or a comment behind
/// them, or COM_STMT_EXECUTE, compressed or not; or the server's shortest answer. All but that one are packets with number 0 and a length that fits: below 16 KiB, so that
/// the second byte of most text is none.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    let byte = |at: usize| bytes.get(at).copied();
    let length = usize::from(byte(0).unwrap_or(0)) | usize::from(byte(1).unwrap_or(0)) << 8;
    let digit = |b: u8| b.is_ascii_digit();
    let is = |request| Guess::Is { protocol: Protocol::Mysql, request };
    let want = |conditions: &[Want<'_>]| want(bytes, conditions);
    let zero = |b: u8| b == 0;
    if let Some(guess) = want(&[(0, &|_| true), (1, &|b| b < 0x40), (2, &zero)]) {
        return guess;
    }
    if byte(3) == Some(1) {
        // OK: no row affected, no number inserted; in a transaction or not, committing by itself or not; the session's state has
        // changed or not; no warning.
        return want(&[
            (3, &|_| length == 7),
            (4, &zero),
            (5, &zero),
            (6, &zero),
            (7, &|b| b < 4),
            (8, &|b| matches!(b, 0 | 0x40)),
            (9, &zero),
            (10, &zero),
        ])
        .unwrap_or(is(false));
    }
    if let Some(guess) = want(&[(3, &|b| b == 0 && length >= 5), (4, &|_| true)]) {
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
        command if !matches!(command, Some(0x03 | 0x16)) => frame(bytes, length),
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

/// A byte's position, and what it must be.
type Want<'a> = (usize, &'a dyn Fn(u8) -> bool);

/// Each byte in its turn: too few of them, or one that does not fit.
fn want(bytes: &[u8], conditions: &[Want<'_>]) -> Option<Guess> {
    conditions.iter().find_map(|(at, fits)| match bytes.get(*at) {
        None => Some(Guess::More),
        Some(b) => (!fits(*b)).then_some(Guess::No),
    })
}

/// A frame of the compressed protocol with number 0, `length` bytes long: it holds a packet as it is, whose length fits; or
/// what is in it has become shorter, and begins as zlib's and Zstandard's streams do.
fn frame(bytes: &[u8], length: usize) -> Guess {
    let is = Guess::Is { protocol: Protocol::Mysql, request: true };
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let unpacked = usize::from(byte(4)) | usize::from(byte(5)) << 8;
    // 4 to 10: PostgreSQL's messages that are no longer than what is looked at here. Clients leave what is shorter than 50
    // bytes as it is.
    let header =
        want(bytes, &[(4, &|b| !matches!(b, 4..=10)), (5, &|_| byte(4) == 0 || unpacked >= 50), (6, &|b| b == 0)]);
    if let Some(guess) = header {
        return guess;
    }
    if unpacked == 0 {
        let inside = length - 4;
        return want(
            bytes,
            &[
                (7, &|b| usize::from(b) == inside & 0xff),
                (8, &|b| usize::from(b) == inside >> 8),
                (9, &|b| b == 0),
                (10, &|b| b == 0),
                (11, &|b| matches!(b, 0x03 | 0x0e | 0x16 | 0x17)),
            ],
        )
        .unwrap_or(is);
    }
    let begins = want(bytes, &[(7, &|b| unpacked > length && matches!(b, 0x78 | 0x28))]);
    let stream: &[Want<'_>] = match byte(7) {
        0x78 => &[(8, &|b| matches!(b, 0x01 | 0x5e | 0x9c | 0xda))],
        _ => &[(8, &|b| b == 0xb5), (9, &|b| b == 0x2f), (10, &|b| b == 0xfd)],
    };
    begins.or_else(|| want(bytes, stream)).unwrap_or(is)
}

/// Whether a connection older than the agent goes on with a frame of the compressed protocol.
pub(super) fn is_frame(bytes: &[u8]) -> Guess {
    match bytes {
        [_, _, 0, 0, 0x0a | 0x03 | 0x16 | 0x17, ..] => Guess::No,
        [a, b, 0, 0, _, ..] if usize::from(*a) | usize::from(*b) << 8 > 4 => infer(bytes),
        [_, _, 0, 0] | [_, _, 0] | [_, _] | [_] | [] => Guess::More,
        _ => Guess::No,
    }
}

/// Blanks and brackets, then the first letters of a statement, at `at` and before `end`.
fn verb(bytes: &[u8], at: usize, end: usize, is: Guess) -> Guess {
    let text = bytes.get(at..end.min(bytes.len())).unwrap_or_default();
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b'(')).count();
    let rest = text.get(blanks..).unwrap_or_default();
    if COMMENTS.iter().any(|comment| rest.starts_with(comment)) {
        return is;
    }
    let begins = |letters: &[u8], verb: &[u8]| letters.get(..verb.len()).is_some_and(|l| l.eq_ignore_ascii_case(verb));
    match rest.get(..4) {
        Some(letters) if VERBS.iter().any(|verb| begins(letters, *verb)) => is,
        Some(letters) if SHORT_VERBS.iter().any(|verb| begins(letters, *verb)) => is,
        Some(_) => Guess::No,
        None if bytes.len() < end.min(PREFIX) => Guess::More,
        None => Guess::No,
    }
}
