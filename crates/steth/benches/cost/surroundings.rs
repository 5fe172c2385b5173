//! Those whom the agent asks about containers and addresses, for its cost beside them: small ones that say what real ones would, and then
//! nothing more.

use crate::process::{Guarded, anywhere, free_port};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Containers that the runtime knows.
const CONTAINERS: usize = 250;

/// A container runtime, an API server, and a configuration that names both and has rules of every kind.
pub(crate) struct Surroundings {
    _servers: [Guarded; 2],
    directory: TempDir,
}

/// A row for processes, whose environments are read for it, and one for containers. The port of the API server follows, and the runtime is asked by a unix
/// socket: what they are asked goes on for ever, and an agent that ends counts what goes on as lost.
const RULES: &str =
    "selection:\n  unix: false\n  environment: {exclude: ['NOBODY_.*=x']}\n  namespace: {exclude: ['^nobody$']}\n";

impl Surroundings {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/python");
        let (directory, port) = (tempfile::tempdir()?, free_port()?);
        let socket = directory.path().join("docker.sock");
        let mut docker = anywhere("python3");
        docker.arg(programs.join("docker_api.py")).arg(&socket).arg(CONTAINERS.to_string());
        let mut cluster = anywhere("python3");
        cluster.arg(programs.join("api_server.py")).args([&port.to_string(), "shop", "front", "192.0.2.1"]);
        let servers = [Guarded::spawn(&mut docker)?, Guarded::spawn(&mut cluster)?];
        let begun = Instant::now();
        while !socket.exists() || TcpStream::connect(("127.0.0.1", port)).is_err() {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(20), "the runtime or the API server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut file = std::fs::File::create(directory.path().join("steth.yaml"))?;
        writeln!(
            file,
            "{RULES}  port: {{exclude: [{port}]}}\nidentity: {{runtimes: ['docker:{}'], kubernetes: 'http://127.0.0.1:{port}'}}",
            socket.display()
        )?;
        Ok(Self { _servers: servers, directory })
    }

    pub(crate) fn configuration(&self) -> std::path::PathBuf {
        self.directory.path().join("steth.yaml")
    }
}
