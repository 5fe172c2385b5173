//! The lines of a head (RFC 9112 §2 to §5). Only fields that frame the message or name its target are read.

use super::attributes::TRACEPARENT;
use super::lines::Lines;
use super::route::absolute;
use crate::{Name, Names, Share};
use memchr::memchr;

/// Most bytes of a line that are kept while its end has not come.
pub(super) const LONGEST_LINE: usize = 16 * 1024;
/// A longer method is none.
const LONGEST_METHOD: usize = 32;

/// A line that is split over pieces. It is never looked at twice: only new bytes are searched for its end.
#[derive(Debug, Default)]
pub(super) struct Partial {
    bytes: Vec<u8>,
}

impl Partial {
    /// More of a line. Bytes above the limit are dropped: a field that long is not one of those that matter, and a
    /// request line that long keeps its beginning.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.bytes.len();
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the line, and gives back the memory if it was an unusual one.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1024);
    }

    /// Calls `line` with the whole line, whose last part is `end`.
    pub(super) fn complete(&mut self, end: &[u8]) -> Vec<u8> {
        self.append(end);
        std::mem::take(&mut self.bytes)
    }

    /// Gives the memory of a completed line back for the next one.
    pub(super) fn recycle(&mut self, line: Vec<u8>) {
        self.bytes = line;
        self.clear();
    }
}

/// A request line (RFC 9112 §3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    /// None if the line was cut before it.
    pub(super) target: Option<&'a [u8]>,
    /// Whether the target is whole.
    pub(super) whole: bool,
    /// Minor version; none if the line was cut before it.
    pub(super) minor: Option<u8>,
}

/// Parses a whole request line, without its line feed.
pub(super) fn request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    // The limit of `Partial` was reached, so the end is missing.
    if line.len() >= LONGEST_LINE {
        return request_line_cut(line);
    }
    let (method, rest) = split_method(line)?;
    // §3: white space around the version is tolerated, and so is a target with spaces in it.
    let rest = rest.trim_ascii_end();
    let (target, version) = rest.split_at_checked(rest.len().checked_sub(9)?)?;
    match version {
        [b' ' | b'\t', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] if !target.is_empty() => {
            Some(RequestLine { method, target: Some(target.trim_ascii()), whole: true, minor: Some(minor - b'0') })
        }
        _ => None,
    }
}

/// What can be said of a request line of which only the beginning is known.
pub(super) fn request_line_cut(line: &[u8]) -> Option<RequestLine<'_>> {
    match split_method(line) {
        Some((method, rest)) => {
            let end = memchr(b' ', rest);
            let target = rest.get(..end.unwrap_or(rest.len())).filter(|target| !target.is_empty());
            Some(RequestLine { method, target, whole: end.is_some(), minor: None })
        }
        None if may_be_request(line) => Some(RequestLine { method: b"", target: None, whole: false, minor: None }),
        None => None,
    }
}

/// The method, which is a token, and what follows the space behind it.
#[inline]
fn split_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // Most requests.
    if let [b'G', b'E', b'T', b' ', rest @ ..] = line {
        return Some((b"GET", rest));
    }
    let end = line.iter().take(LONGEST_METHOD + 1).position(|byte| !is_token(*byte))?;
    let (method, rest) = line.split_at_checked(end)?;
    let rest = rest.strip_prefix(b" ")?;
    (!method.is_empty()).then_some((method, rest))
}

/// Whether the beginning of a line does not speak against a request line.
pub(super) fn may_be_request(line: &[u8]) -> bool {
    match line.iter().take(LONGEST_METHOD + 1).position(|byte| !is_token(*byte)) {
        Some(end) => end > 0 && line.get(end) == Some(&b' '),
        None => line.len() <= LONGEST_METHOD,
    }
}

/// A `tchar` (RFC 9110 §5.6.2).
#[inline]
fn is_token(byte: u8) -> bool {
    TOKENS[usize::from(byte)]
}

const TOKENS: [bool; 256] = {
    let (mut tokens, mut byte) = ([false; 256], 0);
    while byte < 256 {
        tokens[byte] = matches!(byte as u8, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&'
            | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    tokens
};

/// The status code of a status line (RFC 9112 §4), of which the reason phrase may be missing.
pub(super) fn status_line(line: &[u8]) -> Option<u16> {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9', b' ', rest @ ..] => {
            let rest = rest.trim_ascii_start();
            let (code, behind) = rest.split_at_checked(3)?;
            let code = code
                .iter()
                .try_fold(0u16, |code, digit| digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0')))?;
            (code >= 100 && behind.first().is_none_or(u8::is_ascii_whitespace)).then_some(code)
        }
        _ => None,
    }
}

/// Whether the beginning of a line does not speak against a status line.
pub(super) fn may_be_response(line: &[u8]) -> bool {
    const PREFIX: &[u8] = b"HTTP/1.";
    line.iter().zip(PREFIX).all(|(byte, expected)| byte == expected)
}

/// The fields that matter, of one head.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Content-Length; the first one if there are several.
    pub(super) length: Option<u64>,
    /// The last transfer coding is chunked.
    pub(super) chunked: bool,
    /// There is a Transfer-Encoding of another kind.
    pub(super) coded: bool,
    /// `Expect: 100-continue`.
    pub(super) expects: bool,
    /// The message says that it waits by design: a response that is a stream of events (`text/event-stream`), a request
    /// that asks for a long poll (`Prefer: wait=10`, RFC 7240 §4.3).
    pub(super) waits: bool,
    pub(super) host: Option<Name>,
    pub(super) traceparent: Option<[u8; TRACEPARENT]>,
    /// What the last line was, for the one that continues it.
    last: Known,
    /// The host of the heads before.
    last_host: Name,
    /// What hosts count against.
    pub(super) share: Share,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    #[default]
    Other,
    Length,
    Coding,
    Host,
    Expect,
    Traceparent,
    Type,
    Prefer,
}

impl Fields {
    /// A new head begins.
    #[inline]
    pub(super) fn clear(&mut self) {
        (self.length, self.chunked, self.coded, self.expects) = (None, false, false, false);
        (self.host, self.traceparent, self.last, self.waits) = (None, None, Known::Other, false);
    }

    /// The lines up to the empty one that ends the head. False: that one has not come.
    #[inline]
    pub(super) fn read(&mut self, lines: &mut Lines<'_>, names: &mut Names) -> bool {
        for line in lines {
            if matches!(line, b"" | b"\r") {
                return true;
            }
            self.line(line, names);
        }
        false
    }

    /// A line behind the first one, without its line feed.
    #[inline(always)]
    pub(super) fn line(&mut self, line: &[u8], names: &mut Names) {
        // The names that matter have their first letter and the place of their colon to themselves, nearly; so all other
        // lines are done with two looks.
        let Some(first) = line.first() else { return };
        let (known, value) = match first | 0x20 {
            b'c' if line.get(14) == Some(&b':') => (Known::Length, field(line, b"Content-Length", b"content-length")),
            b'h' if line.get(4) == Some(&b':') => (Known::Host, field(line, b"Host", b"host")),
            b't' if line.get(17) == Some(&b':') => {
                (Known::Coding, field(line, b"Transfer-Encoding", b"transfer-encoding"))
            }
            b't' if line.get(11) == Some(&b':') => (Known::Traceparent, field(line, b"Traceparent", b"traceparent")),
            b'e' if line.get(6) == Some(&b':') => (Known::Expect, field(line, b"Expect", b"expect")),
            b'c' if line.get(12) == Some(&b':') => (Known::Type, field(line, b"Content-Type", b"content-type")),
            b'p' if line.get(6) == Some(&b':') => (Known::Prefer, field(line, b"Prefer", b"prefer")),
            // Obsolete line folding (RFC 9112 §5.2): the value goes on.
            _ if matches!(first, b' ' | b'\t') => return self.value(self.last, line, names),
            _ => (Known::Other, None),
        };
        self.last = Known::Other;
        if let Some(value) = value {
            self.last = known;
            self.value(known, value, names);
        }
    }

    fn value(&mut self, field: Known, value: &[u8], names: &mut Names) {
        let value = trimmed(value);
        if value.is_empty() {
            return;
        }
        match field {
            Known::Length if self.length.is_none() => {
                // `5, 5` is what a recipient may make of two equal fields (RFC 9110 §8.6).
                let first = || value.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
                self.length = decimal(value).or_else(|| decimal(first()));
            }
            Known::Coding => {
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
                self.chunked = last.eq_ignore_ascii_case(b"chunked");
                self.coded = !last.eq_ignore_ascii_case(b"identity");
            }
            // A connection mostly names the same host over and over.
            Known::Host if self.host.is_none() && names.is(self.last_host, value) => self.host = Some(self.last_host),
            Known::Host if self.host.is_none() => {
                let name = host(value, self.share, names);
                (self.host, self.last_host) = (Some(name), name);
            }
            Known::Expect => self.expects |= value.eq_ignore_ascii_case(b"100-continue"),
            Known::Type => self.waits |= is_events(value),
            Known::Prefer => self.waits |= value.split(|byte| *byte == b',').any(is_wait),
            Known::Traceparent if self.traceparent.is_none() => self.traceparent = traceparent(value),
            _ => {}
        }
    }
}

/// What stands behind the name and its colon, if that is the name. It comes in these two forms nearly always, and both
/// are compared as a few words; any other mixture of cases takes a look at each letter.
#[inline]
fn field<'a, const N: usize>(line: &'a [u8], usual: &[u8; N], lower: &[u8; N]) -> Option<&'a [u8]> {
    let (name, value) = line.split_first_chunk()?;
    (name == usual || name == lower || name.eq_ignore_ascii_case(lower)).then(|| value.get(1..).unwrap_or_default())
}

/// Without the white space around it, which is one space in front and a carriage return behind nearly always.
#[inline]
fn trimmed(value: &[u8]) -> &[u8] {
    match value {
        [b' ', inner @ .., b'\r'] if matches!(inner, [b'!'..=b'~', .., b'!'..=b'~']) => inner,
        _ => value.trim_ascii(),
    }
}

/// Whether a media type is that of server-sent events.
fn is_events(value: &[u8]) -> bool {
    const EVENTS: &[u8; 17] = b"text/event-stream";
    // The letter behind the slash tells it from nearly all others.
    let Some((kind, parameters)) = value.split_first_chunk::<17>().filter(|(kind, _)| kind[5] | 0x20 == EVENTS[5])
    else {
        return false;
    };
    kind.eq_ignore_ascii_case(EVENTS) && matches!(parameters.trim_ascii_start().first(), None | Some(b';'))
}

/// Whether a preference is the time that the client is willing to wait.
fn is_wait(preference: &[u8]) -> bool {
    let name = preference.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() < preference.len() && name.trim_ascii().eq_ignore_ascii_case(b"wait")
}

/// A number of digits only, that fits.
#[inline]
fn decimal(digits: &[u8]) -> Option<u64> {
    // As few as always fit.
    if digits.len() < 20 {
        let mut odd = digits.is_empty();
        let number = digits.iter().fold(0u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            odd |= digit > 9;
            number.wrapping_mul(10).wrapping_add(digit.into())
        });
        return (!odd).then_some(number);
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (!digits.is_empty()).then_some(number)
}

/// A host in lower case, without user info, which is nobody's business.
pub(super) fn host(authority: &[u8], share: Share, names: &mut Names) -> Name {
    // (A fold without an early end is what the compiler makes vectors of.)
    if !authority.iter().fold(false, |odd, byte| odd | byte.is_ascii_uppercase() | (*byte == b'@')) {
        return names.intern_within(share, authority).unwrap_or(Name::OTHER);
    }
    let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or_default();
    let mut lower = [0; Names::MAX_LENGTH];
    let length = host.len().min(lower.len());
    for (to, from) in lower.iter_mut().zip(host) {
        *to = from.to_ascii_lowercase();
    }
    names.intern_within(share, lower.get(..length).unwrap_or_default()).unwrap_or(Name::OTHER)
}

/// The host that the request line itself names: an absolute target overrides Host (RFC 9112 §3.2.2).
pub(super) fn target_host(method: &[u8], target: &[u8], share: Share, names: &mut Names) -> Option<Name> {
    let authority = match absolute(target) {
        Some((authority, _)) => authority,
        None if method == b"CONNECT" => target,
        None => return None,
    };
    (!authority.is_empty()).then(|| host(authority, share, names))
}

/// `00-<32 hex digits>-<16>-<2>`; later versions may append more, behind another dash (W3C Trace Context §3.2.2).
fn traceparent(value: &[u8]) -> Option<[u8; TRACEPARENT]> {
    let (head, rest) = value.split_first_chunk::<TRACEPARENT>()?;
    let formed = head.iter().enumerate().all(|(at, byte)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    (formed && matches!(rest.first(), None | Some(b'-'))).then_some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        for (line, expected) in [
            (&b"GET / HTTP/1.1\r"[..], Some((&b"GET"[..], &b"/"[..], 1))),
            (b"GET /a b HTTP/1.0", Some((b"GET", b"/a b", 0))),
            (b"PROPFIND /dav/ HTTP/1.1", Some((b"PROPFIND", b"/dav/", 1))),
            (b"CONNECT a:1 HTTP/1.1", Some((b"CONNECT", b"a:1", 1))),
            (b"GET /", None),
            (b"GET  HTTP/1.1", None),
            (b"GET / HTTP/2.0", None),
            (b"G(T / HTTP/1.1", None),
            (b" / HTTP/1.1", None),
            (b"", None),
        ] {
            let got = request_line(line).map(|l| (l.method, l.target.unwrap(), l.minor.unwrap()));
            assert_eq!(got, expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn status_lines() {
        for (line, expected) in [
            (&b"HTTP/1.1 200 OK\r"[..], Some(200)),
            (b"HTTP/1.0 404", Some(404)),
            (b"HTTP/1.1 200\r", Some(200)),
            (b"HTTP/1.1  200 two spaces", Some(200)),
            (b"HTTP/1.1 2000", None),
            (b"HTTP/1.1 20", None),
            (b"HTTP/1.1 099 x", None),
            (b"HTTP/2 200", None),
            (b"ICY 200 OK", None),
        ] {
            assert_eq!(status_line(line), expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn fields_in_any_case_and_folded() {
        let mut names = Names::default();
        let mut read = |lines: &[&[u8]]| {
            let mut fields = Fields::default();
            lines.iter().for_each(|line| fields.line(line, &mut names));
            fields
        };
        assert_eq!(read(&[b"CONTENT-LENGTH:7\r"]).length, Some(7));
        assert_eq!(read(&[b"content-length: 7, 7"]).length, Some(7));
        assert_eq!(read(&[b"Content-Length: +7"]).length, None);
        assert_eq!(read(&[b"Content-Length: 99999999999999999999"]).length, None);
        assert_eq!(read(&[b"Content-Length:\r", b" 7\r"]).length, Some(7));
        assert_eq!(read(&[b"Content-Type: a", b"\t7"]).length, None);
        assert!(read(&[b"Transfer-Encoding: gzip, Chunked"]).chunked);
        assert!(read(&[b"Transfer-Encoding: gzip,", b"\tchunked"]).chunked);
        assert!(!read(&[b"Transfer-Encoding: chunked, gzip"]).chunked);
        assert!(read(&[b"Expect: 100-Continue"]).expects);
        let fields = read(&[b"HOST: user:secret@Example.ORG:80", b"Host: other"]);
        assert_eq!(names.get(fields.host.unwrap()), "example.org:80");
    }

    #[test]
    fn a_traceparent_is_taken_if_it_is_one() {
        let good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(good).unwrap(), *good);
        assert!(traceparent(&[good, &b"-more"[..]].concat()).is_some());
        assert_eq!(traceparent(&[good, &b"more"[..]].concat()), None);
        assert_eq!(traceparent(&good[1..]), None);
        assert_eq!(traceparent(&good.to_ascii_uppercase()), None);
    }
}
