//! One program, started for one test and gone with it.

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take to start. Generous: a JVM on a loaded machine needs seconds.
pub const START: Duration = Duration::from_secs(30);
/// Set to a number, everything that is waited for may take so many times as long: on an emulated processor the verifier takes its time.
const PATIENCE: &str = "STETH_TEST_PATIENCE";

fn patience() -> u32 {
    std::env::var(PATIENCE).ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// A command that dies with the thread that starts it, so that a test killed from outside leaves nothing behind.
/// (The guard is the rule, this is for the case in which no destructor runs.)
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A running program. Dropping it kills its process group, which holds whatever it started itself.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    reaped: bool,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts the command in its own process group. Its output goes to `NAME.out` and `NAME.err` in `dir`, unless the
    /// caller has piped stdout through `piped`.
    pub fn spawn(name: &str, command: &mut Command, dir: &Path) -> Self {
        let (output, errors) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        command.stdin(Stdio::null()).stdout(file(&output)).stderr(file(&errors));
        Self::start(name, command, output, errors)
    }

    /// Like [`spawn`](Self::spawn), with stdin and stdout as pipes for the caller to take from [`child`](Self::child).
    pub fn piped(name: &str, command: &mut Command, dir: &Path) -> Self {
        let (output, errors) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let file = File::create(&errors).unwrap_or_else(|e| panic!("{}: {e}", errors.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        Self::start(name, command, output, errors)
    }

    fn start(name: &str, command: &mut Command, output: PathBuf, errors: PathBuf) -> Self {
        let child = command
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start ({e}); `scripts/setup test` installs what tests need"));
        Self { name: name.to_string(), child, reaped: false, output, errors }
    }

    /// The process id, which is also the id of its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// For the pipes of [`piped`](Self::piped).
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal to the process alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        assert!(!self.reaped, "{} was waited for, its id may be anyone's", self.name);
        let _ = kill(self.nix_pid(), signal); // it may have ended by itself
    }

    /// What it has written to stdout so far.
    pub fn output(&self) -> String {
        read_lossy(&self.output)
    }

    /// What it has written to stderr so far.
    pub fn errors(&self) -> String {
        read_lossy(&self.errors)
    }

    /// True once it has ended. Does not reap: the id stays taken, and the group can still be killed by it.
    pub fn ended(&self) -> bool {
        if self.reaped {
            return true;
        }
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.nix_pid()), flags), Ok(WaitStatus::StillAlive))
    }

    /// Waits for a condition that the program is to bring about. Fails the test when it ends or the time is over.
    pub fn wait_for(&self, what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
        let (begun, limit) = (Instant::now(), limit * patience());
        while !is() {
            if self.ended() || begun.elapsed() > limit {
                let how = if self.ended() { "ended" } else { "was not ready in time" };
                panic!("{} {how} before {what}.\n{}{}", self.name, self.output(), self.errors());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the program listens: 127.0.0.1:`port` accepts.
    pub fn wait_for_port(&self, port: u16) {
        let what = format!("127.0.0.1:{port} accepted");
        self.wait_for(&what, START, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self, limit: Duration) -> ExitStatus {
        let (begun, limit) = (Instant::now(), limit * patience());
        while !self.ended() {
            assert!(begun.elapsed() < limit, "{} has not ended within {limit:?}\n{}", self.name, self.errors());
            sleep(Duration::from_millis(2));
        }
        let _ = killpg(self.nix_pid(), Signal::SIGKILL); // what it started, before the id is given back
        self.reaped = true;
        self.child.wait().expect("the child can be waited for")
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once reaped, the id may be anyone's; the group was killed before that.
        if !self.reaped {
            let _ = killpg(self.nix_pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// Runs a tool to its end within the limit and returns (stdout, stderr). Fails the test when the tool fails.
pub fn run(name: &str, command: &mut Command, limit: Duration) -> (String, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::spawn(name, command, dir.path());
    let status = process.wait_for_end(limit);
    let (output, errors) = (process.output(), process.errors());
    assert!(status.success(), "{name}: {status}\n{output}{errors}");
    (output, errors)
}

/// Polls a condition until it holds; fails the test when it does not within the limit.
pub fn wait_until(what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A port of 127.0.0.1 on which nobody listens. Outside of the range from which the kernel takes the client side of
/// connections (32768 and up), and far from the ports that another test process tries.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + n % COUNT).expect("below 65536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Connections of clients to 127.0.0.1:`port` that stand at this moment.
pub fn established(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel's table of connections");
    let to = format!("0100007F:{port:04X}");
    let fields = |line: &str| line.split_whitespace().skip(2).take(2).map(String::from).collect::<Vec<_>>();
    table.lines().map(fields).filter(|fields| *fields == [to.as_str(), "01"]).count()
}
