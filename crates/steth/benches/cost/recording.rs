//! Recordings of servers' ends, written by hand: keep-alive conversations as nginx and redis-server have them.

use crate::throughput;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use steth_event::recording::Writer;
use steth_event::{CHUNK_TURN, Chunk, Clock, IntoBytes as _, Open, Process, RECEIVE, ROLE_SERVER, SEND, Tick, kind};

const CONNECTIONS: u64 = 200;
/// Exchanges between two looks of the drain at an empty ring: 25 ms at 40,000 a second.
const TICK: u64 = 1_000;
/// Nanoseconds between two exchanges.
const STEP: u64 = 25_000;
const SERVER: u32 = 4_000;
const CLIENT: u32 = 4_001;

/// First argument of the benchmark when it only writes a recording, for a profiler.
pub(crate) const COMMAND: &str = "recording";

/// `recording NAME EXCHANGES FILE`: http and redis by hand, the others by [`throughput::write`].
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    let [name, exchanges, path] = arguments else { anyhow::bail!("{COMMAND} NAME EXCHANGES FILE") };
    let (path, exchanges) = (Path::new(path), exchanges.parse()?);
    match name.as_str() {
        "http" => write(path, Talk::Http, exchanges),
        "redis" => write(path, Talk::Redis, exchanges),
        captured if throughput::names().any(|known| known == captured) => {
            println!("{} exchanges", throughput::write(captured, exchanges, path)?);
            Ok(())
        }
        other => {
            let names: Vec<_> = ["http", "redis"].into_iter().chain(throughput::names()).collect();
            anyhow::bail!("no recording of {other}; there are {}", names.join(", "))
        }
    }
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    Http,
    Redis,
}

impl Talk {
    /// The number of the protocol in a record.
    fn protocol(self) -> u8 {
        match self {
            Self::Http => 1,
            Self::Redis => 2,
        }
    }

    /// Request and response of the n-th exchange.
    fn say(self, n: u64) -> (String, String) {
        let id = n.wrapping_mul(2_654_435_761) % 5_000;
        match self {
            Self::Http => {
                let (status, body) = if n.is_multiple_of(50) {
                    ("404 Not Found", format!("{{\"error\":\"no item {id}\"}}"))
                } else {
                    ("200 OK", format!("{{\"id\":{id},\"name\":\"item {id}\",\"price\":{}}}", id * 3))
                };
                let request = format!(
                    "GET /api/items/{id}?currency=EUR HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/7.88.1\r\n\
                     Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n"
                );
                let response = format!(
                    "HTTP/1.1 {status}\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
                    body.len()
                );
                (request, response)
            }
            Self::Redis => {
                let key = format!("user:{id}");
                (format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()), "$16\r\n0123456789abcdef\r\n".to_owned())
            }
        }
    }
}

/// Writes so many exchanges, spread over the connections in turn.
pub(crate) fn write(path: &Path, talk: Talk, exchanges: u64) -> anyhow::Result<()> {
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
    let clock = Clock { kind: kind::CLOCK, offset: 1_795_000_000_000_000_000, ..Clock::default() };
    writer.write(clock.as_bytes())?;
    for (pid, name) in [(SERVER, "server"), (CLIENT, "client")] {
        let process = Process { pid, started: 1, name: name.to_owned(), ..Process::default() };
        writer.write(&process.to_record())?;
    }
    for connection in 1..=CONNECTIONS {
        writer.write(open(connection).as_bytes())?;
    }
    // Of every connection: bytes sent, bytes received.
    let mut positions = vec![[0u64; 2]; CONNECTIONS as usize];
    let mut record = Vec::new();
    for n in 0..exchanges {
        let place = (n % CONNECTIONS) as usize;
        let (request, response) = talk.say(n);
        for (direction, bytes) in [(RECEIVE, &request), (SEND, &response)] {
            let here = usize::from(direction);
            let chunk = Chunk {
                kind: kind::CHUNK,
                direction,
                protocol: talk.protocol(),
                flags: CHUNK_TURN,
                tgid: SERVER,
                connection: place as u64 + 1,
                time: n * STEP + if direction == SEND { STEP / 2 } else { 1 },
                offset: positions[place][here],
                opposite: positions[place][1 - here],
                length: u32::try_from(bytes.len())?,
                captured: u16::try_from(bytes.len())?,
                role: ROLE_SERVER,
                role_source: 1,
                lag_us: 5,
                calls: 1,
            };
            positions[place][here] += bytes.len() as u64;
            record.clear();
            record.extend_from_slice(chunk.as_bytes());
            record.extend_from_slice(bytes.as_bytes());
            writer.write(&record)?;
        }
        if n % TICK == TICK - 1 {
            let tick = Tick { kind: kind::TICK, time: (n + 1) * STEP, ..Tick::default() };
            writer.write(tick.as_bytes())?;
        }
    }
    Ok(writer.flush()?)
}

fn open(connection: u64) -> Open {
    let mut loopback = [0; 16];
    loopback[..4].copy_from_slice(&[127, 0, 0, 1]);
    Open {
        kind: kind::OPEN,
        family: 2,
        transport: 6,
        role: ROLE_SERVER,
        role_source: 1,
        tgid: SERVER,
        peer_tgid: CLIENT,
        connection,
        local_port: 8080,
        remote_port: 40_000 + connection as u16,
        local_address: loopback,
        remote_address: loopback,
        ..Open::default()
    }
}
