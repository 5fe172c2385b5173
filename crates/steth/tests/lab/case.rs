//! A conversation made by hand: one Python script per case, in `servers/cases`.
//!
//! A script opens its listener (or names the server it was given), prints `{"port": …, "client_pid": …, "server_pid": …}`,
//! waits for a line on stdin, talks, prints what happened as one JSON object, and ends. The agent is started in between,
//! so that it can be told the port and so that "older than the agent" can be played.

use super::process::{Process, START, command};
use super::runtimes::{programs, python};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;
use tempfile::TempDir;

/// A script that has printed its first line and waits.
#[derive(Debug)]
pub struct Case {
    /// The first line.
    pub ready: Value,
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _dir: TempDir,
}

impl Case {
    /// Starts `servers/cases/NAME.py`.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = command(python());
        command.arg(programs().join("cases").join(name).with_extension("py")).args(arguments).current_dir(dir.path());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::piped(name, &mut command, dir.path());
        let input = process.child().stdin.take().expect("stdin is a pipe");
        let mut output = BufReader::new(process.child().stdout.take().expect("stdout is a pipe"));
        let ready = line(name, &mut output, &process);
        Self { ready, process, input, output, _dir: dir }
    }

    /// The server's port, 0 where there is none (unix sockets).
    pub fn port(&self) -> u16 {
        self.ready["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
    }

    /// The process that is the client in this case, unless its report says otherwise per exchange.
    pub fn client_pid(&self) -> u64 {
        self.ready["client_pid"].as_u64().unwrap_or(0)
    }

    /// The process that is the server in this case; 0 when it is a program that the script does not know.
    pub fn server_pid(&self) -> u64 {
        self.ready["server_pid"].as_u64().unwrap_or(0)
    }

    /// Lets the script talk, to its end, and returns its report.
    pub fn go(mut self) -> Value {
        self.input.write_all(b"go\n").expect("the script waits for a line");
        let report = line("the report", &mut self.output, &self.process);
        let status = self.process.wait_for_end(START + Duration::from_secs(30));
        assert!(status.success(), "{status}: {}", self.process.errors());
        report
    }
}

fn line(what: &str, output: &mut BufReader<ChildStdout>, process: &Process) -> Value {
    let mut text = String::new();
    let read = output.read_line(&mut text);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{what}: {e} in {text:?} ({read:?})\n{}", process.errors()))
}
