//! What an agent that has ended left in its store.

use std::path::Path;
use std::time::{Duration, Instant};
use steth_query::{Dimension, Engine, Filter, Folded, Group, Scan, Tier};
use steth_store::{Options, Store};

/// All exchanges that this filter lets through, grouped, and what was folded.
pub fn kept(data: &Path, filter: Filter<'_>, by: &[Dimension]) -> (Vec<Group>, Folded) {
    let options = Options { bytes: 256 << 20, now: None, say: Box::new(|what| panic!("{what}")) };
    let (store, _) = Store::open(data, options).expect("the store opens");
    let Some(stretch) =
        store.coverage().expect("an answer").tiers.into_iter().find(|there| there.tier == Tier::Seconds10)
    else {
        return Default::default();
    };
    let (tier, range, deadline) = (stretch.tier, stretch.range, Instant::now() + Duration::from_secs(10));
    let scan = Scan { tier, range, step_ms: None, filter, by, sketches: true, limit: 100_000, deadline };
    (store.exchanges(&scan).expect("an answer"), store.folded(tier, range).expect("an answer"))
}
