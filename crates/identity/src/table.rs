//! The processes that have been seen, and the containers that they are in.

use crate::party::Party;
use crate::service_rules::ServiceRules;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::cell::Cell;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::Arc;
use steth_event::{Container, LookUp, Process};

/// A bounded table of processes and one of containers. Where one is full, whoever ended first makes room; if all of them live, the hand of
/// a clock goes round and takes out the first one that nobody has asked for since it was there last.
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
        // What is found out of one that has ended meanwhile does not make it live.
        let same = |known: &Arc<Party>| known.look_up == LookUp::UnderWay && process.look_up == LookUp::Done;
        let ended = self.processes.has_ended(&pid) && self.processes.get(&pid).is_some_and(same);
        self.processes.insert(pid, Arc::new(Party::new(process, container, &self.rules)));
        if ended {
            self.processes.end(&pid);
        }
    }

    /// A process has ended. It stays known for the ends of its connections, until another one needs the room.
    pub fn end(&mut self, pid: u32) {
        self.processes.end(&pid);
    }

    /// A container has ended; likewise.
    pub fn end_container(&mut self, id: &str) {
        self.containers.end(id);
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
        for party in self.processes.values_mut() {
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
        self.processes.values()
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

    /// Processes and containers that made room for others, so far as they had not ended.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.processes.evicted + self.containers.evicted
    }
}

/// Entries stay where they are, so that a hand can go round over them.
#[derive(Debug)]
struct Table<K, V> {
    places: HashMap<K, usize, FixedState>,
    entries: Vec<Entry<K, V>>,
    /// Who has ended, oldest first, by place and number of the entry: it may be another one's place by now.
    ended: VecDeque<(usize, u64)>,
    hand: usize,
    maximum: usize,
    number: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    number: u64,
    ended: bool,
    /// It was asked for since the hand was there last.
    used: Cell<bool>,
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    fn new(maximum: usize) -> Self {
        let places = HashMap::with_hasher(FixedState::with_seed(0x7072));
        Self { places, entries: Vec::new(), ended: VecDeque::new(), hand: 0, maximum, number: 0, evicted: 0 }
    }

    fn entry<Q: Hash + hashbrown::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&Entry<K, V>> {
        self.entries.get(*self.places.get(key)?)
    }

    fn get<Q: Hash + hashbrown::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        let entry = self.entry(key)?;
        entry.used.set(true);
        Some(&entry.value)
    }

    fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|entry| &entry.value)
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }

    fn has_ended(&self, key: &K) -> bool {
        self.entry(key).is_some_and(|entry| entry.ended)
    }

    fn end<Q: Hash + hashbrown::Equivalent<K> + ?Sized>(&mut self, key: &Q) {
        let Some(at) = self.places.get(key).copied() else { return };
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| !entry.ended) {
            entry.ended = true;
            self.ended.push_back((at, entry.number));
        }
        // Ids that are used again leave notes behind that say nothing any more.
        if self.ended.len() > 2 * self.maximum {
            let entries = &self.entries;
            self.ended.retain(|(at, number)| entries.get(*at).is_some_and(|entry| entry.number == *number));
        }
    }

    /// What is not in the table any more: what was there under this key, and who has made room.
    fn insert(&mut self, key: K, value: V) -> [Option<V>; 2] {
        self.number += 1;
        let entry = Entry { key: key.clone(), value, number: self.number, ended: false, used: Cell::new(false) };
        if let Some(known) = self.places.get(&key).and_then(|at| self.entries.get_mut(*at)) {
            return [Some(std::mem::replace(known, entry).value), None];
        }
        if self.entries.len() < self.maximum {
            self.places.insert(key, self.entries.len());
            self.entries.push(entry);
            return [None, None];
        }
        let at = self.room();
        let Some(place) = self.entries.get_mut(at) else { return [None, None] };
        let before = std::mem::replace(place, entry);
        self.evicted += u64::from(!before.ended);
        self.places.remove(&before.key);
        self.places.insert(key, at);
        [None, Some(before.value)]
    }

    /// The place that is given up. The second time round nobody was asked for.
    fn room(&mut self) -> usize {
        while let Some((at, number)) = self.ended.pop_front() {
            if self.entries.get(at).is_some_and(|entry| entry.number == number) {
                return at;
            }
        }
        loop {
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            if self.entries.get(self.hand).is_none_or(|entry| !entry.used.take()) {
                return self.hand;
            }
        }
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
    fn who_has_ended_makes_room_and_else_whom_nobody_asked_for() {
        let mut all = Processes::new(3, ServiceRules::default());
        (1..=3).for_each(|pid| all.insert(process(pid, "c")));
        all.end(2);
        all.insert(process(4, "c"));
        assert!(all.get(2).is_none() && [1, 3, 4].iter().all(|pid| all.get(*pid).is_some()));
        assert_eq!(all.evicted(), 0, "it is no loss");
        // The hand has been nowhere, and everybody was asked for; then 3 only.
        all.insert(process(5, "c"));
        assert_eq!(all.all().count(), 3);
        let gone: Vec<u32> = [1, 3, 4].into_iter().filter(|pid| all.get(*pid).is_none()).collect();
        assert_eq!((gone.len(), all.evicted()), (1, 1), "{gone:?}");
        for id in ["a", "b", "c", "d"] {
            all.insert_container(container(id, LookUp::UnderWay));
        }
        assert_eq!(all.evicted(), 2);
        ["a", "b", "c", "d"].iter().for_each(|id| all.end_container(id));
        ["x", "y", "z"].iter().for_each(|id| all.insert_container(container(id, LookUp::Done)));
        assert!(!all.containers_under_way(), "whoever made room is not waited for");
        assert_eq!(all.evicted(), 2);
    }

    /// A server lives for months, and each of its clients for a moment.
    #[test]
    fn who_lives_and_talks_is_known_however_many_come_and_go() {
        let mut all = Processes::new(100, ServiceRules::default());
        all.insert(process(1, "c"));
        let short = |pid, look_up| Process { look_up, ..process(pid, "c") };
        for pid in 10..20_010 {
            all.insert(short(pid, LookUp::UnderWay));
            all.end(pid);
            // The answer comes behind the end.
            all.insert(short(pid, LookUp::Done));
        }
        assert!(all.get(1).is_some(), "it was not even asked for");
        assert_eq!(all.evicted(), 0);
        assert!(all.processes.ended.len() <= 200);
        // An id that is used again is somebody who lives.
        all.insert(short(20_009, LookUp::UnderWay));
        assert!(!all.processes.has_ended(&20_009));
        // Nobody ends: whoever is asked for stays, too.
        for pid in 30_000..50_000 {
            all.insert(process(pid, "c"));
            assert!(all.get(1).is_some());
        }
        assert!(all.evicted() > 19_000);
        for _ in 0..1000 {
            all.insert(process(7, "c"));
            all.end(7);
        }
        assert!(all.processes.ended.len() <= 201, "notes of ids that were used again do not pile up");
    }
}
