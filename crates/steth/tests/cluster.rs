//! What a cluster says of addresses, as the agent names them: pods, services and nodes that no process here is behind, and an address
//! that becomes another pod's.

mod lab;

use lab::process::command;
use lab::runtimes::{programs, python};
use lab::{Process, alone, free_port, wait_until};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

const POD: &str = "10.244.1.5";
const NODE: &str = "10.0.0.9";
const SERVICE: &str = "10.96.0.7";
const ELSEWHERE: &str = "203.0.113.5";

/// A pod of a ReplicaSet, by whose id its Deployment is found.
fn pod(name: &str, n: u32, replica_set: &str) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "uid": uid(n + 10), "controller": true});
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": uid(n), "resourceVersion": "3", "ownerReferences": [owner]},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"podIP": POD, "podIPs": [{"ip": POD}], "phase": "Running", "hostIP": NODE},
    })
}

fn replica_set(name: &str, n: u32, deployment: &str) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "uid": uid(n + 10), "controller": true});
    json!({"metadata": {"name": name, "namespace": "shop", "uid": uid(n), "resourceVersion": "1", "ownerReferences": [owner]}})
}

fn uid(n: u32) -> String {
    format!("11111111-2222-3333-4444-{n:012}")
}

/// A network of the test's own, with another one behind it that has all of these addresses; the agent shows what a client there does.
const INSIDE: &str = r#"set -e
ip link set lo up
unshare --net sleep 600 & there=$!
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add near type veth peer name far netns $there
ip address add 10.213.7.1/24 dev near; ip link set near up; ip route add default via 10.213.7.2
inside() { nsenter --net=/proc/$there/ns/net "$@"; }
inside ip link set lo up; inside ip address add 10.213.7.2/24 dev far; inside ip link set far up
for address in $ADDRESSES; do inside ip address add $address/32 dev lo; done
inside "$PYTHON" -m http.server 8080 --bind 0.0.0.0 --directory "$DIRECTORY" 2> "$DIRECTORY/http" &
"$PYTHON" "$SERVER" $PORT "$DIRECTORY" &
exec "$STETH" watch --json --config "$DIRECTORY/steth.yaml" -- sh -c '
while :; do for address in $ADDRESSES; do curl -s -o /dev/null http://$address:8080/; done; sleep 0.1; done'
"#;

#[test]
fn ends_in_the_cluster_are_told_apart_and_an_address_changes_hands() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    let first = pod("web-7d4b9c6f5-x2xvq", 1, "web-7d4b9c6f5");
    let sets = [replica_set("web-7d4b9c6f5", 11, "web"), replica_set("cart-5c8f7d9b64", 14, "cart")];
    write("replicasets.json", &json!(sets).to_string());
    write("pods.json", &json!([first]).to_string());
    write(
        "nodes.json",
        &json!([{
            "metadata": {"name": "n1", "uid": uid(2), "resourceVersion": "2"},
            "status": {"addresses": [{"type": "InternalIP", "address": NODE}]},
        }])
        .to_string(),
    );
    write(
        "services.json",
        &json!([{
            "metadata": {"name": "front", "namespace": "shop", "uid": uid(3), "resourceVersion": "1"},
            "spec": {"clusterIP": SERVICE, "clusterIPs": [SERVICE], "ports": [{"port": 8080, "protocol": "TCP"}]},
        }])
        .to_string(),
    );
    write("steth.yaml", &format!("identity: {{hosts_file: '', kubernetes: 'http://127.0.0.1:{port}'}}\n"));
    let mut inside = command("unshare");
    inside.args(["--net", "sh", "-c", INSIDE]).env("PORT", port.to_string()).env("DIRECTORY", dir.path());
    inside.env("PYTHON", python()).env("SERVER", programs().join("python/cluster_server.py"));
    inside.env("STETH", env!("CARGO_BIN_EXE_steth")).env("ADDRESSES", [POD, NODE, SERVICE, ELSEWHERE].join(" "));
    let agent = Process::spawn("agent", &mut inside, dir.path());
    agent.wait_for("it is watching", Duration::from_secs(30), || agent.errors().contains("watching"));
    let exchanges = || -> Vec<Value> {
        let output = agent.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["type"] == "exchange").collect()
    };
    let of = |exchanges: &[Value], address: &str| -> Vec<[Value; 5]> {
        let there = exchanges.iter().filter(|exchange| exchange["server"]["ip"] == address);
        there
            .map(|exchange| {
                let end = &exchange["server"];
                [&end["namespace"], &end["service"], &end["pod"], &end["node"], &exchange["locality"]].map(Value::clone)
            })
            .collect()
    };
    // Of whoever is in the cluster.
    let is =
        |namespace: Value, service: Value, pod: Value, node: Value| [namespace, service, pod, node, "cluster".into()];
    let web = is("shop".into(), "web".into(), "web-7d4b9c6f5-x2xvq".into(), "n1".into());
    let front = is("shop".into(), "front".into(), Value::Null, Value::Null);
    let node = is(Value::Null, Value::Null, Value::Null, "n1".into());
    for (address, expected) in [(POD, &web), (SERVICE, &front), (NODE, &node)] {
        let last = || of(&exchanges(), address).last() == Some(expected);
        agent.wait_for(&format!("{address} is {expected:?}, not {:?}", of(&exchanges(), address).last()), LIMIT, last);
    }
    wait_until("an address of nobody's is asked", LIMIT, || !of(&exchanges(), ELSEWHERE).is_empty());
    // Once known, it stays; and of an address of nobody's nothing is said.
    let seen = exchanges();
    assert!(of(&seen, POD).iter().skip_while(|end| **end != web).all(|end| *end == web), "{:?}", of(&seen, POD));
    assert!(of(&seen, ELSEWHERE).iter().all(|end| end[..4].iter().all(Value::is_null) && end[4] == "external"));

    // The pod goes, and another one gets its address.
    let mut second = pod("cart-5c8f7d9b64-abcde", 4, "cart-5c8f7d9b64");
    let mut gone = first;
    gone["metadata"]["resourceVersion"] = "8".into();
    second["metadata"]["resourceVersion"] = "9".into();
    let events = [("DELETED", &gone), ("ADDED", &second)];
    let text: String =
        events.map(|(kind, object)| format!("pods {}\n", json!({"type": kind, "object": object}))).concat();
    let mut file = std::fs::File::options().create(true).append(true).open(dir.path().join("events")).expect("a file");
    file.write_all(text.as_bytes()).expect("it can be written");
    let cart = is("shop".into(), "cart".into(), "cart-5c8f7d9b64-abcde".into(), "n1".into());
    wait_until("the other pod", LIMIT, || of(&exchanges(), POD).contains(&cart));
    let before = exchanges().len();
    wait_until("more of it", LIMIT, || of(exchanges().get(before..).unwrap_or_default(), POD).len() >= 3);
    let seen = exchanges();
    let all = of(&seen, POD);
    assert!(all.iter().skip_while(|end| **end != cart).all(|end| *end == cart), "{all:?}");
    assert!(all.contains(&web), "who was there before is not renamed");
}

const LIMIT: Duration = Duration::from_secs(30);
