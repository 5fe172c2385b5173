//! What the Kubernetes API says of addresses and pods, as records.

use crate::configuration::Identity;
use anyhow::Context as _;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use steth_event::{Container, Peer, Pod, Remote, Workload};
use steth_kubernetes::{Access, Counters, Directory, Limits, Owner, PodOwner, Scope, State, Transport, Uid, Watcher};

/// Ends that are remembered, so that each is told once. Beyond it, all are told again.
const TOLD: usize = 16_384;
/// Containers whose pod the cluster has not confirmed. Those beyond keep the workload that their labels tell.
const UNSURE: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);
/// So long after the API server has fallen silent its addresses may be others' by now.
const GRACE: Duration = Duration::from_secs(120);

/// The cluster, and what was told of it.
pub(super) struct Cluster {
    /// Follows the cluster for as long as it lives.
    _watcher: Watcher,
    directory: Directory,
    told: HashMap<(IpAddr, u16), Told, FixedState>,
    unsure: HashMap<String, Container, FixedState>,
    /// Containers for which there was no room among those.
    unconfirmed: u64,
    looked: Instant,
    generation: u64,
    trusted: Instant,
    said: bool,
}

struct Told {
    transport: Transport,
    generation: u64,
    who: Option<Remote>,
}

impl Cluster {
    /// Begins to follow the cluster; `None` if there is to be none.
    pub(super) fn start(settings: &Identity) -> anyhow::Result<Option<Self>> {
        let access = match &*settings.kubernetes {
            "off" => return Ok(None),
            "auto" => Access::Discover,
            url if url.starts_with("http://") || url.starts_with("https://") => Access::Url(url.to_owned()),
            path => Access::Kubeconfig(PathBuf::from(path)),
        };
        let scope = if settings.node.is_empty() { Scope::Cluster } else { Scope::Node(settings.node.clone()) };
        let limits = Limits { pods: settings.pods, ..Limits::default() };
        let watcher = Watcher::start(access, scope, limits).context("cannot start the thread that follows it")?;
        let directory = watcher.directory();
        let hasher = || FixedState::with_seed(0x6b75);
        let now = Instant::now();
        Ok(Some(Self {
            _watcher: watcher,
            directory,
            told: HashMap::with_hasher(hasher()),
            unsure: HashMap::with_hasher(hasher()),
            unconfirmed: 0,
            looked: now,
            generation: 0,
            trusted: now,
            said: false,
        }))
    }

    /// Somebody talks with this end; with `port`, it is the end that was connected to.
    #[inline]
    pub(super) fn remote(
        &mut self,
        address: IpAddr,
        port: Option<u16>,
        transport: Transport,
        each: &mut impl FnMut(&[u8]),
    ) {
        let address = address.to_canonical();
        if self.directory.generation() == 0 || address.is_loopback() || address.is_unspecified() {
            return;
        }
        self.look_up(address, port.unwrap_or(0), transport, each);
    }

    fn look_up(&mut self, address: IpAddr, port: u16, transport: Transport, each: &mut impl FnMut(&[u8])) {
        let generation = self.directory.generation();
        if self.told.get(&(address, port)).is_some_and(|told| told.generation == generation) {
            return;
        }
        let who = self.who(address, port, transport);
        if self.told.len() >= TOLD && !self.told.contains_key(&(address, port)) {
            self.told.clear();
        }
        let before = self.told.insert((address, port), Told { transport, generation, who: who.clone() });
        if before.and_then(|told| told.who) != who {
            each(&Peer { address, port, who }.to_record());
        }
    }

    fn who(&self, address: IpAddr, port: u16, transport: Transport) -> Option<Remote> {
        if self.trusted.elapsed() > GRACE {
            return None;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
        let owner = match port {
            0 => self.directory.resolve(address, now),
            port => self.directory.resolve_port(address, port, transport, now),
        };
        owner.map(|owner| match owner {
            Owner::Pod(owner, _) => Remote::Pod {
                pod: pod(&owner),
                workload: workload(&owner),
                declared: owner.pod.service_name.as_deref().map(str::to_owned),
            },
            Owner::Service(service, ..) => {
                Remote::Service { namespace: service.namespace.to_string(), name: service.name.to_string() }
            }
            Owner::Node(node) => Remote::Node { name: node.name.to_string() },
        })
    }

    /// What the cluster knows better of a container's pod than its labels tell.
    pub(super) fn complete(&mut self, mut container: Container) -> Container {
        if self.confirm(&mut container) || container.pod.is_none() {
            self.unsure.remove(&container.id);
        } else if self.unsure.len() < UNSURE || self.unsure.contains_key(&container.id) {
            self.unsure.insert(container.id.clone(), container.clone());
        } else {
            self.unconfirmed += 1;
        }
        container
    }

    /// A container is gone: nobody need confirm it any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.unsure.remove(id);
    }

    fn confirm(&self, container: &mut Container) -> bool {
        let uid = container.pod.as_ref().and_then(|pod| Uid::parse(&pod.uid));
        let Some(owner) = uid.and_then(|uid| self.directory.pod_by_uid(uid)) else { return false };
        container.workload = (!container.sandbox).then(|| workload(&owner));
        container.pod = Some(Pod { uid: container.pod.take().unwrap_or_default().uid, ..pod(&owner) });
        container.declared = owner.pod.service_name.as_deref().map(str::to_owned).or_else(|| container.declared.take());
        true
    }

    /// Hands on what has changed. Once a second is enough: whoever talks anew is looked up at once.
    pub(super) fn turn(&mut self, each: &mut impl FnMut(&[u8])) {
        if self.looked.elapsed() < SECOND {
            return;
        }
        self.looked = Instant::now();
        match self.directory.state() {
            State::Following | State::Starting => self.trusted = self.looked,
            State::Unusable(why) if !std::mem::replace(&mut self.said, true) => {
                crate::say::say!("no Kubernetes cluster is asked: {why}");
            }
            State::Unusable(_) | State::Absent | State::Stale | State::Stopped => {}
        }
        let generation = self.directory.generation();
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        let unsure: Vec<_> = self.unsure.drain().map(|(_, container)| container).collect();
        for mut container in unsure {
            if self.confirm(&mut container) {
                each(&container.to_record());
            } else {
                self.unsure.insert(container.id.clone(), container);
            }
        }
        // Ends that were not known when they were seen first. Those that were keep their names until they are seen anew.
        let nobody = self.told.iter().filter(|(_, told)| told.who.is_none());
        let nobody: Vec<_> = nobody.map(|((address, port), told)| (*address, *port, told.transport)).collect();
        for (address, port, transport) in nobody {
            self.look_up(address, port, transport, each);
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.directory.counters()
    }

    /// Containers whose pod was not asked for again, for want of room.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }
}

fn pod(owner: &PodOwner) -> Pod {
    Pod {
        name: owner.pod.name.to_string(),
        namespace: owner.pod.namespace.to_string(),
        uid: String::new(),
        node: owner.pod.node.as_deref().unwrap_or_default().to_owned(),
    }
}

fn workload(owner: &PodOwner) -> Workload {
    Workload { kind: owner.workload.kind.to_string(), name: owner.workload.name.to_string() }
}
