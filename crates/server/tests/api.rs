//! The questions over a plain socket, answered from the newest windows.

mod bench;

use bench::{Bench, SECOND, T};
use serde_json::{Value, json};
use std::sync::Arc;
use steth_samples::{Glance, Limits, Operation, Sample, Samples};
use steth_window::{
    EdgeKey, EdgeSeen, EdgeSums, EntityId, Key, Kind, Listener, Observation, Opened, Protocol, Side, Status, Transport,
    Windows,
};

/// The minute in which everything happens.
fn minute() -> String {
    let from = (T - T % Windows::LENGTH) / 1_000_000;
    format!("from={from}&to={}", from + 60_000)
}

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
fn the_map_keeps_sides_apart_and_names_the_one_to_prefer() {
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
    bench.publish(T + Windows::LENGTH + SECOND);
    let path = format!("/api/v1/map?{}", minute());
    let answer = ask(&bench, &path);
    let map = &answer["data"];
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
        is("", "redis-server", "database", json!(["redis"]), json!([6379])),
        is("", "unknown", "other", json!([]), json!([])),
        is("shop", "cart", "service", json!(["http"]), json!([8080])),
        is("shop", "web", "service", json!(["http"]), json!([80])),
    ];
    assert_eq!(nodes, expected);
    let edges = map["edges"].as_array().expect("edges");
    let ends: Vec<_> = edges.iter().map(|edge| (edge["client"].clone(), edge["server"].clone())).collect();
    let hex = |id: EntityId| json!(format!("{:016x}", id.0));
    // The busiest first, then by name.
    let order = [(web, cart), (cart, resolver), (cart, redis), (web, outside), (nobody, web)];
    assert_eq!(ends, order.map(|(client, server)| (hex(client), hex(server))));
    let both = &edges[0];
    assert_eq!(
        (&both["protocol"], &both["port"], &both["client_name"]),
        (&json!("http"), &json!(8080), &json!("shop/web"))
    );
    let (client, server) = (&both["signals"]["client"], &both["signals"]["server"]);
    assert_eq!(both["signals"]["preferred"], "server");
    // Of the minute, one window was kept.
    assert_eq!((&client["count"], &client["errors"], &client["rate"]), (&json!(2), &json!(1), &json!(0.2)));
    assert_eq!((&server["count"], &server["errors"]), (&json!(2), &json!(0)));
    assert!(client["duration"]["p50_ns"].as_f64() > Some(80e6), "{both:#}");
    assert!(server["duration"]["p99_ns"].as_f64() < Some(30e6), "{both:#}");
    assert!(server["queue"]["p50_ns"] == json!(7e6) && client["queue"].is_null(), "{both:#}");
    assert_eq!(edges[1]["signals"]["preferred"], "client", "nobody watches there");
    assert_eq!((&map["nodes_total"], &map["edges_total"]), (&json!(6), &json!(5)));
    let meta = &answer["meta"];
    // What is about to come is not missing.
    assert_eq!((&meta["tier"], &meta["complete"]), (&json!("10s"), &json!(true)));
    assert_eq!(meta["range"]["to_ms"], meta["newest_ms"]);
    assert_eq!(bench.get(&path).1, bench.get(&path).1, "always in the same order");
    let narrow = ask(&bench, &format!("{path}&entity=redis-server"));
    assert_eq!((&narrow["data"]["nodes_total"], &narrow["data"]["edges_total"]), (&json!(2), &json!(1)));
    let narrow = ask(&bench, &format!("{path}&namespace=shop&limit=1"));
    assert_eq!(
        (&narrow["data"]["edges_total"], narrow["data"]["nodes"].as_array().map(Vec::len)),
        (&json!(5), Some(2))
    );
    let (head, body) = bench.get("/api/v1/map?window=1m");
    assert!(head.starts_with("HTTP/1.1 400") && body.contains("there are from, to, last"), "{head} {body}");
}

#[test]
fn the_map_has_what_only_the_books_know_and_puts_the_rest_beside_the_exchanges() {
    let mut bench = Bench::new();
    let [web, cart, names] = ["web", "cart", "names"].map(|name| bench.entities.intern_in("shop", name, T));
    let outside = bench.entities.intern_as(Kind::External, "203.0.113.7:443", T);
    for side in [Side::Client, Side::Server] {
        talk(&mut bench, web, cart, side, Protocol::Http, 8080, 5);
        talk(&mut bench, web, cart, side, Protocol::Redis, 8080, 4);
        talk(&mut bench, web, names, side, Protocol::Dns, 53, 3);
    }
    let mut count = |server, port, side, sums: EdgeSums, open| {
        let transport = match port {
            0 => Transport::Unix,
            53 if sums.opened == 0 => Transport::Udp,
            _ => Transport::Tcp,
        };
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
    // A long answer comes over TCP. Segments are not datagrams, and connects that fail are none of UDP's.
    count(
        names,
        53,
        Side::Client,
        EdgeSums { segments_to_server: 3, bytes_to_server: 60, ..EdgeSums::default() },
        true,
    );
    count(names, 53, Side::Client, EdgeSums { segments_to_server: 6, ..sent(50) }, false);
    let listener = |service, port| Listener { service, port, transport: Transport::Tcp, waiting: 2, room: 5, drops: 7 };
    let idle = bench.entities.intern("idle", T);
    bench.windows.listen([listener(cart, 8080), listener(idle, 81), listener(idle, 80)]);
    bench.publish(T + Windows::LENGTH + SECOND);
    let map = &ask(&bench, &format!("/api/v1/map?{}", minute()))["data"];
    let edge = |port: u16, protocol: Value| {
        let mut edges = map["edges"].as_array().expect("edges").iter();
        edges.find(|edge| edge["port"] == port && edge["protocol"] == protocol).unwrap_or_else(|| panic!("{map:#}"))
    };
    assert_eq!(map["edges_total"], 7);
    let (asked, long) = (edge(53, json!("dns")), edge(53, Value::Null));
    let of = |edge: &Value| (edge["transport"].clone(), edge["books"]["client"]["segments_to_server"].clone());
    assert_eq!((of(asked), of(long)), ((json!("udp"), json!(3)), (json!("tcp"), json!(6))));
    let (http, redis) = (edge(8080, json!("http")), edge(8080, json!("redis")));
    let books = &http["books"];
    assert_eq!((&http["signals"]["preferred"], &http["transport"]), (&json!("server"), &json!("tcp")));
    assert_eq!((&books["client"]["bytes_to_server"], &books["server"]["bytes_to_server"]), (&json!(100), &json!(90)));
    assert_eq!((&books["client"]["retransmitted_segments"], &books["client"]["open"]), (&json!(3), &json!(1)));
    assert!(books["client"]["rtt"]["p50_ns"].as_f64() > Some(80e3) && http["guessed"] == json!(false), "{http:#}");
    assert_eq!(
        (&redis["books"], &redis["transport"]),
        (&json!({"preferred": null}), &json!("tcp")),
        "they are not counted twice"
    );
    let failed = edge(443, Value::Null);
    assert_eq!((&failed["books"]["client"]["refused"], &failed["state"]), (&json!(2), &json!("failing")));
    assert_eq!(failed["signals"], json!({"preferred": null}));
    assert_eq!(edge(9000, Value::Null)["books"]["server"], Value::Null);
    assert_eq!(
        (&edge(0, Value::Null)["books"]["preferred"], &edge(0, Value::Null)["transport"]),
        (&json!("server"), &json!("unix"))
    );
    let node = |name: &str| {
        let mut nodes = map["nodes"].as_array().expect("nodes").iter().filter(|node| node["name"] == name);
        nodes.next().expect("a node").clone()
    };
    assert_eq!((&node("cart")["ports"], &node("cart")["listening"]), (&json!([8080, 9000]), &json!([8080])));
    let idle = node("idle");
    assert_eq!((&idle["kind"], &idle["ports"], &idle["listening"]), (&json!("service"), &json!([]), &json!([80, 81])));
    assert_eq!(idle["queues"][1], json!({"port": 81, "waiting": 2, "room": 5, "dropped": 7}));
    assert_eq!(idle["health"]["state"], "degraded", "its queue was full");
    let outside = node("203.0.113.7:443");
    assert_eq!((&outside["kind"], &outside["ports"]), (&json!("external"), &json!([])), "it has never answered");
    assert_eq!(outside["health"]["findings"][0]["sentence"], "Nobody can connect: 2 refused, 1 unreachable.");
    // The same connections one by one.
    let top = &ask(&bench, &format!("/api/v1/top?{}&by=connections&limit=2&curve=6", minute()))["data"];
    assert_eq!((&top["total"], top["edges"].as_array().map(Vec::len)), (&json!(6), Some(2)));
    assert_eq!((&top["edges"][0]["port"], &top["edges"][0]["curve"][0]), (&json!(8080), &json!(100)));
}

#[test]
fn requests_are_newest_first_and_chosen_by_what_was_asked() {
    let bench = Bench::new();
    let from = T / 1_000_000;
    let range = format!("from={from}&to={}", from + 60_000);
    let empty = ask(&bench, &format!("/api/v1/requests?{range}"));
    assert_eq!(empty["data"], json!({"matching": 0, "requests": []}));
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
                json: format!(r#""instants":{{}},"exchange":{{"n":{n}}}"#).into(),
            },
        );
    }
    bench.shared.publish_samples(samples.snapshot().expect("new"));
    let numbers = |query: &str| -> Vec<u64> {
        let answer = ask(&bench, &format!("/api/v1/requests?{query}"));
        let requests = answer["data"]["requests"].as_array().expect("requests");
        requests.iter().map(|request| request["exchange"]["n"].as_u64().expect("a number")).collect()
    };
    for (query, expected) in [
        ("", vec![5, 4, 3, 2, 1, 0]),
        ("&service=cart", vec![2, 1, 0]),
        ("&service=shop%2Fcart&failed=true", vec![1]),
        ("&server=shop%2Fcart", vec![2, 1, 0]),
        ("&operation=GET+%2F4", vec![4]),
        ("&side=client&limit=2", vec![5, 4]),
        ("&why=error", vec![5, 3, 1]),
        ("&why=slowest&failed=0", vec![4, 2, 0]),
        ("&min_ms=30.5", vec![5, 4]),
        ("&min_ms=10&max_ms=30", vec![2, 1]),
        ("&service=nobody", vec![]),
        ("&namespace=shop", vec![2, 1, 0]),
        ("&sort=duration&limit=2", vec![5, 4]),
        ("&text=%2F4", vec![4]),
        ("&text=SHOP&sort=newest", vec![2, 1, 0]),
    ] {
        assert_eq!(numbers(&format!("{range}{query}")), expected, "{query}");
    }
    assert_eq!(numbers(&format!("from={}&to={}", from + 3000, from + 5000)), [4, 3], "until before its end");
    assert_eq!(numbers("last=1h"), Vec::<u64>::new(), "that is long ago");
    let first = &ask(&bench, &format!("/api/v1/requests?{range}&limit=1"))["data"];
    assert_eq!((&first["matching"], &first["requests"][0]["why"]), (&json!(6), &json!(["slowest", "error", "random"])));
    for (query, cause) in [
        ("limit=0", "limit is '0'; it must be a number from 1 to 1000"),
        ("limit=9999", "1 to 1000"),
        ("side=middle", "client, server, network"),
        ("why=chance", "slowest, error, random"),
        ("sort=rate", "newest, duration"),
        ("min_ms=-1", "milliseconds, 0 or more"),
        ("min_ms=NaN", "milliseconds, 0 or more"),
        ("from=yesterday", "milliseconds since 1970"),
        ("from=9&to=9", "from must be before to"),
        ("from=0", "400 days"),
        ("last=1h&from=1", "either last, or from and to"),
        ("last=5", "a time from 10s to 400d"),
        ("failed=maybe", "true or false"),
        ("servce=x", "there is no parameter 'servce'"),
        ("limit=1&limit=2", "twice"),
    ] {
        let (head, body) = bench.get(&format!("/api/v1/requests?{query}"));
        assert!(head.starts_with("HTTP/1.1 400") && body.contains(cause), "{query}: {head}\n{body}");
    }
    bench.shared.publish_samples(Arc::default());
    assert_eq!(numbers(&range), Vec::<u64>::new());
}

#[test]
fn every_question_has_an_answer() {
    let mut bench = Bench::new();
    let [web, cart] = ["web", "cart"].map(|name| bench.entities.intern_in("shop", name, T));
    let resolver = bench.entities.intern("dnsmasq", T);
    for millis in [1, 2, 3, 250] {
        talk(&mut bench, web, cart, Side::Server, Protocol::Http, 8080, millis);
        talk(&mut bench, web, cart, Side::Client, Protocol::Http, 8080, millis);
    }
    talk(&mut bench, web, resolver, Side::Server, Protocol::Dns, 53, 1);
    bench.publish(T + Windows::LENGTH + SECOND);
    let minute = minute();
    let data = |path: &str| ask(&bench, &format!("/api/v1/{path}"))["data"].clone();

    let series = data(&format!("series?{minute}&by=server&points=6"));
    assert_eq!((&series["total"], series["times_ms"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    let line = &series["series"][0];
    assert_eq!((&line["name"], &line["side"]), (&json!("shop/cart"), &json!("client")));
    assert_eq!((&line["exchanges"]["count"], &line["exchanges"]["errors"][0]), (&json!([4]), &json!(1)));
    assert!(line["exchanges"]["p99_ns"][0].as_f64() > Some(200e6));
    let folded = data(&format!("series?{minute}&by=server&limit=1&points=6"));
    let names: Vec<&Value> = folded["series"].as_array().expect("series").iter().map(|line| &line["name"]).collect();
    assert_eq!(names, ["shop/cart", "shop/cart", "other"]);

    let top = data(&format!("top?{minute}&curve=6"));
    assert_eq!((&top["total"], &top["services"][0]["node"]["name"]), (&json!(2), &json!("cart")));
    assert_eq!(top["services"][0]["curve"], json!([4]));
    let health = &top["services"][0]["node"]["health"];
    assert_eq!(health["state"], "healthy", "one failure alone says nothing: {health:#}");
    let top = data(&format!("top?{minute}&by=operations&sort=p99&protocol=http"));
    let operation = &top["operations"][0];
    assert_eq!((&operation["operation"], &operation["share"]), (&json!("GET /a/{id}"), &json!(1.0)));

    let heatmap = data(&format!("heatmap?{minute}&server=shop%2Fcart&columns=6"));
    assert_eq!((&heatmap["side"], heatmap["columns"].as_array().map(Vec::len)), (&json!("server"), Some(1)));
    let column = heatmap["columns"][0].as_array().expect("a column");
    assert_eq!(column.iter().map(|cell| cell[1].as_u64().unwrap_or_default()).sum::<u64>(), 4);
    let bounds = heatmap["bounds_ns"].as_array().expect("bounds");
    assert!(column.iter().all(|cell| cell[0].as_u64().is_some_and(|row| row < bounds.len() as u64)), "{heatmap:#}");

    let entity = data(&format!("entity?{minute}&id={web}"));
    assert_eq!((&entity["node"]["name"], entity["dependencies"].as_array().map(Vec::len)), (&json!("web"), Some(2)));
    assert_eq!(entity["callers"], json!([]));
    let (head, body) = bench.get(&format!("/api/v1/entity?{minute}&id=0123456789abcdef"));
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("nobody with the id"), "{head}\n{body}");
    assert!(bench.get("/api/v1/entity").1.contains("id is missing"));

    for (query, names) in [("", 2), ("&namespace=shop", 1), ("&namespace=sho", 0)] {
        let top = data(&format!("top?{minute}&by=services{query}"));
        assert_eq!(top["total"], names, "{query}: {top:#}");
        let edges = data(&format!("top?{minute}&by=edges{query}"));
        assert_eq!(edges["total"], if names > 0 { 2 } else { 0 }, "at an end: {query}: {edges:#}");
    }
    assert_eq!((&entity["callers_total"], &entity["dependencies_total"]), (&json!(0), &json!(2)));

    let entities = data("entities?text=SHOP&limit=1");
    assert_eq!((&entities["total"], &entities["entities"][0]["name"]), (&json!(2), &json!("cart")));

    let dns = data(&format!("dns?{minute}"));
    assert_eq!(
        (&dns["total"], &dns["codes"], &dns["signals"]["server"]["count"]),
        (&json!(1), &json!([{"code": "none", "count": 1}]), &json!(1))
    );
    assert_eq!(dns["resolvers"][0]["server_name"], "dnsmasq");
}

#[test]
fn operations_are_told_apart_by_protocol_and_database_and_what_was_slow_is_counted_of_each_side() {
    let mut bench = Bench::new();
    let ping = |protocol, namespace| move |key| Key { operation: 8, namespace, protocol, status: Status::NONE, ..key };
    bench.record(T, "web", ping(Protocol::Mysql, 4), 10);
    bench.record(T, "web", ping(Protocol::Mysql, 4), 10);
    bench.record(T, "web", ping(Protocol::Mysql, 3), 10);
    bench.record(T, "web", ping(Protocol::Mariadb, 4), 10);
    bench.record(T, "web", ping(Protocol::Redis, 0), 10);
    for (operation, side, millis) in [(1, Side::Server, 10), (1, Side::Client, 1000), (2, Side::Server, 1500)] {
        bench.record(T, "web", |key| Key { operation, side, ..key }, millis);
    }
    bench.publish(T + Windows::LENGTH + SECOND);
    let top = |by: &str| ask(&bench, &format!("/api/v1/top?by={by}&{}", minute()))["data"].clone();
    let slow = |signals: &Value| ["server", "client"].map(|side| signals[side]["slow"].as_u64());
    let operations = top("operations");
    let mut told: Vec<_> = operations["operations"]
        .as_array()
        .expect("operations")
        .iter()
        .map(|of| {
            let text = |name: &str| of[name].as_str().expect("text").to_owned();
            let count = of["signals"]["server"]["count"].as_u64();
            (text("operation"), text("protocol"), text("namespace"), count, slow(&of["signals"]))
        })
        .collect();
    told.sort();
    let is = |operation: &str, protocol: &str, namespace: &str, count, slow| {
        (operation.to_owned(), protocol.to_owned(), namespace.to_owned(), Some(count), slow)
    };
    let expected = [
        is("GET /a/{id}", "http", "", 1, [Some(0), Some(1)]),
        is("HGET", "http", "", 1, [Some(1), None]),
        // MariaDB speaks MySQL's protocol.
        is("PING", "mysql", "503", 3, [Some(0), None]),
        is("PING", "mysql", "WRONGTYPE", 1, [Some(0), None]),
        is("PING", "redis", "", 1, [Some(0), None]),
    ];
    assert_eq!(told, expected, "{operations:#}");
    let services = top("services");
    let shop = services["services"].as_array().expect("services").iter().find(|of| of["node"]["name"] == "shop");
    let shop = &shop.expect("it answers")["node"];
    assert_eq!(slow(&shop["answers"]), [Some(1), Some(1)], "sides are not summed: {shop:#}");
    let statuses = ask(&bench, &format!("/api/v1/series?by=status&points=6&{}", minute()));
    let line = |side: &str| {
        let mut lines = statuses["data"]["series"].as_array().expect("lines").iter();
        let line = lines.find(|line| line["name"] == "200" && line["side"] == side).expect("a line");
        line["exchanges"]["count"].as_array().expect("points").iter().filter_map(Value::as_u64).sum::<u64>()
    };
    assert_eq!((line("server"), line("client")), (2, 1), "{statuses:#}");
}
