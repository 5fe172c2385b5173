//! What the thread costs in memory, with as many containers as a full node has.

mod fakes;

use fakes::cri::{FakeCri, Knows, Listed, Metadata, Named, Sandbox};
use fakes::{Shared, id, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use steth_containers::{Api, Endpoint, Runtimes, Settings};

const SOCKET: &str = "STETH_TEST_SOCKET";
const PODS: u64 = 250;
const CONTAINERS: u64 = 500;

/// KiB of memory that is this process's own.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("one's own memory");
    let of = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).expect("a line");
        line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
    };
    of("Private_Dirty:") + of("Private_Clean:")
}

#[test]
fn a_full_node_fits_into_a_few_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("cri.sock");
    let labels = |n: u64| -> std::collections::BTreeMap<String, String> {
        (0..12).map(|label| (format!("app.kubernetes.io/label-{label}"), format!("value-{n}-{label}"))).collect()
    };
    let sandboxes = (0..PODS).map(|n| {
        let metadata = Metadata { name: format!("shop-7d4b9c-{n}"), uid: format!("{n:036}"), namespace: "shop".into() };
        Sandbox { id: id(n), metadata: Some(metadata), state: 0, labels: labels(n) }
    });
    let containers = (0..CONTAINERS).map(|n| Listed {
        id: id(10_000 + n),
        sandbox: id(n % PODS),
        metadata: Some(Named { name: format!("container-{n}") }),
        state: 1,
        labels: labels(n),
    });
    let knows = Knows { sandboxes: sandboxes.collect(), containers: containers.collect(), ..Knows::default() };
    let _cri = FakeCri::start(&socket, Shared::new(knows));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "collects_and_weighs_itself", "--ignored", "--nocapture"])
        .env(SOCKET, &socket)
        .output()
        .expect("the child starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}

/// Run by the test above, in a process of its own.
#[test]
#[ignore = "a part of a_full_node_fits_into_a_few_mebibytes"]
fn collects_and_weighs_itself() {
    let path = PathBuf::from(std::env::var_os(SOCKET).expect("run by the other test"));
    let before = resident();
    let mut idle = Runtimes::start(Settings { root: Path::new("/nowhere").into(), ..Settings::default() }).unwrap();
    assert!(idle.ask(&id(1)));
    let _ = idle.answer(Duration::from_secs(10)).expect("an answer");
    let alone = resident() - before;
    drop(idle);
    let endpoints = vec![Endpoint { api: Api::Cri, path }];
    let mut runtimes = Runtimes::start(Settings { endpoints, ..Settings::default() }).unwrap();
    let mut known = 0;
    wait_until("all are known", || {
        known += std::iter::from_fn(|| runtimes.answer(Duration::ZERO)).count() as u64;
        known == PODS + CONTAINERS
    });
    let all = resident() - before;
    println!("KiB: without a runtime {alone}, with {PODS} pods and {CONTAINERS} containers {all}");
    assert!(alone < 1024 && all < 6 * 1024, "{alone} and {all} KiB");
}
