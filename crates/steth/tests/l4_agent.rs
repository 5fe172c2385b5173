//! The kernel's books as the agent shows them: by edge, to the byte and by cause, and behind rewritten addresses.

use crate::lab::process::{Process, command, run, wait_until};
use crate::lab::{Agent, MariaDb, Steth, alone, free_port, together};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use steth_event::{Event, Open, ROLE_CLIENT};
use steth_probe::{Probe, Selection, Settings};

const SOON: Duration = Duration::from_secs(30);

/// A script in a network namespace of its own, which waits for a file before it does what the test is about.
struct Script {
    process: Process,
    dir: tempfile::TempDir,
}

impl Script {
    fn start(script: &str, service: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
        let mut unshare = command("unshare");
        unshare.arg("--net").arg("python3").arg(path).arg(dir.path().join("go"));
        unshare.env("OTEL_SERVICE_NAME", service);
        let process = Process::spawn(script, &mut unshare, dir.path());
        process.wait_for("it is ready", SOON, || process.output().contains("ready"));
        Self { process, dir }
    }

    fn go(&self) {
        std::fs::write(self.dir.path().join("go"), "").expect("a file");
        self.process.wait_for("it has done all", Duration::from_secs(60), || self.process.output().contains("done"));
    }

    /// What it has said in JSON.
    fn said(&self) -> Vec<Value> {
        let output = self.process.output();
        let lines = output.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// Numbers of the books of all edges between these two, added up, of one side.
fn books(agent: &Agent, ends: [&str; 2], side: &str) -> BTreeMap<String, u64> {
    let map = agent.json("/api/v1/map?last=10m");
    let mut all = BTreeMap::new();
    for edge in map["data"]["edges"].as_array().expect("edges") {
        let is = edge["client_name"] == ends[0] && (ends[1].is_empty() || edge["server_name"] == ends[1]);
        let Some(books) = edge["books"][side].as_object().filter(|_| is && edge["transport"] == "tcp") else {
            continue;
        };
        for (name, number) in books {
            *all.entry(name.clone()).or_default() += number.as_u64().unwrap_or(0);
        }
    }
    all
}

/// The connections of l4.rs, by what the map and `/metrics` say of them.
#[test]
fn what_the_map_and_the_metrics_say_is_what_the_applications_moved_and_how_their_connections_ended() {
    root_or_skip!();
    let _together = together();
    let agent = Agent::start();
    let script = Script::start("l4.py", "test-books");
    script.go();
    let said = script.said();
    let sum = |side: &str, at: usize| said.iter().filter_map(|line| line[side][at].as_u64()).sum::<u64>();
    let named = |name: &str| {
        said.iter().filter(|line| line["name"].as_str().is_some_and(|n| n.starts_with(name))).count() as u64
    };
    let opened = said.iter().filter(|line| !line["server"].is_null()).count() as u64;
    // What it has moved on the first ones before it was told to go.
    let (there, back) = (1000 * named("old"), 2000 * named("old"));
    let expected = [
        ("client", [("bytes_to_server", sum("client", 0) + there), ("bytes_to_client", sum("client", 1) + back)]),
        ("server", [("bytes_to_server", sum("server", 1) + there), ("bytes_to_client", sum("server", 0) + back)]),
    ];
    let ends = ["test-books", "test-books"];
    for (side, bytes) in expected {
        let all = [
            ("opened", opened),
            ("closed", opened),
            ("resets_by_client", named("reset")),
            ("resets_by_server", named("unread")),
            ("timed_out", 0),
            bytes[0],
            bytes[1],
        ];
        let mut found = BTreeMap::new();
        let there = |found: &BTreeMap<String, u64>| all.iter().all(|(name, n)| found.get(*name) == Some(n));
        let begun = std::time::Instant::now();
        while !there(&found) && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(300));
            found = books(&agent, ends, side);
        }
        let told: Vec<_> = all.iter().map(|(name, _)| (*name, found.get(*name).copied().unwrap_or(0))).collect();
        assert_eq!(told, all, "{side}");
        let metric = |name: &str, more: &[&str]| {
            let side = format!("side=\"{side}\"");
            agent.metric(name, &[&[&*side, "client=\"test-books\"", "server=\"test-books\""], more].concat()) as u64
        };
        assert_eq!(metric("steth_tcp_bytes_total", &["direction=\"request\""]), bytes[0].1);
        assert_eq!(metric("steth_tcp_bytes_total", &["direction=\"response\""]), bytes[1].1);
        assert_eq!(metric("steth_tcp_connections_opened_total", &[]), opened);
        assert_eq!(metric("steth_tcp_connections_closed_total", &[]), opened);
        assert_eq!(metric("steth_tcp_connections_open", &[]), 0);
        assert_eq!(metric("steth_tcp_resets_total", &["by=\"client\""]), named("reset"));
        assert_eq!(metric("steth_tcp_resets_total", &["by=\"server\""]), named("unread"));
    }
    // Nobody is there to be called by a name.
    assert_eq!(books(&agent, ["test-books", ""], "client")["refused"], named("refused"));
    let refused = agent.metric("steth_tcp_connects_failed_total", &["client=\"test-books\"", "reason=\"refused\""]);
    assert_eq!(refused as u64, named("refused"));
    agent.finish();
}

/// As health checks do: connect to a database, wait for 9 ms, hang up. Whether the greeting was read or not, nothing has failed.
#[test]
fn who_connects_to_a_database_and_hangs_up_has_not_failed() {
    root_or_skip!();
    let _together = together();
    let mariadb = MariaDb::start();
    let agent = Agent::start();
    for n in 0..10 {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, mariadb.port)).expect("it accepts");
        std::thread::sleep(Duration::from_millis(9));
        if n % 2 == 0 {
            assert!(client.read(&mut [0; 1024]).expect("a greeting") > 0);
        }
        drop(client);
        std::thread::sleep(Duration::from_millis(20));
    }
    let edge = |agent: &Agent| {
        let map = agent.json("/api/v1/map?last=10m");
        let mut edges = map["data"]["edges"].as_array().expect("edges").iter();
        let mine = |edge: &&Value| edge["port"] == mariadb.port && edge["books"]["client"]["closed"] == 10;
        edges.find(mine).cloned().map(|edge| (map.clone(), edge))
    };
    wait_until("the books of all are there", SOON, || edge(&agent).is_some());
    let (map, edge) = edge(&agent).expect("it was there");
    for side in ["client", "server"] {
        let books = &edge["books"][side];
        let failed = ["refused", "connect_timed_out", "unreachable", "abandoned", "failed_otherwise", "timed_out"];
        assert!(failed.iter().all(|name| books[name] == 0), "{edge:#}");
        assert_eq!((&books["opened"], &books["closed"]), (&10.into(), &10.into()), "{side}: {edge:#}");
        let errors = edge["signals"][side]["errors"].as_u64().unwrap_or(0);
        assert_eq!(errors, 0, "{side}: {edge:#}");
    }
    let mut nodes = map["data"]["nodes"].as_array().expect("nodes").iter();
    let database = nodes.find(|node| node["id"] == edge["server"]).expect("its node");
    assert_eq!(database["health"]["findings"], Value::Array(Vec::new()), "{database:#}");
    agent.finish();
}

/// A queue for two, eight clients. Those that do not fit try again after a second and more, of which no server knows: connect,
/// queue and service together are what each of them waits, and the kernel's count of those that did not fit is shown.
#[test]
fn a_backlog_that_overflows_shows_in_the_connects_and_in_what_was_dropped() {
    root_or_skip!();
    let _alone = alone();
    let script = Script::start("l4_overflow.py", "test-crowd");
    let agent = Agent::start();
    let settings = Settings { selection: Selection { protocols: 0, ..Selection::default() }, ..Settings::default() };
    let mut probe = Probe::attach(&settings).expect("root may attach");
    let steth = Steth::watch(&["--port", "8081"]);
    script.go();
    steth.wait_for_exchanges(16, SOON);
    let seen = steth.finish();
    let mut opens: BTreeMap<u16, Open> = BTreeMap::new();
    while probe.drain(|record| {
        if let Event::Open(open) = Event::parse(record).expect("a good record")
            && open.role == ROLE_CLIENT
            && open.remote_port == 8081
        {
            opens.insert(open.local_port, open);
        }
    }) > 0
    {}
    let (mut late, mut drops) = (0, 0);
    for line in script.said() {
        let Some(port) = line["port"].as_u64() else {
            drops = line["drops"].as_u64().expect("a count");
            continue;
        };
        let waited = line["waited"].as_u64().expect("a time") as i64;
        let open = &opens[&(port as u16)];
        let connect = open.established.saturating_sub(open.connect_started) as i64;
        let mut servers = seen.side("server").filter(|exchange| exchange["client"]["port"] == port);
        let server = servers.next().unwrap_or_else(|| panic!("no exchange: {line}"));
        let ns = |field: &str| server[field].as_i64().unwrap_or_else(|| panic!("no {field}: {server}"));
        let mut clients = seen.side("client").filter(|client| client["request_seq"] == server["request_seq"]);
        let client = clients.next().and_then(|client| client["duration_ns"].as_i64()).expect("its end");
        // What the program says has its waits for a CPU in it.
        let rest = waited - connect - client;
        assert!(rest.abs() <= (waited / 20).max(250_000_000), "{line}: {connect} to connect, then {client}");
        let near = |rest: i64| rest.abs() <= (client / 20).max(20_000_000);
        // The queue may be full again by the time the client confirms the handshake: the kernel drops that and the request, and the
        // client sends it once more after 200 ms.
        let rest = client - ns("queue_ns") - ns("service_ns");
        assert!(near(rest) || rest >= 190_000_000, "{rest} ns in none of them: {line} {server}");
        late += u32::from(connect >= 1_000_000_000);
    }
    assert!(late >= 3 && drops >= 3, "{late} had to try again, {drops} dropped");
    let node = |agent: &Agent| {
        let map = agent.json("/api/v1/map?last=10m");
        let mut nodes = map["data"]["nodes"].as_array().expect("nodes").iter();
        nodes.find(|node| node["name"] == "test-full" && node["queues"][0]["dropped"].as_u64() >= Some(drops)).cloned()
    };
    // A window may have ended between two of them: all are shown when the next one has, too.
    wait_until("what was dropped is shown", SOON, || node(&agent).is_some());
    let node = node(&agent).expect("it was there");
    let queue = &node["queues"][0];
    assert_eq!((&queue["port"], &queue["room"]), (&8081.into(), &2.into()), "{node:#}");
    // The kernel counts at the socket also what else was dropped with them: the confirmation of a handshake, the request behind it.
    let dropped = queue["dropped"].as_u64().expect("a count");
    assert!((drops..=3 * drops).contains(&dropped), "{dropped}, and nstat says {drops}");
    let findings = node["health"]["findings"].as_array().expect("findings").iter();
    let said = format!("The accept queue at port 8081 was full: connections were dropped {dropped} times.");
    assert!(findings.clone().any(|finding| finding["sentence"] == said), "{node:#}");
    let labels = ["service_name=\"test-full\"", "server_port=\"8081\""];
    assert_eq!(agent.metric("steth_listen_drops_total", &labels) as u64, dropped);
    assert_eq!(agent.metric("steth_listen_queue", &[&labels[..], &["what=\"room\""]].concat()), 2.0);
    agent.finish();
}

/// The client knows a service's address and port, the server another address of the client's.
#[test]
fn ends_whose_addresses_are_rewritten_on_the_way_are_one_edge_to_the_real_server() {
    root_or_skip!();
    let _together = together();
    let script = Script::start("l4_rewritten.py", "test-nat-client");
    let agent = Agent::start();
    script.go();
    let edges = |agent: &Agent| {
        let map = agent.json("/api/v1/map?last=10m");
        let edges = map["data"]["edges"].as_array().expect("edges").iter();
        let mine = |edge: &&Value| {
            [&edge["client_name"], &edge["server_name"]]
                .iter()
                .any(|name| **name == "test-nat-client" || **name == "test-real")
        };
        edges.filter(mine).cloned().collect::<Vec<_>>()
    };
    wait_until("both have closed", SOON, || {
        let closed = |edge: &Value| edge["books"]["client"]["closed"].as_u64().unwrap_or(0);
        edges(&agent).iter().map(closed).sum::<u64>() == 2
    });
    let all = edges(&agent);
    let [edge] = &all[..] else { panic!("one edge: {all:#?}") };
    assert_eq!((&edge["client_name"], &edge["server_name"]), (&"test-nat-client".into(), &"test-real".into()));
    assert_eq!((&edge["port"], &edge["protocol"]), (&8080.into(), &"http".into()), "{edge:#}");
    let (client, server) = (&edge["books"]["client"], &edge["books"]["server"]);
    for number in ["opened", "closed", "bytes_to_server", "bytes_to_client"] {
        assert_eq!(client[number], server[number], "{number}: {edge:#}");
    }
    let counts = ["client", "server"].map(|side| edge["signals"][side]["count"].as_u64());
    assert_eq!(counts, [Some(1), Some(1)], "{edge:#}");
    agent.finish();
}

/// A program in the network namespace of a script.
fn beside(script: &Script, program: &str) -> Command {
    let mut nsenter = command("nsenter");
    nsenter.args(["--target", &script.process.pid().to_string(), "--net", "--", program]);
    nsenter
}

/// What a service of a cluster or a published port is to its clients, on the host and in a pod: an address that leads to a server elsewhere, of
/// which nothing is seen here. Connection tracking knows which one: of connections that were there before, of those that say nothing or
/// are reset, over IPv4, IPv6 and both, and of UDP. The second server has the address from the middle on.
#[test]
fn who_goes_to_an_address_that_is_sent_on_to_another_host_talks_with_the_real_server() {
    root_or_skip!();
    let _alone = alone();
    let script = Script::start("nat.py", "test-host");
    let (dir, port) = (tempfile::tempdir().expect("a directory"), free_port());
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let hosts = file("hosts", "10.0.2.2 first-server\n10.0.2.3 second-server\nfd02::2 server-of-ipv6\n");
    let settings = |name: &str, more: &str| {
        // The servers' ends are at other ports.
        let selection = "selection: {port: {include: [53, 80]}}";
        file(
            name,
            &format!("{selection}\nidentity: {{hosts_file: {hosts}, kubernetes: 'off', containers: false{more}}}\n"),
        )
    };
    let (asking, not_asking) = (settings("asking.yaml", ""), settings("not.yaml", ", conntrack: false"));
    let steth = env!("CARGO_BIN_EXE_steth");
    let listen = format!("127.0.0.1:{port}");
    let mut agent = beside(&script, steth);
    let agent = Process::spawn("run", agent.args(["run", "--listen", &listen, "--config", &asking]), dir.path());
    agent.wait_for("it is watching", SOON, || agent.errors().contains("watching"));
    let watch = |settings: &str| Steth::start(beside(&script, steth).args(["watch", "--json", "--config", settings]));
    let (told, untold) = (watch(&asking), watch(&not_asking));
    script.go();
    let ask =
        |path: &str| run("curl", beside(&script, "curl").args(["-sf", &format!("http://{listen}{path}")]), SOON).0;
    let edges = || {
        let map: Value = serde_json::from_str(&ask("/api/v1/map?last=10m")).expect("JSON");
        let mut edges = BTreeMap::new();
        for edge in map["data"]["edges"].as_array().expect("edges") {
            let text = |name: &str| edge[name].as_str().expect("text").to_owned();
            let number = |name: &str| edge["books"]["client"][name].as_u64().unwrap_or(0);
            if text("client_name").starts_with("test-") {
                let ends = (text("client_name"), text("server_name"), text("transport"), edge["port"].as_u64());
                let books = ["opened", "closed", "bytes_to_server", "bytes_to_client"].map(number);
                let exchanges = edge["signals"]["client"]["count"].as_u64().unwrap_or(0);
                assert_eq!(edges.insert(ends, (books, exchanges)), None, "once: {edge:#}");
            }
        }
        edges
    };
    let request = |path: &str| format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").len() as u64;
    let mut expected = BTreeMap::new();
    for client in ["test-host", "test-pod"] {
        let mut add = |server: &str, transport: &str, port: u64, books: [u64; 4], exchanges: u64| {
            expected
                .insert((client.to_owned(), server.to_owned(), transport.to_owned(), Some(port)), (books, exchanges));
        };
        // The one that was there before has not been opened under its eyes.
        let (there, back) = (2000 + request("first") + request("mapped"), 600 + 2 * 41);
        add("first-server:8080", "tcp", 8080, [4, 5, there, back], 2);
        add("server-of-ipv6:8080", "tcp", 8080, [1, 1, request("ipv6"), 41], 1);
        add("second-server:8080", "tcp", 8080, [2, 2, 1000 + request("second"), 300 + 41], 1);
        add("first-server:5353", "udp", 5353, [0, 0, 22, 22], 1);
    }
    let begun = std::time::Instant::now();
    while edges() != expected && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(edges(), expected, "{}", agent.errors());
    let exposition = ask("/metrics");
    let outcome = |name: &str| {
        let start = format!("steth_conntrack_total{{outcome=\"{name}\"}} ");
        let line = exposition.lines().find_map(|line| line.strip_prefix(&start)).expect("a counter");
        line.parse::<u64>().expect("a number")
    };
    // Some are announced twice, for their books and when their bytes begin to be read.
    assert!(outcome("rewritten") >= 18 && outcome("refused") == 0 && outcome("failed") == 0, "{exposition}");
    for (watch, rewritten) in [(told, true), (untold, false)] {
        watch.wait_for_exchanges(10, SOON);
        let seen = watch.finish();
        let mut exchanges = 0;
        for exchange in seen.side("client") {
            let server = &exchange["server"];
            let path = exchange["operation"].as_str().expect("an operation");
            let (real, virtually, port) = match path {
                "GET /ipv6" => ("fd02::2", "fd99::99", 8080),
                "GET /second" => ("10.0.2.3", "10.99.99.99", 8080),
                _ if exchange["protocol"] == "dns" => ("10.0.2.2", "10.99.99.99", 5353),
                _ => ("10.0.2.2", "10.99.99.99", 8080),
            };
            let asked_port = if port == 5353 { 53 } else { 80 };
            let asked = std::net::SocketAddr::new(virtually.parse().expect("an address"), asked_port).to_string();
            let (ip, port, asked) =
                if rewritten { (real, port, Value::from(asked)) } else { (virtually, asked_port, Value::Null) };
            assert_eq!(
                (&server["ip"], &server["port"], &server["asked"]),
                (&ip.into(), &port.into(), &asked),
                "{exchange}"
            );
            exchanges += 1;
        }
        assert_eq!(exchanges, 10, "HTTP and DNS of two clients");
        assert_eq!(seen.ledger["limits"]["translations_late"], 0, "{}", seen.ledger);
    }
}
