//! Which environment variables are kept, and how they are picked out of JSON in which all of them stand.

use crate::container::{Bounds, Collected};
use std::fmt;
use std::sync::Arc;

/// The names of those environment variables that are kept. The others are not even copied.
#[derive(Clone, Default)]
pub struct Names(Option<Arc<Wanted>>);

type Wanted = dyn Fn(&str) -> bool + Send + Sync;

impl Names {
    /// Keeps none; runtimes are not asked for them either, as far as that can be chosen.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps exactly these.
    #[must_use]
    pub fn exact<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.is_empty() { Self::none() } else { Self::matching(move |name| names.iter().any(|n| n == name)) }
    }

    /// Keeps those for whose name this is true, such as a list of regular expressions. Values are never shown to it.
    #[must_use]
    pub fn matching(wanted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(wanted)))
    }

    pub(crate) fn any(&self) -> bool {
        self.0.is_some()
    }

    fn wanted(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|wanted| wanted(name))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.any() { "Names(some)" } else { "Names(none)" })
    }
}

/// Collects the wanted variables from the array of `NAME=VALUE` at this path of a JSON document. It walks the text itself,
/// as a JSON parser unescapes strings into a buffer of its own, where secrets would stay.
pub(crate) fn pick(json: &[u8], path: &[&str], names: &Names, bounds: &mut Bounds, into: &mut Collected) {
    if names.any() {
        // A document that breaks off has given what it has.
        let _ = Walk { text: json, at: 0 }.variables(path, |name, quoted| {
            if names.wanted(name)
                && let Ok(pair) = serde_json::from_slice::<String>(quoted)
                && let Some((name, value)) = pair.split_once('=')
            {
                into.push(bounds, name, value);
            }
        });
    }
}

/// A place in a JSON text. `None` from any of its steps: the text is not what was expected, or ends.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Calls with the name of each variable in the array at this path, and with the string that it stands in, quotes
    /// included. Names that are escaped are not found: no name of a variable needs it.
    fn variables(&mut self, path: &[&str], mut found: impl FnMut(&str, &[u8])) -> Option<()> {
        for key in path {
            self.enter(key)?;
        }
        self.token(b'[')?;
        while self.peek()? != b']' {
            if self.peek()? == b'"' {
                let quoted = self.string()?;
                let name = quoted[1..].split(|byte| *byte == b'=').next()?;
                if name.len() + 1 < quoted.len()
                    && !name.contains(&b'\\')
                    && let Ok(name) = std::str::from_utf8(name)
                {
                    found(name, quoted);
                }
            } else {
                self.skip()?;
            }
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        Some(())
    }

    /// Steps to the value of this key in the object that begins here.
    fn enter(&mut self, key: &str) -> Option<()> {
        self.token(b'{')?;
        while self.peek()? == b'"' {
            let quoted = self.string()?;
            self.token(b':')?;
            if quoted[1..quoted.len() - 1] == *key.as_bytes() {
                return Some(());
            }
            self.skip()?;
            self.token(b',')?;
        }
        None
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
        self.text.get(self.at).copied()
    }

    fn token(&mut self, expected: u8) -> Option<()> {
        (self.peek()? == expected).then(|| self.at += 1)
    }

    /// The string that begins here, with its quotes and escapes.
    fn string(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        self.token(b'"')?;
        let mut escaped = false;
        let rest = self.text.get(self.at..)?;
        let end = rest.iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        self.at += end + 1;
        self.text.get(begin..self.at)
    }

    /// Steps over a value, however deep.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(|byte| b",:]}\" \n\t\r".contains(byte))?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picked(json: &str, names: &Names) -> Vec<(String, String)> {
        let mut into = Collected::default();
        pick(json.as_bytes(), &["runtimeSpec", "process", "env"], names, &mut Bounds::default(), &mut into);
        into.pairs().iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn only_wanted_names_at_the_one_path_are_kept() {
        let json = r#"{"pid": 7, "env": ["TEAM=no"], "x": [["TEAM=no"], -1.5, null, true, "TEAM=no"],
            "runtimeSpec": {"env": ["TEAM=no"], "process": {"args": ["TEAM=no"], "env":
            ["PASSWORD=hunter2", 7, {"TEAM": ["TEAM=no"]}, "TEAM=shop=1", "\u0041=escaped", "Q\"=x", "=", "", "TEAM_PASSWORD=x", "NOVALUE", "OTEL_SERVICE_NAME=a\"b"]}}, "z": {}}"#;
        let names = Names::exact(["TEAM", "OTEL_SERVICE_NAME"]);
        assert_eq!(
            picked(json, &names),
            [("OTEL_SERVICE_NAME".into(), "a\"b".into()), ("TEAM".into(), "shop=1".into())]
        );
        assert_eq!(picked(json, &Names::matching(|name| name.starts_with("TEAM"))).len(), 2);
        assert!(picked(json, &Names::none()).is_empty() && picked(json, &Names::exact([""; 0])).is_empty());
        assert!(!Names::exact([""; 0]).any(), "then nobody need be asked");
        let all = picked(json, &Names::matching(|_| true));
        let all: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(all, ["", "OTEL_SERVICE_NAME", "PASSWORD", "TEAM", "TEAM_PASSWORD"]);
    }

    #[test]
    fn a_document_of_another_shape_gives_nothing() {
        let names = Names::matching(|_| true);
        for json in
            ["", "null", "7", "[]", "\"x\"", r#"{"runtimeSpec":7}"#, r#"{"runtimeSpec":{"process":[{"env":[]}]}}"#]
        {
            assert!(picked(json, &names).is_empty(), "{json}");
        }
        // Cut in the middle: what stood before it is there.
        assert_eq!(picked(r#"{"runtimeSpec":{"process":{"env":["A=b","C"#, &names).len(), 1);
        let deep = "[".repeat(100_000);
        assert!(picked(&deep, &names).is_empty(), "and no stack is used up");
        assert!(picked(&format!(r#"{{"runtimeSpec":{deep}"#), &names).is_empty());
    }

    proptest! {
        #[test]
        fn what_a_json_parser_finds_is_found(
            before in "[ -~]{0,20}", values in prop::collection::vec(".{0,30}", 0..5), after: i64,
        ) {
            let env: Vec<String> = values.iter().enumerate().map(|(n, value)| format!("V{n}={value}")).collect();
            let json = serde_json::json!({
                "a": [{"x": before, "runtimeSpec": null}, after, after as f64, true],
                "runtimeSpec": {"b": {"env": [before]}, "process": {"env": env, "z": [before]}},
            });
            let expected: Vec<_> = values.into_iter().enumerate().map(|(n, value)| (format!("V{n}"), value)).collect();
            prop_assert_eq!(picked(&json.to_string(), &Names::matching(|_| true)), expected.clone());
            let pretty = serde_json::to_string_pretty(&json).unwrap();
            prop_assert_eq!(picked(&pretty, &Names::matching(|_| true)), expected);
        }

        #[test]
        fn any_text_ends(json in prop_oneof![".{0,200}", r#"[\[\]{}:,"\\ a-c=]{0,60}"#]) {
            picked(&json, &Names::matching(|_| true));
            picked(&format!("{{\"runtimeSpec\":{{\"process\":{{\"env\":[{json}"), &Names::matching(|_| true));
        }
    }
}
