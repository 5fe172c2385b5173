//! redis-server, and the little of its protocol that a test needs to ask it questions.

use super::process::{Process, command, free_port};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use tempfile::TempDir;

/// A running redis-server without persistence, on a TCP port of both loopback addresses and a unix
/// socket.
#[derive(Debug)]
pub struct RedisServer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its unix socket.
    pub socket: PathBuf,
    process: Process,
    _dir: TempDir,
}

impl RedisServer {
    /// Starts it with nothing stored.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, socket) = (free_port(), dir.path().join("redis.sock"));
        let mut command = command("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "-::1", "--daemonize", "no"]);
        command.args(["--port", &port.to_string()]).arg("--unixsocket").arg(&socket).arg("--dir").arg(dir.path());
        // No periodic command of its own, no refusal of a test's bulk value.
        command.args(["--maxclients", "10000", "--latency-tracking", "no"]);
        let process = Process::spawn("redis-server", &mut command, dir.path());
        process.wait_for_port(port);
        Self { port, socket, process, _dir: dir }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs one command over a new connection and returns the raw reply's first line, or the bulk string.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("redis accepts");
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(request.as_bytes()).expect("redis reads");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("redis answers");
        match line.strip_prefix('$').and_then(|length| length.trim().parse::<usize>().ok()) {
            Some(length) => {
                let mut bulk = vec![0; length];
                reader.read_exact(&mut bulk).expect("redis sends the bulk it announced");
                String::from_utf8_lossy(&bulk).into_owned()
            }
            None => line.trim_end().to_string(),
        }
    }

    /// How often each command was called since the start or the last [`forget_calls`](Self::forget_calls), in lower
    /// case (`get`, `config|get`), calls of these two functions excepted.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        for line in self.ask(&["INFO", "commandstats"]).lines() {
            let Some((name, values)) = line.strip_prefix("cmdstat_").and_then(|l| l.split_once(':')) else { continue };
            let count = values.strip_prefix("calls=").and_then(|v| v.split(',').next()?.parse().ok()).unwrap_or(0);
            if !matches!(name, "info" | "config|resetstat") {
                calls.insert(name.to_string(), count);
            }
        }
        calls
    }

    /// Starts [`calls`](Self::calls) anew.
    pub fn forget_calls(&self) {
        assert_eq!(self.ask(&["CONFIG", "RESETSTAT"]), "+OK");
    }
}
