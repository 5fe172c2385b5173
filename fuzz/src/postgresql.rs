//! PostgreSQL sessions on arbitrary scripts; see [`conversation`](crate::conversation) for the input.

use crate::conversation::play;
use steth_wire::Protocol;

/// Plays the script as PostgreSQL.
pub fn run(script: &[u8]) {
    let played = play(Protocol::Postgresql, script);
    assert!(played.exchanges.len() as u64 <= played.fed, "more exchanges than bytes");
}
