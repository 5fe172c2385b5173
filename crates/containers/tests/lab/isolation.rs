//! Namespaces for a container runtime, so that nothing of it stays.
//!
//! It is the first process of a pid namespace, so whatever it starts, shims that have left its process group included, ends
//! with it; mounts go with its mount namespace, bridges with its network namespace. Control groups have no such owner and
//! are removed by hand.

use super::process::command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A command that runs this in namespaces of its own, with an empty `/run` and `/var/lib`: in both of them runtimes leave
/// files that no option moves.
pub fn isolated(program: &str) -> Command {
    let script = format!(
        "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/containers && \
         ip link set lo up && exec {program}"
    );
    let mut command = command("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
    command
}

/// Removes a control group, and those in it, from every hierarchy.
pub fn remove_groups(name: &str) {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok);
    for tree in trees.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]) {
        remove_tree(&tree.join(name));
    }
}

/// Control groups are folders that can be removed once they are empty, the innermost first.
fn remove_tree(group: &Path) {
    let inner = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    for entry in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path());
    }
    for _ in 0..100 {
        // Busy until the kernel has buried the last of its processes.
        match fs::remove_dir(group) {
            Err(e) if e.raw_os_error() == Some(16) => std::thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
}
