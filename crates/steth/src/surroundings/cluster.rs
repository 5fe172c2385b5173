//! What the Kubernetes API says of addresses and pods, as records.

use crate::configuration::Identity;
use anyhow::Context as _;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use steth_event::{Container, Peer, Pod, Remote, Workload};
use steth_identity::Remotes;
use steth_kubernetes::{
    Access, Counters, Directory, Following, Limits, Owner, PodOwner, ResourceState, Scope, State, Transport, Uid,
    Watcher,
};

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
    /// There is none.
    absent: bool,
    /// Everything has been listed, or has had its time: who is behind a service is known, if it ever will be.
    listed: bool,
    started: Instant,
}

struct Told {
    transport: Transport,
    generation: u64,
    who: Option<Remote>,
}

/// So long it may take until it is said that the API does not answer.
const COMPLAINTS: Duration = Duration::from_secs(5);
/// So long services wait for what tells who is behind them.
const LISTS: Duration = Duration::from_secs(8);
/// From here on the kernel gives ports to clients, unless it was told otherwise.
const FIRST_OF_CLIENTS: u16 = 32_768;

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
            absent: false,
            listed: false,
            started: now,
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
        // Whoever talks before the cluster is known is looked up when it is.
        if self.absent || !Remotes::may_know(address) {
            return;
        }
        // Datagrams do not say who asks. What waits for requests there is found by its address alone, too.
        let port = port.filter(|port| transport != Transport::Udp || *port < FIRST_OF_CLIENTS);
        self.look_up(address.to_canonical(), port.unwrap_or(0), transport, each);
    }

    fn look_up(&mut self, address: IpAddr, port: u16, transport: Transport, each: &mut impl FnMut(&[u8])) {
        let generation = self.directory.generation();
        if self.told.get(&(address, port)).is_some_and(|told| told.generation == generation) {
            return;
        }
        let (who, since) = self.who(address, port, transport).unzip();
        if self.told.len() >= TOLD && !self.told.contains_key(&(address, port)) {
            self.told.clear();
        }
        let before = self.told.insert((address, port), Told { transport, generation, who: who.clone() });
        if before.and_then(|told| told.who) != who {
            each(&Peer { address, port, netns: 0, who, since: since.flatten() }.to_record());
        }
    }

    /// Who has the address, and since when.
    fn who(&self, address: IpAddr, port: u16, transport: Transport) -> Option<(Remote, Option<u64>)> {
        if self.trusted.elapsed() > GRACE {
            return None;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
        let owner = match port {
            0 => self.directory.resolve(address, now),
            port => self.directory.resolve_port(address, port, transport, now),
        }?;
        let since = self.directory.since(address, &owner, now);
        let who = match owner {
            Owner::Pod(owner, _) => Remote::Pod {
                pod: pod(&owner),
                workload: workload(&owner.workload),
                declared: owner.pod.service_name.as_deref().map(str::to_owned),
            },
            // A connection keeps the name that it has first: it is not to be that of a service whose endpoints are not known yet, or of
            // a node whose ports are not.
            Owner::Service(..) if !self.listed => return None,
            Owner::Node(_) if !self.listed && port != 0 => return None,
            Owner::Service(service, name, _) => {
                let behind = self.directory.behind(&service, (port != 0).then_some((name.as_deref(), transport)));
                Remote::Service {
                    namespace: service.namespace.to_string(),
                    name: service.name.to_string(),
                    workload: behind.as_ref().map(|behind| workload(&behind.workload)),
                    declared: behind.as_ref().and_then(|behind| behind.service_name.as_deref().map(str::to_owned)),
                    port: behind.and_then(|behind| behind.port),
                }
            }
            Owner::Node(node) => Remote::Node { name: node.name.to_string() },
        };
        Some((who, since))
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
        container.workload = (!container.sandbox).then(|| workload(&owner.workload));
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
        let state = self.directory.state();
        self.complain(&state);
        self.absent = matches!(state, State::Absent | State::Unusable(_) | State::Stopped);
        let listed = state != State::Starting || self.started.elapsed() > LISTS;
        match state {
            State::Following | State::Starting => self.trusted = self.looked,
            State::Unusable(why) if !std::mem::replace(&mut self.said, true) => {
                crate::say::say!("no Kubernetes cluster is asked: {why}");
            }
            State::Unusable(_) | State::Absent | State::Stale | State::Stopped => {}
        }
        let all_at_once = listed && !std::mem::replace(&mut self.listed, listed);
        let generation = self.directory.generation();
        if generation == self.generation && !all_at_once {
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
            if all_at_once {
                self.told.remove(&(address, port));
            }
            self.look_up(address, port, transport, each);
        }
    }

    /// Says once why nothing, or not all, is known of the cluster.
    fn complain(&mut self, state: &State) {
        if self.said || self.started.elapsed() < COMPLAINTS {
            return;
        }
        let failing = |resource: &ResourceState| resource.following != Following::Current;
        let resources = self.directory.resources();
        let failed = resources.iter().filter(|resource| failing(resource));
        let Some((name, why)) = failed.clone().find_map(|one| Some((one.resource, one.error.as_deref()?))) else {
            return;
        };
        self.said = true;
        match (state, failed.count()) {
            (State::Starting, all) if all == resources.len() => {
                crate::say::say!("the Kubernetes API is not followed: {why}");
            }
            _ => crate::say::say!("{name} of the Kubernetes API are not followed: {why}"),
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

fn workload(of: &steth_kubernetes::Workload) -> Workload {
    Workload { kind: of.kind.to_string(), name: of.name.to_string() }
}
