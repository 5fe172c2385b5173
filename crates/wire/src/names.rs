//! Interned strings: an operation, a host or a status name is a number on the hot path.

mod shares;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use shares::Shares;
pub use shares::{Share, ShareOf};
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

/// A string in a [`Names`] table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

impl Name {
    /// The empty string.
    pub const EMPTY: Name = Name(0);
    /// `*`: what a full table gives for a string it does not know.
    pub const OTHER: Name = Name(1);

    /// Its number: 0 is the empty string. The same string has the same number for as long as the table lives.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A bounded table of strings. It never forgets, so that a [`Name`] stays valid; once full, unknown strings become
/// [`Name::OTHER`], and are counted.
#[derive(Debug)]
pub struct Names {
    index: HashTable<u32>,
    text: String,
    ends: Vec<u32>,
    folded: u64,
    hasher: FixedState,
    shares: Shares,
}

impl Names {
    /// Most strings in the table.
    pub const MAX: usize = 32 * 1024;
    /// Most bytes of all strings together.
    pub const MAX_TEXT: usize = 2 * 1024 * 1024;
    /// Longest string; the rest is cut.
    pub const MAX_LENGTH: usize = 255;
    /// Longest string of [`Names::intern_long`].
    pub const MAX_LONG: usize = 1024;

    /// The number of a string. Bytes that are not UTF-8 become U+FFFD; longer than [`Names::MAX_LENGTH`] is cut.
    #[inline]
    pub fn intern(&mut self, bytes: &[u8]) -> Name {
        self.intern_cut(bytes, Self::MAX_LENGTH)
    }

    /// The same for a string of up to [`Names::MAX_LONG`] bytes: a digest of SQL. Whoever calls this bounds how often.
    #[inline]
    pub fn intern_long(&mut self, bytes: &[u8]) -> Name {
        self.intern_cut(bytes, Self::MAX_LONG)
    }

    #[inline]
    fn intern_cut(&mut self, bytes: &[u8], most: usize) -> Name {
        let bytes = &bytes[..bytes.len().min(most)];
        let hash = hash(&self.hasher, bytes);
        self.find(bytes, hash).unwrap_or_else(|| self.insert(bytes, hash, most))
    }

    /// The number of a string that [`Names::intern_long`] was given before; `None` if the table does not have it as it is.
    #[inline]
    #[must_use]
    pub fn find_long(&self, bytes: &[u8]) -> Option<Name> {
        let bytes = &bytes[..bytes.len().min(Self::MAX_LONG)];
        self.find(bytes, hash(&self.hasher, bytes))
    }

    #[inline]
    fn find(&self, bytes: &[u8], hash: u64) -> Option<Name> {
        let (text, ends) = (self.text.as_bytes(), &self.ends);
        self.index.find(hash, |&n| text.get(range(ends, n)) == Some(bytes)).map(|&n| Name(n))
    }

    #[cold]
    fn insert(&mut self, bytes: &[u8], hash: u64, most: usize) -> Name {
        let clean = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) if error.error_len().is_none() => {
                // Cut inside a character: leave that character out.
                return self.intern_cut(&bytes[..error.valid_up_to()], most);
            }
            // The replacement is longer than what it replaces.
            Err(_) => {
                let mut clean = String::from_utf8_lossy(bytes).into_owned();
                while clean.len() > most {
                    clean.pop();
                }
                return self.intern_cut(clean.as_bytes(), most);
            }
        };
        if self.ends.len() >= Self::MAX || self.text.len() + clean.len() > Self::MAX_TEXT {
            self.folded += 1;
            return Name::OTHER;
        }
        let n = self.ends.len() as u32;
        self.text.push_str(&clean);
        self.ends.push(self.text.len() as u32);
        let Self { index, text, ends, hasher, .. } = self;
        index.insert_unique(hash, n, |&n| self::hash(hasher, slice(text, ends, n).as_bytes()));
        Name(n)
    }

    /// Whether `name` stands for exactly these bytes: cheaper than to intern them, where it mostly does.
    #[inline]
    #[must_use]
    pub fn is(&self, name: Name, bytes: &[u8]) -> bool {
        self.text.as_bytes().get(range(&self.ends, name.0)) == Some(bytes)
    }

    /// The string.
    #[must_use]
    pub fn get(&self, name: Name) -> &str {
        slice(&self.text, &self.ends, name.0)
    }

    /// The string with this number; empty if there is none.
    #[must_use]
    pub fn by_number(&self, number: u32) -> &str {
        slice(&self.text, &self.ends, number)
    }

    /// How often a string became [`Name::OTHER`] because the table was full.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }
}

impl Default for Names {
    fn default() -> Self {
        let hasher = FixedState::with_seed(0x5354_4554_4821);
        let mut names = Self {
            index: HashTable::new(),
            text: String::new(),
            ends: Vec::new(),
            folded: 0,
            shares: Shares::new(&hasher),
            hasher,
        };
        names.intern(b"");
        names.intern(b"*");
        names
    }
}

/// One string at a time is hashed, so its end needs no mark of its own.
#[inline]
fn hash(hasher: &FixedState, bytes: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// Where the n-th string is in the text.
#[inline]
fn range(ends: &[u32], n: u32) -> Range<usize> {
    let n = n as usize;
    let start = if n == 0 { 0 } else { ends.get(n - 1).copied().unwrap_or(0) };
    let end = ends.get(n).copied().unwrap_or(start);
    start as usize..end as usize
}

fn slice<'a>(text: &'a str, ends: &[u32], n: u32) -> &'a str {
    text.get(range(ends, n)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_one_number_and_a_full_table_folds() {
        let mut names = Names::default();
        let get = names.intern(b"GET");
        assert_eq!((names.intern(b"GET"), names.get(get)), (get, "GET"));
        assert_eq!((names.intern(b""), names.intern(b"*")), (Name::EMPTY, Name::OTHER));
        for n in 0..Names::MAX + 10 {
            names.intern(n.to_string().as_bytes());
        }
        assert_eq!(names.intern(b"one more"), Name::OTHER);
        assert_eq!(names.intern(b"GET"), get);
        assert!(names.folded() > 10);
    }

    #[test]
    fn bytes_that_are_not_text_are_cleaned_and_long_ones_cut() {
        let mut names = Names::default();
        let name = names.intern(b"caf\xe9!");
        assert_eq!(names.get(name), "caf\u{fffd}!");
        assert_eq!(names.intern(b"caf\xe9!"), name);
        let long = "é".repeat(200);
        let name = names.intern(long.as_bytes());
        assert_eq!(names.get(name), "é".repeat(127));
        let name = names.intern(&[0xff; 255]);
        assert!(names.get(name).len() <= Names::MAX_LENGTH);
    }
}
