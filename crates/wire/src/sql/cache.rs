//! Digests of texts seen before: a text that comes again costs a hash of its bytes and a comparison with them. The texts are
//! skeletons ([`super::skeleton`]), without most of their literals.
//!
//! The text itself is compared, and not only a hash: a collision would show one statement under another's digest. A text
//! enters when it is seen twice in a row in its set, so that texts that never come again, of which an attacker has any
//! number, displace nothing; and it stays while it is used: of the two in a set the one goes that was not asked for since
//! the last newcomer.

use super::{Statement, Syntax};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

/// Sets of two texts each.
const SETS: usize = 512;

/// A bounded table of texts and what became of them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Empty until the first text.
    sets: Vec<Set>,
}

#[derive(Debug, Default, Clone)]
struct Set {
    /// The hash of the last text that was not found.
    stranger: u64,
    ways: [Option<Entry>; 2],
}

#[derive(Debug, Clone)]
struct Entry {
    hash: u64,
    text: Box<[u8]>,
    syntax: Syntax,
    complete: bool,
    statement: Statement,
    /// Asked for since a text last entered this set.
    used: bool,
}

impl Cache {
    /// Longer texts are not kept. They are seldom the same twice, and would make the table take megabytes.
    pub(super) const LONGEST: usize = 2048;

    /// Where to look for a text.
    #[inline]
    pub(super) fn key(text: &[u8], complete: bool, syntax: Syntax) -> u64 {
        let mut hasher = FixedState::with_seed(u64::from(complete) << 3 | syntax.number()).build_hasher();
        hasher.write(text);
        hasher.finish()
    }

    /// What became of this text.
    #[inline]
    pub(super) fn get(&mut self, hash: u64, text: &[u8], complete: bool, syntax: Syntax) -> Option<Statement> {
        let ways = &mut self.sets.get_mut(hash as usize % SETS)?.ways;
        let entry = ways.iter_mut().flatten().find(|entry| {
            entry.hash == hash && entry.complete == complete && entry.syntax == syntax && *entry.text == *text
        })?;
        entry.used = true;
        Some(entry.statement)
    }

    /// This is what became of a text that was not found.
    pub(super) fn put(&mut self, hash: u64, text: &[u8], complete: bool, syntax: Syntax, statement: Statement) {
        if self.sets.is_empty() {
            self.sets.resize(SETS, Set::default());
        }
        let Some(set) = self.sets.get_mut(hash as usize % SETS) else { return };
        if std::mem::replace(&mut set.stranger, hash) != hash {
            return;
        }
        let [first, second] = &mut set.ways;
        let free = |way: &Option<Entry>| way.as_ref().is_none_or(|entry| !entry.used);
        let (way, other) = if !free(first) && free(second) { (second, first) } else { (first, second) };
        if let Some(other) = other {
            other.used = false;
        }
        *way = Some(Entry { hash, text: text.into(), syntax, complete, statement, used: true });
    }
}
