//! Servers that need a folder made before they start: mariadbd, PostgreSQL, unbound.

use crate::process::{CLIENT_CPU, pinned, server_cpu};
use anyhow::Context as _;
use nix::unistd::User;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Rows of the table that sysbench asks.
pub(crate) const ROWS: u32 = 100_000;

/// A mariadbd without durability and without TLS.
pub(crate) fn mariadbd(dir: &Path, port: u16) -> anyhow::Result<Command> {
    let data = format!("--datadir={}", dir.join("data").display());
    let mut install = Command::new("mariadb-install-db");
    install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", &data]);
    quietly(&mut install)?;
    let mut command = pinned(server_cpu(), "mariadbd");
    command.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
    command.args(["--innodb-buffer-pool-size=128M", "--innodb-log-file-size=64M", "--skip-log-bin", &data]);
    command.args([format!("--port={port}"), format!("--socket={}", dir.join("socket").display())]);
    Ok(command)
}

/// Makes the schema and the table that sysbench asks.
pub(crate) fn fill_mariadb(dir: &Path, port: u16) -> anyhow::Result<()> {
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "-uroot", "-e", "CREATE DATABASE shop", "-S"]).arg(dir.join("socket"));
    quietly(&mut client)?;
    let mut sysbench = Command::new("sysbench");
    sysbench.args(["oltp_read_write", "--mysql-host=127.0.0.1", "--mysql-user=root", "--mysql-db=shop", "--tables=1"]);
    sysbench.args([format!("--mysql-port={port}"), format!("--table-size={ROWS}"), "prepare".to_owned()]);
    quietly(&mut sysbench)
}

/// A PostgreSQL server without durability, without TLS, which trusts everyone.
pub(crate) fn postgres(dir: &Path, port: u16) -> anyhow::Result<Command> {
    // The server refuses to run as root, and must get to its files.
    let user = User::from_name("postgres")?.context("there is no user postgres; is PostgreSQL installed?")?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))?;
    let data = dir.join("data");
    fs::create_dir(&data)?;
    chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    let as_postgres = |program: &str| -> anyhow::Result<Command> {
        let mut command = pinned(server_cpu(), "setpriv");
        command.args(["--pdeathsig", "KILL", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]);
        command.arg(folder()?.join(program)).arg("-D").arg(&data).current_dir(&data);
        Ok(command)
    };
    let mut init = as_postgres("initdb")?;
    init.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"]);
    quietly(&mut init)?;
    let mut server = as_postgres("postgres")?;
    server.args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "autovacuum=off"] {
        server.args(["-c", setting]);
    }
    Ok(server)
}

/// Makes pgbench's tables: 100,000 accounts. The server listens before it takes anybody in.
pub(crate) fn fill_postgresql(port: u16) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let filled = quietly(pgbench(port)?.args(["-i", "-q", "postgres"]));
        if filled.is_ok() || begun.elapsed() > Duration::from_secs(10) {
            return filled;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// pgbench, to be told what to do.
pub(crate) fn pgbench(port: u16) -> anyhow::Result<Command> {
    let mut command = pinned(CLIENT_CPU, folder()?.join("pgbench"));
    command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port.to_string()]);
    Ok(command)
}

/// The folder of the newest version's programs, which are not in the path.
fn folder() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.max_by_key(number).context("no PostgreSQL is installed; see `scripts/setup test`")?;
    Ok(newest.join("bin"))
}

/// An unbound with one thread, which has every name of `shop.test` itself.
pub(crate) fn unbound(dir: &Path, port: u16) -> anyhow::Result<Command> {
    let configuration = format!(
        "server:\n  interface: 127.0.0.1\n  port: {port}\n  access-control: 127.0.0.0/8 allow\n  do-daemonize: no\n  \
         use-syslog: no\n  logfile: \"\"\n  username: \"\"\n  chroot: \"\"\n  directory: \"{0}\"\n  pidfile: \"\"\n  \
         num-threads: 1\n  module-config: \"iterator\"\n  local-zone: \"test.\" nodefault\n  \
         local-zone: \"shop.test.\" redirect\n  local-data: \"shop.test. 300 IN A 192.0.2.10\"\n\
         remote-control:\n  control-enable: no\n",
        dir.display(),
    );
    fs::write(dir.join("unbound.conf"), configuration)?;
    let mut command = pinned(server_cpu(), "unbound");
    command.args(["-d", "-c"]).arg(dir.join("unbound.conf"));
    Ok(command)
}

/// Runs something that prepares, whose output nobody wants.
fn quietly(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(())
}
