//! The server over a plain socket: what it answers, to whom, and how the text is formed.

mod bench;

use bench::{Bench, SECOND, T};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use steth_ledger::{Exchanges, Lost};
use steth_server::{Counter, Health, Hook, Kind, Retention, Server, ServerError, Shared};
use steth_window::{Key, Protocol, Side, Status};

/// The value of one series, or a panic that shows the whole text.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
}

/// Checks every line of a Prometheus text: form, order of families, escapes, no series twice, buckets ascending.
fn check(text: &str) {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let (mut family, mut kind) = (String::new(), String::new());
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let mut bucket = 0.0;
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("name and help");
            assert!(is_name(name) && help.ends_with('.') && families.insert(name.to_owned()), "{line}");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, what) = rest.split_once(' ').expect("name and type");
            assert!(name == family && ["counter", "gauge", "histogram", "summary"].contains(&what), "{line}");
            assert_eq!(what == "counter", name.ends_with("_total"), "{line}");
            kind = what.to_owned();
        } else {
            let (id, number) = line.rsplit_once(' ').expect("a value");
            let number: f64 = number.parse().unwrap_or_else(|_| panic!("{line}"));
            let (name, labels) = id.split_once('{').unwrap_or((id, "}"));
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("outside of its family: {line}"));
            let suffixes: &[&str] = match &*kind {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix) && series.insert(id.to_owned()), "{line}");
            let mut labels = labels.strip_suffix('}').expect("closed");
            while !labels.is_empty() {
                let (name, rest) = labels.split_once("=\"").expect("a label");
                assert!(is_name(name), "{line}");
                let mut escaped = false;
                let end = rest.find(|c| {
                    assert!(!escaped || "\\n\"".contains(c), "{line}");
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                labels = &rest[end.expect("closed") + 1..];
                labels = labels.strip_prefix(',').unwrap_or(labels);
            }
            if suffix == "_bucket" {
                assert!(number >= bucket, "{line}");
                bucket = if id.contains("le=\"+Inf\"") { 0.0 } else { number };
            }
        }
    }
}

/// Many digests have one summary, and one series.
#[test]
fn queries_are_told_apart_by_their_summary() {
    let mut bench = Bench::new();
    let query = |operation, summary| {
        move |key| Key { operation, summary, protocol: Protocol::Postgresql, status: Status::NONE, ..key }
    };
    bench.record(T, "web", query(5, Some(7)), 1);
    bench.record(T, "web", query(6, Some(7)), 3);
    bench.record(T, "web", query(6, Some(0)), 3);
    bench.record(T, "web", query(8, None), 1);
    let failed = |key| Key { status: Status::word(4), error_type: 4, ..query(5, Some(7))(key) };
    bench.record(T, "web", failed, 1);
    bench.publish(T + SECOND);
    let (_, text) = bench.get("/metrics");
    check(&text);
    let count = |labels: &str| {
        let labels = format!("service_name=\"shop\",service_peer_name=\"web\",db_system_name=\"postgresql\"{labels}");
        value(&text, &format!("db_server_operation_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(count(",db_query_summary=\"SELECT t\""), 2.0);
    assert_eq!(count(""), 1.0, "a query without a summary");
    assert_eq!(count(",db_operation_name=\"PING\""), 1.0, "no query");
    let error = ",db_query_summary=\"SELECT t\",db_response_status_code=\"503\",error_type=\"503\"";
    assert_eq!(count(error), 1.0);
    assert!(!text.contains("FROM"), "a digest is no label");
}

/// One server with two databases, and one that is MariaDB.
#[test]
fn databases_are_told_apart_by_system_and_namespace() {
    let mut bench = Bench::new();
    let ping = |protocol, namespace| move |key| Key { operation: 8, namespace, protocol, status: Status::NONE, ..key };
    bench.record(T, "web", ping(Protocol::Mysql, 4), 1);
    bench.record(T, "web", ping(Protocol::Mysql, 4), 1);
    bench.record(T, "web", ping(Protocol::Mysql, 3), 1);
    bench.record(T, "web", ping(Protocol::Mariadb, 4), 1);
    bench.record(T, "web", ping(Protocol::Redis, 0), 1);
    bench.publish(T + SECOND);
    let (_, text) = bench.get("/metrics");
    check(&text);
    let count = |labels: &str| {
        let labels = format!("service_name=\"shop\",service_peer_name=\"web\",db_system_name={labels}");
        let labels = format!("{labels},db_operation_name=\"PING\"");
        value(&text, &format!("db_server_operation_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!(count("\"mysql\",db_namespace=\"503\""), 2.0);
    assert_eq!(count("\"mysql\",db_namespace=\"WRONGTYPE\""), 1.0);
    assert_eq!(count("\"mariadb\",db_namespace=\"503\""), 1.0);
    assert_eq!(count("\"redis\""), 1.0, "a namespace that is not known");
}

#[test]
fn metrics_follow_the_conventions_line_by_line() {
    let mut bench = Bench::new();
    let odd = "say \"hi\"\\\n{x=1}";
    bench.record(T, odd, |key| key, 7);
    bench.record(T, odd, |key| Key { server_port: 9090, ..key }, 7000);
    bench.record(T, "web", |key| Key { side: Side::Client, status: Status::code(503), error_type: 4, ..key }, 80);
    let redis = |key| Key { operation: 2, protocol: Protocol::Redis, status: Status::word(3), error_type: 3, ..key };
    bench.record(T, "web", redis, 1);
    bench.record(T, "web", |key| Key { side: Side::Client, ..redis(key) }, 1);
    bench.publish(T + SECOND);
    let mut http = Exchanges::default();
    http.reported = 3;
    http.lose(Lost::Hole, 2);
    let counter = |reason: &str, value| Counter {
        name: "steth_chunks_total",
        help: "Chunks.",
        kind: Kind::Counter,
        labels: vec![("kind", reason.to_owned())],
        value,
    };
    bench.shared.publish_health(Health {
        exchanges: [("http", http)].into(),
        counters: vec![counter("data", 5.0), counter("hole", 1.0)],
        memory_bytes: 1000,
        ..Health::default()
    });
    let (head, text) = bench.get("/metrics");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    check(&text);
    // Two ports, one series: the server side does not tell them apart.
    let labels = "service_name=\"shop\",service_peer_name=\"say \\\"hi\\\"\\\\\\n{x=1}\",http_request_method=\"GET\",\
        http_route=\"/a/{id}\",http_response_status_code=\"200\",url_scheme=\"http\"";
    let http = "http_server_request_duration_seconds";
    assert_eq!(value(&text, &format!("{http}_bucket{{{labels},le=\"0.01\"}}")), 1.0);
    assert_eq!(value(&text, &format!("{http}_bucket{{{labels},le=\"7.5\"}}")), 2.0);
    assert_eq!(value(&text, &format!("{http}_sum{{{labels}}}")), 7.007);
    let slow = "steth_exchanges_slow_total";
    assert_eq!(value(&text, &format!("{slow}{{side=\"server\",protocol=\"http\",{labels}}}")), 1.0);
    for (part, sum) in [("queue", 7.007 * 99.0), ("service", 3.5035)] {
        let part = format!("steth_server_{part}_seconds");
        assert_eq!(value(&text, &format!("{part}_sum{{protocol=\"http\",{labels}}}")), sum);
        assert_eq!(value(&text, &format!("{part}_count{{protocol=\"http\",{labels}}}")), 2.0);
        assert!(!text.contains(&format!("{part}_sum{{protocol=\"http\",service_name=\"web\"")), "no client knows it");
    }
    let client = "service_name=\"web\",service_peer_name=\"shop\",http_request_method=\"GET\",url_template=\"/a/{id}\",\
        http_response_status_code=\"503\",error_type=\"503\",server_address=\"shop\",server_port=\"8080\"";
    assert_eq!(value(&text, &format!("http_client_request_duration_seconds_count{{{client}}}")), 1.0);
    assert_eq!(value(&text, &format!("{slow}{{side=\"client\",protocol=\"http\",{client}}}")), 0.0);
    let redis = "db_system_name=\"redis\",db_operation_name=\"HGET\",db_response_status_code=\"WRONGTYPE\",\
        error_type=\"WRONGTYPE\"";
    let server =
        format!("db_server_operation_duration_seconds_bucket{{service_name=\"shop\",service_peer_name=\"web\",{redis}");
    assert_eq!(value(&text, &format!("{server},le=\"0.001\"}}")), 1.0);
    assert!(text.contains("db_client_operation_duration_seconds_sum{service_name=\"web\""));
    assert_eq!(value(&text, "steth_exchanges_reported_total{protocol=\"http\"}"), 3.0);
    assert_eq!(value(&text, "steth_exchanges_lost_total{protocol=\"http\",reason=\"hole\"}"), 2.0);
    assert_eq!(value(&text, "steth_chunks_total{kind=\"hole\"}"), 1.0);
    assert_eq!(value(&text, "process_memory_usage_bytes"), 1000.0);
    let request =
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/openmetrics-text\r\n\r\n";
    let (head, text) = bench.send(request);
    assert!(head.contains("application/openmetrics-text") && text.ends_with("# EOF\n"), "{head}");
}

/// Of a method that is none of the known ones, of a route that is one too many, and of a request without an answer.
#[test]
fn what_has_no_name_of_its_own_is_labelled_as_the_conventions_say() {
    let mut bench = Bench::new();
    bench.record(T, "web", |key| Key { operation: 9, ..key }, 1);
    bench.record(T, "web", |key| Key { operation: 10, status: Status::code(404), ..key }, 1);
    let reset = |key| Key { operation: 1, side: Side::Client, status: Status::NONE, error_type: 11, ..key };
    bench.record(T, "web", reset, 1);
    bench.publish(T + SECOND);
    let (_, text) = bench.get("/metrics");
    check(&text);
    let of = "service_name=\"shop\",service_peer_name=\"web\"";
    for labels in [
        "http_request_method=\"_OTHER\",http_route=\"/dav/{id}\",http_response_status_code=\"200\",url_scheme=\"http\"",
        "http_request_method=\"GET\",http_route=\"*\",http_response_status_code=\"404\",url_scheme=\"http\"",
    ] {
        assert_eq!(value(&text, &format!("http_server_request_duration_seconds_count{{{of},{labels}}}")), 1.0);
    }
    let client = "service_name=\"web\",service_peer_name=\"shop\",http_request_method=\"GET\",\
        url_template=\"/a/{id}\",error_type=\"connection_reset\",server_address=\"shop\",server_port=\"8080\"";
    assert_eq!(value(&text, &format!("http_client_request_duration_seconds_count{{{client}}}")), 1.0);
}

#[test]
fn counters_never_go_backwards_across_windows() {
    let mut bench = Bench::new();
    let mut last = 0.0;
    for second in 0..35 {
        let now = T + second * SECOND;
        bench.record(now, "web", |key| key, 1);
        bench.publish(now);
        let (_, text) = bench.get("/metrics");
        let total: f64 = text
            .lines()
            .filter(|l| l.contains("_count{"))
            .map(|l| l.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum();
        assert!(total >= last, "{total} after {last}");
        last = total;
    }
    // At most the grace period is under way.
    assert!(last >= 34.0, "{last}");
}

#[test]
fn health_is_what_was_published() {
    let bench = Bench::new();
    let hook = Hook { name: "sock_send_length".to_owned(), attached: false, note: "no BTF".to_owned() };
    bench.shared.publish_health(Health { version: "1.2.3".to_owned(), hooks: vec![hook], ..Health::default() });
    let json: serde_json::Value = serde_json::from_str(&bench.get("/api/v1/health").1).expect("JSON");
    assert_eq!((&json["version"], &json["status"]), (&"1.2.3".into(), &"hooks missing".into()));
    assert_eq!((&json["hooks"][0]["note"], &json["ledger"]["lost"]), (&"no BTF".into(), &0.into()));
    assert!(json["reasons"]["ring_full"].as_str().is_some_and(|text| text.ends_with('.')));
}

#[test]
fn the_page_is_self_contained_under_a_strict_policy() {
    let bench = Bench::new();
    let (_, page) = bench.get("/");
    let assets = page.split('"').filter_map(|word| word.strip_prefix("./"));
    let kinds = [("html", "text/html"), ("js", "text/javascript"), ("css", "text/css"), ("svg", "image/svg")];
    let mut seen = 0;
    for path in ["index.html"].into_iter().chain(assets).filter(|path| *path != "metrics") {
        let (head, body) = bench.get(&format!("/{path}"));
        let end = path.rsplit_once('.').expect("a file").1;
        let kind = kinds.iter().find(|(name, _)| *name == end).expect("a kind that is known").1;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains(kind), "{path}: {head}");
        assert!(head.contains("default-src 'none'") && !head.contains("unsafe-inline"), "{head}");
        assert!(head.contains("nosniff") && head.contains("frame-ancestors 'none'"), "{head}");
        // What is named there is never asked for: names of XML, and what a reader may type.
        let named = ["http://www.w3.org/", "curl http://localhost/"];
        let elsewhere = named.iter().fold(body, |body, name| body.replace(name, ""));
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path} loads from elsewhere");
        seen += 1;
    }
    assert_eq!(seen, 4, "a page, a script, a style, an icon: {page}");
    assert!(bench.get("/etc/passwd").0.starts_with("HTTP/1.1 404"));
}

#[test]
fn only_this_machine_is_answered_and_only_get() {
    let bench = Bench::new();
    let request =
        |method: &str, host: &str| bench.send(&format!("{method} / HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).0;
    for host in ["Host: localhost:1\r\n", "Host: [::1]\r\n", "Host: 127.0.0.1\r\n"] {
        assert!(request("GET", host).starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in
        ["Host: evil.example\r\n", "Host: 127.0.0.1.evil.example\r\n", "", "Host: localhost\r\nHost: evil.example\r\n"]
    {
        assert!(request("GET", host).starts_with("HTTP/1.1 403"), "{host}");
    }
    let head = request("POST", "Host: localhost\r\n");
    assert!(head.starts_with("HTTP/1.1 405") && head.to_lowercase().contains("allow: get"), "{head}");
    let long = format!("Host: localhost\r\nX: {}\r\n", "x".repeat(100_000));
    let mut stream = TcpStream::connect(bench.server.address()).expect("connects");
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\n{long}\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "a head of 100 kB");
}

#[test]
fn other_addresses_are_refused_with_the_reason() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7117"] {
        let shared = Arc::new(Shared::new(T, Retention::default()));
        let error =
            Server::start(address.parse::<std::net::SocketAddr>().expect("address"), shared).expect_err("refused");
        assert!(matches!(error, ServerError::NotLoopback(_)));
        assert!(error.to_string().contains("needs a token and TLS"));
    }
}

#[test]
fn stopping_is_bounded_and_frees_the_address() {
    let bench = Bench::new();
    let address = bench.server.address();
    // One that never sends a request, one that never reads the answer.
    let _silent = TcpStream::connect(address).expect("connects");
    let mut deaf = TcpStream::connect(address).expect("connects");
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    bench.server.stop();
    // Two seconds at the latest. Whoever waited for the silent one would wait for ten.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_connection_that_says_nothing_does_not_stay() {
    let bench = Bench::new();
    let mut slow = TcpStream::connect(bench.server.address()).expect("connects");
    slow.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
    slow.write_all(b"GET / HTTP/1.1\r\nHo").expect("sent");
    let start = Instant::now();
    let _ = slow.read_to_end(&mut Vec::new());
    assert!(start.elapsed() < Duration::from_secs(14), "{:?}", start.elapsed());
}
