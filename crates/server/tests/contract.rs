//! The OpenAPI document against the server: every operation is asked with usual, boundary and wrong parameters, and what comes back is
//! checked against the schema that the document promises.

mod bench;

use bench::{Bench, SECOND, T};
use proptest::prelude::*;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use steth_samples::{Glance, Limits as SampleLimits, Operation, Sample, Samples};
use steth_window::{EdgeKey, EdgeSeen, EdgeSums, Opened, Protocol, Side, Transport, Windows};

/// Whether a value is what a schema says: `$ref`, `type`, `enum`, `minimum`, `properties`, `additionalProperties`, `required`, `items`,
/// `oneOf` (exactly one), `anyOf`.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).ok_or(format!("{reference} leads nowhere"))?;
        return check(document, schema, value, place);
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(schemas) = schema[any].as_array() {
            let tried: Vec<_> = schemas.iter().map(|schema| check(document, schema, value, place)).collect();
            let fit = tried.iter().filter(|tried| tried.is_ok()).count();
            if fit == 0 || (any == "oneOf" && fit > 1) {
                return Err(format!("{place}: {value} is {fit} of {any}: {tried:?}"));
            }
        }
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        return Err(format!("{place}: {value} is less than {least}"));
    }
    if let (Some(members), others) = (value.as_object(), &schema["additionalProperties"])
        && others.is_object()
    {
        for (name, value) in members {
            check(document, others, value, &format!("{place}.{name}"))?;
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

/// Something of everything.
fn filled(mut bench: Bench) -> Bench {
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
    let mut samples = Samples::new(SampleLimits::default(), 3);
    let of = Operation { server, operation: 1, side: Side::Server };
    for n in 0..3u64 {
        let glance = Glance { end: T + n * SECOND, duration_ns: (n + 1) * 1_000_000, failed: n == 1, blocking: false };
        let Some(why) = samples.wants(&of, &glance) else { continue };
        let json = r#""instants":{},"exchange":{"client":{"service":"web"}}"#.into();
        let (end, duration_ns, failed) = (glance.end, glance.duration_ns, glance.failed);
        let (server, operation, side) = ("shop".into(), "GET /a/{id}".into(), Side::Server);
        samples.keep(&of, why, Sample { server, server_namespace: 0, operation, side, end, duration_ns, failed, json });
    }
    bench.shared.publish_samples(samples.snapshot().expect("new"));
    bench
}

#[test]
fn every_operation_keeps_what_the_document_promises() {
    keeps_its_promises(&filled(Bench::new()));
}

#[test]
fn every_operation_keeps_it_over_a_store_too() {
    keeps_its_promises(&filled(Bench::with_store()));
}

fn keeps_its_promises(bench: &Bench) {
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

/// A server with a store, for all random questions.
static BENCH: LazyLock<(SocketAddr, Value, Mutex<Bench>)> = LazyLock::new(|| {
    let bench = filled(Bench::with_store());
    let document = serde_json::from_str(&bench.get("/api/v1/openapi.json").1).expect("JSON");
    (bench.server.address(), document, Mutex::new(bench))
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any parameters together, right ones, wrong ones and strange ones: only what is promised comes of it.
    #[test]
    fn random_questions_get_promised_answers(
        path in any::<prop::sample::Index>(),
        drawn in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,12}"), 0..6),
    ) {
        let (address, document, _) = &*BENCH;
        let paths = document["paths"].as_object().expect("paths");
        let asked: Vec<_> = paths.iter().filter(|(_, of)| of["get"]["parameters"].as_array().is_some_and(|all| !all.is_empty())).collect();
        let (path, operation) = asked[path.index(asked.len())];
        let operation = &operation["get"];
        let parameters = operation["parameters"].as_array().expect("parameters");
        let from = (T - T % Windows::LENGTH) / 1_000_000;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("from", &from.to_string()).append_pair("to", &(from + 60_000).to_string());
        for (which, value, strange) in drawn {
            let parameter = &parameters[which.index(parameters.len())];
            let (mut all, wrong) = values(&parameter["schema"]);
            all.extend(wrong);
            all.push(strange);
            let name = parameter["name"].as_str().expect("a name");
            query.append_pair(name, &all[value.index(all.len())]);
        }
        let query = query.finish();
        let (head, body) = bench::get(*address, &format!("{path}?{query}"));
        let status = head.split(' ').nth(1).expect("a status").to_owned();
        let promised = &operation["responses"][&status];
        prop_assert!(!promised.is_null(), "{path}?{query}: {status} is not promised\n{body}");
        prop_assert!(["200", "400", "404"].contains(&&*status), "{path}?{query}: {status} {body}");
        if status == "200" {
            let value: Value = serde_json::from_str(&body).expect("JSON");
            let schema = &promised["content"]["application/json"]["schema"];
            let checked = check(document, schema, &value, path);
            prop_assert!(checked.is_ok(), "{path}?{query}: {checked:?}");
        } else {
            prop_assert!(body.ends_with('\n') && body.lines().count() == 1, "one line: {body:?}");
        }
    }
}

#[test]
fn many_readers_are_answered_while_windows_come() {
    many_readers(Bench::new());
}

#[test]
fn many_readers_are_answered_while_a_store_writes() {
    many_readers(Bench::with_store());
}

fn many_readers(mut bench: Bench) {
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
                    let paths =
                        ["map?", "series?by=server", "top?curve=9", "heatmap?", "dns?", "entity?id=shop", "requests?"];
                    let path = format!("/api/v1/{}&from={from}&to={}", paths[n % paths.len()], from + 3_000_000);
                    let path = path.replace("?&", "?");
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
