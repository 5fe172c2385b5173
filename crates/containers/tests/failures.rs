//! What happens when runtimes come late, go, hang, lie and flood.

mod fakes;
mod lab;

use fakes::cri::{Event, FakeCri, Knows, Listed, Manner, Metadata, Named, Sandbox};
use fakes::docker::{FakeDocker, reply, well_behaved};
use fakes::{Shared, answer_about, ask, id, next, wait_until};
use lab::process::{Process, command};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use steth_containers::{Api, Endpoint, NAME_BYTES, PAIRS, Runtimes, Settings};

type Reply = fn(&mut UnixStream);

const DEADLINE: Duration = Duration::from_millis(300);

fn endpoint(api: Api, path: &Path) -> Endpoint {
    Endpoint { api, path: path.to_owned() }
}

fn settings(endpoints: Vec<Endpoint>) -> Settings {
    Settings {
        endpoints,
        deadline: DEADLINE,
        look_again: Duration::from_millis(50),
        pauses: [20, 50, 100].map(Duration::from_millis).to_vec(),
        ..Settings::default()
    }
}

fn start(settings: Settings) -> Runtimes {
    Runtimes::start(settings).expect("it starts")
}

fn pod(number: u64) -> Sandbox {
    let metadata = Metadata { name: format!("pod-{number}"), uid: format!("uid-{number}"), namespace: "shop".into() };
    Sandbox { id: id(number), metadata: Some(metadata), ..Sandbox::default() }
}

fn container(number: u64, pod: u64) -> Listed {
    let metadata = Some(Named { name: format!("container-{number}") });
    Listed { id: id(number), sandbox: id(pod), metadata, state: 1, ..Listed::default() }
}

fn connected(runtimes: &Runtimes, count: usize) {
    wait_until("runtimes are connected", || {
        runtimes.endpoints().iter().filter(|endpoint| endpoint.runtime.is_some()).count() == count
    });
}

#[test]
fn a_runtime_that_misbehaves_in_any_manner_delays_and_spoils_nothing_of_another() {
    let manners = [
        Manner::Hangs,
        Manner::Slowly(DEADLINE * 2),
        Manner::Garbage,
        Manner::Huge,
        Manner::SaysHuge,
        Manner::Compressed,
        Manner::Status(2),
        Manner::Status(12),
        Manner::BreaksOff,
        Manner::NoStatus,
        Manner::Closes,
    ];
    for manner in manners {
        let dir = tempfile::tempdir().unwrap();
        let (bad, good) = (dir.path().join("cri.sock"), dir.path().join("docker.sock"));
        let _bad = FakeCri::start(&bad, Shared::new(Knows { manner, ..Knows::default() }));
        let names: Vec<_> = (1..=20).map(|n| (id(n), "cart")).collect();
        let _good = FakeDocker::knowing(&good, &names);
        let mut runtimes = start(settings(vec![endpoint(Api::Cri, &bad), endpoint(Api::Docker, &good)]));
        for n in 1..=20 {
            let begun = Instant::now();
            let found = ask(&mut runtimes, &id(n)).unwrap_or_else(|| panic!("{manner:?}: {:?}", runtimes.endpoints()));
            assert_eq!(&*found.name, "cart");
            assert!(begun.elapsed() < Duration::from_secs(2), "{manner:?}: {:?}", begun.elapsed());
        }
        assert_eq!(ask(&mut runtimes, &id(99)), None, "{manner:?}");
        wait_until("it is told", || runtimes.endpoints()[0].trouble.is_some());
        assert!(runtimes.counters().failed > 0, "{manner:?}");
        let trouble = runtimes.endpoints()[0].trouble.clone().unwrap();
        let expected = match manner {
            Manner::Hangs | Manner::Slowly(_) => "no answer within 300ms",
            Manner::Garbage => "not a message of Protocol Buffers",
            Manner::Huge | Manner::SaysHuge => "larger than",
            Manner::Compressed => "compressed",
            Manner::Status(2) => "refused with status 2: no",
            Manner::Status(_) => "the CRI is not served here",
            Manner::BreaksOff => "breaks off",
            Manner::NoStatus => "no gRPC status",
            Manner::Closes | Manner::Well => "the connection broke",
        };
        assert!(trouble.contains(expected), "{manner:?}: {trouble}");
    }
}

#[test]
fn answers_of_docker_that_are_none_are_failures_and_not_containers() {
    let answers: [(&str, Reply); 9] = [
        ("no HTTP header", |stream| drop(stream.write_all(b"\xff\xfe\n\n"))),
        ("no HTTP header", |stream| {
            for _ in 0..1000 {
                let _ = stream.write_all(&[b'a'; 1000]);
            }
        }),
        ("no HTTP header", |_| ()),
        ("no HTTP status", |stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9\r\n\r\n"))),
        ("expected", |stream| reply(stream, 200, b"<html>")),
        ("expected", |stream| reply(stream, 200, br#"{"Id":"#)),
        ("larger than 1048576", |stream| reply(stream, 200, &vec![b' '; 1_100_000])),
        ("refused with status 500: on fire", |stream| reply(stream, 500, br#"{"message":"on fire"}"#)),
        ("encoding", |stream| {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        }),
    ];
    for (expected, answer) in answers {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let _docker = FakeDocker::start(&socket, move |target, stream| {
            if target.starts_with("/containers/0") { answer(stream) } else { well_behaved(target, stream, &[]) }
        });
        let mut runtimes = start(settings(vec![endpoint(Api::Docker, &socket)]));
        connected(&runtimes, 1);
        assert_eq!(ask(&mut runtimes, &id(1)), None);
        let trouble = runtimes.endpoints()[0].trouble.clone().unwrap_or_default();
        assert!(trouble.contains(expected), "{expected}: {trouble}");
        assert!(runtimes.counters().failed > 0);
    }
}

#[test]
fn an_answer_about_another_container_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let _docker = FakeDocker::start(&socket, |target, stream| {
        let other = vec![(id(2), "other".to_owned())];
        let target =
            if target.starts_with("/containers/0") { format!("/containers/{}/json", id(2)) } else { target.into() };
        well_behaved(&target, stream, &other);
    });
    let mut runtimes = start(settings(vec![endpoint(Api::Docker, &socket)]));
    connected(&runtimes, 1);
    assert_eq!(ask(&mut runtimes, &id(1)), None);
    assert_eq!(&*ask(&mut runtimes, &id(2)).unwrap().name, "other");
}

#[test]
fn a_docker_that_hangs_or_drips_misses_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let _docker = FakeDocker::start(&socket, |target, stream| {
        if target.starts_with("/containers/0") {
            while stream.write_all(b"H").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        } else {
            well_behaved(target, stream, &[]);
        }
    });
    let mut runtimes = start(settings(vec![endpoint(Api::Docker, &socket)]));
    connected(&runtimes, 1);
    let begun = Instant::now();
    assert_eq!(ask(&mut runtimes, &id(1)), None);
    assert!(begun.elapsed() < DEADLINE * 8, "four attempts: {:?}", begun.elapsed());
    let trouble = runtimes.endpoints()[0].trouble.clone().unwrap_or_default();
    assert!(trouble.contains("no answer within 300ms"), "{trouble}");
}

#[test]
fn a_socket_nobody_accepts_on_is_told_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &socket)]));
    assert_eq!(ask(&mut runtimes, &id(1)), None);
    let trouble = runtimes.endpoints()[0].trouble.clone().expect("a reason");
    assert!(trouble.contains("Connection refused") && trouble.contains("start the runtime"), "{trouble}");
    std::fs::remove_file(&socket).unwrap();
    let _cri = FakeCri::start(&socket, Shared::new(Knows { sandboxes: vec![pod(1)], ..Knows::default() }));
    assert_eq!(&*next(&mut runtimes, |answer| !answer.asked).id, id(1), "what could not be said before comes as news");
    assert!(ask(&mut runtimes, &id(1)).is_some());
}

#[test]
fn a_socket_that_appears_is_found_and_one_that_vanishes_is_let_go() {
    let root = tempfile::tempdir().unwrap();
    let mut runtimes = start(Settings { root: root.path().into(), ..settings(Vec::new()) });
    assert_eq!(ask(&mut runtimes, &id(1)), None);
    assert!(runtimes.endpoints().is_empty());
    let socket = root.path().join("run/containerd/containerd.sock");
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let cri = FakeCri::start(&socket, Shared::new(Knows { sandboxes: vec![pod(1)], ..Knows::default() }));
    assert_eq!(&*next(&mut runtimes, |answer| !answer.asked).id, id(1));
    assert_eq!(runtimes.endpoints()[0].endpoint, endpoint(Api::Cri, Path::new("/run/containerd/containerd.sock")));
    drop(cri);
    wait_until("it is let go", || runtimes.endpoints().is_empty());
    assert!(ask(&mut runtimes, &id(1)).is_some(), "what was learned stays");
    assert_eq!(ask(&mut runtimes, &id(2)), None);
}

#[test]
fn after_a_restart_of_the_runtime_what_is_new_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let knows = Shared::new(Knows { sandboxes: vec![pod(1)], containers: vec![container(2, 1)], ..Knows::default() });
    let cri = FakeCri::start(&socket, knows.clone());
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &socket)]));
    let mut news = [next(&mut runtimes, |a| !a.asked).id, next(&mut runtimes, |a| !a.asked).id];
    news.sort();
    assert_eq!(news.map(|id| id.to_string()), [id(1), id(2)]);
    drop(cri);
    knows.with(|knows| knows.containers.push(container(3, 1)));
    let _cri = FakeCri::start(&socket, knows);
    let news = next(&mut runtimes, |answer| !answer.asked);
    assert_eq!(*news.id, id(3), "and what was known is not told again");
    assert_eq!(&*news.container.unwrap().pod.as_ref().unwrap().name, "pod-1");
}

#[test]
fn an_id_is_asked_for_again_until_the_runtime_lists_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let knows = Shared::new(Knows::default());
    let _cri = FakeCri::start(&socket, knows.clone());
    let mut runtimes = start(Settings { unknown_for: DEADLINE, ..settings(vec![endpoint(Api::Cri, &socket)]) });
    connected(&runtimes, 1);
    let asked = |knows: &mut Knows| {
        knows.calls.iter().filter(|(method, one, _)| method == "ListContainers" && *one == id(2)).count()
    };
    assert!(runtimes.ask(&id(2)) && runtimes.ask(&id(2)), "twice, and one answer");
    wait_until("it was asked twice", || knows.with(asked) >= 2);
    knows.with(|knows| (knows.containers.push(container(2, 1)), knows.sandboxes.push(pod(1))));
    assert_eq!(&*answer_about(&mut runtimes, &id(2)).container.unwrap().name, "container-2");

    // A runtime that does not tell is no runtime that does not know: it is asked again at once.
    knows.with(|knows| knows.manner = Manner::Status(2));
    assert!(runtimes.ask(&id(4)));
    assert!(!answer_about(&mut runtimes, &id(4)).certain);
    knows.with(|knows| (knows.manner = Manner::Well, knows.containers.push(container(4, 1))));
    assert!(ask(&mut runtimes, &id(4)).is_some());

    // Given up after all attempts, and not asked for again at once.
    assert!(runtimes.ask(&id(3)));
    assert!(answer_about(&mut runtimes, &id(3)).certain);
    let calls = knows.with(|knows| knows.calls.len());
    assert_eq!(ask(&mut runtimes, &id(3)), None);
    assert_eq!(knows.with(|knows| knows.calls.len()), calls, "nobody was asked");
    std::thread::sleep(DEADLINE);
    knows.with(|knows| knows.containers.push(container(3, 1)));
    assert!(ask(&mut runtimes, &id(3)).is_some(), "later it is");
    let counters = runtimes.counters();
    assert_eq!((counters.asked, counters.found, counters.unknown, counters.failed), (7, 3, 3, 4));
}

#[test]
fn questions_beyond_the_limit_are_refused_and_those_before_answered() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let _cri = FakeCri::start(&socket, Shared::new(Knows { manner: Manner::Hangs, ..Knows::default() }));
    let mut runtimes = start(Settings { questions: 8, ..settings(vec![endpoint(Api::Cri, &socket)]) });
    let begun = Instant::now();
    let accepted = (0..100).filter(|n| runtimes.ask(&id(*n))).count();
    assert!(begun.elapsed() < DEADLINE * 4, "asking never waits: {:?}", begun.elapsed());
    assert_eq!((accepted, runtimes.counters().refused), (8, 92));
    for _ in 0..8 {
        assert_eq!(next(&mut runtimes, |answer| answer.asked).container, None);
    }
    assert!(runtimes.ask(&id(1)), "there is room again");
    assert!(!runtimes.ask("not an id") && !runtimes.ask(&"A".repeat(64)));
}

#[test]
fn floods_of_labels_and_names_are_cut_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let labels = (0..5000).map(|n| (format!("label-{n}"), "x".repeat(40))).collect();
    let mut flooded = Listed { labels, ..container(2, 1) };
    flooded.metadata = Some(Named { name: "ä".repeat(10_000) });
    let knows = Knows { sandboxes: vec![pod(1)], containers: vec![flooded], ..Knows::default() };
    let _cri = FakeCri::start(&socket, Shared::new(knows));
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &socket)]));
    let container = next(&mut runtimes, |answer| *answer.id == *id(2)).container.unwrap();
    assert_eq!((container.labels.len(), container.name.len()), (PAIRS, NAME_BYTES));
    assert!(container.name.chars().all(|c| c == 'ä'), "cut between characters");
    assert_eq!(runtimes.counters().truncated, 1);
}

#[test]
fn news_that_nobody_collects_are_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let knows = Knows { sandboxes: (1..=1500).map(pod).collect(), ..Knows::default() };
    let _cri = FakeCri::start(&socket, Shared::new(knows));
    let mut runtimes = start(Settings { remembered: 1200, ..settings(vec![endpoint(Api::Cri, &socket)]) });
    wait_until("all were told", || {
        let counters = runtimes.counters();
        counters.news + counters.unheard == 1500
    });
    let counters = runtimes.counters();
    assert_eq!((counters.news, counters.unheard, counters.evicted), (1024, 476, 300));
    assert!(ask(&mut runtimes, &id(1400)).is_some() && ask(&mut runtimes, &id(1)).is_some(), "questions go before");
}

#[test]
fn containers_are_told_as_they_begin_where_the_runtime_has_events() {
    let dir = tempfile::tempdir().unwrap();
    let (cri, docker) = (dir.path().join("cri.sock"), dir.path().join("docker.sock"));
    let knows = Shared::new(Knows::default());
    let fake = FakeCri::start(&cri, knows.clone());
    let recorded = include_str!("recorded/docker-event.json");
    let cart = recorded.split('"').find(|word| word.len() == 64).unwrap().to_owned();
    let names = vec![(cart.clone(), "cart".to_owned())];
    let _docker = FakeDocker::start(&docker, move |target, stream| {
        if target.starts_with("/events") {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nnonsense\n");
            let _ = stream.write_all(recorded.as_bytes());
            let _ = std::io::copy(stream, &mut std::io::sink());
        } else {
            well_behaved(target, stream, &names);
        }
    });
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &cri), endpoint(Api::Docker, &docker)]));
    assert_eq!(*next(&mut runtimes, |answer| !answer.asked).id, cart);
    wait_until("events are listened to", || {
        knows.with(|knows| knows.calls.iter().any(|(method, ..)| method == "GetContainerEvents"))
    });
    knows.with(|knows| (knows.sandboxes.push(pod(1)), knows.containers.push(container(2, 1))));
    fake.event(Event { id: id(7), kind: 3 }); // deleted: nobody asks for it
    fake.event(Event { id: id(2), kind: 0 });
    assert_eq!(*next(&mut runtimes, |answer| !answer.asked).id, id(2));
    assert!(!knows.with(|knows| knows.calls.iter().any(|(_, one, _)| *one == id(7))));
    assert_eq!(runtimes.counters().failed, 0, "{:?}", runtimes.endpoints());
}

#[test]
fn when_docker_ends_its_events_it_is_asked_anew_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let listings = Shared::new(0);
    let count = listings.clone();
    let _docker = FakeDocker::start(&socket, move |target, stream| match target {
        "/containers/json" if count.with(|n| std::mem::replace(n, *n + 1)) > 0 => {
            reply(stream, 200, format!(r#"[{{"Id":"{}"}},{{"Id":"short"}}]"#, id(5)).as_bytes());
        }
        _ if target.starts_with("/events") => reply(stream, 200, b""),
        _ => well_behaved(target, stream, &[(id(5), "five".into())]),
    });
    let mut runtimes = start(settings(vec![endpoint(Api::Docker, &socket)]));
    assert_eq!(&*next(&mut runtimes, |answer| !answer.asked).container.unwrap().name, "five");
    assert!(listings.with(|n| *n) >= 2);
}

#[test]
fn the_cri_names_a_container_better_than_docker_does() {
    let dir = tempfile::tempdir().unwrap();
    let (cri, docker) = (dir.path().join("cri.sock"), dir.path().join("docker.sock"));
    let manner = Manner::Slowly(Duration::from_millis(60));
    let knows = Shared::new(Knows { manner, ..Knows::default() });
    let _cri = FakeCri::start(&cri, knows.clone());
    let names: Vec<_> = (10..20).map(|n| (id(n), "k8s_web_web-1_shop_0")).collect();
    let _docker = FakeDocker::knowing(&docker, &names);
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &cri), endpoint(Api::Docker, &docker)]));
    connected(&runtimes, 2);
    knows.with(|knows| {
        knows.sandboxes.push(pod(1));
        knows.containers.extend((10..20).map(|n| container(n, 1)));
        knows.manner = Manner::Slowly(Duration::from_millis(20));
    });
    std::thread::sleep(Duration::from_millis(150)); // the listing of a moment ago is over
    for n in 10..20 {
        assert_eq!(*ask(&mut runtimes, &id(n)).unwrap().name, format!("container-{n}"));
    }
}

#[test]
fn a_runtime_of_the_older_api_and_one_that_is_named_by_its_version_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let knows = Knows { version: "v1alpha2", sandboxes: vec![pod(1)], ..Knows::default() };
    let _cri = FakeCri::start(&socket, Shared::new(knows));
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &socket)]));
    let container = ask(&mut runtimes, &id(1)).unwrap();
    assert_eq!((&*container.runtime, container.sandbox), ("fake", true));
}

#[test]
fn connections_end_with_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let knows = Shared::new(Knows { manner: Manner::Hangs, ..Knows::default() });
    let _cri = FakeCri::start(&socket, knows.clone());
    let mut runtimes = start(settings(vec![endpoint(Api::Cri, &socket)]));
    assert!(runtimes.ask(&id(1)));
    wait_until("it is connected", || knows.with(|knows| knows.open == 1));
    drop(runtimes);
    wait_until("it is not any more", || knows.with(|knows| knows.open == 0));
}

/// A user's runtime can claim any id. Its socket tells whose it is.
#[test]
fn what_a_users_runtime_claims_yields_to_the_systems() {
    root_or_skip!();
    const NOBODY: u32 = 65534;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let (theirs, ours) = (dir.path().join("user.sock"), dir.path().join("system.sock"));
    let mut server = command("python3");
    server.args(["-c", CLAIMS_ALL]).arg(&theirs).arg(NOBODY.to_string());
    let _server = Process::spawn("claims", &mut server, dir.path());
    wait_until("it listens", || theirs.exists());
    let slow = (id(2), "cart".to_owned());
    let _docker = FakeDocker::start(&ours, move |target, stream| {
        if target.starts_with("/containers/0") {
            std::thread::sleep(Duration::from_millis(30));
        }
        well_behaved(target, stream, std::slice::from_ref(&slow));
    });
    let mut runtimes = start(settings(vec![endpoint(Api::Docker, &theirs), endpoint(Api::Docker, &ours)]));
    connected(&runtimes, 2);
    let container = ask(&mut runtimes, &id(2)).unwrap();
    assert_eq!((&*container.name, container.user), ("cart", 0));
    let container = ask(&mut runtimes, &id(3)).unwrap();
    assert_eq!((&*container.name, container.user), ("claimed", NOBODY), "told with whose word it is");
    // And it is not heard without a question: it could tell for ever.
    let requests = std::fs::read_to_string(dir.path().join("requests")).unwrap();
    let container = |n| format!("/containers/{}/json", id(n));
    assert_eq!(requests.lines().collect::<Vec<_>>(), ["/version", &container(2), &container(3)]);
}

/// Has every container that it is asked for, and notes who asks for what.
const CLAIMS_ALL: &str = r#"
import os, sys, socket
path = sys.argv[1]
os.setresuid(*[int(sys.argv[2])] * 3)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(16)
while True:
    stream = listener.accept()[0]
    target = stream.makefile('rb').readline().split()[1].decode()
    with open(os.path.dirname(path) + '/requests', 'a') as requests: requests.write(target + '\n')
    if target == '/version': body = '{"ApiVersion":"1.41"}'
    else: body = '{"Id":"%s","Name":"/claimed","Config":{"Image":"theirs"}}' % target.split('/')[2]
    stream.sendall(b'HTTP/1.0 200 OK\r\n\r\n' + body.encode())
    stream.close()
"#;
