//! Why a runtime did not tell.

use std::io;
use std::time::Duration;

/// Why a runtime did not tell. Each message names cause and fix; none holds anything of the answer's body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The socket is there, and nobody can be reached through it.
    #[error("cannot connect: {0}; start the runtime, or give the agent access to its socket")]
    Connect(io::Error),
    /// It was reached, and the connection broke.
    #[error("the connection broke: {0}; it is tried again by itself")]
    Broken(String),
    /// It took longer than a call may take.
    #[error("no answer within {0:?}; look at the runtime's own log")]
    Deadline(Duration),
    /// The answer is larger than this many bytes.
    #[error("an answer larger than {0} bytes; nothing that this runtime says of it is read")]
    TooLarge(usize),
    /// The answer is not what the API says.
    #[error("not an answer of this API ({0}); is another program behind the socket?")]
    Malformed(&'static str),
    /// The runtime answered with an error: gRPC's code, or HTTP's status.
    #[error("refused with status {code}: {message}")]
    Status {
        /// gRPC's code, or HTTP's status.
        code: u16,
        /// What it says of it, 200 bytes at most.
        message: String,
    },
    /// The CRI is not served here: gRPC's code `UNIMPLEMENTED`.
    #[error(
        "the CRI is not served here: its plugin is disabled (Docker's containerd is set up so); its containers are asked of Docker"
    )]
    NoCri,
}

impl Trouble {
    /// Another call over the same connection has no better chance.
    pub(crate) fn ends_the_session(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Broken(_) | Self::Malformed(_) | Self::NoCri)
    }
}

/// gRPC's `NOT_FOUND`. <https://grpc.io/docs/guides/status-codes/>
pub(crate) const NOT_FOUND: u16 = 5;
/// gRPC's `UNIMPLEMENTED`.
pub(crate) const UNIMPLEMENTED: u16 = 12;

/// At most 200 bytes of a message that comes from outside, on one line.
pub(crate) fn short(message: &str) -> String {
    message[..message.floor_char_boundary(200)].replace(char::is_control, " ")
}
