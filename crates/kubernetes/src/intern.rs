//! Strings and label sets that many objects share are kept once.

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// A sorted set of labels.
pub(crate) type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// Values that are alive, each once. What nobody else holds any more goes when the table has doubled, so it is never
/// larger than twice what the objects (which have caps of their own) hold, plus [`Pool::SMALLEST`].
#[derive(Debug)]
struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>, RandomState>,
    sweep_at: usize,
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    const SMALLEST: usize = 1024;

    fn new() -> Self {
        Self { values: HashSet::default(), sweep_at: Self::SMALLEST }
    }

    fn get<Q: ?Sized + Hash + hashbrown::Equivalent<Arc<T>>>(
        &mut self,
        value: &Q,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        if let Some(known) = self.values.get(value) {
            return known.clone();
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.values.len() * 2).max(Self::SMALLEST);
        }
        let made = make();
        self.values.insert(made.clone());
        made
    }
}

/// What the writing thread has seen so far. Readers hold the values, never this.
#[derive(Debug)]
pub(crate) struct Interner {
    strings: Pool<str>,
    labels: Pool<[(Arc<str>, Arc<str>)]>,
}

/// Equal by content; `Arc<str>` does not borrow as the `&str` that hashbrown could compare by itself.
#[derive(Hash)]
struct Text<'a>(&'a str);

impl hashbrown::Equivalent<Arc<str>> for Text<'_> {
    fn equivalent(&self, key: &Arc<str>) -> bool {
        *self.0 == **key
    }
}

#[derive(Hash)]
struct Set<'a>(&'a [(Arc<str>, Arc<str>)]);

impl hashbrown::Equivalent<Labels> for Set<'_> {
    fn equivalent(&self, key: &Labels) -> bool {
        *self.0 == **key
    }
}

impl Interner {
    pub(crate) fn new() -> Self {
        Self { strings: Pool::new(), labels: Pool::new() }
    }

    pub(crate) fn string(&mut self, text: &str) -> Arc<str> {
        self.strings.get(&Text(text), || text.into())
    }

    /// `labels` must be sorted by key.
    pub(crate) fn labels(&mut self, labels: &[(Arc<str>, Arc<str>)]) -> Labels {
        self.labels.get(&Set(labels), || labels.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_and_unused_ones_go() {
        let mut interner = Interner::new();
        let kept = interner.string("kept");
        assert!(Arc::ptr_eq(&kept, &interner.string("kept")));
        for n in 0..10_000 {
            interner.string(&format!("passing {n}"));
        }
        assert!(interner.strings.values.len() <= Pool::<str>::SMALLEST, "{}", interner.strings.values.len());
        assert!(Arc::ptr_eq(&kept, &interner.string("kept")));
    }

    #[test]
    fn equal_label_sets_are_one() {
        let mut interner = Interner::new();
        let pair = [(interner.string("app"), interner.string("cart"))];
        assert!(Arc::ptr_eq(&interner.labels(&pair), &interner.labels(&pair)));
    }
}
