//! What the agent may do once it watches, and what the commands it starts may do.

use crate::lab::process::{Process, command};
use crate::lab::{Nginx, RedisServer, Steth, ab, curl, free_port, kept, together, wait_until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;
use steth_event::{Event, counter};
use steth_probe::privileges::{Capabilities, keep_only};
use steth_probe::{Demotion, Probe, Settings};
use steth_query::Filter;

const DAC_OVERRIDE: u64 = 1 << 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_PTRACE: u64 = 1 << 19;

fn steth() -> Command {
    command(env!("CARGO_BIN_EXE_steth"))
}

/// Effective, permitted, inheritable and ambient capabilities and `no_new_privs` of every thread; one entry if all agree.
fn threads(pid: u32) -> BTreeSet<[u64; 5]> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the agent's threads");
    let of = |status: String| {
        let lines: BTreeMap<_, _> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
        ["CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs"]
            .map(|key| u64::from_str_radix(lines[key].trim(), 16).expect("a number"))
    };
    tasks
        // Some threads end when they have looked around.
        .filter_map(|task| fs::read_to_string(task.expect("a thread").path().join("status")).ok())
        .map(of)
        .collect()
}

/// The threads that may ask connection tracking, by their names.
fn asking(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the agent's threads");
    let of = |task: std::path::PathBuf| {
        let status = fs::read_to_string(task.join("status")).ok()?;
        let held = status.lines().find_map(|line| line.strip_prefix("CapEff:\t"))?;
        let held = u64::from_str_radix(held.trim(), 16).expect("a number");
        (held & NET_ADMIN != 0).then(|| fs::read_to_string(task.join("comm")).unwrap_or_default().trim().to_owned())
    };
    tasks.filter_map(|task| of(task.expect("a thread").path())).collect()
}

#[test]
fn every_thread_keeps_the_least_set_and_health_names_it() {
    root_or_skip!();
    let _together = together();
    let watch = Steth::watch(&["--port", "1"]);
    let asks = [NET_ADMIN, NET_ADMIN, 0, 0, 1];
    assert_eq!(threads(watch.pid()), [[SYS_PTRACE, SYS_PTRACE, 0, 0, 1], asks].into());
    assert_eq!(asking(watch.pid()), ["steth-conntrack"]);
    watch.finish();

    for (owner, expected, conntrack, names) in [
        (0, SYS_PTRACE, true, &["CAP_NET_ADMIN", "CAP_SYS_PTRACE"][..]),
        (65534, SYS_PTRACE | DAC_OVERRIDE, false, &["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE"]),
    ] {
        let (nginx, dir, port) = (Nginx::start(), tempfile::tempdir().expect("a temporary directory"), free_port());
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("a directory");
        chown(&data, Some(owner), Some(owner)).expect("root may");
        let listen = format!("127.0.0.1:{port}");
        let settings = dir.path().join("steth.yaml");
        fs::write(&settings, format!("identity: {{conntrack: {conntrack}}}\n")).expect("a file");
        let mut run = steth();
        run.args(["run", "--listen", &listen, "--data"]).arg(&data).arg("--config").arg(&settings);
        let mut agent = Process::spawn("run", &mut run, dir.path());
        agent.wait_for("it is watching", Duration::from_secs(20), || agent.errors().contains("watching"));
        agent.wait_for_port(port);
        let seen = threads(agent.pid());
        let own = [expected, expected, 0, 0, 1];
        assert_eq!(seen, if conntrack { [own, asks].into() } else { [own].into() }, "data of user {owner}");
        assert_eq!(asking(agent.pid()).len(), usize::from(conntrack));
        // The drain, the look-ups, the judge, /etc/hosts, the container runtimes, the server, the store, and who asks connection tracking;
        // others have ended once they have looked around.
        let count = || fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("its threads").count();
        let expected = 7 + usize::from(conntrack);
        wait_until("the agent has that many threads", Duration::from_secs(10), || count() == expected);
        let health = curl(&[&format!("http://{listen}/api/v1/health")]);
        let health: Value = serde_json::from_slice(&health.body).expect("JSON");
        assert_eq!(health["capabilities"], Value::from(names), "{health}");
        assert_eq!(ab(nginx.port, "/", 20, 1, true).requests, 20);
        std::thread::sleep(Duration::from_millis(300));
        agent.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(agent.wait_for_end(Duration::from_secs(10)).success(), "{}", agent.errors());
        assert!(!kept(&data, Filter::default(), &[]).0.is_empty(), "windows are kept: {}", agent.errors());
    }
}

#[test]
fn a_command_has_the_privileges_that_it_would_have_without_steth() {
    root_or_skip!();
    let _together = together();
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups)' /proc/self/status";
    let plain = command("sh").args(["-c", script]).output().expect("sh runs");
    let watched = steth().args(["watch", "--", "sh", "-c", script]).output().expect("it runs");
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    let watched = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(plain.lines().count() >= 9 && watched.starts_with(&plain), "without:\n{plain}\nwith:\n{watched}");
}

/// Everything that the agent asks of the kernel after attaching, by a thread that may do nothing any more.
#[test]
fn sweep_demotion_statistics_and_selection_need_no_privileges() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let mut probe = Probe::attach(&Settings { port: redis.port, ..Settings::default() }).expect("root may attach");
    keep_only(&[]).expect("giving up needs no privilege");
    assert_eq!(Capabilities::held(), Capabilities::default());

    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("redis accepts");
    let mut ping = || {
        client.write_all(b"*1\r\n$4\r\nPING\r\n").expect("redis reads");
        let mut answer = [0; 7];
        client.read_exact(&mut answer).expect("redis answers");
        assert_eq!(&answer, b"+PONG\r\n");
    };
    // The client is this process, which the kernel side ignores; the server's end is seen.
    let drain = |probe: &mut Probe| {
        let (mut chunks, mut progress) = (Vec::new(), Vec::new());
        probe.drain(|record| match Event::parse(record) {
            Ok(Event::Chunk(chunk, data)) if !data.is_empty() => chunks.push(chunk.connection),
            Ok(Event::Progress(books)) => progress.push(books.connection),
            _ => {}
        });
        (chunks, progress)
    };
    ping();
    std::thread::sleep(Duration::from_millis(50));
    let (chunks, _) = drain(&mut probe);
    let connection = *chunks.first().expect("the server's end was seen");

    probe.sweep(true).expect("a sweep");
    assert!(drain(&mut probe).1.contains(&connection), "the sweep has found it");

    assert!(probe.demote(connection, Demotion::Opaque), "room for one");
    probe.sweep(true).expect("a sweep");
    drain(&mut probe);
    let before = probe.counters()[counter::L4_CHUNKS];
    ping();
    wait_until("its bytes are no longer copied", Duration::from_secs(5), || {
        probe.counters()[counter::L4_CHUNKS] >= before + 2
    });
    assert!(drain(&mut probe).0.is_empty());

    let statistics = probe.statistics();
    assert!(statistics.len() >= 10 && statistics.iter().all(|program| program.verified_instructions > 0));
    // The kernel allows a million. A start takes about a microsecond for each, and a way that doubles them is soon there.
    let most = statistics.iter().max_by_key(|program| program.verified_instructions).expect("programs");
    assert!(most.verified_instructions < 300_000, "{} takes the verifier {}", most.name, most.verified_instructions);
    probe.select(redis.pid()).expect("selecting");
    probe.detach();
}

/// `steth doctor` and the error message name capabilities for those who do not want to be root.
#[test]
fn the_capabilities_that_doctor_names_are_enough() {
    root_or_skip!();
    let _together = together();
    let nobody = |capabilities: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
            command.arg(format!("{set}=-all{capabilities}"));
        }
        command.arg(env!("CARGO_BIN_EXE_steth")).args(arguments).output().expect("setpriv is part of util-linux")
    };
    let doctor = nobody("", &["doctor"]);
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success(), "{text}");
    let named = text.split_once("setcap ").and_then(|(_, rest)| rest.split_once("+ep")).expect("a setcap command").0;
    let capabilities: String = named.split(',').map(|name| format!(",+{}", name.trim_start_matches("cap_"))).collect();
    let output = nobody(&capabilities, &["watch", "--json", "--for", "1s", "--port", "1"]);
    assert!(output.status.success(), "with {named}: {}", String::from_utf8_lossy(&output.stderr));
    for left_out in named.split(',').filter(|name| *name != "cap_sys_ptrace") {
        let fewer = capabilities.replace(&format!(",+{}", left_out.trim_start_matches("cap_")), "");
        let output = nobody(&fewer, &["watch", "--for", "1s"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(&left_out.to_uppercase()), "without {left_out}: {errors}");
    }
}

/// In a pid namespace of its own, /proc/N is not the kernel's process N. Here N is nginx to the kernel and `sleep` in /proc.
#[test]
fn a_stranger_with_the_same_id_in_another_namespace_is_not_taken_for_the_server() {
    root_or_skip!();
    let _together = together();
    let (nginx, dir) = (Nginx::start(), tempfile::tempdir().expect("a temporary directory"));
    let worker = nginx.workers()[0];
    let inside = format!(
        "echo {} > /proc/sys/kernel/ns_last_pid; sleep 60 & sleep 0.2; test -d /proc/{worker} || exit 9; \
         exec {} watch --json --port {}",
        worker - 1,
        env!("CARGO_BIN_EXE_steth"),
        nginx.port,
    );
    let mut unshare = command("unshare");
    let unshare = unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &inside]);
    let agent = Process::spawn("namespaced", unshare, dir.path());
    agent.wait_for("it is watching", Duration::from_secs(20), || agent.errors().contains("watching"));
    assert!(agent.errors().contains("pid namespace of its own"), "{}", agent.errors());
    assert_eq!(ab(nginx.port, "/", 20, 1, true).requests, 20);
    let of_worker = || -> Vec<Value> {
        let output = agent.output();
        let exchanges = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        exchanges.filter(|e| e["server"]["pid"] == worker).collect()
    };
    wait_until("its exchanges are printed", Duration::from_secs(5), || of_worker().len() >= 20);
    for exchange in of_worker() {
        assert_eq!(exchange["server"]["process"], "nginx", "{exchange}");
    }
}
