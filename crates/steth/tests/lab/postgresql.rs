//! A PostgreSQL server of the newest version that is installed, and clients: pgbench, psql, and `servers/postgresql.py`.

use super::process::{Process, START, command, free_port, run};
use super::runtimes::programs;
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// A running server without durability, which trusts everyone.
#[derive(Debug)]
pub struct PostgresqlServer {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    process: Process,
    dir: TempDir,
}

impl PostgresqlServer {
    /// Starts one that refuses TLS.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts one that takes TLS.
    pub fn start_with_tls() -> Self {
        Self::start_with(true)
    }

    /// Starts one that trusts `postgres` only, and has a user for each way of asking for a password, named as it is in
    /// pg_hba.conf: `scram-sha-256`, `md5`, `password`. All have the same password.
    pub fn start_with_passwords(password: &str) -> Self {
        let server = Self::start();
        for method in ["scram-sha-256", "md5", "password"] {
            let kept_as = if method == "md5" { "md5" } else { "scram-sha-256" };
            let statement = format!("CREATE ROLE \"{method}\" LOGIN PASSWORD '{password}'");
            let mut psql = server.psql("postgres");
            psql.args(["-c", &format!("SET password_encryption = '{kept_as}'"), "-c", &statement]);
            run("psql", &mut psql, LIMIT);
        }
        let rules = ["trust", "scram-sha-256", "md5", "password"].map(|method| {
            let user = if method == "trust" { "postgres" } else { method };
            format!("host all \"{user}\" 127.0.0.1/32 {method}\n")
        });
        fs::write(server.dir.path().join("data/pg_hba.conf"), rules.concat()).expect("it is ours");
        let said = run("psql", server.psql("postgres").args(["-At", "-c", "SELECT pg_reload_conf()"]), LIMIT).0;
        assert_eq!(said.trim(), "t");
        let log = || server.process.errors().contains("reloading configuration files");
        server.process.wait_for("it reads its rules again", START, log);
        server
    }

    /// psql as this user, who is not asked for a password on a terminal.
    pub fn psql(&self, user: &str) -> Command {
        let mut psql = command(folder().join("psql"));
        psql.args(["-X", "-w", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", user, "-d", "postgres"]);
        psql
    }

    fn start_with(tls: bool) -> Self {
        let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
        // The server does not run as root, and must get to its files.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("it is ours");
        let data = dir.path().join("data");
        fs::create_dir(&data).expect("the directory is new");
        own(&data);
        let data_text = data.to_str().expect("a path in UTF-8");
        let mut initdb = as_postgres("initdb");
        initdb.current_dir(&data);
        initdb.args(["-D", data_text, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"]);
        run("initdb", &mut initdb, LIMIT);
        let mut server = as_postgres("postgres");
        server.current_dir(&data).args(["-D", data_text, "-p", &port.to_string()]);
        let mut settings =
            vec!["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "autovacuum=off"];
        if tls {
            certificate(&data);
            settings.push("ssl=on");
        }
        settings.iter().for_each(|setting| {
            server.args(["-c", setting]);
        });
        let process = Process::spawn("postgres", &mut server, dir.path());
        process.wait_for("it was ready", START, || process.errors().contains("ready to accept connections"));
        Self { port, process, dir }
    }

    /// How many transactions pgbench has done, by the rows that each of them leaves.
    pub fn transactions(&self) -> u64 {
        let mut psql = self.psql("postgres");
        psql.args(["-At", "-c", "SELECT count(*) FROM pgbench_history"]);
        run("psql", &mut psql, LIMIT).0.trim().parse().expect("a count")
    }
}

impl Drop for PostgresqlServer {
    /// An immediate shutdown, so that nothing of its shared memory is left.
    fn drop(&mut self) {
        self.process.signal(Signal::SIGQUIT);
        let begun = Instant::now();
        while !self.process.ended() && begun.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(5));
        }
    }
}

/// The folder of the newest version's programs, which are not in the path.
fn folder() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok()));
    newest.expect("no PostgreSQL is installed; `scripts/setup test` installs what tests need").join("bin")
}

/// One of its programs, as the user that the package has made for it: it refuses to run as root.
fn as_postgres(program: &str) -> Command {
    let program = folder().join(program);
    if !geteuid().is_root() {
        return command(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]);
    command.arg(program);
    command
}

fn own(path: &Path) {
    if geteuid().is_root() {
        let user = User::from_name("postgres").expect("users can be listed").expect("the package has made the user");
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("root may");
    }
}

fn certificate(data: &Path) {
    let mut openssl = command("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]);
    openssl.current_dir(data).args(["-keyout", "server.key", "-out", "server.crt"]);
    run("openssl", &mut openssl, LIMIT);
    for file in ["server.key", "server.crt"] {
        fs::set_permissions(data.join(file), fs::Permissions::from_mode(0o600)).expect("it was just made");
        own(&data.join(file));
    }
}

/// Runs pgbench's own transaction (seven statements) `transactions` times on each of `clients` connections, all at their
/// end when it returns; `mode` is `simple`, `extended` or `prepared`. How many it says it has done.
pub fn pgbench(port: u16, mode: &str, clients: u32, transactions: u32) -> u64 {
    let (clients, transactions) = (clients.to_string(), transactions.to_string());
    let (output, _) = bench(port, &["-n", "-M", mode, "-c", &clients, "-t", &transactions]);
    processed(&output)
}

fn processed(output: &str) -> u64 {
    let said = output.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    let number = said.and_then(|said| said.split('/').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("pgbench says how much it has done: {output}"))
}

/// pgbench at a rate that it can keep, while other things happen.
#[derive(Debug)]
pub struct PgbenchLoad {
    process: Process,
    _dir: TempDir,
}

impl PgbenchLoad {
    /// Like [`pgbench`], with all clients together at `rate` transactions a second.
    pub fn start(port: u16, mode: &str, clients: u64, transactions: u64, rate: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let [clients, transactions, rate] = [clients, transactions, rate].map(|number| number.to_string());
        let arguments = ["-n", "-M", mode, "-c", &clients, "-t", &transactions, "-R", &rate];
        let process = Process::spawn("pgbench", &mut bench_command(port, &arguments), dir.path());
        Self { process, _dir: dir }
    }

    /// Waits for its end. How many transactions it says it has done.
    pub fn done(mut self) -> u64 {
        assert!(self.process.wait_for_end(LIMIT).success(), "{}", self.process.errors());
        processed(&self.process.output())
    }
}

/// Makes pgbench's tables.
pub fn pgbench_tables(port: u16) {
    bench(port, &["-i", "-q"]);
}

fn bench(port: u16, arguments: &[&str]) -> (String, String) {
    run("pgbench", &mut bench_command(port, arguments), LIMIT)
}

fn bench_command(port: u16, arguments: &[&str]) -> Command {
    let mut pgbench = command(folder().join("pgbench"));
    pgbench.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres"]).args(arguments).arg("postgres");
    pgbench
}

/// `servers/postgresql.py`: a client that has its connection, and waits.
#[derive(Debug)]
pub struct PostgresqlClient {
    process: Process,
    input: ChildStdin,
    _dir: TempDir,
}

impl PostgresqlClient {
    /// Starts what the script calls `name`, and returns when its connection stands.
    pub fn start(port: u16, name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // The one that Debian's packages of modules are for.
        let mut command = command("/usr/bin/python3");
        command.arg(programs().join("postgresql.py")).args([&port.to_string(), name]);
        let mut process = Process::piped("client", &mut command, dir.path());
        let input = process.child().stdin.take().expect("stdin is a pipe");
        let mut output = BufReader::new(process.child().stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it can be read");
        assert_eq!(line, "ready\n", "{}", process.errors());
        Self { process, input, _dir: dir }
    }

    /// Lets it go on, to its end.
    pub fn go(mut self) {
        self.input.write_all(b"go\n").expect("it waits for a line");
        let status = self.process.wait_for_end(LIMIT);
        assert!(status.success(), "{status}: {}", self.process.errors());
    }
}
