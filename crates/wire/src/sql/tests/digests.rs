//! Cases: what becomes of a text.

use super::{BOTH, Dialect, Syntax, digest, read, read_as, summary};

fn check(cases: &[(&str, &str)], dialects: &[Dialect]) {
    for (text, expected) in cases {
        for dialect in dialects {
            assert_eq!(digest(text, *dialect), *expected, "{dialect:?}: {text}");
            if !expected.ends_with("...") {
                assert_eq!(digest(expected, *dialect), *expected, "{dialect:?}: not its own digest: {text}");
            }
        }
    }
}

#[test]
fn one_form_for_texts_that_mean_the_same() {
    let same = [
        "SELECT a, b FROM t WHERE c = 'x' AND d IN (1, 2)",
        "select a,b from t where c='y' and d in(3)",
        "  Select a ,b\n\tFROM t -- c\n WHERE c= 'a''b' And d IN ( -4, +5 , 6.5e-7 ) ; ;",
        "/* who */ SELECT a, b /* what */ FROM t WHERE c = 'x' 'y' AND d IN ('q')",
    ];
    for text in same {
        check(&[(text, "SELECT a, b FROM t WHERE c = ? AND d IN (?)")], &[Dialect::Mysql]);
    }
    // PostgreSQL joins strings only over a newline, but nothing else can be meant.
    check(&[(same[3], "SELECT a, b FROM t WHERE c = ? AND d IN (?)")], &[Dialect::Postgresql]);
}

#[test]
fn literals_of_both_dialects() {
    let cases = [
        ("SELECT 1, -1, +1.5, .5, 5., 1e9, 1E+9, 0x1F, 0b01, 12abc", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT 'a', '', 'it''s', N'n', b'01', B'01', x'4a', X'4A'", "SELECT ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT true, FALSE, null", "SELECT ?, ?, NULL"),
        ("SELECT a - 1, a-1, a -1, 3 - -1, -a", "SELECT a - ?, a - ?, a - ?, ? - ?, -a"),
        ("SELECT DATE '2024-01-01', time'10:00', TIMESTAMP  '2024-01-01'", "SELECT DATE ?, time ?, TIMESTAMP ?"),
        ("SELECT INTERVAL '1' DAY, interval 1 day", "SELECT INTERVAL ? DAY, interval ? day"),
        (
            "SELECT * FROM events_2024 WHERE c3 = 3 LIMIT 10 OFFSET 20",
            "SELECT * FROM events_2024 WHERE c3 = ? LIMIT ? OFFSET ?",
        ),
        (
            "SELECT a FROM t WHERE b IS NOT NULL AND c = ? AND d = :name",
            "SELECT a FROM t WHERE b IS NOT NULL AND c = ? AND d = :name",
        ),
        ("SELECT a[1], a[1:2], (b).c, t.*, f(x), count( * )", "SELECT a[?], a[?:?], (b).c, t.*, f(x), count(*)"),
        ("SELECT 'never closed", "SELECT ? ..."),
        ("SELECT a /* never closed", "SELECT a ..."),
        ("", ""),
        (" ; -- nothing", ""),
        ("SAVEPOINT s140123_x5", "SAVEPOINT ?"),
        ("rollback to savepoint s1", "ROLLBACK TO savepoint ?"),
        ("FETCH FORWARD 100 FROM c_1", "FETCH FORWARD ? FROM ?"),
        ("DECLARE c_1 CURSOR FOR SELECT 1", "DECLARE ? CURSOR FOR SELECT ?"),
    ];
    check(&cases, &BOTH);
}

#[test]
fn literals_of_mysql() {
    let cases = [
        (r#"SELECT "double", "say ""hi""", 'it\'s', 'back\\', "a\"b\"""#, "SELECT ?, ?, ?, ?, ?"),
        ("SELECT `a``b`, `1`, @x, @@global.y, @`z`, @'q' # end", "SELECT `a``b`, `1`, @x, @@global.y, @`z`, @?"),
        ("SELECT _utf8mb4'abc' COLLATE utf8mb4_bin", "SELECT _utf8mb4 ? COLLATE utf8mb4_bin"),
        ("SELECT 5--3, 5 -- three", "SELECT ? - ?, ?"),
        ("SELECT /*! STRAIGHT_JOIN */ a /*!50001 , b */ FROM t", "SELECT STRAIGHT_JOIN a, b FROM t"),
        ("/*!40101 SET NAMES utf8 */", "SET NAMES utf8"),
        ("/*M!100101 SELECT 1 */", "SELECT ?"),
        ("SELECT /*+ MAX_EXECUTION_TIME(1000) */ a FROM t", "SELECT a FROM t"),
        ("SELECT a FROM db.2024_events", "SELECT a FROM db.?"),
        ("CREATE USER 'joe'@'%' IDENTIFIED BY 'secret'", "CREATE USER ?@? IDENTIFIED BY ?"),
        ("SELECT \\N, a", "SELECT \\ N, a"),
        ("SET @x := 5, @y = 'b'", "SET @x := ?, @y = ?"),
    ];
    check(&cases, &[Dialect::Mysql]);
}

#[test]
fn literals_of_postgresql() {
    let cases = [
        ("SELECT E'it\\'s', e'\\\\', U&'d\\0061t', U&\"d\\0061t\"", "SELECT ?, ?, ?, U&\"d\\0061t\""),
        ("SELECT $$a 'b' $c$$, $tag$ $$ $tag$, $1, $23", "SELECT ?, ?, $1, $23"),
        ("SELECT 'a'\n  'b' -- c\n 'd', E'x'\n'it\\'s'", "SELECT ?, ?"),
        ("SELECT \"Col\"\"umn\", a::int, '5'::numeric(10,2)", "SELECT \"Col\"\"umn\", a::int, ?::numeric(?, ?)"),
        ("SELECT a /* /* nested ' */ ' */ , b -- it's\n FROM t", "SELECT a, b FROM t"),
        ("SELECT a->>'k', b @> '{}', c#>'{a}', d || 'x', e <-> 'y'", "SELECT a ->> ?, b @> ?, c #> ?, d || ?, e <-> ?"),
        (
            "SELECT a FROM t WHERE b = ANY('{1,2}') AND c = ANY (ARRAY[1,2,3])",
            "SELECT a FROM t WHERE b = ANY (?) AND c = ANY (ARRAY[?])",
        ),
        ("SELECT a LIKE 'x' ESCAPE '\\' AND b = 'c'", "SELECT a LIKE ? ESCAPE ? AND b = ?"),
        ("SELECT 1.5e-3, 1_000, 0o17, 1.e5", "SELECT ?, ?, ?, ?"),
    ];
    check(&cases, &[Dialect::Postgresql]);
}

#[test]
fn lists_are_folded() {
    let cases = [
        ("SELECT 1 IN (1,2,3), 2 NOT IN (4)", "SELECT ? IN (?), ? NOT IN (?)"),
        ("SELECT a IN (1, NULL, true, 'x')", "SELECT a IN (?)"),
        ("SELECT a IN (?, ?, ?)", "SELECT a IN (?)"),
        ("SELECT a IN (:a, :b)", "SELECT a IN (:a)"),
        ("SELECT (a, b) IN ((1, 2), (3, 4))", "SELECT (a, b) IN ((?, ?))"),
        ("SELECT a IN (1, b, 2)", "SELECT a IN (?, b, ?)"),
        ("SELECT a IN (SELECT b FROM c WHERE d IN (1,2))", "SELECT a IN (SELECT b FROM c WHERE d IN (?))"),
        ("SELECT f(1, 2, 3)", "SELECT f(?, ?, ?)"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, now())", "INSERT INTO t VALUES (?, ?)"),
        ("INSERT INTO t (a, b) VALUES (?, NULL), (?, DEFAULT)", "INSERT INTO t(a, b) VALUES (?, ?)"),
        ("INSERT INTO t VALUES ((1)), (f(2, 3)) RETURNING a, b", "INSERT INTO t VALUES ((?)) RETURNING a, b"),
        ("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, y), u", "SELECT * FROM (VALUES (?, ?)) AS v(x, y), u"),
    ];
    check(&cases, &BOTH);
    let mysql = [
        (
            "INSERT INTO t VALUES (1, 2), (3, 4) ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b), c = 5",
            "INSERT INTO t VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES (a), b = VALUES (b), c = ?",
        ),
        ("VALUES ROW(1, 2), ROW(3, 4) LIMIT 5", "VALUES ROW(?, ?) LIMIT ?"),
        ("insert into t value (1), (2)", "INSERT INTO t value(?)"),
    ];
    check(&mysql, &[Dialect::Mysql]);
    let postgresql = [
        ("SELECT a IN ($1, $2, $3) AND b = $4", "SELECT a IN ($1) AND b = $4"),
        ("SELECT a IN ($1::int, $2::int)", "SELECT a IN ($1::int)"),
        ("SELECT ARRAY[1, 2], ARRAY['a', b]", "SELECT ARRAY[?], ARRAY[?, b]"),
    ];
    check(&postgresql, &[Dialect::Postgresql]);
}

/// In sessions of which it is known that backslashes escape, that they do not, and nothing.
#[test]
fn a_text_that_may_be_read_in_several_ways() {
    let mysql = [
        (r"SELECT 'O\'Brien', a", ["SELECT ?, a", "SELECT ? Brien ? ...", "SELECT ? ..."]),
        (r"SELECT 'C:\', a, 'secret'", ["SELECT ? secret ? ...", "SELECT ?, a, ?", "SELECT ? ..."]),
        (r"SELECT '\', b, '\'", ["SELECT ? \\ ? ...", "SELECT ?, b, ?", "SELECT ? ..."]),
        // The ways meet again: what lies between is one literal.
        (r"SELECT 'O\'Brien', a, 'D\'Arcy', b", ["SELECT ?, a, ?, b", "SELECT ? Brien ? D \\ ?, b", "SELECT ?, b"]),
        (r#"SELECT '{\'a\': 5}', b"#, ["SELECT ?, b", "SELECT ? a \\ ?, b", "SELECT ?, b"]),
        (r#"SELECT "{\"a\": 5}", b"#, ["SELECT ?, b", "SELECT ? a \\ ?, b", "SELECT ?, b"]),
        // With ANSI_QUOTES an identifier, which ends earlier.
        (r#"SELECT "O\"Brien", a"#, ["SELECT ? ...", "SELECT ? Brien ? ...", "SELECT ? ..."]),
        // They would meet in a comment of one of them.
        (r"SELECT 'a\', secret -- ', b", ["SELECT ?, b", "SELECT ?, secret", "SELECT ? ..."]),
        // Whether it is executed decides where it ends.
        ("SELECT a /*! it's */ , secret, 'b' /*! ' */", ["SELECT a it ? ..."; 3]),
    ];
    let postgresql = [
        (r"SELECT 'a\', b, 'c'", ["SELECT ? c ? ...", "SELECT ?, b, ?", "SELECT ? ..."]),
        (r"SELECT 'a\'d', c", ["SELECT ?, c", "SELECT ? d ? ...", "SELECT ? ..."]),
        (r"SELECT E'a\'b', c", ["SELECT ?, c"; 3]),
        (r#"SELECT "a\", b"#, [r#"SELECT "a\", b"#; 3]),
    ];
    let all = mysql.map(|case| (Dialect::Mysql, case)).into_iter().chain(postgresql.map(|c| (Dialect::Postgresql, c)));
    for (dialect, (text, expected)) in all {
        let read = |escapes| read_as(text.as_bytes(), true, Syntax { dialect, escapes }).0;
        assert_eq!([Some(true), Some(false), None].map(read), expected, "{text}");
    }
}

#[test]
fn a_text_that_was_cut() {
    let cases = [
        ("SELECT a FROM t WHERE b = 'sec", "SELECT a FROM t WHERE b = ? ...", "SELECT t"),
        ("SELECT a FROM t WHERE b = 12", "SELECT a FROM t WHERE b = ? ...", "SELECT t"),
        ("SELECT a FROM tabl", "SELECT a FROM ...", "SELECT"),
        ("SELECT a FROM t ", "SELECT a FROM t ...", "SELECT t"),
        ("SELECT a FROM t WHERE b IN (1, 2, 3, 4", "SELECT a FROM t WHERE b IN (? ...", "SELECT t"),
        ("INSERT INTO t VALUES (1, 2), (3, 4), (5", "INSERT INTO t VALUES (?, ?) ...", "INSERT t"),
        ("SELE", "...", ""),
        ("", "...", ""),
    ];
    for (text, expected, expected_summary) in cases {
        for dialect in BOTH {
            let (digest, summary, truncated) = read(text.as_bytes(), false, dialect);
            assert_eq!((&*digest, &*summary, truncated), (expected, expected_summary, true), "{text}");
        }
    }
    let (digest, ..) = read_as(br"SELECT a, 'O\'Brien', b", false, Dialect::Mysql.into());
    assert_eq!(digest, "SELECT a, ? ...");
}

#[test]
fn a_long_text_is_cut_between_tokens() {
    let columns: Vec<String> = (0..400).map(|n| format!("column_{n}")).collect();
    let text = format!("SELECT {} FROM t", columns.join(", "));
    for dialect in BOTH {
        let (digest, summary, truncated) = read(text.as_bytes(), true, dialect);
        assert!(digest.len() <= super::Statements::MAX_LENGTH && digest.len() > 1000, "{}", digest.len());
        let last = digest.strip_suffix(" ...").expect("a mark").rsplit(' ').next().expect("a word");
        assert!(columns.contains(&last.trim_end_matches(',').to_owned()), "{last}");
        assert_eq!((&*summary, truncated), ("SELECT t", true), "the summary goes on");
    }
    let values: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    let text = format!("SELECT a FROM t WHERE b IN ({}) AND c = 1", values.join(","));
    assert_eq!(digest(&text, Dialect::Mysql), "SELECT a FROM t WHERE b IN (?) AND c = ?", "a long list is short");
    let text = format!("SELECT a FROM t WHERE b = '{}' AND c = 1", "x".repeat(20_000));
    assert_eq!(
        read(text.as_bytes(), true, Dialect::Mysql),
        ("SELECT a FROM t WHERE b = ? ...".into(), "SELECT t".into(), true)
    );
}

#[test]
fn summaries() {
    let cases = [
        (
            "select a from t1 left join t2 on t1.x = t2.x inner join s.t3 using (y), t4 where z = 1",
            "select t1 t2 s.t3 t4",
        ),
        ("SELECT extract(year FROM d), substring(s FROM 2) FROM t WHERE a IS DISTINCT FROM b", "SELECT t"),
        ("SELECT a FROM t WHERE b IN (SELECT c FROM u, v WHERE d) AND e", "SELECT t SELECT u v"),
        ("SELECT a FROM t FOR UPDATE", "SELECT t"),
        (
            "WITH x AS (SELECT 1 FROM a), y (c, d) AS (SELECT 2 FROM x, b) SELECT * FROM x JOIN y ON true",
            "SELECT a SELECT b SELECT",
        ),
        ("WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", "DELETE a INSERT b SELECT"),
        ("(SELECT a FROM b) UNION ALL (SELECT c FROM d)", "SELECT b d"),
        ("INSERT IGNORE INTO a (b) VALUES (1) ON DUPLICATE KEY UPDATE b = 2", "INSERT a"),
        ("INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = 1", "INSERT a"),
        ("REPLACE INTO a VALUES (1)", "REPLACE a"),
        ("SELECT REPLACE(a, 'b', 'c'), (insert(d, 1, 2, 'x')) FROM e", "SELECT e"),
        (
            "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)",
            "MERGE a b",
        ),
        ("UPDATE a SET b = 1 FROM c WHERE d", "UPDATE a c"),
        ("UPDATE a, b SET a.x = b.x, a.y = 1", "UPDATE a b"),
        ("DELETE FROM ONLY a USING b WHERE c", "DELETE a b"),
        ("DELETE a FROM a JOIN b ON c", "DELETE a b"),
        ("DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE a b.c"),
        ("TRUNCATE TABLE a, b", "TRUNCATE TABLE a b"),
        ("truncate a", "truncate a"),
        ("CREATE TEMPORARY TABLE a AS SELECT * FROM b", "CREATE TABLE a"),
        ("CREATE INDEX CONCURRENTLY ON a (b)", "CREATE INDEX a"),
        ("EXPLAIN ANALYZE SELECT * FROM a", "EXPLAIN SELECT a"),
        ("EXPLAIN UPDATE a SET b = 1", "EXPLAIN UPDATE a"),
        ("COPY a (b) FROM STDIN", "COPY a"),
        ("COPY (SELECT * FROM a) TO STDOUT", "COPY SELECT a"),
        ("CALL s.p(1, 'x')", "CALL s.p"),
        ("USE shop", "USE shop"),
        ("SET NAMES utf8", "SET NAMES"),
        ("SET SESSION statement_timeout = 5", "SET statement_timeout"),
        ("SHOW FULL TABLES FROM a", "SHOW TABLES"),
        ("BEGIN; INSERT INTO a VALUES (1); COMMIT", "BEGIN INSERT a COMMIT"),
        ("START TRANSACTION", "START TRANSACTION"),
        ("GRANT SELECT ON a TO b", "GRANT"),
        ("SAVEPOINT s1", "SAVEPOINT"),
        ("DECLARE c CURSOR FOR SELECT * FROM a", "DECLARE SELECT a"),
        ("SELECT * FROM generate_series(1, 10) g, LATERAL (SELECT * FROM a) b", "SELECT generate_series SELECT a"),
        ("SELECT * FROM (a JOIN b ON c), d", "SELECT a b d"),
        ("4711 what", ""),
        ("Tr0ub4dor nonsense", ""),
    ];
    for (text, expected) in cases {
        for dialect in BOTH {
            assert_eq!(summary(text, dialect), expected, "{dialect:?}: {text}");
        }
    }
    assert_eq!(summary("INSERT INTO `a b`.`c` VALUES (1)", Dialect::Mysql), "INSERT `a b`.`c`");
    assert_eq!(summary("SELECT * FROM \"A b\".c", Dialect::Postgresql), "SELECT \"A b\".c");
    assert_eq!(summary("SELECT * FROM \"not a table\", b", Dialect::Mysql), "SELECT b");
}
