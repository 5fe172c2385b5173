//! The processes that have been seen, and the containers that they are in.

use crate::party::Party;
use crate::service_rules::ServiceRules;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use steth_event::{Container, LookUp, Process};

/// A bounded table of processes and one of containers: the oldest entry makes room.
#[derive(Debug)]
pub struct Processes {
    processes: Table<u32, Arc<Party>>,
    containers: Table<String, Arc<Container>>,
    /// Containers in the table that are being looked up.
    under_way: usize,
    rules: ServiceRules,
    version: u64,
}

impl Processes {
    /// A table of at most `maximum` processes, and as many containers, whose services are named by these rules first.
    #[must_use]
    pub fn new(maximum: usize, rules: ServiceRules) -> Self {
        let maximum = maximum.max(1);
        Self { processes: Table::new(maximum), containers: Table::new(maximum), under_way: 0, rules, version: 0 }
    }

    /// A process was looked up; it replaces an earlier one with the same id.
    pub fn insert(&mut self, process: Process) {
        self.version += 1;
        let container = process.container.as_ref().and_then(|id| self.containers.get(id)).cloned();
        let pid = process.pid;
        self.processes.insert(pid, Arc::new(Party::new(process, container, &self.rules)));
    }

    /// A container was looked up: whoever is known to be in it is named by that from now on.
    pub fn insert_container(&mut self, container: Container) {
        self.version += 1;
        let container = Arc::new(container);
        let (id, under_way) = (container.id.clone(), container.look_up == LookUp::UnderWay);
        let earlier = self.containers.insert(id, container.clone());
        self.under_way += usize::from(under_way);
        for gone in earlier.into_iter().flatten() {
            self.under_way -= usize::from(gone.look_up == LookUp::UnderWay);
        }
        for party in self.processes.by_key.values_mut() {
            if party.process().container.as_deref() == Some(&*container.id) {
                *party = Arc::new(Party::new(party.process().clone(), Some(container.clone()), &self.rules));
            }
        }
    }

    /// Who this is, if it is known.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Arc<Party>> {
        self.processes.get(&pid)
    }

    /// All that are known, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Party>> {
        self.processes.by_key.values()
    }

    /// Whether any container is being looked up.
    #[must_use]
    pub fn containers_under_way(&self) -> bool {
        self.under_way > 0
    }

    /// Changes with every change of the table: while it stays, whoever remembers an answer need not ask again.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Processes and containers that made room for others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.processes.evicted + self.containers.evicted
    }
}

#[derive(Debug)]
struct Table<K, V> {
    by_key: HashMap<K, V, FixedState>,
    order: VecDeque<K>,
    maximum: usize,
    evicted: u64,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    fn new(maximum: usize) -> Self {
        let by_key = HashMap::with_hasher(FixedState::with_seed(0x7072));
        Self { by_key, order: VecDeque::new(), maximum, evicted: 0 }
    }

    fn get<Q: Hash + hashbrown::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.by_key.get(key)
    }

    /// What is not in the table any more: what was there under this key, and who has made room.
    fn insert(&mut self, key: K, value: V) -> [Option<V>; 2] {
        let before = self.by_key.insert(key.clone(), value);
        if before.is_some() {
            return [before, None];
        }
        self.order.push_back(key);
        if self.order.len() <= self.maximum {
            return [None, None];
        }
        let oldest = self.order.pop_front().and_then(|oldest| self.by_key.remove(&oldest));
        self.evicted += u64::from(oldest.is_some());
        [None, oldest]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{Pod, Workload};

    fn process(pid: u32, container: &str) -> Process {
        Process { pid, name: "nginx".into(), container: Some(container.into()), ..Process::default() }
    }

    fn container(id: &str, look_up: LookUp) -> Container {
        let known = look_up == LookUp::Done;
        Container {
            id: id.into(),
            pod: known.then(|| Pod { name: "web-1".into(), namespace: "shop".into(), ..Pod::default() }),
            workload: known.then(|| Workload { kind: "Deployment".into(), name: "web".into() }),
            look_up,
            ..Container::default()
        }
    }

    #[test]
    fn a_container_names_its_processes_whichever_comes_first() {
        let mut all = Processes::new(10, ServiceRules::default());
        all.insert(process(1, "c"));
        all.insert(process(2, "d"));
        all.insert_container(container("c", LookUp::UnderWay));
        let service = |all: &Processes, pid| all.get(pid).map(|party| party.service().to_owned()).unwrap();
        assert!(all.containers_under_way() && all.get(1).unwrap().under_way() && !all.get(2).unwrap().under_way());
        let version = all.version();
        all.insert_container(container("c", LookUp::Done));
        assert!(!all.containers_under_way() && !all.get(1).unwrap().under_way() && all.version() != version);
        all.insert(process(3, "c"));
        assert_eq!([1, 2, 3].map(|pid| service(&all, pid)), ["web", "nginx", "web"]);
        assert_eq!(all.get(3).unwrap().namespace(), Some("shop"));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut all = Processes::new(2, ServiceRules::default());
        (1..=3).for_each(|pid| all.insert(process(pid, "c")));
        assert!(all.get(1).is_none() && all.get(2).is_some() && all.get(3).is_some());
        for id in ["a", "b", "c"] {
            all.insert_container(container(id, LookUp::UnderWay));
        }
        assert_eq!(all.evicted(), 2);
        ["b", "c"].iter().for_each(|id| all.insert_container(container(id, LookUp::Done)));
        assert!(!all.containers_under_way(), "whoever made room is not waited for");
    }
}
