//! Which bucket a duration falls into: scale 3, on seconds, decided by integer comparison.
//!
//! Bucket `i` holds durations in `(2^(i/8), 2^((i+1)/8)]` seconds: OTLP's numbering. A Prometheus native histogram of
//! schema 3 calls the same bucket `i + 1`.

/// Number of a bucket, in OTLP's numbering.
pub type Index = i16;

/// Scale of an OTLP exponential histogram, schema of a Prometheus native histogram: eight buckets per doubling.
pub const SCALE: u32 = 3;

/// The bucket of 1 ns, the shortest duration that is not zero.
pub const LOWEST: Index = -240;
/// The bucket of [`u64::MAX`] nanoseconds.
pub const HIGHEST: Index = 272;

/// `floor(2^33 * 10^9 * 2^(k/8))` for k = 1..=8: the bucket boundaries between two powers of two of *nanoseconds*, shifted
/// left until the top bit is set. Only the last is exact; the others are irrational, so no duration ever equals one and
/// comparing with the floor decides right. (10^9 itself is no power of two, which is why a boundary of whole seconds is
/// the last of its octave here and not the first.)
const BOUNDARIES: [u64; 8] = [
    0x81ff_a7a9_549c_a6e3,
    0x8dc3_b896_0164_a7d9,
    0x9a98_6705_4d51_2391,
    0xa896_5f74_bf06_5071,
    0xb7d8_8a12_d0dd_9ea0,
    0xc87c_3e7d_03cd_bec3,
    0xdaa1_7c2c_d195_55db,
    0xee6b_2800_0000_0000,
];

/// How many boundaries lie below each sixteenth of an octave. None holds more than one boundary, so one comparison is left.
const BELOW: [u8; 16] = {
    let (mut below, mut sixteenth) = ([0; 16], 0);
    while sixteenth < 16 {
        let mut k = 0;
        while k < 8 && BOUNDARIES[k] < (16 + sixteenth as u64) << 59 {
            k += 1;
        }
        below[sixteenth] = k as u8;
        sixteenth += 1;
    }
    below
};

/// The bucket of a duration above zero. Zero has no bucket; it is answered as if it were 1 ns.
#[inline]
#[must_use]
pub fn index_of(nanos: u64) -> Index {
    let nanos = nanos.max(1);
    let shift = nanos.leading_zeros();
    let shifted = nanos << shift;
    // The top bit is set: the four bits behind it are the sixteenth.
    let below = BELOW[(shifted >> 59 & 15) as usize];
    let above =
        Index::from(below) + Index::from(BOUNDARIES.get(usize::from(below)).is_some_and(|next| shifted > *next));
    // A number with this many leading zeros lies in the octave of 2^(63 - shift) ns; 2^30 ns is that of one second.
    (63 - shift as Index - 30) * 8 + above
}

/// The lower, exclusive bound of a bucket, in nanoseconds.
#[must_use]
pub fn lower_bound(index: Index) -> f64 {
    1e9 * (f64::from(index) / 8.0).exp2()
}

/// The upper, inclusive bound of a bucket, in nanoseconds.
#[must_use]
pub fn upper_bound(index: Index) -> f64 {
    lower_bound(index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `a * b` on little-endian 32-bit limbs: exact, and short enough to be believed.
    fn multiply(a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut product = vec![0u32; a.len() + b.len()];
        for (i, x) in a.iter().enumerate() {
            let mut carry = 0u64;
            for (j, y) in b.iter().enumerate() {
                let sum = u64::from(*x) * u64::from(*y) + u64::from(product[i + j]) + carry;
                product[i + j] = sum as u32;
                carry = sum >> 32;
            }
            product[i + b.len()] = carry as u32;
        }
        product
    }

    fn limbs(n: u64) -> Vec<u32> {
        vec![n as u32, (n >> 32) as u32]
    }

    fn eighth_power(n: u64) -> Vec<u32> {
        let square = multiply(&limbs(n), &limbs(n));
        let fourth = multiply(&square, &square);
        multiply(&fourth, &fourth)
    }

    fn less_or_equal(a: &[u32], b: &[u32]) -> bool {
        let digit = |n: &[u32], i: usize| n.get(i).copied().unwrap_or(0);
        (0..a.len().max(b.len())).rev().find(|i| digit(a, *i) != digit(b, *i)).is_none_or(|i| digit(a, i) < digit(b, i))
    }

    /// `10^72 * 2^power`.
    fn scaled(power: usize) -> Vec<u32> {
        let mut number = eighth_power(1_000_000_000);
        for _ in 0..power {
            number = multiply(&number, &[2]);
        }
        number
    }

    /// nanos <= 10^9 * 2^(index/8), in integers only: nanos^8 <= 10^72 * 2^index.
    fn at_most_boundary(nanos: u64, index: Index) -> bool {
        if index >= 0 {
            less_or_equal(&eighth_power(nanos), &scaled(index as usize))
        } else {
            let mut left = eighth_power(nanos);
            for _ in 0..-index {
                left = multiply(&left, &[2]);
            }
            less_or_equal(&left, &scaled(0))
        }
    }

    #[test]
    fn the_table_holds_the_floors_of_the_exact_boundaries() {
        for (k, boundary) in BOUNDARIES.iter().enumerate() {
            let exact = scaled(8 * 33 + k + 1);
            assert!(less_or_equal(&eighth_power(*boundary), &exact), "k = {}", k + 1);
            assert!(!less_or_equal(&eighth_power(boundary + 1), &exact), "k = {}", k + 1);
        }
    }

    #[test]
    fn every_boundary_is_upper_inclusive_and_exact_to_the_nanosecond() {
        for index in LOWEST..HIGHEST {
            // Largest whole nanosecond in the bucket: shift the table's boundary down, losing nothing that counts.
            let upper = i32::from(index) + 1;
            let (octave, k) = (upper.div_euclid(8), upper.rem_euclid(8));
            let (octave, k) = if k == 0 { (octave - 1, 8) } else { (octave, k) };
            let last = BOUNDARIES[(k - 1) as usize] >> (33 - octave);
            if last == 0 {
                continue; // a bucket below one nanosecond
            }
            assert!(at_most_boundary(last, index + 1) && !at_most_boundary(last + 1, index + 1), "bucket {index}");
            // Short durations are coarser than the buckets: 2 ns and 3 ns leave empty ones in between.
            assert!(index_of(last) <= index, "bucket {index}");
            assert!(index_of(last + 1) > index, "bucket {index}");
        }
    }

    #[test]
    fn powers_of_two_seconds_end_their_bucket() {
        assert_eq!(index_of(1_000_000_000), -1, "one second is the end of (2^(-1/8), 1]");
        assert_eq!(index_of(1_000_000_001), 0);
        assert_eq!(index_of(2_000_000_000), 7);
        assert_eq!(index_of(2_000_000_001), 8);
        assert_eq!(index_of(500_000_000), -9);
        assert_eq!(index_of(500_000_001), -8);
        assert_eq!((index_of(1), index_of(0), index_of(u64::MAX)), (LOWEST, LOWEST, HIGHEST));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn exact_integers_agree(bits in 0u32..64, noise: u64) {
            let nanos = (noise >> bits).max(1);
            let index = index_of(nanos);
            prop_assert!(at_most_boundary(nanos, index + 1));
            prop_assert!(!at_most_boundary(nanos, index));
        }

        #[test]
        fn floating_point_agrees_away_from_the_boundaries(bits in 0u32..64, noise: u64) {
            let nanos = (noise >> bits).max(1);
            let place = (nanos as f64 / 1e9).log2() * 8.0;
            if (place - place.round()).abs() > 1e-9 {
                prop_assert_eq!(f64::from(index_of(nanos)), place.ceil() - 1.0);
            }
        }
    }
}
