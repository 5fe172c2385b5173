//! How fast a recording replays.

use crate::row;
use std::io::BufWriter;
use std::process::{Command, Stdio};
use std::time::Instant;
use steth_event::recording::Writer;
use steth_event::{CHUNK_TURN, Chunk, IntoBytes as _, Open, RECEIVE, SEND, kind};

const EXCHANGES: u64 = 1_000_000;
const CONNECTIONS: u64 = 100;

const HTTP: (&[u8], &[u8]) = (
    b"GET /api/items/1234 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
      Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
);
const REDIS: (&[u8], &[u8]) = (b"*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n", b"$5\r\nvalue\r\n");

/// Writes recordings and measures `steth replay --summary` on them.
pub(crate) fn replay(out: &mut String) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, protocol, bytes, target) in [("HTTP", 1, HTTP, Some((1e6, false))), ("Redis", 2, REDIS, None)] {
        let path = dir.path().join(name);
        write(&path, protocol, bytes)?;
        for (what, arguments, target) in
            [("", ["replay", "--summary"], target), (", every exchange printed as JSON", ["replay", "--json"], None)]
        {
            let rates = (0..crate::ROUNDS).map(|_| {
                let begun = Instant::now();
                let status = Command::new(env!("CARGO_BIN_EXE_steth"))
                    .args(arguments)
                    .arg(&path)
                    .stdout(Stdio::null())
                    .status()?;
                anyhow::ensure!(status.success(), "replay failed");
                Ok(EXCHANGES as f64 / begun.elapsed().as_secs_f64())
            });
            let rates = rates.collect::<anyhow::Result<_>>()?;
            row(out, &format!("replay, {name}{what}"), rates, "exchanges/s", target);
        }
    }
    Ok(())
}

fn write(path: &std::path::Path, protocol: u8, (request, response): (&[u8], &[u8])) -> anyhow::Result<()> {
    let mut writer = Writer::new(BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?))?;
    for connection in 1..=CONNECTIONS {
        let open =
            Open { kind: kind::OPEN, family: 2, transport: 6, role: 2, role_source: 1, connection, ..Open::default() };
        writer.write(open.as_bytes())?;
    }
    let mut record = Vec::new();
    for n in 0..EXCHANGES {
        let (connection, turn) = (n % CONNECTIONS + 1, n / CONNECTIONS);
        let positions = [turn * response.len() as u64, turn * request.len() as u64];
        for (direction, bytes) in [(RECEIVE, request), (SEND, response)] {
            let opposite = if direction == RECEIVE { positions[0] } else { positions[1] + request.len() as u64 };
            let chunk = Chunk {
                kind: kind::CHUNK,
                direction,
                protocol,
                flags: CHUNK_TURN,
                tgid: 1,
                connection,
                time: n * 1000 + u64::from(direction == SEND) * 500,
                offset: positions[usize::from(direction)],
                opposite,
                length: bytes.len() as u32,
                captured: bytes.len() as u16,
                role: 2,
                role_source: 1,
                lag_us: 5,
                reserved: 0,
            };
            record.clear();
            record.extend_from_slice(chunk.as_bytes());
            record.extend_from_slice(bytes);
            writer.write(&record)?;
        }
    }
    Ok(writer.flush()?)
}
