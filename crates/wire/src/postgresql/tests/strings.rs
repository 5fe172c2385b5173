//! How the server reads backslashes is told by a setting, and nothing is shown that depends on it before.

use super::kit::*;
use crate::{Bytes, Direction};
use proptest::prelude::*;

fn setting(value: &str) -> Vec<u8> {
    message(b'S', format!("standard_conforming_strings\0{value}\0").as_bytes())
}

/// A session that has begun with this setting.
fn started(value: &str) -> Kit {
    let mut kit = Kit::default();
    let welcome = [message(b'R', &[0; 4]), setting(value), message(b'K', &[0; 8]), ready()].concat();
    kit.request(startup(&["user", "me"])).response(&welcome);
    kit.out.clear();
    kit
}

fn selected() -> Vec<u8> {
    [columns(), complete("SELECT 0"), ready()].concat()
}

const PATH: &str = r"SELECT 'C:\', a, 'secret'";
const NAME: &str = r"SELECT 'O\'Dea', a";

#[test]
fn texts_are_read_as_the_setting_says() {
    for (value, told) in [
        ("on", "SELECT ? Dea ? ... OK, SELECT ?, a, ? OK"),
        ("off", "SELECT ?, a OK, SELECT ? secret ? ... OK"),
        ("neither", "SELECT ? ... OK, SELECT ? ... OK"),
    ] {
        let mut kit = started(value);
        kit.request(query(NAME)).response(selected());
        kit.request([run(PATH), sync()].concat()).response([ran("SELECT 0"), ready()].concat());
        assert_eq!(kit.brief(), told, "{value}");
    }
}

#[test]
fn it_may_change() {
    let mut kit = started("on");
    kit.request(query("SET standard_conforming_strings = off"));
    kit.response([complete("SET"), setting("off"), ready()].concat());
    kit.request(query(NAME)).response(selected());
    // Other settings, and one that is longer than what is looked at.
    let long = message(b'S', &[b"application_name\0", &[b'x'; 100][..], b"\0"].concat());
    kit.request(query(NAME)).response([long, selected()].concat());
    kit.request(query(NAME)).response(selected());
    assert!(kit.brief().ends_with("SELECT ?, a OK, SELECT ?, a OK, SELECT ?, a OK"), "{}", kit.brief());
}

#[test]
fn where_it_is_not_known_both_ways_are_masked() {
    // A connection older than the agent.
    let mut kit = Kit::default();
    kit.request(query(PATH)).response(selected());
    assert_eq!(kit.brief(), "SELECT ? ... OK");
    // The reply to what may change it is still to come.
    let mut kit = started("on");
    kit.request([run("SET a = b"), run(PATH), sync()].concat());
    kit.response([ran("SET"), setting("off"), ran("SELECT 0"), ready()].concat());
    assert_eq!(kit.brief(), "SET a = b OK, SELECT ? ... OK");
    // Of a reply the end was not captured.
    let mut kit = started("on");
    kit.request(query("SELECT a")).response(columns()).feed(Direction::Response, Bytes::Skipped(500));
    kit.request(query(PATH)).response(selected());
    assert_eq!(kit.brief(), "SELECT a ?, SELECT ? ... OK");
    // Of the setting itself a part was not.
    let mut kit = started("on");
    let [name, value] = [&setting("off")[..20], &setting("off")[20..]];
    kit.request(query("SELECT a")).response([columns(), complete("SELECT 0"), name.to_vec()].concat());
    kit.feed(Direction::Response, Bytes::Skipped(value.len() as u64)).response(ready());
    kit.request(query(PATH)).response(selected());
    assert_eq!(kit.brief(), "SELECT a OK, SELECT ? ... OK");
}

proptest! {
    /// Whatever a session is set to, and whatever of it was seen, no literal of its statements gets out.
    #[test]
    fn no_literal_gets_out_in_any_session(
        inside in prop::collection::vec(prop::sample::select(vec!["zz", "7", "\\", "'", "\"", " ", ",", ";", "-- ", "$$"]), 0..8),
        behind in prop::collection::vec(prop::sample::select(vec!["zz", "\\", "'", "; "]), 0..4),
        escapes: bool,
        seen: bool,
    ) {
        let literal = |parts: &[&str]| {
            let text = parts.concat().replace('\'', "''");
            if escapes { text.replace('\\', r"\\") } else { text }
        };
        let text = format!("SELECT a FROM t WHERE b = '{}' AND c = '{}'", literal(&inside), literal(&behind));
        let mut kit = if seen { started(if escapes { "off" } else { "on" }) } else { Kit::default() };
        kit.request(query(&text)).response(selected());
        kit.request([run(&text), sync()].concat()).response([ran("SELECT 0"), ready()].concat());
        for exchange in &kit.out {
            let name = kit.names.get(exchange.operation);
            prop_assert!(!name.contains('z') && !name.replace("$1", "").contains('7'), "{name} of {text}");
        }
    }
}
