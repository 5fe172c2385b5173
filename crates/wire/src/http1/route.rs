//! A path of low cardinality: `/users/42?page=3` becomes `/users/{id}`.
//!
//! A raw path must never become a route (OpenTelemetry, HTTP spans), so what looks like a value is replaced, segment
//! by segment and without a memory: the same path gives the same route on every host and after every restart. When in
//! doubt a segment is a value. A word taken for a value loses some detail; a value taken for a word costs a time series
//! for every user.

/// A route under construction, behind the method: `GET /users/{id}`. It is as long as a name may be.
#[derive(Debug)]
pub(super) struct Route {
    bytes: [u8; CAPACITY],
    length: usize,
}

const CAPACITY: usize = 255;
/// Behind so many segments the rest is `*`.
const SEGMENTS: usize = 16;
/// A longer segment is a value, whatever it is made of.
const LONGEST: usize = 64;

impl Route {
    /// The operation of a request: its method, and the template of its target. `whole` is false if the target was cut,
    /// which leaves its last segment in doubt.
    pub(super) fn operation(method: &[u8], target: Option<&[u8]>, whole: bool) -> Self {
        let mut route = Self { bytes: [0; CAPACITY], length: 0 };
        route.push(method);
        if let Some(target) = target {
            route.push(b" ");
            // What ends a path is in front of what follows it, so the path may be whole even if the target is not.
            route.template(path_of(target), whole);
        }
        route
    }

    /// The operation of a request whose template somebody has given.
    pub(super) fn given(method: &[u8], template: &str) -> Self {
        let mut route = Self { bytes: [0; CAPACITY], length: 0 };
        let _ = route.push(method) && route.push(b" ") && route.push(template.as_bytes());
        route
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Appends, unless it would leave no room for the final `/*`.
    #[inline]
    fn push(&mut self, bytes: &[u8]) -> bool {
        let end = self.length + bytes.len();
        match self.bytes.get_mut(self.length..end) {
            Some(place) if end <= CAPACITY - 2 => {
                place.copy_from_slice(bytes);
                self.length = end;
                true
            }
            _ => false,
        }
    }

    /// The rest is left out.
    fn fold(&mut self) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + 2) {
            place.copy_from_slice(b"/*");
            self.length += 2;
        }
    }

    /// `target` is what follows the authority, if there was one.
    fn template(&mut self, target: &[u8], whole: bool) {
        if matches!(target, [b'*'] | [b'*', b'?' | b'#', ..]) {
            self.push(b"*");
            return;
        }
        let mut at = usize::from(target.starts_with(b"/"));
        for count in 0.. {
            let rest = target.get(at..).unwrap_or_default();
            let look = Look::at(rest);
            let (segment, behind) = rest.split_at(look.length);
            if count == SEGMENTS || (behind.is_empty() && !whole) {
                return self.fold();
            }
            let (segment, class) = look.class(segment);
            let before = self.length;
            let fits = match (class, at.checked_sub(1)) {
                (Class::Word, Some(slash)) => self.push(target.get(slash..at + segment.len()).unwrap_or_default()),
                (Class::Word, None) => self.push(b"/") && self.push(segment),
                (Class::Value(name, ending), _) => self.push(b"/") && self.push(name) && self.push(ending),
            };
            if !fits {
                self.length = before;
                return self.fold();
            }
            if behind.first() != Some(&b'/') {
                return;
            }
            at += look.length + 1;
        }
    }
}

/// Authority and rest of an absolute target (`http://example.org/path`).
pub(super) fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    if matches!(target.first(), Some(b'/' | b'*') | None) {
        return None;
    }
    let scheme = memchr::memchr(b':', target)?;
    let rest = target.get(scheme..)?.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// What follows the authority of an absolute target; any other target as it is.
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    absolute(target).map_or(target, |(_, rest)| rest)
}

/// A segment with so many marks is a headline.
const MARKS: usize = 5;

const ID: &[u8] = b"{id}";
const DATE: &[u8] = b"{date}";

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class<'a> {
    /// A word: it stays.
    Word,
    /// A value: what stands for it, and the extension behind that.
    Value(&'static [u8], &'a [u8]),
}

/// What one look at each byte tells of a segment.
#[derive(Clone, Copy)]
struct Look {
    length: usize,
    /// The kinds of its bytes.
    kinds: u8,
    marks: usize,
}

const LOWER: u8 = 1;
const DIGIT: u8 = 2;
const MARK: u8 = 4;
/// What begins matrix parameters, which are values like a query (`;jsessionid=…`).
const PARAMETERS: u8 = 8;
const ANY: u8 = 16;
/// What ends a segment (RFC 3986 §3.3).
const END: u8 = 0;

const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([ANY; 256], 0);
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'a'..=b'z' => LOWER,
            b'0'..=b'9' => DIGIT,
            b'.' | b'-' | b'_' => MARK,
            b';' => PARAMETERS,
            b'/' | b'?' | b'#' => END,
            _ => ANY,
        };
        byte += 1;
    }
    kinds
};

impl Look {
    #[inline]
    fn at(bytes: &[u8]) -> Self {
        let mut look = Self { length: 0, kinds: 0, marks: 0 };
        for byte in bytes {
            let kind = KINDS[usize::from(*byte)];
            if kind == END {
                break;
            }
            look.length += 1;
            look.kinds |= kind;
            look.marks += usize::from(kind == MARK);
        }
        look
    }

    /// The segment without its parameters, and what it is.
    #[inline]
    fn class(self, segment: &[u8]) -> (&[u8], Class<'_>) {
        if self.kinds & PARAMETERS != 0 {
            let segment = segment.split(|byte| *byte == b';').next().unwrap_or_default();
            return Self::at(segment).class(segment);
        }
        // Most segments are words, file names or numbers: what `judge` says too, after many more looks.
        let class = if self.kinds & !(LOWER | MARK) == 0 && self.marks < MARKS && self.length <= 20 {
            Class::Word
        } else if self.kinds == DIGIT {
            Class::Value(ID, b"")
        } else {
            judge(segment)
        };
        (segment, class)
    }
}

fn judge(segment: &[u8]) -> Class<'_> {
    if segment.len() > LONGEST {
        return Class::Value(ID, b"");
    }
    if is_version(segment) {
        return Class::Word;
    }
    let whole = Counts::of(segment);
    if is_date(segment) {
        return Class::Value(DATE, b"");
    }
    // A file name keeps its extension: `/photos/{id}.jpg`.
    if let Some(dot) = memchr::memrchr(b'.', segment) {
        let (stem, extension) = segment.split_at(dot);
        let kept = extension.len() <= 6
            && extension.iter().skip(1).all(u8::is_ascii_alphanumeric)
            && extension.iter().any(u8::is_ascii_alphabetic)
            && whole.strange == 0;
        if kept && !stem.is_empty() {
            return if Counts::of(stem).is_value(stem) { Class::Value(ID, extension) } else { Class::Word };
        }
    }
    if whole.is_value(segment) { Class::Value(ID, b"") } else { Class::Word }
}

/// `v1`, `v2beta1`, `v1.2`.
fn is_version(segment: &[u8]) -> bool {
    segment.len() <= 10
        && matches!(segment, [b'v' | b'V', b'0'..=b'9', rest @ ..]
            if rest.iter().filter(|byte| byte.is_ascii_digit()).count() < 4
                && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.'))
}

/// `2026-08-21`, also with a time behind it.
fn is_date(segment: &[u8]) -> bool {
    segment.len() >= 10
        && segment.iter().zip(b"dddd-dd-dd").all(|(byte, kind)| match kind {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && matches!(segment.get(10), None | Some(b'T' | b't' | b' ' | b'_' | b'-'))
}

/// What a segment is made of.
#[derive(Clone, Copy, Default)]
struct Counts {
    digits: usize,
    lower: usize,
    upper: usize,
    /// Hexadecimal letters, which are among the letters too.
    hex: usize,
    /// `-`, `_`, `.`, `~`, `:`.
    marks: usize,
    /// Anything else: percent-encoding, `@`, `=`, `,`, brackets, bytes that are not ASCII.
    strange: usize,
    /// Changes from a lower-case to an upper-case letter, and between letters and digits.
    turns: usize,
}

impl Counts {
    fn of(segment: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut last = 0u8;
        for &byte in segment {
            match byte {
                b'0'..=b'9' => {
                    counts.digits += 1;
                    counts.turns += usize::from(last.is_ascii_alphabetic());
                }
                b'a'..=b'z' => {
                    counts.lower += 1;
                    counts.hex += usize::from(byte <= b'f');
                    counts.turns += usize::from(last.is_ascii_digit());
                }
                b'A'..=b'Z' => {
                    counts.upper += 1;
                    counts.hex += usize::from(byte <= b'F');
                    counts.turns += usize::from(last.is_ascii_lowercase() || last.is_ascii_digit());
                }
                b'-' | b'_' | b'.' | b'~' | b':' => counts.marks += 1,
                _ => counts.strange += 1,
            }
            last = byte;
        }
        counts
    }

    fn is_value(&self, segment: &[u8]) -> bool {
        let letters = self.lower + self.upper;
        let length = segment.len();
        // `@scope` is a package scope, `{id}` a template that a client did not fill in.
        let strange = match segment {
            [b'@', rest @ ..] | [b'{', rest @ .., b'}'] => self.strange > length - rest.len(),
            _ => self.strange > 0,
        };
        strange
            // Numbers, addresses, UUIDs, time stamps, and names with a number that may run on: order-12345.
            || self.digits >= 3
            || (letters == 0 && self.digits > 0)
            // Hashes.
            || (length >= 8 && self.digits > 0 && self.digits + self.hex == length)
            // Base64 and its kind: cases and digits change as words' do not.
            || (length >= 8 && self.digits > 0 && self.turns * 3 > length)
            || (length >= 16 && self.digits > 0 && self.lower > 0 && self.upper > 0)
            || (length >= 20 && self.turns * 4 >= length)
            // No word is that long without a mark or a capital.
            || (length > 24 && (letters == self.lower || letters == self.upper) && self.marks == 0)
            // A headline: `how-to-do-this-and-that-in-rust`.
            || self.marks >= MARKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str) -> String {
        let route = Route::operation(b"", Some(target.as_bytes()), true);
        String::from_utf8(route.as_bytes().to_vec()).unwrap().split_off(1)
    }

    #[test]
    fn words_stay() {
        for path in [
            "/",
            "/users",
            "/users/",
            "/api/v1/users",
            "/api/v2beta1/orders",
            "/api/v1.2/things",
            "/index.html",
            "/static/app.min.js",
            "/favicon.ico",
            "/.well-known/openid-configuration",
            "/oauth2/token",
            "/OAuth2Callback",
            "/s3/bucket",
            "/getUserById",
            "/getCustomerAccountInformation",
            "/users:batchGet",
            "/grafana/api/ds/query",
            "/deadbeef",
            "/@angular/core",
            "/a//b",
            "/internationalization",
            "/user_profile/change-password",
            "/page2",
            "*",
        ] {
            assert_eq!(route(path), path);
        }
    }

    #[test]
    fn values_go() {
        for (path, expected) in [
            ("", "/"),
            ("?a=b", "/"),
            ("/users/42", "/users/{id}"),
            ("/users/42/", "/users/{id}/"),
            ("/users/42?page=3", "/users/{id}"),
            ("/users/7#top", "/users/{id}"),
            ("/users/-1", "/users/{id}"),
            ("/at/48.85/2.35", "/at/{id}/{id}"),
            ("/hosts/10.0.0.1", "/hosts/{id}"),
            ("/o/550e8400-e29b-41d4-a716-446655440000/x", "/o/{id}/x"),
            ("/commit/cafe1234", "/commit/{id}"),
            ("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{id}"),
            ("/log/2026-08-21", "/log/{date}"),
            ("/log/2026-08-21T10:00:00Z", "/log/{date}"),
            ("/watch/dQw4w9WgXcQ", "/watch/{id}"),
            ("/t/eyJhbGciOiJIUzI1NiJ9", "/t/{id}"),
            ("/u/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/u/{id}"),
            ("/orders/order-12345", "/orders/{id}"),
            ("/mail/jo@example.org", "/mail/{id}"),
            ("/q/hello%20world", "/q/{id}"),
            ("/q/caf\u{e9}", "/q/{id}"),
            ("/Packages(Id='x')", "/{id}"),
            ("/photos/12345.jpg", "/photos/{id}.jpg"),
            ("/static/app.3f9a8b7c.js", "/static/{id}.js"),
            ("/cart;jsessionid=AB12CD34", "/cart"),
            ("/blog/how-to-do-this-and-that", "/blog/{id}"),
            ("/x/abcdefghijklmnopqrstuvwxyz", "/x/{id}"),
            ("http://example.org/users/42?x", "/users/{id}"),
            ("http://example.org", "/"),
            ("HTTPS://example.org?x", "/"),
            ("/redirect/http://example.org", "/redirect/http://example.org"),
        ] {
            let expected = if path.starts_with("/redirect") { "/redirect/http://example.org" } else { expected };
            assert_eq!(route(path), expected, "{path}");
        }
        assert_eq!(route(&format!("/x/{}", "ab-".repeat(22))), "/x/{id}");
    }

    proptest::proptest! {
        #[test]
        fn the_quick_look_says_what_the_thorough_one_says(segment in "[a-z._-]{0,20}|[0-9]{1,70}|[a-z0-9.-]{0,6}") {
            proptest::prop_assert_eq!(Look::at(segment.as_bytes()).class(segment.as_bytes()).1, judge(segment.as_bytes()));
        }
    }

    #[test]
    fn a_route_is_bounded() {
        assert_eq!(route(&"/a".repeat(16)), "/a".repeat(16));
        assert_eq!(route(&"/a".repeat(17)), format!("{}/*", "/a".repeat(16)));
        let long = route(&format!("/{}", "abc-def".repeat(9)).repeat(8));
        assert!(long.ends_with("/*") || long.len() < 255, "{long}");
        assert!(Route::operation(&[b'M'; 300], Some(b"/"), true).as_bytes().len() <= 255);
    }

    #[test]
    fn a_cut_target_keeps_what_is_certain() {
        let route = |target: &str| {
            let route = Route::operation(b"GET", Some(target.as_bytes()), false);
            String::from_utf8(route.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(route("/users/4"), "GET /users/*");
        assert_eq!(route("/us"), "GET /*");
    }
}
