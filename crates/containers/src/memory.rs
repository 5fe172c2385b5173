//! What has been learned, within a bound: the oldest goes first.

use crate::container::Container;
use crate::worker::Rank;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::Instant;

/// What is known of an id.
pub(crate) enum Entry {
    /// A container, and whose word that is.
    Known(Arc<Container>, Rank),
    /// Nobody knew it; until then nobody is asked again.
    Unknown(Instant),
}

pub(crate) struct Memory {
    entries: HashMap<Arc<str>, Entry, FixedState>,
    /// Each id once, the oldest first.
    order: VecDeque<Arc<str>>,
    maximum: usize,
}

impl Memory {
    /// Holds `maximum` entries, at least one.
    pub(crate) fn new(maximum: usize) -> Self {
        let entries = HashMap::with_hasher(FixedState::with_seed(0x6d656d));
        Self { entries, order: VecDeque::new(), maximum: maximum.max(1) }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// True if a container had to be forgotten for it.
    pub(crate) fn insert(&mut self, id: Arc<str>, entry: Entry) -> bool {
        if let Some(place) = self.entries.get_mut(&id) {
            *place = entry;
            return false;
        }
        let mut forgotten = false;
        if self.entries.len() >= self.maximum
            && let Some(oldest) = self.order.pop_front()
        {
            forgotten = matches!(self.entries.remove(&oldest), Some(Entry::Known(..)));
        }
        self.order.push_back(id.clone());
        self.entries.insert(id, entry);
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_what_is_known_anew_takes_no_room() {
        let mut memory = Memory::new(2);
        let now = Instant::now();
        for (id, forgotten) in [("a", false), ("b", false), ("b", false), ("c", false)] {
            assert_eq!(memory.insert(id.into(), Entry::Unknown(now)), forgotten, "{id}: an unknown one is no loss");
        }
        assert!(memory.get("a").is_none() && memory.get("b").is_some() && memory.get("c").is_some());
        assert_eq!((memory.entries.len(), memory.order.len()), (2, 2));
    }
}
