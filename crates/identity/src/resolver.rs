//! Names a process when it is first seen.

use crate::cgroup::container_text;
use crate::procfs;
use crate::program::program;
use crate::reader::{Question, Reader};
use crate::scan::Scan;
use crate::service::service;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::collections::VecDeque;
use std::time::Duration;
use steth_event::{CONTAINER_ID, Exec, Fork, LookUp, Process};

/// Finds out, on the live machine, who a process is: once, when one of its sockets first moves bytes.
///
/// It lives on the drain's thread and never waits: what the kernel's records tell it gives at once; /proc is read by a
/// thread of its own, whose findings are collected with [`Resolver::answer`].
#[derive(Debug)]
pub struct Resolver {
    known: HashSet<u32, FixedState>,
    /// What exec records said of processes that have not used a socket yet.
    images: HashMap<u32, Process, FixedState>,
    /// Processes that have the image of their parent still, and have not used a socket yet: who that is, and their own start.
    children: HashMap<u32, (u32, u64), FixedState>,
    /// Who has ended lately, oldest first. The ends of their sockets come behind their own.
    ended: VecDeque<u32>,
    /// What is known of processes whose question found no room.
    refused: HashMap<u32, Process, FixedState>,
    /// Who was running before, and has not used a socket yet.
    scan: Scan,
    maximum: usize,
    /// Some of `known`, each at a place of its own: under load a few processes take turns.
    recent: [u32; RECENT],
    reader: Reader,
    /// Which question about a process is the valid one. An answer to another is about an earlier life of the id.
    asked: HashMap<u32, u64, FixedState>,
    questions: u64,
    forgotten: u64,
}

const RECENT: usize = 64;

/// Processes that are remembered beyond their end.
const ENDED: usize = 4096;

impl Resolver {
    /// Remembers at most `maximum` processes, and begins to look at those that are running.
    ///
    /// # Errors
    /// When the threads that read /proc cannot be started.
    pub fn start(maximum: usize) -> std::io::Result<Self> {
        let scan = Scan::start(procfs::pids, procfs::read)?;
        Ok(Self { scan, ..Self::with_reader(maximum, procfs::read)? })
    }

    /// Where /proc has other ids than the kernel's records: it would tell of strangers. What the records tell remains.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn without_proc(maximum: usize) -> std::io::Result<Self> {
        Self::with_reader(maximum, |_| None)
    }

    fn with_reader(maximum: usize, read: impl Fn(u32) -> Option<Process> + Send + 'static) -> std::io::Result<Self> {
        let hasher = || FixedState::with_seed(0x6964);
        Ok(Self {
            known: HashSet::with_hasher(hasher()),
            images: HashMap::with_hasher(hasher()),
            children: HashMap::with_hasher(hasher()),
            ended: VecDeque::new(),
            refused: HashMap::with_hasher(hasher()),
            scan: Scan::none(),
            maximum,
            recent: [0; RECENT],
            reader: Reader::start(read)?,
            asked: HashMap::with_hasher(hasher()),
            questions: 0,
            forgotten: 0,
        })
    }

    /// The process has a new image: what was known of it is void. `container`: which one it is in, by the kernel's own record; the
    /// process may be gone before /proc can be asked.
    pub fn exec(
        &mut self,
        exec: &Exec,
        executable: &[u8],
        command_line: &[u8],
        container: Option<&[u8; CONTAINER_ID]>,
    ) {
        self.forget(exec.tgid);
        self.scan.forget(exec.tgid);
        self.children.remove(&exec.tgid);
        self.asked.remove(&exec.tgid);
        if self.images.len() >= self.maximum {
            // Most of them have ended without ever using a socket; the rest is found in /proc.
            self.forgotten += self.images.len() as u64;
            self.images.clear();
        }
        let executable = String::from_utf8_lossy(executable).into_owned();
        let name = procfs::name(&executable, command_line, "");
        let process = Process {
            pid: exec.tgid,
            started: exec.started,
            service: service(None, None, program(&executable, command_line), &name),
            name,
            executable,
            command_line: procfs::join(command_line),
            container: container.map(container_text),
            ..Process::default()
        };
        self.images.insert(exec.tgid, process);
    }

    /// The process has a child. Of a child that soon ends, /proc tells nothing; but it is what its parent is.
    pub fn fork(&mut self, fork: &Fork) {
        self.bury(fork.tgid);
        if self.children.len() >= self.maximum {
            // As with images: whoever lives on is found in /proc.
            self.forgotten += self.children.len() as u64;
            self.children.clear();
        }
        self.children.insert(fork.tgid, (fork.parent, fork.started));
    }

    /// The process has ended. What is known of it, and what is being found out, is still worth knowing: the kernel closes its sockets
    /// after this. Its id is another process's from the next fork on that gives it away.
    pub fn exit(&mut self, tgid: u32) {
        self.scan.forget(tgid);
        self.ended.push_back(tgid);
        if self.ended.len() > ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.bury(oldest);
        }
    }

    fn bury(&mut self, tgid: u32) {
        self.forget(tgid);
        self.scan.forget(tgid);
        self.images.remove(&tgid);
        self.children.remove(&tgid);
    }

    fn forget(&mut self, tgid: u32) {
        self.known.remove(&tgid);
        self.refused.remove(&tgid);
        let recent = &mut self.recent[tgid as usize % RECENT];
        if *recent == tgid {
            *recent = 0;
        }
    }

    /// Who this is as far as the kernel has told, if it has not been asked before. `comm`: the kernel's name for the task,
    /// should nothing else be known. The name may be empty; the answer to the question that was asked may have one.
    #[inline]
    pub fn first_sight(&mut self, tgid: u32, comm: Option<&[u8]>) -> Option<Process> {
        let recent = &mut self.recent[tgid as usize % RECENT];
        if tgid == *recent || tgid == 0 {
            return None;
        }
        *recent = tgid;
        if self.known.contains(&tgid) {
            return if self.refused.is_empty() { None } else { self.ask_again(tgid) };
        }
        Some(self.introduce(tgid, comm))
    }

    #[cold]
    fn introduce(&mut self, tgid: u32, comm: Option<&[u8]>) -> Process {
        if self.known.len() >= self.maximum {
            // Asking again costs a read of /proc; keeping every process that ever was would have no end.
            self.forgotten += self.known.len() as u64;
            self.known.clear();
            self.refused.clear();
            self.recent = [0; RECENT];
            self.recent[tgid as usize % RECENT] = tgid;
        }
        self.known.insert(tgid);
        self.scan.take_over();
        if let Some(process) = self.scan.take(tgid) {
            return process;
        }
        let mut process = self.images.remove(&tgid).unwrap_or_else(|| {
            let started = self.children.get(&tgid).map_or(0, |(_, started)| *started);
            Process { pid: tgid, started, ..Process::default() }
        });
        // Of the image of a process that was not selected then, the kernel side says nothing else.
        if process.name.is_empty() {
            let comm = comm.unwrap_or_default();
            let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
            process.name = String::from_utf8_lossy(&comm[..end]).into_owned();
            process.service.clone_from(&process.name);
        }
        self.ask(process)
    }

    #[cold]
    fn ask_again(&mut self, tgid: u32) -> Option<Process> {
        if !self.reader.has_room() {
            self.recent[tgid as usize % RECENT] = 0;
            return None;
        }
        let process = self.refused.remove(&tgid)?;
        Some(self.ask(process))
    }

    fn ask(&mut self, known: Process) -> Process {
        let pid = known.pid;
        self.questions += 1;
        let parent = self.children.remove(&pid).map_or(0, |(parent, _)| parent);
        if self.reader.ask(Question { number: self.questions, known: known.clone(), parent }) {
            self.asked.insert(pid, self.questions);
            Process { look_up: LookUp::UnderWay, ..known }
        } else {
            self.recent[pid as usize % RECENT] = 0;
            self.refused.insert(pid, known.clone());
            Process { look_up: LookUp::Refused, ..known }
        }
    }

    /// Processes of which something was forgotten for want of room, what the kernel told of them or that they were looked up: those that
    /// are gone by the time they are asked for have no name, the others are looked up once more.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The next process that was looked up; waits so long if some are under way and none has come.
    pub fn answer(&mut self, patience: Duration) -> Option<Process> {
        self.scan.take_over();
        while let Some(answer) = self.reader.answer(patience) {
            let pid = answer.process.pid;
            if self.asked.get(&pid) == Some(&answer.number) {
                self.asked.remove(&pid);
                return Some(answer.process);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(10);

    fn named(pid: u32, name: &str) -> Process {
        Process { pid, name: name.into(), service: name.into(), ..Process::default() }
    }

    #[test]
    fn a_process_that_is_gone_is_known_by_its_image_and_else_by_its_name() {
        let mut resolver = Resolver::start(10).unwrap();
        let exec = Exec { tgid: u32::MAX - 1, started: 5, ..Exec::default() };
        resolver.exec(&exec, b"/usr/bin/curl", b"curl\0-s\0http://x/\0", Some(&[0xa5; CONTAINER_ID]));
        let first = resolver.first_sight(u32::MAX - 1, None).unwrap();
        assert_eq!((first.name.as_str(), first.look_up), ("curl", LookUp::UnderWay), "at once");
        let process = resolver.answer(LONG).unwrap();
        assert_eq!((process.name.as_str(), process.command_line.as_str()), ("curl", "curl -s http://x/"));
        assert_eq!((process.look_up, process.container), (LookUp::Done, Some("a5".repeat(32))));
        assert_eq!(resolver.first_sight(u32::MAX - 2, Some(b"worker\0\0\0")).unwrap().name, "worker");
        assert_eq!(resolver.answer(LONG).unwrap(), named(u32::MAX - 2, "worker"));
        assert_eq!(resolver.first_sight(u32::MAX - 3, None).unwrap().name, "");
        assert_eq!(resolver.answer(LONG).unwrap(), named(u32::MAX - 3, ""), "whoever waits for it need not wait on");
    }

    #[test]
    fn an_image_of_which_nothing_was_told_is_known_by_its_tasks_name() {
        let mut resolver = Resolver::start(10).unwrap();
        let exec = Exec { tgid: u32::MAX - 1, started: 5, ..Exec::default() };
        resolver.exec(&exec, b"", b"", Some(&[0xa5; CONTAINER_ID]));
        let first = resolver.first_sight(u32::MAX - 1, Some(b"postgres\0\0")).unwrap();
        assert_eq!((first.name.as_str(), first.service.as_str(), first.started), ("postgres", "postgres", 5));
        assert_eq!(resolver.answer(LONG).unwrap().container, Some("a5".repeat(32)));
    }

    #[test]
    fn a_child_that_is_gone_is_what_its_parent_is() {
        let read = |pid: u32| {
            let parent = Process { started: 7, executable: "/bin/httpd".into(), ..named(pid, "httpd") };
            (pid == 70).then_some(parent)
        };
        let mut resolver = Resolver::with_reader(10, read).unwrap();
        let fork = |tgid, started| Fork { tgid, started, parent: 70, ..Fork::default() };
        resolver.fork(&fork(71, 9));
        let first = resolver.first_sight(71, Some(b"httpd")).unwrap();
        assert_eq!((first.started, first.look_up), (9, LookUp::UnderWay));
        let child = resolver.answer(LONG).unwrap();
        assert_eq!((child.pid, child.started, &*child.executable), (71, 9, "/bin/httpd"));
        // With an image of its own it is no longer what the parent is.
        resolver.fork(&fork(72, 9));
        resolver.exec(&Exec { tgid: 72, started: 9, ..Exec::default() }, b"/bin/wget", b"wget\0", None);
        resolver.first_sight(72, None).unwrap();
        assert_eq!(resolver.answer(LONG).unwrap().executable, "/bin/wget");
        (100..200).for_each(|tgid| resolver.fork(&fork(tgid, 9)));
        assert!(resolver.children.len() <= 10);
        assert_eq!(resolver.forgotten(), 90, "ten at a time");
    }

    #[test]
    fn a_reused_id_is_looked_up_again() {
        let mut resolver = Resolver::start(10).unwrap();
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"a")).is_some());
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"a")).is_none());
        resolver.exit(u32::MAX - 1);
        assert!(resolver.first_sight(u32::MAX - 1, None).is_none(), "its sockets end behind it");
        resolver.fork(&Fork { tgid: u32::MAX - 1, parent: 1, ..Fork::default() });
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"b")).is_some());
        (0..=ENDED as u32).for_each(|tgid| resolver.exit(tgid));
        assert_eq!(resolver.ended.len(), ENDED);
    }

    #[test]
    fn a_slow_proc_holds_nobody_up_and_too_many_questions_are_refused() {
        let (open, gate) = mpsc::sync_channel::<()>(0);
        let read = move |pid| {
            let _ = gate.recv();
            Some(named(pid, "read"))
        };
        let mut resolver = Resolver::with_reader(100_000, read).unwrap();
        let begun = std::time::Instant::now();
        let mut refused = 0;
        for pid in 1..=10_000 {
            let process = resolver.first_sight(pid, Some(b"comm")).unwrap();
            refused += u32::from(process.look_up == LookUp::Refused);
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!((5_000..9_999).contains(&refused), "the queue is bounded, and not tiny: {refused}");
        assert_eq!(resolver.answer(Duration::ZERO), None);
        drop(open);
        let answers = std::iter::from_fn(|| resolver.answer(LONG)).inspect(|p| assert_eq!(p.name, "read")).count();
        assert_eq!(answers as u32 + refused, 10_000, "every question is answered or refused");
        // With room again, the next look at a process that was refused asks again, and once.
        assert_eq!(resolver.first_sight(10_000, None).unwrap().look_up, LookUp::UnderWay);
        assert_eq!(resolver.answer(LONG).unwrap().name, "read");
        assert_eq!(resolver.first_sight(10_000, None), None);
    }

    #[test]
    fn an_answer_about_an_earlier_image_is_not_given() {
        let (open, gate) = mpsc::sync_channel::<()>(0);
        let read = move |_| gate.recv().ok().and(None);
        let mut resolver = Resolver::with_reader(10, read).unwrap();
        resolver.first_sight(7, Some(b"before"));
        resolver.exec(&Exec { tgid: 7, started: 5, ..Exec::default() }, b"/bin/after", b"after\0", None);
        assert_eq!(resolver.first_sight(7, None).unwrap().name, "after");
        drop(open);
        assert_eq!(resolver.answer(LONG).unwrap().name, "after");
        assert_eq!(resolver.answer(Duration::ZERO), None);
    }

    #[test]
    fn who_has_the_id_now_is_not_who_had_it_when_it_started_at_another_time() {
        let read = |pid| Some(Process { started: 9_000_000_000, ..named(pid, "stranger") });
        let mut resolver = Resolver::with_reader(10, read).unwrap();
        for (pid, started, name) in [(7, 5_000_000_000, "mine"), (8, 9_004_000_000, "stranger")] {
            resolver.exec(&Exec { tgid: pid, started, ..Exec::default() }, b"/bin/mine", b"mine\0", None);
            resolver.first_sight(pid, None);
            let process = resolver.answer(LONG).unwrap();
            assert_eq!((process.name.as_str(), process.started), (name, started), "the exact start stays");
        }
    }
}
