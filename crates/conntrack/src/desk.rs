//! The threads that ask, one in each network namespace, and the queue before them.

use crate::answered::AsItIs;
use crate::kernel::{Kernel, Refused, is_there};
use crate::{Answer, Question};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Questions under way. One takes about 10 µs.
const QUEUE: usize = 4096;
/// Questions in a second: some percent of a CPU at most. It takes that many new connections of which each may lead elsewhere.
const BUDGET: u64 = 4096;
const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked for whether connections are tracked by now.
const LOOK: Duration = Duration::from_secs(10);
/// So long the start waits for the first look.
const FIRST_LOOK: Duration = Duration::from_millis(200);

/// Where to ask.
#[derive(Debug)]
pub enum Place {
    /// In the network namespace of the caller.
    Here,
    /// In that of this file (`/proc/PID/ns/net`). It takes CAP_SYS_ADMIN when the thread starts.
    At(File),
}

/// What became of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// An answer will come.
    UnderWay,
    /// There is nobody to ask, or it is known that the address is not rewritten.
    Needless,
    /// Too many others were asked.
    Refused,
}

/// What was asked, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions.
    pub asked: u64,
    /// The address was rewritten.
    pub rewritten: u64,
    /// It was not.
    pub as_it_is: u64,
    /// The connection is not tracked where it was asked.
    pub untracked: u64,
    /// No answer, or one that made no sense.
    pub failed: u64,
    /// Not asked, because too many others were.
    pub refused: u64,
    /// Addresses that will be asked of again before their time, for want of room.
    pub forgotten: u64,
}

/// The asking end. The threads end when it is dropped; nobody waits for that.
#[derive(Debug)]
pub struct Conntrack {
    questions: SyncSender<Question>,
    answers: Receiver<(Question, Answer)>,
    /// In how many namespaces there is somebody to ask.
    there: Arc<AtomicUsize>,
    under_way: usize,
    as_it_is: AsItIs,
    second: Instant,
    in_second: u64,
    barred: Option<io::Error>,
    counters: Counters,
}

impl Conntrack {
    /// Asks in these places, in this order, until a connection is found. `prepare` runs on each thread once it is where it belongs: the place
    /// to give up privileges. What has to be left is CAP_NET_ADMIN.
    ///
    /// # Errors
    /// When a thread cannot be started, or was not prepared: it ends then, with what it could not give up.
    pub fn start(
        places: impl IntoIterator<Item = Place>,
        prepare: impl Fn() -> io::Result<()> + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (answer, answers) = sync_channel(QUEUE);
        let there = Arc::new(AtomicUsize::new(0));
        let places: Vec<_> = places.into_iter().collect();
        let number = places.len();
        let (looked, first_looks) = sync_channel(number);
        // The last one first: each hands on what it does not find.
        let mut next = None;
        for place in places.into_iter().rev() {
            let (questions, asked) = sync_channel(QUEUE);
            let desk = Desk { next: next.replace(questions), answer: answer.clone(), there: there.clone() };
            let (prepare, looked) = (prepare.clone(), looked.clone());
            let work = move || desk.work(&place, &prepare, &asked, &looked);
            thread::Builder::new().name("steth-conntrack".to_owned()).spawn(work)?;
        }
        let until = Instant::now() + FIRST_LOOK;
        let mut barred = None;
        for _ in 0..number {
            if let Ok(looked) = first_looks.recv_timeout(until.saturating_duration_since(Instant::now())) {
                barred = looked?.or(barred);
            }
        }
        let now = Instant::now();
        Ok(Self {
            // Without a place nobody hears.
            questions: next.unwrap_or_else(|| sync_channel(0).0),
            answers,
            there,
            under_way: 0,
            as_it_is: AsItIs::new(now),
            second: now,
            in_second: 0,
            barred,
            counters: Counters::default(),
        })
    }

    /// Why nobody is asked in a place: its network namespace could not be entered.
    #[must_use]
    pub fn barred(&self) -> Option<&io::Error> {
        self.barred.as_ref()
    }

    /// Asks, if it is not known. Never waits.
    pub fn ask(&mut self, question: Question) -> Asked {
        if self.there.load(Ordering::Relaxed) == 0 {
            return Asked::Needless;
        }
        let now = Instant::now();
        if self.as_it_is.has(&question, now) {
            return Asked::Needless;
        }
        if now.saturating_duration_since(self.second) >= SECOND {
            (self.second, self.in_second) = (now, 0);
        }
        let room = self.under_way < QUEUE && self.in_second < BUDGET;
        if !room || self.questions.try_send(question).is_err() {
            self.counters.refused += 1;
            return Asked::Refused;
        }
        self.under_way += 1;
        self.in_second += 1;
        self.counters.asked += 1;
        Asked::UnderWay
    }

    /// The next answer; waits so long if one is to come.
    pub fn answer(&mut self, patience: Duration) -> Option<(Question, Answer)> {
        if self.under_way == 0 {
            return None;
        }
        let (question, answer) = if patience.is_zero() {
            self.answers.try_recv().ok()?
        } else {
            self.answers.recv_timeout(patience).ok()?
        };
        self.under_way -= 1;
        match answer {
            Answer::Rewritten { .. } => self.counters.rewritten += 1,
            Answer::AsItIs => self.counters.as_it_is += 1,
            Answer::Untracked => self.counters.untracked += 1,
            Answer::Failed => self.counters.failed += 1,
        }
        // Of a connection that was refused the entry is gone at once: that says nothing.
        if answer == Answer::AsItIs || (answer == Answer::Untracked && question.established) {
            self.as_it_is.learn(&question, Instant::now());
        }
        Some((question, answer))
    }

    /// What was asked so far, and what came of it.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { forgotten: self.as_it_is.forgotten(), ..self.counters }
    }
}

/// One thread.
struct Desk {
    next: Option<SyncSender<Question>>,
    answer: SyncSender<(Question, Answer)>,
    there: Arc<AtomicUsize>,
}

impl Desk {
    fn work(
        self,
        place: &Place,
        prepare: &impl Fn() -> io::Result<()>,
        asked: &Receiver<Question>,
        looked: &SyncSender<io::Result<Option<io::Error>>>,
    ) {
        let barred = match place {
            Place::Here => None,
            // It stays there.
            Place::At(file) => setns(file, CloneFlags::CLONE_NEWNET).err().map(io::Error::from),
        };
        if let Err(error) = prepare() {
            let _ = looked.send(Err(error));
            return;
        }
        // With `stat` this is the namespace's own inode.
        let netns = std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |file| file.ino());
        let mut whom = Whom { may: barred.is_none(), there: self.there.clone(), kernel: None };
        whom.look();
        let _ = looked.send(Ok(barred));
        let mut due = Instant::now() + LOOK;
        loop {
            let question = asked.recv_timeout(due.saturating_duration_since(Instant::now()));
            if Instant::now() >= due {
                due = Instant::now() + LOOK;
                whom.look();
            }
            let question = match question {
                Ok(question) => question,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // A loopback address is another one in each namespace.
            let here = u64::from(question.netns) == netns || !question.tuple.server.ip().is_loopback();
            let answer = if here { whom.ask(&question) } else { Answer::Untracked };
            let found = matches!(answer, Answer::Rewritten { .. } | Answer::AsItIs);
            if !found
                && let Some(next) = &self.next
                && next.try_send(question).is_ok()
            {
                continue;
            }
            // There is room for as many as can have been asked.
            if self.answer.send((question, answer)).is_err() {
                return;
            }
        }
    }
}

/// Somebody to ask, if there is.
struct Whom {
    /// Nobody has refused to answer.
    may: bool,
    there: Arc<AtomicUsize>,
    kernel: Option<Kernel>,
}

impl Whom {
    /// The module may have come or gone.
    fn look(&mut self) {
        match (self.may && is_there(), self.kernel.is_some()) {
            (true, false) => {
                self.kernel = Kernel::open().ok();
                self.there.fetch_add(usize::from(self.kernel.is_some()), Ordering::Relaxed);
            }
            (false, true) => {
                self.kernel = None;
                self.there.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn ask(&mut self, question: &Question) -> Answer {
        match self.kernel.as_mut().map(|kernel| kernel.ask(question)) {
            Some(Ok(answer)) => answer,
            Some(Err(Refused)) => {
                // Nor will it be allowed later.
                self.may = false;
                self.look();
                Answer::Failed
            }
            None => Answer::Untracked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Transport, Tuple};
    use nix::sched::unshare;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::process::Command;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn run(words: &str) {
        let mut words = words.split_whitespace();
        let status = Command::new(words.next().expect("a program")).args(words).status().expect("it runs");
        assert!(status.success());
    }

    fn question(netns: u32, client: SocketAddr, server: SocketAddr) -> Question {
        Question { connection: 7, netns, tuple: Tuple { transport: Transport::Tcp, client, server }, established: true }
    }

    /// A namespace in which 127.0.0.2:80 is 127.0.0.1 and another port, with a connection there and one that goes nowhere else.
    struct There {
        file: File,
        netns: u32,
        rewritten: (TcpStream, SocketAddr),
        plain: (TcpStream, SocketAddr),
        port: u16,
        _server: TcpListener,
    }

    fn there() -> There {
        let within = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may");
            run("ip link set lo up");
            let server = TcpListener::bind("127.0.0.1:0").expect("a port");
            let plain = server.local_addr().expect("an address");
            let port = plain.port();
            let to = format!("-d 127.0.0.2 -p tcp --dport 80 -j DNAT --to-destination 127.0.0.1:{port}");
            run(&format!("iptables -w -t nat -A OUTPUT {to}"));
            let rewritten = SocketAddr::from(([127, 0, 0, 2], 80));
            let connect = |to: SocketAddr| (TcpStream::connect(to).expect("somebody listens"), to);
            let file = File::open("/proc/thread-self/ns/net").expect("a namespace");
            let netns = file.metadata().expect("an inode").ino() as u32;
            There { file, netns, rewritten: connect(rewritten), plain: connect(plain), port, _server: server }
        };
        thread::spawn(within).join().expect("no panic")
    }

    /// The kernel itself, asked in another namespace than the test's, behind the test's own.
    #[test]
    fn the_kernel_says_where_a_connection_leads() {
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("STETH_TEST_ALLOW_SKIP").is_some(), "this test needs root; see docs/testing.md");
            return;
        }
        let there = there();
        let file = there.file.try_clone().expect("a descriptor");
        let mut conntrack = Conntrack::start([Place::Here, Place::At(file)], || Ok(())).expect("threads");
        let client = |end: &(TcpStream, SocketAddr)| end.0.local_addr().expect("an address");
        let mut ask = |question| {
            let asked = conntrack.ask(question);
            (asked, conntrack.answer(PATIENCE).map(|(question, answer)| (question.connection, answer)))
        };
        let to = &there.rewritten;
        let rewritten = question(there.netns, client(to), to.1);
        let server = SocketAddr::from(([127, 0, 0, 1], there.port));
        let leads = Answer::Rewritten { server, client: client(to) };
        for _ in 0..2 {
            assert_eq!(ask(rewritten), (Asked::UnderWay, Some((7, leads))), "each connection is asked for");
        }
        let plain = question(there.netns, client(&there.plain), there.plain.1);
        assert_eq!(ask(plain), (Asked::UnderWay, Some((7, Answer::AsItIs))));
        assert_eq!(ask(plain), (Asked::Needless, None), "it is known by now");
        let elsewhere = Question { netns: there.netns + 1, ..rewritten };
        assert_eq!(ask(elsewhere), (Asked::UnderWay, Some((7, Answer::Untracked))), "another namespace's 127.0.0.2");
        let refused =
            Question { established: false, ..question(there.netns, SocketAddr::from(([127, 0, 0, 1], 1)), to.1) };
        for _ in 0..2 {
            assert_eq!(
                ask(refused),
                (Asked::UnderWay, Some((7, Answer::Untracked))),
                "that says nothing of the next one"
            );
        }
        let counters = conntrack.counters();
        assert_eq!(counters, Counters { asked: 6, rewritten: 2, as_it_is: 1, untracked: 3, ..Counters::default() });
    }

    #[test]
    fn a_thread_that_cannot_give_its_privileges_up_asks_nothing() {
        let started = Conntrack::start([Place::Here], || Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(started.expect_err("it is said").kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_place_that_cannot_be_entered_is_told_of() {
        let there = File::open("/dev/null").expect("a file that is no namespace");
        let conntrack = Conntrack::start([Place::Here, Place::At(there)], || Ok(())).expect("threads");
        assert_eq!(conntrack.barred().map(io::Error::kind), Some(io::ErrorKind::InvalidInput));
        let conntrack = Conntrack::start([Place::Here], || Ok(())).expect("a thread");
        assert!(conntrack.barred().is_none());
    }

    #[test]
    fn more_questions_than_there_is_room_or_time_for_are_refused_and_counted() {
        // Nobody takes them up.
        let (questions, _asked) = sync_channel(QUEUE);
        let (_answer, answers) = sync_channel(1);
        let now = Instant::now();
        let mut conntrack = Conntrack {
            questions,
            answers,
            there: Arc::new(AtomicUsize::new(1)),
            under_way: 0,
            as_it_is: AsItIs::new(now),
            second: now,
            in_second: 0,
            barred: None,
            counters: Counters::default(),
        };
        let end = SocketAddr::from(([10, 0, 0, 1], 80));
        (0..QUEUE).for_each(|_| assert_eq!(conntrack.ask(question(1, end, end)), Asked::UnderWay));
        assert_eq!(conntrack.ask(question(1, end, end)), Asked::Refused);
        conntrack.under_way = 0;
        assert_eq!(conntrack.ask(question(1, end, end)), Asked::Refused, "so many in a second");
        assert_eq!((conntrack.counters().asked, conntrack.counters().refused), (QUEUE as u64, 2));
        conntrack.there.store(0, Ordering::Relaxed);
        assert_eq!(conntrack.ask(question(1, end, end)), Asked::Needless, "there is nobody to ask");
    }

    /// What an answer takes, beside the two changes of threads. `cargo test --release -p steth-conntrack -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn what_a_question_takes() {
        const TIMES: u32 = 100_000;
        let there = there();
        let tuple = question(there.netns, there.rewritten.0.local_addr().expect("an address"), there.rewritten.1);
        let within = move || {
            setns(&there.file, CloneFlags::CLONE_NEWNET).expect("root may");
            let mut kernel = Kernel::open().expect("a socket");
            let begin = Instant::now();
            for _ in 0..TIMES {
                assert!(matches!(kernel.ask(&tuple), Ok(Answer::Rewritten { .. })));
            }
            begin.elapsed() / TIMES
        };
        eprintln!("{:?} a question", thread::spawn(within).join().expect("no panic"));
    }
}
