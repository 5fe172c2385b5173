//! dockerd, and the containerd that it starts for itself, in namespaces of its own.

use super::image::{IMAGE, image};
use super::isolation::{isolated, remove_groups};
use super::process::{Process, command, run};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A running dockerd.
#[derive(Debug)]
pub struct Docker {
    process: Option<Process>,
    dir: TempDir,
    cgroup: String,
}

impl Docker {
    /// Starts it; it answers and has the image when this returns.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("steth-lab-").tempdir().expect("a temporary directory");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("steth-lab-docker-{}-{number}", std::process::id());
        fs::write(dir.path().join("daemon.json"), "{}").expect("a file");
        let mut docker = Self { process: None, dir, cgroup };
        docker.launch();
        let archive = image(docker.dir.path());
        docker.client(&["load", "-i", archive.to_str().expect("a path")]);
        docker
    }

    fn launch(&mut self) {
        let (at, cgroup) = (self.dir.path().display(), &self.cgroup);
        let mut daemon = isolated(&format!(
            "dockerd --config-file {at}/daemon.json --data-root {at}/root --exec-root {at}/exec --pidfile {at}/pid \
             --host unix://{at}/docker.sock --group root --iptables=false --ip6tables=false --bridge=none \
             --storage-driver vfs --cgroup-parent /{cgroup}"
        ));
        let process = Process::spawn("dockerd", &mut daemon, self.dir.path());
        process.wait_for("it answered", LIMIT, || self.answers());
        self.process = Some(process);
    }

    /// Ends it, and with it all containers; what it has on disk stays.
    pub fn stop(&mut self) {
        self.process = None;
        for file in ["docker.sock", "pid"] {
            let _ = fs::remove_file(self.dir.path().join(file));
        }
        // In it are process ids of a namespace that is no more; dockerd would wait for whoever has them in the next one.
        let _ = fs::remove_dir_all(self.dir.path().join("exec"));
    }

    /// It listens long before that.
    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.ends_with("OK"))
    }

    /// Starts it anew, after [`stop`](Self::stop).
    pub fn start_again(&mut self) {
        self.launch();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    /// The socket of its own containerd, which serves no CRI.
    pub fn containerd(&self) -> PathBuf {
        self.dir.path().join("exec/containerd/containerd.sock")
    }

    /// `docker create` with these options, or `docker run -d`; returns the container's id.
    pub fn make(&self, how: &[&str], name: &str, options: &[&str]) -> String {
        let words = [how, &["--name", name, "--network", "none"], options, &[IMAGE]];
        self.client(&words.concat()).trim().to_owned()
    }

    /// The client, with these words.
    pub fn client(&self, words: &[&str]) -> String {
        let mut client = command("docker");
        client.env("DOCKER_CONFIG", self.dir.path()).arg("-H").arg(format!("unix://{}", self.socket().display()));
        run("docker", client.args(words), LIMIT).0
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.process = None;
        remove_groups(&self.cgroup);
    }
}
