//! What is kept, and the newest windows that could not be.

use crate::engine::{
    Coverage, EdgeGroup, EdgeScan, Engine, EntityRecord, EntityScan, Group, Key, Listener, SampleScan, Samples, Scan,
    Stretch,
};
use crate::error::Error;
use crate::meta::{Folded, Missing};
use crate::range::{Range, Tier};
use crate::recent::Recent;
use hashbrown::HashMap;
use std::cmp::Reverse;
use std::sync::Arc;
use steth_window::{EntityId, Side, Transport, Window};

const MS: u64 = 1_000_000;

/// What could not be kept of what was handed over, ascending. It never will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unkept {
    /// The [`sequence`](Window::sequence) of windows.
    pub windows: Vec<u64>,
    /// The [`number`](steth_samples::Kept::number) of requests that are kept one by one; of these some may be kept later.
    pub samples: Vec<u64>,
}

impl Unkept {
    /// Whether all is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.samples.is_empty()
    }
}

/// An engine, and what it could not keep, as long as that is in memory: a full disk hides nothing of the last hour.
#[derive(Clone, Debug)]
pub struct Both<E> {
    kept: E,
    /// Of no time that the engine has.
    rest: Recent,
    /// When those of the newest windows begin that the engine has, milliseconds since 1970, ascending.
    newest_kept: Vec<u64>,
}

impl<E: Engine> Both<E> {
    /// Of all finished windows and requests in memory those that are not kept are added to what the engine has.
    #[must_use]
    pub fn new(
        kept: E,
        windows: impl IntoIterator<Item = Arc<Window>>,
        samples: &[steth_samples::Kept],
        unkept: &Unkept,
    ) -> Self {
        let is_unkept = |window: &Arc<Window>| unkept.windows.binary_search(&window.sequence).is_ok();
        let (rest, there): (Vec<_>, Vec<_>) = windows.into_iter().partition(is_unkept);
        let mut newest_kept: Vec<u64> = there.iter().map(|window| window.start / MS).collect();
        newest_kept.sort_unstable();
        let samples =
            samples.iter().filter(|kept| unkept.samples.binary_search(&kept.number).is_ok()).cloned().collect();
        let rest = Recent::new(rest, Arc::new(samples), Range { from_ms: 0, to_ms: 0 }).at_all_tiers();
        Self { kept, rest, newest_kept }
    }

    /// When the windows are that are not kept.
    fn times(&self) -> impl Iterator<Item = Range> {
        self.rest.windows().map(|window| Range { from_ms: window.start / MS, to_ms: window.end / MS })
    }

    fn has(&self, range: Range) -> bool {
        self.times().any(|time| time.and(range).is_some())
    }
}

/// What is missing without these times.
fn without(missing: Vec<Missing>, times: impl Iterator<Item = Range>) -> Vec<Missing> {
    times.fold(missing, |missing, time| {
        let parts = missing.into_iter().flat_map(|Missing { range, why }| {
            let before = Range { to_ms: range.to_ms.min(time.from_ms), ..range };
            let after = Range { from_ms: range.from_ms.max(time.to_ms), ..range };
            let parts = if range.and(time).is_some() { vec![before, after] } else { vec![range] };
            parts.into_iter().filter(|part| part.length_ms() > 0).map(move |range| Missing { range, why: why.clone() })
        });
        parts.collect()
    })
}

impl<E: Engine> Engine for Both<E> {
    fn coverage(&self) -> Result<Coverage, Error> {
        let mut coverage = self.kept.coverage()?;
        let first = self.times().map(|time| time.from_ms).min();
        let last = self.times().map(|time| time.to_ms).max();
        let (Some(from_ms), Some(to_ms)) = (first, last) else { return Ok(coverage) };
        for tier in Tier::ALL {
            let range = Range { from_ms, to_ms }.aligned(tier.step_ms());
            match coverage.tiers.iter_mut().find(|stretch| stretch.tier == tier) {
                Some(Stretch { range: there, .. }) => {
                    there.from_ms = there.from_ms.min(range.from_ms);
                    there.to_ms = there.to_ms.max(range.to_ms);
                }
                None => coverage.tiers.push(Stretch { tier, range }),
            }
        }
        coverage.missing = without(coverage.missing, self.times());
        Ok(coverage)
    }

    fn exchanges(&self, scan: &Scan<'_>) -> Result<Vec<Group>, Error> {
        let mut groups = self.kept.exchanges(scan)?;
        if !self.has(scan.range) {
            return Ok(groups);
        }
        let places: HashMap<Key, usize> = groups.iter().enumerate().map(|(n, group)| (group.key.clone(), n)).collect();
        for group in self.rest.exchanges(scan)? {
            match places.get(&group.key).and_then(|place| groups.get_mut(*place)) {
                Some(there) => there.sums.add(&group.sums),
                None => groups.push(group),
            }
        }
        if groups.len() > scan.limit { Err(Error::TooMany { limit: scan.limit }) } else { Ok(groups) }
    }

    fn edges(&self, scan: &EdgeScan<'_>) -> Result<Vec<EdgeGroup>, Error> {
        let mut groups = self.kept.edges(scan)?;
        if !self.has(scan.range) {
            return Ok(groups);
        }
        type Place = (Option<u64>, Option<EntityId>, Option<EntityId>, Option<u16>, Option<Side>, Option<Transport>);
        let place = |group: &EdgeGroup| -> Place {
            (group.at_ms, group.client, group.server, group.port, group.side, group.transport)
        };
        let places: HashMap<Place, usize> = groups.iter().enumerate().map(|(n, group)| (place(group), n)).collect();
        for group in self.rest.edges(scan)? {
            match places.get(&place(&group)).and_then(|place| groups.get_mut(*place)) {
                Some(there) => {
                    // Those that are open do not add up over time.
                    let open = if group.newest_ms >= there.newest_ms { group.totals.open } else { there.totals.open };
                    there.totals.merge(&group.totals);
                    there.totals.open = open;
                    there.newest_ms = there.newest_ms.max(group.newest_ms);
                    there.guessed |= group.guessed;
                }
                None => groups.push(group),
            }
        }
        if groups.len() > scan.limit { Err(Error::TooMany { limit: scan.limit }) } else { Ok(groups) }
    }

    fn folded(&self, tier: Tier, range: Range) -> Result<Folded, Error> {
        let mut all = self.kept.folded(tier, range)?;
        all.add(&self.rest.folded(tier, range)?);
        Ok(all)
    }

    fn samples(&self, scan: &SampleScan<'_>) -> Result<Samples, Error> {
        let (mut all, mut rest) = (self.kept.samples(scan)?, self.rest.samples(scan)?);
        // One of them may have been written since.
        let before = rest.samples.len();
        rest.samples.retain(|kept| !all.samples.contains(kept));
        rest.matching -= (before - rest.samples.len()) as u64;
        all.add(rest, scan.order, scan.limit);
        Ok(all)
    }

    fn listeners(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let inside = |at: &u64| (range.from_ms..range.to_ms).contains(at);
        let newest = self.times().map(|time| time.from_ms).filter(inside).max();
        let newest_kept = self.newest_kept.iter().copied().filter(inside).max();
        // Who listens is what the newest window says; what was dropped there adds up over all of them.
        let (mut all, more) = if newest > newest_kept {
            (self.rest.listeners(tier, range)?, self.kept.dropped(tier, range)?)
        } else {
            (self.kept.listeners(tier, range)?, self.rest.dropped(tier, range)?)
        };
        all.iter_mut().for_each(|listener| listener.add_dropped(&more));
        Ok(all)
    }

    fn dropped(&self, tier: Tier, range: Range) -> Result<Vec<Listener>, Error> {
        let mut all = self.kept.dropped(tier, range)?;
        all.extend(self.rest.dropped(tier, range)?);
        Ok(all)
    }

    fn entities(&self, scan: &EntityScan<'_>) -> Result<Vec<EntityRecord>, Error> {
        let mut found = self.kept.entities(scan)?;
        for record in self.rest.entities(scan)? {
            match found.iter_mut().find(|there| there.id == record.id) {
                Some(there) => {
                    there.kind = there.kind.min(record.kind);
                    there.seen.from_ms = there.seen.from_ms.min(record.seen.from_ms);
                    there.seen.to_ms = there.seen.to_ms.max(record.seen.to_ms);
                }
                None => found.push(record),
            }
        }
        found.sort_by_key(|record| (Reverse(record.seen.to_ms), record.id));
        found.truncate(scan.limit);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_not_missing() {
        let range = |from_ms, to_ms| Range { from_ms, to_ms };
        let missing = |range| Missing { range, why: "full".to_owned() };
        let all = vec![missing(range(10, 50)), missing(range(60, 70))];
        let times = [range(0, 20), range(30, 40), range(60, 70)];
        let left: Vec<Range> = without(all, times.into_iter()).iter().map(|missing| missing.range).collect();
        assert_eq!(left, [range(20, 30), range(40, 50)]);
    }
}
