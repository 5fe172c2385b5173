//! Which containers are observed: what is known of each, judged by the rules of now and told the kernel side.
//!
//! ```text
//! cgroup_mkdir ==[ record ]==> is_new(id) -- whoever knows names --> known(id, facts) --> the kernel's table
//!                                                                      `--> the processes that run in it
//! ```
//!
//! The kernel side knows a container's id and nothing else. Until it is known here what a container is called, and that the rules
//! select it, no process of it is observed.

use crate::selection;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use steth_event::CONTAINER_ID;
use steth_probe::Probe;
use steth_verdict::{ContainerFacts, Rules};

/// A container's id: its 64 hexadecimal digits.
pub(crate) type Id = [u8; CONTAINER_ID];

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
pub(crate) struct ContainerRules {
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

/// Without rules.
impl Default for ContainerRules {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

impl ContainerRules {
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
    ///
    /// # Errors
    /// As of [`ContainerRules::known`].
    pub(crate) fn made(&mut self, probe: &mut Probe, id: &Id) -> anyhow::Result<()> {
        // Started again: a container keeps its id.
        self.gone.remove(id);
        if self.is_new(id) {
            self.known(probe, id, None)?;
        }
        if let Some(container) = self.known.get_mut(id) {
            container.made = true;
        }
        Ok(())
    }

    /// What is known of a container, from now on and until [`ContainerRules::gone`]; `None`: nothing, it is undecided. Its verdict
    /// is told the kernel side, and the processes that run in it are judged anew.
    ///
    /// # Errors
    /// When /proc cannot be listed, or the kernel's table of processes is full.
    pub(crate) fn known(&mut self, probe: &mut Probe, id: &Id, facts: Option<&ContainerFacts>) -> anyhow::Result<()> {
        if self.gone.contains(id) {
            self.late += 1;
            return Ok(());
        }
        if !self.known.contains_key(id) && self.known.len() >= CONTAINERS {
            self.no_room += 1;
            return Ok(());
        }
        self.known.entry(*id).or_default().facts = facts.cloned();
        if self.tell(probe, id) { selection::judge_running_in(probe, &self.rules, self, id) } else { Ok(()) }
    }

    /// Whether nothing was said of it so far.
    pub(crate) fn is_new(&self, id: &Id) -> bool {
        !self.known.contains_key(id)
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

    /// When there is hardly room for another one, forgets those that are not there any more. Their ids.
    pub(crate) fn purge(&mut self, probe: &mut Probe) -> Vec<Id> {
        if self.known.len() < CROWDED || self.looked.is_some_and(|looked| looked.elapsed() < PURGES) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let alive = selection::containers_running();
        let absent = |(id, container): (&Id, &Container)| (!container.made && !alive.contains(id)).then_some(*id);
        let absent: Vec<Id> = self.known.iter().filter_map(absent).collect();
        for id in &absent {
            self.known.remove(id);
            probe.forget_container(id);
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

#[cfg(test)]
#[allow(dead_code, unreachable_pub)] // the integration tests use the rest of it
#[path = "../tests/lab/cgroup.rs"]
mod cgroup;
#[cfg(test)]
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/lab/policy.rs"]
mod policy;

#[cfg(test)]
mod tests {
    use super::cgroup::{self, Cgroup};
    use super::*;
    use std::process::{Child, Command};
    use steth_probe::{Selection, Settings};
    use steth_verdict::{Patterns, Rows};

    struct Sleeper(Child);

    impl Sleeper {
        fn start(cgroup: Option<&Cgroup>) -> Self {
            let child = Command::new("sleep").arg("600").spawn().expect("it starts");
            if let Some(cgroup) = cgroup {
                cgroup.take(child.id());
            }
            Self(child)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn by_name(include: &[&str], exclude: &[&str]) -> Rules {
        let owned = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect();
        let container = Patterns { include: owned(include), exclude: owned(exclude) };
        let executable = Patterns { include: vec!["/sleep$".into()], ..Patterns::default() };
        Rules::new(&Rows { container, executable, ..Rows::default() }).unwrap()
    }

    #[test]
    fn what_is_said_of_a_container_that_is_gone_is_not_kept() {
        if !super::policy::root() {
            return;
        }
        let mut probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).unwrap();
        let mut containers = ContainerRules::new(by_name(&["cart"], &[]));
        let (id, facts) = (cgroup::id(50), ContainerFacts { name: Some("cart".into()), ..ContainerFacts::default() });
        containers.made(&mut probe, &id).unwrap();
        containers.gone(&id);
        containers.known(&mut probe, &id, Some(&facts)).unwrap();
        assert!(containers.is_new(&id) && containers.known.is_empty(), "the answer came too late");
        assert!(!containers.select(Some(&id)) && containers.late() == 1);
        containers.made(&mut probe, &id).unwrap();
        containers.known(&mut probe, &id, Some(&facts)).unwrap();
        assert!(containers.select(Some(&id)), "started again");
        for n in 0..GONE as u64 + 7 {
            let mut id = [0xdd; CONTAINER_ID];
            id[..8].copy_from_slice(&n.to_be_bytes());
            (0..2).for_each(|_| containers.gone(&id));
        }
        assert_eq!((containers.gone.len(), containers.departures.len()), (GONE, GONE));
    }

    #[test]
    fn the_processes_of_a_container_are_judged_once_it_is_known_and_by_every_new_rule() {
        if !super::policy::root() {
            return;
        }
        let hierarchies = cgroup::hierarchies();
        let ids = [cgroup::id(40), cgroup::id(41)];
        let cgroups = ids.map(|id| Cgroup::make(&hierarchies, &format!("docker-{}.scope", cgroup::digits(&id))));
        let sleepers = [Sleeper::start(Some(&cgroups[0])), Sleeper::start(Some(&cgroups[1])), Sleeper::start(None)];
        let mut probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).unwrap();
        let mut containers = ContainerRules::default();
        let facts = |name: &str| ContainerFacts { name: Some(name.into()), ..ContainerFacts::default() };
        let selected = |probe: &Probe| {
            let selected = probe.selected();
            sleepers.each_ref().map(|sleeper| selected.contains(&sleeper.0.id()))
        };
        let select = |probe: &mut Probe, containers: &mut ContainerRules, rules: Rules| {
            probe.apply(&Selection { rules: rules.clone(), ..Selection::default() }).unwrap();
            containers.apply(probe, &rules);
            selection::judge_running(probe, &rules, containers).unwrap();
        };
        select(&mut probe, &mut containers, by_name(&["cart"], &[]));
        assert_eq!(selected(&probe), [false; 3], "undecided, and outside of what is included");
        containers.known(&mut probe, &ids[0], Some(&facts("cart"))).unwrap();
        containers.known(&mut probe, &ids[1], Some(&facts("db"))).unwrap();
        assert_eq!(selected(&probe), [true, false, false]);
        containers.known(&mut probe, &ids[0], Some(&facts("renamed"))).unwrap();
        assert_eq!(selected(&probe), [false; 3]);
        containers.known(&mut probe, &ids[0], Some(&facts("cart"))).unwrap();
        select(&mut probe, &mut containers, by_name(&[], &["cart"]));
        assert_eq!(selected(&probe), [false, true, true]);
        containers.known(&mut probe, &ids[1], None).unwrap();
        assert_eq!(selected(&probe), [false, false, true], "nobody knows it any more");
        containers.known(&mut probe, &ids[1], Some(&facts("db"))).unwrap();
        assert_eq!(selected(&probe), [false, true, true]);
        containers.gone(&ids[1]);
        // As the kernel side does when the cgroup is removed.
        probe.forget_container(&ids[1]);
        assert!(!containers.select(Some(&ids[1])) && containers.select(None));
        select(&mut probe, &mut containers, by_name(&[], &[]));
        assert_eq!(selected(&probe), [true; 3], "no rows for containers");
        select(&mut probe, &mut containers, by_name(&["cart"], &[]));
        assert_eq!(selected(&probe), [true, false, false], "what is known is known still");
        // One more than there is room for.
        for n in 0..CONTAINERS as u64 + 1 {
            let mut id = [0xee; CONTAINER_ID];
            id[..8].copy_from_slice(&n.to_be_bytes());
            containers.known(&mut probe, &id, Some(&facts("db"))).unwrap();
        }
        assert_eq!(containers.no_room(), 2, "beside the one from before");
        // What is there stays: a cgroup that was made, and what something runs in.
        let waits = {
            let mut id = [0xee; CONTAINER_ID];
            id[..8].copy_from_slice(&7u64.to_be_bytes());
            id
        };
        containers.made(&mut probe, &waits).unwrap();
        assert_eq!(containers.purge(&mut probe).len(), CONTAINERS - 2);
        assert!(containers.purge(&mut probe).is_empty() && !containers.is_new(&waits) && !containers.is_new(&ids[0]));
        assert_eq!((containers.purged(), selected(&probe)), (CONTAINERS as u64 - 2, [true, false, false]));
        assert_eq!(selected(&probe), [true, false, false]);
    }
}
