//! `steth run`, and what it answers.

use super::load::curl;
use super::process::{Process, START, command, free_port, run};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;

/// A running agent with its API.
#[derive(Debug)]
pub struct Agent {
    /// Where it answers, on 127.0.0.1.
    pub port: u16,
    /// None if somebody else has started it.
    running: Option<(Process, TempDir)>,
}

impl Agent {
    /// Starts it; returns when its hooks are attached.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with further arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        let mut command = command(env!("CARGO_BIN_EXE_steth"));
        command.args(["run", "--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        let process = Process::spawn("run", &mut command, dir.path());
        process.wait_for("it said that it is watching", START, || process.errors().contains("watching"));
        Self { port, running: Some((process, dir)) }
    }

    /// One that somebody else has started, and will end.
    pub fn at(port: u16) -> Self {
        Self { port, running: None }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A text that it answers with.
    pub fn text(&self, path: &str) -> String {
        let answer = curl(&[&format!("{}{path}", self.url())]);
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{path}: {body}");
        body
    }

    /// JSON that it answers with.
    pub fn json(&self, path: &str) -> Value {
        let text = self.text(path);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}\n{text}"))
    }

    /// The sum of all samples in `/metrics` with this name and these pieces of text in their labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = self.text("/metrics");
        let wanted = |line: &&str| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
            rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label)))
        };
        text.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Runs `steth COMMAND … --connect` to its end, and returns what it printed.
    pub fn asked_by(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_steth"));
        command.args(arguments).args(["--connect", &self.url()]).envs(environment.iter().copied());
        run("steth", &mut command, Duration::from_secs(20)).0
    }

    /// SIGKILL.
    pub fn kill(self) {
        let (mut process, _dir) = self.running.expect("it was started here");
        process.signal(Signal::SIGKILL);
        process.wait_for_end(Duration::from_secs(10));
    }

    /// What it has written to stderr so far.
    pub fn errors(&self) -> String {
        self.running.as_ref().map(|(process, _)| process.errors()).unwrap_or_default()
    }

    /// SIGTERM; it must end in good order.
    pub fn finish(self) {
        let (mut process, _dir) = self.running.expect("it was started here");
        process.signal(Signal::SIGTERM);
        let status = process.wait_for_end(Duration::from_secs(30));
        assert!(status.success(), "{}", process.errors());
    }
}

/// What a command without an agent says and how it ends.
pub fn steth(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steth")).args(arguments).output().expect("steth runs")
}
