//! Which environment variables are kept, and how they are picked out of JSON in which all of them stand.

use crate::container::{Bounds, Collected};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

/// Collects the wanted variables from the array of `NAME=VALUE` at this path of a JSON document.
pub(crate) fn pick(json: &[u8], path: &[&str], names: &Names, bounds: &mut Bounds, into: &mut Collected) {
    if names.any() {
        let mut document = serde_json::Deserializer::from_slice(json);
        // A document that breaks off has given what it has.
        let _ = At { path, names, bounds, into }.deserialize(&mut document);
    }
}

/// What stands at `path`. Everything beside it is passed over without a copy.
struct At<'a> {
    path: &'a [&'a str],
    names: &'a Names,
    bounds: &'a mut Bounds,
    into: &'a mut Collected,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or an array of NAME=VALUE")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { path, names, bounds, into } = self;
        while let Some(is_it) = map.next_key_seed(Is(path.first().copied().unwrap_or_default()))? {
            match path {
                [_, rest @ ..] if is_it => {
                    map.next_value_seed(At { path: rest, names, bounds: &mut *bounds, into: &mut *into })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { path, names, bounds, into } = self;
        if !path.is_empty() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while list.next_element_seed(Variable { names, bounds: &mut *bounds, into: &mut *into })?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A string, compared and not kept.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.0)
    }
}

struct Variable<'a> {
    names: &'a Names,
    bounds: &'a mut Bounds,
    into: &'a mut Collected,
}

impl<'de> DeserializeSeed<'de> for Variable<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Variable<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NAME=VALUE")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some((name, value)) = text.split_once('=')
            && self.names.wanted(name)
        {
            self.into.push(self.bounds, name, value);
        }
        Ok(())
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
            ["PASSWORD=hunter2", "TEAM=shop=1", "TEAM_PASSWORD=x", "NOVALUE", "OTEL_SERVICE_NAME=a\"b"]}}, "z": {}}"#;
        let names = Names::exact(["TEAM", "OTEL_SERVICE_NAME"]);
        assert_eq!(
            picked(json, &names),
            [("OTEL_SERVICE_NAME".into(), "a\"b".into()), ("TEAM".into(), "shop=1".into())]
        );
        assert_eq!(picked(json, &Names::matching(|name| name.starts_with("TEAM"))).len(), 2);
        assert!(picked(json, &Names::none()).is_empty() && picked(json, &Names::exact([""; 0])).is_empty());
        assert!(!Names::exact([""; 0]).any(), "then nobody need be asked");
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
        fn any_text_ends(json in ".{0,200}") {
            picked(&json, &Names::matching(|_| true));
        }
    }
}
