//! Says that something is being lost: one line a minute, not a flood.

use crate::account::Account;
use std::time::{Duration, Instant};
use steth_event::counter;

const EVERY: Duration = Duration::from_secs(60);

/// What has been said so far.
#[derive(Default)]
pub(crate) struct Log {
    looked: Option<Instant>,
    said: Option<Instant>,
    lost: u64,
}

impl Log {
    /// Looks at the books once a second and speaks at most once a minute.
    pub(crate) fn look(&mut self, account: impl FnOnce() -> Account) {
        let now = Instant::now();
        if self.looked.is_some_and(|at| now - at < Duration::from_secs(1)) {
            return;
        }
        self.looked = Some(now);
        if self.said.is_some_and(|at| now - at < EVERY) {
            return;
        }
        let account = account();
        let lost = account.lost();
        if lost > self.lost {
            crate::say::say!(
                "{} exchanges lost so far ({} ring records dropped); the ledger has the reasons",
                lost,
                account.kernel[counter::DROPPED_RECORDS],
            );
            self.said = Some(now);
            self.lost = lost;
        }
    }
}
