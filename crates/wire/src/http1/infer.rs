//! How HTTP/1 begins; twin of `bpf/infer/http1.h`.

use crate::Protocol;
use crate::infer::Guess;

const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"PATCH ", b"OPTIONS ", b"CONNECT ", b"TRACE "];

/// Further methods in use: WebDAV and its kin (IANA HTTP Method Registry), and what caches take.
pub(super) const SELDOM: [&[u8]; 17] = [
    b"ACL",
    b"BIND",
    b"CHECKOUT",
    b"COPY",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKCOL",
    b"MOVE",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"QUERY",
    b"REPORT",
    b"SEARCH",
    b"UNLINK",
    b"UNLOCK",
];

/// Another one, too long for what the kernel side compares at once: nobody begins a connection with it.
pub(super) const CALENDAR: &[u8] = b"MKCALENDAR";

/// A method, a space and the first byte of a target (`/`, `*`, or a letter, digit or bracket of an authority or an
/// absolute URI); or `HTTP/1.`. A lone `GET word` may be an inline Redis command, so GET wants `/` or `h` behind it, and so do
/// the methods that are seldom.
pub(crate) fn infer(bytes: &[u8]) -> Guess {
    const RESPONSE: &[u8] = b"HTTP/1.";
    if bytes.len() >= RESPONSE.len() && bytes.starts_with(RESPONSE) {
        return Guess::Is { protocol: Protocol::Http1, request: false };
    }
    let mut more = bytes.len() < RESPONSE.len() && RESPONSE.starts_with(bytes);
    for method in METHODS {
        if bytes.len() <= method.len() {
            more |= method.starts_with(bytes);
        } else if bytes.starts_with(method) {
            let target = bytes[method.len()];
            let is = match method {
                b"GET " => matches!(target, b'/' | b'h' | b'H'),
                _ => target == b'/' || target == b'*' || target == b'[' || target.is_ascii_alphanumeric(),
            };
            return if is { Guess::Is { protocol: Protocol::Http1, request: true } } else { Guess::No };
        }
    }
    for method in SELDOM {
        let Some(behind) = bytes.strip_prefix(method) else {
            more |= method.starts_with(bytes);
            continue;
        };
        match behind {
            [] | [b' '] => more = true,
            [b' ', b'/' | b'h' | b'H', ..] => return Guess::Is { protocol: Protocol::Http1, request: true },
            [b' ', ..] => return Guess::No,
            _ => {}
        }
    }
    if more { Guess::More } else { Guess::No }
}
