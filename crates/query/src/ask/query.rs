//! What stands behind the question mark.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The parameters of a question, each once and known.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads them. An error says which one is unknown or there twice.
    pub(super) fn parse(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(format!("there is no parameter {}; there are {}", shown(&name), known.join(", ")));
            }
            if pairs.iter().any(|(there, _)| *there == name) {
                return Err(format!("{name} is there twice; once, please"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; one that is empty is not there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(there, value)| there == name && !value.is_empty()).map(|(_, value)| &**value)
    }

    /// The value of a parameter, read by `read`; an error says what it must be.
    pub(super) fn read<T>(
        &self,
        name: &str,
        must_be: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| format!("{name} is {}; it must be {must_be}", shown(value)))
    }
}

/// A stranger's text in a message: short, and nothing that steers a terminal.
fn shown(text: &str) -> String {
    let mut shown = String::from("'");
    for character in text.chars().take(40) {
        let _ = write!(shown, "{}", character.escape_debug());
    }
    shown.push('\'');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_strangers_refused() {
        let query = Query::parse("operation=GET+%2Fusers%2F%7Bid%7D&side=", &["operation", "side"]).expect("good");
        assert_eq!((query.get("operation"), query.get("side")), (Some("GET /users/{id}"), None));
        let error = Query::parse("opration=x", &["operation"]).unwrap_err();
        assert_eq!(error, "there is no parameter 'opration'; there are operation");
        assert!(Query::parse("side=a&side=b", &["side"]).unwrap_err().contains("twice"));
        let query = Query::parse("limit=%1b[2J", &["limit"]).expect("known");
        let error = query.read("limit", "a number", |text| text.parse::<u8>().ok()).unwrap_err();
        assert_eq!(error, r"limit is '\u{1b}[2J'; it must be a number");
    }
}
