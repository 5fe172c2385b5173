//! The map and the requests that are kept one by one, over a plain socket.

mod bench;

use bench::{Bench, SECOND, T};
use serde_json::{Value, json};
use std::sync::Arc;
use steth_samples::{Glance, Limits, Operation, Sample, Samples};
use steth_window::{
    EdgeKey, EdgeSeen, EdgeSums, EntityId, Key, Kind, Listener, Observation, Opened, Protocol, Side, Status, Transport,
    Windows,
};

fn ask(bench: &Bench, path: &str) -> Value {
    let (head, body) = bench.get(path);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{path}: {head}\n{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}\n{body}"))
}

/// One exchange of so many milliseconds.
fn talk(bench: &mut Bench, client: EntityId, server: EntityId, side: Side, protocol: Protocol, port: u16, millis: u64) {
    let failed = millis > 100;
    let key = Key {
        client,
        server,
        operation: 1,
        summary: None,
        namespace: 0,
        status: Status::NONE,
        error_type: if failed { 4 } else { 0 },
        server_port: port,
        side,
        protocol,
    };
    let first_byte_ns = Some(millis * 500_000);
    let queue_ns = (side == Side::Server).then_some(7_000_000);
    let seen = Observation { duration_ns: millis * 1_000_000, first_byte_ns, queue_ns, ..Default::default() };
    bench.windows.record(T, &key, &seen);
}

#[test]
fn the_map_keeps_reporters_apart_and_names_the_one_to_prefer() {
    let mut bench = Bench::new();
    let [web, cart] = ["web", "cart"].map(|name| bench.entities.intern_in("shop", name, T));
    let redis = bench.entities.intern("redis-server", T);
    let outside = bench.entities.intern_as(Kind::External, "api.example.com:443", T);
    let resolver = bench.entities.intern_as(Kind::External, "192.0.2.53:53", T);
    let nobody = bench.entities.intern_as(Kind::Other, "unknown", T);
    for (side, millis) in [(Side::Client, 90), (Side::Client, 110), (Side::Server, 10), (Side::Server, 20)] {
        talk(&mut bench, web, cart, side, Protocol::Http, 8080, millis);
    }
    talk(&mut bench, cart, redis, Side::Client, Protocol::Redis, 6379, 1);
    talk(&mut bench, cart, resolver, Side::Client, Protocol::Dns, 53, 5);
    talk(&mut bench, web, outside, Side::Client, Protocol::Http, 443, 60);
    talk(&mut bench, nobody, web, Side::Server, Protocol::Http, 80, 60);
    bench.publish(T + 2 * SECOND);
    let map = ask(&bench, "/api/v1/map?window=1m");
    let node = |node: &Value| {
        let text = |name: &str| node[name].as_str().expect("text").to_owned();
        (text("namespace"), text("name"), text("kind"), node["protocols"].clone(), node["ports"].clone())
    };
    let nodes: Vec<_> = map["nodes"].as_array().expect("nodes").iter().map(node).collect();
    let is = |namespace: &str, name: &str, kind: &str, protocols: Value, ports: Value| {
        (namespace.to_owned(), name.to_owned(), kind.to_owned(), protocols, ports)
    };
    let expected = [
        is("", "192.0.2.53:53", "dns", json!(["dns"]), json!([53])),
        is("", "api.example.com:443", "external", json!(["http"]), json!([443])),
        is("", "redis-server", "service", json!(["redis"]), json!([6379])),
        is("", "unknown", "other", json!([]), json!([])),
        is("shop", "cart", "service", json!(["http"]), json!([8080])),
        is("shop", "web", "service", json!(["http"]), json!([80])),
    ];
    assert_eq!(nodes, expected);
    let edges = map["edges"].as_array().expect("edges");
    let hex = |id: EntityId| json!(format!("{:016x}", id.0));
    let ends: Vec<_> = edges.iter().map(|edge| (edge["client"].clone(), edge["server"].clone())).collect();
    let order = [(nobody, web), (cart, resolver), (cart, redis), (web, outside), (web, cart)];
    assert_eq!(ends, order.map(|(client, server)| (hex(client), hex(server))));
    let both = &edges[4];
    assert_eq!(
        (&both["protocol"], &both["port"], &both["preferred"]),
        (&json!("http"), &json!(8080), &json!("server"))
    );
    let (client, server) = (&both["reporters"]["client"], &both["reporters"]["server"]);
    assert_eq!((&client["count"], &client["errors"], &client["rate"]), (&json!(2), &json!(1), &json!(1.0)));
    assert_eq!((&server["count"], &server["errors"]), (&json!(2), &json!(0)));
    assert!(client["p50_ns"].as_f64() > Some(80e6) && server["p99_ns"].as_f64() < Some(30e6), "{both}");
    assert!(server["queue"]["p50_ns"] == json!(7e6) && client["queue"].is_null(), "{both}");
    assert_eq!(edges[1]["preferred"], "client", "nobody watches there");
    assert_eq!((&map["nodes_total"], &map["edges_total"]), (&json!(6), &json!(5)));
    assert_eq!(bench.get("/api/v1/map?window=1m").1, bench.get("/api/v1/map?window=60s").1, "always in the same order");
    let (head, body) = bench.get("/api/v1/map?windows=1m");
    assert!(head.starts_with("HTTP/1.1 400") && body.contains("there are window"), "{head} {body}");
}

#[test]
fn the_map_has_what_only_the_books_know_and_puts_the_rest_beside_the_exchanges() {
    let mut bench = Bench::new();
    let [web, cart] = ["web", "cart"].map(|name| bench.entities.intern_in("shop", name, T));
    let outside = bench.entities.intern_as(Kind::External, "203.0.113.7:443", T);
    for side in [Side::Client, Side::Server] {
        talk(&mut bench, web, cart, side, Protocol::Http, 8080, 5);
        talk(&mut bench, web, cart, side, Protocol::Redis, 8080, 5);
    }
    let mut count = |server, port, side, sums, open| {
        let transport = if port == 0 { Transport::Unix } else { Transport::Tcp };
        let key = EdgeKey { client: web, server, server_port: port, side, transport, guessed: false };
        let seen = EdgeSeen { sums, rtt_ns: Some(90_000), open, ..EdgeSeen::default() };
        bench.windows.edge(&key, &seen, &mut Opened::default());
    };
    let sent = |bytes_to_server| EdgeSums { bytes_to_server, opened: 1, ..EdgeSums::default() };
    count(cart, 8080, Side::Client, EdgeSums { retransmitted_segments: 3, ..sent(100) }, true);
    count(cart, 8080, Side::Server, sent(90), true);
    count(cart, 9000, Side::Client, sent(7), true);
    count(cart, 0, Side::Server, sent(1), false);
    count(outside, 443, Side::Client, EdgeSums { refused: 2, unreachable: 1, ..EdgeSums::default() }, false);
    bench.publish(T + 2 * SECOND);
    let map = ask(&bench, "/api/v1/map?window=1m");
    assert_eq!(map["edges"][0]["network"]["tcp"]["client"]["open"], Value::Null, "no socket was asked so far");
    bench.publish(T + Windows::LENGTH + SECOND);
    let listener = |service, port| Listener { service, port, transport: Transport::Tcp, waiting: 0, room: 5, drops: 0 };
    let idle = bench.entities.intern("idle", T);
    bench.windows.listen([listener(cart, 8080), listener(idle, 81), listener(idle, 80)]);
    bench.publish(T + Windows::LENGTH + SECOND);
    let map = ask(&bench, "/api/v1/map?window=1m");
    let edges = map["edges"].as_array().expect("edges");
    let names: Vec<_> =
        edges.iter().map(|edge| (edge["protocol"].as_str().unwrap_or_default(), &edge["port"])).collect();
    let port = [443, 8080, 8080, 9000, 0].map(|port| json!(port));
    assert_eq!(names, ["tcp", "http", "redis", "tcp", "unix"].into_iter().zip(&port).collect::<Vec<_>>(), "{map:#}");
    let [failed, http, redis, unknown, unix] = edges.as_slice() else { panic!("five edges: {map:#}") };
    let books = &http["network"]["tcp"];
    assert_eq!((&http["preferred"], &http["reporters"]["server"]["count"]), (&json!("server"), &json!(1)));
    assert_eq!((&books["client"]["bytes_to_server"], &books["server"]["bytes_to_server"]), (&json!(100), &json!(90)));
    assert_eq!((&books["client"]["retransmitted_segments"], &books["client"]["open"]), (&json!(3), &json!(1)));
    assert!(books["client"]["rtt"]["p50_ns"].as_f64() > Some(80e3) && books["guessed"] == json!(false), "{books}");
    assert_eq!(books, &redis["network"]["tcp"], "both speak over the same connections");
    let failures = &failed["network"]["tcp"]["client"];
    assert_eq!(
        (&failures["connects_failed"], &failures["refused"], &failures["opened"]),
        (&json!(3), &json!(2), &json!(0))
    );
    assert_eq!((&failed["preferred"], &failed["reporters"]), (&json!("client"), &json!({})));
    assert_eq!((&unknown["network"]["tcp"]["server"], &unix["preferred"]), (&Value::Null, &json!("server")));
    let node = |name: &str| {
        let mut nodes = map["nodes"].as_array().expect("nodes").iter().filter(|node| node["name"] == name);
        nodes.next().expect("a node").clone()
    };
    assert_eq!((&node("cart")["ports"], &node("cart")["listening"]), (&json!([8080, 9000]), &json!([8080])));
    let idle = node("idle");
    assert_eq!((&idle["kind"], &idle["ports"], &idle["listening"]), (&json!("service"), &json!([]), &json!([80, 81])));
    let outside = node("203.0.113.7:443");
    assert_eq!((&outside["kind"], &outside["ports"]), (&json!("external"), &json!([])), "it has never answered");
}

#[test]
fn requests_are_newest_first_and_chosen_by_what_was_asked() {
    let bench = Bench::new();
    assert_eq!(ask(&bench, "/api/v1/requests"), json!({"kept": 0, "matching": 0, "requests": []}));
    let mut samples = Samples::new(Limits::default(), 3);
    for n in 0..6u64 {
        let (server, side) = if n < 3 { ("shop/cart", Side::Server) } else { ("pay", Side::Client) };
        let of = Operation { server: EntityId::of(server), operation: n as u32, side };
        let glance = Glance { end: T + n * SECOND, duration_ns: n * 10_000_000, failed: n % 2 == 1, blocking: false };
        let why = samples.wants(&of, &glance).expect("the first of its operation");
        samples.keep(
            &of,
            why,
            Sample {
                server: server.into(),
                server_namespace: if n < 3 { 4 } else { 0 },
                operation: format!("GET /{n}").into(),
                side,
                end: glance.end,
                duration_ns: glance.duration_ns,
                failed: glance.failed,
                json: format!(r#""exchange":{{"n":{n}}}"#).into(),
            },
        );
    }
    bench.shared.publish_samples(samples.snapshot().expect("new"));
    let numbers = |query: &str| -> Vec<u64> {
        let answer = ask(&bench, &format!("/api/v1/requests?{query}"));
        let requests = answer["requests"].as_array().expect("requests");
        requests.iter().map(|request| request["exchange"]["n"].as_u64().expect("a number")).collect()
    };
    let since = (T + 3 * SECOND) / 1_000_000;
    for (query, expected) in [
        ("", vec![5, 4, 3, 2, 1, 0]),
        ("service=cart", vec![2, 1, 0]),
        ("service=shop%2Fcart&errors=true", vec![1]),
        ("operation=GET+%2F4", vec![4]),
        ("side=client&limit=2", vec![5, 4]),
        ("why=error", vec![5, 3, 1]),
        ("why=slowest&errors=0", vec![4, 2, 0]),
        ("min_ms=30.5", vec![5, 4]),
        (&format!("since={since}"), vec![5, 4, 3]),
        ("service=nobody", vec![]),
    ] {
        assert_eq!(numbers(query), expected, "{query}");
    }
    let first = &ask(&bench, "/api/v1/requests?limit=1");
    assert_eq!((&first["matching"], &first["requests"][0]["why"]), (&json!(6), &json!(["slowest", "error", "random"])));
    for (query, cause) in [
        ("limit=0", "limit is '0'; it must be a number from 1 to 1000"),
        ("limit=9999", "1 to 1000"),
        ("side=middle", "client, server or network"),
        ("why=chance", "slowest, error or random"),
        ("min_ms=-1", "milliseconds, 0 or more"),
        ("min_ms=NaN", "milliseconds, 0 or more"),
        ("since=yesterday", "milliseconds since 1970"),
        ("errors=maybe", "true or false"),
        ("servce=x", "there is no parameter 'servce'"),
        ("limit=1&limit=2", "twice"),
    ] {
        let (head, body) = bench.get(&format!("/api/v1/requests?{query}"));
        assert!(head.starts_with("HTTP/1.1 400") && body.contains(cause), "{query}: {head}\n{body}");
    }
    bench.shared.publish_samples(Arc::default());
    assert_eq!(numbers(""), Vec::<u64>::new());
}
