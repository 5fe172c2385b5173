//! How durations are distributed over time.

use crate::answers::{Answers, How};
use crate::ask;
use crate::engine::{Dimension, Engine};
use crate::error::Error;
use crate::meta::Answer;
use crate::signals::SideName;
use crate::tell::Heatmap;
use steth_window::{Side, Sketch, bucket};

impl<E: Engine> Answers<E> {
    pub(super) fn answer_heatmap(&self, ask: &ask::Heatmap) -> Result<Answer<Heatmap>, Error> {
        let (_, plan) = self.plan(ask.range, Some(ask.columns))?;
        let within = self.members(&ask.of)?;
        let groups = self.exchanges(&plan, plan.range, ask.of.filter(&within), &[Dimension::Side], How::BY_STEP)?;
        let there = |side: &Side| groups.iter().any(|group| group.key.side == Some(*side) && group.sums.count > 0);
        let side = [Side::Server, Side::Client, Side::Network].into_iter().find(there);
        let times_ms = plan.times();
        let mut sketches = vec![Sketch::default(); times_ms.len()];
        for group in groups.iter().filter(|group| side.is_some() && group.key.side == side) {
            if let Some(sketch) = plan.place(group.key.at_ms).and_then(|at| sketches.get_mut(at)) {
                sketch.merge(&group.sums.duration);
            }
        }
        let map = heatmap(side.map(Into::into), times_ms, &sketches);
        self.finish(plan, map)
    }
}

fn heatmap(side: Option<SideName>, times_ms: Vec<u64>, sketches: &[Sketch]) -> Heatmap {
    let indices = || sketches.iter().flat_map(Sketch::buckets).map(|(index, _)| index);
    // What took no time at all stands in the lowest row.
    let zeros = sketches.iter().any(|sketch| sketch.zeros() > 0);
    let lowest = indices().min().map(|lowest| if zeros { lowest.min(bucket::LOWEST) } else { lowest });
    let lowest = lowest.or(zeros.then_some(bucket::LOWEST));
    let highest = indices().max().or(lowest);
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        let columns = vec![Vec::new(); times_ms.len()];
        let none = vec![None; times_ms.len()];
        return Heatmap { side, times_ms, columns, p50_ns: none.clone(), p99_ns: none, ..Heatmap::default() };
    };
    let column = |sketch: &Sketch| {
        let mut column: Vec<(u32, u64)> = Vec::new();
        let zero = (sketch.zeros() > 0).then_some((bucket::LOWEST, sketch.zeros()));
        for (index, count) in zero.into_iter().chain(sketch.buckets()) {
            let row = u32::try_from(index - lowest).unwrap_or(0);
            match column.last_mut().filter(|(last, _)| *last == row) {
                Some((_, all)) => *all += count,
                None => column.push((row, count)),
            }
        }
        column
    };
    Heatmap {
        side,
        times_ms,
        bounds_ns: (lowest..=highest).map(bucket::upper_bound).collect(),
        floor_ns: if zeros { 0.0 } else { bucket::lower_bound(lowest) },
        columns: sketches.iter().map(column).collect(),
        p50_ns: sketches.iter().map(|sketch| sketch.quantile(0.5)).collect(),
        p99_ns: sketches.iter().map(|sketch| sketch.quantile(0.99)).collect(),
    }
}
