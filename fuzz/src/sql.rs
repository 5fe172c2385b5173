//! SQL digests of arbitrary texts, and of statements that hold arbitrary literals.
//!
//! The first byte chooses the dialect (bit 0) and whether the text counts as whole (bit 1); the second, where the statement
//! around the literal is cut.

use steth_wire::sql::{Dialect, Statements, sanitized, statements};
use steth_wire::{Name, Names};

/// Reads the text as it is, its statements, and a statement with the text as a literal of every kind.
pub fn run(input: &[u8]) {
    let [choice, cut, text @ ..] = input else { return };
    let dialect = if choice & 1 == 0 { Dialect::Mysql } else { Dialect::Postgresql };
    let complete = choice & 2 != 0;
    one(text, complete, dialect);
    let mut from = text.as_ptr();
    for statement in statements(text, dialect) {
        assert!(!statement.is_empty() && statement.as_ptr() >= from, "statements out of order");
        from = statement.as_ptr_range().end;
        assert!(from <= text.as_ptr_range().end);
        one(statement, complete, dialect);
    }
    assert!(statements(text, dialect).count() <= text.len());
    let text = &text[..text.len().min(4096)];
    for literal in literals(text, dialect) {
        around(&literal, usize::from(*cut), dialect);
    }
}

fn read(text: &[u8], complete: bool, dialect: Dialect) -> (String, String, bool) {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    let statement = statements.digest(text, complete, dialect, &mut names);
    assert_eq!(statement, statements.digest(text, complete, dialect, &mut names), "another answer the second time");
    assert_eq!(statement, statements.digest(text, complete, dialect, &mut names), "another answer from the cache");
    // The text `*` has the catch-all's name for its digest.
    assert!(statement.digest != Name::OTHER || text.contains(&b'*'), "folded in an empty table");
    assert!(statement.summary != Name::OTHER, "folded in an empty table");
    (names.get(statement.digest).to_owned(), names.get(statement.summary).to_owned(), statement.truncated)
}

fn one(text: &[u8], complete: bool, dialect: Dialect) {
    let (digest, summary, truncated) = read(text, complete, dialect);
    assert!(digest.len() <= Statements::MAX_LENGTH && summary.chars().count() <= 255, "too long");
    assert!(truncated || complete, "a beginning is taken for the whole");
    assert_eq!(truncated, digest.ends_with("..."), "marked where nothing is missing, or the other way round");
    let sent = sanitized(text, complete, dialect);
    for seen in [digest.as_bytes(), summary.as_bytes(), &sent] {
        closed(seen, dialect);
    }
    let lower = text.to_ascii_lowercase();
    for word in digest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
        let word = word.to_ascii_lowercase();
        assert!(lower.windows(word.len()).any(|part| part == word.as_bytes()), "{word} comes from nowhere");
    }
}

/// No quote of a string, and no digit but within a name.
fn closed(seen: &[u8], dialect: Dialect) {
    let name = match dialect {
        Dialect::Mysql => b'`',
        Dialect::Postgresql => b'"',
    };
    let shown = seen.escape_ascii();
    let (mut quoted, mut word) = (false, false);
    for byte in seen {
        match byte {
            _ if *byte == name => quoted = !quoted,
            _ if quoted => {}
            b'\'' => panic!("a string: {shown}"),
            b'"' if dialect == Dialect::Mysql => panic!("a string: {shown}"),
            b'0'..=b'9' => assert!(word, "a number: {shown}"),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80.. => word = true,
            _ => word = false,
        }
        if quoted {
            word = false;
        }
    }
    assert!(!quoted, "a name that does not end: {shown}");
}

/// The text, written as a literal of every kind by a client that knows how.
fn literals(text: &[u8], dialect: Dialect) -> Vec<Vec<u8>> {
    let escape = |specials: &[u8], with: Option<u8>| {
        let escaped = |byte: &u8| {
            let special = specials.contains(byte);
            special.then_some(with.unwrap_or(*byte)).into_iter().chain([*byte])
        };
        text.iter().flat_map(escaped).collect::<Vec<u8>>()
    };
    let quote = |before: &[u8], inside: &[u8], after: &[u8]| [before, inside, after].concat();
    match dialect {
        Dialect::Mysql => vec![
            quote(b"'", &escape(b"'\\", Some(b'\\')), b"'"),
            quote(b"'", &escape(b"'\\", None), b"'"),
            quote(b"\"", &escape(b"\"\\", Some(b'\\')), b"\""),
        ],
        Dialect::Postgresql => {
            let mut all = vec![
                quote(b"E'", &escape(b"'\\", Some(b'\\')), b"'"),
                quote(b"'", &escape(b"'", None), b"'"),
                quote(b"U&'", &escape(b"'", None), b"'"),
            ];
            if !text.contains(&b'$') {
                all.push(quote(b"$tag$", text, b"$tag$"));
            }
            all
        }
    }
}

/// Whatever the literal holds, and wherever its statement is cut, the digest is the same or a beginning of it.
fn around(literal: &[u8], cut: usize, dialect: Dialect) {
    const DIGEST: &str = "SELECT a FROM t WHERE b = ? AND c = ?";
    let text = [b"SELECT a FROM t WHERE b = ", literal, b" AND c = 1"].concat();
    let check = |text: &[u8], complete: bool| {
        let (digest, summary, truncated) = read(text, complete, dialect);
        let shown = text.escape_ascii();
        match digest.strip_suffix("...") {
            Some(beginning) if truncated => assert!(DIGEST.starts_with(beginning.trim_end()), "{digest} of {shown}"),
            _ => assert_eq!(digest, DIGEST, "{shown}"),
        }
        assert!("SELECT t".starts_with(&summary), "{summary} of {shown}");
    };
    check(&text, true);
    let end = text.len() * cut / 255;
    check(&text[..end], false);
    // A statement that is broken off is one as well. (The prefix of a literal alone is a word.)
    if end < text.len() {
        let (digest, ..) = read(&text[..end], true, dialect);
        assert!(DIGEST.starts_with(digest.trim_end_matches("...").trim_end()) || end < 31, "{digest}");
    }
}
