//! The map of a small shop: who talks to whom, in which direction and how often, to the last exchange.

use crate::lab::process::{command, run, wait_until};
use crate::lab::runtimes::{programs, python};
use crate::lab::{Agent, Dnsmasq, MariaDb, Process, RedisServer, alone, curl, free_port, steth, together};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);
const VISITS: u64 = 20;

/// An edge as (client, server, protocol, port).
type Ends = (String, String, String, u16);

/// An address for documentation (RFC 5737): nobody has it. Connects to it vanish in the loopback device.
const BANK: &str = "203.0.113.77";

/// The way to nobody, while the test runs.
struct Way;

impl Way {
    fn to_nowhere() -> Self {
        let way = Self;
        run("ip", Command::new("ip").args(["route", "replace", &format!("{BANK}/32"), "dev", "lo"]), SOON);
        way
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["route", "del", &format!("{BANK}/32"), "dev", "lo"]).status();
    }
}

/// The edges to these ports, each with (exchanges at the client, exchanges at the server); of those without a protocol, (failed
/// connects that were abandoned, that failed otherwise). Left out are those of whoever waits for the services to start.
fn edges(map: &Value, ports: &[u16]) -> BTreeMap<Ends, (u64, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
    let nodes = map["nodes"].as_array().expect("nodes");
    let names: BTreeMap<String, String> = nodes.iter().map(|node| (text(&node["id"]), text(&node["name"]))).collect();
    let edges = map["edges"].as_array().expect("edges").iter().filter_map(|edge| {
        let port =
            edge["port"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| ports.contains(port))?;
        let name = |end: &str| names[&text(&edge[end])].clone();
        let count = |side: &str| edge["signals"][side]["count"].as_u64().unwrap_or(0);
        let failed = |cause: &str| edge["books"]["client"][cause].as_u64().unwrap_or(0);
        let counts = match edge["protocol"].as_str() {
            // Whoever hung up while connecting had waited for long enough; no other cause is there.
            None => {
                (failed("abandoned"), ["refused", "connect_timed_out", "unreachable"].into_iter().map(failed).sum())
            }
            Some(_) => (count("client"), count("server")),
        };
        let protocol = edge["protocol"].as_str().or(edge["transport"].as_str()).unwrap_or_default().to_owned();
        let ends = (name("client"), name("server"), protocol, port);
        (!is_this_test(&ends.0)).then_some((ends, counts))
    });
    edges.collect()
}

/// Whether this process is called so: it has connected to see whether somebody listens.
fn is_this_test(name: &str) -> bool {
    let own = std::env::current_exe().expect("it has a path");
    own.file_name().is_some_and(|own| own.to_string_lossy() == name)
}

#[test]
fn nodes_edges_directions_and_counts_are_those_of_the_shop() {
    root_or_skip!();
    let _alone = alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mariadb, redis, dns) = (MariaDb::start(), RedisServer::start(), Dnsmasq::start());
    // Before the services, which connect to their databases when they start.
    let agent = Agent::start();
    let [front, cart, orders] = [free_port(), free_port(), free_port()];
    // Nobody calls here.
    let idle = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut running = Vec::new();
    let mut start = |name: &str, command: &mut Command, port: u16| {
        let process = Process::spawn(name, command, dir.path());
        process.wait_for_port(port);
        running.push(process);
    };
    let script = |path: &str, ports: &[u16]| {
        let mut command = if path.ends_with(".py") { command(python()) } else { command("node") };
        command.arg(programs().join(path)).args(ports.iter().map(u16::to_string));
        command
    };
    start("cart", &mut script("python/cart.py", &[cart, redis.port]), cart);
    start("orders", &mut script("python/orders.py", &[orders, mariadb.port]), orders);
    let _way = Way::to_nowhere();
    start("front", script("node/front.js", &[front, cart, orders, dns.port]).arg(BANK), front);
    for _ in 0..VISITS {
        assert_eq!(curl(&[&format!("http://127.0.0.1:{front}/")]).status, 200);
    }

    let ports = [front, cart, orders, redis.port, mariadb.port, dns.port, 443];
    let bank = format!("{BANK}:443");
    let edge = |client: &str, server: &str, protocol: &str, port: u16, count: u64| {
        ((client.to_owned(), server.to_owned(), protocol.to_owned(), port), (count, count))
    };
    // To log in is an exchange of MySQL's protocol.
    let expected = BTreeMap::from([
        edge("curl", "front.js", "http", front, VISITS),
        edge("front.js", "dnsmasq", "dns", dns.port, VISITS),
        edge("front.js", "cart.py", "http", cart, VISITS),
        edge("front.js", "orders.py", "http", orders, VISITS),
        edge("cart.py", "redis-server", "redis", redis.port, VISITS),
        edge("orders.py", "mariadbd", "mysql", mariadb.port, VISITS + 1),
        (("front.js".to_owned(), bank.clone(), "tcp".to_owned(), 443), (VISITS, 0)),
        // What a socket received that is not connected: its books do not tell from whom.
        (("unknown".to_owned(), "dnsmasq".to_owned(), "udp".to_owned(), dns.port), (0, 0)),
    ]);
    let mut map = Value::Null;
    let mut found = BTreeMap::new();
    let begun = std::time::Instant::now();
    while found != expected && begun.elapsed() < Duration::from_secs(25) {
        std::thread::sleep(Duration::from_millis(200));
        map = agent.json("/api/v1/map?last=10m")["data"].take();
        found = edges(&map, &ports);
    }
    assert_eq!(found, expected);
    let kinds: BTreeSet<(String, String)> = (map["nodes"].as_array().expect("nodes").iter())
        .filter(|node| node["ports"].as_array().is_some_and(|of| of.iter().any(|p| ports.iter().any(|own| *p == *own))))
        .map(|node| {
            (node["name"].as_str().unwrap_or_default().to_owned(), node["kind"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let services = ["front.js", "cart.py", "orders.py"].map(|name| (name, "service"));
    let others = [("redis-server", "database"), ("mariadbd", "database"), ("dnsmasq", "dns")];
    let nodes = services.into_iter().chain(others);
    assert_eq!(kinds, nodes.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect());
    let mut preferred = map["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .filter(|edge| !edge["protocol"].is_null() && ports.iter().any(|port| edge["port"] == *port));
    assert!(preferred.all(|edge| edge["signals"]["preferred"] == "server"), "every server is watched: {map:#}");
    let kind = |name: &str| {
        let mut nodes = map["nodes"].as_array().expect("nodes").iter().filter(|node| node["name"] == name);
        nodes.next().map(|node| node["kind"].clone())
    };
    assert_eq!(kind(&bank), Some("external".into()));
    let mut nodes = map["nodes"].as_array().expect("nodes").iter();
    let own = nodes.find(|node| is_this_test(node["name"].as_str().unwrap_or_default())).expect("it listens");
    assert!(
        own["listening"]
            .as_array()
            .is_some_and(|ports| ports.contains(&idle.local_addr().expect("an address").port().into()))
            && own["ports"] == json!([]),
        "{own}"
    );
    // Nobody of the shop talks to anybody else, nor anybody else to it, and all rates are of one and the same time.
    let shop = ["front.js", "cart.py", "orders.py", "redis-server", "mariadbd", "dnsmasq"];
    let mut seconds = Vec::new();
    for edge in map["edges"].as_array().expect("edges") {
        let of = |end: &str| edge[end].as_str().unwrap_or_default();
        let (client, server) = (of("client_name"), of("server_name"));
        if is_this_test(client) || ![client, server].iter().any(|name| shop.contains(name)) {
            continue;
        }
        let port = edge["port"].as_u64().unwrap_or(0);
        assert!(ports.iter().any(|own| u64::from(*own) == port), "not of the shop: {edge:#}");
        for side in ["client", "server"] {
            let signals = &edge["signals"][side];
            if let (Some(count), Some(rate)) = (signals["count"].as_f64(), signals["rate"].as_f64()) {
                seconds.push(count / rate);
            }
        }
        if server == bank {
            assert_eq!((&edge["books"]["preferred"], &edge["books"]["server"]), (&"client".into(), &Value::Null));
        }
    }
    assert_eq!(seconds.len(), 12, "two sides of six edges");
    let first = seconds[0];
    assert!((10.0..=600.0).contains(&first) && seconds.iter().all(|s| (s - first).abs() < 1e-6 * first), "{seconds:?}");
    // What an exchange's edge says of its connections. Those that go on are asked in each window.
    let of = |map: &Value, client: &str, server: &str| {
        let node = |name: &str| {
            let mut nodes = map["nodes"].as_array().expect("nodes").iter().filter(|node| node["name"] == name);
            nodes.next().expect("a node")["id"].clone()
        };
        let (client, server) = (node(client), node(server));
        let mut edges = map["edges"].as_array().expect("edges").iter();
        let edge = edges.find(|edge| edge["client"] == client && edge["server"] == server).expect("an edge");
        edge["books"].clone()
    };
    let mut redis_books = Value::Null;
    wait_until("the kernel's books of a connection that goes on", Duration::from_secs(20), || {
        redis_books = of(&agent.json("/api/v1/map?last=10m")["data"], "cart.py", "redis-server");
        !redis_books["server"].is_null()
    });
    let curl = of(&map, "curl", "front.js");
    assert_eq!((&curl["client"]["opened"], &curl["server"]["opened"]), (&VISITS.into(), &VISITS.into()), "{curl:#}");
    assert_eq!(curl["client"]["bytes_to_server"], curl["server"]["bytes_to_server"], "{curl:#}");
    assert!(curl["client"]["bytes_to_client"].as_u64() > Some(0) && !curl["client"]["rtt"].is_null(), "{curl:#}");
    assert!(redis_books["server"]["bytes_to_client"].as_u64() > Some(0), "{redis_books:#}");

    // The commands show the same.
    let dot = agent.asked_by(&["map", "--seconds", "600"], &[]);
    let id = |name: &str| {
        let nodes = map["nodes"].as_array().expect("nodes").iter();
        let mut ids = nodes.filter(|node| node["name"] == name).filter_map(|node| node["id"].as_str());
        ids.next().unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let drawn = format!("\"{}\" -> \"{}\" [label=\"redis :{}", id("cart.py"), id("redis-server"), redis.port);
    assert!(dot.starts_with("digraph steth {") && dot.contains(&drawn), "{drawn}\n{dot}");
    let json: Value =
        serde_json::from_str(&agent.asked_by(&["map", "--format", "json", "--seconds", "600"], &[])).expect("JSON");
    assert_eq!(edges(&json["data"], &ports), expected);
    let top = agent.asked_by(&["top", "--once", "--by", "edge", "--json", "--seconds", "600"], &[]);
    let top: Value = serde_json::from_str(&top).expect("JSON");
    let row = |row: &&Value| row["client"] == "orders.py" && row["server"] == "mariadbd";
    assert_eq!(top["rows"].as_array().expect("rows").iter().find(row).expect("its row")["count"], VISITS + 1);
    let narrow = agent.asked_by(&["top", "--once", "--by", "operation", "--seconds", "600"], &[("COLUMNS", "80")]);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80) && narrow.contains("GET /cart/{id}"), "{narrow}");

    // Again and again into a pipe, until it is told to stop; and whoever has read enough may go.
    let mut again = command(env!("CARGO_BIN_EXE_steth"));
    again.args([
        "top",
        "--interval",
        "100ms",
        "--seconds",
        "600",
        "--connect",
        &format!("http://127.0.0.1:{}", agent.port),
    ]);
    let mut again = Process::spawn("top", &mut again, dir.path());
    again.wait_for("there were three tables", Duration::from_secs(10), || {
        again.output().matches("SERVICE ").count() >= 3
    });
    assert!(!again.output().contains('\u{1b}'), "{}", again.output());
    again.signal(Signal::SIGTERM);
    assert!(again.wait_for_end(Duration::from_secs(5)).success(), "{}", again.errors());
    let left = format!(
        "{} top --interval 100ms --connect http://127.0.0.1:{} | head -n 1",
        env!("CARGO_BIN_EXE_steth"),
        agent.port
    );
    let (output, errors) = run("sh", Command::new("sh").args(["-c", &left]), Duration::from_secs(10));
    assert!(output.contains("services, last") && errors.is_empty(), "{output}{errors}");
    agent.finish();
}

#[test]
fn whoever_asks_for_the_page_asks_steth() {
    root_or_skip!();
    let _together = together();
    let agent = Agent::start();
    let asked = ("curl".to_owned(), "steth".to_owned(), "http".to_owned(), agent.port);
    let mut map = Value::Null;
    wait_until("the edge is there", Duration::from_secs(25), || {
        map = agent.json("/api/v1/map?last=10m")["data"].take();
        edges(&map, &[agent.port]).get(&asked).is_some_and(|(client, server)| *client > 0 && *server == 0)
    });
    let steth = map["nodes"].as_array().expect("nodes").iter().find(|node| node["name"] == "steth").expect("its node");
    assert_eq!((&steth["kind"], &steth["namespace"]), (&json!("service"), &json!("")), "{steth:#}");
    agent.finish();
}

#[test]
fn without_an_agent_the_commands_say_what_to_do() {
    let port = free_port().to_string();
    for arguments in [["map", "--connect"], ["top", "--connect"]] {
        let output = steth(&[arguments[0], arguments[1], &format!("http://127.0.0.1:{port}")]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains("no agent answers at") && errors.contains("sudo steth run"), "{errors}");
    }
}
