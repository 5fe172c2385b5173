//! DNS sessions on arbitrary scripts, once as a stream and once as datagrams; see [`conversation`](crate::conversation) for
//! the input.

use crate::conversation::play_over;
use steth_wire::{Protocol, Transport};

/// Plays the script as DNS.
pub fn run(script: &[u8]) {
    for transport in [Transport::Stream, Transport::Datagrams] {
        let played = play_over(transport, Protocol::Dns, script);
        assert!(played.exchanges.len() as u64 <= played.fed, "more exchanges than bytes");
    }
}
