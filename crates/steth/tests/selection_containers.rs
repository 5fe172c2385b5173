//! Which containers are observed. The cgroups are real and the test's own; what a container is called is said by the test, as a
//! runtime would.

use crate::lab;
use crate::lab::cgroup::{Cgroup, digits, hierarchies, id};
use crate::lab::process::command;
use crate::lab::runtimes::programs;
use crate::lab::selection::{Talker, Watched, patterns, selection};
use crate::lab::{Process, RedisServer, alone};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use steth_event::{CGROUP_GONE, CGROUP_JOINED, CGROUP_MADE};
use steth_probe::Selection;
use steth_verdict::{ContainerFacts, Patterns, Rows};

fn named(name: &str) -> ContainerFacts {
    let labels = vec![("app".to_owned(), name.to_owned())];
    ContainerFacts { name: Some(name.to_owned()), labels, ..ContainerFacts::default() }
}

fn by_name(include: &[&str], exclude: &[&str]) -> Selection {
    selection(&Rows { container: patterns(include, exclude), ..Rows::default() })
}

/// Whether the last image of a process began before its container was decided.
fn says_undecided(watched: &Watched, pid: u32) -> bool {
    let last = watched.execs.iter().rfind(|(exec, _)| exec.tgid == pid);
    last.expect("an exec").0.undecided != 0
}

/// Whether a process is seen, on the connection that it has and on a new one; or on neither.
fn seen(watched: &mut Watched, talker: &mut Talker) -> bool {
    watched.chunks_of(talker.pid());
    let seen = ["ping", "fresh"].map(|what| {
        talker.tell(what);
        watched.chunks_of(talker.pid())
    });
    assert!(seen == [0, 0] || seen.iter().all(|records| *records >= 2), "{seen:?}");
    seen[0] > 0
}

#[test]
fn a_container_is_found_in_every_hierarchy_and_under_every_name() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let all = hierarchies();
    let rows = by_name(&["cart"], &[]);
    let mut watched = Watched::attach(&redis, &rows);
    let mut cases: Vec<_> = all.iter().map(|one| (vec![one.clone()], "ID")).collect();
    for name in [
        "ID",
        "docker-ID.scope",
        "kubepods-pod8.slice:cri-containerd:ID",
        "libpod-ID.scope/container",
        "a/b/crio-ID.scope/c/d",
    ] {
        cases.push((all.clone(), name));
    }
    for (n, (hierarchies, name)) in cases.into_iter().enumerate() {
        let id = id(n as u8);
        let cgroup = Cgroup::make(&hierarchies, &name.replace("ID", &digits(&id)));
        watched.drain();
        let made = watched.changes.iter().filter(|c| c.change == CGROUP_MADE && c.id == id).count();
        assert_eq!(made, hierarchies.len(), "{name} in {hierarchies:?} is announced");
        let undecided = Talker::start_to(&redis, "x", "127.0.0.1", Some(&cgroup));
        assert_eq!(watched.chunks_of(undecided.pid()), 0, "{name} in {hierarchies:?}, undecided");
        assert!(says_undecided(&watched, undecided.pid()), "{name} in {hierarchies:?}: and said so");
        watched.container(id, &named("cart"));
        watched.execs.clear();
        let mut talker = Talker::start_to(&redis, "x", "127.0.0.1", Some(&cgroup));
        assert!(watched.chunks_of(talker.pid()) >= 3, "{name} in {hierarchies:?}: from its first exchange on");
        assert!(seen(&mut watched, &mut talker));
        let last = watched.execs.iter().rfind(|(exec, _)| exec.tgid == talker.pid()).expect("an exec");
        assert_eq!(last.1, Some(id), "{name} in {hierarchies:?}: the exec says where");
        assert!(!says_undecided(&watched, talker.pid()), "{name} in {hierarchies:?}: decided");
        drop((undecided, talker));
        drop(cgroup);
        watched.drain();
        assert!(watched.changes.iter().any(|c| c.change == CGROUP_GONE && c.id == id), "{name}: gone");
        // Its verdict went with it: whoever has its id now is another one.
        watched.heed();
        let again = Cgroup::make(&hierarchies, &name.replace("ID", &digits(&id)));
        let talker = Talker::start_to(&redis, "x", "127.0.0.1", Some(&again));
        assert_eq!(watched.chunks_of(talker.pid()), 0, "{name} in {hierarchies:?}: undecided again");
    }
    // Not an id.
    let almost = digits(&id(200));
    for name in [
        &almost[1..],
        &format!("x{almost}"),
        &format!("{}g", &almost[1..]),
        &format!("docker-{almost}.slice"),
        // The process that watches over a container.
        &format!("libpod-conmon-{almost}.scope"),
        &format!("crio-conmon-{almost}.scope"),
        &format!("conmon-{almost}g"),
    ] {
        let cgroup = Cgroup::make(&all, name);
        watched.execs.clear();
        let talker = Talker::start_to(&redis, "x", "127.0.0.1", Some(&cgroup));
        watched.drain();
        let execs: Vec<_> = watched.execs.iter().filter(|(exec, _)| exec.tgid == talker.pid()).collect();
        assert!(execs.iter().all(|(_, container)| container.is_none()), "{name}: {execs:?}");
    }
}

/// Rows, and whether the container `cart`, the container `db` and a process outside are selected.
fn every_row() -> Vec<(&'static str, Selection, [bool; 3])> {
    let label =
        |include: &[&str], exclude: &[&str]| selection(&Rows { label: patterns(include, exclude), ..Rows::default() });
    let pod = |lists: Patterns| selection(&Rows { pod: lists, ..Rows::default() });
    let and_marked = Rows {
        container: patterns(&["cart", "db"], &[]),
        environment: patterns(&[], &["STETH_MARK=db"]),
        ..Rows::default()
    };
    vec![
        ("include", by_name(&["^cart$"], &[]), [true, false, false]),
        ("exclude", by_name(&[], &["^cart$"]), [false, true, true]),
        ("both", by_name(&["."], &["db"]), [true, false, false]),
        ("label, include", label(&["app=db"], &[]), [false, true, false]),
        ("label, exclude", label(&[], &["app=db"]), [true, false, true]),
        ("pod, which none has, include", pod(patterns(&["."], &[])), [false, false, false]),
        ("pod, which none has, exclude", pod(patterns(&[], &["."])), [true, true, true]),
        ("with a row of processes", selection(&and_marked), [true, false, false]),
    ]
}

#[test]
fn every_row_holds_for_new_and_running_processes_open_connections_and_after_a_reload() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let all = hierarchies();
    let (ids, facts) = ([id(1), id(2)], [named("cart"), named("db")]);
    let cgroups = ids.map(|id| Cgroup::make(&all, &digits(&id)));
    let places = [Some(&cgroups[0]), Some(&cgroups[1]), None];
    let start = || [0, 1, 2].map(|n| Talker::start_to(&redis, ["cart", "db", "x"][n], "127.0.0.1", places[n]));
    let mut running = start();
    for (name, rows, expected) in every_row() {
        let mut watched = Watched::attach(&redis, &rows);
        let outside = expected[2];
        let undecided = [false, false, outside];
        assert_eq!(running.each_mut().map(|talker| seen(&mut watched, talker)), undecided, "{name}: undecided");
        let new = start();
        assert_eq!(new.map(|talker| watched.chunks_of(talker.pid()) > 0), undecided, "{name}: undecided and new");
        for (id, facts) in ids.iter().zip(&facts) {
            watched.container(*id, facts);
        }
        assert_eq!(running.each_mut().map(|talker| seen(&mut watched, talker)), expected, "{name}: running");
        let mut new = start();
        assert_eq!(new.each_ref().map(|talker| watched.chunks_of(talker.pid()) >= 3), expected, "{name}: new");
        assert_eq!(new.each_mut().map(|talker| seen(&mut watched, talker)), expected, "{name}: new, again");
        // Other rules, then none, then these again.
        let others = by_name(&["db"], &[]);
        for (rows, expected, when) in [
            (&others, [false, true, false], "others"),
            (&Selection::default(), [true; 3], "no rules"),
            (&rows, expected, "again"),
        ] {
            watched.reload(rows);
            assert_eq!(running.each_mut().map(|talker| seen(&mut watched, talker)), expected, "{name}: {when}");
            assert_eq!(new.each_mut().map(|talker| seen(&mut watched, talker)), expected, "{name}: {when}, new");
        }
    }
}

#[test]
fn a_process_that_is_moved_is_judged_by_where_it_is() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let (wanted, unwanted) = (id(3), id(4));
    for hierarchies in hierarchies().into_iter().map(|one| vec![one]).chain([hierarchies()]) {
        let [cart, db] = [wanted, unwanted].map(|id| Cgroup::make(&hierarchies, &digits(&id)));
        let rows = by_name(&["cart"], &[]);
        let mut watched = Watched::attach(&redis, &rows);
        watched.container(wanted, &named("cart"));
        watched.container(unwanted, &named("db"));
        let mut talker = Talker::start(&redis, "x");
        assert!(!seen(&mut watched, &mut talker));
        for (place, expected) in [(&cart, true), (&db, false), (&cart, true)] {
            place.take(talker.pid());
            assert_eq!(seen(&mut watched, &mut talker), expected, "{place:?}");
        }
        cart.release(talker.pid());
        assert!(!seen(&mut watched, &mut talker), "out of {cart:?}");
        // With rows of processes, user space has to look: the record asks for it, and until then the safe side holds.
        let rows = selection(&Rows {
            container: patterns(&["cart"], &[]),
            environment: patterns(&["STETH_MARK=x"], &[]),
            ..Rows::default()
        });
        watched.reload(&rows);
        watched.drain();
        watched.changes.clear();
        cart.take(talker.pid());
        assert!(!seen(&mut watched, &mut talker), "nobody has looked");
        let asked = watched.changes.iter().filter(|c| c.change == CGROUP_JOINED);
        assert!(asked.map(|c| (c.tgid, c.id)).any(|asked| asked == (talker.pid(), wanted)), "{:?}", watched.changes);
        watched.heed();
        assert!(seen(&mut watched, &mut talker));
        cart.release(talker.pid());
        assert!(!seen(&mut watched, &mut talker), "out of {cart:?}");
        drop(talker);
    }
}

/// `servers/c/short.c`
fn short(dir: &Path) -> PathBuf {
    let short = dir.join("short");
    let source = programs().join("c/short.c");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&short).arg(source).status();
    assert!(built.expect("a C compiler").success());
    short
}

/// clone3() puts a child into another cgroup before it runs: no tracepoint tells of a move, and no exec comes.
#[test]
fn a_child_that_is_born_in_another_container_is_judged_by_that() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let short = short(dir.path());
    let (ids, facts) = ([id(8), id(9)], [named("cart"), named("db")]);
    let cgroups = ids.map(|id| Cgroup::make(&hierarchies(), &digits(&id)));
    let Some(unified) = cgroups[0].unified() else {
        eprintln!("skipped: no hierarchy of version 2 can be written");
        return;
    };
    let rows = by_name(&["cart"], &[]);
    let mut watched = Watched::attach(&redis, &rows);
    for (id, facts) in ids.iter().zip(&facts) {
        watched.container(*id, facts);
    }
    let other = cgroups[1].unified().expect("as the first");
    for (into, expected) in [(unified, true), (other, false), (unified, true)] {
        let mut command = command(&short);
        let output = command.args([&redis.port.to_string(), "20", "x"]).arg(into).output().expect("it runs");
        assert!(output.status.success(), "{}", output.status);
        watched.drain();
        let text = String::from_utf8(output.stdout).expect("text");
        let pids: Vec<u32> = text.lines().map(|line| line.split(' ').next().unwrap().parse().expect("an id")).collect();
        assert_eq!(pids.len(), 20);
        for pid in pids {
            let records = watched.chunks.remove(&pid).unwrap_or(0);
            assert!(if expected { records >= 3 } else { records == 0 }, "{into:?}: {records} records of {pid}");
        }
    }
}

/// A thousand and more of them, in wanted and unwanted containers and with wanted and unwanted environments.
#[test]
fn processes_of_a_millisecond_leak_nothing_and_lose_nothing() {
    root_or_skip!();
    let _alone = alone();
    const TIMES: usize = 1500;
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let short = dir.path().join("short");
    let source = programs().join("c/short.c");
    let built =
        Command::new("cc").args(["-O2", "-static", "-o"]).arg(&short).arg(source).status().expect("a C compiler");
    assert!(built.success());
    let all = hierarchies();
    let (ids, facts) = ([id(5), id(6)], [named("cart"), named("db")]);
    let cgroups = ids.map(|id| Cgroup::make(&all, &digits(&id)));
    let with_marks = Rows {
        container: patterns(&["cart"], &[]),
        environment: patterns(&["STETH_MARK=yes"], &[]),
        ..Rows::default()
    };
    let by_mark = Rows { environment: patterns(&["STETH_MARK=yes"], &[]), ..Rows::default() };
    for (name, rows, expected) in [
        ("container", by_name(&["cart"], &[]), [true, true, false]),
        ("environment", selection(&by_mark), [true, false, true]),
        ("both", selection(&with_marks), [true, false, false]),
    ] {
        let mut watched = Watched::attach(&redis, &rows);
        for (id, facts) in ids.iter().zip(&facts) {
            watched.container(*id, facts);
        }
        let start = |cgroup: &Cgroup, mark: &str| {
            let script = format!("{}exec {} {} {TIMES} {mark}", cgroup.enter(), short.display(), redis.port);
            let mut command = command("sh");
            command.args(["-c", &script]).stdout(Stdio::piped());
            command.spawn().expect("it starts")
        };
        // In the wanted container with both marks, and in the other one with the right mark.
        let drivers = [start(&cgroups[0], "yes"), start(&cgroups[0], "no"), start(&cgroups[1], "yes")];
        let done = drivers.map(|driver| std::thread::spawn(move || driver.wait_with_output().expect("it ends")));
        while !done.iter().all(std::thread::JoinHandle::is_finished) {
            watched.probe.wait(Duration::from_millis(5));
            watched.drain();
        }
        watched.drain();
        let mut took = Vec::new();
        for (driver, (done, expected)) in done.into_iter().zip(expected).enumerate() {
            let output = done.join().expect("no panic");
            assert!(output.status.success(), "{name}, {driver}: {}", output.status);
            let text = String::from_utf8(output.stdout).expect("text");
            let lives: BTreeMap<u32, u64> = text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(pid, took)| (pid.parse().expect("an id"), took.parse().expect("a time")))
                .collect();
            assert_eq!(lives.len(), TIMES, "{name}: every id is another one");
            for pid in lives.keys() {
                let records = watched.chunks.get(pid).copied().unwrap_or(0);
                let right = if expected { records >= 3 } else { records == 0 };
                assert!(right, "{name}, {driver}: {records} records of process {pid}");
            }
            took.extend(lives.into_values());
        }
        took.sort_unstable();
        println!("{name}: half of them took at most {} µs, all of them {}", took[took.len() / 2], took[took.len() - 1]);
        let counters = watched.probe.counters();
        assert_eq!(counters[steth_event::counter::DROPPED_RECORDS], 0);
        assert_eq!(counters[steth_event::counter::VERDICTS_FULL], 0);
    }
}

/// The agent with rows for containers and nobody who knows what they are called: the safe side.
#[test]
fn an_agent_that_knows_no_names_observes_no_container() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let cgroup = Cgroup::make(&hierarchies(), &format!("docker-{}.scope", digits(&id(7))));
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), lab::free_port());
    let file = dir.path().join("steth.yaml");
    // Of this test alone: others may run beside it.
    let mark = format!("x-{}", std::process::id());
    let rows = format!(
        "selection:\n  environment: {{include: ['STETH_MARK=^{mark}$']}}\n  namespace: {{exclude: [secret]}}\n"
    );
    std::fs::write(&file, rows).expect("it can be written");
    let mut agent = command(env!("CARGO_BIN_EXE_steth"));
    agent.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file);
    let agent = Process::spawn("steth", &mut agent, dir.path());
    agent.wait_for("it watches", Duration::from_secs(20), || agent.errors().contains("watching"));
    let reported = || {
        let health = lab::curl(&[&format!("http://127.0.0.1:{port}/api/v1/health")]).body;
        let health: serde_json::Value = serde_json::from_slice(&health).expect("JSON");
        health["exchanges"]["redis"]["reported"].as_u64().expect("a number")
    };
    let metric = |name: &str| -> f64 {
        let metrics = lab::curl(&[&format!("http://127.0.0.1:{port}/metrics")]).body;
        let metrics = String::from_utf8(metrics).expect("text");
        let mut values =
            metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok());
        values.next().unwrap_or_else(|| panic!("no {name} in {metrics}"))
    };
    assert_eq!((metric("steth_undecided_total"), metric("steth_undecided_containers")), (0.0, 0.0));
    let made = Cgroup::make(&hierarchies(), &format!("docker-{}.scope", digits(&id(8))));
    let mut contained = Talker::start_to(&redis, &mark, "127.0.0.1", Some(&cgroup));
    let waits = || metric("steth_undecided_total") >= 1.0 && metric("steth_undecided_containers") >= 1.0;
    lab::wait_until("it says that somebody waits", Duration::from_secs(20), waits);
    drop(made);
    let none = || metric("steth_undecided_containers") == 0.0;
    lab::wait_until("the container that is gone does not wait any more", Duration::from_secs(20), none);
    let mut outside = Talker::start(&redis, &mark);
    lab::wait_until("the one outside", Duration::from_secs(20), || reported() == 1);
    contained.tell("ping");
    outside.tell("ping");
    lab::wait_until("the one outside, again", Duration::from_secs(20), || reported() == 2);
    // Moved, with a row for processes: the agent is asked, and looks.
    cgroup.take(outside.pid());
    outside.tell("ping");
    cgroup.release(outside.pid());
    lab::wait_until("it is seen again", Duration::from_secs(20), || {
        outside.tell("ping");
        std::thread::sleep(Duration::from_millis(1500));
        reported() > 2
    });
    let explain = |pid: u32| {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_steth"));
        doctor.args(["doctor", "--explain", &pid.to_string(), "--config"]).arg(&file);
        String::from_utf8(doctor.output().expect("it runs").stdout).expect("text")
    };
    let text = explain(contained.pid());
    assert!(text.contains("is not selected while nobody knows") && text.contains(&digits(&id(7))), "{text}");
    assert!(explain(outside.pid()).contains("is selected: no row"), "{}", explain(outside.pid()));
    std::fs::write(
        &file,
        "selection:\n  namespace: {include: [shop]}\n  port: {include: [80, 90-99]}\n  local: false\n",
    )
    .expect("it can be written");
    let text = explain(outside.pid());
    assert!(
        text.contains(r#"selection.namespace.include has nothing for it, of ["shop"]; it is in no container"#),
        "{text}"
    );
    assert!(
        text.contains("rows in force for connections: selection.port.include [80, 90-99]; selection.local false"),
        "{text}"
    );
    drop(contained);
}
