//! The statements of a text that holds several, as PostgreSQL's simple query and MySQL's multi-statements do.
//!
//! A semicolon ends a statement unless it is within quotes, a comment or parentheses (`CREATE RULE … DO (a; b)`), or within
//! the `BEGIN … END` of a routine, a trigger or an event. What cannot be read for certain belongs to the last statement.

use super::Syntax;
use super::lex::{Kind, Lexer, Token};

/// The statements of a text, without the semicolons between them; empty ones are left out.
pub fn statements<S: Into<Syntax>>(text: &[u8], syntax: S) -> impl Iterator<Item = &[u8]> + use<'_, S> {
    Split { lexer: Lexer::new(text, syntax.into()) }
}

struct Split<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (text, mut from) = (self.lexer.text, self.lexer.at);
        let (mut start, mut end) = (None, text.len());
        let (mut parentheses, mut body) = (0u32, Body::default());
        while let Some(token) = self.lexer.next() {
            match token.kind {
                Kind::Open => parentheses += 1,
                Kind::Close => parentheses = parentheses.saturating_sub(1),
                Kind::Semicolon if parentheses == 0 && body.depth == 0 && !self.lexer.executable => {
                    if start.is_none() {
                        from = token.end;
                        continue;
                    }
                    end = token.start;
                    break;
                }
                Kind::Word => body.word(text.get(token.start..token.end).unwrap_or_default()),
                _ => body.other(token),
            }
            // Without its beginning, `/*! … */` would be read in another way.
            start.get_or_insert(if self.lexer.executable { from } else { token.start });
        }
        text.get(start?..end).map(<[u8]>::trim_ascii_end)
    }
}

/// How deep in `BEGIN … END` the statement is.
#[derive(Default)]
struct Body {
    words: u32,
    /// The first word is CREATE, or ALTER (MySQL's events).
    creates: bool,
    /// What is created can have a body.
    routine: bool,
    /// The last word was END: what follows names what ends.
    ended: bool,
    depth: u32,
}

impl Body {
    /// The kind of what is created is among the first words: `CREATE OR REPLACE DEFINER = a@b SQL SECURITY … FUNCTION`.
    const HEAD: u32 = 16;

    fn word(&mut self, word: &[u8]) {
        let is = |other: &[u8]| word.eq_ignore_ascii_case(other);
        self.words = self.words.saturating_add(1);
        if self.words == 1 {
            self.creates = is(b"CREATE") || is(b"ALTER");
        } else if self.creates && self.words < Self::HEAD && !self.routine {
            self.routine = [&b"FUNCTION"[..], b"PROCEDURE", b"TRIGGER", b"EVENT"].into_iter().any(is);
        } else if self.routine {
            let ended = std::mem::take(&mut self.ended);
            if is(b"END") {
                (self.depth, self.ended) = (self.depth.saturating_sub(1), true);
            } else if is(b"BEGIN") || is(b"CASE") && !ended {
                self.depth += 1;
            } else if ended && [&b"IF"[..], b"LOOP", b"WHILE", b"REPEAT", b"FOR"].into_iter().any(is) {
                // These have no depth: what they end did not count.
                self.depth += 1;
            }
        }
    }

    fn other(&mut self, token: Token) {
        self.ended &= token.kind != Kind::Semicolon;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Dialect;

    fn split(text: &str, dialect: Dialect) -> Vec<String> {
        statements(text.as_bytes(), Syntax::usual(dialect)).map(|s| String::from_utf8_lossy(s).into_owned()).collect()
    }

    #[test]
    fn semicolons_end_statements_outside_of_quotes_comments_and_parentheses() {
        let both = [
            ("", &[][..]),
            (" ;; /* nothing */ ; -- at all\n", &[]),
            ("SELECT 1", &["SELECT 1"]),
            ("SELECT 1 -- one", &["SELECT 1 -- one"]),
            (" SELECT 1 ; \n SELECT 2; ", &["SELECT 1", "SELECT 2"]),
            ("SELECT ';'; SELECT 'a'';' ;x", &["SELECT ';'", "SELECT 'a'';'", "x"]),
            ("a /* ; */ b; -- c; d\n e", &["a /* ; */ b", "e"]),
            ("CREATE RULE r AS ON INSERT TO t DO (a; b); c", &["CREATE RULE r AS ON INSERT TO t DO (a; b)", "c"]),
            ("SELECT 'open; SELECT 2", &["SELECT 'open; SELECT 2"]),
            ("BEGIN; SELECT 1; END; COMMIT", &["BEGIN", "SELECT 1", "END", "COMMIT"]),
        ];
        for (text, expected) in both {
            assert_eq!(split(text, Dialect::Mysql), expected, "{text}");
            assert_eq!(split(text, Dialect::Postgresql), expected, "{text}");
        }
        let mysql = [
            ("SELECT \";\"; SELECT `;`; # ;\nx", &["SELECT \";\"", "SELECT `;`", "x"][..]),
            ("SELECT 'O\\'Brien;'; b", &["SELECT 'O\\'Brien;'", "b"]),
            ("/*!40101 SET NAMES utf8 */; b", &["/*!40101 SET NAMES utf8 */", "b"]),
            ("/*! a; b */; c", &["/*! a; b */", "c"]),
            ("/*! it's; */ '; '", &["/*! it's; */ '; '"]),
        ];
        for (text, expected) in mysql {
            assert_eq!(split(text, Dialect::Mysql), expected, "{text}");
        }
        let postgresql = [
            ("SELECT $$;$$; SELECT $a$ ; $$ ; $a$; b", &["SELECT $$;$$", "SELECT $a$ ; $$ ; $a$", "b"][..]),
            ("SELECT E'\\';'; SELECT \";\"; b", &["SELECT E'\\';'", "SELECT \";\"", "b"]),
            ("a /* /* ; */ ; */; b", &["a /* /* ; */ ; */", "b"]),
        ];
        for (text, expected) in postgresql {
            assert_eq!(split(text, Dialect::Postgresql), expected, "{text}");
        }
    }

    #[test]
    fn bodies_of_routines_stay_whole() {
        let function =
            "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END";
        let procedure = "create definer = a@b procedure p() begin if x then select 1; end if; case y when 1 then select 2; \
                         end case; loop select 3; end loop; begin select 4; end; end";
        for body in [function, procedure] {
            for dialect in [Dialect::Mysql, Dialect::Postgresql] {
                assert_eq!(split(&format!("{body}; SELECT 5"), dialect), [body, "SELECT 5"]);
            }
        }
    }

    #[test]
    fn a_text_is_split_only_where_that_is_sure() {
        let text = b"SELECT 'O\\'Brien'; SELECT 2";
        assert_eq!(statements(text, Dialect::Mysql).collect::<Vec<_>>(), [&text[..]]);
        assert_eq!(statements(text, Syntax::usual(Dialect::Mysql)).count(), 2);
    }
}
