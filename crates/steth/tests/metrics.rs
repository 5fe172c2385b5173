//! `/metrics` of real databases.

use crate::lab::process::{Process, command};
use crate::lab::{MariaDb, PostgresqlClient, PostgresqlServer, RedisServer, alone, curl, free_port, wait_until};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn operations_have_the_system_and_the_namespace_of_their_database() {
    root_or_skip!();
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mariadb, postgresql, redis) = (MariaDb::start(), PostgresqlServer::start(), RedisServer::start());
    let listen = free_port();
    let mut run = command(env!("CARGO_BIN_EXE_steth"));
    run.args(["run", "--listen", &format!("127.0.0.1:{listen}")]).arg("--data").arg(dir.path().join("data"));
    let mut agent = Process::spawn("run", &mut run, dir.path());
    agent.wait_for("it is watching", 20 * SECOND, || agent.errors().contains("watching"));

    mariadb.run(&[], "SELECT 1 FROM mysql.user LIMIT 1;\nUSE mysql;\nSELECT 2 FROM user LIMIT 1;\n");
    PostgresqlClient::start(postgresql.port, "encrypted").go();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("redis accepts");
    for (request, reply) in [("GET a\r\n", "$-1\r\n"), ("SELECT 3\r\n", "+OK\r\n"), ("GET a\r\n", "$-1\r\n")] {
        stream.write_all(request.as_bytes()).expect("redis reads");
        let mut got = vec![0; reply.len()];
        stream.read_exact(&mut got).expect("redis answers");
        assert_eq!(String::from_utf8_lossy(&got), reply);
    }

    let metrics = || String::from_utf8_lossy(&curl(&[&format!("http://127.0.0.1:{listen}/metrics")]).body).into_owned();
    for (port, labels) in [
        (mariadb.port, r#"db_system_name="mariadb",db_namespace="shop",db_query_summary="SELECT mysql.user""#),
        (mariadb.port, r#"db_system_name="mariadb",db_namespace="mysql",db_query_summary="SELECT user""#),
        (postgresql.port, r#"db_system_name="postgresql",db_namespace="postgres",db_query_summary="SELECT""#),
        (redis.port, r#"db_system_name="redis",db_operation_name="GET""#),
        (redis.port, r#"db_system_name="redis",db_namespace="3",db_operation_name="GET""#),
    ] {
        let port = format!("server_port=\"{port}\"");
        let count = || -> f64 {
            let text = metrics();
            let lines = text.lines().filter(|line| line.starts_with("db_client_operation_duration_seconds_count{"));
            let lines = lines.filter(|line| line.contains(labels) && line.contains(&port));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        wait_until(labels, 20 * SECOND, || count() == 1.0);
    }
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait_for_end(10 * SECOND).success(), "{}", agent.errors());
}
