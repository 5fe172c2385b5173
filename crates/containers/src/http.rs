//! HTTP over a unix socket, as little as Docker's API and podman's need: a GET each connection.
//!
//! It asks in HTTP/1.0, so that the end of the answer is the end of the connection and no encoding comes between; Go's
//! server, which is behind both, then chunks nothing. All bytes go through a buffer of ours, which is overwritten.

use crate::trouble::{Trouble, short};
use crate::wiped::Wiped;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use zeroize::Zeroize;

/// Bytes of a status line and header.
const HEAD: usize = 16 * 1024;

/// An answer that has begun: its status is in 200..300.
pub(crate) struct Body {
    stream: UnixStream,
    buffer: Wiped,
    maximum: usize,
    /// The user whose program listens.
    pub(crate) user: u32,
}

/// Asks for `target`, such as `/version`.
pub(crate) async fn get(path: &Path, target: &str, maximum: usize) -> Result<Body, Trouble> {
    let mut stream = UnixStream::connect(path).await.map_err(Trouble::Connect)?;
    let user = stream.peer_cred().map_err(Trouble::Connect)?.uid();
    let request = format!("GET {target} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: steth\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut body = Body { stream, buffer: Wiped::new(HEAD.max(maximum) + HEAD), maximum, user };
    // What has been looked at is not looked at again: it may come byte by byte.
    let mut seen = 0_usize;
    let (end, status) = loop {
        if let Some(end) = body.buffer[seen..].windows(4).position(|window| window == b"\r\n\r\n") {
            break (seen + end + 4, status(&body.buffer[..seen + end])?);
        }
        seen = body.buffer.len().saturating_sub(3);
        if body.buffer.len() > HEAD || !body.more().await? {
            return Err(Trouble::Malformed("no HTTP header"));
        }
    };
    body.buffer.consume(end);
    if (200..300).contains(&status) {
        return Ok(body);
    }
    // Both APIs explain errors in a JSON object with a "message".
    let explained = |body: &[u8]| serde_json::from_slice::<Explained>(body).unwrap_or_default().message;
    let message = body.whole(explained).await.unwrap_or_default();
    Err(Trouble::Status { code: status, message: short(&message) })
}

#[derive(Default, serde::Deserialize)]
struct Explained {
    #[serde(default)]
    message: String,
}

fn status(head: &[u8]) -> Result<u16, Trouble> {
    let malformed = Trouble::Malformed("no HTTP status");
    if !head.starts_with(b"HTTP/1.") || head.len() < 12 {
        return Err(malformed);
    }
    if has(head, "transfer-encoding") {
        return Err(Trouble::Malformed("an encoding that HTTP/1.0 does not have"));
    }
    std::str::from_utf8(&head[9..12]).ok().and_then(|code| code.parse().ok()).ok_or(malformed)
}

fn has(head: &[u8], name: &str) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        line[..end].eq_ignore_ascii_case(name.as_bytes())
    })
}

impl Body {
    /// Receives; false at the end.
    async fn more(&mut self) -> Result<bool, Trouble> {
        let mut piece = [0_u8; 8192];
        let received = self.stream.read(&mut piece).await.map_err(broken);
        let fits = received.as_ref().map_or(true, |count| self.buffer.extend(&piece[..*count]));
        piece.zeroize();
        match received? {
            _ if !fits => Err(Trouble::TooLarge(self.maximum)),
            count => Ok(count > 0),
        }
    }

    /// All of it, through what `read` makes of it.
    pub(crate) async fn whole<T>(mut self, read: impl FnOnce(&[u8]) -> T) -> Result<T, Trouble> {
        while self.more().await? {
            if self.buffer.len() > self.maximum {
                return Err(Trouble::TooLarge(self.maximum));
            }
        }
        Ok(read(&self.buffer))
    }

    /// The next line of a stream of lines, through what `read` makes of it. `None`: it has ended.
    pub(crate) async fn line<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, Trouble> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|byte| *byte == b'\n') {
                let value = read(&self.buffer[..seen + end]);
                self.buffer.consume(seen + end + 1);
                return Ok(Some(value));
            }
            seen = self.buffer.len();
            if self.buffer.len() > self.maximum {
                return Err(Trouble::TooLarge(self.maximum));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }
}

fn broken(error: std::io::Error) -> Trouble {
    Trouble::Broken(error.to_string())
}
