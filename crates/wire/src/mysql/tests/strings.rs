//! How the server reads backslashes is told by its status flags, and nothing is shown that depends on it before.

use super::*;
use proptest::prelude::*;

/// Status flags: autocommit, and NO_BACKSLASH_ESCAPES.
const ESCAPES: [u8; 2] = [0x02, 0x00];
const NO_ESCAPES: [u8; 2] = [0x02, 0x02];

fn fine(flags: [u8; 2]) -> Vec<u8> {
    packet(1, &[0, 0, 0, flags[0], flags[1], 0, 0])
}

fn digest_of(kit: &Kit, n: usize) -> &str {
    kit.names.get(kit.out[n].operation)
}

const PATH: &str = r"SELECT 'C:\', a, 'secret'";
const NAME: &str = r"SELECT 'O\'Brien', a";

#[test]
fn texts_are_read_as_the_last_status_says() {
    let mut kit = Kit::default();
    for flags in [ESCAPES, NO_ESCAPES, ESCAPES, NO_ESCAPES] {
        kit.ask(PING, fine(flags));
        kit.ask(query(NAME), fine(flags));
        kit.ask(query(PATH), fine(flags));
    }
    let told: Vec<&str> = (0..kit.out.len()).map(|n| digest_of(&kit, n)).filter(|name| *name != "PING").collect();
    let escapes = ["SELECT ?, a", "SELECT ? secret ? ..."];
    let none = ["SELECT ? Brien ? ...", "SELECT ?, a, ?"];
    assert_eq!(told, [escapes, none, escapes, none].concat());
}

/// An EOF, an OK in its place, the EOF behind definitions, and PREPARE's.
#[test]
fn every_message_with_a_status_tells() {
    let row: &[u8] = b"\x01x";
    for answer in [
        packets(1, &[b"\x01", COLUMN, b"\xfe\0\0\x02\x02", row, b"\xfe\0\0\x02\x02"]),
        packets(1, &[b"\x01", COLUMN, row, b"\xfe\0\0\x02\x02\0\0"]),
        packets(1, &[b"\0\x07\0\0\0\x01\0\0\0\0\0\0", COLUMN, b"\xfe\0\0\x02\x02"]),
    ] {
        let mut kit = Kit::default();
        let request = if answer[4] == 0 { packet(0, b"\x16SELECT a") } else { query("SELECT a") };
        kit.ask(&request, &answer);
        kit.ask(query(PATH), fine(NO_ESCAPES));
        assert_eq!((digest_of(&kit, 1), kit.count.lost()), ("SELECT ?, a, ?", 0), "{}", answer.escape_ascii());
    }
}

#[test]
fn where_it_is_not_known_both_ways_are_masked() {
    let masked = "SELECT ? ...";
    // Nothing was seen yet.
    let mut kit = Kit::default();
    kit.ask(query(PATH), fine(NO_ESCAPES));
    assert_eq!(digest_of(&kit, 0), masked);
    // The answer to what may change it is still to come.
    let mut kit = Kit::default();
    kit.ask(PING, fine(ESCAPES));
    kit.request([query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"), query(PATH)].concat());
    kit.response([fine(NO_ESCAPES), fine(NO_ESCAPES)].concat());
    assert_eq!(digest_of(&kit, 2), masked);
    // The first of two statements may change it for the second.
    let mut kit = Kit::default();
    kit.ask(PING, fine(ESCAPES));
    kit.ask(query(&format!("SET @@sql_mode = @a; {PATH};")), [fine(NO_ESCAPES)].concat());
    assert_eq!(digest_of(&kit, 1), "SET @@sql_mode = @a; SELECT ? ...");
    kit.ask(query(&format!("{PATH};\n")), fine(NO_ESCAPES));
    assert_eq!(digest_of(&kit, 2), "SELECT ?, a, ?");
    // An answer was not captured.
    kit.ask(query("SELECT a"), &fine(NO_ESCAPES)[..2]);
    kit.feed(Direction::Response, Bytes::Skipped(500));
    kit.ask(query(PATH), fine(ESCAPES));
    assert_eq!(digest_of(&kit, 4), masked);
}

proptest! {
    /// Whatever a session is set to, and whatever of it was seen, no literal of its statements gets out.
    #[test]
    fn no_literal_gets_out_in_any_session(
        inside in prop::collection::vec(prop::sample::select(vec!["zz", "7", "\\", "'", "\"", " ", ",", ";", "-- ", "#"]), 0..8),
        behind in prop::collection::vec(prop::sample::select(vec!["zz", "\\", "'", "; "]), 0..4),
        no_escapes: bool,
        seen: bool,
    ) {
        let flags = if no_escapes { NO_ESCAPES } else { ESCAPES };
        let literal = |parts: &[&str]| {
            let text = parts.concat().replace('\'', "''");
            if no_escapes { text } else { text.replace('\\', r"\\") }
        };
        let text = format!("SELECT a FROM t WHERE b = '{}' AND c = '{}'", literal(&inside), literal(&behind));
        let mut kit = Kit::default();
        if seen {
            kit.ask(PING, fine(flags));
        }
        kit.ask(query(&text), fine(flags));
        kit.ask(packet(0, &[b"\x16", text.as_bytes()].concat()), packet(1, b"\0\x07\0\0\0\0\0\0\0\0\0\0"));
        for exchange in &kit.out {
            let name = kit.names.get(exchange.operation);
            prop_assert!(!name.contains('z') && !name.contains('7'), "{name} of {text}");
        }
    }
}
