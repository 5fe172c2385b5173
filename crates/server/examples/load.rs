//! How long the answers take with as many series as are allowed: `cargo run --release -p steth-server --example load`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;
use steth_server::{Retention, Server, Shared};
use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const SECOND: u64 = 1_000_000_000;
    let started = 1_700_000_000 * SECOND;
    let name = |n: u32| ["", "GET /some/rather/long/route/{id}/with/{parts}"][n.min(1) as usize];
    for rows in [2000u32, 16_000] {
        let shared = Arc::new(Shared::new(started, Retention::default()));
        let server = Server::start(std::net::SocketAddr::from(([127, 0, 0, 1], 0)), shared.clone())?;
        let (mut windows, mut entities) = (Windows::new(Limits::default(), started), Entities::default());
        for n in 0..40 {
            let now = started + n * 10 * SECOND;
            while let Some(window) = windows.roll(now, &mut entities, &name) {
                shared.publish_finished(window);
            }
            for row in 0..rows {
                let key = Key {
                    client: entities.intern(&format!("client-{}", row / 40), now),
                    server: entities.intern(&format!("service-{}", row % 40), now),
                    operation: 1,
                    summary: None,
                    namespace: 0,
                    status: Status::code(200),
                    error_type: 0,
                    server_port: 80,
                    side: Side::Server,
                    protocol: Protocol::Http,
                };
                for i in 1..20 {
                    let seen = Observation { duration_ns: i * i * 100_000, ..Default::default() };
                    windows.record(now, &key, &seen);
                }
            }
        }
        shared.publish_current(windows.snapshot(started + 399 * SECOND, &entities, &name));
        println!("{rows} rows in each of 40 windows");
        for path in ["/metrics", "/metrics", "/api/v1/map?last=1h", "/api/v1/top?by=operations&last=1h"] {
            let start = Instant::now();
            let mut stream = TcpStream::connect(server.address())?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            println!("  {path}: {:?}, {} bytes", start.elapsed(), answer.len());
        }
        server.stop();
    }
    Ok(())
}
