//! A path of low cardinality: `/users/42?page=3` becomes `/users/{id}`.
//!
//! A raw path must never become a route (OpenTelemetry, HTTP spans), so what looks like a value is replaced, segment
//! by segment and without a memory: the same path gives the same route on every host and after every restart. When in
//! doubt a segment is a value. A word taken for a value loses some detail; a value taken for a word costs a time series
//! for every user.

use super::segment::{Class, Kinds, SHORT, class};

/// A route under construction, behind the method: `GET /users/{id}`. It is as long as a name may be.
#[derive(Debug)]
pub(super) struct Route {
    bytes: [u8; CAPACITY],
    length: usize,
}

const CAPACITY: usize = 255;
/// The longest method in front of a short path: the template grows by no more than two bytes for each byte of the path.
const SHORT_METHOD: usize = CAPACITY - 2 - 3 * (SHORT + 1);
/// Behind so many segments the rest is `*`.
const SEGMENTS: usize = 16;

impl Route {
    /// The operation of a request: its method, and the template of its target. `whole` is false if the target was cut,
    /// which leaves its last segment in doubt.
    #[inline]
    pub(super) fn operation(method: &[u8], target: Option<&[u8]>, whole: bool) -> Self {
        // Where it is wanted, and filled there: it is too long to be moved.
        let mut route = Self { bytes: [0; CAPACITY], length: 0 };
        route.fill(method, target, whole);
        route
    }

    fn fill(&mut self, method: &[u8], target: Option<&[u8]>, whole: bool) {
        self.push(method);
        if let Some(target) = target {
            self.push(b" ");
            // What ends a path is in front of what follows it, so the path may be whole even if the target is not.
            self.template(path_of(target), whole);
        }
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
        match Kinds::of(target) {
            Some(kinds) if self.length <= SHORT_METHOD => self.short(target, &kinds, whole),
            _ => self.long(target, whole),
        }
    }

    /// The template of a path that is short enough for one look at all of it, and to leave it room whatever its segments are.
    fn short(&mut self, target: &[u8], kinds: &Kinds, whole: bool) {
        // Where the words begin that are still to be pushed, with the slash in front of them.
        let (mut words, mut at) = (0, 1);
        for count in 0.. {
            let length = kinds.length(at);
            let end = at + length;
            if count == SEGMENTS || (end == target.len() && !whole) {
                self.push(target.get(words..at - 1).unwrap_or_default());
                return self.fold();
            }
            let (segment, class) = kinds.class(at, length, target);
            let last = target.get(end) != Some(&b'/');
            match class {
                Class::Word if segment.len() == length && !last => {}
                Class::Word => {
                    self.push(target.get(words..at + segment.len()).unwrap_or_default());
                    words = end;
                }
                Class::Value(name, ending) => {
                    self.push(target.get(words..at).unwrap_or_default());
                    self.push(name);
                    if !ending.is_empty() {
                        self.push(ending);
                    }
                    words = end;
                }
            }
            if last {
                return;
            }
            at = end + 1;
        }
    }

    /// The template of any path.
    fn long(&mut self, target: &[u8], whole: bool) {
        let mut at = usize::from(target.starts_with(b"/"));
        for count in 0.. {
            let rest = target.get(at..).unwrap_or_default();
            let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let (segment, behind) = rest.split_at(length);
            if count == SEGMENTS || (behind.is_empty() && !whole) {
                return self.fold();
            }
            let (segment, class) = class(segment);
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
            at += length + 1;
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
        fn a_short_path_has_the_template_that_any_path_has(
            target in "/([a-z]{0,4}|[a-z]{15,25}|[0-9]{1,8}|v1|[A-Za-z0-9;.%:~_-]{0,9}|[/?#]){0,24}(/[a-z0-9./?#]{0,3}){0,24}",
            whole: bool,
        ) {
            let template = |long: bool| {
                let mut route = Route { bytes: [0; CAPACITY], length: 0 };
                match Kinds::of(target.as_bytes()).filter(|_| !long) {
                    Some(kinds) => route.short(target.as_bytes(), &kinds, whole),
                    None => route.long(target.as_bytes(), whole),
                }
                route.as_bytes().to_vec()
            };
            let path = target.split(['?', '#']).next().unwrap_or_default();
            proptest::prop_assert_eq!(Kinds::of(target.as_bytes()).is_some(), path.len() < SHORT || target.len() == SHORT);
            proptest::prop_assert_eq!(template(false).escape_ascii().to_string(), template(true).escape_ascii().to_string());
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
