//! Processes that are started for a measurement and end with it.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The CPU of the load generator.
pub(crate) const CLIENT_CPU: usize = 0;

/// The CPU of the servers: the last one, so that client and server have one each where there are two.
pub(crate) fn server_cpu() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) - 1
}

/// Puts the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// A command on one CPU that also ends when the benchmark is killed.
pub(crate) fn pinned(cpu: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string(), "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// The same on any CPU.
pub(crate) fn anywhere(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A process that is killed when the value goes.
#[derive(Debug)]
pub(crate) struct Guarded(pub(crate) Child);

impl Guarded {
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.map_err(|error| anyhow::anyhow!("cannot run {}: {error}", name.display()))?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A signal, and its end within seconds, whatever its status.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and an orderly end within seconds.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGTERM)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                anyhow::ensure!(status.success(), "process {} ended with {status}", self.pid());
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(20), "process {} does not end", self.pid());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both do nothing once the process was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of 127.0.0.1 on which nobody listens, below the range that the kernel gives to clients.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let first = 12_000 + std::process::id() % 10_000;
    (first..32_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| anyhow::anyhow!("no port is free"))
}
