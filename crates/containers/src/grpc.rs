//! gRPC over a unix socket: unary calls and streams from the server, plain, without compression.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use crate::trouble::{Trouble, UNIMPLEMENTED, short};
use crate::wiped::Wiped;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use std::path::Path;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

/// Bytes before each message: a flag for compression and the length.
const PREFIX: usize = 5;
/// Bytes of all header fields of an answer.
const HEADERS: u32 = 16 * 1024;

/// A connection. It ends when this is dropped.
pub(crate) struct Channel {
    requests: SendRequest<BytesOf>,
    connection: JoinHandle<()>,
    /// The user whose program listens.
    pub(crate) user: u32,
}

/// What h2 wants a request's body to be.
type BytesOf = std::io::Cursor<Vec<u8>>;

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Channel {
    pub(crate) async fn connect(path: &Path) -> Result<Self, Trouble> {
        let stream = UnixStream::connect(path).await.map_err(Trouble::Connect)?;
        let user = stream.peer_cred().map_err(Trouble::Connect)?.uid();
        let mut builder = h2::client::Builder::new();
        builder.enable_push(false).max_header_list_size(HEADERS);
        let (requests, connection) = builder.handshake(stream).await.map_err(broken)?;
        let connection = tokio::spawn(async move {
            // Whoever waits for an answer is told; there is nobody else to tell.
            let _ = connection.await;
        });
        Ok(Self { requests, connection, user })
    }

    /// Whether nothing can be asked through it any more.
    pub(crate) fn ended(&self) -> bool {
        self.connection.is_finished()
    }

    /// A call with one message as its answer, of `maximum` bytes at most.
    pub(crate) async fn call(&self, method: &str, message: &[u8], maximum: usize) -> Result<Answer, Trouble> {
        let mut stream = self.stream(method, message, maximum).await?;
        let Some(length) = stream.message().await? else {
            return Err(Trouble::Malformed("no message and no error"));
        };
        // The status comes behind the message: it may still be an error.
        stream.finish().await?;
        Ok(Answer { buffer: stream.buffer, length })
    }

    /// A call with any number of messages as its answer, each of `maximum` bytes at most.
    pub(crate) async fn stream(&self, method: &str, message: &[u8], maximum: usize) -> Result<Messages, Trouble> {
        let request = Request::post(format!("http://localhost{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "steth")
            .body(())
            .map_err(|_| Trouble::Malformed("method"))?;
        let mut body = Vec::with_capacity(PREFIX + message.len());
        body.push(0);
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(message);
        let mut requests = self.requests.clone().ready().await.map_err(broken)?;
        let (response, mut send) = requests.send_request(request, false).map_err(broken)?;
        send.send_data(BytesOf::new(body), true).map_err(broken)?;
        let (head, stream) = response.await.map_err(broken)?.into_parts();
        if head.status != 200 {
            return Err(Trouble::Status { code: head.status.as_u16(), message: String::new() });
        }
        status(&head.headers)?;
        Ok(Messages { stream, buffer: Wiped::new(maximum + PREFIX), maximum })
    }
}

/// One message.
pub(crate) struct Answer {
    buffer: Wiped,
    length: usize,
}

impl std::ops::Deref for Answer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[PREFIX..PREFIX + self.length]
    }
}

/// Messages that come one by one.
pub(crate) struct Messages {
    stream: RecvStream,
    buffer: Wiped,
    maximum: usize,
}

impl Messages {
    /// The length of the message that now begins the buffer, behind its prefix. `None`: the stream has ended well.
    async fn message(&mut self) -> Result<Option<usize>, Trouble> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<PREFIX>() {
                let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
                if prefix[0] != 0 {
                    return Err(Trouble::Malformed("compressed, which was not asked for"));
                }
                if length > self.maximum {
                    return Err(Trouble::TooLarge(self.maximum));
                }
                if self.buffer.len() >= PREFIX + length {
                    return Ok(Some(length));
                }
            }
            if !self.more().await? {
                let whole = self.buffer.is_empty();
                self.finish().await?;
                return if whole { Ok(None) } else { Err(Trouble::Malformed("a message that breaks off")) };
            }
        }
    }

    /// The next message, through what `read` makes of it. `None`: the stream has ended well.
    pub(crate) async fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, Trouble> {
        let Some(length) = self.message().await? else { return Ok(None) };
        let value = read(&self.buffer[PREFIX..PREFIX + length]);
        self.buffer.consume(PREFIX + length);
        Ok(Some(value))
    }

    /// Receives; false at the end.
    async fn more(&mut self) -> Result<bool, Trouble> {
        let Some(data) = self.stream.data().await else { return Ok(false) };
        let data = data.map_err(broken)?;
        let _ = self.stream.flow_control().release_capacity(data.len()); // fails only for a stream that is over
        if self.buffer.extend(&data) { Ok(true) } else { Err(Trouble::TooLarge(self.maximum)) }
    }

    /// Reads to the end, which has the status.
    async fn finish(&mut self) -> Result<(), Trouble> {
        while self.more().await? {}
        match self.stream.trailers().await.map_err(broken)? {
            Some(trailers) => status(&trailers),
            None => Err(Trouble::Malformed("no gRPC status")),
        }
    }
}

fn status(headers: &HeaderMap) -> Result<(), Trouble> {
    let Some(code) = headers.get("grpc-status") else { return Ok(()) };
    let code = code.to_str().ok().and_then(|code| code.parse().ok()).ok_or(Trouble::Malformed("gRPC status"))?;
    match code {
        0 => Ok(()),
        UNIMPLEMENTED => Err(Trouble::NoCri),
        _ => {
            let message = headers.get("grpc-message").map(|m| String::from_utf8_lossy(m.as_bytes()));
            Err(Trouble::Status { code, message: short(&message.unwrap_or_default()) })
        }
    }
}

fn broken(error: h2::Error) -> Trouble {
    Trouble::Broken(short(&error.to_string()))
}
