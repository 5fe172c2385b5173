//! The table of digests.

use super::{Dialect, Statements};
use crate::sql::{Own, Reader, Statement};
use crate::{Name, Names};

#[test]
fn the_same_text_has_the_same_digest_whether_remembered_or_not() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    let mut digest = |text: &str, complete, dialect| {
        let Statement { digest, summary, truncated } =
            statements.digest(text.as_bytes(), complete, dialect, &mut names);
        (names.get(digest).to_owned(), names.get(summary).to_owned(), truncated)
    };
    let text = "SELECT \"a\" FROM t WHERE b = 'x'";
    for _ in 0..5 {
        let mysql = ("SELECT ? FROM t WHERE b = ?".to_owned(), "SELECT t".to_owned(), false);
        assert_eq!(digest(text, true, Dialect::Mysql), mysql);
        assert_eq!(digest(text, true, Dialect::Postgresql).0, "SELECT \"a\" FROM t WHERE b = ?");
        assert_eq!(digest(text, false, Dialect::Mysql).0, "SELECT ? FROM t WHERE b = ? ...");
    }
    // More texts than the cache has room for, again and again: each keeps its own.
    for round in 0..3 {
        for n in 0..3000 {
            let text = format!("SELECT c{} FROM t{} WHERE x = {}", n % 7, n % 11, n + round);
            let expected = format!("SELECT c{} FROM t{} WHERE x = ?", n % 7, n % 11);
            assert_eq!(digest(&text, true, Dialect::Mysql).0, expected);
        }
    }
}

/// Texts that come once do not push out one that comes again and again: it is found by its bytes, without being read.
#[test]
fn texts_that_never_come_again_displace_nothing() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    let kept = b"SELECT a FROM t WHERE b = 0";
    let key = super::super::Cache::key(kept, true, Dialect::Mysql.into());
    for _ in 0..2 {
        statements.digest(kept, true, Dialect::Mysql, &mut names);
    }
    for n in 0..100_000 {
        statements.digest(format!("SELECT c{n}").as_bytes(), true, Dialect::Mysql, &mut names);
    }
    assert!(statements.cache.get(key, kept, true, Dialect::Mysql.into()).is_some());
    assert!(
        statements.cache.get(key, b"SELECT a FROM t WHERE c = 0", true, Dialect::Mysql.into()).is_none(),
        "another text"
    );
}

#[test]
fn too_many_digests_are_folded_and_counted() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    let name = |n: usize| format!("SELECT a{n} FROM t");
    for n in 0..Statements::MAX + 100 {
        statements.digest(name(n).as_bytes(), true, Dialect::Postgresql, &mut names);
    }
    let folded = statements.folded();
    assert!((100..200).contains(&folded), "{folded}");
    let new = statements.digest(b"SELECT * FROM never_seen", true, Dialect::Postgresql, &mut names);
    assert_eq!((new.digest, new.summary, statements.folded()), (Name::OTHER, Name::OTHER, folded + 1));
    // What is known stays known, and other strings still find room.
    let known = statements.digest(name(1).as_bytes(), true, Dialect::Postgresql, &mut names);
    assert_eq!((names.get(known.digest), names.get(known.summary)), ("SELECT a1 FROM t", "SELECT t"));
    let route = names.intern(b"GET /cart");
    assert_eq!(names.get(route), "GET /cart");
}

#[test]
fn long_digests_leave_room_in_the_table_of_names() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    for n in 0..5000 {
        let text = format!("SELECT c{n}, {} FROM t", "a_long_column_name, ".repeat(60));
        statements.digest(text.as_bytes(), true, Dialect::Mysql, &mut names);
    }
    assert!(statements.folded() > 3000 && names.folded() == 0);
    assert_ne!(names.intern(b"GET /cart"), Name::OTHER);
}

/// The same text that is not UTF-8 takes its place once.
#[test]
fn a_text_that_is_not_utf8_takes_one_place() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    for n in 0..20_000 {
        let text = [b"SELECT caf\xe9 FROM t WHERE a = ", n.to_string().as_bytes()].concat();
        let statement = statements.digest(&text, true, Dialect::Mysql, &mut names);
        assert_eq!(names.get(statement.digest), "SELECT caf\u{fffd} FROM t WHERE a = ?");
    }
}

#[test]
fn one_database_that_is_asked_too_much_leaves_the_others_theirs() {
    let (mut names, mut statements) = (Names::default(), Statements::default());
    let mut reader = |who: &[u8]| Reader { syntax: Dialect::Mysql.into(), own: Own::of(who, &mut names) };
    let (busy, quiet) = (reader(b"busy"), reader(b"quiet"));
    for n in 0..50_000 {
        let text = format!("CREATE TEMPORARY TABLE t_{n} (a int)");
        let statement = statements.digest_for(busy, text.as_bytes(), true, &mut names);
        statements.prefixed(busy.own, b"PREPARE ", statement.digest, &mut names);
    }
    assert!(statements.folded() > 48_000, "{}", statements.folded());
    for text in [&b"SELECT a FROM t"[..], b"CREATE TEMPORARY TABLE t_49999(a int)"] {
        // Nor does it spoil a text for them.
        for _ in 0..3 {
            assert_eq!(statements.digest_for(busy, text, true, &mut names).digest, Name::OTHER);
        }
        let statement = statements.digest_for(quiet, text, true, &mut names);
        assert_eq!(names.get(statement.digest).as_bytes(), text);
    }
}
