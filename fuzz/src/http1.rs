//! HTTP/1 sessions on arbitrary scripts; see [`conversation`](crate::conversation) for the input.

use crate::conversation::play;
use steth_wire::Protocol;

/// Plays the script as HTTP/1.
pub fn run(script: &[u8]) {
    let played = play(Protocol::Http1, script);
    assert!(played.exchanges.len() as u64 <= played.fed, "more exchanges than bytes");
}
