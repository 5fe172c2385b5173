//! How Redis begins; twin of `bpf/infer/redis.h`.

use crate::Protocol;
use crate::infer::{Guess, PREFIX};

/// Inline commands that are told from their first word; the rest of the line must be printable.
const INLINE: [&[u8]; 8] = [b"PING", b"ECHO", b"INFO", b"QUIT", b"AUTH", b"INCR", b"GET", b"SET"];

/// What a subscriber is sent, and the end of its line.
const PUSH: &[u8] = b"message\r";

/// `*<count>\r\n$<length>\r\n` and a letter, the head of every RESP command; an inline command line; or what a server sends to
/// a subscriber. Other replies are not enough to tell: a `+` or a `-` at the start of a line is in half of all text protocols, and
/// an array may be a command.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    match bytes.first() {
        Some(&first @ (b'*' | b'>')) => resp(first, bytes),
        _ => inline(bytes),
    }
}

fn resp(first: u8, bytes: &[u8]) -> Guess {
    let mut at = 0;
    for marker in [first, b'$'] {
        match bytes.get(at) {
            None => return Guess::More,
            Some(&byte) if byte == marker => at += 1,
            Some(_) => return Guess::No,
        }
        let digits = bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        at += digits;
        if digits > 8 || (digits == 0 && at < bytes.len()) {
            return Guess::No;
        }
        for end in [b'\r', b'\n'] {
            match bytes.get(at) {
                None => return Guess::More,
                Some(&byte) if byte == end => at += 1,
                Some(_) => return Guess::No,
            }
        }
    }
    let is = |request| Guess::Is { protocol: Protocol::Redis, request };
    let word = &bytes[at..];
    let word = match word.first() {
        None => return Guess::More,
        Some(letter) if !letter.is_ascii_alphabetic() => return Guess::No,
        // `pmessage`, `smessage`
        Some(b'p' | b's') => &word[1..],
        Some(_) => word,
    };
    let both = word.len().min(PUSH.len());
    match (word[..both] == PUSH[..both], first) {
        (true, _) if both < PUSH.len() => Guess::More,
        (true, _) => is(false),
        (false, b'*') => is(true),
        (false, _) => Guess::No,
    }
}

fn inline(bytes: &[u8]) -> Guess {
    let mut more = false;
    for word in INLINE {
        let both = bytes.len().min(word.len());
        if !bytes[..both].eq_ignore_ascii_case(&word[..both]) {
            continue;
        }
        if bytes.len() <= word.len() {
            more = true;
            continue;
        }
        // The line: printable up to its end, or as far as the prefix goes.
        for (at, &byte) in bytes.iter().enumerate().skip(word.len()) {
            match byte {
                b'\n' => return Guess::Is { protocol: Protocol::Redis, request: true },
                b'\r' => {}
                b' ' if at == word.len() => {}
                0x21..=0x7e | b' ' if at > word.len() => {}
                _ => return Guess::No,
            }
        }
        return if bytes.len() < PREFIX { Guess::More } else { Guess::No };
    }
    if more { Guess::More } else { Guess::No }
}
