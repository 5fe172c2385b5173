//! What others know of the processes and addresses that are seen: looked for next to the drain, by threads that may wait as long
//! as they like. What they find becomes records of the stream.

mod cluster;
mod containers;
mod translations;

use crate::configuration::Identity;
use cluster::Cluster;
use containers::Containers;
use std::net::IpAddr;
use std::time::Duration;
use steth_event::{Chunk, Destination, Open, Process, ROLE_CLIENT};
use steth_identity::HostsFile;
use steth_judge::Id;
use steth_kubernetes::Transport;
use steth_verdict::ContainerFacts;
pub(crate) use translations::Translations;

/// So long the start waits for what is known at once, so that the first exchanges have it.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Everybody who may know something.
pub(crate) struct Surroundings {
    hosts: Option<HostsFile>,
    containers: Option<Containers>,
    cluster: Option<Cluster>,
    translations: Option<Translations>,
}

/// What the runtimes of this host know of one container, asked now and waited for.
pub(crate) fn facts_of(settings: &Identity, id: &Id) -> Option<ContainerFacts> {
    settings.containers.then(|| Containers::start(settings).ok()?.wait_for(id)).flatten()
}

impl Surroundings {
    /// Begins to ask. What cannot be asked is said, and gone without. Connection tracking has been begun with: it takes a privilege.
    pub(crate) fn start(settings: &Identity, translations: Option<Translations>) -> Self {
        let file = Some(&settings.hosts_file).filter(|file| !file.as_os_str().is_empty());
        let hosts = file.and_then(|file| match HostsFile::watch(file.clone()) {
            Ok(mut hosts) => {
                hosts.wait_for_first_look(FIRST_LOOK);
                Some(hosts)
            }
            Err(error) => {
                crate::say::say!("{} is not read: {error}", file.display());
                None
            }
        });
        let containers = settings.containers.then(|| Containers::start(settings)).and_then(|started| match started {
            Ok(containers) => Some(containers),
            Err(error) => {
                crate::say::say!("no container runtime is asked: {error}");
                None
            }
        });
        let cluster = Cluster::start(settings).unwrap_or_else(|error| {
            crate::say::say!("no Kubernetes cluster is asked: {error:#}");
            None
        });
        Self { hosts, containers, cluster, translations }
    }

    /// A process is about to be handed on: what its container is, is asked for, if nobody has.
    #[inline]
    pub(crate) fn process(&mut self, process: &Process, each: &mut impl FnMut(&[u8])) {
        if let (Some(id), Some(containers)) = (&process.container, &mut self.containers) {
            containers.ask(id, each);
        }
    }

    /// A container has come. Its first image runs in a moment.
    pub(crate) fn made(&mut self, id: &Id, each: &mut impl FnMut(&[u8])) {
        if let Some(containers) = &mut self.containers {
            containers.ask(&steth_identity::container_text(id), each);
        }
    }

    /// It is gone.
    pub(crate) fn gone(&mut self, id: &Id) {
        let id = steth_identity::container_text(id);
        if let Some(containers) = &mut self.containers {
            containers.forget(&id);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.forget(&id);
        }
    }

    /// Hands on what was found since the last call, and what rules may want to know of containers. Never waits.
    pub(crate) fn turn(&mut self, each: &mut impl FnMut(&[u8]), known: &mut impl FnMut(&Id, Option<&ContainerFacts>)) {
        for peer in self.hosts.iter_mut().flat_map(HostsFile::changes) {
            each(&peer.to_record());
        }
        if let Some(containers) = &mut self.containers {
            let cluster = &mut self.cluster;
            let complete = |container| match cluster {
                Some(cluster) => cluster.complete(container),
                None => container,
            };
            containers.turn(complete, each, known);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.turn(each);
        }
        if let Some(translations) = &mut self.translations {
            translations.turn(Duration::ZERO, &mut self.cluster, each);
        }
    }

    /// The stream ends: waits so long at most for what was asked of its last connections.
    pub(crate) fn finish(&mut self, patience: Duration, each: &mut impl FnMut(&[u8])) {
        if let Some(translations) = &mut self.translations {
            translations.turn(patience, &mut self.cluster, each);
        }
    }

    /// A connection is about to be handed on: who is behind its far end, and where it really leads, is looked up.
    pub(crate) fn connection(&mut self, open: &Open, each: &mut impl FnMut(&[u8])) {
        const TCP: u8 = 6;
        if let Some(translations) = &mut self.translations {
            translations.connection(open, each);
        }
        let Some(cluster) = self.cluster.as_mut().filter(|_| open.family != 1) else { return };
        let Some(address) = crate::pipeline::address(open, &open.remote_address) else { return };
        let transport = if open.transport == TCP { Transport::Tcp } else { Transport::Udp };
        let port = (open.role == ROLE_CLIENT || open.transport != TCP).then_some(open.remote_port);
        cluster.remote(address, port, transport, each);
    }

    /// The same of a datagram from a socket that is not connected.
    #[inline]
    pub(crate) fn datagram(&mut self, chunk: &Chunk, record: &[u8], each: &mut impl FnMut(&[u8])) {
        if self.cluster.is_some()
            && let Some(Destination { family, port, address }) = Destination::of(chunk, record)
        {
            self.destination(family, port, address, each);
        }
    }

    /// Something went to this address from a socket that is not connected.
    pub(crate) fn destination(&mut self, family: u16, port: u16, address: [u8; 16], each: &mut impl FnMut(&[u8])) {
        let Some(cluster) = &mut self.cluster else { return };
        let [a, b, c, d, ..] = address;
        let address = if family == 2 { IpAddr::from([a, b, c, d]) } else { address.into() };
        cluster.remote(address, Some(port), Transport::Udp, each);
    }

    /// Addresses of the hosts file that found no room.
    pub(crate) fn hosts_left_out(&self) -> u64 {
        self.hosts.as_ref().map_or(0, HostsFile::left_out)
    }

    /// What became of following the cluster.
    pub(crate) fn cluster_counters(&self) -> steth_kubernetes::Counters {
        self.cluster.as_ref().map(Cluster::counters).unwrap_or_default()
    }

    /// Containers whose pod the cluster has not confirmed, for want of room here.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.cluster.as_ref().map_or(0, Cluster::unconfirmed)
    }

    /// What was asked of connection tracking, and what came of it; `None` if it is not asked.
    pub(crate) fn translation_counters(&self) -> Option<steth_conntrack::Counters> {
        self.translations.as_ref().map(Translations::counters)
    }

    /// What was asked of container runtimes, and what came of it.
    pub(crate) fn container_counters(&self) -> steth_containers::Counters {
        self.containers.as_ref().map(Containers::counters).unwrap_or_default()
    }
}
