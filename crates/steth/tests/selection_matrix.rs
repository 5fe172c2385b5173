//! Every row of the rules, by what it includes and by what it excludes, for processes that run and new ones, open connections and new
//! ones, and after reloads. The judge is the agent's own, with the privileges that the agent has left; the processes are another user's.
//! What counts is what comes out of the ring.

use crate::lab::cgroup::{Cgroup, digits, hierarchies, id};
use crate::lab::runtimes::python;
use crate::lab::selection::{As, Talker, Watched, patterns, selection};
use crate::lab::{RedisServer, together};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use steth_probe::Selection;
use steth_verdict::{Connections, ContainerFacts, Lists, Row, Rows};

/// What tells the process that is wanted from the one that is not.
const MARKS: [&str; 2] = ["cart", "vault"];
const NOBODY: u32 = 65_534;

/// Of each row an expression for the one, and one for the other.
const ROWS: [(Row, [&str; 2]); 8] = [
    (Row::Executable, ["/cart-python$", "^/.*/vault-[a-z]+$"]),
    (Row::CommandLine, [r"talker.py \d+ cart$", r"talker.py \d+ vault$"]),
    (Row::Environment, ["STETH_M.*=^cart$", "STETH_MARK=vault"]),
    (Row::Container, ["^cart$", "^vault$"]),
    (Row::Image, ["/cart:", "/vault:1$"]),
    (Row::Pod, ["^cart-", r"^vault-\d$"]),
    (Row::Namespace, ["^shop$", "^secrets$"]),
    (Row::Label, [r"app\.[a-z]+\.io/name=^cart$", "app[./a-z]+=vault"]),
];

fn facts(mark: &str) -> ContainerFacts {
    let namespace = if mark == MARKS[0] { "shop" } else { "secrets" };
    ContainerFacts {
        name: Some(mark.to_owned()),
        image: Some(format!("registry.example/{mark}:1")),
        pod: Some(format!("{mark}-0")),
        namespace: Some(namespace.to_owned()),
        labels: vec![("tier".to_owned(), "x".to_owned()), ("app.kubernetes.io/name".to_owned(), mark.to_owned())],
    }
}

/// One row that includes or excludes one of the two.
fn rule(row: Row, pattern: &str, excludes: bool) -> Selection {
    let mut rows = Rows::default();
    *rows.of_mut(row) = if excludes { patterns(&[], &[pattern]) } else { patterns(&[pattern], &[]) };
    selection(&rows)
}

/// The interpreter, under another name.
fn copy_of_python(dir: &Path, mark: &str) -> PathBuf {
    let copy = dir.join(format!("{mark}-python"));
    std::fs::copy(python().canonicalize().expect("it is there"), &copy).expect("it can be copied");
    copy
}

/// Asserts that of each what is wanted is seen, on the connection it has and on a new one, and of others nothing at all.
fn check(watched: &mut Watched, talkers: &mut [Talker; 2], expected: [bool; 2], when: &str) {
    for (talker, expected) in talkers.iter_mut().zip(expected) {
        watched.others_of(talker.pid());
        for what in ["ping", "fresh"] {
            talker.tell(what);
            let (records, others) = (watched.chunks_of(talker.pid()), watched.others_of(talker.pid()));
            assert!(if expected { records >= 2 } else { records == 0 }, "{when}, {what}: {records} records");
            assert!(expected || others.is_empty(), "{when}, {what}: {others:?}");
        }
    }
}

#[test]
fn every_row_includes_and_excludes_whoever_runs_and_whoever_comes() {
    root_or_skip!();
    let _together = together();
    let (redis, all, dir) = (RedisServer::start(), hierarchies(), tempfile::tempdir().expect("a temporary directory"));
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    let pythons = MARKS.map(|mark| copy_of_python(dir.path(), mark));
    let ids = [id(70), id(71)];
    let cgroups = ids.map(|id| Cgroup::make(&all, &digits(&id)));
    let start = || {
        [0, 1].map(|n| {
            let (cgroup, executable) = (Some(&cgroups[n]), pythons[n].as_path());
            Talker::start_as(&redis, &As { mark: MARKS[n], host: "127.0.0.1", cgroup, executable, user: NOBODY })
        })
    };
    let mut running = start();
    for (row, [wanted, unwanted]) in ROWS {
        let mut watched = Watched::attach(&redis, &rule(row, wanted, false));
        if row.is_of_containers() {
            check(&mut watched, &mut running, [false; 2], &format!("{row:?}, undecided"));
            (ids.iter().zip(MARKS)).for_each(|(id, mark)| watched.container(*id, &facts(mark)));
        }
        watched.heed();
        for (excludes, pattern, other) in [(false, wanted, unwanted), (true, unwanted, wanted)] {
            let when = |what: &str| format!("{row:?}, {}, {what}", if excludes { "exclude" } else { "include" });
            watched.reload(&rule(row, pattern, excludes));
            check(&mut watched, &mut running, [true, false], &when("running"));
            watched.heed();
            (watched.forbidden, watched.found) = (MARKS[1].into(), 0);
            let mut new = start();
            let [first, second] = &new;
            assert!(watched.chunks_of(first.pid()) >= 3, "{}", when("the first exchange of a new process"));
            assert_eq!(watched.chunks_of(second.pid()), 0, "{}", when("a new process that is not wanted"));
            // What a shell is told to start may be excluded where the shell is not.
            if !excludes {
                assert_eq!(watched.others_of(second.pid()), [""; 0], "{}", when("a new process"));
                assert_eq!(watched.found, 0, "{}", when("its name is in no record, whatever of"));
            }
            watched.forbidden.clear();
            check(&mut watched, &mut new, [true, false], &when("new"));
            watched.reload(&rule(row, other, excludes));
            check(&mut watched, &mut running, [false, true], &when("running, the other way round"));
            check(&mut watched, &mut new, [false, true], &when("new, the other way round"));
            watched.reload(&Selection::default());
            check(&mut watched, &mut running, [true; 2], &when("without rules"));
            watched.reload(&rule(row, pattern, excludes));
            check(&mut watched, &mut running, [true, false], &when("running, again"));
            check(&mut watched, &mut new, [true, false], &when("new, again"));
        }
    }
}

/// The address with which this host would speak to others.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Nothing is sent: a route is looked up.
    socket.connect("198.51.100.1:9").expect("a route, if only a default one");
    socket.local_addr().expect("an address").ip().to_string()
}

#[test]
fn connections_within_the_host_and_unix_sockets_are_left_out_and_taken_up_again() {
    root_or_skip!();
    let _together = together();
    let (redis, own) = (RedisServer::start(), own_address());
    for (name, value) in [("protected-mode", "no"), ("bind", &format!("127.0.0.1 ::1 {own}"))] {
        assert_eq!(redis.ask(&["CONFIG", "SET", name, value]), "+OK");
    }
    let local = || Selection { skip_local: true, ..Selection::default() };
    let unix = || Selection { skip_unix: true, ..Selection::default() };
    let socket = redis.socket.display().to_string();
    let mut running = Talker::start(&redis, "x");
    let mut watched = Watched::attach_to(0, &Selection::default());
    for (place, left_out) in
        [("127.0.0.1", local()), ("::1", local()), ("::ffff:127.0.0.1", local()), (&*own, local()), (&*socket, unix())]
    {
        running.tell(&format!("hold {place}"));
        for round in 0..2 {
            for (rows, expected) in [(&left_out, false), (&Selection::default(), true)] {
                watched.reload(rows);
                watched.drain();
                watched.chunks.clear();
                for what in ["ping", "fresh"] {
                    running.tell(what);
                    let ends = [watched.chunks_of(running.pid()), watched.chunks_of(redis.pid())];
                    let right = ends.iter().all(|records| if expected { *records >= 2 } else { *records == 0 });
                    assert!(right, "{place}, {what}, round {round}, wanted: {expected}: {ends:?}");
                    assert!(expected || watched.others_of(running.pid()).is_empty());
                }
                let mut new = Talker::start(&redis, "x");
                new.tell(&format!("hold {place}"));
                watched.chunks_of(new.pid());
                new.tell("ping");
                assert_eq!(watched.chunks_of(new.pid()) >= 2, expected, "{place}, a new process, round {round}");
            }
        }
    }
}

#[test]
fn a_share_of_open_connections_is_the_same_after_every_reload() {
    root_or_skip!();
    let _together = together();
    const CROWD: usize = 100;
    let redis = RedisServer::start();
    let mut talker = Talker::start(&redis, "x");
    talker.tell(&format!("crowd {CROWD}"));
    let share = |share| {
        let connections = Connections::new(Lists::default(), Lists::default(), share).expect("good rows");
        Selection { connections, ..Selection::default() }
    };
    let mut watched = Watched::attach(&redis, &share(0.25));
    let mut seen = |rows: &Selection| -> [BTreeSet<u64>; 2] {
        watched.reload(rows);
        watched.drain();
        watched.talked.clear();
        talker.tell("pings");
        watched.drain();
        [talker.pid(), redis.pid()].map(|pid| {
            watched.talked.iter().filter(|(_, tgid)| *tgid == pid).map(|(connection, _)| *connection).collect()
        })
    };
    let [first, server] = seen(&share(0.25));
    assert_eq!(first.len(), server.len(), "both ends");
    assert!((8..=45).contains(&first.len()), "a quarter of {CROWD}, not {}", first.len());
    let all = seen(&Selection::default());
    assert_eq!(all.map(|end| end.len()), [CROWD; 2]);
    assert_eq!(seen(&share(0.25)), [first, server], "the same ones");
}
