//! What choosing samples costs: `cargo run --release -p steth-samples --example cost`.

use std::hint::black_box;
use steth_samples::{Glance, Limits, Operation, Samples};
use steth_window::{EntityId, Side};

const T: u64 = 1_700_000_000_000_000_000;

fn main() {
    let mut dice = 7u64;
    let mut durations = Vec::new();
    for _ in 0..4096 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        durations.push(1_000_000 + (dice >> 44));
    }
    for operations in [1u32, 100, 4000] {
        let mut samples = Samples::new(Limits::default(), 1);
        let all: Vec<_> = (0..operations)
            .map(|operation| Operation { server: EntityId(u64::from(operation % 40)), operation, side: Side::Server })
            .collect();
        let (times, mut wanted) = (20_000_000usize, 0u64);
        let start = cpu_nanos();
        for n in 0..times {
            let duration_ns = durations[n & 4095];
            // 100,000 exchanges a second.
            let glance = Glance { end: T + n as u64 * 10_000, duration_ns, ..Glance::default() };
            wanted += u64::from(black_box(samples.wants(&all[n % all.len()], &glance)).is_some());
        }
        let each = (cpu_nanos() - start) / times as f64;
        println!("{operations} operations: Samples::wants: {each:.1} ns; {wanted} of {times} wanted");
    }
}

/// CPU time of this process: other work on the machine does not count.
fn cpu_nanos() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0)
}
