//! The servers under load.

use crate::process::{Guarded, free_port, pinned, server_cpu};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// nginx, keep-alive, `return 200` with a body of six bytes.
    Http,
    /// nginx, keep-alive, a file of 612 bytes by sendfile.
    File,
    /// redis-server, GET of a value of sixteen bytes.
    Redis,
}

impl Workload {
    pub(crate) const ALL: [Self; 3] = [Self::Http, Self::File, Self::Redis];

    /// Its name on the load generator's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::File => "file",
            Self::Redis => "redis",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP keep-alive, small answer",
            Self::File => "HTTP keep-alive, file of 612 bytes",
            Self::Redis => "Redis GET",
        }
    }

    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            Self::Http => {
                b"GET /api/items/1234 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cost/1.0\r\nAccept: */*\r\n\r\n"
            }
            Self::File => b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cost/1.0\r\nAccept: */*\r\n\r\n",
            Self::Redis => b"*2\r\n$3\r\nGET\r\n$8\r\nuser:123\r\n",
        }
    }
}

/// A running server, on a CPU of its own where there are two.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) workload: Workload,
    pub(crate) port: u16,
    _process: Guarded,
    _dir: TempDir,
}

impl Server {
    pub(crate) fn start(workload: Workload) -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let mut command = match workload {
            Workload::Http | Workload::File => {
                std::fs::create_dir(dir.path().join("html"))?;
                std::fs::write(dir.path().join("html/index.html"), [b'x'; 612])?;
                std::fs::write(dir.path().join("nginx.conf"), nginx_configuration(port))?;
                let mut command = pinned(server_cpu(), "nginx");
                command.arg("-p").arg(dir.path()).args(["-e", "error.log", "-c", "nginx.conf"]);
                command
            }
            Workload::Redis => {
                let mut command = pinned(server_cpu(), "redis-server");
                command.args(["--save", "", "--bind", "127.0.0.1", "--maxclients", "10000", "--port"]);
                command.arg(port.to_string());
                command
            }
        };
        command.current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Guarded::spawn(&mut command)?;
        let begun = Instant::now();
        let mut stream = loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                break stream;
            }
            let ended = process.0.try_wait()?;
            anyhow::ensure!(ended.is_none(), "the server of {workload:?} ended: {ended:?}; is it installed?");
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(10), "the server of {workload:?} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        };
        if workload == Workload::Redis {
            stream.write_all(b"*3\r\n$3\r\nSET\r\n$8\r\nuser:123\r\n$16\r\n0123456789abcdef\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            anyhow::ensure!(&answer == b"+OK\r\n", "redis-server refuses SET");
        }
        Ok(Self { workload, port, _process: process, _dir: dir })
    }
}

/// One process, so that its end is the end of all of it. Otherwise as Debian's: sendfile on, no log.
fn nginx_configuration(port: u16) -> String {
    format!(
        "daemon off; master_process off; pid pid; error_log error.log;\n\
         events {{ worker_connections 16000; }}\n\
         http {{\n\
         access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 600;\n\
         client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
         server {{\n\
         listen 127.0.0.1:{port} backlog=4096;\n\
         location / {{ return 200 \"hello\\n\"; }}\n\
         location = /index.html {{ root html; }}\n\
         }} }}\n"
    )
}
