//! A user's own templates of paths, which win over the built-in ones ([`super::route`]).
//!
//! A rule is a path, read segment by segment: `{name}` stands for any one segment that is not empty, `*rest` as the last
//! for any number of them, all else for itself. A host in front (`shop.example/p/{id}`) keeps it to requests for that
//! host; with a port, for that port. The first rule that matches is the route, as it is written. No rule sees a query, or
//! what is behind a semicolon.
//!
//! A path is split once, whatever the number of rules; a rule then compares whole segments and mostly ends at the first.

use std::fmt;

/// Segments of a rule, and of a path that is looked at.
const SEGMENTS: usize = 16;

/// Rules, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    /// What the first segment of each has to be, for a quick look.
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// In lower case; empty for any.
    host: Box<str>,
    /// As it was written, without the host.
    template: Box<str>,
    segments: Vec<Part>,
    /// Whether any number of further segments may follow.
    rest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Word(Box<[u8]>),
    Any,
}

/// The length of a segment and its first bytes, in a word: mostly enough to tell two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key(u64);

impl Key {
    /// Of any segment: none has this one.
    const ANY: Self = Self(0);

    #[inline]
    fn of(segment: &[u8]) -> Self {
        let length = segment.len().min(254) as u64 + 1;
        Self(segment.iter().take(7).fold(length, |key, byte| key << 8 | u64::from(*byte)))
    }
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Where it stands, from 0.
    at: usize,
    rule: String,
    why: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({:?}): {}", self.at + 1, self.rule, self.why)
    }
}

impl std::error::Error for RuleError {}

impl Rules {
    /// Most rules.
    pub const MAX: usize = 64;
    /// Longest rule, in bytes.
    pub const MAX_LENGTH: usize = 200;

    /// Reads rules; the first that is wrong is named, with what would mend it.
    ///
    /// # Errors
    /// There are too many, or one is too long or not of the form that is described above.
    pub fn parse<T: AsRef<str>>(rules: &[T]) -> Result<Self, RuleError> {
        let read = |(at, rule): (usize, &T)| {
            let rule = rule.as_ref();
            let checked = if at < Self::MAX {
                Rule::parse(rule)
            } else {
                Err(format!("at most {} rules; merge some", Self::MAX))
            };
            checked.map_err(|why| RuleError { at, rule: rule.to_owned(), why })
        };
        rules.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::of)
    }

    fn of(rules: Vec<Rule>) -> Self {
        let key = |rule: &Rule| match rule.segments.first() {
            Some(Part::Word(word)) => Key::of(word),
            Some(Part::Any) | None => Key::ANY,
        };
        Self { keys: rules.iter().map(key).collect(), rules }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules that this target matches, up to and with the first that holds for any host. `whole` is false if the
    /// target was cut, which leaves its last segment in doubt.
    pub(super) fn candidates(&self, target: &[u8], whole: bool) -> Candidates {
        let mut candidates = Candidates::default();
        if self.rules.is_empty() || matches!(target, [b'*'] | [b'*', b'?' | b'#', ..]) {
            return candidates;
        }
        let path = Path::split(target, whole);
        let first = Key::of(path.segments.first().copied().unwrap_or_default());
        for (at, (key, rule)) in self.keys.iter().zip(&self.rules).enumerate().take(Self::MAX) {
            if (*key == first || *key == Key::ANY) && rule.matches(&path) {
                candidates.0 |= 1 << at;
                if rule.host.is_empty() {
                    break;
                }
            }
        }
        candidates
    }

    /// The template of the first candidate that holds for this host.
    pub(super) fn choose(&self, candidates: Candidates, host: &str) -> Option<&str> {
        let mut left = candidates.0;
        while left != 0 {
            let rule = self.rules.get(left.trailing_zeros() as usize)?;
            if rule.is_for(host) {
                return Some(&rule.template);
            }
            left &= left - 1;
        }
        None
    }

    /// Whether the host decides between these.
    pub(super) fn ask_for_host(&self, candidates: Candidates) -> bool {
        self.rules.get(candidates.0.trailing_zeros() as usize).is_some_and(|rule| !rule.host.is_empty())
    }
}

/// Rules that match a path, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates(u64);

impl Candidates {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Rule {
    fn parse(rule: &str) -> Result<Self, String> {
        if rule.len() > Rules::MAX_LENGTH {
            return Err(format!("{} bytes; at most {}: end it earlier, in /*rest", rule.len(), Rules::MAX_LENGTH));
        }
        if let Some(odd) = rule.chars().find(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | ';')) {
            return Err(format!("{odd:?} is in no path that rules see; leave out the query, and write blanks as %20"));
        }
        let slash = rule.find('/').ok_or("there is no / in it; a rule is a path, such as /users/{name}")?;
        let (host, template) = rule.split_at(slash);
        if host.contains(['{', '}', '*', '@']) {
            return Err(format!("{host:?} is no host; a rule begins with / or with a host's whole name"));
        }
        let mut parsed =
            Self { host: host.to_ascii_lowercase().into(), template: template.into(), segments: vec![], rest: false };
        let mut segments = template.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            match segment.as_bytes() {
                [b'*', ..] if segments.peek().is_some() => {
                    return Err(format!(
                        "{segment} must come last, since it stands for all that follows; {{name}} stands for one"
                    ));
                }
                [b'*', ..] => parsed.rest = true,
                [b'{', name @ .., b'}'] if !name.is_empty() && !name.iter().any(|b| b"{}*".contains(b)) => {
                    parsed.segments.push(Part::Any);
                }
                word if word.iter().any(|b| b"{}*".contains(b)) => {
                    return Err(format!("{segment} is neither {{name}} nor *rest; either stands for a whole segment"));
                }
                word => parsed.segments.push(Part::Word(word.into())),
            }
            if parsed.segments.len() > SEGMENTS {
                return Err(format!("more than {SEGMENTS} segments; end it earlier, in /*rest"));
            }
        }
        Ok(parsed)
    }

    fn matches(&self, path: &Path<'_>) -> bool {
        let (mine, theirs) = (self.segments.len(), path.known());
        // `*rest` stands for whatever begins behind its slash, be it nothing; the slash must be there.
        let fits = if self.rest { path.count > mine } else { path.count == mine && !path.more && !path.cut };
        fits && theirs >= mine
            && self.segments.iter().zip(path.segments).all(|(part, segment)| match part {
                Part::Word(word) => **word == *segment,
                Part::Any => !segment.is_empty(),
            })
    }

    fn is_for(&self, host: &str) -> bool {
        if self.host.is_empty() || *self.host == *host {
            return true;
        }
        // Without a port, for any.
        let port = host.strip_prefix(&*self.host).and_then(|rest| rest.strip_prefix(':'));
        port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// A path, split.
struct Path<'a> {
    segments: [&'a [u8]; SEGMENTS + 1],
    count: usize,
    /// There are more.
    more: bool,
    /// The end of the last one is not known.
    cut: bool,
}

impl<'a> Path<'a> {
    /// Splits what is in front of a query.
    fn split(target: &'a [u8], whole: bool) -> Self {
        let path = target.strip_prefix(b"/").unwrap_or(target);
        let mut split = Self { segments: [b""; SEGMENTS + 1], count: 0, more: false, cut: false };
        // Parameters are values, like a query: they are left out.
        let (mut from, mut parameters) = (0, None);
        for (at, byte) in path.iter().enumerate() {
            match byte {
                b'/' => {
                    split.push(path.get(from..parameters.take().unwrap_or(at)));
                    from = at + 1;
                    if split.more {
                        return split;
                    }
                }
                b'?' | b'#' => {
                    split.push(path.get(from..parameters.unwrap_or(at)));
                    return split;
                }
                b';' if parameters.is_none() => parameters = Some(at),
                _ => {}
            }
        }
        split.push(path.get(from..parameters.unwrap_or(path.len())));
        split.cut = !whole;
        split
    }

    fn push(&mut self, segment: Option<&'a [u8]>) {
        match self.segments.get_mut(self.count) {
            Some(place) => {
                *place = segment.unwrap_or_default();
                self.count += 1;
            }
            None => self.more = true,
        }
    }

    /// Segments that are known whole.
    fn known(&self) -> usize {
        self.count - usize::from(self.cut && !self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first<'a>(rules: &'a Rules, host: &str, target: &str) -> Option<&'a str> {
        rules.choose(rules.candidates(target.as_bytes(), true), host)
    }

    #[test]
    fn segments_are_compared_one_by_one_and_the_first_rule_wins() {
        let rules = [
            "/users/me",
            "/users/{name}",
            "/users/{name}/files/*rest",
            "/v1/*",
            "/a//b",
            "/{tenant}/reports/2024",
            "/users/never",
            "/",
        ];
        let rules = Rules::parse(&rules).unwrap();
        for (target, expected) in [
            ("/users/me", Some("/users/me")),
            ("/users/me?x=/users/1", Some("/users/me")),
            ("/users/jo", Some("/users/{name}")),
            ("/users/jo;v=1", Some("/users/{name}")),
            ("/users/never", Some("/users/{name}")),
            ("/users/", None),
            ("/users", None),
            ("/users/jo/", None),
            ("/Users/jo", None),
            ("/users/jo/files", None),
            ("/users/jo/files/", Some("/users/{name}/files/*rest")),
            ("/users/jo/files/a/b/c", Some("/users/{name}/files/*rest")),
            ("/v1", None),
            ("/v1/", Some("/v1/*")),
            ("/a//b", Some("/a//b")),
            ("/acme/reports/2024", Some("/{tenant}/reports/2024")),
            ("//reports/2024", None),
            ("/", Some("/")),
            ("", Some("/")),
            ("?q", Some("/")),
            ("*", None),
        ] {
            assert_eq!(first(&rules, "", target), expected, "{target}");
        }
        let deep = format!("/v1{}", "/x".repeat(100));
        assert_eq!(first(&rules, "", &deep), Some("/v1/*"), "deeper than anybody looks");
        let exact = "/x".repeat(16);
        let rules = Rules::parse(&[&exact]).unwrap();
        assert_eq!(first(&rules, "", &exact), Some(&*exact));
        assert_eq!(first(&rules, "", &format!("{exact}/x")), None);
        assert_eq!(first(&rules, "", &format!("{exact}/x/x")), None);
        assert_eq!(first(&Rules::default(), "", "/"), None);
    }

    #[test]
    fn a_host_in_front_keeps_a_rule_to_that_host() {
        let rules = ["Shop.example/p/{id}", "shop.example:81/p/*rest", "[::1]/p/{six}", "/p/{any}"];
        let rules = Rules::parse(&rules).unwrap();
        for (host, target, expected) in [
            ("shop.example", "/p/1", Some("/p/{id}")),
            ("shop.example:8080", "/p/1", Some("/p/{id}")),
            ("shop.example:81", "/p/1/2", Some("/p/*rest")),
            ("shop.example:82", "/p/1/2", None),
            ("shop.example.org", "/p/1", Some("/p/{any}")),
            ("[::1]:80", "/p/1", Some("/p/{six}")),
            ("", "/p/1", Some("/p/{any}")),
        ] {
            assert_eq!(first(&rules, host, target), expected, "{host}{target}");
        }
        let ask = |target: &str| rules.ask_for_host(rules.candidates(target.as_bytes(), true));
        assert!(ask("/p/1") && !ask("/q"));
    }

    #[test]
    fn a_cut_target_matches_by_what_is_certain() {
        let rules = Rules::parse(&["/users/{name}", "/files/*rest", "/files"]).unwrap();
        let cut = |target: &str| rules.choose(rules.candidates(target.as_bytes(), false), "");
        assert_eq!(cut("/users/jo"), None, "/users/jo/files, perhaps");
        assert_eq!(cut("/users/jo?page="), Some("/users/{name}"));
        assert_eq!(cut("/files/a/b"), Some("/files/*rest"));
        assert_eq!(cut("/files/"), Some("/files/*rest"));
        assert_eq!(cut("/files"), None, "/filesystem, perhaps");
    }

    #[test]
    fn a_wrong_rule_is_named_with_its_place_and_the_fix() {
        for (rule, told) in [
            ("users/{name", "neither {name} nor *rest"),
            ("users", "such as /users/{name}"),
            ("", "such as /users/{name}"),
            ("/a/*rest/b", "*rest must come last"),
            ("/a/{}", "neither"),
            ("/a/x{id}", "neither"),
            ("/a/b*", "neither"),
            ("*.example/a", "is no host"),
            ("/a?b=1", "leave out the query"),
            ("/a b", "%20"),
            (&"/x".repeat(17), "more than 16 segments"),
            (&format!("/{}", "x".repeat(200)), "201 bytes; at most 200"),
        ] {
            let error = Rules::parse(&["/fine", rule]).expect_err(rule).to_string();
            assert!(error.starts_with("rule 2 (") && error.contains(told), "{error}");
        }
        let many = vec!["/a"; Rules::MAX + 1];
        assert!(Rules::parse(&many).expect_err("too many").to_string().starts_with("rule 65 (\"/a\"): at most 64"));
        assert!(Rules::parse(&many[1..]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_rule_and_any_target_are_survived(rule in "[a-b/{}*.:]{0,12}", target in "[a-b/;?*]{0,40}", whole: bool) {
            if let Ok(rules) = Rules::parse(&[&rule]) {
                let candidates = rules.candidates(target.as_bytes(), whole);
                proptest::prop_assert_eq!(candidates.is_empty() || rules.ask_for_host(candidates), rules.choose(candidates, "").is_none());
            }
        }

        /// What was cut says nothing that the whole would not say.
        #[test]
        fn a_cut_target_never_gets_a_route_that_the_whole_does_not(rule in "(/(a|b|\\{x\\})){1,3}(/\\*)?", target in "/[ab/]{0,8}", at in 0usize..9) {
            let rules = Rules::parse(&[&rule]).unwrap();
            let beginning = target.get(..at.min(target.len())).unwrap_or_default();
            if !beginning.is_empty() && !rules.candidates(beginning.as_bytes(), false).is_empty() {
                proptest::prop_assert!(!rules.candidates(target.as_bytes(), true).is_empty(), "{} {} {}", rule, beginning, target);
            }
        }
    }
}
