//! Chance that can be repeated.

/// SplitMix64 (Steele, Lea and Flood, 2014): a counter and a mixing function. Good enough to choose a sample.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// The place of the next item that a reservoir of one takes, after it took the one at `at` (from 1).
    ///
    /// A reservoir takes item `k` with probability `1/k`. That none after `at` is taken up to `m` has probability
    /// `at/(at+1) * … * (m-1)/m = at/m`; so the next place is `floor(at/u) + 1` for `u` in `(0, 1]`. Drawn once for each item taken
    /// and not for each item seen: what is left for these is a comparison.
    pub(crate) fn next_taken(&mut self, at: u64) -> u64 {
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        // Beyond what a float can hold exactly, no minute has so many exchanges. The cast stops at the largest number.
        ((at as f64 / uniform) as u64).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of ten items is left in the reservoir equally often.
    #[test]
    fn every_item_has_the_same_chance_to_stay() {
        let (mut dice, rounds, mut stayed) = (Dice::new(1), 100_000, [0u32; 10]);
        for _ in 0..rounds {
            let (mut at, mut next) = (0, 1);
            while next <= stayed.len() as u64 {
                at = next;
                next = dice.next_taken(at);
            }
            stayed[at as usize - 1] += 1;
        }
        // A standard deviation is 95 here; five of them, with a fixed seed.
        assert!(stayed.iter().all(|count| count.abs_diff(rounds / 10) < 475), "{stayed:?}");
    }

    #[test]
    fn the_same_seed_draws_the_same_and_the_next_is_always_later() {
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            [1, 2, 1 << 40, u64::MAX - 1].map(|at| (at, dice.next_taken(at)))
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        assert!(draw(5).iter().all(|(at, next)| next > at), "{:?}", draw(5));
    }
}
