//! The release binary is one file: it needs no library of the host, and runs where there is nothing else. `make test-release`, which builds
//! it first.

use crate::lab::process::{command, run};
use crate::lab::{Nginx, Steth, alone, curl, free_port};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

fn binary() -> PathBuf {
    let binary = std::env::var_os("STETH_TEST_RELEASE").expect("STETH_TEST_RELEASE names what scripts/release made");
    fs::canonicalize(binary).expect("that file is there")
}

/// A root with the binary in it, and nothing else but where the kernel's file systems go.
fn empty_root() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    for name in ["proc", "sys", "etc", "tmp"] {
        fs::create_dir(root.path().join(name)).expect("a directory");
    }
    fs::copy(binary(), root.path().join("steth")).expect("room for the binary");
    root
}

/// Runs it with that root, in a mount namespace of its own.
fn inside(root: &Path) -> Command {
    let mut command = command("unshare");
    let script = "mount --rbind /proc \"$0/proc\" && mount --rbind /sys \"$0/sys\" && exec chroot \"$0\" /steth \"$@\"";
    command.args(["--mount", "sh", "-c", script]).arg(root);
    command
}

#[test]
#[ignore = "takes the release binary: make test-release"]
fn no_library_is_loaded() {
    let (headers, _) = run("readelf", command("readelf").arg("-lW").arg(binary()), LIMIT);
    assert!(headers.contains("LOAD") && !headers.contains("INTERP"), "{headers}");
    let (dynamic, _) = run("readelf", command("readelf").arg("-dW").arg(binary()), LIMIT);
    assert!(!dynamic.contains("NEEDED"), "{dynamic}");
    // It can be placed anywhere all the same.
    assert!(dynamic.contains("PIE"), "{dynamic}");
}

#[test]
#[ignore = "takes the release binary: make test-release"]
fn it_runs_where_nothing_else_is() {
    root_or_skip!();
    let _alone = alone();
    let root = empty_root();
    let (version, _) = run("version", inside(root.path()).arg("--version"), LIMIT);
    assert_eq!(version.trim(), concat!("steth ", env!("CARGO_PKG_VERSION")));
    let (said, errors) = run("doctor", inside(root.path()).arg("doctor"), LIMIT);
    assert!(said.trim_end().ends_with("steth can watch this machine: sudo steth watch"), "{said}{errors}");

    let nginx = Nginx::start();
    let port = nginx.port.to_string();
    let steth = Steth::start(inside(root.path()).args(["watch", "--json", "--port", &port]));
    let page = format!("http://127.0.0.1:{port}/");
    for _ in 0..10 {
        assert_eq!(curl(&[&page]).status, 200);
    }
    steth.wait_for_exchanges(20, LIMIT);
    let seen = steth.finish();
    seen.nothing_lost();
    for (side, process) in [("client", "curl"), ("server", "nginx")] {
        let told = |e: &&serde_json::Value| e[side]["process"] == process && e["operation"] == "GET /";
        assert_eq!(seen.side(side).filter(told).count(), 10, "{side}: {:#?}", seen.exchanges);
    }
}

/// What the host names for looking up names is of its own glibc, and would be loaded.
#[test]
#[ignore = "takes the release binary: make test-release"]
fn names_are_looked_up_without_the_hosts_libraries() {
    root_or_skip!();
    let root = empty_root();
    let put = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("it can be written");
    put("etc/hosts", "127.0.0.1 agent.test\n");
    put("etc/nsswitch.conf", "hosts: trap files\npasswd: trap files\ngroup: trap files\n");
    // Whoever loads this one ends with status 42.
    put("tmp/trap.c", "#include <unistd.h>\n__attribute__((constructor)) static void trap(void) { _exit(42); }\n");
    let folder = root.path().join("lib/x86_64-linux-gnu");
    fs::create_dir_all(&folder).expect("a directory");
    let library = folder.join("libnss_trap.so.2");
    let mut compile = command("gcc");
    compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(root.path().join("tmp/trap.c"));
    run("gcc", &mut compile, LIMIT);
    fs::set_permissions(&library, PermissionsExt::from_mode(0o755)).expect("its mode can be changed");
    // What the trap is linked with, where a static binary looks for it.
    for file in ["libc.so.6", "ld-linux-x86-64.so.2"] {
        fs::copy(Path::new("/lib/x86_64-linux-gnu").join(file), folder.join(file)).expect("glibc is there");
    }
    let address = format!("http://agent.test:{}", free_port());
    let mut top = inside(root.path());
    let output = top.args(["top", "--once", "--connect", &address]).output().expect("unshare is part of util-linux");
    let errors = String::from_utf8_lossy(&output.stderr);
    // The name is known, and nobody listens there.
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.to_lowercase().contains("refused"), "{errors}");
}
