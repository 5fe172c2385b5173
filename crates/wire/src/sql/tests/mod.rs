//! What digests and summaries are, and that no literal is in them.

mod closed;
mod digests;
mod official;
mod table;

use super::{Dialect, Statements};
use crate::Names;

const BOTH: [Dialect; 2] = [Dialect::Mysql, Dialect::Postgresql];

/// Digest, summary, and whether it is marked as cut.
fn read(text: &[u8], complete: bool, dialect: Dialect) -> (String, String, bool) {
    let mut names = Names::default();
    let statement = Statements::default().digest(text, complete, dialect, &mut names);
    (names.get(statement.digest).into(), names.get(statement.summary).into(), statement.truncated)
}

fn digest(text: &str, dialect: Dialect) -> String {
    read(text.as_bytes(), true, dialect).0
}

fn summary(text: &str, dialect: Dialect) -> String {
    read(text.as_bytes(), true, dialect).1
}
