//! Words that mean something: to the digest, which writes reserved ones in capitals, and to the summary.
//!
//! Reserved is here what no application names a column without quoting it, in either dialect. Other keywords (`key`, `date`,
//! `value`) are left as they were sent.

/// What a word is to the summary and to the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// No keyword.
    None,
    /// A keyword without further meaning.
    Plain,
    Select,
    /// INSERT, MERGE.
    Insert,
    /// REPLACE: also the name of a function.
    Replace,
    Update,
    Delete,
    With,
    Recursive,
    As,
    /// EXPLAIN and its options: a statement follows.
    Explain,
    From,
    /// JOIN, STRAIGHT_JOIN.
    Join,
    Using,
    /// UNION, INTERSECT, EXCEPT.
    Union,
    /// ALL.
    All,
    Distinct,
    /// WHERE, GROUP, ORDER and the like: a list of tables is over.
    Clause,
    /// SET, which is that too, and a statement.
    Set,
    Values,
    Row,
    In,
    Array,
    Is,
    Not,
    Null,
    Default,
    /// TRUE, FALSE.
    Boolean,
    /// CREATE, ALTER.
    Create,
    Drop,
    /// TABLE, VIEW, INDEX: what CREATE creates.
    Kind,
    /// TRUNCATE, CALL, USE, COPY and the like: a target follows.
    Command,
    /// SHOW, START: a word follows.
    Show,
    /// GRANT, COMMIT and the like: nothing that follows is of interest.
    Lone,
    /// SAVEPOINT, RELEASE, ROLLBACK, DEALLOCATE, CLOSE, FETCH, MOVE: what follows are names that a session makes up.
    Session,
    Declare,
    /// May stand between the verb and the target: INTO, ONLY, IGNORE.
    Filler,
}

struct Entry {
    word: &'static [u8],
    key: Key,
    reserved: bool,
}

const fn entry(word: &'static str, key: Key) -> Entry {
    Entry { word: word.as_bytes(), key, reserved: true }
}

/// One that is a name as well.
const fn soft(word: &'static str, key: Key) -> Entry {
    Entry { word: word.as_bytes(), key, reserved: false }
}

#[rustfmt::skip]
const WORDS: &[Entry] = &[
    entry("SELECT", Key::Select), entry("INSERT", Key::Insert), soft("MERGE", Key::Insert), soft("REPLACE", Key::Replace),
    entry("UPDATE", Key::Update), entry("DELETE", Key::Delete), entry("WITH", Key::With), soft("RECURSIVE", Key::Recursive),
    entry("AS", Key::As), soft("EXPLAIN", Key::Explain), soft("VERBOSE", Key::Explain),
    entry("FROM", Key::From), entry("JOIN", Key::Join), entry("STRAIGHT_JOIN", Key::Join), entry("USING", Key::Using),
    entry("UNION", Key::Union), entry("INTERSECT", Key::Union), entry("EXCEPT", Key::Union),
    entry("ALL", Key::All), entry("DISTINCT", Key::Distinct),
    entry("WHERE", Key::Clause), entry("GROUP", Key::Clause), entry("ORDER", Key::Clause), entry("HAVING", Key::Clause),
    entry("LIMIT", Key::Clause), entry("RETURNING", Key::Clause), entry("FOR", Key::Clause), soft("OFFSET", Key::Clause),
    soft("WINDOW", Key::Clause), entry("SET", Key::Set), entry("VALUES", Key::Values), soft("VALUE", Key::Values),
    soft("ROW", Key::Row), entry("IN", Key::In), soft("ARRAY", Key::Array), entry("IS", Key::Is), entry("NOT", Key::Not),
    entry("NULL", Key::Null), entry("DEFAULT", Key::Default), entry("TRUE", Key::Boolean), entry("FALSE", Key::Boolean),
    entry("CREATE", Key::Create), entry("ALTER", Key::Create), entry("DROP", Key::Drop),

    entry("TABLE", Key::Kind), soft("TABLES", Key::Kind), soft("VIEW", Key::Kind), soft("INDEX", Key::Kind),
    soft("PROCEDURE", Key::Kind), soft("FUNCTION", Key::Kind), soft("TRIGGER", Key::Kind), soft("EVENT", Key::Kind),
    soft("DATABASE", Key::Kind), soft("SCHEMA", Key::Kind), soft("SEQUENCE", Key::Kind), soft("USER", Key::Kind),
    soft("ROLE", Key::Kind), soft("TYPE", Key::Kind), soft("DOMAIN", Key::Kind), soft("EXTENSION", Key::Kind),
    soft("POLICY", Key::Kind), soft("PUBLICATION", Key::Kind), soft("SUBSCRIPTION", Key::Kind), soft("SERVER", Key::Kind),
    soft("TABLESPACE", Key::Kind), soft("AGGREGATE", Key::Kind), soft("RULE", Key::Kind), soft("CAST", Key::Kind),
    soft("OPERATOR", Key::Kind), soft("COLLATION", Key::Kind), soft("LANGUAGE", Key::Kind), soft("SYSTEM", Key::Kind),

    soft("TRUNCATE", Key::Command), soft("CALL", Key::Command), soft("EXEC", Key::Command), soft("EXECUTE", Key::Command),
    soft("USE", Key::Command), soft("DESCRIBE", Key::Command), soft("COPY", Key::Command), soft("VACUUM", Key::Command),
    soft("ANALYZE", Key::Command), soft("ANALYSE", Key::Command), soft("LOCK", Key::Command), soft("OPTIMIZE", Key::Command),
    soft("REINDEX", Key::Command), soft("REFRESH", Key::Command), soft("LISTEN", Key::Command),
    soft("UNLISTEN", Key::Command), soft("NOTIFY", Key::Command), soft("RENAME", Key::Command),
    soft("SHOW", Key::Show), soft("START", Key::Show),
    soft("GRANT", Key::Lone), soft("REVOKE", Key::Lone), soft("BEGIN", Key::Lone), soft("COMMIT", Key::Lone),
    soft("END", Key::Lone), soft("ABORT", Key::Lone), soft("KILL", Key::Lone), soft("UNLOCK", Key::Lone),
    soft("SAVEPOINT", Key::Session), soft("RELEASE", Key::Session), soft("ROLLBACK", Key::Session),
    soft("DEALLOCATE", Key::Session), soft("CLOSE", Key::Session), soft("FETCH", Key::Session), soft("MOVE", Key::Session),
    soft("DECLARE", Key::Declare),

    entry("INTO", Key::Filler), soft("ONLY", Key::Filler), entry("LATERAL", Key::Filler), soft("IGNORE", Key::Filler),
    soft("LOW_PRIORITY", Key::Filler), soft("HIGH_PRIORITY", Key::Filler), soft("DELAYED", Key::Filler),
    soft("QUICK", Key::Filler), soft("IF", Key::Filler), entry("EXISTS", Key::Filler), soft("CONCURRENTLY", Key::Filler),
    entry("FULL", Key::Filler), soft("MATERIALIZED", Key::Filler), soft("EXTENDED", Key::Filler),
    soft("GLOBAL", Key::Filler), soft("SESSION", Key::Filler), soft("LOCAL", Key::Filler),

    entry("AND", Key::Plain), entry("OR", Key::Plain), entry("ON", Key::Plain), entry("BY", Key::Plain),
    entry("INNER", Key::Plain), entry("LEFT", Key::Plain), entry("RIGHT", Key::Plain), entry("OUTER", Key::Plain),
    entry("CROSS", Key::Plain), entry("NATURAL", Key::Plain), entry("LIKE", Key::Plain), entry("ILIKE", Key::Plain),
    entry("BETWEEN", Key::Plain), entry("CASE", Key::Plain), entry("WHEN", Key::Plain), entry("THEN", Key::Plain),
    entry("ELSE", Key::Plain), entry("ASC", Key::Plain), entry("DESC", Key::Plain), entry("ANY", Key::Plain),
    entry("PRIMARY", Key::Plain), entry("FOREIGN", Key::Plain), entry("REFERENCES", Key::Plain),
    entry("UNIQUE", Key::Plain), entry("CHECK", Key::Plain), entry("CONSTRAINT", Key::Plain), entry("REGEXP", Key::Plain),
    entry("COLLATE", Key::Plain), entry("TO", Key::Plain), soft("INTERVAL", Key::Plain), soft("PREPARE", Key::Plain),
];

const SLOTS: usize = 512;
/// Longest keyword.
const LONGEST: usize = 16;

/// Of a word's ends and length. Bit 5 is the case of a letter.
#[inline]
const fn hash(first: u8, second: u8, last: u8, length: usize) -> usize {
    let mixed = (first & 0x1f) as usize * 31 + (second & 0x1f) as usize * 7 + (last & 0x1f) as usize * 67 + length * 19;
    mixed % SLOTS
}

/// Open addressing: the number of the entry, from 1; 0 is an empty slot.
const TABLE: [u8; SLOTS] = {
    let mut table = [0u8; SLOTS];
    let mut n = 0;
    while n < WORDS.len() {
        let word = WORDS[n].word;
        assert!(word.len() >= 2 && word.len() <= LONGEST);
        let mut slot = hash(word[0], word[1], word[word.len() - 1], word.len());
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        n += 1;
        table[slot] = n as u8;
    }
    table
};

/// A word's meaning, and the word in capitals if it is written so anywhere (`true`) or as a verb only.
#[inline]
pub(super) fn find(word: &[u8]) -> (Key, &'static [u8], bool) {
    let ([first, second, ..], Some(last), 2..=LONGEST) = (word, word.last(), word.len()) else {
        return (Key::None, b"", false);
    };
    let mut slot = hash(*first, *second, *last, word.len());
    while let Some(entry) = WORDS.get(usize::from(TABLE[slot]).wrapping_sub(1)) {
        if entry.word.eq_ignore_ascii_case(word) {
            return (entry.key, entry.word, entry.reserved);
        }
        slot = (slot + 1) % SLOTS;
    }
    (Key::None, b"", false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_in_any_case_and_nothing_else_is() {
        for entry in WORDS {
            let lower = entry.word.to_ascii_lowercase();
            assert_eq!(find(&lower), (entry.key, entry.word, entry.reserved));
            assert_eq!(find(entry.word).1, entry.word);
            assert_eq!(find(&[&lower[..], b"s_"].concat()).0, Key::None);
        }
        for word in [&b""[..], b"a", b"selec", b"selects", b"\xff\xff", b"a_word_longer_than_any"] {
            assert_eq!(find(word).0, Key::None);
        }
    }

    /// The cost of a look-up is the number of slots looked at.
    #[test]
    fn the_table_has_short_chains() {
        let longest = TABLE.split(|slot| *slot == 0).map(<[u8]>::len).max();
        assert!(longest <= Some(12), "{longest:?}");
        assert!(WORDS.len() * 3 < SLOTS);
    }
}
