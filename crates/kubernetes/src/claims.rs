//! Who has had an address, and when.

use crate::id::Uid;
use crate::owner::{Node, Pod, Service};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Still has it.
pub(crate) const OPEN: u64 = u64::MAX;

/// Whoever may have an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    Node(Arc<Node>),
}

impl Holder {
    pub(crate) fn uid(&self) -> Uid {
        match self {
            Self::Pod(pod) => pod.uid,
            Self::Service(service) => service.uid,
            Self::Node(node) => node.uid,
        }
    }

    pub(crate) fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Pod(pod) => &pod.addresses,
            Self::Service(service) => &service.addresses,
            Self::Node(node) => &node.addresses,
        }
    }
}

/// `holder` has an address from `from` until `until`, both included; nanoseconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) holder: Holder,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// All claims, by address.
///
/// Claims on one address overlap: the end of a pod is seen later than it happens. Of the pods whose time an instant falls
/// into, the one that began last is right, since it got the address from whoever had it before.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    by_address: HashMap<IpAddr, Vec<Claim>, RandomState>,
}

impl Claims {
    /// Claims on one address; one more takes the place of the one that ended first, or of the oldest.
    pub(crate) const OF_ONE: usize = 16;

    #[cfg(test)]
    pub(crate) fn addresses(&self) -> usize {
        self.by_address.len()
    }

    /// `holder` has `ip` from `from` on, or still has it as it is now known. Says whether an older claim had to go.
    pub(crate) fn claim(&mut self, ip: IpAddr, holder: &Holder, from: u64) -> bool {
        let claims = self.by_address.entry(ip).or_insert_with(|| Vec::with_capacity(1));
        let uid = holder.uid();
        if let Some(claim) = claims.iter_mut().find(|claim| claim.holder.uid() == uid && claim.until == OPEN) {
            claim.holder = holder.clone();
            return false;
        }
        let full = claims.len() >= Self::OF_ONE;
        if full {
            let oldest = (0..claims.len()).min_by_key(|at| (claims[*at].until, claims[*at].from));
            oldest.map(|at| claims.swap_remove(at));
        }
        claims.push(Claim { holder: holder.clone(), from, until: OPEN });
        full
    }

    /// `uid` has no longer had `ip` since `at`.
    pub(crate) fn end(&mut self, ip: IpAddr, uid: Uid, at: u64) {
        for claim in self.by_address.get_mut(&ip).into_iter().flatten() {
            if claim.holder.uid() == uid && claim.until == OPEN {
                claim.until = at.max(claim.from);
            }
        }
    }

    /// Forgets claims of `uid` on `ip` that ended at `until` or before.
    pub(crate) fn forget(&mut self, ip: IpAddr, uid: Uid, until: u64) {
        let Some(claims) = self.by_address.get_mut(&ip) else { return };
        claims.retain(|claim| claim.holder.uid() != uid || claim.until > until);
        if claims.is_empty() {
            self.by_address.remove(&ip);
        }
    }

    /// Who had `ip` at `at`.
    pub(crate) fn at(&self, ip: IpAddr, at: u64) -> impl Iterator<Item = &Claim> {
        let claims = self.by_address.get(&ip).map_or(&[][..], Vec::as_slice);
        claims.iter().filter(move |claim| claim.from <= at && at <= claim.until)
    }

    /// The pod that had `ip` at `at`.
    pub(crate) fn pod(&self, ip: IpAddr, at: u64) -> Option<&Arc<Pod>> {
        let claims = self.at(ip, at).filter(|claim| matches!(claim.holder, Holder::Pod(_)));
        // Of two that began in the same second, the one that has not ended: it came second.
        match &claims.max_by_key(|claim| (claim.from, claim.until))?.holder {
            Holder::Pod(pod) => Some(pod),
            Holder::Service(_) | Holder::Node(_) => None,
        }
    }

    /// The node that had `ip` at `at`.
    pub(crate) fn node(&self, ip: IpAddr, at: u64) -> Option<&Arc<Node>> {
        let claims = self.at(ip, at).filter(|claim| matches!(claim.holder, Holder::Node(_)));
        match &claims.max_by_key(|claim| (claim.from, claim.until))?.holder {
            Holder::Node(node) => Some(node),
            Holder::Service(_) | Holder::Pod(_) => None,
        }
    }

    /// The services that had `ip` at `at`: several share a load balancer's address.
    pub(crate) fn services(&self, ip: IpAddr, at: u64) -> impl Iterator<Item = &Arc<Service>> {
        self.at(ip, at).filter_map(|claim| match &claim.holder {
            Holder::Service(service) => Some(service),
            Holder::Pod(_) | Holder::Node(_) => None,
        })
    }
}
