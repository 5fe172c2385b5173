//! The rows of connections, as the kernel side keeps them: a bit per port, and a trie of networks.

use crate::error::ProbeError;
use crate::side::Side;
use libbpf_rs::{MapCore, MapFlags};
use steth_verdict::{Connections, Network, PortRange};

/// `enum rules` of `bpf/settings.h`.
const PORT_INCLUDES: u32 = 1 << 8;
const REMOTE_INCLUDES: u32 = 1 << 10;
/// `enum remote_list` of `bpf/rows.h`.
const EXCLUDES: u32 = 1;
const IPV6: u32 = 2;
const SECOND: u32 = 4;
/// Size of `struct steth_remote`, and what comes before the address in it.
const KEY: usize = 24;
const LIST: std::ops::Range<usize> = 4..8;

/// Writes the rows into one half, which is not in use. Returns which of them are in force.
pub(crate) fn put(side: &mut Side, generation: u32, connections: &Connections) -> Result<u32, ProbeError> {
    let mut rules = 0;
    let remotes = &side.remotes;
    // What an earlier set has left in this half.
    let stale = |key: &Vec<u8>| {
        let list = key.get(LIST).and_then(|list| list.try_into().ok()).map_or(0, u32::from_ne_bytes);
        (list & SECOND != 0) == (generation != 0)
    };
    for key in remotes.keys().filter(stale).collect::<Vec<_>>() {
        remotes.delete(&key).map_err(|error| ProbeError::refused("to forget a network of a rule", &error))?;
    }
    for (excludes, list) in [(0, &connections.remote.include), (EXCLUDES, &connections.remote.exclude)] {
        for network in list {
            remotes
                .update(&key(network, generation, excludes), &[1], MapFlags::ANY)
                .map_err(|error| ProbeError::refused("a network of a rule", &error))?;
            rules |= REMOTE_INCLUDES << excludes;
        }
    }
    for (excludes, list) in [(0, &connections.port.include), (1, &connections.port.exclude)] {
        if !list.is_empty() {
            side.ports
                .update(&(generation * 2 + excludes).to_ne_bytes(), &bits(list), MapFlags::ANY)
                .map_err(|error| ProbeError::refused("the ports of a rule", &error))?;
            rules |= PORT_INCLUDES << excludes;
        }
    }
    Ok(rules)
}

/// The bytes of `struct steth_remote`.
fn key(network: &Network, generation: u32, excludes: u32) -> [u8; KEY] {
    let family = if network.address.is_ipv4() { 0 } else { IPV6 };
    let list = excludes | family | if generation == 0 { 0 } else { SECOND };
    let mut key = [0; KEY];
    key[..4].copy_from_slice(&(32 + u32::from(network.prefix)).to_ne_bytes());
    key[LIST].copy_from_slice(&list.to_ne_bytes());
    key[8..].copy_from_slice(&network.bytes());
    key
}

/// The bytes of `struct steth_ports`.
fn bits(list: &[PortRange]) -> Vec<u8> {
    let mut words = vec![0_u64; 1024];
    for port in list.iter().flat_map(|range| range.first..=range.last) {
        words[usize::from(port / 64)] |= 1 << (port % 64);
    }
    words.into_iter().flat_map(u64::to_ne_bytes).collect()
}
