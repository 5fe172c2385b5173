//! What was asked, what came of it, and what was lost.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[doc = $doc])+ pub $name: u64,)* }

        /// The same, as several threads count.
        #[derive(Debug, Default)]
        pub(crate) struct Count { $(pub(crate) $name: AtomicU64,)* }

        impl Count {
            pub(crate) fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Questions that were accepted.
    asked,
    /// Answers with a container.
    found,
    /// Answers without: after all attempts no runtime knew the id.
    unknown,
    /// Calls to a runtime that failed, attempts to connect included.
    failed,
    /// Questions without room in the queue, or with something that is no container id.
    refused,
    /// Containers of which something was cut to stay within the bounds.
    truncated,
    /// Containers that were told without a question, from a runtime's listing or its events.
    news,
    /// News and answers for which the caller left no room.
    unheard,
    /// Containers that were forgotten to make room for others; they are asked for again when they are needed.
    evicted,
    /// Sockets beyond those that are watched.
    ignored,
    /// Places where a socket may be, at the last look, that the agent has no permission to look at.
    out_of_reach,
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Count {
    pub(crate) fn truncated(&self, was: bool) {
        if was {
            add(&self.truncated);
        }
    }
}
