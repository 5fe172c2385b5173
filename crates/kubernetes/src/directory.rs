//! Where readers ask.

use crate::claims::Holder;
use crate::claims::OPEN;
use crate::cluster::{Cluster, Kept};
use crate::id::{ContainerId, Uid};
use crate::limits::Counters;
use crate::owner::{Evidence, Owner, Pod, PodOwner, Service, Transport, Workload};
use crate::read::Slice;
use crate::state::{ResourceState, State, States};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The picture of the cluster. Cheap to clone, asked from any thread.
///
/// The writer holds the lock for one object at a time (microseconds; while a table grows to hold 100,000 objects, a few
/// milliseconds), and never across a request: no reader waits for the network.
///
/// Times are nanoseconds since 1970, those of the exchange that is asked about.
#[derive(Clone, Debug)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cluster: RwLock<Cluster>,
    generation: AtomicU64,
    states: States,
}

impl Directory {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let shared = Shared { cluster: RwLock::new(cluster), generation: AtomicU64::new(0), states: States::default() };
        Self { shared: Arc::new(shared) }
    }

    // A panic while it was held leaves tables that may disagree, and no look-up relies on that they agree.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Cluster> {
        self.shared.cluster.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.shared.cluster.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn changed(&self) {
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn states(&self) -> &States {
        &self.shared.states
    }

    /// Rises with every change after which an answer may be another one. What a passing of time changes (a grace that is over)
    /// does not count.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Whether there is a cluster, and how well it is known.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.states.state()
    }

    /// How it stands with each resource that is followed.
    #[must_use]
    pub fn resources(&self) -> Vec<ResourceState> {
        self.shared.states.resources()
    }

    /// What happened and what was left out.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.read().counters.clone()
    }

    /// Objects that are kept: pods, services, nodes, EndpointSlices, ReplicaSets and Jobs; what has ended included.
    #[must_use]
    pub fn sizes(&self) -> [usize; 5] {
        self.read().sizes()
    }

    /// Whose `ip` was at `at`, by the address alone. In this order: the pod that has it for its own; the service, if exactly one
    /// has it; the node; the service whose EndpointSlice lists it, for addresses outside the cluster. A host-network pod has no
    /// address of its own, so this never names one.
    #[must_use]
    pub fn resolve(&self, ip: IpAddr, at: u64) -> Option<Owner> {
        let (ip, cluster) = (ip.to_canonical(), self.read());
        if let Some(pod) = cluster.claims.pod(ip, at) {
            return Some(Owner::Pod(pod_owner(&cluster, pod), Evidence::Address));
        }
        // On bare metal an external address may be a node's too: then the port decides, and there is none.
        let node = cluster.claims.node(ip, at);
        if node.is_none()
            && let Some(service) = only(cluster.claims.services(ip, at))
        {
            return Some(Owner::Service(service.clone(), None, Evidence::Address));
        }
        node.cloned().map(Owner::Node).or_else(|| endpoint(&cluster, ip, at))
    }

    /// Whose `ip` was at `at`, as the end that was connected to on `port`. As [`Directory::resolve`], and in addition: which of
    /// the services that share an address has the port, and its name; on a node's address the service with this
    /// `nodePort`, else the running pod that declares the port on that node, if no other does.
    ///
    /// Of the end that opened a connection the port is arbitrary: ask [`Directory::resolve`] there.
    #[must_use]
    pub fn resolve_port(&self, ip: IpAddr, port: u16, transport: Transport, at: u64) -> Option<Owner> {
        let (ip, cluster) = (ip.to_canonical(), self.read());
        if let Some(pod) = cluster.claims.pod(ip, at) {
            return Some(Owner::Pod(pod_owner(&cluster, pod), Evidence::Address));
        }
        let declared = |service: &Service| {
            service.ports.iter().find(|p| p.port == port && p.transport == transport).map(|p| p.name.clone())
        };
        let with_port = cluster.claims.services(ip, at).filter_map(|service| Some((service, declared(service)?)));
        if let Some((service, name)) = only(with_port) {
            return Some(Owner::Service(service.clone(), name, Evidence::Address));
        }
        if let Some(node) = cluster.claims.node(ip, at) {
            let there = |kept: &&Kept| kept.from <= at && kept.until == OPEN;
            if let Some(kept) = only(cluster.services_on_node_port((port, transport)).filter(there))
                && let Holder::Service(service) = &kept.holder
            {
                let found = service.ports.iter().find(|p| p.node_port == Some(port) && p.transport == transport);
                let name = found.and_then(|p| p.name.clone());
                return Some(Owner::Service(service.clone(), name, Evidence::DeclaredPort));
            }
            // Pods know the node by its inner addresses; the request may have come to an outer one.
            let mut on_port: Vec<&Kept> = Vec::new();
            for kept in node.addresses.iter().flat_map(|ip| cluster.pods_on_port((*ip, port, transport))) {
                if there(&kept) && !on_port.iter().any(|known| known.holder.uid() == kept.holder.uid()) {
                    on_port.push(kept);
                }
            }
            if let [Kept { holder: Holder::Pod(pod), .. }] = on_port[..] {
                return Some(Owner::Pod(pod_owner(&cluster, pod), Evidence::DeclaredPort));
            }
            return Some(Owner::Node(node.clone()));
        }
        if let Some(service) = only(cluster.claims.services(ip, at)) {
            return Some(Owner::Service(service.clone(), None, Evidence::Address));
        }
        endpoint(&cluster, ip, at)
    }

    /// Since when `ip` has been of `owner`, who has it at `at`. Who has a port there, or is listed, is known only as it is now: then it
    /// is the time at which that one began.
    #[must_use]
    pub fn since(&self, ip: IpAddr, owner: &Owner, at: u64) -> Option<u64> {
        let (ip, cluster) = (ip.to_canonical(), self.read());
        let uid = match owner {
            Owner::Pod(owner, _) => owner.pod.uid,
            Owner::Service(service, ..) => service.uid,
            Owner::Node(node) => node.uid,
        };
        let claim = cluster.claims.at(ip, at).filter(|claim| claim.holder.uid() == uid).map(|claim| claim.from).min();
        claim.or_else(|| cluster.kept(uid).map(|kept| kept.from))
    }

    /// The pod with this uid, also by the one that the kubelet gave a static pod. One that ended within the grace included.
    #[must_use]
    pub fn pod_by_uid(&self, uid: Uid) -> Option<PodOwner> {
        let cluster = self.read();
        pod_kept(&cluster, cluster.pod_of(uid)?)
    }

    /// The pod of a container, and the container's name.
    #[must_use]
    pub fn pod_by_container(&self, id: ContainerId) -> Option<(PodOwner, Arc<str>)> {
        let cluster = self.read();
        let owner = pod_kept(&cluster, cluster.pod_of_container(id)?)?;
        let name = owner.pod.containers.iter().find(|container| container.id == Some(id))?.name.clone();
        Some((owner, name))
    }

    /// The services that `ip` serves now, as EndpointSlices say: a pod's, or an address outside the cluster. By namespace
    /// and name.
    #[must_use]
    pub fn services_of(&self, ip: IpAddr) -> Vec<(Arc<str>, Arc<str>)> {
        let cluster = self.read();
        let slices = cluster.slices_with(ip.to_canonical());
        let mut found: Vec<_> = slices.map(|slice| (slice.namespace.clone(), slice.service.clone())).collect();
        found.sort();
        found.dedup();
        found
    }

    /// The addresses behind a service now, as EndpointSlices say, sorted.
    #[must_use]
    pub fn backends(&self, namespace: &str, service: &str) -> Vec<IpAddr> {
        let cluster = self.read();
        let slices = cluster.slices_of(&namespace.into(), &service.into());
        let mut found: Vec<_> = slices.flat_map(|slice| slice.endpoints.iter().map(|endpoint| endpoint.ip)).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// The only one of them; `None` of none or several.
fn only<T>(mut of: impl Iterator<Item = T>) -> Option<T> {
    let first = of.next()?;
    of.next().is_none().then_some(first)
}

fn endpoint(cluster: &Cluster, ip: IpAddr, at: u64) -> Option<Owner> {
    let outside = |slice: &Slice| slice.endpoints.iter().any(|endpoint| endpoint.ip == ip && !endpoint.pod);
    let slices = cluster.slices_with(ip).filter(|slice| outside(slice));
    let mut services: Vec<_> =
        slices.filter_map(|slice| cluster.service_named(&slice.namespace, &slice.service)).collect();
    services.dedup_by_key(|kept| kept.holder.uid());
    let kept = only(services.into_iter()).filter(|kept| kept.from <= at && kept.until == OPEN)?;
    match &kept.holder {
        Holder::Service(service) => Some(Owner::Service(service.clone(), None, Evidence::Endpoint)),
        Holder::Pod(_) | Holder::Node(_) => None,
    }
}

pub(crate) fn pod_kept(cluster: &Cluster, kept: &Kept) -> Option<PodOwner> {
    match &kept.holder {
        Holder::Pod(pod) => Some(pod_owner(cluster, pod)),
        Holder::Service(_) | Holder::Node(_) => None,
    }
}

fn pod_owner(cluster: &Cluster, pod: &Arc<Pod>) -> PodOwner {
    PodOwner { pod: pod.clone(), workload: workload(cluster, pod) }
}

/// ReplicaSets and Jobs are asked for who controls them; whoever controls a pod otherwise is the workload itself, except for
/// the node that a static pod's mirror belongs to.
fn workload(cluster: &Cluster, pod: &Pod) -> Workload {
    let Some(controller) = pod.controller.as_ref().filter(|owner| *owner.workload.kind != *"Node") else {
        return Workload { kind: "Pod".into(), name: pod.name.clone() };
    };
    if let Some(above) = cluster.owner_of(controller.uid) {
        return above.clone();
    }
    // Only the Deployment controller sets this label, and names the ReplicaSet after it. It names the workload also while the
    // ReplicaSets are not known yet, or may not be listed.
    let set = &controller.workload;
    if *set.kind == *"ReplicaSet"
        && let Some(deployment) = pod.label("pod-template-hash").and_then(|hash| set.name.strip_suffix(hash))
        && let Some(name) = deployment.strip_suffix('-').filter(|name| !name.is_empty())
    {
        return Workload { kind: "Deployment".into(), name: name.into() };
    }
    set.clone()
}
