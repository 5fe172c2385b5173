//! The table against the engine that it was built from.

use proptest::prelude::*;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;
use steth_verdict::Automaton;

fn regex(patterns: &[String]) -> Regex {
    let syntax = syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true);
    // Texts are bytes: a match may end between those of a character, also where another expression could match nothing at all.
    let config = Config::new().utf8_empty(false);
    Regex::builder().configure(config).syntax(syntax).build_many(patterns).unwrap()
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("/".to_owned()),
        Just(".".to_owned()),
        Just("[^a]".to_owned()),
        Just(r"\w".to_owned()),
        Just(r"\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just("ä".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            (inner, prop_oneof![Just("*"), Just("+"), Just("?"), Just("{0,3}")])
                .prop_map(|(a, times)| format!("(?:{a}){times}")),
        ]
    })
}

proptest! {
    #[test]
    fn a_table_finds_what_the_expressions_find(
        patterns in prop::collection::vec(expression(), 1..4),
        texts in prop::collection::vec("[ab/ä \n]{0,12}", 20),
    ) {
        let Ok(table) = Automaton::new(&patterns) else { return Ok(()) };
        let regex = regex(&patterns);
        for text in &texts {
            prop_assert_eq!(table.finds(text.bytes()), regex.is_match(text.as_bytes()), "{:?} in {:?}", patterns, text);
        }
    }
}

#[test]
fn useful_expressions_fit() {
    for pattern in [
        r"^/usr/lib/jvm/[^/]+/bin/java$",
        r"(?i)\b(prod|staging|test)-[a-z0-9]{8,10}-[a-z0-9]{5}\b",
        r"-jar\s+\S*/(shop|cart|checkout)(-\d+\.\d+\.\d+)?\.jar",
        r"^(?:ENV)=.*(?:prod)",
        "a{1,200}",
    ] {
        assert!(Automaton::new(&[pattern.to_owned()]).is_ok(), "{pattern}");
    }
    let list: Vec<String> = (0..200).map(|n| format!("service-{n}-[a-f0-9]+")).collect();
    assert!(Automaton::new(&list).is_ok(), "two hundred names");
}
