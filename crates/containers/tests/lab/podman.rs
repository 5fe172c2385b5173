//! podman's API service, in namespaces of its own.

use super::image::{IMAGE, image};
use super::isolation::{isolated, remove_groups};
use super::process::{Process, command, run};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A running podman service.
#[derive(Debug)]
pub struct Podman {
    process: Option<Process>,
    dir: TempDir,
    cgroup: String,
}

impl Podman {
    /// Starts it; it answers and has the image when this returns.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("steth-lab-").tempdir().expect("a temporary directory");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("steth-lab-podman-{}-{number}", std::process::id());
        let at = dir.path().display();
        let configuration = "[containers]\ndefault_ulimits = []\nnetns = \"none\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n";
        fs::write(dir.path().join("containers.conf"), configuration).expect("a file");
        fs::create_dir(dir.path().join("tmp")).expect("a folder");
        let mut service = isolated(&format!(
            "podman --root {at}/root --runroot {at}/run --tmpdir {at}/libpod --storage-driver vfs \
             system service --time 0 unix://{at}/podman.sock"
        ));
        service.env("CONTAINERS_CONF", dir.path().join("containers.conf")).env("TMPDIR", dir.path().join("tmp"));
        let process = Process::spawn("podman", &mut service, dir.path());
        let socket = dir.path().join("podman.sock");
        process.wait_for("its socket was there", LIMIT, || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        let podman = Self { process: Some(process), dir, cgroup };
        let archive = image(podman.dir.path());
        podman.client(&["load", "-i", archive.to_str().expect("a path")]);
        podman
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    /// `podman run -d` with these options; returns the container's id.
    pub fn run(&self, name: &str, options: &[&str]) -> String {
        let mut words = vec!["run", "-d", "--name", name];
        let parent = format!("/{}", self.cgroup);
        if !options.contains(&"--pod") {
            words.extend(["--cgroup-parent", &parent, "--network", "none"]);
        }
        words.extend(options);
        words.push(IMAGE);
        self.client(&words).trim().to_owned()
    }

    /// Makes a pod of podman's own kind; returns the id of its infra container, once something runs in it.
    pub fn pod(&self, name: &str) {
        let parent = format!("/{}", self.cgroup);
        let infra = ["--infra-image", IMAGE, "--infra-command", "/bin/sleep 100000"];
        let words = [&["pod", "create", "--name", name, "--cgroup-parent", &parent, "--network", "none"][..], &infra];
        self.client(&words.concat());
    }

    /// The id of a pod's infra container.
    pub fn infra(&self, pod: &str) -> String {
        self.client(&["pod", "inspect", "--format", "{{.InfraContainerID}}", pod]).trim().to_owned()
    }

    fn client(&self, words: &[&str]) -> String {
        let mut client = command("podman");
        client.arg("--url").arg(format!("unix://{}", self.socket().display())).args(words);
        client.env("TMPDIR", self.dir.path().join("tmp"));
        run("podman", &mut client, LIMIT).0
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.process = None;
        remove_groups(&self.cgroup);
    }
}
