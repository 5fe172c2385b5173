//! The OpenAPI document against the server: every operation is asked with usual, boundary and wrong parameters, and what comes back is
//! checked against the schema that the document promises.

mod bench;

use bench::{Bench, SECOND, T};
use serde_json::Value;
use steth_window::{EdgeKey, EdgeSeen, EdgeSums, Opened, Protocol, Side, Transport, Windows};

/// Whether a value is what a schema says: `$ref`, `type`, `enum`, `properties`, `required`, `items`, `prefixItems`, `oneOf`, `anyOf`.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).ok_or(format!("{reference} leads nowhere"))?;
        return check(document, schema, value, place);
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[any].as_array() {
            let tried: Vec<_> = schemas.iter().map(|schema| check(document, schema, value, place)).collect();
            if !tried.iter().any(Result::is_ok) {
                return Err(format!("{place}: {value} is none of {any}: {tried:?}"));
            }
        }
    }
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind)) {
        return Err(format!("{place}: {value} is not {kinds:?}"));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{place}: {value} is not one of {}", schema["enum"]));
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            members.get(name).ok_or(format!("{place}: {name} is missing"))?;
        }
        if let Some(properties) = schema["properties"].as_object() {
            for (name, value) in members {
                let schema = properties.get(name).ok_or(format!("{place}: {name} is not in the document"))?;
                check(document, schema, value, &format!("{place}.{name}"))?;
            }
        }
    }
    if let (Some(values), items) = (value.as_array(), &schema["items"]) {
        for (n, value) in values.iter().enumerate().filter(|_| items.is_object()) {
            check(document, items, value, &format!("{place}[{n}]"))?;
        }
    }
    Ok(())
}

/// Values of a parameter that are right, and some that are wrong.
fn values(schema: &Value) -> (Vec<String>, Vec<String>) {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if let Some(all) = schema["enum"].as_array() {
        return (all.iter().filter_map(Value::as_str).map(str::to_owned).collect(), words(&["nonsense"]));
    }
    match schema["type"].as_str() {
        Some("integer") => {
            let (least, most) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64());
            let beyond = most.map(|most| (most + 1).to_string());
            let good = most.into_iter().chain([least]).map(|n| n.to_string()).collect();
            (good, words(&["-1", "x", "1.5", "99999999999999999999999"]).into_iter().chain(beyond).collect())
        }
        Some("number") => (words(&["0", "0.25", "1e12"]), words(&["-1", "NaN", "x"])),
        Some("boolean") => (words(&["true", "false"]), words(&["2", "maybe"])),
        _ if schema["pattern"].is_string() => (words(&["10s", "5m", "1h", "400d"]), words(&["1s", "5", "x", "401d"])),
        _ if schema["maxLength"].is_u64() => (words(&["x", "%00%ff", "a%20b"]), vec!["x".repeat(4097)]),
        _ => (words(&["0123456789abcdef", "shop"]), vec![]),
    }
}

#[test]
fn every_operation_keeps_what_the_document_promises() {
    let mut bench = Bench::new();
    for (n, millis) in [1u64, 5, 20, 300].into_iter().enumerate() {
        for side in [Side::Client, Side::Server] {
            bench.record(
                T,
                "web",
                |key| steth_window::Key { side, error_type: if n == 3 { 4 } else { 0 }, ..key },
                millis,
            );
            bench.record(
                T,
                "web",
                |key| steth_window::Key { side, protocol: Protocol::Dns, operation: 2, ..key },
                millis,
            );
        }
    }
    let [client, server] = ["web", "shop"].map(|name| bench.entities.intern(name, T));
    let key =
        EdgeKey { client, server, server_port: 8080, side: Side::Client, transport: Transport::Tcp, guessed: false };
    let sums = EdgeSums { opened: 1, bytes_to_server: 9, ..EdgeSums::default() };
    let seen =
        EdgeSeen { sums, rtt_ns: Some(9), connect_ns: Some(9), rtt_min_ns: Some(9), open: true, ..EdgeSeen::default() };
    bench.windows.edge(&key, &seen, &mut Opened::default());
    bench.publish(T + Windows::LENGTH + SECOND);

    let document: Value = serde_json::from_str(&bench.get("/api/v1/openapi.json").1).expect("JSON");
    let from = (T - T % Windows::LENGTH) / 1_000_000;
    let range = format!("from={from}&to={}", from + 60_000);
    let mut asked = 0;
    let mut ask = |path: &str, operation: &Value, query: &str, wrong: bool| {
        let (head, body) = bench.get(&format!("{path}?{query}"));
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        let promised = &operation["responses"][&status];
        assert!(!promised.is_null(), "{path}?{query}: {status} is not in the document\n{body}");
        let content = promised["content"].as_object().expect("contents");
        let (kind, content) = content.iter().next().expect("a content");
        assert!(head.to_lowercase().contains(&format!("content-type: {kind}")), "{path}?{query}: {head}");
        if kind == "application/json" {
            let value: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}?{query}: {error}"));
            check(&document, &content["schema"], &value, path)
                .unwrap_or_else(|error| panic!("{query}: {error}\n{value:#}"));
        } else if path != "/metrics" {
            assert!(body.ends_with('\n') && body.lines().count() == 1, "one line: {body}");
        }
        assert!(
            if wrong { status == "400" } else { status == "200" || status == "404" },
            "{path}?{query}: {status} {body}"
        );
        asked += 1;
    };
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let operation = &operations["get"];
        if operation.is_null() {
            continue;
        }
        let parameters = operation["parameters"].as_array().expect("parameters");
        let has = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
        let usual = [has("from").then_some(&*range), has("id").then_some("id=shop")];
        let usual: Vec<&str> = usual.into_iter().flatten().collect();
        ask(path, operation, &usual.join("&"), false);
        for parameter in parameters {
            let name = parameter["name"].as_str().expect("a name");
            let (good, bad) = values(&parameter["schema"]);
            let of_range = ["from", "to", "last"].contains(&name);
            let rest: Vec<&str> = usual
                .iter()
                .filter(|usual| !(usual.starts_with(&format!("{name}=")) || of_range && usual.starts_with("from=")))
                .copied()
                .collect();
            // Books know no protocol, and from and to alone make a range of their own; both are said in the answer.
            for value in good.iter().filter(|_| !of_range || name == "last") {
                ask(path, operation, &format!("{}&{name}={value}", rest.join("&")), false);
            }
            for value in bad {
                ask(path, operation, &format!("{}&{name}={value}", rest.join("&")), true);
            }
        }
        if !parameters.is_empty() {
            ask(path, operation, "no_such_parameter=1", true);
        }
    }
    assert!(asked > 200, "{asked} questions");
}

#[test]
fn many_readers_are_answered_while_windows_come() {
    let mut bench = Bench::new();
    bench.record(T, "web", |key| key, 5);
    bench.publish(T + Windows::LENGTH + SECOND);
    let address = bench.server.address();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let from = (T - T % Windows::LENGTH) / 1_000_000;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..50)
            .map(|n| {
                let stop = &stop;
                scope.spawn(move || {
                    let paths = ["map", "series", "top", "heatmap", "dns"];
                    let path = format!("/api/v1/{}?from={from}&to={}", paths[n % paths.len()], from + 3_000_000);
                    let mut answers = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) || answers == 0 {
                        let (head, body) = bench::get(address, &path);
                        assert!(head.starts_with("HTTP/1.1 200"), "{head}\n{body}");
                        let answer: Value = serde_json::from_str(&body).expect("whole");
                        assert!(answer["meta"]["newest_ms"].is_u64(), "{answer}");
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        for n in 2..40u64 {
            bench.record(T + n * Windows::LENGTH, "web", |key| key, n);
            bench.publish(T + (n + 1) * Windows::LENGTH + SECOND);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().expect("no panic") > 0);
        }
    });
}
