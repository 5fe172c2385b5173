//! Who is observed. What counts is what comes out of the ring, not what is printed: whoever is not selected costs nothing and
//! leaks nothing.

use crate::lab;
use crate::lab::process::command;
use crate::lab::runtimes::python;
use crate::lab::selection::{As, Talker, Watched, patterns, selection};
use crate::lab::{Process, RedisServer, Steth, together};
use nix::unistd::Pid;
use std::process::Command;
use std::time::{Duration, Instant};
use steth_event::Event;
use steth_event::recording::Reader;
use steth_probe::Selection;
use steth_verdict::Rows;

/// Each row, as a rule that wants "yes" and one that refuses "no".
fn every_row() -> Vec<(&'static str, Selection)> {
    let row = |name, rows: Rows| (name, selection(&rows));
    vec![
        row("command line, include", Rows { command_line: patterns(&["talker.py \\d+ yes$"], &[]), ..Rows::default() }),
        row("command line, exclude", Rows { command_line: patterns(&[], &["talker.py \\d+ no$"]), ..Rows::default() }),
        row("environment, include", Rows { environment: patterns(&["STETH_MARK=^yes$"], &[]), ..Rows::default() }),
        row("environment, exclude", Rows { environment: patterns(&[], &["^STETH_M.*=no"]), ..Rows::default() }),
        row(
            "executable and environment",
            Rows {
                executable: patterns(&["/python[^/]*$"], &[]),
                environment: patterns(&[], &["STETH_MARK=no"]),
                ..Rows::default()
            },
        ),
    ]
}

#[test]
fn every_row_holds_for_new_and_running_processes_new_and_open_connections_and_after_a_reload() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    for (name, rules) in every_row() {
        let mut running = [Talker::start(&redis, "yes"), Talker::start(&redis, "no")];
        let mut watched = Watched::attach(&redis, &rules);
        let mut new = [Talker::start(&redis, "yes"), Talker::start(&redis, "no")];
        let [wanted, unwanted] = &new;
        assert!(watched.chunks_of(wanted.pid()) >= 2, "{name}: the first exchange of a new process");
        assert_eq!(watched.chunks_of(unwanted.pid()), 0, "{name}: a new process that is not wanted");
        let check = |watched: &mut Watched, talkers: &mut [Talker; 2], expected: [bool; 2], when: &str| {
            for (talker, expected) in talkers.iter_mut().zip(expected) {
                for what in ["ping", "fresh"] {
                    talker.tell(what);
                    let chunks = watched.chunks_of(talker.pid());
                    assert_eq!(chunks >= 2, expected, "{name}: {what}, {when}: {chunks} records");
                    assert!(expected || chunks == 0, "{name}: {what}, {when}: {chunks} records leaked");
                }
            }
        };
        check(&mut watched, &mut running, [true, false], "running");
        check(&mut watched, &mut new, [true, false], "new");
        assert_eq!(
            watched.chunks_of(redis.pid()) > 0,
            name.ends_with("exclude"),
            "{name}: the server, which has no mark"
        );
        // Reload: whom nobody wanted is wanted, and the other way round; then everybody; then nobody.
        let other = Rows { environment: patterns(&["STETH_MARK=no"], &[]), ..Rows::default() };
        watched.reload(&selection(&other));
        check(&mut watched, &mut running, [false, true], "running, reloaded");
        check(&mut watched, &mut new, [false, true], "new, reloaded");
        watched.reload(&Selection::default());
        check(&mut watched, &mut running, [true, true], "without rules");
        watched.reload(&selection(&Rows { command_line: patterns(&["^$"], &[]), ..Rows::default() }));
        check(&mut watched, &mut new, [false, false], "with a rule for nobody");
    }
}

#[test]
fn a_process_that_becomes_another_image_is_judged_again_with_the_connection_it_keeps() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let rules = Rows { command_line: patterns(&["talker.py"], &["--keep \\d+ other"]), ..Rows::default() };
    let mut watched = Watched::attach(&redis, &selection(&rules));
    let mut talker = Talker::start(&redis, "yes");
    assert!(watched.chunks_of(talker.pid()) >= 2);
    talker.tell("exec same");
    talker.tell("ping");
    assert!(watched.chunks_of(talker.pid()) >= 4, "still wanted");
    talker.tell("exec other");
    talker.tell("ping");
    assert_eq!(watched.chunks_of(talker.pid()), 0, "not wanted any more");
}

#[test]
fn a_process_of_a_few_milliseconds_leaks_nothing_or_loses_nothing() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let rules = Rows { environment: patterns(&["STETH_MARK=yes"], &[]), ..Rows::default() };
    let mut watched = Watched::attach(&redis, &selection(&rules));
    let run = |mark: &str| {
        let mut redis_cli = Command::new("redis-cli");
        redis_cli.env("STETH_MARK", mark).args(["-p", &redis.port.to_string(), "PING"]);
        let mut child = redis_cli.stdout(std::process::Stdio::null()).spawn().expect("redis-cli");
        assert!(child.wait().expect("it ends").success());
        child.id()
    };
    let (wanted, unwanted): (Vec<u32>, Vec<u32>) = (0..100).map(|_| (run("yes"), run("no"))).unzip();
    watched.chunks_of(0);
    let of = |pids: &[u32]| pids.iter().map(|pid| watched.chunks.get(pid).copied().unwrap_or(0)).collect::<Vec<_>>();
    assert!(of(&wanted).iter().all(|chunks| *chunks >= 3), "announcement, request and answer: {:?}", of(&wanted));
    assert_eq!(of(&unwanted), vec![0; 100]);
    for pid in &unwanted {
        assert_eq!(watched.others_of(*pid), [""; 0], "not even what it is called");
    }
}

/// What runs is nobody's business but the wanted one's: of others the ring has a number, and no word of their command line.
#[test]
fn nothing_of_the_command_line_of_an_excluded_process_is_in_the_ring() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let rules = Rows { command_line: patterns(&[], &["--secret( |$)"]), ..Rows::default() };
    let mut watched = Watched::attach(&redis, &selection(&rules));
    watched.forbidden = b"hunter2".into();
    let mut echo = Command::new("/bin/echo");
    let mut child = echo.args(["--secret", "hunter2"]).stdout(std::process::Stdio::null()).spawn().expect("echo");
    let secret = child.id();
    assert!(child.wait().expect("it ends").success());
    let mut echo = Command::new("/bin/echo");
    let mut child = echo.arg("hello").stdout(std::process::Stdio::null()).spawn().expect("echo");
    let open = child.id();
    assert!(child.wait().expect("it ends").success());
    assert_eq!(watched.others_of(open), ["exec with texts"]);
    assert_eq!(watched.others_of(secret), [""; 0]);
    assert!(watched.execs.iter().any(|(exec, _)| exec.tgid == secret), "that it is another image is known");
    assert_eq!(watched.found, 0);
}

/// The kernel side's own idea of a path is the one of /proc, also over mounts.
#[test]
fn the_path_of_an_executable_is_that_of_proc_in_any_mount_namespace() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let which = Command::new("sh").args(["-c", "realpath \"$(command -v redis-cli)\""]).output().expect("sh runs");
    let original = String::from_utf8(which.stdout).expect("a path").trim().to_owned();
    let (there, mounted) = (dir.path().join("there"), dir.path().join("a/b"));
    for path in [&there, &mounted] {
        std::fs::create_dir_all(path).expect("it can be made");
    }
    std::fs::copy(&original, there.join("talker")).expect("it can be copied");
    let (there, mounted) = (there.display().to_string(), mounted.display().to_string());
    let ping = format!("-p {} PING", redis.port);
    for (path, prepare) in [
        (original, String::new()),
        (format!("{there}/talker"), String::new()),
        (format!("{mounted}/talker"), format!("mount --bind {there} {mounted} && ")),
        (
            format!("{mounted}/c/talker"),
            format!("mount -t tmpfs x {mounted} && mkdir {mounted}/c && cp {there}/talker {mounted}/c && "),
        ),
    ] {
        for (pattern, selected) in [(format!("^{path}$"), true), (format!("^{path}.|^.{path}$"), false)] {
            let rules = Rows { executable: patterns(&[&pattern], &[]), ..Rows::default() };
            let mut watched = Watched::attach(&redis, &selection(&rules));
            let script = format!("{prepare}exec {path} {ping}");
            let unshare = command("unshare").args(["--mount", "sh", "-c", &script]).output().expect("unshare runs");
            assert!(unshare.stdout.starts_with(b"PONG"), "{script}: {}", String::from_utf8_lossy(&unshare.stderr));
            watched.chunks_of(0);
            assert_eq!(!watched.chunks.is_empty(), selected, "{path} by {pattern}: {:?}", watched.chunks);
        }
    }
}

#[test]
fn sockets_within_the_host_can_be_left_out() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let mut talker = Talker::start(&redis, "yes");
    let local = Selection { skip_local: true, ..Selection::default() };
    let mut watched = Watched::attach(&redis, &local);
    let pid = talker.pid();
    for what in ["ping", "fresh"] {
        talker.tell(what);
        assert_eq!(watched.chunks_of(pid), 0, "{what}");
    }
    watched.reload(&Selection::default());
    for what in ["ping", "fresh"] {
        talker.tell(what);
        assert!(watched.chunks_of(pid) >= 2, "{what}");
    }
}

/// The agent itself, with rules from a file.
struct Ruled {
    process: Process,
    port: u16,
    dir: tempfile::TempDir,
}

impl Ruled {
    fn start(rules: &str) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), lab::free_port());
        let file = dir.path().join("steth.yaml");
        std::fs::write(&file, rules).expect("it can be written");
        let mut agent = command(env!("CARGO_BIN_EXE_steth"));
        agent.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(file);
        let process = Process::spawn("steth", &mut agent, dir.path());
        process.wait_for("it watches", Duration::from_secs(20), || process.errors().contains("watching"));
        Self { process, port, dir }
    }

    fn reload(&self, rules: &str, says: &str) {
        std::fs::write(self.dir.path().join("steth.yaml"), rules).expect("it can be written");
        let count = self.process.errors().matches(says).count();
        nix::sys::signal::kill(Pid::from_raw(self.process.pid() as i32), nix::sys::signal::Signal::SIGHUP)
            .expect("it is there");
        self.process.wait_for(says, Duration::from_secs(10), || self.process.errors().matches(says).count() > count);
    }

    fn reported(&self) -> u64 {
        let health = lab::curl(&[&format!("http://127.0.0.1:{}/api/v1/health", self.port)]).body;
        let health: serde_json::Value = serde_json::from_slice(&health).expect("JSON");
        health["exchanges"]["redis"]["reported"].as_u64().expect("a number")
    }

    /// A ping of this client is so many exchanges more.
    fn expect(&self, talker: &mut Talker, more: u64, when: &str) {
        let before = self.reported();
        talker.tell("ping");
        let until = Instant::now() + Duration::from_secs(if more == 0 { 2 } else { 20 });
        while Instant::now() < until && (more == 0 || self.reported() < before + more) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.reported() - before, more, "{when}");
    }
}

const READ: &str = "the selection was read again";

/// Rules are read again on SIGHUP; a file that cannot be used changes nothing.
#[test]
fn the_agent_reads_its_rules_again_on_sighup() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    // Of this test alone: others may run beside it.
    let [mark, other] = ["yes", "no"].map(|mark| format!("{mark}-{}", std::process::id()));
    let rules = |mark: &str| format!("selection:\n  environment: {{include: ['STETH_MARK=^{mark}$']}}\n");
    let agent = Ruled::start(&rules(&mark));
    let [mut wanted, mut unwanted] = [&mark, &other].map(|mark| Talker::start(&redis, mark));
    lab::wait_until("the first exchange of the wanted one", Duration::from_secs(5), || agent.reported() == 1);
    agent.expect(&mut wanted, 1, "wanted");
    agent.expect(&mut unwanted, 0, "not wanted");
    agent.reload("selection:\n  environment: {include: ['STETH_MARK=^n(o$']}\n", "the selection stays as it was");
    assert!(agent.process.errors().contains("'^n(o$'"), "{}", agent.process.errors());
    agent.expect(&mut wanted, 1, "as it was");
    agent.reload(&rules(&other), READ);
    agent.expect(&mut wanted, 0, "no longer wanted");
    agent.expect(&mut unwanted, 1, "wanted now, on a connection from before");
}

/// The environment of another user's process is a file that the agent cannot open any more by the time it is told of new rules.
#[test]
fn a_reload_sees_the_environment_of_other_users_processes() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    // Of this test alone: others may run beside it.
    let me = std::process::id();
    let both = format!("include: ['STETH_MARK=-{me}$']");
    let agent = Ruled::start(&format!("selection:\n  environment: {{{both}}}\n"));
    let [mut yes, mut no] = [format!("yes-{me}"), format!("no-{me}")].map(|mark| {
        let how = As { mark: &mark, host: "127.0.0.1", cgroup: None, executable: python(), user: 65_534 };
        Talker::start_as(&redis, &how)
    });
    lab::wait_until("their first exchanges", Duration::from_secs(20), || agent.reported() == 2);
    let include = format!("include: ['STETH_MARK=^yes-{me}$']");
    let exclude = format!("{both}, exclude: ['STETH_MARK=^no-{me}$']");
    for round in 0..2 {
        for (rules, name, of_no) in [(&include, "include", 0), (&exclude, "exclude", 0), (&both, "both", 1)] {
            agent.reload(&format!("selection:\n  environment: {{{rules}}}\n"), READ);
            agent.expect(&mut yes, 1, &format!("{name}, wanted, round {round}"));
            agent.expect(&mut no, of_no, &format!("{name}, the other one, round {round}"));
        }
    }
}

/// Who is forked while others are judged is judged too: what it inherits may be about to change, or not be there yet.
#[test]
fn children_forked_while_rules_are_read_again_have_the_verdict_of_their_parent() {
    root_or_skip!();
    let _together = together();
    let redis = RedisServer::start();
    let rules = |mark: &str| {
        let environment = patterns(&[&format!("STETH_MARK=^{mark}$")], &[]);
        selection(&Rows { environment, ..Rows::default() })
    };
    let mut talkers = ["yes", "no"].map(|mark| Talker::start(&redis, mark));
    let mut watched = Watched::attach(&redis, &rules("yes"));
    let verdicts = watched.probe.verdicts().expect("there are tables");
    for talker in &mut talkers {
        talker.tell("fork 0.0005 0.2");
    }
    let children = |parent: u32| -> Vec<u32> {
        let text = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let all = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok()).chain([text]);
        all.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
    };
    // Field 9 of /proc/<pid>/stat: PF_EXITING.
    let alive = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let flags = stat.rsplit(')').next().and_then(|behind| behind.split_whitespace().nth(6)?.parse::<u32>().ok());
        flags.is_some_and(|flags| flags & 0x4 == 0)
    };
    // A child is among its parent's children (copy_process) before it has its verdict (sched_process_fork), which is before it
    // runs (wake_up_new_task); and it loses it (sched_process_exit) before its memory. One that has none yet is looked at again.
    let without_verdict = |pid: u32| {
        let until = Instant::now() + Duration::from_millis(100);
        while alive(pid) && !verdicts.has(pid) {
            if Instant::now() > until {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    };
    let mut looked_at = 0;
    for round in 0..50 {
        let wanted = usize::from(round % 2 == 0);
        watched.reload(&rules(["yes", "no"][wanted]));
        for (n, talker) in talkers.iter().enumerate() {
            for child in children(talker.pid()) {
                let wrong = if n == wanted { without_verdict(child) } else { verdicts.has(child) && alive(child) };
                assert!(!wrong, "round {round}, a child of {n}");
                looked_at += u32::from(alive(child));
            }
        }
        watched.drain();
    }
    assert!(looked_at > 1000, "{looked_at}");
}

#[test]
fn doctor_explains_which_rule_decides() {
    root_or_skip!();
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("steth.yaml");
    let explain_of = |pid: u32, rules: &str| {
        std::fs::write(&file, format!("selection: {{{rules}}}\n")).expect("it can be written");
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_steth"));
        doctor.args(["doctor", "--explain", &pid.to_string(), "--config"]).arg(&file);
        let output = doctor.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let explain = |rules: &str| explain_of(redis.pid(), rules);
    assert!(explain("").contains("is selected"));
    let text = explain("executable: {include: ['x$', 'redis']}, command_line: {include: ['server']}");
    assert!(
        text.contains("is selected: no row of the rules is against it; selection.executable.include has 'redis'"),
        "{text}"
    );
    assert!(text.contains("; selection.command_line.include has 'server'"), "{text}");
    // Redis writes its title over its environment.
    let talker = Talker::start(&redis, "no");
    let of_talker = |rules: &str| explain_of(talker.pid(), rules);
    let text = of_talker("environment: {exclude: ['NOBODY=x', 'STETH_MARK=^no$']}");
    assert!(text.contains("is not selected: selection.environment.exclude has 'STETH_MARK=^no$'"), "{text}");
    let text = of_talker("environment: {include: ['STETH_.*=no', 'NOBODY=x']}");
    assert!(
        text.contains(
            "is selected: no row of the rules is against it; selection.environment.include has 'STETH_.*=no'"
        ),
        "{text}"
    );
    for (row, expected) in [
        ("image", r#"selection.image.include has nothing for it, of ["x"]; it is in no container"#),
        ("pod", r#"selection.pod.include has nothing for it, of ["x"]; it is in no container"#),
        ("container", r#"selection.container.include has nothing for it, of ["x"]; it is in no container"#),
    ] {
        let text = of_talker(&format!("{row}: {{include: [x]}}"));
        assert!(text.contains(expected), "{text}");
        assert!(of_talker(&format!("{row}: {{exclude: [x]}}")).contains("is selected"));
    }
    let text = of_talker("label: {include: ['a=b']}");
    assert!(text.contains("selection.label.include has nothing for it"), "{text}");
    let text = explain("executable: {include: ['redis'], exclude: ['x$', 'edi']}, command_line: {include: ['nobody']}");
    assert!(text.contains("is not selected: selection.executable.exclude has 'edi'"), "{text}");
    let text = explain("command_line: {include: ['nobody']}");
    assert!(text.contains(r#"selection.command_line.include has nothing for it, of ["nobody"]"#), "{text}");
    let mut nobody = Command::new(env!("CARGO_BIN_EXE_steth"));
    let output = nobody.args(["doctor", "--explain", "4194305"]).output().expect("it runs");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("4194305"));
}

/// The same rules, where there is no agent that stays: exchanges that are printed, and records in a file.
#[test]
fn watch_and_record_heed_the_rules_of_a_configuration() {
    root_or_skip!();
    let _together = together();
    let (redis, dir) = (RedisServer::start(), tempfile::tempdir().expect("a temporary directory"));
    let (config, recording) = (dir.path().join("steth.yaml"), dir.path().join("r.steth"));
    std::fs::write(&config, "selection:\n  environment: {include: [\"STETH_MARK=^yes$\"]}\n").expect("a file");
    let (config, port) = (config.to_string_lossy().into_owned(), redis.port.to_string());
    let mut running = [Talker::start(&redis, "yes"), Talker::start(&redis, "no")];
    let watch = Steth::watch(&["--config", &config, "--port", &port]);
    // Whoever is named is meant, whatever the rules say of others.
    let named = Steth::watch(&["--config", &config, "--pid", &running[1].pid().to_string()]);
    let mut record = command(env!("CARGO_BIN_EXE_steth"));
    record.args(["record", "--config", &config, "--port", &port, "-o"]).arg(&recording);
    let mut record = Process::spawn("record", &mut record, dir.path());
    record.wait_for("it is watching", Duration::from_secs(20), || record.errors().contains("watching"));
    let mut new = [Talker::start(&redis, "yes"), Talker::start(&redis, "no")];
    running.iter_mut().chain(&mut new).for_each(|talker| talker.tell("fresh 3"));
    let ([wanted, unwanted], [new_wanted, new_unwanted]) = (&running, &new);
    // Three of the one that was there, one more of the one that came.
    watch.wait_for_exchanges(7, Duration::from_secs(10));
    named.wait_for_exchanges(3, Duration::from_secs(10));
    watch.settle(Duration::from_millis(300));
    let clients = |seen: lab::Seen| {
        let mut pids: Vec<_> =
            seen.exchanges.iter().filter_map(|exchange| exchange["client"]["pid"].as_u64()).collect();
        pids.sort_unstable();
        pids
    };
    let pid = |talker: &Talker| u64::from(talker.pid());
    let mut expected = [vec![pid(wanted); 3], vec![pid(new_wanted); 4]].concat();
    expected.sort_unstable();
    assert_eq!(clients(watch.finish()), expected);
    assert_eq!(clients(named.finish()), vec![pid(unwanted); 3]);
    record.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(record.wait_for_end(Duration::from_secs(10)).success(), "{}", record.errors());
    let bytes = std::fs::read(&recording).expect("a recording");
    let mut chunks = std::collections::BTreeMap::<u32, u32>::new();
    for record in Reader::new(&bytes).expect("a recording") {
        match Event::parse(record.expect("whole")).expect("good") {
            Event::Chunk(chunk, _) => *chunks.entry(chunk.tgid).or_default() += 1,
            Event::Open(open) => drop(chunks.entry(open.tgid).or_default()),
            Event::Progress(books) | Event::Close(books) => drop(chunks.entry(books.tgid).or_default()),
            _ => {}
        }
    }
    assert!(!chunks.contains_key(&new_unwanted.pid()), "{chunks:?}");
    let texts = |record: &[u8]| match Event::parse(record) {
        Ok(Event::Exec(exec, executable, command_line)) if exec.tgid == new_unwanted.pid() => {
            !executable.is_empty() || !command_line.is_empty()
        }
        Ok(Event::Process(process)) => process.pid == new_unwanted.pid(),
        Ok(Event::Listen(_)) => true,
        _ => false,
    };
    let told =
        Reader::new(&bytes).expect("a recording").filter(|record| texts(record.as_ref().expect("whole"))).count();
    assert_eq!(told, 0, "what it is, and whoever listens");
    assert_eq!(chunks.keys().copied().collect::<Vec<_>>(), {
        let mut wanted = vec![wanted.pid(), new_wanted.pid()];
        wanted.sort_unstable();
        wanted
    });
    assert!(chunks.values().all(|records| *records >= 6), "{chunks:?}");
}
