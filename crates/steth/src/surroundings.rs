//! What others know of the processes and addresses that are seen: looked for next to the drain, by threads that may wait as long
//! as they like. What they find becomes records of the stream.

mod containers;

use crate::configuration::Identity;
use crate::container_rules::Id;
use containers::Containers;
use std::time::Duration;
use steth_event::Process;
use steth_identity::HostsFile;
use steth_verdict::ContainerFacts;

/// So long the start waits for what is known at once, so that the first exchanges have it.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Everybody who may know something.
pub(crate) struct Surroundings {
    hosts: Option<HostsFile>,
    containers: Option<Containers>,
}

impl Surroundings {
    /// Begins to ask. What cannot be asked is said, and gone without.
    pub(crate) fn start(settings: &Identity) -> Self {
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
        Self { hosts, containers }
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
        if let Some(containers) = &mut self.containers {
            containers.forget(&steth_identity::container_text(id));
        }
    }

    /// Hands on what was found since the last call, and what rules may want to know of containers. Never waits.
    pub(crate) fn turn(&mut self, each: &mut impl FnMut(&[u8]), known: &mut impl FnMut(&Id, Option<&ContainerFacts>)) {
        for peer in self.hosts.iter_mut().flat_map(HostsFile::changes) {
            each(&peer.to_record());
        }
        if let Some(containers) = &mut self.containers {
            containers.turn(each, known);
        }
    }

    /// What was asked of container runtimes, and what came of it.
    pub(crate) fn container_counters(&self) -> steth_containers::Counters {
        self.containers.as_ref().map(Containers::counters).unwrap_or_default()
    }
}
