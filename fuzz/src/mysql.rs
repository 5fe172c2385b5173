//! MySQL sessions on arbitrary scripts; see [`conversation`](crate::conversation) for the input.

use crate::conversation::play;
use steth_wire::Protocol;

/// Plays the script as MySQL.
pub fn run(script: &[u8]) {
    let played = play(Protocol::Mysql, script);
    // A compressed frame of n bytes may hold 256 KiB of commands, of five bytes and more; a command that is split is begun
    // by one byte.
    assert!(played.exchanges.len() as u64 <= played.fed * 52_429, "more exchanges than bytes can hold");
}
