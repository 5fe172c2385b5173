//! Who is there.

use crate::answers::Answers;
use crate::ask;
use crate::engine::{Engine, EntityScan};
use crate::error::Error;
use crate::meta::Answer;
use crate::range::Range;
use crate::tell::Entities;

/// Most that are looked through for one answer.
const MOST: usize = 20_000;

impl<E: Engine> Answers<E> {
    /// Its range is all that is kept.
    pub(super) fn answer_entities(&self, ask: &ask::Entities) -> Result<Answer<Entities>, Error> {
        let kept = self.timed(self.engine.coverage())?;
        let from_ms = kept.tiers.iter().map(|stretch| stretch.range.from_ms).min().unwrap_or(0);
        let to_ms = kept.tiers.iter().map(|stretch| stretch.range.to_ms).max().unwrap_or(0);
        let (_, plan) = self.plan(Range { from_ms, to_ms: to_ms.max(from_ms + 1) }, None)?;
        let text = (!ask.text.is_empty()).then_some(&*ask.text);
        let mut found = self.timed(self.engine.entities(&EntityScan { text, limit: MOST, ..EntityScan::default() }))?;
        found.sort_by(|a, b| {
            (b.seen.to_ms.cmp(&a.seen.to_ms))
                .then_with(|| (&a.namespace, &a.name, a.id).cmp(&(&b.namespace, &b.name, b.id)))
        });
        let total = found.len();
        let entities = found.iter().take(ask.limit).map(Into::into).collect();
        self.finish(plan, Entities { total, entities })
    }
}
