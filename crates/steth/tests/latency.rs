//! Where the time went: what a server's own instrumentation cannot see.

use crate::lab;
use crate::lab::process::command;
use crate::lab::runtimes::{programs, python};
use crate::lab::{Agent, Node, Process, RedisServer, Seen, Steth, alone, curl, free_port, wait_until};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Four requests at once to a server that works on one at a time, 50 ms each. It says 50 ms of each; the clients wait up to 200.
#[test]
fn the_time_in_which_a_request_waits_for_a_busy_server_is_its_queue() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut server = command(python());
    server.arg(programs().join("python/one_at_a_time.py")).arg(port.to_string());
    let server = Process::spawn("one at a time", &mut server, dir.path());
    server.wait_for_port(port);
    let steth = Steth::watch(&["--port", &port.to_string()]);
    std::thread::scope(|scope| {
        for n in 0..4 {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(5 * n));
                assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/{n}")]).status, 200);
            });
        }
    });
    steth.wait_for_exchanges(8, Duration::from_secs(5));
    let seen = steth.finish();
    // Both ends tell the request's sequence number. What passes between the sending and the reading, the request waits; both
    // are on one machine, so it does not matter how busy that is.
    let mut longest = 0;
    for server in seen.side("server") {
        let client =
            seen.side("client").find(|client| client["request_seq"] == server["request_seq"]).expect("its end");
        let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
        let (queue, service) = (ns(server, "queue_ns"), ns(server, "service_ns"));
        let begun = |e: &Value| instant(e["time"].as_str().expect("a time"));
        let waited = begun(server) - begun(client);
        assert!((queue - waited).abs() < 2 * MILLISECOND, "{server} {client}");
        assert!(service >= 50 * MILLISECOND && ns(server, "duration_ns") >= service, "{server}");
        let split = Split::of(&seen, server);
        assert!(split.adds_up(), "{split:?}: {server} {client}");
        // It is in accept() that this server lets others wait; what has come by then, it reads at once.
        let accepted = ns(server, "accept_wait_ns");
        assert!(accepted <= queue + MILLISECOND && queue - accepted < 5 * MILLISECOND, "{server}");
        assert!(
            client["accept_wait_ns"].is_null() && client["queue_ns"].is_null() && client["service_ns"].is_null(),
            "{client}"
        );
        longest = longest.max(queue);
    }
    assert_eq!((seen.side("client").count(), seen.side("server").count()), (4, 4));
    assert!(longest >= 45 * MILLISECOND, "nobody waited for the one before: {longest}");
}

const CLIENTS: u64 = 20;
const REQUESTS: u64 = 5;

/// A pool of two threads that take 50 ms for each request, and twenty clients: the server says 50 ms, a client waits for half a
/// second. Its own part and the queue are told apart, in all places where they are added up, and the requests that prove it are there.
#[test]
fn a_thread_pool_that_is_too_small_shows_as_queue_and_not_as_work() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut java = command("java");
    java.args(["-Dsun.net.httpserver.nodelay=true", "-Xshare:auto", "-XX:TieredStopAtLevel=1"]);
    java.arg(programs().join("java/Server.java")).args([&port.to_string(), "2"]);
    let server = Process::spawn("a pool of two", &mut java, dir.path());
    server.wait_for_port(port);
    // What the runtime does for the first time is not what is measured.
    (0..5).for_each(|_| assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200));
    let agent = Agent::start();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| (0..REQUESTS).for_each(|_| get(port, "/slow")));
        }
    });
    let of = |name: &str, labels: &[&str]| agent.metric(name, &[&["/slow\""], labels].concat());
    let name = |side: &str, what: &str| format!("http_{side}_request_duration_seconds_{what}");
    let port_label = format!("server_port=\"{port}\"");
    let all = (CLIENTS * REQUESTS) as f64;
    wait_until("both ends of all were counted", Duration::from_secs(20), || {
        of(&name("client", "count"), &[&port_label]) == all && of("steth_server_queue_seconds_count", &[]) == all
    });
    let client = of(&name("client", "sum"), &[&port_label]);
    let (queue, service) = (of("steth_server_queue_seconds_sum", &[]), of("steth_server_service_seconds_sum", &[]));
    let split = format!("client {client}, queue {queue}, service {service}");
    assert!((service / all - 0.05).abs() < 0.01, "{split}");
    assert!(queue > 6.0 * service, "{split}");
    assert!((client - queue - service).abs() < 0.05 * client, "{split}");

    let mut top = Value::Null;
    wait_until("the window has ended", Duration::from_secs(20), || {
        top = agent.json("/api/v1/top?by=operations&sort=p95&last=5m");
        let operations = top["data"]["operations"].as_array().into_iter().flatten();
        operations
            .filter(|of| of["operation"] == "GET /slow")
            .any(|of| of["signals"]["server"]["count"] == CLIENTS * REQUESTS)
    });
    let mut operations = top["data"]["operations"].as_array().expect("operations").iter();
    let slow = operations.find(|operation| operation["operation"] == "GET /slow").expect("the operation");
    let p50 = |part: &Value| part["p50_ns"].as_f64().unwrap_or_else(|| panic!("no p50: {slow:#}")) / 1e6;
    let server = &slow["signals"]["server"];
    assert!((45.0..60.0).contains(&p50(&server["service"])) && p50(&server["queue"]) > 200.0, "{slow:#}");
    assert!(slow["signals"]["client"]["queue"].is_null(), "{slow:#}");
    // The sentence that says where the time went.
    let services = agent.json("/api/v1/top?by=services&last=5m");
    let mut services = services["data"]["services"].as_array().expect("services").iter();
    let said = services.any(|service| {
        let findings = service["node"]["health"]["findings"].as_array().into_iter().flatten();
        findings
            .filter_map(|finding| finding["sentence"].as_str())
            .any(|s| s.ends_with("is spent before the server reads the request."))
    });
    assert!(said, "nobody says that requests wait");

    let slowest = agent.json("/api/v1/requests?operation=GET+%2Fslow&side=server&why=slowest");
    let request = &slowest["data"]["requests"][0];
    let exchange = &request["exchange"];
    let ns = |field: &str| exchange[field].as_i64().unwrap_or_else(|| panic!("no {field}: {request:#}"));
    assert!(ns("queue_ns") >= 0 && ns("service_ns") > 45 * MILLISECOND, "{request:#}");
    // Of the first exchange of a connection it is known; the request came at once behind the handshake.
    let waited = exchange["accept_wait_ns"].as_i64();
    assert!(waited.is_none_or(|waited| waited < ns("queue_ns") + 10 * MILLISECOND), "{request:#}");
    assert_eq!((exchange["server"]["port"].as_u64(), &exchange["status"]), (Some(port.into()), &200.into()));
    let at =
        |name: &str| instant(request["instants"][name].as_str().unwrap_or_else(|| panic!("no {name}: {request:#}")));
    assert_eq!(at("start") - at("arrival"), ns("queue_ns"));
    assert_eq!(at("first_byte") - at("start"), ns("service_ns"));
    assert_eq!(at("end") - at("start"), ns("duration_ns"));
    let clients = agent.json("/api/v1/requests?operation=GET+%2Fslow&side=client&why=slowest&min_ms=300");
    assert!(clients["data"]["matching"].as_u64() >= Some(1), "the client's slowest waited: {clients:#}");
    agent.finish();
}

/// What the client of each exchange waited for, and what the server's queue and service are of it; joined by the sequence number.
pub(crate) fn splits(seen: &Seen) -> Vec<Split> {
    let mut splits: Vec<Split> = seen.side("server").map(|server| Split::of(seen, server)).collect();
    splits.sort_by_key(|split| split.begun);
    splits
}

/// What a request's client waited for, and what its server's queue and service are of it.
#[derive(Debug)]
pub(crate) struct Split {
    /// When the client sent it.
    begun: i64,
    pub(crate) client: i64,
    pub(crate) queue: i64,
    pub(crate) service: i64,
}

impl Split {
    fn of(seen: &Seen, server: &Value) -> Self {
        let same = |client: &&Value| client["request_seq"] == server["request_seq"];
        let client = seen.side("client").find(same).unwrap_or_else(|| panic!("no other end: {server}"));
        let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
        Self {
            begun: instant(client["time"].as_str().expect("a time")),
            client: ns(client, "duration_ns"),
            queue: ns(server, "queue_ns"),
            service: ns(server, "service_ns"),
        }
    }

    /// What of the client's time is in neither.
    pub(crate) fn rest(&self) -> i64 {
        self.client - self.queue - self.service
    }

    /// Within 5 %, or what a way through the loopback takes on a busy machine.
    fn adds_up(&self) -> bool {
        self.rest().abs() <= (self.client / 20).max(2 * MILLISECOND)
    }
}

/// The same pool, and twenty clients that keep their connections, or do not: of each single request queue and service are what its client
/// has waited for. On a connection in use the kernel's clock of the socket is moved by acknowledgements that it puts off for 40 ms.
#[test]
fn queue_and_service_of_each_request_are_what_its_client_waits_for() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut java = command("java");
    java.args(["-Dsun.net.httpserver.nodelay=true", "-Xshare:auto", "-XX:TieredStopAtLevel=1"]);
    java.arg(programs().join("java/Server.java")).args([&port.to_string(), "2"]);
    let server = Process::spawn("a pool of two", &mut java, dir.path());
    server.wait_for_port(port);
    (0..5).for_each(|_| assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/")]).status, 200));
    for kept in [false, true] {
        let steth = Steth::watch(&["--port", &port.to_string()]);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    if kept {
                        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
                        (0..REQUESTS).for_each(|_| get_and_keep(&mut stream, "/slow"));
                    } else {
                        (0..REQUESTS).for_each(|_| get(port, "/slow"));
                    }
                });
            }
        });
        steth.wait_for_exchanges(2 * (CLIENTS * REQUESTS) as usize, Duration::from_secs(10));
        let splits = splits(&steth.finish());
        assert_eq!(splits.len() as u64, CLIENTS * REQUESTS, "kept: {kept}");
        let wrong: Vec<_> = splits.iter().filter(|split| !split.adds_up()).collect();
        assert!(wrong.len() * 20 <= splits.len(), "kept: {kept}, {} of {}: {wrong:#?}", wrong.len(), splits.len());
        let sum = |of: fn(&Split) -> i64| splits.iter().map(of).sum::<i64>();
        let (client, queue, service) = (sum(|s| s.client), sum(|s| s.queue), sum(|s| s.service));
        let all = format!("kept: {kept}, client {client}, queue {queue}, service {service}");
        assert!((client - queue - service).abs() * 20 <= client && queue > 5 * service, "{all}");
        let mean = service / splits.len() as i64;
        assert!((50 * MILLISECOND..55 * MILLISECOND).contains(&mean), "{all}");
    }
}

/// One request and its response, on a connection that goes on.
pub(crate) fn get_and_keep(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"slow\n") {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).expect("the server answers");
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&more[..length]);
    }
}

/// One connection, one request, one response.
fn get(port: u16, path: &str) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// node has one thread. What comes while a handler does not give it back is not slow itself: it waits in the socket.
#[test]
fn an_event_loop_that_is_blocked_lets_the_others_wait_in_their_sockets() {
    root_or_skip!();
    let _alone = alone();
    let node = Node::start();
    get(node.port, "/");
    let steth = Steth::watch(&["--port", &node.port.to_string()]);
    // Before and after: one connection that is accepted already, and some that are not.
    let mut kept = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).expect("node accepts");
    let of_kept = kept.local_addr().expect("connected").port();
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the kernel takes it");
        let mut answer = [0; 4096];
        assert!(stream.read(&mut answer).expect("node answers") > 0);
    };
    ask(&mut kept);
    std::thread::scope(|scope| {
        scope.spawn(|| get(node.port, "/block"));
        std::thread::sleep(Duration::from_millis(50));
        (0..3).for_each(|_| drop(scope.spawn(|| get(node.port, "/"))));
        ask(&mut kept);
    });
    steth.wait_for_exchanges(12, Duration::from_secs(5));
    let seen = steth.finish();
    let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
    let of = |name: &'static str| seen.side("server").filter(move |e| e["operation"] == name).collect::<Vec<_>>();
    let [block] = of("GET /block")[..] else { panic!("one was blocking: {:#?}", seen.exchanges) };
    assert!(ns(block, "service_ns") >= 199 * MILLISECOND && ns(block, "queue_ns") < 100 * MILLISECOND, "{block}");
    let others = of("GET /");
    assert_eq!(others.len(), 5);
    let waited: Vec<_> = others.iter().filter(|e| ns(e, "queue_ns") > 80 * MILLISECOND).collect();
    assert_eq!(waited.len(), 4, "{others:#?}");
    for e in waited {
        assert!(ns(e, "service_ns") < ns(e, "queue_ns") / 2, "its own time is short: {e}");
        let split = Split::of(&seen, e);
        // On the connection that was in use an acknowledgement is put off, and jiffies are what is left to tell the queue by.
        let jiffy = if e["client"]["port"] == of_kept { 10 * MILLISECOND } else { 0 };
        assert!(split.rest().abs() <= split.client / 20 + jiffy, "{split:?}: {e}");
    }
}

pub(crate) const MILLISECOND: i64 = 1_000_000;

/// Nanoseconds of the day.
fn instant(time: &str) -> i64 {
    let (_, clock) = time.trim_end_matches('Z').split_once('T').expect("RFC 3339");
    let (clock, fraction) = clock.split_once('.').expect("nanoseconds");
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("digits"));
    seconds * 1_000_000_000 + fraction.parse::<i64>().expect("nine digits")
}

/// A request that is kept has the state of its connection, as the look at all sockets has found it that came last.
#[test]
fn a_kept_request_has_the_state_of_its_connection_and_says_how_old_that_is() {
    root_or_skip!();
    let _alone = alone();
    let redis = RedisServer::start();
    let agent = Agent::start();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("connects");
    let own = stream.local_addr().expect("an address").port();
    let mut ask = |command: &[u8], answer: &[u8]| {
        stream.write_all(command).expect("sent");
        let mut got = vec![0; answer.len()];
        stream.read_exact(&mut got).expect("answered");
        assert_eq!(got, answer);
    };
    ask(b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n");
    let kept = |operation: &str| {
        let all = agent.json(&format!("/api/v1/requests?side=client&operation={operation}"));
        let mut all = all["data"]["requests"].as_array().expect("requests").iter();
        all.find(|request| request["exchange"]["client"]["port"] == own).cloned()
    };
    wait_until("the first is kept", Duration::from_secs(10), || kept("PING").is_some());
    let looked = |map: Value| {
        let mut edges = map["data"]["edges"].as_array().expect("edges").iter();
        edges.any(|edge| edge["port"] == redis.port && !edge["books"]["client"].is_null())
    };
    wait_until("the look at all sockets", Duration::from_secs(20), || looked(agent.json("/api/v1/map?last=10m")));
    // Nobody had looked at this socket when it was asked the first time: the state came later than the request.
    let first = kept("PING").expect("it is kept");
    assert!(first["tcp"]["age_ns"].as_i64() < Some(0) && first["tcp"]["srtt_us"].as_u64() > Some(0), "{first:#}");
    // A connection that is over at once has what the kernel knew of it at its end.
    let mut short = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port)).expect("connects");
    let own_too = short.local_addr().expect("an address").port();
    short.write_all(b"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n").expect("sent");
    short.read_exact(&mut [0; 7]).expect("answered");
    drop(short);
    wait_until("it is kept with its state", Duration::from_secs(5), || {
        let all = agent.json("/api/v1/requests?side=client&operation=ECHO");
        let mut all = all["data"]["requests"].as_array().expect("requests").iter();
        all.any(|request| request["exchange"]["client"]["port"] == own_too && !request["tcp"]["congestion"].is_null())
    });
    ask(b"*2\r\n$4\r\nLLEN\r\n$1\r\nx\r\n", b":0\r\n");
    wait_until("the second is kept", Duration::from_secs(10), || kept("LLEN").is_some());
    let request = kept("LLEN").expect("it is kept");
    let tcp = &request["tcp"];
    let number = |name: &str| tcp[name].as_u64().unwrap_or_else(|| panic!("no {name}: {request:#}"));
    assert!(number("srtt_us") > 0 && number("rtt_min_us") > 0 && number("congestion_window") >= 10, "{tcp}");
    let still = ["unacked_bytes", "unread_bytes", "retransmitted_segments"].map(number);
    assert_eq!((still, &tcp["congestion"]), ([0; 3], &"open".into()), "{tcp}");
    let (at, end) =
        (instant(tcp["at"].as_str().expect("text")), instant(request["instants"]["end"].as_str().expect("text")));
    assert_eq!(end - at, i64::try_from(number("age_ns")).expect("it is small"), "{request:#}");
    agent.finish();
}

/// How long a connection waits for `accept()` is known of each runtime that asks who calls, which all do but libuv.
#[test]
fn the_wait_for_accept_is_known_of_servers_of_every_kind() {
    root_or_skip!();
    let _alone = alone();
    let (go, java, nginx, redis, node) =
        (lab::Go::start(), lab::Java::start(), lab::Nginx::start(), RedisServer::start(), Node::start());
    let steth = Steth::watch(&[]);
    let ask = |port: u16, request: &str| {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it accepts");
        stream.write_all(request.as_bytes()).expect("it reads");
        assert!(stream.read(&mut [0; 4096]).expect("it answers") > 0);
    };
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let ports = [go.port, java.port, nginx.port, node.port];
    ports.iter().for_each(|port| ask(*port, get));
    ask(redis.port, "*1\r\n$4\r\nPING\r\n");
    let of = |all: &[Value], port: u16| {
        let mut all = all.iter().filter(|e| e["side"] == "server" && e["server"]["port"] == port);
        all.next().map(|e| e["accept_wait_ns"].clone())
    };
    let all = [go.port, java.port, nginx.port, redis.port, node.port];
    wait_until("all were answered", Duration::from_secs(10), || {
        let seen = steth.exchanges();
        all.iter().all(|port| of(&seen, *port).is_some())
    });
    let seen = steth.finish().exchanges;
    for (name, port) in ["go", "java", "nginx", "redis"].iter().zip(all) {
        let wait = of(&seen, port).expect("it was there");
        assert!(wait.as_i64().is_some_and(|wait| wait < 500 * MILLISECOND), "{name}: {wait}");
    }
    assert_eq!(of(&seen, node.port), Some(Value::Null), "libuv does not ask");
}

/// A connection that nobody accepts for so long that a look at all sockets finds it first.
#[test]
fn a_connection_that_is_looked_at_before_it_is_accepted_tells_how_long_it_waited() {
    root_or_skip!();
    let _alone = alone();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let steth = Steth::watch(&["--port", &port.to_string()]);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("there is room");
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("there is room");
    // As long as a window, and a little.
    std::thread::sleep(Duration::from_millis(10_300));
    let (mut server, _) = listener.accept().expect("it waits");
    assert!(server.read(&mut [0; 4096]).expect("a request") > 0);
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("sent");
    assert!(client.read(&mut [0; 4096]).expect("a response") > 0);
    steth.wait_for_exchanges(2, Duration::from_secs(5));
    let seen = steth.finish();
    let server = seen.side("server").next().expect("its side");
    let ns = |field: &str| server[field].as_i64().unwrap_or_else(|| panic!("no {field}: {server}"));
    let wanted = 10_300 * MILLISECOND;
    assert!((wanted..wanted + 500 * MILLISECOND).contains(&ns("accept_wait_ns")), "{server}");
    assert!((ns("queue_ns") - ns("accept_wait_ns")).abs() < 20 * MILLISECOND, "{server}");
}
