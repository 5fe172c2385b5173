//! Which containers are observed: what is known of each, judged by the rules of now and told the kernel side.
//!
//! ```text
//! cgroup_mkdir ==[ record ]==> announced(id) -- whoever knows names --> known(id, facts) --> the kernel's table
//!                                                                         `--> the processes that run in it
//! ```
//!
//! The kernel side knows a container's id and nothing else. Until it is known here what a container is called, and that the rules
//! select it, no process of it is observed.

use crate::selection;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use steth_event::CONTAINER_ID;
use steth_probe::Probe;
use steth_verdict::{ContainerFacts, Rules};

/// A container's id: its 64 hexadecimal digits.
pub(crate) type Id = [u8; CONTAINER_ID];

/// Containers that are remembered: as many as the kernel side's table holds (`containers` of `bpf/state.h`). Those beyond stay
/// undecided, and so are not observed while there are rules for containers.
const CONTAINERS: usize = 8192;

/// What is known of the host's containers, and the rules in force.
#[derive(Debug)]
pub(crate) struct ContainerRules {
    rules: Rules,
    known: HashMap<Id, Container, FixedState>,
    no_room: u64,
}

#[derive(Debug, Default)]
struct Container {
    facts: Option<ContainerFacts>,
    /// What the kernel side was told; `None`: undecided.
    told: Option<bool>,
}

/// Without rules.
impl Default for ContainerRules {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

impl ContainerRules {
    /// Before anything is known of any container.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, known: HashMap::with_hasher(FixedState::with_seed(0x636f_6e74)), no_room: 0 }
    }

    /// What is known of a container, from now on and until [`ContainerRules::gone`]; `None`: nothing, it is undecided. Its verdict
    /// is told the kernel side, and the processes that run in it are judged anew.
    ///
    /// # Errors
    /// When /proc cannot be listed, or the kernel's table of processes is full.
    pub(crate) fn known(&mut self, probe: &mut Probe, id: &Id, facts: Option<&ContainerFacts>) -> anyhow::Result<()> {
        if !self.known.contains_key(id) && self.known.len() >= CONTAINERS {
            self.no_room += 1;
            return Ok(());
        }
        self.known.entry(*id).or_default().facts = facts.cloned();
        if self.tell(probe, id) { selection::judge_running_in(probe, &self.rules, self, id) } else { Ok(()) }
    }

    /// Its cgroup was removed. The kernel side has forgotten it by itself.
    pub(crate) fn gone(&mut self, id: &Id) {
        self.known.remove(id);
    }

    /// Other rules are in force. The caller judges the running processes.
    pub(crate) fn apply(&mut self, probe: &mut Probe, rules: &Rules) {
        self.rules = rules.clone();
        for id in self.known.keys().copied().collect::<Vec<_>>() {
            self.tell(probe, &id);
        }
    }

    /// Whether the rows of containers select a process of this container, or with `None` one outside of any.
    pub(crate) fn select(&self, id: Option<&Id>) -> bool {
        match id {
            _ if !self.rules.have_containers() => true,
            None => self.rules.judge_outside().selected,
            Some(id) => self.known.get(id).and_then(|container| container.told) == Some(true),
        }
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How many containers were heard of that found no room, here or in the kernel's table.
    pub(crate) fn no_room(&self) -> u64 {
        self.no_room
    }

    /// Judges a container and tells the kernel side. Whether that changes anything for its processes.
    fn tell(&mut self, probe: &mut Probe, id: &Id) -> bool {
        let Some(container) = self.known.get_mut(id) else { return false };
        let facts = container.facts.as_ref().filter(|_| self.rules.have_containers());
        let verdict = facts.map(|facts| self.rules.judge_container(facts).selected);
        let before = container.told;
        container.told = verdict;
        match verdict {
            None => probe.forget_container(id),
            Some(selected) => {
                if probe.judge_container(id, selected).is_err() {
                    container.told = None;
                    self.no_room += 1;
                }
            }
        }
        (before == Some(true)) != (container.told == Some(true))
    }
}
