//! What is known of pods, services and nodes, and the answer to whose an address is.

use crate::id::{ContainerId, Uid};
use std::net::IpAddr;
use std::sync::Arc;

/// Transport of a port, as `protocol` of a container's or a service's port names it; TCP where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
}

/// What a pod belongs to, up to what a person has written: `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`,
/// `ReplicationController`, a custom kind, or `Pod` for one that nothing controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Kind, as the API spells it.
    pub kind: Arc<str>,
    /// Name; the namespace is the pod's.
    pub name: Arc<str>,
}

/// The owner of an object whose reference says `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Identity, by which a ReplicaSet or Job is found.
    pub uid: Uid,
    /// Kind and name.
    pub workload: Workload,
}

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Name in the pod's specification.
    pub name: Arc<str>,
    /// What its runtime calls it; `None` before it was started. One that was restarted stands here twice, the
    /// previous one last.
    pub id: Option<ContainerId>,
}

/// A port of the node that a pod's specification declares to be the pod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The node's port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
}

/// A pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Identity in the API.
    pub uid: Uid,
    /// Of a static pod, the uid by which the kubelet, and so its cgroup, knows it (`kubernetes.io/config.hash`).
    pub static_uid: Option<Uid>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Name of the node that it was assigned to.
    pub node: Option<Arc<str>>,
    /// What controls it directly; [`PodOwner::workload`] goes on from there.
    pub controller: Option<Controller>,
    /// Containers: those of the specification, then earlier instances of them, then init and ephemeral ones that have an id.
    pub containers: Box<[Container]>,
    /// Its own addresses; none for a pod in its node's network (`hostNetwork`).
    pub addresses: Box<[IpAddr]>,
    /// True in its node's network.
    pub host_network: bool,
    /// Addresses of the node, as the pod's status tells them; only where there are `host_ports`.
    pub host_addresses: Box<[IpAddr]>,
    /// Declared ports on the node: container ports of a pod in the node's network, `hostPort`s of others.
    pub host_ports: Box<[HostPort]>,
    /// Labels, by key; 64 at most.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// Annotation `resource.opentelemetry.io/service.name`.
    pub service_name: Option<Arc<str>>,
}

impl Pod {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let at = self.labels.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        Some(&self.labels[at].1)
    }
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; `None` where a single port has none.
    pub name: Option<Arc<str>>,
    /// Port on the service's addresses.
    pub port: u16,
    /// Port on each node's addresses.
    pub node_port: Option<u16>,
    /// Transport.
    pub transport: Transport,
}

/// A service.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Identity in the API.
    pub uid: Uid,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Cluster, external and load balancer addresses; none for a headless service.
    pub addresses: Box<[IpAddr]>,
    /// Ports.
    pub ports: Box<[ServicePort]>,
}

/// A node.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Identity in the API.
    pub uid: Uid,
    /// Name.
    pub name: Arc<str>,
    /// InternalIP and ExternalIP.
    pub addresses: Box<[IpAddr]>,
}

/// What says that an answer is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The address is its own.
    Address,
    /// The address is a node's; the port is declared as this pod's and no other's (a host-network pod or a `hostPort`), or is
    /// the service's `nodePort`.
    DeclaredPort,
    /// The address is outside the cluster, and an EndpointSlice of this service alone lists it.
    Endpoint,
}

/// A pod and its workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOwner {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it belongs to.
    pub workload: Workload,
}

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A pod's.
    Pod(PodOwner, Evidence),
    /// A service's; the port's name where a port was asked for, is the service's and has one.
    Service(Arc<Service>, Option<Arc<str>>, Evidence),
    /// A node's: whoever runs there in the node's network.
    Node(Arc<Node>),
}
