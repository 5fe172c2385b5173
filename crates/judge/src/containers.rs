//! Which containers are observed: what is known of each, judged by the rules of now and told the kernel side.
//!
//! ```text
//! cgroup_mkdir ==[ record ]==> is_new(id) -- whoever knows names --> known(id, facts) --> the kernel's table
//!                                                                      `--> the processes that run in it
//! ```
//!
//! The kernel side knows a container's id and nothing else. Until it is known here what a container is called, and that the rules
//! select it, no process of it is observed.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use steth_event::CONTAINER_ID;
use steth_probe::Verdicts;
use steth_verdict::{ContainerFacts, Rules};

/// A container's id: its 64 hexadecimal digits.
pub type Id = [u8; CONTAINER_ID];

/// Containers that are remembered: as many as the kernel side's table holds (`containers` of `bpf/state.h`). Those beyond stay
/// undecided, and so are not observed while there are rules for containers.
const CONTAINERS: usize = 8192;

/// Containers that are remembered beyond their end: what a runtime still says of one then is not believed.
const GONE: usize = 4096;
/// From so many on, what nothing runs in is forgotten: containers that runtimes know and nobody has started, or that ended unseen.
const CROWDED: usize = CONTAINERS / 4 * 3;
/// All of /proc is looked at for that, so not often.
const PURGES: Duration = Duration::from_secs(60);

/// What is known of the host's containers, and the rules in force.
#[derive(Debug)]
pub(crate) struct Containers {
    rules: Rules,
    known: HashMap<Id, Container, FixedState>,
    no_room: u64,
    gone: HashSet<Id, FixedState>,
    /// In the order in which they went.
    departures: VecDeque<Id>,
    late: u64,
    purged: u64,
    looked: Option<Instant>,
}

#[derive(Debug, Default)]
struct Container {
    /// Its cgroup was seen to be made, and not to be removed: it is there, whether anything runs in it or not.
    made: bool,
    facts: Option<ContainerFacts>,
    /// What the kernel side was told; `None`: undecided.
    told: Option<bool>,
}

impl Containers {
    /// Before anything is known of any container.
    pub(crate) fn new(rules: Rules) -> Self {
        let hasher = || FixedState::with_seed(0x636f_6e74);
        Self {
            rules,
            known: HashMap::with_hasher(hasher()),
            no_room: 0,
            gone: HashSet::with_hasher(hasher()),
            departures: VecDeque::new(),
            late: 0,
            purged: 0,
            looked: None,
        }
    }

    /// Its cgroup was made. Until somebody says more, it is undecided.
    pub(crate) fn made(&mut self, verdicts: &Verdicts, id: &Id) {
        // Started again: a container keeps its id.
        self.gone.remove(id);
        if !self.known.contains_key(id) {
            self.known(verdicts, id, None);
        }
        if let Some(container) = self.known.get_mut(id) {
            container.made = true;
        }
    }

    /// What is known of a container, from now on and until [`Containers::gone`]; `None`: nothing, it is undecided. Its verdict
    /// is told the kernel side. Whether the processes that run in it are to be judged anew.
    pub(crate) fn known(&mut self, verdicts: &Verdicts, id: &Id, facts: Option<&ContainerFacts>) -> bool {
        if self.gone.contains(id) {
            self.late += 1;
            return false;
        }
        if !self.known.contains_key(id) && self.known.len() >= CONTAINERS {
            self.no_room += 1;
            return false;
        }
        self.known.entry(*id).or_default().facts = facts.cloned();
        self.tell(verdicts, id)
    }

    /// Its cgroup was removed. The kernel side has forgotten it by itself.
    pub(crate) fn gone(&mut self, id: &Id) {
        self.known.remove(id);
        // One record for each hierarchy.
        if self.gone.insert(*id) {
            self.departures.push_back(*id);
        }
        if self.departures.len() > GONE
            && let Some(oldest) = self.departures.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    /// When there is hardly room for another one, forgets those that are not there any more. Their ids. `running`: in which something
    /// runs.
    pub(crate) fn purge(&mut self, verdicts: &Verdicts, running: impl FnOnce() -> HashSet<Id, FixedState>) -> Vec<Id> {
        if self.known.len() < CROWDED || self.looked.is_some_and(|looked| looked.elapsed() < PURGES) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let alive = running();
        let absent = |(id, container): (&Id, &Container)| (!container.made && !alive.contains(id)).then_some(*id);
        let absent: Vec<Id> = self.known.iter().filter_map(absent).collect();
        for id in &absent {
            self.known.remove(id);
            verdicts.forget_container(id);
        }
        self.purged += absent.len() as u64;
        absent
    }

    /// How often something was said of a container that is gone.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }

    /// How many were forgotten because nothing runs in them.
    pub(crate) fn purged(&self) -> u64 {
        self.purged
    }

    /// Other rules are in force. The caller judges the running processes.
    pub(crate) fn apply(&mut self, verdicts: &Verdicts, rules: Rules) {
        self.rules = rules;
        for id in self.known.keys().copied().collect::<Vec<_>>() {
            self.tell(verdicts, &id);
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

    /// How many are undecided, while there are rules for containers.
    pub(crate) fn undecided(&self) -> u64 {
        let undecided = self.known.values().filter(|container| container.told.is_none());
        if self.rules.have_containers() { undecided.count() as u64 } else { 0 }
    }

    /// How many containers were heard of that found no room, here or in the kernel's table.
    pub(crate) fn no_room(&self) -> u64 {
        self.no_room
    }

    /// Judges a container and tells the kernel side. Whether that changes anything for its processes.
    fn tell(&mut self, verdicts: &Verdicts, id: &Id) -> bool {
        let Some(container) = self.known.get_mut(id) else { return false };
        let facts = container.facts.as_ref().filter(|_| self.rules.have_containers());
        let verdict = facts.map(|facts| self.rules.judge_container(facts).selected);
        let before = container.told;
        container.told = verdict;
        match verdict {
            None => verdicts.forget_container(id),
            Some(selected) => {
                if verdicts.judge_container(id, selected).is_err() {
                    container.told = None;
                    self.no_room += 1;
                }
            }
        }
        (before == Some(true)) != (container.told == Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_probe::{Probe, Settings};
    use steth_verdict::{Patterns, Rows};

    #[test]
    fn what_is_said_of_a_container_that_is_gone_is_not_kept() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: not root (the tests of this crate that must not be skipped are in tests/)");
            return;
        }
        let probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).unwrap();
        let verdicts = probe.verdicts().unwrap();
        let container = Patterns { include: vec!["cart".into()], ..Patterns::default() };
        let mut containers = Containers::new(Rules::new(&Rows { container, ..Rows::default() }).unwrap());
        let id = [0xcc; CONTAINER_ID];
        let facts = ContainerFacts { name: Some("cart".into()), ..ContainerFacts::default() };
        containers.made(&verdicts, &id);
        containers.gone(&id);
        assert!(!containers.known(&verdicts, &id, Some(&facts)));
        assert!(containers.known.is_empty(), "the answer came too late");
        assert!(!containers.select(Some(&id)) && containers.late() == 1);
        containers.made(&verdicts, &id);
        assert!(containers.known(&verdicts, &id, Some(&facts)), "its processes are to be judged");
        assert!(containers.select(Some(&id)), "started again");
        for n in 0..GONE as u64 + 7 {
            let mut id = [0xdd; CONTAINER_ID];
            id[..8].copy_from_slice(&n.to_be_bytes());
            (0..2).for_each(|_| containers.gone(&id));
        }
        assert_eq!((containers.gone.len(), containers.departures.len()), (GONE, GONE));
    }

    #[test]
    fn those_in_which_nothing_runs_make_room_when_it_is_crowded() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: not root (the tests of this crate that must not be skipped are in tests/)");
            return;
        }
        let probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).unwrap();
        let verdicts = probe.verdicts().unwrap();
        let container = Patterns { include: vec!["cart".into()], ..Patterns::default() };
        let mut containers = Containers::new(Rules::new(&Rows { container, ..Rows::default() }).unwrap());
        let numbered = |n: usize| {
            let mut id = [0xee; CONTAINER_ID];
            id[..8].copy_from_slice(&n.to_be_bytes());
            id
        };
        let facts = ContainerFacts { name: Some("db".into()), ..ContainerFacts::default() };
        // One has just been made, in another something runs.
        containers.made(&verdicts, &numbered(0));
        let runs = || HashSet::from_iter([numbered(1)]);
        for n in 0..CONTAINERS + 2 {
            let full = containers.known.len() == CONTAINERS;
            if n < CROWDED {
                assert!(containers.purge(&verdicts, runs).is_empty(), "it is not crowded by {n}");
            }
            containers.known(&verdicts, &numbered(n), Some(&facts));
            assert_eq!(full, n >= CONTAINERS);
        }
        assert_eq!((containers.known.len(), containers.no_room), (CONTAINERS, 2));
        let purged = containers.purge(&verdicts, runs);
        assert_eq!((purged.len(), containers.known.len()), (CONTAINERS - 2, 2), "all but what is there");
        assert!(!purged.contains(&numbered(0)) && !purged.contains(&numbered(1)));
        assert_eq!(containers.purged(), CONTAINERS as u64 - 2);
        for n in 0..CONTAINERS {
            containers.known(&verdicts, &numbered(n), Some(&facts));
        }
        assert!(containers.purge(&verdicts, runs).is_empty(), "not again in the same minute");
    }
}
