//! Servers under load, with exact counts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a run did.
pub(crate) struct Done {
    pub(crate) exchanges: u64,
    /// Exchanges a second.
    pub(crate) rate: f64,
}

/// A server, and the request to ask it with.
pub(crate) struct Load {
    name: &'static str,
    port: u16,
    request: &'static [u8],
    response: usize,
    server: Child,
    _dir: TempDir,
}

const CONNECTIONS: usize = 4;
const REQUESTS: usize = 25_000;

impl Load {
    /// nginx, a small fixed answer, keep-alive.
    pub(crate) fn nginx() -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let configuration = format!(
            "daemon off; worker_processes 1; pid pid; error_log error.log; events {{ worker_connections 8192; }}\n\
             http {{ access_log off; keepalive_requests 100000000; client_body_temp_path t1; proxy_temp_path t2;\n\
             fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
             server {{ listen 127.0.0.1:{port} backlog=8192; location / {{ return 200 \"hello\"; }} }} }}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), configuration)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).args(["-e", "error.log", "-c", "nginx.conf"]);
        let server = quiet(&mut command)?;
        let request = b"GET /some/path HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
        Self { name: "HTTP keep-alive", port, request, response: 0, server, _dir: dir }.ready()
    }

    /// redis-server, GET of a key that is not there.
    pub(crate) fn redis() -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--bind", "127.0.0.1", "--port", &port.to_string()]).current_dir(dir.path());
        let server = quiet(&mut command)?;
        let request = b"*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n";
        Self { name: "Redis GET", port, request, response: 0, server, _dir: dir }.ready()
    }

    fn ready(mut self) -> anyhow::Result<Self> {
        let until = Instant::now() + Duration::from_secs(10);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > until => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.write_all(self.request)?;
        let mut buffer = [0; 4096];
        self.response = stream.read(&mut buffer)?;
        Ok(self)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// As many exchanges as fast as they go, one at a time on each connection.
    pub(crate) fn run(&self) -> Done {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut stream = self.connect();
                    for _ in 0..REQUESTS {
                        self.ask(&mut stream);
                    }
                });
            }
        });
        let exchanges = (CONNECTIONS * REQUESTS) as u64;
        Done { exchanges, rate: exchanges as f64 / begun.elapsed().as_secs_f64() }
    }

    /// Connections that have made one exchange each and stay open.
    pub(crate) fn open(&self, count: usize) -> anyhow::Result<Vec<TcpStream>> {
        Ok((0..count)
            .map(|_| {
                let mut stream = self.connect();
                self.ask(&mut stream);
                stream
            })
            .collect())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server accepts");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    fn ask(&self, stream: &mut TcpStream) {
        let mut buffer = [0; 4096];
        stream.write_all(self.request).expect("the server reads");
        let mut got = 0;
        while got < self.response {
            got += stream.read(&mut buffer).expect("the server answers");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // nginx's worker ends with its master only if that one is asked, not killed.
        let _ = Command::new("kill").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
    }
}

fn quiet(command: &mut Command) -> anyhow::Result<Child> {
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
