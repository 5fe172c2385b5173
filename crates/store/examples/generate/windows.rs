//! Windows of services that call one another, the same each time, and a store full of them. The benchmark of the agent uses them, too.

use std::path::Path;
use std::sync::Arc;
use steth_store::{Options, Store};
use steth_window::{
    EdgeKey, EdgeSeen, EdgeSums, Entities, Key, Limits, Observation, Opened, Protocol, Side, Status, Transport, Window,
    Windows,
};

/// Seconds since 1970 of the first window: the beginning of a day.
pub(crate) const T: u64 = 1_698_624_000;
const SECOND: u64 = 1_000_000_000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One window in which each service asks four others, both ends watched, and each edge has `operations`.
pub(crate) fn window(seed: u64, services: u64, operations: u64) -> Window {
    let mut dice = Dice(seed);
    let names: Vec<String> = (0..operations).map(|n| format!("GET /thing-{n}/{{id}}")).collect();
    let limits = Limits { rows: 1 << 20, rows_per_service: 1 << 20, ..Limits::default() };
    let (mut entities, mut windows) = (Entities::default(), Windows::new(limits, T * SECOND));
    for client in 0..services {
        for server in (1..5).map(|n| (client + n * n) % services) {
            let client = entities.intern_in("shop", &format!("service-{client}"), T * SECOND);
            let server = entities.intern_in("shop", &format!("service-{server}"), T * SECOND);
            for side in [Side::Client, Side::Server] {
                for operation in 0..operations {
                    let failed = dice.below(20) == 0;
                    let key = Key {
                        client,
                        server,
                        operation: 1 + operation as u32,
                        summary: None,
                        namespace: 0,
                        status: Status::code(if failed { 500 } else { 200 }),
                        error_type: u32::from(failed),
                        server_port: 8080,
                        side,
                        protocol: [Protocol::Http, Protocol::Redis][(server.0 % 2) as usize],
                    };
                    for _ in 0..20 {
                        // Around some milliseconds, over some twenty buckets.
                        let duration_ns = (0..4).map(|_| 200_000 + dice.below(2_000_000)).sum();
                        let queue_ns = (side == Side::Server).then_some(duration_ns / 10);
                        let (first_byte_ns, response_bytes) = (Some(duration_ns / 2), dice.below(10_000));
                        let seen = Observation {
                            duration_ns,
                            queue_ns,
                            first_byte_ns,
                            response_bytes,
                            ..Observation::default()
                        };
                        windows.record(T * SECOND, &key, &seen);
                    }
                }
                let key =
                    EdgeKey { client, server, server_port: 8080, side, transport: Transport::Tcp, guessed: false };
                let sums = EdgeSums {
                    bytes_to_server: dice.below(1 << 20),
                    segments_to_server: dice.below(1000),
                    ..EdgeSums::default()
                };
                let seen =
                    EdgeSeen { sums, rtt_ns: Some(50_000 + dice.below(100_000)), open: true, ..EdgeSeen::default() };
                windows.edge(&key, &seen, &mut Opened::default());
            }
        }
    }
    let name = |number: u32| number.checked_sub(1).map_or("", |number| &*names[number as usize]);
    Arc::unwrap_or_clone(windows.close(&mut entities, &name).expect("it is not empty"))
}

/// Writes so many windows, a few different ones in turn.
pub(crate) fn write(directory: &Path, count: u64, different: &[Window]) -> Result<Store, Box<dyn std::error::Error>> {
    let options = Options { bytes: 64 << 30, now: None, say: Box::new(|what| eprintln!("{what}")) };
    let (store, writer) = Store::open(directory, options)?;
    let feed = writer.start()?;
    for n in 0..count {
        let start = (T + 10 * n) * SECOND;
        let window = &different[(n as usize * 5 + n as usize / 7) % different.len()];
        feed.window_in_time(Arc::new(Window { sequence: n + 1, start, end: start + 10 * SECOND, ..window.clone() }));
    }
    feed.close(None, None);
    Ok(store)
}
