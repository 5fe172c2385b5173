//! What digests and summaries are, and that no literal is in them.

mod closed;
mod digests;
mod official;
mod table;

use super::{Dialect, Statements, Syntax};
use crate::Names;

const BOTH: [Dialect; 2] = [Dialect::Mysql, Dialect::Postgresql];

/// Digest, summary, and whether it is marked as cut, in a session that has told that it is of the usual kind.
fn read(text: &[u8], complete: bool, dialect: Dialect) -> (String, String, bool) {
    read_as(text, complete, Syntax::usual(dialect))
}

fn read_as(text: &[u8], complete: bool, syntax: Syntax) -> (String, String, bool) {
    let mut names = Names::default();
    let statement = Statements::default().digest(text, complete, syntax, &mut names);
    (names.get(statement.digest).into(), names.get(statement.summary).into(), statement.truncated)
}

fn digest(text: &str, dialect: Dialect) -> String {
    read(text.as_bytes(), true, dialect).0
}

fn summary(text: &str, dialect: Dialect) -> String {
    read(text.as_bytes(), true, dialect).1
}
