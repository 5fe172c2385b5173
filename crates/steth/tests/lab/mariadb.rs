//! mariadbd (or Oracle's mysqld), MariaDB's command-line client, and sysbench.
//!
//! sysbench with `--events=N --time=0` runs N transactions to their end, and says how many queries they were; with prepared
//! statements each of these is one COM_STMT_EXECUTE. The server's own books are `SHOW GLOBAL STATUS`.

use super::process::{Process, command, free_port, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// A running server with one empty schema, `shop`, whose user `root` has no password.
#[derive(Debug)]
pub struct MariaDb {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its unix socket, over which the kit asks its own questions.
    socket: PathBuf,
    process: Process,
    dir: TempDir,
    /// `db.system.name`.
    pub system: &'static str,
}

impl MariaDb {
    /// Without TLS.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With a binary log, `log.000001`.
    pub fn with_log() -> Self {
        Self::with(&["--log-bin=log", "--server-id=1"])
    }

    /// With a certificate of its own.
    pub fn with_tls() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("certificate.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        run("openssl", &mut openssl, LIMIT);
        let option = |name: &str, path: &PathBuf| format!("--{name}={}", path.display());
        Self::with(&[&option("ssl-key", &key), &option("ssl-cert", &certificate)])
    }

    fn with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, data, socket) = (free_port(), dir.path().join("data"), dir.path().join("socket"));
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display()));
        // On busy processors mariadbd crashes there now and then (SIGSEGV of 10.11, 2 of 45 times with three of them at once on two CPUs).
        let done = (0..2).any(|_| {
            let done = install.output().is_ok_and(|output| output.status.success());
            if !done {
                // It would be in the way of the next one.
                let _ = std::fs::remove_dir_all(&data);
            }
            done
        });
        if !done {
            run("mariadb-install-db", &mut install, LIMIT);
        }
        let mut command = command("mariadbd");
        command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--local-infile=1"]);
        command.args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--max-allowed-packet=64M"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", &format!("--port={port}")]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        command.args(options);
        let process = Process::spawn("mariadbd", &mut command, dir.path());
        process.wait_for_port(port);
        let server = Self { port, socket, process, dir, system: "mariadb" };
        server.ask("CREATE DATABASE shop");
        server
    }

    /// Oracle's server, from the tree that `scripts/oracle-mysql` has made, with that as its root.
    pub fn oracle(tree: &Path) -> Self {
        let dir = tempfile::tempdir_in(tree.join("tmp")).expect("a temporary directory");
        let inside = Path::new("/tmp").join(dir.path().file_name().expect("it has a name"));
        let (port, data) = (free_port(), format!("--datadir={}", inside.join("data").display()));
        let mysqld = || {
            let mut command = command("chroot");
            command.arg(tree).args(["/usr/sbin/mysqld", "--no-defaults", "--user=root", "--secure-file-priv=", &data]);
            command
        };
        run("mysqld --initialize-insecure", mysqld().arg("--initialize-insecure"), LIMIT);
        let mut server = mysqld();
        server.args(["--bind-address=127.0.0.1", "--mysqlx=OFF", "--local-infile=1", "--max-allowed-packet=64M"]);
        server.args(["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", &format!("--port={port}")]);
        server.arg(format!("--socket={}", inside.join("socket").display()));
        server.arg(format!("--pid-file={}", inside.join("pid").display()));
        let process = Process::spawn("mysqld", &mut server, dir.path());
        process.wait_for_port(port);
        let server = Self { port, socket: dir.path().join("socket"), process, dir, system: "mysql" };
        server.ask("CREATE DATABASE shop");
        server
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs statements over the unix socket, which no test watches; the rows, with tabs between the columns.
    pub fn ask(&self, statements: &str) -> String {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-N", "-uroot"]).arg("-S").arg(&self.socket).args(["-e", statements]);
        run("mariadb", &mut client, LIMIT).0
    }

    /// A client on the TCP port, in `shop`, with no statements of its own; to be given input or `-e`.
    pub fn client(&self) -> Command {
        let mut client = command("mariadb");
        client.args(["--no-defaults", "-N", "-uroot", "-h127.0.0.1", &format!("-P{}", self.port), "shop"]);
        client.args(["--local-infile=1", "--max-allowed-packet=64M", "--skip-auto-rehash", "--skip-reconnect"]);
        if self.system == "mysql" {
            // It has a certificate by itself, and this client would encrypt.
            client.arg("--skip-ssl");
        }
        client
    }

    /// Feeds that client with statements from a file; `options` come last. The rows that it printed.
    pub fn run(&self, options: &[&str], statements: &str) -> String {
        let path = self.dir.path().join("statements.sql");
        std::fs::write(&path, statements).expect("a file of statements");
        let file = std::fs::File::open(&path).expect("that file");
        // It is stdin that is not echoed, whatever its size.
        let mut client = self.client();
        client.args(["--batch", "--force"]).args(options);
        let output = client.stdin(file).output().expect("mariadb runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the server has counted: `Com_select`, `Com_stmt_execute`, `Questions`, …
    pub fn status(&self) -> BTreeMap<String, u64> {
        let lines = self.ask("SHOW GLOBAL STATUS");
        let pair = |line: &str| {
            let (name, value) = line.split_once('\t')?;
            Some((name.to_string(), value.parse().ok()?))
        };
        lines.lines().filter_map(pair).collect()
    }

    /// The arguments of a sysbench run against two tables of a thousand rows, with `threads` connections.
    pub fn sysbench(&self, test: &str, threads: u64, options: &[&str]) -> Command {
        let mut sysbench = command("sysbench");
        sysbench.args([test, "--mysql-host=127.0.0.1", "--mysql-user=root", "--mysql-db=shop", "--tables=2"]);
        sysbench.args(["--table-size=1000", &format!("--mysql-port={}", self.port), &format!("--threads={threads}")]);
        sysbench.args(options);
        sysbench
    }

    /// Makes the tables that sysbench uses.
    pub fn prepare_sysbench(&self) {
        run("sysbench", self.sysbench("oltp_read_write", 1, &[]).arg("prepare"), LIMIT);
    }

    /// Runs this many transactions to their end. Returns how many queries they were.
    pub fn transactions(&self, test: &str, prepared: bool, threads: u64, count: u64) -> u64 {
        let mode = if prepared { "--db-ps-mode=auto" } else { "--db-ps-mode=disable" };
        let events = format!("--events={count}");
        let mut sysbench = self.sysbench(test, threads, &[mode, &events, "--time=0"]);
        let (output, _) = run("sysbench", sysbench.arg("run"), LIMIT);
        let total = output.lines().find_map(|line| line.trim().strip_prefix("total:"));
        total.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("sysbench said {output}"))
    }
}
