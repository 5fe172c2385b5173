//! Where the agent cannot run it says why in one line, ends with an error, and leaves nothing; doctor says what to do.

use crate::lab::process::command;
use crate::lab::{Steth, together};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::{Command, Output};
use steth_probe::{Inventory, Probe, Settings};

const LIVE: [&[&str]; 3] = [&["watch"], &["run", "--listen", "127.0.0.1:0"], &["record", "-o", "/dev/null"]];

/// Runs it in a mount namespace of its own, where `prepare` was run before.
fn in_another_world(prepare: &str, arguments: &[&str]) -> Output {
    let script = format!("{prepare} && exec \"$0\" \"$@\"");
    let mut command = command("unshare");
    command.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_steth")]).args(arguments);
    command.output().expect("unshare is part of util-linux")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_type_information_it_says_so_in_one_line() {
    root_or_skip!();
    // Another test here takes the descriptors away from the whole process.
    let _together = together();
    let hide = "mount -t tmpfs none /sys/kernel/btf";
    for arguments in LIVE {
        let output = in_another_world(hide, arguments);
        let errors = text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert_eq!(errors.lines().count(), 1, "{arguments:?}: {errors}");
        assert!(errors.contains("CONFIG_DEBUG_INFO_BTF=y"), "{errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    }
    let output = in_another_world(hide, &["doctor"]);
    let said = text(&output.stdout);
    assert!(!output.status.success() && output.stderr.is_empty(), "{said}{}", text(&output.stderr));
    // One cause, one complaint: nothing is called missing that merely cannot be seen.
    assert_eq!(said.lines().filter(|line| line.starts_with("MISSING")).count(), 1, "{said}");
    assert!(said.contains("-> boot a kernel built with CONFIG_DEBUG_INFO_BTF=y"), "{said}");
    assert!(said.trim_end().ends_with("fix what is MISSING above"), "{said}");
}

#[test]
fn doctor_ends_with_a_verdict_and_names_the_other_agents() {
    root_or_skip!();
    let _together = together();
    let agent = Steth::watch(&["--port", "1"]);
    let output = Command::new(env!("CARGO_BIN_EXE_steth")).arg("doctor").output().expect("it runs");
    let said = text(&output.stdout);
    assert!(output.status.success() && output.stderr.is_empty(), "{said}{}", text(&output.stderr));
    assert!(said.trim_end().ends_with("steth can watch this machine: sudo steth watch"), "{said}");
    let others = said.lines().find(|line| line.contains("other agents")).unwrap_or_else(|| panic!("{said}"));
    let pid = agent.pid().to_string();
    assert!(others.split(|c: char| !c.is_ascii_digit()).any(|number| number == pid), "{pid}: {others}");
    assert!(!said.contains("MISSING"), "{said}");
}

#[test]
fn what_fails_half_way_leaves_nothing_behind() {
    root_or_skip!();
    let _together = together();
    // The number of descriptors is limited for a process, and others may be tested in this one.
    let own = std::env::current_exe().expect("it has a path");
    let arguments = ["--exact", "doctor::in_a_process_of_its_own", "--ignored"];
    let output = Command::new(own).args(arguments).output().expect("it runs");
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", text(&output.stderr));
}

#[test]
#[ignore = "the test above runs it"]
fn in_a_process_of_its_own() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let held = || Inventory::of_process(std::process::id()).expect("our own descriptors");
    let open = std::fs::read_dir("/proc/self/fd").expect("our own descriptors").count() as u64;
    // Programs, maps and links are a descriptor each, so this fails at another step each time.
    let refused = [5, 15, 25, 30, 35].map(|more| {
        setrlimit(Resource::RLIMIT_NOFILE, open + more, hard).expect("lower is always allowed");
        let probe = Probe::attach(&Settings { ring_bytes: 65_536, ..Settings::default() });
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("as it was");
        let refused = probe.is_err();
        assert_eq!(held().is_empty(), refused, "{more} descriptors: {:?} left, {:?}", held(), probe.err());
        refused
    });
    assert!(refused.into_iter().filter(|refused| *refused).count() >= 3, "{refused:?}");
}
