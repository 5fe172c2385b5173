//! The kernel's type information out of a file: whole, trimmed, found where such files are, and refused where it is of another kernel. Each in a
//! mount namespace in which the kernel's own is hidden, so nothing but the file can have helped.

use crate::lab::process::{command, run};
use crate::lab::{Nginx, Steth, curl, together};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use steth_probe::Core;

const OWN: &str = "/sys/kernel/btf/vmlinux";

/// Runs steth where the kernel's own is hidden. `before`: a script that runs when it is not hidden yet, in the same namespace.
fn hidden(before: &str) -> Command {
    let mut command = command("unshare");
    let script = format!("{before}\nmount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\"");
    command.args(["--mount", "sh", "-ec", &script, env!("CARGO_BIN_EXE_steth")]);
    command
}

fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel has a name").trim().to_owned()
}

/// Ten requests are seen at both ends.
fn sees(command: &mut Command) {
    let nginx = Nginx::start();
    let steth = Steth::start(command.args(["--port", &nginx.port.to_string()]));
    let page = format!("http://127.0.0.1:{}/", nginx.port);
    for _ in 0..10 {
        assert_eq!(curl(&[&page]).status, 200);
    }
    steth.wait_for_exchanges(20, Duration::from_secs(20));
    let seen = steth.finish();
    seen.nothing_lost();
    for (side, process) in [("client", "curl"), ("server", "nginx")] {
        let told = seen.side(side).filter(|e| e[side]["process"] == process && e["operation"] == "GET /");
        assert_eq!(told.count(), 10, "{side}: {:#?}", seen.exchanges);
    }
}

#[test]
fn a_file_does_for_every_family() {
    root_or_skip!();
    let _together = together();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join(format!("{}.btf", release()));
    std::fs::copy(OWN, &file).expect("the kernel describes itself");
    for (family, path) in [("tracepoint", &*file), ("syscall", folder.path())] {
        sees(hidden("").args(["watch", "--json", "--hooks", family, "--btf"]).arg(path));
    }
    let (said, _) = run("doctor", hidden("").args(["doctor", "--btf"]).arg(&file), Duration::from_secs(60));
    assert!(said.contains(&*file.to_string_lossy()) && !said.contains("MISSING"), "{said}");
}

#[test]
fn a_file_is_found_where_kernels_are() {
    root_or_skip!();
    let _together = together();
    let put = format!("mount -t tmpfs none /boot; cp {OWN} /boot/vmlinux-{}", release());
    sees(hidden(&put).args(["watch", "--json"]));
}

#[test]
fn a_trimmed_file_does() {
    root_or_skip!();
    let _together = together();
    let folder = tempfile::tempdir().expect("a temporary directory");
    for (core, name) in [(Core::Typed, "steth.bpf.o"), (Core::Plain, "steth_plain.bpf.o")] {
        std::fs::write(folder.path().join(name), steth_probe::object(core)).expect("it can be written");
    }
    let whole = folder.path().join(format!("vmlinux-{}", release()));
    std::fs::copy(OWN, &whole).expect("the kernel describes itself");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/btf");
    let mut trim = command(script);
    run(
        "btf",
        trim.arg(&whole).env("STETH_OBJECTS", folder.path()).env("BTF_INTO", folder.path()),
        Duration::from_secs(60),
    );
    let trimmed = folder.path().join(format!("{}.btf", release()));
    let size = std::fs::metadata(&trimmed).expect("it was made").len();
    assert!(size < 64 * 1024, "{size} bytes are left");
    sees(hidden("").args(["watch", "--json", "--btf"]).arg(&trimmed));
}

/// The types with which the programs were compiled are those of no kernel: everything is there, and elsewhere.
#[test]
fn a_file_of_another_kernel_is_refused_in_one_line() {
    root_or_skip!();
    let _together = together();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let other = folder.path().join("other.btf");
    std::fs::write(&other, steth_probe::object(Core::Plain)).expect("it can be written");
    for mut steth in [command(env!("CARGO_BIN_EXE_steth")), hidden("")] {
        let output = steth.args(["watch", "--btf"]).arg(&other).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.lines().count() == 1, "{errors}");
        assert!(errors.contains("other.btf") && errors.contains("of another kernel than"), "{errors}");
    }
    let mut steth = command(env!("CARGO_BIN_EXE_steth"));
    let output = steth.args(["doctor", "--btf", "/nowhere.btf"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("/nowhere.btf cannot be used: No such file"), "{said}");
}
