//! How DNS begins; twin of `bpf/infer/dns.h`.

use crate::Protocol;
use crate::infer::Guess;

/// Bytes of a DNS message with a question.
const LEAST: usize = 17;

/// A length, of less than 4 KiB here, and the message behind it.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    match *bytes {
        [] => Guess::More,
        [first, ..] if first > 15 => Guess::No,
        [_] => Guess::More,
        [high, low, ref message @ ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let a_question = match message {
                [_, _, _, _, 0, 1..=4, ..] | [_, _, _, _, 0] => true,
                _ => message.len() < 5,
            };
            match message.len() {
                _ if length < LEAST || !a_question => Guess::No,
                ..13 => Guess::More,
                _ => header(message, length),
            }
        }
    }
}

/// A datagram of so many bytes: a message of its own, which tells or never will.
pub(crate) fn infer_datagram(bytes: &[u8], length: usize) -> Guess {
    if bytes.len() < LEAST || length < LEAST { Guess::No } else { header(bytes, length) }
}

/// Header and first label of a message of `length` bytes: a known operation, one question or a few, no more records than there is
/// room for, nothing in a query that only a response has.
fn header(message: &[u8], length: usize) -> Guess {
    let &[_, _, high, low, 0, questions @ 1..=4, a, b, c, d, e, f, 0..=63, ..] = message else { return Guess::No };
    let [answers, authority, additional] = [[a, b], [c, d], [e, f]].map(|count| usize::from(u16::from_be_bytes(count)));
    let (request, truncated, opcode) = (high & 0x80 == 0, high & 2 != 0, high >> 3 & 15);
    let known = matches!(opcode, 0 | 4 | 5) && low & 0x40 == 0;
    let foreign = request && (low & 0x8f != 0 || truncated);
    let not_asked = request && opcode == 0 && (high & 4 != 0 || answers > 0 || authority > 1);
    // A question takes 5 bytes at least, a record 11; a truncated response may announce what it does not have.
    let fits = truncated || 12 + 5 * usize::from(questions) + 11 * (answers + authority + additional) <= length;
    if known && fits && !foreign && !not_asked { Guess::Is { protocol: Protocol::Dns, request } } else { Guess::No }
}
