//! From an object of the API to what is kept of it: bounded, interned, and never more than the object says.

use crate::id::{ContainerId, Uid};
use crate::intern::{Interner, Labels};
use crate::object;
use crate::owner::{Container, Controller, HostPort, Node, Pod, Service, ServicePort, Transport, Workload};
use std::net::IpAddr;
use std::sync::Arc;

/// Longest name of an object that the API allows; an object with a longer one is refused.
const NAME: usize = 253;
/// Longest label key and value that are kept: the API's own limits (253 + `/` + 63, and 63).
const LABEL: usize = 317;
const LABELS: usize = 64;
const CONTAINERS: usize = 128;
const ADDRESSES: usize = 64;
const PORTS: usize = 256;
/// Addresses of an EndpointSlice; the API allows 1000 endpoints.
const ENDPOINTS: usize = 1000;

const SECOND: u64 = 1_000_000_000;

/// An object that cannot be kept: its uid is no UUID, or a name is empty or too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable;

/// A pod, and when it began and ended by its own status; nanoseconds since 1970.
pub(crate) struct ReadPod {
    pub(crate) pod: Pod,
    pub(crate) started: Option<u64>,
    /// Phase Succeeded or Failed.
    pub(crate) terminal: bool,
    /// When the last of its containers finished, if it says so.
    pub(crate) finished: Option<u64>,
}

/// What is kept of an EndpointSlice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) namespace: Arc<str>,
    pub(crate) service: Arc<str>,
    /// By address.
    pub(crate) endpoints: Box<[Endpoint]>,
    /// Where they all wait for connections, by the names of the service's ports.
    pub(crate) ports: Box<[EndpointPort]>,
}

/// Where the endpoints of a slice wait for connections.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndpointPort {
    /// What the service calls that port.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) number: u16,
    pub(crate) transport: Transport,
}

/// One address of an EndpointSlice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) ip: IpAddr,
    /// It is a pod's.
    pub(crate) pod: bool,
    /// Which pod's, if it says so.
    pub(crate) uid: Option<Uid>,
}

/// An RFC 3339 time in nanoseconds since 1970.
pub(crate) fn time(text: Option<&str>) -> Option<u64> {
    let time: jiff::Timestamp = text?.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

fn name(text: &str) -> Result<&str, Unusable> {
    if text.is_empty() || text.len() > NAME { Err(Unusable) } else { Ok(text) }
}

fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    // What everybody has, or nobody, names no one.
    (!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()).then_some(ip)
}

fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> Box<[IpAddr]> {
    let mut found = Vec::new();
    for ip in texts.filter_map(address) {
        if !found.contains(&ip) && found.len() < ADDRESSES {
            found.push(ip);
        }
    }
    found.into()
}

fn port(number: Option<i32>) -> Option<u16> {
    u16::try_from(number?).ok().filter(|port| *port > 0)
}

fn transport(protocol: Option<&str>) -> Option<Transport> {
    match protocol {
        None | Some("TCP") => Some(Transport::Tcp),
        Some("UDP") => Some(Transport::Udp),
        Some("SCTP") => Some(Transport::Sctp),
        Some(_) => None,
    }
}

fn labels(of: &object::Metadata, interner: &mut Interner) -> Labels {
    let kept = of.labels.iter().flatten().filter(|(key, value)| key.len() <= LABEL && value.len() <= LABEL);
    // A BTreeMap: sorted already.
    let kept: Vec<_> = kept.take(LABELS).map(|(key, value)| (interner.string(key), interner.string(value))).collect();
    interner.labels(&kept)
}

/// The reference that says `controller: true`.
pub(crate) fn controller(of: &object::Metadata, interner: &mut Interner) -> Option<Controller> {
    let owner = of.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let uid = Uid::parse(&owner.uid)?;
    let workload =
        Workload { kind: interner.string(name(&owner.kind).ok()?), name: interner.string(name(&owner.name).ok()?) };
    Some(Controller { uid, workload })
}

pub(crate) fn uid(of: &object::Metadata) -> Result<Uid, Unusable> {
    Uid::parse(&of.uid).ok_or(Unusable)
}

pub(crate) fn pod(object: &object::Pod, interner: &mut Interner) -> Result<ReadPod, Unusable> {
    let (metadata, nothing) = (&object.metadata, object::PodStatus::default());
    let (spec, status) = (object.spec.as_ref(), object.status.as_ref().unwrap_or(&nothing));
    let host_ips = ips(status.host_ips.as_deref(), status.host_ip.as_deref());
    let own = ips(status.pod_ips.as_deref(), status.pod_ip.as_deref());
    // The specification says so; so does an address that is the node's.
    let host_network =
        spec.is_some_and(|spec| spec.host_network == Some(true)) || own.iter().any(|ip| host_ips.contains(ip));
    // A pod that does not run may declare what another program has.
    let running = status.phase.as_deref() == Some("Running");
    let host_ports = if running { host_ports(spec, host_network) } else { Box::default() };
    let host_addresses = match (host_ports.is_empty(), host_network) {
        (true, _) => Box::default(),
        (false, true) => addresses_union(&host_ips, &own),
        (false, false) => host_ips,
    };
    let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| name(node).is_ok());
    let annotations = metadata.annotations.as_ref();
    let service_name = annotations.and_then(|all| all.service_name.as_deref()).filter(|text| name(text).is_ok());
    let pod = Pod {
        uid: uid(metadata)?,
        static_uid: annotations.and_then(|all| Uid::parse(all.config_hash.as_deref()?)),
        namespace: interner.string(name(metadata.namespace.as_deref().unwrap_or_default())?),
        name: name(&metadata.name)?.into(),
        node: node.map(|node| interner.string(node)),
        controller: controller(metadata, interner),
        containers: containers(spec, status, interner),
        addresses: if host_network { Box::default() } else { own },
        host_network,
        host_addresses,
        host_ports,
        labels: labels(metadata, interner),
        service_name: service_name.map(|text| interner.string(text)),
    };
    let states = status.container_statuses.iter().flatten().filter_map(|container| container.state.as_ref());
    let finished = states.filter_map(|state| time(state.terminated.as_ref()?.finished_at.as_deref())).max();
    Ok(ReadPod {
        pod,
        started: time(status.start_time.as_deref()),
        terminal: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        // Whole seconds, rounded down.
        finished: finished.map(|time| time.saturating_add(SECOND)),
    })
}

fn ips(many: Option<&[object::Ip]>, one: Option<&str>) -> Box<[IpAddr]> {
    let many = many.into_iter().flatten().filter_map(|ip| ip.ip.as_deref());
    addresses(many.chain(one))
}

fn addresses_union(one: &[IpAddr], other: &[IpAddr]) -> Box<[IpAddr]> {
    let more = other.iter().filter(|ip| !one.contains(ip));
    one.iter().chain(more).copied().collect()
}

fn host_ports(spec: Option<&object::PodSpec>, host_network: bool) -> Box<[HostPort]> {
    let containers = spec.and_then(|spec| spec.containers.as_deref()).unwrap_or_default();
    let mut found = Vec::new();
    for declared in containers.iter().flat_map(|container| container.ports.iter().flatten()) {
        let number = port(declared.host_port).or(if host_network { port(declared.container_port) } else { None });
        let (Some(port), Some(transport)) = (number, transport(declared.protocol.as_deref())) else { continue };
        let host_port = HostPort { port, transport };
        if !found.contains(&host_port) && found.len() < PORTS {
            found.push(host_port);
        }
    }
    found.into()
}

fn containers(spec: Option<&object::PodSpec>, status: &object::PodStatus, interner: &mut Interner) -> Box<[Container]> {
    let mut found: Vec<Container> = Vec::new();
    let mut keep = |name: &str, id: Option<ContainerId>| {
        if found.len() < CONTAINERS && name.len() <= NAME {
            found.push(Container { name: interner.string(name), id });
        }
    };
    let statuses = || status.container_statuses.iter().flatten();
    let id = |status: &object::ContainerStatus| ContainerId::parse(status.container_id.as_deref()?);
    for container in spec.and_then(|spec| spec.containers.as_deref()).unwrap_or_default() {
        keep(&container.name, statuses().find(|status| status.name == container.name).and_then(id));
    }
    let further = || status.init_container_statuses.iter().chain(&status.ephemeral_container_statuses).flatten();
    for status in statuses().chain(further()) {
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        if let Some(id) = last.and_then(|last| ContainerId::parse(last.container_id.as_deref()?)) {
            keep(&status.name, Some(id));
        }
    }
    for status in further() {
        if let Some(id) = id(status) {
            keep(&status.name, Some(id));
        }
    }
    found.into()
}

/// Of a service's only port the name may be left out, or be empty.
fn port_name(text: Option<&str>, interner: &mut Interner) -> Option<Arc<str>> {
    text.filter(|text| name(text).is_ok()).map(|text| interner.string(text))
}

pub(crate) fn service(object: &object::Service, interner: &mut Interner) -> Result<Service, Unusable> {
    let (metadata, nothing) = (&object.metadata, object::ServiceSpec::default());
    let spec = object.spec.as_ref().unwrap_or(&nothing);
    let texts = |texts: &'_ Option<Vec<String>>| texts.clone().unwrap_or_default();
    let balancer = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let (cluster, external) = (texts(&spec.cluster_ips), texts(&spec.external_ips));
    let own = cluster.iter().chain(&spec.cluster_ip).chain(&external).map(String::as_str);
    let mut ports = Vec::new();
    for declared in spec.ports.iter().flatten().take(PORTS) {
        let (Some(number), Some(transport)) = (port(declared.port), transport(declared.protocol.as_deref())) else {
            continue;
        };
        let name = port_name(declared.name.as_deref(), interner);
        ports.push(ServicePort { name, port: number, node_port: port(declared.node_port), transport });
    }
    Ok(Service {
        uid: uid(metadata)?,
        namespace: interner.string(name(metadata.namespace.as_deref().unwrap_or_default())?),
        name: interner.string(name(&metadata.name)?),
        addresses: addresses(own.chain(ingress.iter().filter_map(|ip| ip.ip.as_deref()))),
        ports: ports.into(),
    })
}

pub(crate) fn node(object: &object::Node, interner: &mut Interner) -> Result<Node, Unusable> {
    let all = object.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let own = all.iter().filter(|address| matches!(&*address.r#type, "InternalIP" | "ExternalIP"));
    Ok(Node {
        uid: uid(&object.metadata)?,
        name: interner.string(name(&object.metadata.name)?),
        addresses: addresses(own.map(|address| &*address.address)),
    })
}

/// `Ok(None)` for a slice that names no service.
pub(crate) fn slice(object: &object::EndpointSlice, interner: &mut Interner) -> Result<Option<Slice>, Unusable> {
    let metadata = &object.metadata;
    let label = metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/service-name"));
    let Some(service) = label.filter(|text| name(text).is_ok()) else { return Ok(None) };
    let mut kept = Vec::new();
    for endpoint in object.endpoints.iter().flatten() {
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        let (pod, uid) = (target.is_some(), target.and_then(|target| Uid::parse(target.uid.as_deref()?)));
        // One endpoint has several addresses only by old clients' mistake: they are its all the same.
        let found = endpoint.addresses.iter().flatten().filter_map(|text| address(text));
        kept.extend(found.map(|ip| Endpoint { ip, pod, uid }));
        kept.truncate(ENDPOINTS);
    }
    kept.sort_unstable();
    kept.dedup_by_key(|endpoint| endpoint.ip);
    let mut ports = Vec::new();
    for declared in object.ports.iter().flatten().take(PORTS) {
        let (Some(number), Some(transport)) = (port(declared.port), transport(declared.protocol.as_deref())) else {
            continue;
        };
        ports.push(EndpointPort { name: port_name(declared.name.as_deref(), interner), number, transport });
    }
    Ok(Some(Slice {
        namespace: interner.string(name(metadata.namespace.as_deref().unwrap_or_default())?),
        service: interner.string(service),
        endpoints: kept.into(),
        ports: ports.into(),
    }))
}
