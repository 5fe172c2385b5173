//! nginx, with its own prefix, configuration and logs in the test's folder.

use super::process::{Process, START, command, free_port};
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// Size of `/big`, a sparse file that nginx serves by sendfile.
pub const BIG: u64 = 200 << 20;
/// Size of `/index.html`.
pub const INDEX: usize = 612;
/// The body of `/`.
pub const BODY: &str = "hello\n";

/// What differs from test to test.
#[derive(Clone, Copy, Debug)]
pub struct NginxPlan {
    /// Worker processes.
    pub workers: u32,
    /// Write one line per request, for [`Nginx::served`].
    pub log: bool,
}

impl Default for NginxPlan {
    fn default() -> Self {
        Self { workers: 1, log: false }
    }
}

/// A request as nginx logged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `GET /path HTTP/1.1`.
    pub request: String,
    /// Status answered; 499 when the client was gone before the answer, 000 when there was none.
    pub status: u16,
    /// Bytes of the request, head and body.
    pub request_bytes: u64,
    /// Bytes of the response, head and body, as far as they were handed to the kernel.
    pub response_bytes: u64,
}

/// A running nginx.
///
/// Routes: `/` a small fixed body, `/index.html` a file of 612 bytes, `/status/404`, `/status/503`, `/empty` 204, `/moved`
/// 301, `/big` 200 MiB by sendfile, `/requests` the number of requests so far (its own included).
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    process: Process,
    dir: TempDir,
}

impl Nginx {
    /// One worker, no log.
    pub fn start() -> Self {
        Self::with(NginxPlan::default())
    }

    /// As planned.
    pub fn with(plan: NginxPlan) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        for folder in ["html", "temp"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder of nginx");
        }
        // nginx's workers are another user: they must be able to reach the files.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).expect("a folder that the workers may enter");
        fs::write(dir.path().join("html/index.html"), vec![b'x'; INDEX]).expect("index.html");
        fs::File::create(dir.path().join("html/big")).and_then(|f| f.set_len(BIG)).expect("a sparse file");
        fs::write(dir.path().join("nginx.conf"), configuration(port, plan)).expect("nginx.conf");
        let mut command = command("nginx");
        command.arg("-p").arg(dir.path()).args(["-e", "error.log", "-c", "nginx.conf"]);
        let process = Process::spawn("nginx", &mut command, dir.path());
        process.wait_for_port(port);
        let nginx = Self { port, process, dir };
        let all = || nginx.workers().len() == plan.workers as usize;
        nginx.process.wait_for("its workers ran", START, all);
        nginx
    }

    /// The master's process id. The sockets are the workers'.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The workers' process ids.
    pub fn workers(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Stops it gracefully and returns every request it has taken. Needs `log: true`.
    pub fn served(mut self) -> Vec<Served> {
        self.process.signal(Signal::SIGQUIT);
        self.process.wait_for_end(START + Duration::from_secs(30));
        let path = self.dir.path().join("requests.log");
        let log = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{} ({e}): plan `log: true`", path.display()));
        log.lines().map(served).collect()
    }
}

fn served(line: &str) -> Served {
    let mut fields = line.splitn(4, ' ');
    let mut next = || fields.next().unwrap_or_default();
    let (status, request_bytes, response_bytes) = (next(), next(), next());
    Served {
        status: status.parse().unwrap_or(0),
        request_bytes: request_bytes.parse().unwrap_or(0),
        response_bytes: response_bytes.parse().unwrap_or(0),
        request: next().to_string(),
    }
}

fn configuration(port: u16, NginxPlan { workers, log }: NginxPlan) -> String {
    let log = if log { "access_log requests.log counted buffer=256k flush=1s" } else { "access_log off" };
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path temp/{name};\n"))
        .collect();
    format!(
        r#"daemon off;
master_process on;
worker_processes {workers};
worker_rlimit_nofile 15000;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 12000; }}
http {{
    log_format counted '$status $request_length $bytes_sent $request';
    {log};
{temp}    default_type text/plain;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    keepalive_timeout 600s;
    client_max_body_size 100m;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root html;
        location = / {{ return 200 "{body}"; }}
        location = /empty {{ return 204; }}
        location = /moved {{ return 301 /index.html; }}
        location = /status/404 {{ return 404 "not here\n"; }}
        location = /status/503 {{ return 503 "not now\n"; }}
        location = /requests {{ access_log off; stub_status; }}
    }}
}}
"#,
        body = BODY.trim_end().to_string() + "\\n",
    )
}
