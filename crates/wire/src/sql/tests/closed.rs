//! It fails closed: statements are generated with literals of every kind, in sessions of every setting, and cut at every
//! byte. Only literals hold the bytes of [`SECRET`], so that none of these may be seen.

use super::{BOTH, Dialect, Statements, read_as};
use crate::sql::{LOOKED_AT, Syntax, sanitized, statements};
use proptest::prelude::*;

/// Occurs in literals only: neither in [`CODE`] nor in any keyword that could be written in capitals there.
const SECRET: &[u8] = b"Zz79\xc3\xa9";

/// What literals are made of: secrets, and whatever could end a literal too early.
const INSIDE: &[&str] = &[
    "Z", "z7", "79", "é", "Zz", "'", "''", "\"", "\\", "\\\\", "\\'", "`", "$", "$$", "$a$", "--", "-- ", "#", "# ",
    "/*", "*/", "\n", "\r", " ", ";", "(", ")", ",", "E", "x", "?", "/*!", "\u{1}",
];

/// What stands between them.
const CODE: &[&str] = &[
    "SELECT ",
    "select a",
    " FROM t ",
    " WHERE b =",
    ", ",
    "(",
    ")",
    " IN (",
    "INSERT INTO events_2024 VALUES (",
    "), (",
    " + ",
    "- ",
    " AS c ",
    ";",
    "/* it's */",
    "/* \"x\" */ ",
    "-- it's\n",
    " e",
    " x",
    "b.c",
    "::",
    " ",
    "\n",
    "UPDATE t SET a=",
    "[",
    "]",
    " IS NULL ",
    "$1",
    "?",
    " :a ",
    " ARRAY[",
    " DATE ",
    " N",
    "SAVEPOINT ",
    "@",
    " * ",
];
/// What only one dialect has. Within `/*! … */` nothing is in doubt here but by the literals.
const MYSQL: &[&str] = &["# it's\n", "`a'b`", " /*! b */ ", "/*!50001 ", "*/", "@x", " \\N "];
/// Identifiers, which would not be such with escapes.
const ANSI: &[&str] = &["\"d\\\"", "\"d\\\"\"\"", "\"\\\\\"", "\"'\""];
const POSTGRESQL: &[&str] = &["/* /* ' */ ' */", "\"a'b\"", "U&\"d\" ", "#>", "$ "];

/// Whatever may begin, end or bind a token.
const PIECES: &[&str] = &[
    "1",
    "07",
    "42",
    "'",
    "'a'",
    "''",
    "'b 2'",
    "\"",
    "`",
    "$",
    "$1",
    "$$",
    "$a$",
    "\\",
    "--",
    "-",
    "/*",
    "*/",
    "/*!",
    "#",
    "\n",
    " ",
    " ",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    ":",
    "::",
    "@",
    "?",
    ";",
    "+",
    "=",
    "a",
    "e",
    "x",
    "N",
    "U&",
    "é",
    "_",
    "in ",
    "IN(",
    "values (",
    "SELECT ",
    " FROM ",
    "savepoint ",
    "ARRAY[",
    "limit ",
    "NULL",
    "DEFAULT",
    "0x",
    "1e",
    "%",
    "|",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quote {
    Single,
    Double,
    Escaped,
    Unicode,
    National,
    Dollar,
    Number,
    Hex,
    Bits,
}

#[derive(Clone, Debug)]
enum Part {
    Code(usize),
    Literal(Quote, Vec<usize>),
}

/// How a session reads quotes.
#[derive(Clone, Copy, Debug)]
struct Session {
    dialect: Dialect,
    /// A backslash escapes in plain strings.
    escapes: bool,
    /// MySQL's ANSI_QUOTES: `"` is for identifiers, in which nothing is escaped.
    ansi: bool,
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    use Quote::{Bits, Dollar, Double, Escaped, Hex, National, Number, Single, Unicode};
    let quote =
        prop::sample::select(vec![Single, Single, Double, Escaped, Unicode, National, Dollar, Number, Hex, Bits]);
    let literal =
        (quote, prop::collection::vec(0..INSIDE.len(), 0..8)).prop_map(|(quote, inside)| Part::Literal(quote, inside));
    let code = (0..CODE.len() + MYSQL.len() + ANSI.len()).prop_map(Part::Code);
    prop::collection::vec(prop_oneof![code, literal], 1..14)
}

fn write(parts: &[Part], session: Session) -> Vec<u8> {
    let own = match session {
        Session { dialect: Dialect::Postgresql, .. } => [POSTGRESQL, &[][..]],
        Session { ansi: true, .. } => [MYSQL, ANSI],
        _ => [MYSQL, &[]],
    };
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Code(n) => out.push_str(CODE.iter().chain(own.into_iter().flatten()).nth(*n).unwrap_or(&" ")),
            Part::Literal(quote, inside) => {
                let content: String = inside.iter().map(|n| INSIDE[*n]).collect();
                // One string behind another may be the same string, going on.
                out.push(',');
                literal(*quote, &content, session, &mut out);
            }
        }
    }
    out.into_bytes()
}

/// Writes a literal as a client of that session does.
fn literal(quote: Quote, content: &str, session: Session, out: &mut String) {
    let plain = |mark: &str, escapes: bool| {
        let content = if escapes { content.replace('\\', "\\\\") } else { content.to_owned() };
        // Both ways to write the quote itself.
        let escaped = format!("\\{mark}");
        content
            .replace(mark, if escapes && content.len() % 2 == 0 { &escaped } else { "''" })
            .replace("''", &mark.repeat(2))
    };
    let digits: String = content.bytes().map(|byte| if byte % 2 == 0 { '7' } else { '9' }).collect();
    let postgresql = session.dialect == Dialect::Postgresql;
    match quote {
        Quote::Escaped if postgresql => {
            // It goes on, as the same kind, on another line.
            let content = content.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "' \n '");
            *out += &format!(" E'{content}'");
        }
        // An error without standard_conforming_strings.
        Quote::Unicode if postgresql && !session.escapes => *out += &format!(" U&'{}'", content.replace('\'', "''")),
        Quote::Double if !postgresql && !session.ansi => *out += &format!("\"{}\"", plain("\"", session.escapes)),
        Quote::National => *out += &format!(" N'{}'", plain("'", session.escapes)),
        Quote::Dollar if postgresql => {
            *out += &format!(" $tag${}$tag$", content.replace("$tag$", "").trim_end_matches('$'))
        }
        Quote::Number => *out += &format!(" {digits}.{digits}e+9{digits}"),
        Quote::Hex => *out += &format!(" 0x{digits} X'7{digits}'"),
        Quote::Bits => *out += &format!(" b'79' {digits}"),
        _ => *out += &format!("'{}'", plain("'", session.escapes)),
    }
}

impl Session {
    /// What may be known of it: how backslashes are read, or not even that.
    fn known(self) -> [Syntax; 2] {
        [None, Some(self.escapes)].map(|escapes| Syntax { dialect: self.dialect, escapes })
    }
}

fn check(text: &[u8], complete: bool, session: Session, syntax: Syntax) {
    let shown = read_as(text, complete, syntax);
    let sent = sanitized(text, complete, syntax);
    for seen in [shown.0.as_bytes(), shown.1.as_bytes(), &sent] {
        let leak = seen.iter().any(|byte| SECRET.contains(byte));
        assert!(!leak, "{session:?} as {syntax:?}, {complete}\n{}\n{}", text.escape_ascii(), seen.escape_ascii());
    }
    same_as_its_skeleton(text, complete, syntax);
}

/// The table of known texts holds skeletons: each has to have the digest of all texts that it stands for.
fn same_as_its_skeleton(text: &[u8], complete: bool, syntax: Syntax) {
    if text.len() > crate::sql::Cache::LONGEST {
        return;
    }
    let mut skeleton = Vec::new();
    crate::sql::skeleton::write(text, &mut skeleton);
    let (of_text, of_skeleton) = (read_as(text, complete, syntax), read_as(&skeleton, complete, syntax));
    assert_eq!(of_text, of_skeleton, "{syntax:?}, {complete}\n{}\n{}", text.escape_ascii(), skeleton.escape_ascii());
}

/// Whole, cut, and broken off and sent so.
fn check_all(text: &[u8], session: Session) {
    for syntax in session.known() {
        for complete in [false, true] {
            for end in 0..=text.len() {
                check(&text[..end], complete, session, syntax);
            }
            for statement in statements(text, syntax) {
                check(statement, complete, session, syntax);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_literal_is_seen_however_the_text_is_cut(parts in parts(), escapes: bool, ansi: bool) {
        for dialect in BOTH {
            let session = Session { dialect, escapes, ansi: ansi && dialect == Dialect::Mysql };
            check_all(&write(&parts, session), session);
        }
    }

    #[test]
    fn a_skeleton_has_the_digest_of_its_text(
        parts in prop::collection::vec(prop::sample::select(PIECES), 0..24), known: bool, escapes: bool, complete: bool,
    ) {
        for dialect in BOTH {
            let syntax = Syntax { dialect, escapes: known.then_some(escapes) };
            same_as_its_skeleton(parts.concat().as_bytes(), complete, syntax);
        }
    }

    #[test]
    fn any_bytes_have_a_digest_and_pieces_that_are_in_the_text(text in prop::collection::vec(any::<u8>(), 0..200)) {
        for syntax in BOTH.into_iter().flat_map(|dialect| [dialect.into(), Syntax::usual(dialect)]) {
            for complete in [false, true] {
                let (digest, summary, _) = read_as(&text, complete, syntax);
                prop_assert!(digest.len() <= Statements::MAX_LENGTH && summary.chars().count() <= 255);
                let mut from = 0;
                for statement in statements(&text, syntax) {
                    let at = statement.as_ptr() as usize - text.as_ptr() as usize;
                    prop_assert!(!statement.is_empty() && at >= from);
                    from = at + statement.len();
                }
            }
        }
    }
}

/// A text is looked at up to a length; where that cuts a literal, it cuts as anything else does.
#[test]
fn a_literal_across_the_end_of_what_is_looked_at() {
    for before in LOOKED_AT - 40..LOOKED_AT {
        let text = format!("SELECT {} 'Zz79', E'Zz\\'79', 7979, 0x79 FROM t", " ".repeat(before));
        for dialect in BOTH {
            let session = Session { dialect, escapes: dialect == Dialect::Mysql, ansi: false };
            session.known().into_iter().for_each(|syntax| check(text.as_bytes(), true, session, syntax));
        }
    }
}
