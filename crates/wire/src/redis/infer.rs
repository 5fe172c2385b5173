//! How Redis begins; twin of `bpf/infer/redis.h`.

use crate::Protocol;
use crate::infer::{Guess, PREFIX};

/// Inline commands that are told from their first word; the rest of the line must be printable.
const INLINE: [&[u8]; 8] = [b"PING", b"ECHO", b"INFO", b"QUIT", b"AUTH", b"INCR", b"GET", b"SET"];

/// `*<count>\r\n$<length>\r\n`, the head of every RESP command; or an inline command line. Replies are not enough to
/// tell: a `+` or a `-` at the start of a line is in half of all text protocols.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    if bytes.first() == Some(&b'*') { resp(bytes) } else { inline(bytes) }
}

fn resp(bytes: &[u8]) -> Guess {
    let mut at = 0;
    for marker in [b'*', b'$'] {
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
    Guess::Is { protocol: Protocol::Redis, request: true }
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
