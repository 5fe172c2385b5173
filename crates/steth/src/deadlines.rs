//! Which connections are to be told the time, and when.

use std::collections::VecDeque;

/// Times and connections, nearly in order: what is added is later than all there is, or due before it. An entry may be void
/// by the time it is reached; who adds one knows.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    queue: VecDeque<(u64, u64)>,
}

impl Deadlines {
    /// Void entries that are not worth a search.
    const SLACK: usize = 1024;

    pub(crate) fn add(&mut self, deadline: u64, connection: u64) {
        if self.queue.front().is_some_and(|(first, _)| deadline < *first) {
            self.queue.push_front((deadline, connection));
        } else {
            self.queue.push_back((deadline, connection));
        }
    }

    /// The next one that is due.
    pub(crate) fn next(&mut self, now: u64) -> Option<(u64, u64)> {
        self.queue.pop_front_if(|(deadline, _)| *deadline <= now)
    }

    /// Forgets connections that are gone, once there must be many of them.
    pub(crate) fn forget(&mut self, open: usize, mut is_open: impl FnMut(u64) -> bool) {
        if self.queue.len() > 2 * open + Self::SLACK {
            self.queue.retain(|(_, connection)| is_open(*connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_the_gone_are_forgotten() {
        let mut deadlines = Deadlines::default();
        for (deadline, connection) in [(10, 1), (20, 2), (5, 3), (30, 4)] {
            deadlines.add(deadline, connection);
        }
        assert_eq!(deadlines.next(4), None);
        assert_eq!(
            [deadlines.next(20), deadlines.next(20), deadlines.next(20)],
            [Some((5, 3)), Some((10, 1)), Some((20, 2))]
        );
        (0..3000).for_each(|n| deadlines.add(40 + n, n));
        deadlines.forget(10, |connection| connection % 1000 == 4);
        assert_eq!(deadlines.queue, [(30, 4), (44, 4), (1044, 1004), (2044, 2004)]);
    }
}
