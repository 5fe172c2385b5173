//! The kernel side on its own, a client that talks when it is told to, and what has come out of the ring.

use super::cgroup::Cgroup;
use super::process::{Process, command};
use super::redis::RedisServer;
use super::runtimes::{programs, python};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout};
use steth_event::{Cgroup as Change, Event, Exec, Open};
use steth_probe::{Probe, Selection, Settings};
use steth_verdict::{Patterns, Rows, Rules};
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

/// The kernel side on its own, with what has come out of it.
pub struct Watched {
    pub probe: Probe,
    /// Records of sends and receives by process, as the ring had them.
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
    /// What was said of containers.
    pub containers: BTreeMap<[u8; 32], bool>,
}

impl Watched {
    /// Everything that this server does, and whoever talks to it over TCP.
    pub fn attach(redis: &RedisServer, selection: &Selection) -> Self {
        Self::attach_to(redis.port, selection)
    }

    /// Connections with this port; 0: all.
    pub fn attach_to(port: u16, selection: &Selection) -> Self {
        let settings = Settings { port, selection: selection.clone(), ..Settings::default() };
        let mut watched = Self {
            probe: Probe::attach(&settings).expect("root may attach"),
            chunks: BTreeMap::new(),
            copied: BTreeMap::new(),
            opens: Vec::new(),
            execs: Vec::new(),
            changes: Vec::new(),
            alive: Vec::new(),
            containers: BTreeMap::new(),
        };
        watched.judge(selection);
        watched
    }

    /// Other rules, in force when this returns.
    pub fn reload(&mut self, selection: &Selection) {
        self.probe.apply(selection).expect("the kernel takes the tables");
        self.judge(selection);
    }

    /// A container's verdict, and that of the processes in it.
    pub fn container(&mut self, selection: &Selection, id: [u8; 32], selected: bool) {
        self.containers.insert(id, selected);
        self.probe.judge_container(&id, selected).expect("there is room");
        self.judge(selection);
    }

    /// What is in the ring now.
    pub fn drain(&mut self) {
        let Self { probe, chunks, copied, opens, execs, changes, alive, .. } = self;
        probe.drain(|record| {
            let tgid = match Event::parse(record).expect("a good record") {
                Event::Chunk(chunk, _) => {
                    *copied.entry(chunk.tgid).or_default() += u64::from(chunk.captured);
                    chunk.tgid
                }
                Event::Open(open) => {
                    opens.push(open);
                    open.tgid
                }
                Event::Exec(exec, ..) => return execs.push((exec, exec.container(record))),
                Event::Cgroup(change) => return changes.push(change),
                Event::Progress(books) => return alive.push(books.connection),
                _ => return,
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

    /// What the agent does with processes that are running (crates/steth/src/selection.rs), with the few that matter here.
    pub fn judge(&mut self, selection: &Selection) {
        let rules = &selection.rules;
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let Ok(executable) = std::fs::read_link(entry.path().join("exe")) else { continue };
            let (command_line, environment) = (read("cmdline"), read("environ"));
            let executable = executable.as_os_str().as_encoded_bytes();
            let image = steth_verdict::Image { executable, command_line: &command_line, environment: &environment };
            let container = steth_identity::container_bytes(&String::from_utf8_lossy(&read("cgroup")));
            let contained = match container {
                _ if !rules.have_containers() => true,
                None => rules.judge_outside().selected,
                Some(id) => self.containers.get(&id).copied().unwrap_or(false),
            };
            let selected = !rules.is_empty() && contained && rules.judge(&image).selected;
            self.probe.judge(pid, selected).expect("there is room");
        }
        self.probe.judged();
    }
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
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut talker = command("sh");
        let enter = cgroup.map(Cgroup::enter).unwrap_or_default();
        talker.args(["-c", &format!("{enter}exec \"$@\""), "sh"]).arg(python());
        talker.env("STETH_MARK", mark).env("STETH_HOST", host);
        talker.arg(programs().join("python/talker.py")).arg(redis.port.to_string()).arg(mark);
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
