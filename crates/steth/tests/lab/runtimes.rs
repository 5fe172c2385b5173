//! Servers in other languages, each with the I/O style of its runtime: node (writev, epoll), Python (a thread per
//! connection, small sends), Java (NIO) and Go (netpoll, goroutines that move between threads).
//!
//! All answer `GET /` with 200 and "hello\n", `GET /status/N` with status N, `GET /slow` after 50 ms, and `POST /echo`
//! with the body they were sent. Python has more, see `servers/python/server.py`.

use super::process::{Process, command, free_port, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

/// The folder of the programs that tests run.
pub fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

/// The Python interpreter itself. What is first in the path may be a shell script that looks for it.
pub fn python() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let (path, _) =
            run("python3", Command::new("python3").args(["-c", "import sys; print(sys.executable)"]), LIMIT);
        PathBuf::from(path.trim())
    })
}

const LIMIT: Duration = Duration::from_secs(120);

macro_rules! runtime {
    ($(#[$doc:meta])* $name:ident, $command:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            /// Where it listens, on 127.0.0.1.
            pub port: u16,
            process: Process,
            _dir: TempDir,
        }

        impl $name {
            /// Starts it and waits until it accepts.
            pub fn start() -> Self {
                let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
                let command: fn(&Path) -> Command = $command;
                let process = Process::spawn(stringify!($name), command(dir.path()).arg(port.to_string()), dir.path());
                process.wait_for_port(port);
                Self { port, process, _dir: dir }
            }

            /// Its process id.
            pub fn pid(&self) -> u32 {
                self.process.pid()
            }
        }
    };
}

runtime!(
    /// node's `http`.
    Node,
    |_| {
        let mut command = command("node");
        command.arg(programs().join("node/server.js"));
        command
    }
);

runtime!(
    /// Python's threaded `http.server`.
    Python,
    |_| {
        let mut command = command(python());
        command.arg(programs().join("python/server.py"));
        command
    }
);

runtime!(
    /// Java's `com.sun.net.httpserver`. Without `nodelay` each answer waits 40 ms for a delayed acknowledgement.
    Java,
    |_| {
        let mut command = command("java");
        command.args(["-Dsun.net.httpserver.nodelay=true", "-Xshare:auto", "-XX:TieredStopAtLevel=1"]);
        command.arg(programs().join("java/Server.java"));
        command
    }
);

runtime!(
    /// Go's `net/http`, built in the test's folder: no module is fetched.
    Go,
    |dir| {
        let binary = dir.join("server");
        let mut build = Command::new("go");
        build.current_dir(dir).env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off").env("GOPROXY", "off");
        build.args(["build", "-o"]).arg(&binary).arg(programs().join("go/server.go"));
        run("go build", &mut build, LIMIT);
        command(binary)
    }
);
