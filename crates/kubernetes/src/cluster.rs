//! The picture of the cluster: one writer changes it object by object, many readers ask.
//!
//! No clock in here: every call brings the time along, in nanoseconds since 1970.

use crate::claims::{Claims, Holder, OPEN};
use crate::id::{ContainerId, Uid};
use crate::index::{Index, Map, remove_one};
use crate::limits::{Counters, Limits};
use crate::owner::{Controller, Node, Service, Transport, Workload};
use crate::read::{ReadPod, Slice};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// The tables that a list fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Pods,
    Services,
    Nodes,
    Slices,
    Owners,
}

/// A pod, service or node, and when it was there.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) holder: Holder,
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// It has had an address before, now or earlier.
    addressed: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) claims: Claims,
    pods: Map<Uid, Kept>,
    services: Map<Uid, Kept>,
    nodes: Map<Uid, Kept>,
    /// ReplicaSets and Jobs that something controls, and which list each came with.
    owners: Map<Uid, (Workload, &'static str)>,
    slices: Map<Uid, Arc<Slice>>,
    backends: Map<IpAddr, Vec<Uid>>,
    /// Slices by namespace and name of their service.
    slices_of: Map<(Arc<str>, Arc<str>), Vec<Uid>>,
    index: Index,
    /// What has ended and is kept for a while: when it ended, whose, and which address; without one, the whole object.
    ended: VecDeque<(u64, Uid, Option<IpAddr>)>,
}

impl Cluster {
    /// Ends that are looked at for one that can make room.
    const LOOKED_AT: usize = 1024;

    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: Counters::default(),
            claims: Claims::default(),
            pods: Map::default(),
            services: Map::default(),
            nodes: Map::default(),
            owners: Map::default(),
            slices: Map::default(),
            backends: Map::default(),
            slices_of: Map::default(),
            index: Index::default(),
            ended: VecDeque::new(),
        }
    }

    /// A pod as the API has it now. True when an answer may change by it.
    pub(crate) fn pod(&mut self, read: ReadPod, now: u64) -> bool {
        let ReadPod { pod, started, terminal, finished } = read;
        let known = self.pods.get(&pod.uid);
        // Its own clock may be ahead: nothing has begun later than it was seen.
        let from = known.map_or(started.unwrap_or(now).min(now), |kept| kept.from);
        let ended = match known {
            Some(kept) if kept.until != OPEN => Some(kept.until),
            Some(_) if terminal => Some(now),
            None if terminal => {
                // Nobody here saw it end. Only by its own word was it there until lately.
                let end = finished.map(|finished| finished.clamp(from, now));
                let Some(end) = end.filter(|end| end.saturating_add(self.limits.grace_ns()) >= now) else {
                    return false;
                };
                Some(end)
            }
            _ => None,
        };
        self.holder(Holder::Pod(Arc::new(pod)), from, ended, now)
    }

    /// A service; `created` by the API server's clock.
    pub(crate) fn service(&mut self, service: Service, created: Option<u64>, now: u64) -> bool {
        self.holder(Holder::Service(Arc::new(service)), created.unwrap_or(now).min(now), None, now)
    }

    /// A node; `created` by the API server's clock.
    pub(crate) fn node(&mut self, node: Node, created: Option<u64>, now: u64) -> bool {
        self.holder(Holder::Node(Arc::new(node)), created.unwrap_or(now).min(now), None, now)
    }

    fn table(&mut self, of: &Holder) -> (&mut Map<Uid, Kept>, usize) {
        match of {
            Holder::Pod(_) => (&mut self.pods, self.limits.pods),
            Holder::Service(_) => (&mut self.services, self.limits.services),
            Holder::Node(_) => (&mut self.nodes, self.limits.nodes),
        }
    }

    fn holder(&mut self, holder: Holder, from: u64, ended: Option<u64>, now: u64) -> bool {
        let uid = holder.uid();
        self.make_room_for_ends();
        let (table, limit) = self.table(&holder);
        let before = match table.get(&uid) {
            Some(kept) if kept.holder == holder && (kept.until != OPEN) == ended.is_some() => return false,
            Some(kept) => Some((kept.holder.clone(), kept.from, kept.addressed)),
            None if table.len() >= limit => {
                // What has ended makes room, oldest first; what is there does not.
                if !self.bury_one_of(&holder) {
                    self.counters.refused += 1;
                    return false;
                }
                None
            }
            None => None,
        };
        let from = before.as_ref().map_or(from, |(_, from, _)| *from);
        if let Some((old, ..)) = &before {
            self.index.end(old);
            for ip in old.addresses() {
                let lost = !holder.addresses().contains(ip);
                if lost || ended.is_some() {
                    self.claims.end(*ip, uid, ended.unwrap_or(now));
                }
                if lost {
                    self.ended.push_back((now, uid, Some(*ip)));
                }
            }
        }
        // An address that came later was another's until then, unless this one never had any: then it is its own from its start.
        let addressed = before.as_ref().is_some_and(|(.., addressed)| *addressed);
        let claimed_from = if addressed { now } else { from };
        let was_over = self.table(&holder).0.get(&uid).is_some_and(|kept| kept.until != OPEN);
        if !was_over {
            for ip in holder.addresses() {
                let displaced = match (&before, ended) {
                    // Ended just now: its claims are closed and stay as they are.
                    (Some((old, ..)), Some(_)) if old.addresses().contains(ip) => false,
                    _ => self.claims.claim(*ip, &holder, claimed_from),
                };
                self.counters.claims_displaced += u64::from(displaced);
                if let Some(end) = ended {
                    self.claims.end(*ip, uid, end);
                }
            }
        }
        self.index.add(&holder, ended.is_some());
        let until = ended.unwrap_or(OPEN);
        let addressed = addressed || !holder.addresses().is_empty();
        let kept = Kept { holder: holder.clone(), from, until, addressed };
        self.table(&holder).0.insert(uid, kept);
        if let Some(end) = ended.filter(|_| !was_over) {
            self.ended.push_back((end, uid, None));
        }
        true
    }

    /// The object is gone from the API. True when an answer may change by it.
    pub(crate) fn remove(&mut self, table: Table, uid: Uid, now: u64) -> bool {
        self.make_room_for_ends();
        let kept = match table {
            Table::Slices => return self.remove_slice(uid),
            Table::Owners => return self.owners.remove(&uid).is_some(),
            Table::Pods => self.pods.get_mut(&uid),
            Table::Services => self.services.get_mut(&uid),
            Table::Nodes => self.nodes.get_mut(&uid),
        };
        let Some(kept) = kept.filter(|kept| kept.until == OPEN) else { return false };
        kept.until = now;
        let holder = kept.holder.clone();
        for ip in holder.addresses() {
            self.claims.end(*ip, uid, now);
        }
        self.index.end(&holder);
        self.index.add(&holder, true);
        self.ended.push_back((now, uid, None));
        true
    }

    /// Before anything ends: what is buried early must not be what is being changed.
    fn make_room_for_ends(&mut self) {
        while self.ended.len() >= self.limits.ended.max(1) {
            self.counters.forgotten_early += 1;
            self.bury_oldest();
        }
    }

    /// Forgets what ended longer ago than the grace; at most `budget` of it, so that readers wait for no long work. True
    /// when more waits.
    pub(crate) fn expire(&mut self, now: u64, budget: usize) -> bool {
        for _ in 0..budget {
            match self.ended.front() {
                Some((at, ..)) if at.saturating_add(self.limits.grace_ns()) < now => self.bury_oldest(),
                _ => return false,
            }
        }
        true
    }

    fn bury_oldest(&mut self) {
        match self.ended.pop_front() {
            Some((until, uid, Some(ip))) => self.claims.forget(ip, uid, until),
            Some((_, uid, None)) => self.bury(uid),
            None => {}
        }
    }

    /// Makes room in the table of `like`; false when nothing in it has ended.
    fn bury_one_of(&mut self, like: &Holder) -> bool {
        let table = match like {
            Holder::Pod(_) => &self.pods,
            Holder::Service(_) => &self.services,
            Holder::Node(_) => &self.nodes,
        };
        let Some(at) =
            self.ended.iter().take(Self::LOOKED_AT).position(|(_, uid, ip)| ip.is_none() && table.contains_key(uid))
        else {
            return false;
        };
        self.counters.forgotten_early += 1;
        if let Some((_, uid, _)) = self.ended.remove(at) {
            self.bury(uid);
        }
        true
    }

    fn bury(&mut self, uid: Uid) {
        let tables = [&mut self.pods, &mut self.services, &mut self.nodes];
        let Some(kept) = tables.into_iter().find_map(|table| table.remove(&uid)) else { return };
        for ip in kept.holder.addresses() {
            self.claims.forget(*ip, uid, OPEN);
        }
        self.index.end(&kept.holder);
    }

    /// What controls a ReplicaSet or Job; `None` for one that nothing does.
    pub(crate) fn owner(&mut self, uid: Uid, controller: Option<Controller>, list: &'static str) -> bool {
        let Some(Controller { workload, .. }) = controller else { return self.owners.remove(&uid).is_some() };
        if self.owners.len() >= self.limits.owners && !self.owners.contains_key(&uid) {
            self.counters.refused += 1;
            return false;
        }
        let before = self.owners.insert(uid, (workload.clone(), list));
        before.is_none_or(|(before, _)| before != workload)
    }

    pub(crate) fn slice(&mut self, uid: Uid, slice: Slice) -> bool {
        match self.slices.get(&uid) {
            Some(known) if **known == slice => return false,
            None if self.slices.len() >= self.limits.slices => {
                self.counters.refused += 1;
                return false;
            }
            _ => self.remove_slice(uid),
        };
        for endpoint in &slice.endpoints {
            self.backends.entry(endpoint.ip).or_insert_with(|| Vec::with_capacity(1)).push(uid);
        }
        let service = (slice.namespace.clone(), slice.service.clone());
        self.slices_of.entry(service).or_insert_with(|| Vec::with_capacity(1)).push(uid);
        self.slices.insert(uid, Arc::new(slice));
        true
    }

    fn remove_slice(&mut self, uid: Uid) -> bool {
        let Some(slice) = self.slices.remove(&uid) else { return false };
        for endpoint in &slice.endpoints {
            remove_one(&mut self.backends, &endpoint.ip, uid);
        }
        remove_one(&mut self.slices_of, &(slice.namespace.clone(), slice.service.clone()), uid);
        true
    }

    /// What of a list's objects is there now, in order to compare it with a new list. `list` tells ReplicaSets from Jobs.
    pub(crate) fn present(&self, table: Table, list: &'static str) -> Vec<Uid> {
        let open =
            |of: &Map<Uid, Kept>| of.iter().filter(|(_, kept)| kept.until == OPEN).map(|(uid, _)| *uid).collect();
        match table {
            Table::Pods => open(&self.pods),
            Table::Services => open(&self.services),
            Table::Nodes => open(&self.nodes),
            Table::Slices => self.slices.keys().copied().collect(),
            Table::Owners => self.owners.iter().filter(|(_, (_, of))| *of == list).map(|(uid, _)| *uid).collect(),
        }
    }

    pub(crate) fn pod_of(&self, uid: Uid) -> Option<&Kept> {
        self.pods.get(&uid).or_else(|| self.pods.get(self.index.static_pods.get(&uid)?))
    }

    pub(crate) fn pod_of_container(&self, id: ContainerId) -> Option<&Kept> {
        self.pods.get(self.index.containers.get(&id)?)
    }

    pub(crate) fn pods_on_port(&self, key: (IpAddr, u16, Transport)) -> impl Iterator<Item = &Kept> {
        self.index.host_ports.get(&key).into_iter().flatten().filter_map(|uid| self.pods.get(uid))
    }

    pub(crate) fn services_on_node_port(&self, key: (u16, Transport)) -> impl Iterator<Item = &Kept> {
        self.index.node_ports.get(&key).into_iter().flatten().filter_map(|uid| self.services.get(uid))
    }

    /// The slices that list `ip`.
    pub(crate) fn slices_with(&self, ip: IpAddr) -> impl Iterator<Item = &Arc<Slice>> {
        self.backends.get(&ip).into_iter().flatten().filter_map(|uid| self.slices.get(uid))
    }

    pub(crate) fn service_named(&self, namespace: &Arc<str>, name: &Arc<str>) -> Option<&Kept> {
        self.services.get(self.index.services.get(&(namespace.clone(), name.clone()))?)
    }

    /// The slices of a service.
    pub(crate) fn slices_of(
        &self,
        namespace: &Arc<str>,
        service: &Arc<str>,
    ) -> impl Iterator<Item = &Arc<Slice>> + use<'_> {
        let all = self.slices_of.get(&(namespace.clone(), service.clone()));
        all.into_iter().flatten().filter_map(|uid| self.slices.get(uid))
    }

    /// The pod, service or node with this uid.
    pub(crate) fn kept(&self, uid: Uid) -> Option<&Kept> {
        self.pods.get(&uid).or_else(|| self.services.get(&uid)).or_else(|| self.nodes.get(&uid))
    }

    pub(crate) fn owner_of(&self, uid: Uid) -> Option<&Workload> {
        self.owners.get(&uid).map(|(workload, _)| workload)
    }

    /// Objects in each table: pods, services, nodes, slices, owners.
    pub(crate) fn sizes(&self) -> [usize; 5] {
        [self.pods.len(), self.services.len(), self.nodes.len(), self.slices.len(), self.owners.len()]
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let backends = self.backends.len() + self.slices_of.len();
        let more = [backends, self.index.len(), self.claims.addresses(), self.ended.len()];
        self.sizes().into_iter().chain(more).all(|size| size == 0)
    }
}
