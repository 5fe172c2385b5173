//! The latency sketch.

use crate::bucket::{self, Index};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// How durations are distributed: a sparse base-2 exponential histogram of scale 3 on seconds.
///
/// The buckets are those of a Prometheus native histogram of schema 3 and of an OTLP exponential histogram of scale 3;
/// see [`bucket`]. Merging two sketches is adding integers, in any order, with the same result. A bucket takes 8
/// bytes, and only those that are not empty exist: a quiet operation has a handful of them, a busy one about sixty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// Ascending: the bucket in the upper 16 bits (biased, 0 is the zero bucket), its count in the lower 48.
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
}

const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Added to an index to make it positive. The zero bucket is 0, the lowest index becomes 1.
const BIAS: Index = 1 - bucket::LOWEST;

impl Sketch {
    /// The largest relative error of [`Sketch::quantile`]: the width of a bucket, `2^(1/8) - 1`.
    pub const MAX_ERROR: f64 = 0.090_507_732_665_257_66;

    /// Counts one duration in nanoseconds.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let place = if nanos == 0 { 0 } else { (bucket::index_of(nanos) + BIAS) as u64 };
        self.add(place, 1);
        self.min = if self.count == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.sum = self.sum.saturating_add(nanos);
        self.count += 1;
    }

    #[inline]
    fn add(&mut self, place: u64, count: u64) {
        let at = self.position(place);
        match self.buckets.get_mut(at) {
            Some(entry) if *entry >> COUNT_BITS == place => {
                let sum = (*entry & COUNT_MASK).saturating_add(count).min(COUNT_MASK);
                *entry = place << COUNT_BITS | sum;
            }
            _ => self.buckets.insert(at, place << COUNT_BITS | count.min(COUNT_MASK)),
        }
    }

    /// Where the bucket is, or would be. Buckets are few, ascending and mostly without gaps, so the distances to the first
    /// and to the last leave one or two candidates, where a search over all of them would cost more than all the rest.
    #[inline]
    fn position(&self, place: u64) -> usize {
        let buckets = &self.buckets[..];
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return 0 };
        let (first, last, end) = (first >> COUNT_BITS, last >> COUNT_BITS, buckets.len() - 1);
        if place <= first {
            return 0;
        }
        if place > last {
            return end + 1;
        }
        let high = end.min((place - first) as usize);
        // Without gaps before it, it is there.
        if buckets[high] >> COUNT_BITS == place {
            return high;
        }
        let low = end.saturating_sub((last - place) as usize);
        low + buckets[low..=high].partition_point(|entry| entry >> COUNT_BITS < place)
    }

    /// Adds what another sketch counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        for entry in &other.buckets {
            self.add(entry >> COUNT_BITS, entry & COUNT_MASK);
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
        self.count += other.count;
    }

    /// Adds what a sketch counted that was taken apart ([`Sketch::buckets`], [`Sketch::zeros`]): counts by index, `None` being the
    /// zero bucket, and what it said of all of them. An index outside of [`bucket::LOWEST`]`..=`[`bucket::HIGHEST`] counts as the
    /// nearest; what has no bucket adds nothing.
    pub fn absorb(&mut self, sum: u64, min: u64, max: u64, buckets: impl IntoIterator<Item = (Option<Index>, u64)>) {
        let before = self.count;
        for (index, count) in buckets.into_iter().filter(|(_, count)| *count > 0) {
            let place = index.map_or(0, |index| (index.clamp(bucket::LOWEST, bucket::HIGHEST) + BIAS) as u64);
            self.add(place, count);
            self.count = self.count.saturating_add(count);
        }
        if self.count > before {
            self.min = if before == 0 { min } else { self.min.min(min) };
            self.max = self.max.max(max);
            self.sum = self.sum.saturating_add(sum);
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.min, self.max) = (0, 0, 0, 0);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum in nanoseconds; it stops at [`u64::MAX`], which is 584 years.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The shortest, exactly.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min)
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max)
    }

    /// How many were exactly zero.
    #[must_use]
    pub fn zeros(&self) -> u64 {
        self.buckets.first().filter(|entry| *entry >> COUNT_BITS == 0).map_or(0, |entry| entry & COUNT_MASK)
    }

    /// The buckets that are not empty, ascending, without the zero bucket: (index, count).
    pub fn buckets(&self) -> impl Iterator<Item = (Index, u64)> + '_ {
        let split = |entry: &u64| ((entry >> COUNT_BITS) as Index, entry & COUNT_MASK);
        self.buckets.iter().map(split).filter(|(place, _)| *place > 0).map(|(place, count)| (place - BIAS, count))
    }

    /// The duration in nanoseconds that a share `q` (0 to 1) of all durations does not exceed.
    ///
    /// It is the value of rank `ceil(q * count)`. Within the bucket that holds this rank the values are taken to be
    /// evenly spread on a logarithmic scale, and the answer never leaves `min..=max`. It lies in the same bucket as the
    /// true value, so the relative error is below [`Sketch::MAX_ERROR`]; for q = 0 and q = 1 it is exact.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        if q <= 0.0 || self.min == self.max {
            return Some(self.min as f64);
        }
        if q >= 1.0 {
            return Some(self.max as f64);
        }
        let mut before = self.zeros();
        if rank <= before {
            return Some(0.0);
        }
        for (index, count) in self.buckets() {
            if rank <= before + count {
                let (lower, upper) = (bucket::lower_bound(index), bucket::upper_bound(index));
                let share = ((rank - before) as f64 - 0.5) / count as f64;
                let value = lower * (upper / lower).powf(share);
                return Some(value.clamp(self.min as f64, self.max as f64));
            }
            before += count;
        }
        Some(self.max as f64)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.buckets.capacity() * size_of::<u64>()
    }
}

impl Serialize for Sketch {
    /// `{"count":n,"sum_ns":n,"min_ns":n,"max_ns":n,"zeros":n,"buckets":[[index,count],…]}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Buckets<'a>(&'a Sketch);
        impl Serialize for Buckets<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.buckets())
            }
        }
        let mut out = serializer.serialize_struct("Sketch", 6)?;
        out.serialize_field("count", &self.count)?;
        out.serialize_field("sum_ns", &self.sum)?;
        out.serialize_field("min_ns", &self.min())?;
        out.serialize_field("max_ns", &self.max())?;
        out.serialize_field("zeros", &self.zeros())?;
        out.serialize_field("buckets", &Buckets(self))?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.record(*value));
        sketch
    }

    #[test]
    fn an_empty_sketch_has_no_quantiles_and_zero_has_its_own_bucket() {
        assert_eq!((Sketch::default().quantile(0.5), Sketch::default().max()), (None, None));
        let sketch = sketch(&[0, 0, 0, 1_000_000_000]);
        assert_eq!((sketch.zeros(), sketch.count(), sketch.sum()), (3, 4, 1_000_000_000));
        assert_eq!(sketch.buckets().collect::<Vec<_>>(), [(-1, 1)]);
        assert_eq!((sketch.quantile(0.75), sketch.quantile(1.0)), (Some(0.0), Some(1e9)));
    }

    #[test]
    fn the_json_form_is_stable() {
        let json = serde_json::to_string(&sketch(&[0, 1_000_000_000, 2_000_000_000])).expect("serialises");
        let expected =
            r#"{"count":3,"sum_ns":3000000000,"min_ns":0,"max_ns":2000000000,"zeros":1,"buckets":[[-1,1],[7,1]]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn extremes_are_counted() {
        let sketch = sketch(&[u64::MAX, u64::MAX, 1]);
        assert_eq!((sketch.count(), sketch.sum(), sketch.min()), (3, u64::MAX, Some(1)));
        assert_eq!(sketch.buckets().collect::<Vec<_>>(), [(bucket::LOWEST, 1), (bucket::HIGHEST, 2)]);
    }

    /// Durations as they occur: from a nanosecond to minutes, over all magnitudes.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec((0u32..38, 1u64..=u64::MAX).prop_map(|(bits, noise)| noise >> (63 - bits)), 1..200)
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_the_promised_error(mut values in durations(), q in 0.0f64..=1.0) {
            let answer = sketch(&values).quantile(q).expect("not empty");
            values.sort_unstable();
            let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
            let truth = values[rank - 1] as f64;
            prop_assert!((answer - truth).abs() <= truth * Sketch::MAX_ERROR + 1e-6, "{answer} for {truth}");
        }

        #[test]
        fn merging_equals_recording_everything_in_one(left in durations(), right in durations()) {
            let (mut a, b) = (sketch(&left), sketch(&right));
            let mut reverse = b.clone();
            reverse.merge(&a);
            a.merge(&b);
            let all = sketch(&[left, right].concat());
            prop_assert_eq!(&a, &all);
            prop_assert_eq!(&reverse, &all);
            a.clear();
            prop_assert_eq!(a, Sketch::default());
        }

        #[test]
        fn what_was_taken_apart_adds_up_to_the_same(left in durations(), right in durations()) {
            let (a, b) = (sketch(&left), sketch(&right));
            let mut all = Sketch::default();
            for part in [&a, &b, &Sketch::default()] {
                let zeros = std::iter::once((None, part.zeros()));
                let buckets = part.buckets().map(|(index, count)| (Some(index), count));
                let (min, max) = (part.min().unwrap_or_default(), part.max().unwrap_or_default());
                all.absorb(part.sum(), min, max, zeros.chain(buckets));
            }
            prop_assert_eq!(all, sketch(&[left, right].concat()));
        }
    }
}
