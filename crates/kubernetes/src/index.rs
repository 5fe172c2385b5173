//! By what else than their uid and address pods and services are found.

use crate::claims::Holder;
use crate::id::{ContainerId, Uid};
use crate::owner::Transport;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;

/// Each entry is of an object in the cluster's tables, so their caps and those of an object's parts bound it.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Pods by the id of a container.
    pub(crate) containers: Map<ContainerId, Uid>,
    /// Static pods by the uid that the kubelet gave them.
    pub(crate) static_pods: Map<Uid, Uid>,
    /// Pods by a declared port of a node.
    pub(crate) host_ports: Map<(IpAddr, u16, Transport), Vec<Uid>>,
    /// Services by their port on every node.
    pub(crate) node_ports: Map<(u16, Transport), Vec<Uid>>,
    /// Services by namespace and name.
    pub(crate) services: Map<(Arc<str>, Arc<str>), Uid>,
}

impl Index {
    /// What has ended is still found by its ids and addresses; on a port of a node is only who is there now.
    pub(crate) fn add(&mut self, holder: &Holder, over: bool) {
        let uid = holder.uid();
        match holder {
            Holder::Pod(pod) => {
                for id in pod.containers.iter().filter_map(|container| container.id) {
                    self.containers.insert(id, uid);
                }
                if let Some(id) = pod.static_uid {
                    // A mirror pod that was made anew has the hash of the one before.
                    if !over || !self.static_pods.contains_key(&id) {
                        self.static_pods.insert(id, uid);
                    }
                }
                let ports = if over { &[] } else { &*pod.host_ports };
                for (ip, port) in pod.host_addresses.iter().flat_map(|ip| ports.iter().map(move |port| (*ip, port))) {
                    self.host_ports.entry((ip, port.port, port.transport)).or_default().push(uid);
                }
            }
            Holder::Service(service) => {
                let name = (service.namespace.clone(), service.name.clone());
                if !over || !self.services.contains_key(&name) {
                    self.services.insert(name, uid);
                }
                let ports = if over { &[] } else { &*service.ports };
                for (port, declared) in ports.iter().filter_map(|port| Some((port.node_port?, port))) {
                    self.node_ports.entry((port, declared.transport)).or_default().push(uid);
                }
            }
            Holder::Node(_) => {}
        }
    }

    /// Forgets what [`Index::add`] has entered, either way.
    pub(crate) fn end(&mut self, holder: &Holder) {
        let uid = holder.uid();
        match holder {
            Holder::Pod(pod) => {
                for id in pod.containers.iter().filter_map(|container| container.id) {
                    remove_if(&mut self.containers, &id, uid);
                }
                if let Some(id) = pod.static_uid {
                    remove_if(&mut self.static_pods, &id, uid);
                }
                for ip in &pod.host_addresses {
                    for port in &pod.host_ports {
                        remove_one(&mut self.host_ports, &(*ip, port.port, port.transport), uid);
                    }
                }
            }
            Holder::Service(service) => {
                remove_if(&mut self.services, &(service.namespace.clone(), service.name.clone()), uid);
                for port in &service.ports {
                    if let Some(number) = port.node_port {
                        remove_one(&mut self.node_ports, &(number, port.transport), uid);
                    }
                }
            }
            Holder::Node(_) => {}
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let Self { containers, static_pods, host_ports, node_ports, services } = self;
        containers.len() + static_pods.len() + host_ports.len() + node_ports.len() + services.len()
    }
}

fn remove_if<K: Hash + Eq>(map: &mut Map<K, Uid>, key: &K, uid: Uid) {
    if map.get(key) == Some(&uid) {
        map.remove(key);
    }
}

/// Takes `uid` out of the list under `key`.
pub(crate) fn remove_one<K: Hash + Eq>(map: &mut Map<K, Vec<Uid>>, key: &K, uid: Uid) {
    let Some(all) = map.get_mut(key) else { return };
    if let Some(at) = all.iter().position(|one| *one == uid) {
        all.swap_remove(at);
    }
    if all.is_empty() {
        map.remove(key);
    }
}
