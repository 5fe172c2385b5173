//! The servers under load.

use crate::databases;
use crate::process::{Guarded, free_port, pinned, server_cpu};
use nix::sys::signal::Signal;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
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
    /// redis-server, sixteen GETs at once, by redis-benchmark.
    RedisPipeline,
    /// mariadbd, a test of sysbench's on so many rows, with prepared statements or with texts.
    Mysql { test: &'static str, prepared: bool, rows: u32 },
    /// PostgreSQL, pgbench in this mode: its point select, or its seven statements.
    Postgresql { mode: &'static str, select: bool },
    /// unbound, an A record over UDP, by dnsperf.
    Dns,
}

impl Workload {
    /// Those that the benchmark's own generator asks.
    pub(crate) const GENERATED: [Self; 3] = [Self::Http, Self::File, Self::Redis];

    /// Its name on the load generator's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::File => "file",
            Self::Redis | Self::RedisPipeline => "redis",
            Self::Mysql { .. } => "mysql",
            Self::Postgresql { .. } => "postgresql",
            Self::Dns => "dns",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http => "HTTP keep-alive, small answer",
            Self::File => "HTTP keep-alive, file of 612 bytes",
            Self::Redis => "Redis GET",
            Self::RedisPipeline => "Redis GET, 16 in a pipeline",
            Self::Mysql { test: "oltp_read_write", .. } => "MySQL, reads and writes, prepared",
            Self::Mysql { prepared: true, .. } => "MySQL, point selects, prepared",
            Self::Mysql { prepared: false, .. } => "MySQL, point selects, texts never seen before",
            Self::Postgresql { mode: "prepared", .. } => "PostgreSQL, point selects, prepared",
            Self::Postgresql { .. } => "PostgreSQL, point selects, texts never seen before",
            Self::Dns => "DNS, A over UDP",
        }
    }

    /// What is known of the load's latency: pgbench and dnsperf tell no percentile.
    pub(crate) fn latency(self) -> &'static str {
        match self {
            Self::Postgresql { .. } | Self::Dns => "mean latency",
            _ => "p99",
        }
    }

    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            Self::Http => {
                b"GET /api/items/1234 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cost/1.0\r\nAccept: */*\r\n\r\n"
            }
            Self::File => b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nUser-Agent: cost/1.0\r\nAccept: */*\r\n\r\n",
            _ => b"*2\r\n$3\r\nGET\r\n$8\r\nuser:123\r\n",
        }
    }
}

/// A running server, on a CPU of its own where there are two.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) workload: Workload,
    pub(crate) port: u16,
    process: Guarded,
    dir: TempDir,
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
            Workload::Redis | Workload::RedisPipeline => {
                let mut command = pinned(server_cpu(), "redis-server");
                command.args(["--save", "", "--bind", "127.0.0.1", "--maxclients", "10000", "--port"]);
                command.arg(port.to_string());
                command
            }
            Workload::Mysql { .. } => databases::mariadbd(dir.path(), port)?,
            Workload::Postgresql { .. } => databases::postgres(dir.path(), port)?,
            Workload::Dns => databases::unbound(dir.path(), port)?,
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
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "the server of {workload:?} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        };
        match workload {
            Workload::Redis => {
                stream.write_all(b"*3\r\n$3\r\nSET\r\n$8\r\nuser:123\r\n$16\r\n0123456789abcdef\r\n")?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer)?;
                anyhow::ensure!(&answer == b"+OK\r\n", "redis-server refuses SET");
            }
            Workload::Mysql { .. } => databases::fill_mariadb(dir.path(), port)?,
            Workload::Postgresql { .. } => databases::fill_postgresql(port)?,
            Workload::Http | Workload::File | Workload::RedisPipeline | Workload::Dns => {}
        }
        Ok(Self { workload, port, process, dir })
    }

    /// The path of a file in the server's own folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Server {
    /// PostgreSQL's processes go with the first of them, if that is told so.
    fn drop(&mut self) {
        if matches!(self.workload, Workload::Postgresql { .. }) {
            self.process.signal(Signal::SIGQUIT);
        }
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
