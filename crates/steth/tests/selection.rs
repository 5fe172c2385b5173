//! Who is observed. What counts is what comes out of the ring, not what is printed: whoever is not selected costs nothing and
//! leaks nothing.

mod lab;

use lab::process::command;
use lab::selection::{Talker, Watched, patterns, selection};
use lab::{Process, RedisServer, Steth, alone};
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
    let _alone = alone();
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
    let _alone = alone();
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
    let _alone = alone();
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
}

/// The kernel side's own idea of a path is the one of /proc, also over mounts.
#[test]
fn the_path_of_an_executable_is_that_of_proc_in_any_mount_namespace() {
    root_or_skip!();
    let _alone = alone();
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
    let _alone = alone();
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

/// The agent itself: rules from its file, read again on SIGHUP; a file that cannot be used changes nothing.
#[test]
fn the_agent_reads_its_rules_again_on_sighup() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), lab::free_port());
    let file = dir.path().join("steth.yaml");
    let write = |text: &str| std::fs::write(&file, text).expect("it can be written");
    write("selection:\n  environment: {include: ['STETH_MARK=^yes$']}\n");
    let mut agent = command(env!("CARGO_BIN_EXE_steth"));
    agent.args(["run", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file);
    let agent = Process::spawn("steth", &mut agent, dir.path());
    agent.wait_for("it watches", Duration::from_secs(20), || agent.errors().contains("watching"));
    let reported = || {
        let health = lab::curl(&[&format!("http://127.0.0.1:{port}/api/v1/health")]).body;
        let health: serde_json::Value = serde_json::from_slice(&health).expect("JSON");
        health["exchanges"]["redis"]["reported"].as_u64().expect("a number")
    };
    let mut talkers = [Talker::start(&redis, "yes"), Talker::start(&redis, "no")];
    let mut expect = |talker: usize, more: u64, when: &str| {
        let before = reported();
        talkers[talker].tell("ping");
        let until = Instant::now() + Duration::from_secs(if more == 0 { 2 } else { 5 });
        while Instant::now() < until && (more == 0 || reported() < before + more) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(reported() - before, more, "{when}");
    };
    lab::wait_until("the first exchange of the wanted one", Duration::from_secs(5), || reported() == 1);
    expect(0, 1, "wanted");
    expect(1, 0, "not wanted");
    let hang_up = |says: &str| {
        let count = agent.errors().matches(says).count();
        nix::sys::signal::kill(Pid::from_raw(agent.pid() as i32), nix::sys::signal::Signal::SIGHUP)
            .expect("it is there");
        agent.wait_for(says, Duration::from_secs(5), || agent.errors().matches(says).count() > count);
    };
    write("selection:\n  environment: {include: ['STETH_MARK=^n(o$']}\n");
    hang_up("the selection stays as it was");
    assert!(agent.errors().contains("'^n(o$'"), "{}", agent.errors());
    expect(0, 1, "as it was");
    write("selection:\n  environment: {include: ['STETH_MARK=^no$']}\n");
    hang_up("the selection was read again");
    expect(0, 0, "no longer wanted");
    expect(1, 1, "wanted now, on a connection from before");
}

#[test]
fn doctor_explains_which_rule_decides() {
    root_or_skip!();
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("steth.yaml");
    let explain = |rules: &str| {
        std::fs::write(&file, format!("selection: {{{rules}}}\n")).expect("it can be written");
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_steth"));
        doctor.args(["doctor", "--explain", &redis.pid().to_string(), "--config"]).arg(&file);
        let output = doctor.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(explain("").contains("is selected"));
    assert!(explain("executable: {include: ['redis']}").contains("is selected"));
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
    let _alone = alone();
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
    assert_eq!(chunks.keys().copied().collect::<Vec<_>>(), {
        let mut wanted = vec![wanted.pid(), new_wanted.pid()];
        wanted.sort_unstable();
        wanted
    });
    assert!(chunks.values().all(|records| *records >= 6), "{chunks:?}");
}
