//! A real `steth run`, and what can be said of it from outside.

use crate::process::{Guarded, anywhere};
use anyhow::Context as _;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// The running agent; killed with this value, unless it was stopped.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Guarded,
    address: String,
    lines: Receiver<String>,
    started_in: Duration,
}

/// CPU time so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// Nanoseconds on a CPU, exact.
    pub(crate) total: f64,
    /// Clock ticks that hit it in user mode, and in the kernel: the only split that the kernel offers.
    pub(crate) user_ticks: f64,
    pub(crate) system_ticks: f64,
}

/// What the agent says at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger {
    pub(crate) reported: u64,
    pub(crate) lost: u64,
}

impl Agent {
    /// Starts it and waits until it says that it is attached.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::run(anywhere(env!("CARGO_BIN_EXE_steth")).args(["run", "--listen", "127.0.0.1:0"]))
    }

    /// The same with a configuration.
    pub(crate) fn with_configuration(file: &Path) -> anyhow::Result<Self> {
        let mut command = anywhere(env!("CARGO_BIN_EXE_steth"));
        Self::run(command.args(["run", "--listen", "127.0.0.1:0", "--config"]).arg(file))
    }

    fn run(command: &mut Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut process = Guarded::spawn(command)?;
        let errors = process.0.stderr.take().context("no standard error")?;
        // Read to its end: a full or closed pipe would change what is measured. Few lines are said.
        let (to, lines) = sync_channel(64);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let _ = to.try_send(line);
            }
        });
        let line = lines.recv_timeout(Duration::from_secs(30)).context("the agent does not attach")?;
        let (_, address) = line.split_once("http://").with_context(|| format!("the agent said: {line}"))?;
        let address = address.trim_end_matches('/').to_owned();
        let started_in = begun.elapsed();
        // Its first look at everything belongs to the start.
        std::thread::sleep(Duration::from_millis(150));
        Ok(Self { process, address, lines, started_in })
    }

    /// From its start to its saying that it watches.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Reads its rules again; how long until it says that everybody has been judged.
    pub(crate) fn reload(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        nix::sys::signal::kill(Pid::from_raw(self.process.pid().cast_signed()), nix::sys::signal::Signal::SIGHUP)?;
        loop {
            let line =
                self.lines.recv_timeout(Duration::from_secs(30)).context("the agent says nothing of its rules")?;
            if line.contains("the selection was read again") {
                return Ok(begun.elapsed());
            }
        }
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.process.pid())).unwrap_or_default()
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut total = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process.pid()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            total += text.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
        // proc(5): user and system time are fields 14 and 15; the name, field 2, ends at the last parenthesis.
        let stat = self.proc("stat");
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse().ok()).unwrap_or(0.0);
        Ok(Cpu { total, user_ticks: ticks(14), system_ticks: ticks(15) })
    }

    /// MiB of one line of `/proc/PID/status`: `VmRSS`, `RssAnon`.
    pub(crate) fn status_mib(&self, name: &str) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// MiB that the kernel keeps for the agent's BPF maps, the ring included (`memlock` in fdinfo).
    pub(crate) fn kernel_mib(&self) -> anyhow::Result<f64> {
        let mut maps = BTreeMap::new();
        for file in std::fs::read_dir(format!("/proc/{}/fdinfo", self.process.pid()))? {
            let text = std::fs::read_to_string(file?.path()).unwrap_or_default();
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
                maps.insert(id, bytes);
            }
        }
        Ok(maps.values().sum::<u64>() as f64 / f64::from(1 << 20))
    }

    /// Connections in the agent's table.
    pub(crate) fn open_connections(&self) -> anyhow::Result<u64> {
        Ok(self.metric("steth_connections_open")? as u64)
    }

    /// The line of `/metrics` that begins with this name and its labels.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).context("no such metric")?;
        Ok(value.trim().parse()?)
    }

    /// Stops it; its last line is its ledger.
    pub(crate) fn stop(mut self) -> anyhow::Result<Ledger> {
        self.process.stop().context("the agent did not live to its end")?;
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(2)) {
            said.push(line);
        }
        let last = said.iter().find(|line| line.contains("stopped;")).with_context(|| format!("it said {said:?}"))?;
        let mut numbers = last.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
        let (Some(reported), Some(lost)) = (numbers.next(), numbers.next()) else { anyhow::bail!("it said {last}") };
        for line in said.iter().filter(|line| *line != last) {
            println!("  the agent said: {line}");
        }
        Ok(Ledger { reported, lost })
    }
}
