//! The built agent, run as a user would run it.

use super::process::{Process, START, command};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What the agent prints on stderr, at the head of one line, once its hooks are attached.
pub const READY: &str = "watching";

/// A running `steth watch --json`.
#[derive(Debug)]
pub struct Steth {
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    _dir: TempDir,
}

/// What a run has printed.
#[derive(Debug)]
pub struct Seen {
    /// The objects of type `exchange`, in order.
    pub exchanges: Vec<Value>,
    /// The object of type `ledger`, printed last; null when there was none.
    pub ledger: Value,
    /// How it ended.
    pub status: ExitStatus,
    /// Its stderr.
    pub errors: String,
}

impl Steth {
    /// Starts `steth watch --json` with further arguments; returns when its hooks are attached.
    pub fn watch(arguments: &[&str]) -> Self {
        Self::watch_with(arguments, &[])
    }

    /// Like [`watch`](Self::watch), with environment variables.
    pub fn watch_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(env!("CARGO_BIN_EXE_steth"));
        command.args(["watch", "--json"]);
        // All tests of the agent, with one family of hooks (docs/kernels.md).
        if let Some(hooks) = std::env::var_os("STETH_TEST_HOOKS") {
            command.arg("--hooks").arg(hooks);
        }
        command.args(arguments).envs(environment.iter().copied());
        Self::start(&mut command)
    }

    /// The same of a command that runs `steth watch --json`, whatever it does before.
    pub fn start(command: &mut Command) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut process = Process::piped("steth", command, dir.path());
        drop(process.child().stdin.take());
        let stdout = process.child().stdout.take().expect("stdout is a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let reader = std::thread::spawn({
            let lines = Arc::clone(&lines);
            move || {
                for line in BufReader::with_capacity(1 << 20, stdout).lines() {
                    let Ok(line) = line else { break };
                    // Parsed later: a reader that falls behind holds the agent up, and what it then loses is our fault.
                    lines.lock().expect("no reader panics").push(line);
                }
            }
        });
        let steth = Self { process, lines, reader: Some(reader), _dir: dir };
        steth.process.wait_for("it said that it is watching", START, || steth.process.errors().contains(READY));
        steth
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its stderr so far.
    pub fn errors(&self) -> String {
        self.process.errors()
    }

    /// Sends it a signal (SIGSTOP, SIGCONT, SIGKILL, …).
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The exchanges printed so far.
    pub fn exchanges(&self) -> Vec<Value> {
        of_type(&parsed(&self.lines.lock().expect("no reader panics")), "exchange")
    }

    /// Waits until at least `count` exchanges are printed; fails the test when they are not in time.
    pub fn wait_for_exchanges(&self, count: usize, limit: Duration) {
        let what = format!("{count} exchanges were printed");
        self.process.wait_for(&what, limit, || self.count() >= count);
    }

    /// Waits until no further line has come for `quiet`, 10 seconds at most. Where a test knows the number, the function
    /// above is the better one: it waits for a condition.
    pub fn settle(&self, quiet: Duration) {
        let begun = Instant::now();
        let (mut count, mut since) = (usize::MAX, Instant::now());
        while since.elapsed() < quiet && begun.elapsed() < Duration::from_secs(10) {
            let now = self.lines.lock().expect("no reader panics").len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Sends SIGTERM, waits for the end, and returns all that was printed.
    pub fn finish(mut self) -> Seen {
        self.process.signal(Signal::SIGTERM);
        let status = self.process.wait_for_end(Duration::from_secs(30));
        self.reader.take().expect("finish is called once").join().expect("the reader does not panic");
        let lines = parsed(&self.lines.lock().expect("no reader panics"));
        let strange: Vec<_> = lines.iter().filter(|line| !line.is_object()).take(3).collect();
        assert!(strange.is_empty(), "lines that are no JSON objects: {strange:?}");
        Seen {
            exchanges: of_type(&lines, "exchange"),
            ledger: of_type(&lines, "ledger").pop().unwrap_or(Value::Null),
            status,
            errors: self.process.errors(),
        }
    }

    fn count(&self) -> usize {
        self.lines.lock().expect("no reader panics").iter().filter(|l| l.starts_with(r#"{"type":"exchange""#)).count()
    }
}

impl Seen {
    /// The exchanges of one side: `client` or `server`.
    pub fn side<'a>(&'a self, side: &'a str) -> impl Iterator<Item = &'a Value> {
        self.exchanges.iter().filter(move |exchange| exchange["side"] == side)
    }

    /// Fails unless everything that was seen is accounted for: reported, left to the books, or declared lost.
    pub fn balanced(&self) {
        let ledger = &self.ledger;
        let number =
            |path: &str| ledger.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {ledger}"));
        assert_eq!(number("/exchanges/reported"), self.exchanges.len() as u64, "what was printed is what was counted");
        let accounted = ["reported", "l4_only", "pending", "lost"].map(|state| number(&format!("/chunks/{state}")));
        assert_eq!(number("/chunks/seen"), accounted.iter().sum::<u64>(), "every chunk is accounted for: {ledger}");
        for what in ["chunks", "bytes"] {
            let (received, reported) = (number(&format!("/{what}/received")), number(&format!("/{what}/reported")));
            assert_eq!(received, reported, "{what}: what went into the ring came out: {ledger}");
        }
        assert!(self.status.success(), "{}", self.errors);
    }

    /// The same, and nothing is lost.
    pub fn nothing_lost(&self) {
        assert_eq!(self.ledger["exchanges"]["lost"], 0, "{}\n{}", self.ledger, self.errors);
        assert_eq!(self.ledger["chunks"]["lost"], 0, "{}", self.ledger);
        self.balanced();
    }

    /// How many exchanges of one side had this outcome.
    pub fn count(&self, side: &str, outcome: &str) -> u64 {
        self.side(side).filter(|exchange| exchange["outcome"] == outcome).count() as u64
    }
}

/// A line that is no JSON becomes a string: the test then fails on it with the text at hand.
fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.clone()))).collect()
}

fn of_type(lines: &[Value], name: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["type"] == name).cloned().collect()
}
