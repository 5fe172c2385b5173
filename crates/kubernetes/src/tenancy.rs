//! Tests: who has an address, over any sequence of events; and that nothing stays behind.

use crate::claims::OPEN;
use crate::cluster::{Cluster, Table};
use crate::id::Uid;
use crate::intern::Interner;
use crate::limits::Limits;
use crate::object;
use crate::read::{self, ReadPod};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const GRACE: u64 = 120 * SECOND;
const BEGIN: u64 = 1_700_000_000 * SECOND;

#[derive(Clone, Debug)]
enum Step {
    /// A new pod appears; with an address or not yet; it began so many seconds ago, or does not say.
    Appear(Option<u8>, Option<u64>),
    /// One that is there has another address, or none.
    Move(usize, Option<u8>),
    /// Its phase is Succeeded.
    Finish(usize),
    /// It is gone.
    Delete(usize),
    /// Something else about it changes.
    Touch(usize),
    /// Time passes, seconds; what is over may be forgotten.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let ip = || proptest::option::weighted(0.8, 0u8..3);
    prop_oneof![
        4 => (ip(), proptest::option::of(0u64..40)).prop_map(|(ip, ago)| Step::Appear(ip, ago)),
        2 => (any::<usize>(), ip()).prop_map(|(which, ip)| Step::Move(which, ip)),
        2 => any::<usize>().prop_map(Step::Finish),
        2 => any::<usize>().prop_map(Step::Delete),
        1 => any::<usize>().prop_map(Step::Touch),
        4 => (0u64..90).prop_map(Step::Pass),
    ]
}

/// A pod as the test knows it.
#[derive(Clone, Debug)]
struct Known {
    number: u32,
    ip: Option<u8>,
    began: Option<u64>,
    first_seen: u64,
    version: u32,
    over: bool,
    gone: bool,
    had_one: bool,
}

/// `number` had `ip` from `from` until `until`.
#[derive(Debug)]
struct Tenancy {
    number: u32,
    ip: u8,
    from: u64,
    until: u64,
}

fn address(ip: u8) -> IpAddr {
    IpAddr::from([10, 1, 0, ip])
}

fn uid(number: u32) -> Uid {
    Uid::parse(&format!("{number:032x}")).expect("a uid")
}

/// By way of the API's JSON.
fn read(pod: &Known) -> ReadPod {
    let Known { number, version, .. } = pod;
    let phase = if pod.over { "Succeeded" } else { "Running" };
    let ips = pod.ip.map(|ip| format!(r#"{{"ip":"{}"}}"#, address(ip))).unwrap_or_default();
    let json = format!(
        r#"{{"metadata":{{"name":"p{number}","namespace":"n","uid":"{number:032x}","labels":{{"version":"{version}"}}}},
            "spec":{{"containers":[{{"name":"c","ports":[{{"containerPort":80,"hostPort":8080}}]}}]}},
            "status":{{"phase":"{phase}","hostIP":"10.0.0.1","podIPs":[{ips}],
            "containerStatuses":[{{"name":"c","containerID":"containerd://{number:064x}"}}]}}}}"#
    );
    let object: object::Pod = serde_json::from_str(&json).expect("a pod");
    let read = read::pod(&object, &mut Interner::new()).expect("usable");
    ReadPod { started: pod.began, ..read }
}

fn end(tenancies: &mut [Tenancy], number: u32, at: u64) {
    for tenancy in tenancies.iter_mut().filter(|tenancy| tenancy.number == number && tenancy.until == OPEN) {
        tenancy.until = at.max(tenancy.from);
    }
}

fn cluster(limits: Limits) -> Cluster {
    Cluster::new(Limits { grace: Duration::from_nanos(GRACE), ..limits })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_is_never_a_wrong_pods(steps in proptest::collection::vec(step(), 1..40)) {
        let mut cluster = cluster(Limits::default());
        let (mut pods, mut tenancies): (Vec<Known>, Vec<Tenancy>) = (Vec::new(), Vec::new());
        let (mut now, mut expired) = (BEGIN, 0);
        for step in steps {
            now += 1; // no two events at the same instant
            let there: Vec<usize> = (0..pods.len()).filter(|at| !pods[*at].gone).collect();
            let pick = |which: usize| (!there.is_empty()).then(|| there[which % there.len()]);
            match step {
                Step::Appear(ip, ago) => {
                    let number = u32::try_from(pods.len()).expect("few") + 1;
                    let began = ago.map(|ago| now - ago * SECOND);
                    let pod = Known { number, ip, began, first_seen: now, version: 0, over: false, gone: false, had_one: ip.is_some() };
                    cluster.pod(read(&pod), now);
                    tenancies.extend(ip.map(|ip| Tenancy { number, ip, from: began.unwrap_or(now), until: OPEN }));
                    pods.push(pod);
                }
                Step::Move(which, ip) => if let Some(at) = pick(which).filter(|at| !pods[*at].over && pods[*at].ip != ip) {
                    let pod = &mut pods[at];
                    end(&mut tenancies, pod.number, now);
                    let from = if pod.had_one { now } else { pod.began.unwrap_or(pod.first_seen) };
                    tenancies.extend(ip.map(|ip| Tenancy { number: pod.number, ip, from, until: OPEN }));
                    pod.had_one |= ip.is_some();
                    pod.ip = ip;
                    cluster.pod(read(pod), now);
                },
                Step::Finish(which) => if let Some(at) = pick(which).filter(|at| !pods[*at].over) {
                    pods[at].over = true;
                    end(&mut tenancies, pods[at].number, now);
                    cluster.pod(read(&pods[at]), now);
                },
                Step::Delete(which) => if let Some(at) = pick(which) {
                    pods[at].gone = true;
                    end(&mut tenancies, pods[at].number, now);
                    cluster.remove(Table::Pods, uid(pods[at].number), now);
                },
                Step::Touch(which) => if let Some(at) = pick(which) {
                    pods[at].version += 1;
                    cluster.pod(read(&pods[at]), now);
                },
                Step::Pass(seconds) => {
                    now += seconds * SECOND;
                    while cluster.expire(now, 1) {}
                    expired = now;
                }
            }
            prop_assume!(cluster.counters.claims_displaced == 0);
            let remembered = |t: &&Tenancy| t.until == OPEN || t.until + GRACE >= expired;
            let mut instants: Vec<u64> = tenancies.iter().flat_map(|t| [t.from - 1, t.from, t.until.min(now)]).collect();
            instants.push(now);
            for (ip, at) in (0..3).flat_map(|ip| instants.iter().map(move |at| (ip, *at))) {
                let had = tenancies.iter().filter(|t| t.ip == ip && t.from <= at && at <= t.until).filter(remembered);
                let expected = had.max_by_key(|t| (t.from, t.until));
                let found = cluster.claims.pod(address(ip), at);
                prop_assert_eq!(
                    found.map(|pod| pod.uid), expected.map(|t| uid(t.number)),
                    "{} at {} of {:?}", address(ip), at, &tenancies
                );
                // What it has now is told as it is now; what it had, as it was then.
                if let (Some(pod), Some(tenancy)) = (found, expected.filter(|tenancy| tenancy.until == OPEN)) {
                    let known = &pods[tenancy.number as usize - 1];
                    prop_assert_eq!(pod.label("version"), Some(&*known.version.to_string()));
                }
            }
        }
        for pod in &pods {
            cluster.remove(Table::Pods, uid(pod.number), now);
        }
        while cluster.expire(now + GRACE + SECOND, 7) {}
        prop_assert!(cluster.is_empty(), "{:?}", cluster);
    }
}

fn one(number: u32, ip: u8) -> ReadPod {
    let (began, first_seen) = (Some(BEGIN), BEGIN);
    read(&Known { number, ip: Some(ip), began, first_seen, version: 0, over: false, gone: false, had_one: true })
}

#[test]
fn an_address_that_everybody_claims_keeps_the_latest() {
    let mut cluster = cluster(Limits::default());
    for number in 1..=100 {
        cluster.pod(ReadPod { started: Some(BEGIN + u64::from(number)), ..one(number, 1) }, BEGIN + SECOND);
    }
    assert_eq!(cluster.counters.claims_displaced, 84);
    assert_eq!(cluster.claims.pod(address(1), BEGIN + SECOND).map(|pod| pod.uid), Some(uid(100)));
    for number in 1..=100 {
        cluster.remove(Table::Pods, uid(number), BEGIN + SECOND);
    }
    while cluster.expire(BEGIN + GRACE * 2, 10) {}
    assert!(cluster.is_empty());
}

#[test]
fn what_has_ended_makes_room_and_what_is_there_does_not() {
    let mut cluster = cluster(Limits { pods: 2, ..Limits::default() });
    cluster.pod(one(1, 1), BEGIN);
    cluster.pod(one(2, 2), BEGIN);
    assert!(!cluster.pod(one(3, 3), BEGIN), "full");
    cluster.remove(Table::Pods, uid(1), BEGIN + 1);
    assert!(cluster.pod(one(3, 3), BEGIN + 2));
    assert_eq!((cluster.counters.refused, cluster.counters.forgotten_early), (1, 1));
    assert!(cluster.claims.pod(address(1), BEGIN).is_none());
    assert_eq!(cluster.claims.pod(address(2), BEGIN).map(|pod| pod.uid), Some(uid(2)));
}

#[test]
fn ends_beyond_their_limit_are_forgotten_early() {
    let mut cluster = cluster(Limits { ended: 10, ..Limits::default() });
    for number in 1..=1000 {
        cluster.pod(one(number, 1), BEGIN);
        cluster.remove(Table::Pods, uid(number), BEGIN + 1);
    }
    assert!(cluster.sizes()[0] <= 10, "{:?}", cluster.sizes());
    assert_eq!(cluster.counters.forgotten_early, 990);
    while cluster.expire(BEGIN + GRACE * 2, 10) {}
    assert!(cluster.is_empty());
}

#[test]
fn one_pod_that_moves_again_and_again() {
    let mut cluster = cluster(Limits { ended: 50, ..Limits::default() });
    for n in 0..10_000u32 {
        cluster.pod(one(1, u8::try_from(n % 250).expect("small")), BEGIN + u64::from(n));
    }
    assert!(cluster.claims.addresses() <= 51, "{}", cluster.claims.addresses());
    cluster.remove(Table::Pods, uid(1), BEGIN + SECOND);
    while cluster.expire(BEGIN + GRACE * 2, 10) {}
    assert!(cluster.is_empty());
}

#[test]
fn two_pods_that_declare_a_port_of_a_node_leave_it_to_the_node() {
    let mut cluster = cluster(Limits::default());
    let key = ("10.0.0.1".parse().expect("an address"), 8080, crate::Transport::Tcp);
    cluster.pod(one(1, 1), BEGIN);
    assert_eq!(cluster.pods_on_port(key).count(), 1);
    cluster.pod(one(2, 2), BEGIN);
    assert_eq!(cluster.pods_on_port(key).count(), 2);
    cluster.remove(Table::Pods, uid(1), BEGIN);
    assert_eq!(cluster.pods_on_port(key).map(|kept| kept.holder.uid()).collect::<Vec<_>>(), [uid(2)]);
}
