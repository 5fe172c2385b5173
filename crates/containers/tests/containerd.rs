//! Against a real containerd: pods, containers and sandboxes as its CRI plugin has them.

mod lab;

use lab::containerd::{ContainerPlan, Containerd, PodPlan};
use lab::image::IMAGE;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steth_containers::{Api, Container, Endpoint, Names, Runtimes, Settings};

const LIMIT: Duration = Duration::from_secs(20);
/// How a secret would look that must not survive.
const SECRET: &str = "hunter2-correct-horse-battery-staple";

fn settings(socket: &Path) -> Settings {
    Settings {
        endpoints: vec![Endpoint { api: Api::Cri, path: socket.to_owned() }],
        look_again: Duration::from_millis(100),
        ..Settings::default()
    }
}

/// Asks, and waits for that answer; news about others may come before.
fn ask(runtimes: &mut Runtimes, id: &str) -> Option<Arc<Container>> {
    assert!(runtimes.ask(id), "there is room for {id}");
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        match runtimes.answer(Duration::from_millis(100)) {
            Some(answer) if answer.asked => {
                assert_eq!(&*answer.id, id);
                return answer.container;
            }
            _ => {}
        }
    }
    panic!("no answer about {id}: {:?} {:?}", runtimes.counters(), runtimes.endpoints());
}

#[test]
fn pods_containers_and_sandboxes_are_told_apart() {
    root_or_skip!();
    let containerd = Containerd::start();
    let web = containerd.pod(&PodPlan {
        name: "web-1",
        namespace: "shop",
        uid: "11111111-2222-3333-4444-555555555555",
        labels: &[("app", "web"), ("io.kubernetes.pod.name", "web-1")],
    });
    let db = containerd.pod(&PodPlan { name: "web-1", namespace: "back", uid: "db-uid", labels: &[("app", "db")] });
    let nginx = containerd.container(
        &web,
        &ContainerPlan {
            name: "nginx",
            labels: &[("io.kubernetes.container.name", "nginx"), ("tier", "front")],
            environment: &[("OTEL_SERVICE_NAME", "cart"), ("PASSWORD", SECRET), ("TEAM", "a=b \"c\"")],
            ..ContainerPlan::default()
        },
    );
    let sidecar = containerd.container(&web, &ContainerPlan { name: "sidecar", ..ContainerPlan::default() });

    let environment = Names::exact(["OTEL_SERVICE_NAME", "TEAM", "FROM_IMAGE"]);
    let mut runtimes = Runtimes::start(Settings { environment, ..settings(&containerd.socket()) }).unwrap();

    // What runs is told without a question.
    let mut news = BTreeMap::new();
    let until = Instant::now() + LIMIT;
    while news.len() < 4 && Instant::now() < until {
        if let Some(answer) = runtimes.answer(Duration::from_millis(100)) {
            assert!(!answer.asked);
            news.insert(answer.id.to_string(), answer.container.expect("news are about containers"));
        }
    }
    let ids: Vec<&str> = news.keys().map(String::as_str).collect();
    let mut expected = [&web.sandbox, &db.sandbox, &nginx, &sidecar];
    expected.sort();
    assert_eq!(ids, expected, "{:?}", runtimes.endpoints());

    let container = &news[&nginx];
    assert_eq!((&*container.name, &*container.image, &*container.runtime), ("nginx", IMAGE, "containerd"));
    assert_eq!((container.sandbox, container.user), (false, 0));
    assert_eq!(container.labels.get("tier"), Some("front"));
    let environment: Vec<_> = container.environment.iter().collect();
    assert_eq!(environment, [("FROM_IMAGE", "yes"), ("OTEL_SERVICE_NAME", "cart"), ("TEAM", "a=b \"c\"")]);
    let pod = container.pod.as_ref().expect("its pod");
    assert_eq!((&*pod.name, &*pod.namespace), ("web-1", "shop"));
    assert_eq!(&*pod.uid, "11111111-2222-3333-4444-555555555555");
    assert_eq!(pod.labels.get("app"), Some("web"));
    assert!(Arc::ptr_eq(pod, news[&sidecar].pod.as_ref().unwrap()), "containers of a pod share what is known of it");
    assert!(!format!("{runtimes:?}{news:?}").contains(SECRET), "a secret was kept");

    let sandbox = &news[&db.sandbox];
    assert!(sandbox.sandbox && news[&web.sandbox].sandbox && !news[&sidecar].sandbox);
    assert_eq!((&*sandbox.name, &*sandbox.pod.as_ref().unwrap().namespace), ("web-1", "back"));
    assert_eq!(sandbox.labels.get("app"), Some("db"));

    // The ids are those of the control groups of real processes.
    assert_eq!(containerd.processes(&nginx).len(), 1);

    // And asked for by id, as a cgroup shows it; also what has come since.
    assert_eq!(ask(&mut runtimes, &sidecar).expect("known").name, news[&sidecar].name);
    let late = containerd.create(&db, &ContainerPlan { name: "late", ..ContainerPlan::default() });
    let container = ask(&mut runtimes, &late).expect("a container that has not started yet");
    assert_eq!((&*container.name, &*container.pod.as_ref().unwrap().namespace), ("late", "back"));
    let pod = containerd.pod(&PodPlan { name: "new", namespace: "shop", uid: "u", ..PodPlan::default() });
    assert!(ask(&mut runtimes, &pod.sandbox).expect("a new sandbox").sandbox);
    assert_eq!(ask(&mut runtimes, &"0a".repeat(32)), None);
    let counters = runtimes.counters();
    assert_eq!((counters.asked, counters.found, counters.unknown, counters.failed), (4, 3, 1, 0));
    assert_eq!((counters.refused, counters.truncated, counters.unheard), (0, 0, 0));
}

#[test]
fn a_containerd_that_is_restarted_is_asked_anew() {
    root_or_skip!();
    let mut containerd = Containerd::start();
    let mut runtimes = Runtimes::start(settings(&containerd.socket())).unwrap();
    let plan = PodPlan { name: "web-1", namespace: "shop", uid: "u1", ..PodPlan::default() };
    let first = containerd.pod(&plan);
    assert!(ask(&mut runtimes, &first.sandbox).is_some());
    containerd.stop();
    assert!(ask(&mut runtimes, &first.sandbox).is_some(), "what was learned stays");
    assert_eq!(ask(&mut runtimes, &"0b".repeat(32)), None, "and nobody waits for who is gone");
    containerd.start_again();
    let second = containerd.pod(&PodPlan { name: "web-2", uid: "u2", ..plan });
    let container = containerd.container(&second, &ContainerPlan { name: "nginx", ..ContainerPlan::default() });
    let known = ask(&mut runtimes, &container).expect("the new one answers");
    assert_eq!(&*known.pod.as_ref().unwrap().name, "web-2");
}
