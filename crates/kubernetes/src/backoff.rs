//! How long to wait after a failure.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Doubles from the first pause to the longest. Half of each is chance, so that the agents of a cluster that lost its API server
/// together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// What a server may ask for at most with Retry-After.
    const LONGEST_ASKED: Duration = Duration::from_secs(600);

    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// It works again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure; no shorter than what the server `asked` for.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let pause = spread(full);
        // Later than asked, never earlier: by up to a tenth, for the same reason.
        asked.map_or(pause, |asked| {
            let asked = asked.min(Self::LONGEST_ASKED);
            pause.max(asked + (asked / 10).mul_f64(chance()))
        })
    }
}

/// Between half of `pause` and all of it.
pub(crate) fn spread(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + chance() / 2.0)
}

/// Between 0 and 1. The keys of std's hasher are random and differ from one to the next.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_success() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut backoff = Backoff::new((first, longest));
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let (pause, full) = (backoff.next(None), Duration::from_secs(full));
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        }
        (0..100).for_each(|_| assert!(backoff.next(None) <= longest));
        backoff.reset();
        assert!(backoff.next(None) <= first);
    }

    #[test]
    fn a_server_is_asked_no_earlier_than_it_said_and_cannot_silence_us() {
        let mut backoff = Backoff::new((Duration::from_millis(1), Duration::from_millis(2)));
        let pause = backoff.next(Some(Duration::from_secs(7)));
        assert!(pause >= Duration::from_secs(7) && pause < Duration::from_secs(8), "{pause:?}");
        assert!(backoff.next(Some(Duration::MAX)) <= Backoff::LONGEST_ASKED * 2);
    }

    #[test]
    fn pauses_differ() {
        let pauses: std::collections::BTreeSet<_> = (0..32).map(|_| spread(Duration::from_secs(1))).collect();
        assert!(pauses.len() > 16, "{pauses:?}");
    }
}
