//! What windows cost: `cargo run --release -p steth-window --example cost`.

use std::hint::black_box;
use steth_window::{Cumulative, Entities, EntityId, Key, Limits, Observation, Protocol, Side, Sketch, Status, Windows};

const T: u64 = 1_700_000_000_000_000_000;

fn main() {
    // Log-normal-like durations around 5 ms, over some sixty buckets.
    let mut dice = 7u64;
    let mut durations = Vec::new();
    for _ in 0..4096 {
        let mut sum = 0;
        for _ in 0..4 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += dice >> 33;
        }
        durations.push((1e6 * (sum as f64 / 2e9).exp()) as u64);
    }
    let mut sketch = Sketch::default();
    time("Sketch::record", 20_000_000, |n| sketch.record(durations[n & 4095]));
    println!("  {} buckets, {} B on the heap, {} B", sketch.buckets().count(), sketch.heap_size(), size_of::<Sketch>());
    time("Sketch::quantile", 100_000, |_| {
        black_box(sketch.quantile(0.95));
    });

    // Clients' rows have no queue.
    for (rows, queued) in [100u32, 2000, 16_000].into_iter().flat_map(|rows| [(rows, false), (rows, true)]) {
        let (mut windows, mut entities) = (Windows::new(Limits::default(), T), Entities::default());
        let key = |n: u32| Key {
            client: EntityId(1 + u64::from(n % 7)),
            server: EntityId(100 + u64::from(n % 40)),
            operation: n,
            summary: None,
            namespace: 0,
            status: Status::code(200),
            error_type: 0,
            server_port: 80,
            side: Side::Server,
            protocol: Protocol::Http,
        };
        let keys: Vec<_> = (0..rows).map(key).collect();
        println!("{rows} rows, {} queue times", if queued { "with" } else { "without" });
        time("  Windows::record", 5_000_000, |n| {
            let duration_ns = durations[n & 4095];
            let queue_ns = queued.then_some(durations[(n + 7) & 4095] >> 4);
            let seen =
                Observation { duration_ns, first_byte_ns: Some(duration_ns / 2), queue_ns, ..Default::default() };
            windows.record(T, &keys[n % keys.len()], &seen);
        });
        let name = |_: u32| "GET /users/{id}";
        time("  Windows::snapshot, first", 1, |_| drop(black_box(windows.snapshot(T, &entities, &name))));
        time("  Windows::snapshot", 5, |_| drop(black_box(windows.snapshot(T, &entities, &name))));
        let start = cpu_nanos();
        let window = windows.roll(T + 11_000_000_000, &mut entities, &name).expect("a window");
        println!(
            "  Windows::roll: {:.1} ns; {} bytes, {} a row",
            cpu_nanos() - start,
            window.size(),
            window.size() / rows as usize
        );
        let mut all = Cumulative::new(20_000);
        time("  Cumulative::absorb", 1, |_| all.absorb(&window));
    }
}

/// CPU time of this process: other work on the machine does not count.
fn cpu_nanos() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0.0)
}

fn time(what: &str, times: usize, mut work: impl FnMut(usize)) {
    let start = cpu_nanos();
    (0..times).for_each(&mut work);
    println!("{what}: {:.1} ns", (cpu_nanos() - start) / times as f64);
}
