//! named and dnsmasq with the zone that unbound has here, and the C library's resolver.
//!
//! `www.shop.test` has an A and an AAAA record, `big.shop.test` a TXT answer of 750 bytes; everything else in `shop.test` is
//! NXDOMAIN. What is in no zone is REFUSED.

use super::process::{Process, command, free_port, run};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A running named on 127.0.0.1, UDP and TCP, that asks nobody else. `broken.test` is SERVFAIL: a zone without its file.
#[derive(Debug)]
pub struct Named {
    /// Where it listens.
    pub port: u16,
    process: Process,
    _dir: TempDir,
}

impl Named {
    /// Starts it with one thread.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let texts = ["a", "b", "c"].map(|letter| format!("big TXT \"{}\"\n", letter.repeat(240))).concat();
        let zone = format!(
            "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n@ NS ns\nns A 127.0.0.1\n\
             www A 192.0.2.10\nwww AAAA 2001:db8::10\n{texts}"
        );
        let configuration = format!(
            "options {{ directory \"{0}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile none; managed-keys-directory \"{0}\"; recursion no; dnssec-validation no;\n\
             minimal-responses yes; empty-zones-enable no; }};\ncontrols {{ }};\n\
             zone \"shop.test\" {{ type primary; file \"shop\"; }};\n\
             zone \"broken.test\" {{ type primary; file \"missing\"; }};\n",
            dir.path().display(),
        );
        fs::write(dir.path().join("shop"), zone).expect("a file");
        fs::write(dir.path().join("named.conf"), configuration).expect("a file");
        let mut command = command("named");
        command.args(["-g", "-n", "1", "-4", "-c"]).arg(dir.path().join("named.conf"));
        let process = Process::spawn("named", &mut command, dir.path());
        process.wait_for_port(port);
        process.wait_for("all zones were loaded", super::process::START, || process.errors().contains("running"));
        Self { port, process, _dir: dir }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// A running dnsmasq on 127.0.0.1, UDP and TCP. What it is asked of `drop.test` it asks a socket that never answers.
#[derive(Debug)]
pub struct Dnsmasq {
    /// Where it listens.
    pub port: u16,
    process: Process,
    _silent: UdpSocket,
    _dir: TempDir,
}

/// What dnsmasq is told of the zone.
fn zone() -> Vec<String> {
    let texts = ["a", "b", "c"].map(|letter| letter.repeat(240)).join(",");
    let fixed =
        ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file="];
    let zone = ["--local=/shop.test/", "--host-record=www.shop.test,192.0.2.10,2001:db8::10"];
    let more = ["--listen-address=127.0.0.1", "--bind-interfaces", "--log-facility=-"];
    let text = format!("--txt-record=big.shop.test,{texts}");
    fixed.into_iter().chain(zone).chain(more).map(String::from).chain([text]).collect()
}

impl Dnsmasq {
    /// Starts it.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let upstream = silent.local_addr().expect("it is bound").port();
        let mut command = command("dnsmasq");
        command.args(zone()).arg(format!("--port={port}")).arg(format!("--server=/drop.test/127.0.0.1#{upstream}"));
        let process = Process::spawn("dnsmasq", &mut command, dir.path());
        process.wait_for_port(port);
        Self { port, process, _silent: silent, _dir: dir }
    }

    /// Its process id. A TCP connection is served by a child.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Asks the C library for the addresses of each name, once each, and returns how many it gave. The resolver asks port 53 and
/// reads /etc: so both, and a dnsmasq that answers, are in namespaces of their own that end with the program.
pub fn resolved_by_libc(names: &[&str]) -> Vec<usize> {
    const INSIDE: &str = "set -e; dir=$1; shift; ip link set lo up; mount --bind $dir/resolv.conf /etc/resolv.conf
        mount --bind $dir/nsswitch.conf /etc/nsswitch.conf; xargs -d '\\n' -a $dir/zone dnsmasq --port=53 2>$dir/log & server=$!
        until grep -q ':0035 ' /proc/net/udp; do sleep 0.02; done
        python3 $dir/ask.py \"$@\"; kill $server";
    const ASK: &str = "import socket, sys\nfor name in sys.argv[1:]:\n    try:\n        \
        print(len(socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)))\n    except socket.gaierror:\n        print(0)\n";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| fs::write(dir.path().join(Path::new(name)), text).expect("a file");
    write("resolv.conf", "nameserver 127.0.0.1\n");
    write("nsswitch.conf", "hosts: dns\n");
    write("zone", &zone().join("\n"));
    write("ask.py", ASK);
    let mut command = command("unshare");
    // A pid namespace too: whatever is left in it ends with its first process.
    command
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", INSIDE, "sh"])
        .arg(dir.path());
    let (output, _) = run("unshare", command.args(names), Duration::from_secs(30));
    output.lines().filter_map(|line| line.parse().ok()).collect()
}
