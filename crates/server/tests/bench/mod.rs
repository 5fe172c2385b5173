//! A server with windows to fill, and a client of it.
#![allow(dead_code, unreachable_pub)] // every test uses another part of it

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use steth_server::{Handle, Retention, Server, Settings, Shared};
use steth_store::{Feed, Options, Store};
use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};

pub const SECOND: u64 = 1_000_000_000;
pub const T: u64 = 1_700_000_000 * SECOND;
const NAMES: [&str; 12] = [
    "",
    "GET /a/{id}",
    "HGET",
    "WRONGTYPE",
    "503",
    "SELECT a FROM t WHERE b = ?",
    "SELECT b FROM t",
    "SELECT t",
    "PING",
    "HTTP /dav/{id}",
    "GET *",
    "connection_reset",
];

pub struct Bench {
    pub server: Handle,
    pub shared: Arc<Shared>,
    pub windows: Windows,
    pub entities: Entities,
    kept: Option<Keeping>,
}

/// A store behind it.
struct Keeping {
    store: Store,
    feed: Feed,
    windows: u64,
    _dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let shared = Arc::new(Shared::new(T, Retention::default()));
        let settings = Settings { questions_per_second: 1_000_000, ..SocketAddr::from(([127, 0, 0, 1], 0)).into() };
        let server = Server::start(settings, shared.clone()).expect("starts");
        Self { server, shared, windows: Windows::new(Limits::default(), T), entities: Entities::default(), kept: None }
    }

    /// One that answers from a store.
    pub fn with_store() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { bytes: 64 << 20, now: None, say: Box::new(|what| eprintln!("{what}")) };
        let (store, writer) = Store::open(dir.path(), options).expect("it opens");
        let bench = Self::new();
        let asked = store.clone();
        bench.shared.answer_from(Arc::new(store.clone()), Arc::new(move || asked.unkept()));
        let feed = writer.start().expect("a thread");
        Self { kept: Some(Keeping { store, feed, windows: 0, _dir: dir }), ..bench }
    }

    pub fn record(&mut self, at: u64, client: &str, key: impl Fn(Key) -> Key, millis: u64) {
        let key = key(Key {
            client: self.entities.intern(client, at),
            server: self.entities.intern("shop", at),
            operation: 1,
            summary: None,
            namespace: 0,
            status: Status::code(200),
            error_type: 0,
            server_port: 8080,
            side: Side::Server,
            protocol: Protocol::Http,
        });
        let (duration_ns, slow) = (millis * 1_000_000, millis >= 1000);
        let queue_ns = (key.side == Side::Server).then_some(duration_ns * 99);
        let first_byte_ns = Some(duration_ns / 2);
        let seen = Observation { duration_ns, first_byte_ns, queue_ns, slow, request_bytes: 10, ..Default::default() };
        self.windows.record(at, &key, &seen);
    }

    pub fn publish(&mut self, now: u64) {
        let name = |n: u32| NAMES[n as usize];
        while let Some(window) = self.windows.roll(now, &mut self.entities, &name) {
            if let Some(kept) = &mut self.kept {
                kept.feed.window_in_time(window.clone());
                kept.windows += 1;
            }
            self.shared.publish_finished(window);
        }
        if let Some(kept) = &self.kept {
            kept.feed.reached(now - now % Windows::LENGTH);
            while kept.store.status().written < kept.windows {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.shared.publish_current(self.windows.snapshot(now, &self.entities, &name));
    }

    pub fn send(&self, request: &str) -> (String, String) {
        send(self.server.address(), request)
    }

    pub fn get(&self, path: &str) -> (String, String) {
        get(self.server.address(), path)
    }
}

/// The head and the body of an answer.
pub fn get(address: SocketAddr, path: &str) -> (String, String) {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

pub fn send(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}
