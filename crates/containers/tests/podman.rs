//! Against a real podman, through its API service.

mod lab;

use lab::podman::Podman;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use steth_containers::{Api, Endpoint, Names, Runtimes, Settings};

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "hunter2-correct-horse-battery-staple";

#[test]
fn containers_of_podman_are_known_and_infra_containers_told_apart() {
    root_or_skip!();
    let podman = Podman::start();
    let secret = format!("PASSWORD={SECRET}");
    let cart = podman.run("cart", &["--label", "a=b", "-e", &secret, "-e", "TEAM=shop"]);
    podman.pod("shop");
    let labels = ["pod.name=web-1", "pod.namespace=shop", "pod.uid=u1", "container.name=nginx"];
    let labels = labels.map(|label| format!("--label=io.kubernetes.{label}"));
    let mut options = vec!["--pod", "shop"];
    options.extend(labels.iter().map(String::as_str));
    let web = podman.run("k8s_nginx_web-1", &options);
    let infra = podman.infra("shop");

    let endpoints = vec![Endpoint { api: Api::Docker, path: podman.socket() }];
    let environment = Names::matching(|name| name == "TEAM");
    let mut runtimes = Runtimes::start(Settings { endpoints, environment, ..Settings::default() }).unwrap();
    let late = podman.run("late", &[]);
    for id in [&cart, &web, &infra, &late] {
        assert!(runtimes.ask(id));
    }
    let mut known = BTreeMap::new();
    let until = Instant::now() + LIMIT;
    while known.len() < 4 && Instant::now() < until {
        if let Some(answer) = runtimes.answer(Duration::from_millis(100)) {
            known.insert(answer.id.to_string(), answer.container.expect("each of them is known"));
        }
    }
    assert_eq!(known.len(), 4, "{:?} {:?}", runtimes.counters(), runtimes.endpoints());
    let container = &known[&cart];
    assert_eq!((&*container.name, &*container.image), ("cart", lab::image::IMAGE));
    assert_eq!((&*container.runtime, container.user, container.sandbox), ("podman", 0, false));
    assert_eq!((container.labels.get("a"), container.pod.as_ref()), (Some("b"), None));
    assert_eq!(container.environment.iter().collect::<Vec<_>>(), [("TEAM", "shop")]);
    let container = &known[&web];
    let pod = container.pod.as_ref().expect("its labels name a pod");
    assert_eq!((&*container.name, &*pod.name, &*pod.namespace, &*pod.uid), ("nginx", "web-1", "shop", "u1"));
    assert!(known[&infra].sandbox && !known[&web].sandbox && &*known[&late].name == "late");
    assert!(!format!("{known:?}").contains(SECRET), "a secret was kept");

    let nobody = "0a".repeat(32);
    assert!(runtimes.ask(&nobody));
    let answer = std::iter::from_fn(|| runtimes.answer(LIMIT)).find(|answer| *answer.id == *nobody).expect("an answer");
    assert_eq!(answer.container, None);
    assert_eq!((runtimes.counters().failed, runtimes.counters().unknown), (0, 1));
}
