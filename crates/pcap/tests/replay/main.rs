//! What a replay tells of packets made by hand, of recordings, and of rubbish.

mod files;
mod hostile;
mod network;
mod packets;
mod recordings;
mod reordering;
mod tcp;
mod udp;
