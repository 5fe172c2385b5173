//! What is known of containers and of remote addresses: records that user space adds, so that a replay knows the same.

use crate::{LookUp, RecordError, kind};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A container, as its runtime and its cluster describe it. Labels and environment stay outside: they may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// 64 hexadecimal digits, as in the cgroup's name.
    pub id: String,
    /// Name of the container, in its pod if it has one; empty if nobody knows it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Image, as it was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// What runs it: `containerd`, `docker`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// It only holds a pod's namespaces (a pause container), and is no workload.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sandbox: bool,
    /// What it is a part of. Of a pod, the object that its template belongs to; else the Compose or Swarm service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// Its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// What its pod says that the service is called (annotation `resource.opentelemetry.io/service.name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// Whether more is to come.
    #[serde(skip_serializing_if = "LookUp::is_done")]
    pub look_up: LookUp,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// `k8s.pod.name`.
    pub name: String,
    /// `k8s.namespace.name`.
    pub namespace: String,
    /// `k8s.pod.uid`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// `k8s.node.name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
}

/// What a container or pod is one of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, …; `Service` of Compose and Swarm; `Pod` if it is one of nothing.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Who has an address, from the time of this record on at the latest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The address. IPv4 mapped into IPv6 is IPv4.
    pub address: IpAddr,
    /// Only whoever connects to this port there; 0: anybody who talks with the address.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub port: u16,
    /// Only in this network namespace (`ns.inum`), as an address of loopback is; 0: in any.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub netns: u32,
    /// Who has it; `None`: nobody any more.
    pub who: Option<Remote>,
    /// Since when it has been so, nanoseconds since 1970, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<u64>,
}

/// Who is behind a remote address, as a cluster or a file says, or whoever is there himself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Remote {
    /// A pod.
    Pod {
        /// `k8s.pod.name` and so on.
        pod: Pod,
        /// What it is one of.
        workload: Workload,
        /// What it says that the service is called.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        declared: Option<String>,
    },
    /// A Kubernetes service.
    Service {
        /// `k8s.namespace.name`.
        namespace: String,
        /// Its name.
        name: String,
        /// What answers there, if all that may is of one workload.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        workload: Option<Workload>,
        /// What the pods of that workload say that the service is called, if all say the same.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        declared: Option<String>,
        /// The port at which they wait for what is sent to this one, if it is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        port: Option<u16>,
    },
    /// A node of the cluster.
    Node {
        /// `k8s.node.name`.
        name: String,
    },
    /// An entry of `/etc/hosts`.
    Host {
        /// The first name of its line.
        name: String,
    },
    /// A process of this host that nobody watches: the agent, which serves its own page.
    Process {
        /// What the service is called.
        name: String,
    },
}

impl Container {
    /// The record that a recording keeps: eight bytes (the kind, then zeros), then JSON.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        json_record(kind::CONTAINER, self)
    }
}

impl Peer {
    /// The record that a recording keeps: eight bytes (the kind, then zeros), then JSON.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        json_record(kind::PEER, self)
    }
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

pub(crate) fn json_record(kind: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    // Writing a struct of numbers and strings into memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, value);
    bytes
}

pub(crate) fn from_json_record<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    let kind = bytes.first().copied().unwrap_or(0);
    let json = bytes.get(8..).ok_or(RecordError::Short { kind, length: bytes.len() })?;
    // A recording pads frames with zeros.
    let end = json.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    serde_json::from_slice(&json[..end]).map_err(|e| RecordError::Json { kind, error: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn what_is_written_is_read() {
        let container = Container {
            id: "a".repeat(64),
            name: "web".into(),
            pod: Some(Pod { name: "web-1".into(), namespace: "shop".into(), ..Pod::default() }),
            workload: Some(Workload { kind: "Deployment".into(), name: "web".into() }),
            look_up: LookUp::UnderWay,
            ..Container::default()
        };
        let padded = [container.to_record(), vec![0; 7]].concat();
        assert!(matches!(Event::parse(&padded), Ok(Event::Container(read)) if *read == container));
        let workload = Workload { kind: "StatefulSet".into(), name: "db".into() };
        let service = |workload, declared| Remote::Service {
            namespace: "shop".into(),
            name: "cart".into(),
            workload,
            declared,
            port: None,
        };
        let all = [
            Some(Remote::Pod { pod: Pod::default(), workload: workload.clone(), declared: None }),
            Some(service(None, None)),
            Some(service(Some(workload), Some("basket".into()))),
            Some(Remote::Node { name: "n1".into() }),
            Some(Remote::Host { name: "printer".into() }),
            Some(Remote::Process { name: "steth".into() }),
            None,
        ];
        for (n, who) in all.into_iter().enumerate() {
            let since = (n % 2 == 0).then_some(7);
            let peer = Peer { address: [192, 0, 2, 1].into(), port: 80, netns: 7, who, since };
            assert!(matches!(Event::parse(&peer.to_record()), Ok(Event::Peer(read)) if *read == peer));
        }
        let older = br#"{"address":"192.0.2.1","who":{"kind":"service","namespace":"shop","name":"cart"}}"#;
        let older = [&[kind::PEER, 0, 0, 0, 0, 0, 0, 0][..], older].concat();
        let is_it = |read: &Peer| read.since.is_none() && read.who == Some(service(None, None));
        assert!(matches!(Event::parse(&older), Ok(Event::Peer(read)) if is_it(&read)), "of an earlier recording");
        for kind in [kind::CONTAINER, kind::PEER] {
            let broken = [&[kind, 0, 0, 0, 0, 0, 0, 0][..], b"{\"id\":7}"].concat();
            assert!(matches!(Event::parse(&broken), Err(RecordError::Json { kind: k, .. }) if k == kind));
            assert!(matches!(Event::parse(&[kind]), Err(RecordError::Short { .. })));
        }
    }
}
