//! From the link layer to the IP header.
//!
//! Link types are those of the registry at tcpdump.org (`draft-ietf-opsawg-pcaplinktype`). VLAN tags (IEEE 802.1Q,
//! 802.1ad) are stepped over wherever an EtherType stands; a connection is not told apart by its VLAN.

use crate::field;
use crate::stats::Skip;

const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const RAW: [u16; 5] = [12, 14, 101, 228, 229];
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const LINUX_SLL2: u16 = 276;

/// An interface whose packets cannot be read. Told once; they are all counted in
/// [`Skipped::link_type`](crate::Skipped::link_type).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "interface {interface} has link type {link_type}{}, which steth does not read; {packets} packets skipped \
     (it reads Ethernet, Linux cooked, raw IP and BSD loopback)",
    name(*link_type)
)]
pub struct UnsupportedLink {
    /// Counted from the beginning of the file.
    pub interface: u32,
    /// Its number in the registry of link types.
    pub link_type: u16,
    /// How many packets of it were skipped.
    pub packets: u64,
}

fn name(link_type: u16) -> &'static str {
    match link_type {
        9 => " (PPP)",
        105 => " (IEEE 802.11)",
        127 => " (IEEE 802.11 with radiotap)",
        195 | 230 => " (IEEE 802.15.4)",
        189 | 220 => " (USB)",
        239 => " (NFLOG)",
        253 => " (netlink)",
        _ => "",
    }
}

/// The bytes from the IP header on.
#[inline]
pub(crate) fn network(link_type: u16, frame: &[u8]) -> Result<&[u8], Skip> {
    match link_type {
        ETHERNET => ether_type(frame, 12, 14),
        LINUX_SLL => ether_type(frame, 14, 16),
        LINUX_SLL2 => ether_type(frame, 0, 20),
        NULL | LOOP => loopback(frame),
        raw if RAW.contains(&raw) => Ok(frame),
        _ => Err(Skip::LinkType),
    }
}

/// An EtherType at `at`, what it names at `payload`; VLAN tags may stand between.
fn ether_type(frame: &[u8], at: usize, mut payload: usize) -> Result<&[u8], Skip> {
    const TAGS: usize = 4;
    let mut kind = field::u16(frame, at).ok_or(Skip::Truncated)?;
    for _ in 0..TAGS {
        match kind {
            0x0800 | 0x86dd => return frame.get(payload..).ok_or(Skip::Truncated),
            // 802.1Q, 802.1ad, and what QinQ used before there was a standard.
            0x8100 | 0x88a8 | 0x9100 => {
                kind = field::u16(frame, payload + 2).ok_or(Skip::Truncated)?;
                payload += 4;
            }
            _ => break,
        }
    }
    match kind {
        0x0800 | 0x86dd => frame.get(payload..).ok_or(Skip::Truncated),
        _ => Err(Skip::NotIp),
    }
}

/// An address family of the system that captured: AF_INET is 2 everywhere, AF_INET6 is not. LOOP is in network order,
/// NULL in that of the machine; no family is large enough for the two to be mistaken.
fn loopback(frame: &[u8]) -> Result<&[u8], Skip> {
    let family = field::u32(frame, 0).ok_or(Skip::Truncated)?;
    match family.min(family.swap_bytes()) {
        2 | 10 | 24 | 28 | 30 => Ok(&frame[4..]),
        _ => Err(Skip::NotIp),
    }
}
