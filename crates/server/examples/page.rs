//! Serves the page with invented data, to look at it while working on it. Nothing here was measured.
//!
//! `cargo run -p steth-server --example page -- 127.0.0.1:7118`; with `empty` as second argument there is no traffic.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use steth_ledger::{Exchanges, Lost};
use steth_server::{Counter, Cpu, Health, Hook, Kind, Retention, Server, Shared};
use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};

/// Client, server, port, operation, requests/s, server's median in ms, median outside in ms, failures per thousand.
type Talk = (&'static str, &'static str, u16, &'static str, f64, f64, f64, u32);

const TALKS: &[Talk] = &[
    ("ingress", "storefront", 8080, "GET /", 84.0, 12.0, 0.5, 0),
    ("ingress", "storefront", 8080, "GET /products/{id}", 212.0, 18.0, 0.5, 1),
    ("ingress", "storefront", 8080, "POST /cart/items", 31.0, 24.0, 0.6, 2),
    ("mobile-bff", "storefront", 8080, "GET /products/{id}", 96.0, 17.0, 0.7, 1),
    ("storefront", "checkout", 8443, "POST /orders", 9.4, 160.0, 2.0, 12),
    ("storefront", "checkout", 8443, "GET /orders/{id}", 22.0, 9.0, 0.4, 0),
    ("checkout", "payments", 9000, "POST /v1/charge", 9.1, 96.0, 520.0, 21),
    ("checkout", "payments", 9000, "POST /v1/authorize", 8.8, 74.0, 430.0, 8),
    ("billing", "payments", 9000, "GET /v1/methods/{id}", 14.0, 11.0, 60.0, 0),
    ("storefront", "cart", 8081, "GET /cart/{id}", 188.0, 3.1, 0.3, 0),
    ("storefront", "cart", 8081, "PUT /cart/{id}/items/{id}", 31.0, 4.4, 0.3, 0),
    ("mobile-bff", "cart", 8081, "GET /cart/{id}", 64.0, 3.0, 0.4, 0),
    ("cart", "redis-cart", 6379, "HGETALL", 258.0, 0.11, 0.05, 0),
    ("cart", "redis-cart", 6379, "HSET", 31.0, 0.14, 0.05, 0),
    ("cart", "redis-cart", 6379, "EXPIRE", 31.0, 0.08, 0.05, 0),
    ("etl", "redis-cart", 6379, "LRANGE", 1.2, 2.2, 0.08, 16),
    ("storefront", "inventory", 8082, "GET /stock/{sku}", 305.0, 6.2, 0.4, 1),
    ("inventory", "redis-stock", 6379, "GET", 610.0, 0.09, 0.06, 0),
    ("inventory", "redis-stock", 6379, "MGET", 74.0, 0.21, 0.06, 0),
    ("payments", "api.stripe.com", 80, "POST /v1/charges", 8.9, 0.0, 210.0, 4),
];

/// A generator that is good enough to look natural.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
    /// A time in ns with this median in ms and a long tail.
    fn time(&mut self, median: f64) -> f64 {
        let normal = (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
        median * 1e6 * (0.45 * normal).exp()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen: std::net::SocketAddr = arguments.next().unwrap_or_else(|| "127.0.0.1:7118".to_owned()).parse()?;
    let quiet = arguments.next().as_deref() == Some("empty");
    let second = 1_000_000_000;
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
    let mut at = clock() - 320 * second;
    let started = at;
    let shared = Arc::new(Shared::new(started, Retention::default()));
    let server = Server::start(listen, shared.clone())?;
    println!("http://{}/ (demo: invented data)", server.address());

    let names: Vec<&str> = ["", "ERR", "502", "503"].into_iter().chain(TALKS.iter().map(|talk| talk.3)).collect();
    let name = |n: u32| names[n as usize];
    let (mut entities, mut windows) = (Entities::default(), Windows::new(Limits::default(), at));
    let (mut dice, mut http, mut redis) = (Dice(7), Exchanges::default(), Exchanges::default());
    loop {
        for (n, talk) in TALKS.iter().enumerate().filter(|_| !quiet) {
            let protocol = if talk.2 == 6379 { Protocol::Redis } else { Protocol::Http };
            let wave = 1.0 + 0.25 * ((at - started) as f64 / 6e10 + n as f64).sin();
            let count = (talk.4 * wave * (0.9 + 0.2 * dice.uniform()) + dice.uniform()) as u64;
            for _ in 0..count {
                let (inside, outside) = (dice.time(talk.5), dice.time(talk.6));
                let failed = dice.uniform() * 1000.0 < f64::from(talk.7);
                let (status, error_type) = match (protocol, failed) {
                    (Protocol::Http, false) => (Status::code(200), 0),
                    (Protocol::Http, true) => {
                        (Status::code(if n % 2 == 0 { 503 } else { 502 }), if n % 2 == 0 { 3 } else { 2 })
                    }
                    (_, false) => (Status::NONE, 0),
                    (_, true) => (Status::word(1), 1),
                };
                let mut key = Key {
                    client: entities.intern(talk.0, at),
                    server: entities.intern(talk.1, at),
                    operation: n as u32 + 4,
                    summary: None,
                    namespace: 0,
                    status,
                    error_type,
                    server_port: talk.2,
                    side: Side::Client,
                    protocol,
                };
                let mut seen = Observation {
                    request_bytes: 310,
                    response_bytes: 900 + (inside as u64 >> 14),
                    ..Default::default()
                };
                let ledger = if protocol == Protocol::Http { &mut http } else { &mut redis };
                let slow = if protocol == Protocol::Http { 250_000_000 } else { 10_000_000 };
                if talk.0 != "ingress" {
                    seen.duration_ns = (inside + outside) as u64;
                    seen.slow = seen.duration_ns >= slow;
                    windows.record(at, &key, &seen);
                    ledger.reported += 1;
                }
                if talk.5 > 0.0 {
                    key.side = Side::Server;
                    seen.duration_ns = inside as u64;
                    seen.first_byte_ns = Some((inside * 0.9) as u64);
                    seen.queue_ns = Some((outside * 0.3) as u64);
                    seen.slow = seen.duration_ns >= slow;
                    windows.record(at, &key, &seen);
                    ledger.reported += 1;
                }
            }
        }
        while let Some(window) = windows.roll(at, &mut entities, &name) {
            shared.publish_finished(window);
        }
        if !quiet {
            http.lose(Lost::Orphan, u64::from(http.lost() < 14));
            redis.lose(Lost::Hole, u64::from(redis.lost() < 3));
        }
        at += second;
        if at < clock() {
            continue; // five minutes of past, at once
        }
        shared.publish_current(windows.snapshot(at, &entities, &name));
        let hook = |name: &str| Hook { name: name.to_owned(), attached: true, note: String::new() };
        shared.publish_health(Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: "6.12.9".to_owned(),
            uptime_seconds: (at - started) as f64 / 1e9,
            hooks: ["sock_send_length", "sock_recv_length", "inet_sock_set_state", "tcp_destroy_sock"].map(hook).into(),
            capabilities: vec!["CAP_SYS_PTRACE".to_owned()],
            cpu: Cpu { user_seconds: 1.9, system_seconds: 0.6, bpf_seconds: Some(0.9), percent: 0.34 },
            memory_bytes: 31_400_000,
            exchanges: [("http", http), ("redis", redis)].into(),
            counters: vec![Counter {
                name: "steth_records_total",
                help: "Records read from the kernel.",
                kind: Kind::Counter,
                labels: vec![("kind", "data".to_owned())],
                value: 1e6,
            }],
        });
        std::thread::sleep(Duration::from_secs(1));
    }
}
