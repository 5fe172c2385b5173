//! Ends on this host that have not been heard of yet.
//!
//! A socket is announced when its first send or receive returns. A client that is put off its CPU inside its first send is
//! announced after its server has read the request, and perhaps answered it: the exchange, seen from the server, would go on
//! without the client's process. So the first exchanges of a young connection wait until the next ticks for the announcement,
//! where the peer's address is one of this host's.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;
use steth_event::Open;
use steth_flow::Tuple;

/// From the announcement of the one end on. A send takes microseconds; off the CPU it may be for some time slices.
const YOUNG: u64 = 50_000_000;
/// Addresses of this host that are remembered; ends at others are not waited for.
const ADDRESSES: usize = 4096;
const SEED: u64 = 0x7374_7261;

/// Who is awaited.
pub(crate) struct Strangers {
    /// In which network namespace an address is; `None` if in several.
    own: HashMap<[u8; 16], Option<u32>, FixedState>,
    awaited: HashMap<Tuple, u32, FixedState>,
}

impl Default for Strangers {
    fn default() -> Self {
        let hasher = || FixedState::with_seed(SEED);
        Self { own: HashMap::with_hasher(hasher()), awaited: HashMap::with_hasher(hasher()) }
    }
}

impl Strangers {
    /// A socket of this host is announced.
    pub(crate) fn announced(&mut self, open: &Open) {
        let Some(tuple) = Tuple::of(open) else { return };
        let room = self.own.len() < ADDRESSES;
        match self.own.get_mut(&tuple.local_address()) {
            Some(namespace) => *namespace = namespace.filter(|namespace| *namespace == open.netns),
            None if room => drop(self.own.insert(tuple.local_address(), Some(open.netns))),
            None => {}
        }
        if let Some(pid) = self.awaited.get_mut(&tuple) {
            *pid = open.tgid;
        }
    }

    /// The other end of this socket, if it is to be waited for. No process is known there, and the socket moved last at `now`.
    pub(crate) fn beyond(&self, open: &Open, now: u64) -> Option<Tuple> {
        const TCP: u8 = 6;
        if open.transport != TCP || now.saturating_sub(open.time) > YOUNG {
            return None;
        }
        Tuple::of(open).map(Tuple::reversed).filter(|tuple| self.own.contains_key(&tuple.local_address()))
    }

    /// Whether a socket of this host was seen at this address.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains_key(&octets(address))
    }

    /// The network namespace in which this address is, if that is known.
    pub(crate) fn namespace(&self, address: IpAddr) -> Option<u32> {
        self.own.get(&octets(address)).copied().flatten()
    }

    /// From now on its announcement is noted.
    pub(crate) fn wait(&mut self, stranger: Tuple) {
        self.awaited.entry(stranger).or_insert(0);
    }

    /// Its process, once it has been announced.
    pub(crate) fn process(&self, stranger: &Tuple) -> Option<u32> {
        self.awaited.get(stranger).copied().filter(|pid| *pid != 0)
    }

    /// Nobody is waited for any more.
    pub(crate) fn none_awaited(&mut self) {
        self.awaited.clear();
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
