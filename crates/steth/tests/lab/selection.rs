//! The kernel side and the judge on their own, a client that talks when it is told to, and what has come out of the ring.

use super::cgroup::Cgroup;
use super::process::{Process, command};
use super::redis::RedisServer;
use super::runtimes::{programs, python};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;
use steth_event::{CGROUP_GONE, CGROUP_MADE, Cgroup as Change, Event, Exec, Open};
use steth_judge::{Judge, Judging};
use steth_probe::privileges::{self, Capability};
use steth_probe::{Probe, Selection, Settings};
use steth_verdict::{ContainerFacts, Patterns, Rows, Rules};
use tempfile::TempDir;

/// What a row includes and excludes.
pub fn patterns(include: &[&str], exclude: &[&str]) -> Patterns {
    let owned = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect();
    Patterns { include: owned(include), exclude: owned(exclude) }
}

/// A selection of processes and containers.
pub fn selection(rows: &Rows) -> Selection {
    let rules = Rules::new(rows).expect("good rules");
    Selection { rules, ..Selection::default() }
}

/// The kernel side with the agent's own judge, and what has come out of it.
pub struct Watched {
    pub probe: Probe,
    pub judge: Judge,
    /// Records of sends and receives and announcements by process, as the ring had them.
    pub chunks: BTreeMap<u32, u64>,
    /// Bytes that were copied, by process.
    pub copied: BTreeMap<u32, u64>,
    /// Announcements of connections.
    pub opens: Vec<Open>,
    /// New images, and the containers that they are in.
    pub execs: Vec<(Exec, Option<[u8; 32]>)>,
    /// What containers did.
    pub changes: Vec<Change>,
    /// Sweeps found these connections alive.
    pub alive: Vec<u64>,
    /// Records of every other kind that say something of a process, by process and kind: of listening sockets, of images with their
    /// texts, of the books and ends of connections that nobody announced (of process 0, where the record names none).
    pub others: BTreeMap<(u32, &'static str), u64>,
    /// Connections of which sends and receives came, and whose end of them it was.
    pub talked: BTreeSet<(u64, u32)>,
    /// What no record may have in it, and how many have.
    pub forbidden: Vec<u8>,
    pub found: u64,
    announced: BTreeSet<u64>,
}

/// So long may judging take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Watched {
    /// Everything that this server does, and whoever talks to it over TCP.
    pub fn attach(redis: &RedisServer, selection: &Selection) -> Self {
        Self::attach_to(redis.port, selection)
    }

    /// Connections with this port; 0: all.
    pub fn attach_to(port: u16, selection: &Selection) -> Self {
        let settings = Settings { port, selection: selection.clone(), ..Settings::default() };
        let mut probe = Probe::attach(&settings).expect("root may attach");
        let judging = Judging::begin(&mut probe, &selection.rules).expect("there are tables");
        // With the privileges that the agent has left by then, which are those of the thread that starts it.
        let start = || {
            privileges::keep_only(&[Capability::SysPtrace]).expect("they can be given up");
            Judge::start(judging).expect("a thread")
        };
        let judge = std::thread::scope(|scope| scope.spawn(start).join().expect("no panic"));
        Self {
            probe,
            judge,
            chunks: BTreeMap::new(),
            copied: BTreeMap::new(),
            opens: Vec::new(),
            execs: Vec::new(),
            changes: Vec::new(),
            alive: Vec::new(),
            others: BTreeMap::new(),
            talked: BTreeSet::new(),
            forbidden: Vec::new(),
            found: 0,
            announced: BTreeSet::new(),
        }
    }

    /// Other rules, in force when this returns.
    pub fn reload(&mut self, selection: &Selection) {
        self.probe.apply(selection).expect("the kernel takes the tables");
        self.judge.rules(&selection.rules);
        // Where nobody is judged, connections still are.
        self.probe.judged();
        self.judged();
    }

    /// What a runtime says of a container, and what follows from it.
    pub fn container(&mut self, id: [u8; 32], facts: &ContainerFacts) {
        self.judge.known(&id, Some(facts));
        self.judged();
    }

    /// Hands on what has happened to containers, as the agent does.
    pub fn heed(&mut self) {
        self.drain();
        for change in std::mem::take(&mut self.changes) {
            match change.change {
                CGROUP_MADE => self.judge.made(&change.id),
                CGROUP_GONE => self.judge.gone(&change.id),
                _ => self.judge.joined(change.tgid),
            }
        }
        self.judged();
    }

    fn judged(&self) {
        assert!(self.judge.wait(PATIENCE), "judging comes to an end");
        let counts = self.judge.counts();
        assert_eq!((counts.unsettled, counts.unlisted, counts.refused), (0, 0, 0), "{counts:?}");
    }

    /// What is in the ring now.
    pub fn drain(&mut self) {
        let Self {
            probe,
            chunks,
            copied,
            opens,
            execs,
            changes,
            alive,
            others,
            forbidden,
            found,
            announced,
            talked,
            ..
        } = self;
        let mut other = |tgid: u32, kind| *others.entry((tgid, kind)).or_default() += 1;
        probe.drain(|record| {
            *found +=
                u64::from(!forbidden.is_empty() && record.windows(forbidden.len()).any(|bytes| bytes == &**forbidden));
            let tgid = match Event::parse(record).expect("a good record") {
                Event::Chunk(chunk, _) => {
                    talked.insert((chunk.connection, chunk.tgid));
                    *copied.entry(chunk.tgid).or_default() += u64::from(chunk.captured);
                    chunk.tgid
                }
                Event::Open(open) => {
                    announced.insert(open.connection);
                    opens.push(open);
                    open.tgid
                }
                Event::Exec(exec, executable, command_line) => {
                    if !executable.is_empty() || !command_line.is_empty() {
                        other(exec.tgid, "exec with texts");
                    }
                    return execs.push((exec, exec.container(record)));
                }
                Event::Cgroup(change) => return changes.push(change),
                Event::Progress(books) | Event::Close(books) => {
                    alive.push(books.connection);
                    if !announced.contains(&books.connection) {
                        other(books.tgid, "books");
                    }
                    return;
                }
                Event::Shutdown(shutdown) => {
                    if !announced.contains(&shutdown.connection) {
                        other(0, "shutdown");
                    }
                    return;
                }
                Event::Listen(listen) => return other(listen.tgid, "listen"),
                Event::Fork(_) | Event::Exit(_) => return,
                record => panic!("{record:?} is no record of the kernel side"),
            };
            *chunks.entry(tgid).or_default() += 1;
        });
    }

    /// Bytes that were copied of this process since the last look.
    pub fn copied_of(&mut self, pid: u32) -> u64 {
        self.drain();
        self.copied.remove(&pid).unwrap_or(0)
    }

    /// Records of sends and receives, and announcements, of this process since the last look.
    pub fn chunks_of(&mut self, pid: u32) -> u64 {
        self.drain();
        self.chunks.remove(&pid).unwrap_or(0)
    }

    /// Records of any other kind that should not be there if nobody wants this process, since the last look.
    pub fn others_of(&mut self, pid: u32) -> Vec<&'static str> {
        self.drain();
        let (of, others) =
            std::mem::take(&mut self.others).into_iter().partition(|((tgid, _), _)| [0, pid].contains(tgid));
        self.others = others;
        BTreeMap::into_keys(of).map(|(_, kind)| kind).collect()
    }
}

/// How a client is started.
#[derive(Clone, Copy)]
pub struct As<'a> {
    /// In its command line and environment.
    pub mark: &'a str,
    /// Whom it talks to.
    pub host: &'a str,
    /// Where it is put before it begins.
    pub cgroup: Option<&'a Cgroup>,
    /// The interpreter.
    pub executable: &'a Path,
    /// Whose it is.
    pub user: u32,
}

/// `servers/python/talker.py`
pub struct Talker {
    process: Process,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Talker {
    /// Talks to this server, with a mark in its command line and environment.
    pub fn start(redis: &RedisServer, mark: &str) -> Self {
        Self::start_to(redis, mark, "127.0.0.1", None)
    }

    /// The same, to an address of its own, in a cgroup.
    pub fn start_to(redis: &RedisServer, mark: &str, host: &str, cgroup: Option<&Cgroup>) -> Self {
        Self::start_as(redis, &As { mark, host, cgroup, executable: python(), user: 0 })
    }

    /// The same, in every way that rules can tell it by.
    pub fn start_as(redis: &RedisServer, how: &As<'_>) -> Self {
        let As { mark, host, cgroup, executable, user } = *how;
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Where another user can read it.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let program = dir.path().join("talker.py");
        std::fs::copy(programs().join("python/talker.py"), &program).expect("it can be copied");
        let mut talker = command("sh");
        let enter = cgroup.map(Cgroup::enter).unwrap_or_default();
        talker.args(["-c", &format!("{enter}exec \"$@\""), "sh"]);
        if user != 0 {
            let user = user.to_string();
            talker.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--pdeathsig", "KILL", "--"]);
        }
        talker.arg(executable).env("STETH_MARK", mark).env("STETH_HOST", host).env("PYTHONDONTWRITEBYTECODE", "1");
        talker.arg(program).arg(redis.port.to_string()).arg(mark);
        let mut process = Process::piped("talker", &mut talker, dir.path());
        let to = process.child().stdin.take().expect("a pipe");
        let from = BufReader::new(process.child().stdout.take().expect("a pipe"));
        let mut talker = Self { process, to, from, _dir: dir };
        talker.ok();
        talker
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Tells it what to do, and waits until it is done.
    pub fn tell(&mut self, what: &str) {
        writeln!(self.to, "{what}").expect("it reads");
        self.ok();
    }

    fn ok(&mut self) {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("it writes");
        assert_eq!(line, "ok\n", "{}", self.process.errors());
    }
}
