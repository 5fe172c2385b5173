//! unbound with a zone of its own, and the two programs that ask it: dnsperf, which counts, and dig.

use super::process::{Process, command, free_port, run};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// A running unbound on 127.0.0.1, UDP and TCP, that asks nobody else.
///
/// `www.shop.test` has an A and an AAAA record, `big.shop.test` a TXT answer of 750 bytes; everything else in `shop.test` is
/// NXDOMAIN, in `broken.test` SERVFAIL (a zone without its SOA), in `no.test` REFUSED, in `drop.test` not answered.
#[derive(Debug)]
pub struct Unbound {
    /// Where it listens.
    pub port: u16,
    process: Process,
    _dir: TempDir,
}

impl Unbound {
    /// Starts it with one thread.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name);
        let port = free_port();
        let text: String = ["a", "b", "c"]
            .map(|letter| format!("  local-data: \"big.shop.test. 300 IN TXT '{}'\"\n", letter.repeat(240)))
            .concat();
        let configuration = format!(
            "server:\n  interface: 127.0.0.1\n  port: {port}\n  access-control: 127.0.0.0/8 allow\n  do-daemonize: no\n  \
             use-syslog: no\n  logfile: \"\"\n  username: \"\"\n  chroot: \"\"\n  directory: \"{0}\"\n  pidfile: \"\"\n  \
             num-threads: 1\n  module-config: \"iterator\"\n  local-zone: \"test.\" nodefault\n  \
             local-zone: \"shop.test.\" static\n  local-data: \"www.shop.test. 300 IN A 192.0.2.10\"\n  \
             local-data: \"www.shop.test. 300 IN AAAA 2001:db8::10\"\n{text}  \
             local-zone: \"drop.test.\" deny\n  local-zone: \"no.test.\" refuse\n\
             auth-zone:\n  name: \"broken.test.\"\n  zonefile: \"{0}/broken\"\n  for-downstream: yes\n  \
             for-upstream: no\n  fallback-enabled: no\nremote-control:\n  control-enable: no\n",
            dir.path().display(),
        );
        fs::write(path("broken"), "broken.test. 300 IN A 192.0.2.1\n").expect("a file");
        fs::write(path("unbound.conf"), configuration).expect("a file");
        let mut command = command("unbound");
        command.args(["-d", "-c"]).arg(path("unbound.conf"));
        let process = Process::spawn("unbound", &mut command, dir.path());
        process.wait_for_port(port);
        Self { port, process, _dir: dir }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// What dnsperf did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnsperf {
    /// Queries sent.
    pub sent: u64,
    /// Of them, answered; the rest was not answered in time.
    pub completed: u64,
    /// Answers by response code.
    pub codes: BTreeMap<String, u64>,
}

/// Runs `dnsperf -m MODE`: `rounds` times through `queries` (`name type` each), `clients` sockets, `outstanding` queries at
/// once over all of them. All are answered before it ends.
pub fn dnsperf(port: u16, mode: &str, queries: &[&str], rounds: u64, clients: u64, outstanding: u64) -> Dnsperf {
    dnsperf_with(port, mode, queries, rounds, clients, outstanding, &[])
}

/// The same at no more than `rate` queries a second.
pub fn dnsperf_at(rate: u64, port: u16, mode: &str, queries: &[&str], rounds: u64, clients: u64) -> Dnsperf {
    dnsperf_with(port, mode, queries, rounds, clients, 20, &["-Q", &rate.to_string()])
}

fn dnsperf_with(
    port: u16,
    mode: &str,
    queries: &[&str],
    rounds: u64,
    clients: u64,
    outstanding: u64,
    further: &[&str],
) -> Dnsperf {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("queries");
    fs::write(&file, queries.join("\n") + "\n").expect("a file");
    let mut command = command("dnsperf");
    command.args(["-s", "127.0.0.1", "-p", &port.to_string(), "-m", mode, "-n", &rounds.to_string()]);
    command
        .args(["-c", &clients.to_string(), "-q", &outstanding.to_string(), "-T", "1", "-d"])
        .arg(&file)
        .args(further);
    let (output, _) = run("dnsperf", &mut command, Duration::from_secs(120));
    let rest = |name: &str| output.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let number = |name: &str| rest(name)?.split_whitespace().next()?.parse().ok();
    let codes = rest("Response codes:").unwrap_or_default().split(", ").filter_map(|part| {
        let mut words = part.split_whitespace();
        Some((words.next()?.to_string(), words.next()?.parse().ok()?))
    });
    Dnsperf {
        sent: number("Queries sent:").unwrap_or_else(|| panic!("dnsperf said {output}")),
        completed: number("Queries completed:").unwrap_or(0),
        codes: codes.collect(),
    }
}

/// Runs dig with further arguments and returns the response code, if there was a response.
pub fn dig(port: u16, arguments: &[&str]) -> Option<String> {
    let mut command = command("dig");
    // Its own configuration file could change what is sent.
    command.args(["-r", "@127.0.0.1", "-p", &port.to_string(), "+tries=1"]).args(arguments);
    let output = command.output().expect("dig runs; `scripts/setup test` installs it");
    let output = String::from_utf8_lossy(&output.stdout);
    Some(output.split("status: ").nth(1)?.split(',').next()?.to_string())
}
