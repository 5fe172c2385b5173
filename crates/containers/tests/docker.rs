//! Against a real dockerd.

mod fakes;
mod lab;

use fakes::{ask, next, wait_until};
use lab::docker::Docker;
use std::time::Duration;
use steth_containers::{Api, Endpoint, Names, Runtimes, Settings};

const SECRET: &str = "hunter2-correct-horse-battery-staple";

#[test]
fn containers_of_docker_are_known_before_they_run() {
    root_or_skip!();
    let mut docker = Docker::start();
    let secret = format!("PASSWORD={SECRET}");
    let cart = docker.make(&["run", "-d"], "cart", &["--label", "a=b", "-e", &secret, "-e", "TEAM=shop"]);
    let endpoints = vec![
        Endpoint { api: Api::Cri, path: docker.containerd() },
        Endpoint { api: Api::Docker, path: docker.socket() },
    ];
    let (environment, look_again) = (Names::exact(["TEAM"]), Duration::from_millis(100));
    let pauses = vec![Duration::from_millis(50), Duration::from_millis(500)];
    let settings = Settings { endpoints, environment, look_again, pauses, ..Settings::default() };
    let mut runtimes = Runtimes::start(settings).unwrap();
    let news = next(&mut runtimes, |answer| !answer.asked).container.unwrap();
    assert_eq!((&*news.id, &*news.name, &*news.image), (&*cart, "cart", lab::image::IMAGE));
    assert_eq!((&*news.runtime, news.user, news.sandbox, news.pod.as_ref()), ("docker", 0, false, None));
    assert_eq!((news.labels.get("a"), news.environment.get("TEAM")), (Some("b"), Some("shop")));
    assert!(!format!("{news:?}").contains(SECRET), "a secret was kept");

    // Docker's own containerd has the CRI switched off, and says so.
    wait_until("its containerd has refused", || {
        let cri = runtimes.endpoints().into_iter().find(|state| state.endpoint.api == Api::Cri);
        cri.and_then(|state| state.trouble).is_some_and(|trouble| trouble.contains("not served here"))
    });

    // Created, and not started: its event tells of it. So does that of another name.
    let late = docker.make(&["create"], "late", &[]);
    assert_eq!(*next(&mut runtimes, |answer| !answer.asked).id, *late);
    docker.client(&["rename", "late", "later"]);
    let renamed = next(&mut runtimes, |answer| !answer.asked).container.unwrap();
    assert_eq!((&*renamed.id, &*renamed.name), (&*late, "later"));
    assert_eq!(&*ask(&mut runtimes, &late).unwrap().name, "later");
    assert_eq!(ask(&mut runtimes, &"0a".repeat(32)), None);

    docker.stop();
    assert_eq!(&*ask(&mut runtimes, &cart).unwrap().name, "cart", "what was learned stays");
    assert_eq!(ask(&mut runtimes, &"0b".repeat(32)), None, "and nobody waits for who is gone");
    docker.start_again();
    wait_until("it is reached again", || {
        runtimes.endpoints().iter().any(|state| state.endpoint.api == Api::Docker && state.runtime.is_some())
    });
    let new = docker.make(&["run", "-d"], "new", &[]);
    assert_eq!(&*ask(&mut runtimes, &new).unwrap().name, "new");
}
