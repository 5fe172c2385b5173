//! What is said of containers, and what becomes of the processes in them. The cgroups are real and the test's own.

#[allow(dead_code, unreachable_pub)] // other tests use the rest of it
#[path = "../../steth/tests/lab/cgroup.rs"]
mod cgroup;
#[allow(dead_code, unreachable_pub, unused_macros)]
#[path = "../../steth/tests/lab/policy.rs"]
mod policy;

use cgroup::Cgroup;
use std::process::{Child, Command};
use std::time::Duration;
use steth_judge::{Judge, Judging};
use steth_probe::{Probe, Selection, Settings, Verdicts};
use steth_verdict::{ContainerFacts, Patterns, Rows, Rules};

/// As many as are remembered: `CONTAINERS` of `src/containers.rs`.
const CONTAINERS: u64 = 8192;

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
    Rules::new(&Rows { container, executable, ..Rows::default() }).expect("good rules")
}

fn facts(name: &str) -> ContainerFacts {
    ContainerFacts { name: Some(name.into()), ..ContainerFacts::default() }
}

fn numbered(n: u64) -> [u8; 32] {
    let mut id = [0xee; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    id
}

struct Host {
    probe: Probe,
    judge: Judge,
    verdicts: Verdicts,
    sleepers: [Sleeper; 3],
}

impl Host {
    fn selected(&self) -> [bool; 3] {
        assert!(self.judge.wait(Duration::from_secs(60)));
        self.sleepers.each_ref().map(|sleeper| self.verdicts.has(sleeper.0.id()))
    }

    fn select(&mut self, rules: &Rules) {
        self.probe.apply(&Selection { rules: rules.clone(), ..Selection::default() }).expect("the kernel takes them");
        self.judge.rules(rules);
    }
}

#[test]
fn the_processes_of_a_container_are_judged_once_it_is_known_and_by_every_new_rule() {
    if !policy::root() {
        return;
    }
    let hierarchies = cgroup::hierarchies();
    let ids = [cgroup::id(40), cgroup::id(41)];
    let cgroups = ids.map(|id| Cgroup::make(&hierarchies, &format!("docker-{}.scope", cgroup::digits(&id))));
    let sleepers = [Sleeper::start(Some(&cgroups[0])), Sleeper::start(Some(&cgroups[1])), Sleeper::start(None)];
    let mut probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).expect("root may attach");
    let judging = Judging::begin(&mut probe, &Rules::default()).expect("there are tables");
    let verdicts = probe.verdicts().expect("there are tables");
    let mut host = Host { probe, judge: Judge::start(judging).expect("a thread"), verdicts, sleepers };
    host.select(&by_name(&["cart"], &[]));
    assert_eq!(host.selected(), [false; 3], "undecided, and outside of what is included");
    host.judge.known(&ids[0], Some(&facts("cart")));
    host.judge.known(&ids[1], Some(&facts("db")));
    assert_eq!(host.selected(), [true, false, false]);
    host.judge.known(&ids[0], Some(&facts("renamed")));
    assert_eq!(host.selected(), [false; 3]);
    host.judge.known(&ids[0], Some(&facts("cart")));
    host.select(&by_name(&[], &["cart"]));
    assert_eq!(host.selected(), [false, true, true]);
    host.judge.known(&ids[1], None);
    assert_eq!(host.selected(), [false, false, true], "nobody knows it any more");
    host.judge.known(&ids[1], Some(&facts("db")));
    assert_eq!(host.selected(), [false, true, true]);
    host.judge.gone(&ids[1]);
    // As the kernel side does when the cgroup is removed.
    host.verdicts.forget_container(&ids[1]);
    host.select(&by_name(&[], &[]));
    assert_eq!(host.selected(), [true; 3], "no rows for containers");
    host.select(&by_name(&["cart"], &[]));
    assert_eq!(host.selected(), [true, false, false], "what is known is known still");
    // One more than there is room for, and one that waits for its first process.
    let waits = numbered(7);
    host.judge.made(&waits);
    for n in 0..=CONTAINERS {
        host.judge.known(&numbered(n), Some(&facts("db")));
    }
    assert_eq!(host.selected(), [true, false, false]);
    let counts = host.judge.counts();
    // The table is purged when the queue is done, and not again in the same minute. The thread may have been done before the last of them.
    assert!(counts.containers_no_room <= 2 && counts.refused == 0, "beside the one from before: {counts:?}");
    let purged = host.judge.purged();
    let most = CONTAINERS - 2;
    assert_eq!(purged.len() as u64, counts.containers_purged);
    assert!(
        counts.containers_purged <= most && (counts.containers_no_room < 2 || counts.containers_purged == most),
        "{counts:?}"
    );
    assert!(!purged.contains(&waits) && !purged.contains(&ids[0]) && host.judge.purged().is_empty());
}

/// What finds no room in the queue is made up for by a look at everybody.
#[test]
fn a_process_whose_move_found_no_room_in_the_queue_is_judged_nevertheless() {
    if !policy::root() {
        return;
    }
    let sleeper = Sleeper::start(None);
    let mut probe = Probe::attach(&Settings { ring_bytes: 1 << 20, ..Settings::default() }).expect("root may attach");
    let rules = by_name(&[], &["nothing"]);
    probe.apply(&Selection { rules: rules.clone(), ..Selection::default() }).expect("the kernel takes them");
    let judge = Judge::start(Judging::begin(&mut probe, &rules).expect("there are tables")).expect("a thread");
    let verdicts = probe.verdicts().expect("there are tables");
    assert!(verdicts.has(sleeper.0.id()));
    // As the kernel side does with whoever is moved.
    verdicts.judge(sleeper.0.id(), false).expect("there is room");
    for _ in 0..4 * steth_judge::ORDERS {
        judge.joined(u32::MAX);
    }
    judge.joined(sleeper.0.id());
    assert!(judge.wait(Duration::from_secs(60)));
    assert!(verdicts.has(sleeper.0.id()), "{:?}", judge.counts());
}
