//! Which connections are observed, whoever has them, and what of them is analysed: as it comes out of the ring, for new and open
//! connections, before and after a reload.

use crate::lab;
use crate::lab::process::command;
use crate::lab::selection::{Talker, Watched};
use crate::lab::{Process, RedisServer, together};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use steth_probe::Selection;
use steth_verdict::{Connections, Lists, Network, PortRange};

fn ports(include: &[&str], exclude: &[&str]) -> Lists<PortRange> {
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().expect("a port")).collect();
    Lists { include: parse(include), exclude: parse(exclude) }
}

fn networks(include: &[&str], exclude: &[&str]) -> Lists<Network> {
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().expect("a network")).collect();
    Lists { include: parse(include), exclude: parse(exclude) }
}

fn connections(port: Lists<PortRange>, remote: Lists<Network>, sampling: f64) -> Selection {
    let connections = Connections::new(port, remote, sampling).expect("good rows");
    Selection { connections, ..Selection::default() }
}

/// Name, where the client connects to, and rows with which the connection is observed, and with which it is not.
fn every_row(port: u16) -> Vec<(&'static str, &'static str, Selection, Selection)> {
    let by_port = |lists| connections(lists, Lists::default(), 1.0);
    let by_remote = |lists| connections(Lists::default(), lists, 1.0);
    let (own, range) = (port.to_string(), format!("{}-{}", port - 1, port + 1));
    let (v4, v6, mapped) = ("127.0.0.1", "::1", "::ffff:127.0.0.1");
    vec![
        ("port, include", v4, by_port(ports(&["1", &own], &[])), by_port(ports(&["1", "2-9"], &[]))),
        ("port, exclude", v4, by_port(ports(&[], &["1"])), by_port(ports(&[], &[&own]))),
        ("ports, IPv6", v6, by_port(ports(&[&range], &[])), by_port(ports(&[&range], &[&own]))),
        ("remote, include", v4, by_remote(networks(&["127.0.0.0/8"], &[])), by_remote(networks(&["10.0.0.0/8"], &[]))),
        ("remote, exclude", v4, by_remote(networks(&[], &["::/0"])), by_remote(networks(&[], &["127.0.0.1"]))),
        ("remote, both", v4, by_remote(networks(&["0.0.0.0/0"], &["128.0.0.0/1"])), {
            by_remote(networks(&["127.0.0.1"], &["127.0.0.0/16"]))
        }),
        ("remote, IPv6", v6, by_remote(networks(&["::1"], &["::2"])), by_remote(networks(&["0.0.0.0/0"], &[]))),
        ("remote, mapped", mapped, by_remote(networks(&["127.0.0.0/8"], &[])), by_remote(networks(&["::/0"], &[]))),
    ]
}

#[test]
fn every_row_holds_for_new_and_open_connections_and_after_a_reload() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    for (name, host, wanted, unwanted) in every_row(redis.port) {
        let mut talker = Talker::start_to(&redis, "x", host, None);
        let mut watched = Watched::attach(&redis, &wanted);
        let rounds = [(&wanted, true), (&unwanted, false), (&wanted, true), (&Selection::default(), true)];
        for (round, (rows, expected)) in rounds.into_iter().enumerate() {
            watched.reload(rows);
            watched.drain();
            for what in ["ping", "fresh"] {
                talker.tell(what);
                let (client, server) = (watched.chunks_of(talker.pid()), watched.chunks_of(redis.pid()));
                assert_eq!(client >= 2, expected, "{name}, {what}, round {round}: {client} records");
                assert_eq!(server >= 2, expected, "{name}, {what}, round {round}: {server} of the server");
                assert!(expected || client + server == 0, "{name}, {what}, round {round}: leaked");
            }
        }
        // A new process, under rules that it is not to be seen by.
        watched.reload(&unwanted);
        let new = Talker::start_to(&redis, "x", host, None);
        assert_eq!(watched.chunks_of(new.pid()), 0, "{name}: a new process");
        watched.reload(&wanted);
        let new = Talker::start_to(&redis, "x", host, None);
        assert!(watched.chunks_of(new.pid()) >= 3, "{name}: a new process that is wanted");
    }
}

#[test]
fn both_ends_agree_about_a_share_of_connections() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    const TRIES: usize = 400;
    for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        let mut talker = Talker::start_to(&redis, "x", host, None);
        let mut watched = Watched::attach(&redis, &connections(Lists::default(), Lists::default(), 0.25));
        talker.tell(&format!("fresh {TRIES}"));
        watched.drain();
        let of = |pid: u32, port: fn(&steth_event::Open) -> u16| -> BTreeSet<u16> {
            watched.opens.iter().filter(|open| open.tgid == pid).map(port).collect()
        };
        let client = of(talker.pid(), |open| open.local_port);
        let server = of(redis.pid(), |open| open.remote_port);
        assert_eq!(client, server, "{host}");
        assert!((50..=150).contains(&client.len()), "{host}: a quarter of {TRIES}, not {}", client.len());
    }
    let mut talker = Talker::start(&redis, "x");
    let mut watched = Watched::attach_to(0, &connections(Lists::default(), Lists::default(), 0.25));
    talker.tell(&format!("unix {} {TRIES}", redis.socket.display()));
    watched.drain();
    let of = |pid: u32| watched.opens.iter().filter(|open| open.family == 1 && open.tgid == pid).count();
    assert_eq!(of(talker.pid()), of(redis.pid()), "unix sockets");
    assert!((50..=150).contains(&of(redis.pid())), "a quarter of {TRIES} unix sockets, not {}", of(redis.pid()));
}

#[test]
fn unix_sockets_have_nothing_to_include_them_by() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let mut talker = Talker::start(&redis, "x");
    for (rows, expected) in [
        (connections(ports(&["1-65535"], &[]), Lists::default(), 1.0), false),
        (connections(Lists::default(), networks(&["0.0.0.0/0", "::/0"], &[]), 1.0), false),
        (connections(ports(&[], &["1-65535"]), networks(&[], &["0.0.0.0/0", "::/0"]), 1.0), true),
        (Selection { skip_unix: true, ..Selection::default() }, false),
    ] {
        let mut watched = Watched::attach_to(0, &rows);
        talker.tell(&format!("unix {} 1", redis.socket.display()));
        assert_eq!(watched.chunks_of(talker.pid()) > 0, expected, "{rows:?}");
    }
}

const REDIS: u32 = 1 << 2;
const HTTP: u32 = 1 << 1;

#[test]
fn what_is_not_analysed_is_not_copied_and_its_books_go_on() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let only = |protocols| Selection { protocols, ..Selection::default() };
    let mut talker = Talker::start(&redis, "x");
    let mut watched = Watched::attach(&redis, &only(REDIS));
    talker.tell("ping");
    assert!(watched.copied_of(talker.pid()) >= 14 + 7);
    let open = *watched.opens.iter().find(|open| open.tgid == talker.pid()).expect("an announcement");
    for protocols in [0, HTTP] {
        watched.reload(&only(protocols));
        watched.drain();
        watched.opens.clear();
        (0..20).for_each(|_| talker.tell("ping"));
        talker.tell("fresh");
        assert_eq!(watched.copied_of(talker.pid()), 0, "{protocols}");
        watched.chunks.clear();
        std::thread::sleep(Duration::from_millis(50));
        watched.probe.sweep(true).expect("a sweep");
        assert!(watched.chunks_of(talker.pid()) >= 2, "{protocols}: what has moved is told by the sweep");
        assert!(watched.alive.contains(&open.connection), "{protocols}");
        let new: Vec<_> = watched.opens.iter().filter(|open| open.tgid == talker.pid()).collect();
        assert!(matches!(new[..], [open] if open.counted == 1), "{protocols}: a new one is in the books: {new:?}");
        watched.reload(&only(u32::MAX));
        talker.tell("ping");
        assert!(watched.copied_of(talker.pid()) >= 14 + 7, "{protocols}: switched on again");
    }
    let counters = watched.probe.counters();
    let k = |index: usize| counters[index];
    use steth_event::counter::*;
    assert_eq!(
        k(SEEN_CHUNKS),
        k(REPORTED_CHUNKS) + k(L4_CHUNKS) + k(PENDING_CHUNKS) + k(DROPPED_CHUNKS),
        "everything that was seen is somewhere"
    );
}

/// The agent itself, with a file that is read again.
struct Agent {
    process: Process,
    port: u16,
    redis: u16,
    dir: tempfile::TempDir,
}

impl Agent {
    /// Watches this server's port.
    fn start(redis: &RedisServer) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), lab::free_port());
        let file = dir.path().join("steth.yaml");
        std::fs::write(&file, rows_for(redis.port, "")).expect("it can be written");
        let mut agent = command(env!("CARGO_BIN_EXE_steth"));
        agent.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file);
        let process = Process::spawn("steth", &mut agent, dir.path());
        process.wait_for("it watches", Duration::from_secs(20), || process.errors().contains("watching"));
        Self { process, port, redis: redis.port, dir }
    }

    /// Reads this again.
    fn reload(&self, text: &str) {
        std::fs::write(self.dir.path().join("steth.yaml"), rows_for(self.redis, text)).expect("it can be written");
        let times = || self.process.errors().matches("was read again").count();
        let before = times();
        self.process.signal(nix::sys::signal::Signal::SIGHUP);
        self.process.wait_for("the selection is read again", Duration::from_secs(5), || times() > before);
    }

    fn health(&self) -> serde_json::Value {
        let body = lab::curl(&[&format!("http://127.0.0.1:{}/api/v1/health", self.port)]).body;
        serde_json::from_slice(&body).expect("JSON")
    }

    fn exchanges(&self, what: &str) -> u64 {
        self.health()["exchanges"]["redis"][what].as_u64().expect("a number")
    }

    fn share(&self) -> f64 {
        let counters = self.health()["counters"].as_array().expect("a list").clone();
        let share = counters.iter().find(|counter| counter["name"] == "steth_sampling_ratio").expect("the share");
        share["value"].as_f64().expect("a number")
    }
}

fn rows_for(port: u16, text: &str) -> String {
    if text.starts_with("selection") {
        return text.to_owned();
    }
    format!("selection: {{port: {{include: [{port}]}}}}\n{text}")
}

/// On a connection that is open all the time: nothing is lost, nothing is wrong, nothing is reported of the time between.
#[test]
fn the_agent_switches_protocols_off_and_on() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let agent = Agent::start(&redis);
    let mut talker = Talker::start(&redis, "x");
    // Both ends are observed.
    lab::wait_until("the first exchange", Duration::from_secs(5), || agent.exchanges("reported") == 2);
    let mut expect = |more: u64, when: &str| {
        let before = agent.exchanges("reported");
        talker.tell("ping");
        let until = Instant::now() + Duration::from_secs(if more == 0 { 2 } else { 5 });
        while Instant::now() < until && (more == 0 || agent.exchanges("reported") < before + more) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(agent.exchanges("reported") - before, more, "{when}");
    };
    expect(2, "on");
    for off in ["capture: {protocols: []}\n", "capture: {protocols: [http, dns]}\n"] {
        agent.reload(off);
        expect(0, "off");
        expect(0, "off still");
        agent.reload("");
        expect(2, "on again, on the same connection");
        expect(2, "and it stays on");
    }
    assert_eq!(agent.exchanges("lost"), 0, "{}", agent.health()["exchanges"]["redis"]);
    assert!((agent.share() - 1.0).abs() < 1e-9);
    agent.reload("selection: {sampling: 0.25}\n");
    lab::wait_until("the share is told", Duration::from_secs(5), || (agent.share() - 0.25).abs() < 1e-6);
}

/// Ends a load, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// In the middle of pipelines, again and again: no parser is put off by what it has not seen.
#[test]
fn protocols_are_switched_under_load() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let agent = Agent::start(&redis);
    let port = redis.port;
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                lab::redis_benchmark(port, "get,set", 200_000, 8, 7);
            }
        });
        let _end = End(&enough);
        for switched in 0..12 {
            agent.reload(["capture: {protocols: []}\n", "", "capture: {protocols: [mysql]}\n", ""][switched % 4]);
            std::thread::sleep(Duration::from_millis(120));
        }
    });
    agent.reload("");
    let mut talker = Talker::start(&redis, "x");
    let before = agent.exchanges("reported");
    talker.tell("ping");
    lab::wait_until("it goes on", Duration::from_secs(5), || agent.exchanges("reported") >= before + 2);
    let redis = &agent.health()["exchanges"]["redis"];
    for reason in ["parse", "misinferred"] {
        assert_eq!(redis["lost_by"][reason], 0, "{redis}");
    }
    println!("{redis}");
}

/// UDP sockets that are not connected: what they send tells where to, and what they receive is answered by whom they have asked.
#[test]
fn sockets_without_a_far_end_are_judged_by_whom_they_ask() {
    root_or_skip!();
    let _together = together();
    let unbound = lab::Unbound::start();
    let port = unbound.port.to_string();
    let by_port = |lists| connections(lists, Lists::default(), 1.0);
    let by_remote = |lists| connections(Lists::default(), lists, 1.0);
    // The server's socket has no far end either: it is known by its own port, and not by whom it answers.
    for (name, rows, client, server) in [
        ("everything", Selection::default(), true, true),
        ("port, include", by_port(ports(&[&port], &[])), true, true),
        ("port, include another", by_port(ports(&["1"], &[])), false, false),
        ("port, exclude", by_port(ports(&[], &[&port])), false, false),
        ("port, exclude another", by_port(ports(&[], &["1"])), true, true),
        ("remote, include", by_remote(networks(&["127.0.0.0/8"], &[])), true, false),
        ("remote, include another", by_remote(networks(&["10.0.0.0/8"], &[])), false, false),
        ("remote, exclude", by_remote(networks(&[], &["127.0.0.1"])), false, false),
        ("remote, exclude another", by_remote(networks(&[], &["10.0.0.0/8"])), true, false),
    ] {
        let mut watched = Watched::attach_to(0, &rows);
        let mut asker = command(lab::runtimes::python());
        asker.arg(lab::runtimes::programs().join("python/asker.py")).arg(&port);
        let asker = asker.output().expect("it runs");
        let text = String::from_utf8_lossy(&asker.stdout);
        let pid: u32 = text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&asker.stderr)));
        let (asked, answered) = (watched.chunks_of(pid), watched.chunks_of(unbound.pid()));
        assert_eq!(asked, if client { 1 + 6 } else { 0 }, "{name}: an announcement, three queries and answers");
        assert_eq!(answered > 0, server, "{name}: {answered} of the server");
        assert!(!server || answered >= 6, "{name}: {answered} of the server");
    }
    // Within the host: by its own address, or by whom it asks.
    let mut watched = Watched::attach_to(0, &Selection::default());
    for (skip_local, expected) in [(true, 0), (false, 7), (true, 0)] {
        watched.reload(&Selection { skip_local, ..Selection::default() });
        for address in ["127.0.0.1", "0.0.0.0"] {
            watched.chunks_of(0);
            watched.chunks.clear();
            let mut asker = command(lab::runtimes::python());
            asker.arg(lab::runtimes::programs().join("python/asker.py")).args([&port, address]);
            let asker = asker.output().expect("it runs");
            let text = String::from_utf8_lossy(&asker.stdout);
            let pid: u32 = text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&asker.stderr)));
            assert_eq!(watched.chunks_of(pid), expected, "{address}, local left out: {skip_local}");
            assert_eq!(watched.chunks_of(unbound.pid()) == 0, skip_local, "the server");
        }
    }
}
