//! Objects of the API as they are read: only the fields that are used. Everything may be missing or `null`, as in bookmarks.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    pub(crate) metadata: PageMetadata,
    #[serde(borrow)]
    pub(crate) items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMetadata {
    pub(crate) resource_version: Option<String>,
    pub(crate) r#continue: Option<String>,
}

/// A line of a watch.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    pub(crate) r#type: EventType,
    #[serde(borrow)]
    pub(crate) object: &'a RawValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
    #[serde(other)]
    Unknown,
}

/// The `Status` in an ERROR event.
#[derive(Deserialize)]
pub(crate) struct Status {
    pub(crate) code: Option<u16>,
    pub(crate) message: Option<String>,
}

/// What every object has: enough of one to resume a watch behind it.
#[derive(Deserialize)]
pub(crate) struct Bare {
    pub(crate) metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub(crate) resource_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: String,
    pub(crate) resource_version: Option<String>,
    pub(crate) creation_timestamp: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<Annotations>,
    pub(crate) owner_references: Option<Vec<OwnerReference>>,
}

#[derive(Deserialize)]
pub(crate) struct Annotations {
    #[serde(rename = "resource.opentelemetry.io/service.name")]
    pub(crate) service_name: Option<String>,
    #[serde(rename = "kubernetes.io/config.hash")]
    pub(crate) config_hash: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct OwnerReference {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) controller: Option<bool>,
}

/// A ReplicaSet or Job, of which only the metadata is asked for.
#[derive(Deserialize)]
pub(crate) struct MetadataOnly {
    pub(crate) metadata: Metadata,
}

#[derive(Deserialize)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Option<PodSpec>,
    pub(crate) status: Option<PodStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: Option<String>,
    pub(crate) host_network: Option<bool>,
    pub(crate) containers: Option<Vec<PodContainer>>,
}

#[derive(Deserialize)]
pub(crate) struct PodContainer {
    pub(crate) name: String,
    pub(crate) ports: Option<Vec<ContainerPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerPort {
    pub(crate) container_port: Option<i32>,
    pub(crate) host_port: Option<i32>,
    pub(crate) protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodStatus {
    pub(crate) phase: Option<String>,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: Option<String>,
    #[serde(rename = "hostIPs")]
    pub(crate) host_ips: Option<Vec<Ip>>,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Option<Vec<Ip>>,
    pub(crate) start_time: Option<String>,
    pub(crate) container_statuses: Option<Vec<ContainerStatus>>,
    pub(crate) init_container_statuses: Option<Vec<ContainerStatus>>,
    pub(crate) ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
pub(crate) struct Ip {
    pub(crate) ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    pub(crate) name: String,
    #[serde(rename = "containerID")]
    pub(crate) container_id: Option<String>,
    pub(crate) state: Option<ContainerState>,
    pub(crate) last_state: Option<ContainerState>,
}

#[derive(Deserialize)]
pub(crate) struct ContainerState {
    pub(crate) terminated: Option<Terminated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terminated {
    pub(crate) finished_at: Option<String>,
    #[serde(rename = "containerID")]
    pub(crate) container_id: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Option<ServiceSpec>,
    pub(crate) status: Option<ServiceStatus>,
}

#[derive(Default, Deserialize)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    pub(crate) external_ips: Option<Vec<String>>,
    pub(crate) ports: Option<Vec<ServicePort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServicePort {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) node_port: Option<i32>,
    pub(crate) protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    pub(crate) load_balancer: Option<LoadBalancer>,
}

#[derive(Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) ingress: Option<Vec<Ip>>,
}

#[derive(Deserialize)]
pub(crate) struct Node {
    pub(crate) metadata: Metadata,
    pub(crate) status: Option<NodeStatus>,
}

#[derive(Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) addresses: Option<Vec<NodeAddress>>,
}

#[derive(Deserialize)]
pub(crate) struct NodeAddress {
    pub(crate) r#type: String,
    pub(crate) address: String,
}

/// The same in discovery.k8s.io/v1 and v1beta1, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    pub(crate) endpoints: Option<Vec<Endpoint>>,
    pub(crate) ports: Option<Vec<EndpointPort>>,
}

#[derive(Deserialize)]
pub(crate) struct EndpointPort {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    pub(crate) addresses: Option<Vec<String>>,
    pub(crate) target_ref: Option<Target>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Option<String>,
    pub(crate) uid: Option<String>,
}
