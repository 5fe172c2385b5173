//! What services are called: the program and not its interpreter, and before that what a process says of itself.

use crate::lab::cgroup::{Cgroup, digits, hierarchies, id as cgroup_id};
use crate::lab::process::command;
use crate::lab::runtimes::{programs, python};
use crate::lab::{
    Agent, Java, Node, Process, Python, Steth, Unbound, alone, curl, dig, free_port, together, wait_until,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, SystemTime};

fn services(exchanges: &[Value], port: u16, end: &str) -> BTreeSet<String> {
    let there = exchanges.iter().filter(|e| e["server"]["port"] == port);
    there.map(|e| e[end]["service"].as_str().unwrap_or("none").to_owned()).collect()
}

#[test]
fn a_service_is_called_after_its_program_or_what_it_declares() {
    root_or_skip!();
    let _together = together();
    let (node, plain, java) = (Node::start(), Python::start(), Java::start());
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut declared = command(python());
    declared.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=check%20out");
    declared.arg(programs().join("python/server.py")).arg(port.to_string());
    let declared = Process::spawn("declared", &mut declared, dir.path());
    declared.wait_for_port(port);
    let steth = Steth::watch(&[]);
    let expected =
        [(node.port, "server.js"), (plain.port, "server.py"), (java.port, "Server.java"), (port, "check out")];
    for (port, _) in expected {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
    }
    let ours = |exchanges: &[Value]| expected.iter().all(|(port, _)| !services(exchanges, *port, "server").is_empty());
    wait_until("an exchange of each", Duration::from_secs(5), || ours(&steth.exchanges()));
    let seen = steth.finish();
    for (port, name) in expected {
        assert_eq!(services(&seen.exchanges, port, "server"), BTreeSet::from([name.to_owned()]), "on port {port}");
        assert_eq!(services(&seen.exchanges, port, "client"), BTreeSet::from(["curl".to_owned()]), "to port {port}");
    }
    let printed = serde_json::to_string(&seen.exchanges).expect("text");
    assert!(!printed.contains("deployment.environment"), "nothing else of an environment is kept");
}

/// Its environment is readable for its user alone, and the agent has given up what would make it anybody's.
#[test]
fn a_service_of_another_user_is_called_what_it_declares() {
    root_or_skip!();
    let _together = together();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut other = command("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL", "/usr/bin/python3"]);
    other.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory", "/", &port.to_string()]);
    other.env("OTEL_SERVICE_NAME", "till").current_dir("/");
    let other = Process::spawn("other", &mut other, dir.path());
    other.wait_for_port(port);
    let steth = Steth::watch(&[]);
    assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
    let named = || services(&steth.exchanges(), port, "server");
    wait_until("its exchange", Duration::from_secs(5), || !named().is_empty());
    assert_eq!(named(), BTreeSet::from(["till".to_owned()]));
    steth.finish();
}

/// The rules of the configuration come before everything, and the unit before the program.
#[test]
fn a_service_is_called_after_a_rule_and_else_after_its_unit() {
    root_or_skip!();
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let unit = format!("till-{}.service", std::process::id());
    let cgroup = Cgroup::make(&hierarchies(), &unit);
    let (ruled, of_unit, both) = (free_port(), free_port(), free_port());
    let start = |port: u16, declared: Option<&str>| {
        let mut server = command("sh");
        let script = format!("{}exec \"$@\"", cgroup.enter());
        server.args(["-c", &script, "sh"]).arg(python()).arg(programs().join("python/server.py")).arg(port.to_string());
        server.envs(declared.map(|name| ("OTEL_SERVICE_NAME", name)));
        let server = Process::spawn(&format!("server-{port}"), &mut server, dir.path());
        server.wait_for_port(port);
        server
    };
    let _servers = [start(ruled, Some("declared")), start(of_unit, None), start(both, Some("declared"))];
    let file = dir.path().join("steth.yaml");
    let rules =
        format!("identity: {{services: [{{name: billing, command_line: 'server\\.py {ruled}$', unit: '^till-'}}]}}\n");
    std::fs::write(&file, rules).expect("a file");
    let steth = Steth::watch(&["--config", file.to_str().expect("a path of this test")]);
    let expected = [(ruled, "billing"), (of_unit, unit.trim_end_matches(".service")), (both, "declared")];
    for (port, _) in expected {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
    }
    let seen = |port| services(&steth.exchanges(), port, "server");
    for (port, name) in expected {
        wait_until("its exchange", Duration::from_secs(5), || !seen(port).is_empty());
        assert_eq!(seen(port), BTreeSet::from([name.to_owned()]));
    }
    steth.finish();
}

/// Nobody has said where the runtime's socket is. In a mount namespace of the test's own, so that nothing of the host's is touched.
#[test]
fn a_runtime_is_found_where_runtimes_are_and_names_a_container() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port, id) = (tempfile::tempdir().expect("a temporary directory"), free_port(), cgroup_id(60));
    let cgroup = Cgroup::make(&hierarchies(), &format!("docker-{}.scope", digits(&id)));
    let mut server = command("sh");
    let script = format!("{}exec \"$@\"", cgroup.enter());
    server.args(["-c", &script, "sh"]).arg(python()).arg(programs().join("python/server.py")).arg(port.to_string());
    let server = Process::spawn("server", &mut server, dir.path());
    server.wait_for_port(port);
    let inside = format!(
        "mount -t tmpfs x /run && {{ {} {} /run/docker.sock 0 {} cart & while [ ! -S /run/docker.sock ]; do sleep 0.05; done; \
         exec {} watch --json --port {port}; }}",
        python().display(),
        programs().join("python/docker_api.py").display(),
        digits(&id),
        env!("CARGO_BIN_EXE_steth"),
    );
    let mut unshare = command("unshare");
    let unshare = unshare.args(["--mount", "--propagation", "private", "sh", "-c", &inside]);
    let agent = Process::spawn("agent", unshare, dir.path());
    agent.wait_for("it is watching", Duration::from_secs(20), || agent.errors().contains("watching"));
    let named = || {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200);
        let exchanges: Vec<Value> = agent.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        services(&exchanges, port, "server")
    };
    agent.wait_for("the container has its name", Duration::from_secs(20), || {
        std::thread::sleep(Duration::from_millis(200));
        named().contains("cart")
    });
    drop((server, agent));
}

/// The address with which this host would speak to others.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // Nothing is sent: a route is looked up.
    socket.connect("198.51.100.1:9").expect("a route, if only a default one");
    socket.local_addr().expect("an address").ip()
}

/// With its server out of sight, an address has the name that a file gives it; and how far away it is, is said.
#[test]
fn an_address_is_called_what_the_hosts_file_says() {
    root_or_skip!();
    let _together = together();
    let (python, address) = (Python::start(), own_address());
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut everywhere = command(self::python());
    everywhere.args(["-m", "http.server", "--bind", "0.0.0.0", &port.to_string()]).current_dir(dir.path());
    let everywhere = Process::spawn("everywhere", &mut everywhere, dir.path());
    everywhere.wait_for_port(port);
    let (hosts, file) = (dir.path().join("hosts"), dir.path().join("steth.yaml"));
    std::fs::write(&hosts, format!("{address} printer.lan printer\n")).expect("a file");
    std::fs::write(&file, format!("identity: {{hosts_file: {}}}\n", hosts.display())).expect("a file");
    let file = file.to_str().expect("a path of this test");
    let local = format!("http://127.0.0.1:{}/", python.port);
    let steth = Steth::watch(&["--config", file, "--", "curl", "-s", &local, "--next", "-s", &local]);
    steth.wait_for_exchanges(2, Duration::from_secs(5));
    let seen = steth.finish();
    let ends = |exchange: &Value| {
        [&exchange["server"]["name"], &exchange["server"]["process"], &exchange["locality"]].map(Value::clone)
    };
    assert!(
        seen.exchanges.iter().all(|e| ends(e) == [Value::Null, Value::Null, "loopback".into()]),
        "{:?}",
        seen.exchanges
    );

    let host = format!("http://{address}:{port}/");
    let steth = Steth::watch(&["--config", file, "--", "curl", "-s", &host]);
    steth.wait_for_exchanges(1, Duration::from_secs(5));
    let seen = steth.finish();
    let expected: [Value; 3] = ["printer.lan".into(), Value::Null, "host".into()];
    assert!(seen.exchanges.iter().all(|e| ends(e) == expected), "{:?}", seen.exchanges);
}

/// The cluster knows better than the file, and it is asked again for what was seen before it was known.
#[test]
fn an_address_is_called_what_the_cluster_says() {
    root_or_skip!();
    let _together = together();
    let (dir, address, port, api) =
        (tempfile::tempdir().expect("a temporary directory"), own_address(), free_port(), free_port());
    let mut everywhere = command(python());
    everywhere.args(["-m", "http.server", "--bind", "0.0.0.0", &port.to_string()]).current_dir(dir.path());
    let everywhere = Process::spawn("everywhere", &mut everywhere, dir.path());
    everywhere.wait_for_port(port);
    let mut cluster = command(python());
    cluster.arg(programs().join("python/api_server.py")).args([
        &api.to_string(),
        "shop",
        "front",
        &address.to_string(),
    ]);
    let cluster = Process::spawn("cluster", &mut cluster, dir.path());
    cluster.wait_for_port(api);
    let (hosts, file) = (dir.path().join("hosts"), dir.path().join("steth.yaml"));
    std::fs::write(&hosts, format!("{address} printer.lan\n")).expect("a file");
    let text = format!("identity: {{hosts_file: {}, kubernetes: 'http://127.0.0.1:{api}'}}\n", hosts.display());
    std::fs::write(&file, text).expect("a file");
    let ask = format!("for n in $(seq 30); do curl -s -o /dev/null http://{address}:{port}/; sleep 0.2; done");
    let steth = Steth::watch(&["--config", file.to_str().expect("a path of this test"), "--", "sh", "-c", &ask]);
    let server =
        |exchange: &Value| [&exchange["server"]["namespace"], &exchange["server"]["service"]].map(Value::clone);
    let front: [Value; 2] = ["shop".into(), "front".into()];
    let is_front = |exchange: &Value| exchange["server"]["port"] == port && server(exchange) == front;
    wait_until("the service has its name", Duration::from_secs(20), || steth.exchanges().iter().any(is_front));
    let seen = steth.finish();
    let known =
        seen.exchanges.iter().filter(|exchange| exchange["server"]["port"] == port).skip_while(|e| !is_front(e));
    assert!(known.clone().all(is_front), "once known, it stays: {:?}", known.map(server).collect::<Vec<_>>());
}

/// A client goes to an address that nobody has asked for, and a resolver's answer comes behind it, in the same window.
#[test]
fn an_address_that_is_resolved_later_is_called_so_from_the_beginning_of_the_window() {
    root_or_skip!();
    let _alone = alone();
    let (unbound, agent) = (Unbound::start(), Agent::start());
    let joined = || agent.metric("steth_addresses_named_late_total", &["outcome=\"joined\""]);
    let before = joined();
    // Windows begin every ten seconds, and what moves in the first one still goes to the one before. This is to be in one.
    let window = || SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64() / 10.0;
    wait_until("a window has begun", Duration::from_secs(20), || (0.2..0.35).contains(&window().fract()));
    let begun = window().floor();
    // What is sent there goes nowhere. Its process stays, so that it can be asked who it is.
    let connect = "import socket, time\ntry: socket.create_connection(('192.0.2.10', 80), 0.2)\nexcept OSError: print('gone', flush=True)\ntime.sleep(99)";
    let link = "ip link add gone type veth peer name void && ip addr add 192.0.2.1/24 dev gone && ip link set gone up && ip link set void up";
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut early = command("unshare");
    early.args(["--net", "sh", "-ec", &format!("{link} && exec \"$@\""), "sh"]).arg(python()).args(["-c", connect]);
    let early = Process::spawn("early", early.env("OTEL_SERVICE_NAME", "test-early"), dir.path());
    early.wait_for("nobody has answered", Duration::from_secs(5), || early.output().contains("gone"));
    // Its books are on their way, and wait for whoever is asked where it leads.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(dig(unbound.port, &["www.shop.test", "A"]).as_deref(), Some("NOERROR"));
    assert!(window().floor() <= begun, "too slow for one window");
    let nodes = |agent: &Agent| {
        let map = agent.json("/api/v1/map?last=10m");
        let edges = map["data"]["edges"].as_array().cloned().unwrap_or_default();
        let named = |id: &Value| {
            let node = map["data"]["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["id"] == *id));
            node.map_or(Value::Null, |node| node["name"].clone())
        };
        let of = |edge: &&Value| named(&edge["client"]) == "test-early";
        edges.iter().filter(of).map(|edge| named(&edge["server"])).collect::<Vec<_>>()
    };
    wait_until("the window is over", Duration::from_secs(30), || !nodes(&agent).is_empty());
    assert_eq!(nodes(&agent), ["www.shop.test:80"]);
    assert!(joined() > before, "it was not late");
    agent.finish();
}
