//! What a cluster says of addresses, as the agent names them: pods, services and nodes that no process here is behind, and an address
//! that becomes another pod's.

use crate::lab::process::{command, run};
use crate::lab::runtimes::{programs, python};
use crate::lab::{Process, alone, free_port, wait_until};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const POD: &str = "10.244.1.5";
const NODE: &str = "10.0.0.9";
const SERVICE: &str = "10.96.0.7";
/// Another service, and it is known what is behind it.
const BEHIND: &str = "10.96.0.8";
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

/// A network of the test's own, with another one behind it that has all of these addresses, and an API server.
const NETWORK: &str = r#"set -e
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
"#;

/// The agent shows what a client there does.
const WATCH: &str = r#"exec "$STETH" watch --json --config "$DIRECTORY/steth.yaml" -- sh -c '
while :; do for address in $ADDRESSES; do curl -s -o /dev/null http://$address:8080/; done; sleep 0.1; done'
"#;

/// The agent counts what a client there does, from when it is told to.
const COUNT: &str = r#"sh -c 'until [ -e "$DIRECTORY/go" ]; do sleep 0.02; done
while :; do for address in $ADDRESSES; do curl -s -o /dev/null http://$address:8080/; done; sleep 0.1; done' &
exec "$STETH" run --listen 127.0.0.1:$LISTEN --config "$DIRECTORY/steth.yaml"
"#;

/// The same in a pod, as far as the agent can tell: with the account of one, and files of its own in /run.
const IN_A_POD: &str = r#"set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io
ln -s "$DIRECTORY/account" /run/secrets/kubernetes.io/serviceaccount
export KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=$PORT
unset KUBECONFIG
"#;

/// What the API server says, and where.
struct Cluster {
    dir: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    /// Of two ReplicaSets and nothing else.
    fn new() -> Self {
        let cluster = Self { dir: tempfile::tempdir().expect("a temporary directory"), port: free_port() };
        cluster.list(
            "replicasets",
            &[replica_set("web-7d4b9c6f5", 11, "web"), replica_set("cart-5c8f7d9b64", 14, "cart")],
        );
        cluster.write(
            "steth.yaml",
            &format!("identity: {{hosts_file: '', kubernetes: 'http://127.0.0.1:{}'}}\n", cluster.port),
        );
        cluster
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn list(&self, resource: &str, items: &[Value]) {
        self.write(&format!("{resource}.json"), &json!(items).to_string());
    }

    /// Something happens to pods.
    fn tell(&self, events: &[(&str, &Value)]) {
        let line = |(kind, object): &(&str, &Value)| format!("pods {}\n", json!({"type": kind, "object": object}));
        let text: String = events.iter().map(line).collect();
        let file = std::fs::File::options().create(true).append(true).open(self.dir.path().join("events"));
        file.expect("a file").write_all(text.as_bytes()).expect("it can be written");
    }

    /// Runs these scripts in a network of their own.
    fn agent(&self, scripts: &[&str], addresses: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut inside = command("unshare");
        inside.args(["--net", "--mount", "sh", "-c", &scripts.concat()]).env("ADDRESSES", addresses.join(" "));
        inside.env("PORT", self.port.to_string()).env("DIRECTORY", self.dir.path());
        inside.env("PYTHON", python()).env("SERVER", programs().join("python/cluster_server.py"));
        inside.env("STETH", env!("CARGO_BIN_EXE_steth")).envs(variables.iter().copied());
        let agent = Process::spawn("agent", &mut inside, self.dir.path());
        agent.wait_for("it is watching", Duration::from_secs(30), || agent.errors().contains("watching"));
        agent
    }
}

fn exchanges(agent: &Process) -> Vec<Value> {
    let output = agent.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["type"] == "exchange").collect()
}

fn service(name: &str, n: u32, address: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": uid(n), "resourceVersion": "1"},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 8080, "protocol": "TCP"}]},
    })
}

/// The service of this name is served by that pod, at another port.
fn slice(service: &str, n: u32, pod: u32) -> Value {
    json!({
        "metadata": {
            "name": format!("{service}-abc12"), "namespace": "shop", "uid": uid(n), "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [{"addresses": [POD], "targetRef": {"kind": "Pod", "uid": uid(pod)}}],
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
    })
}

#[test]
fn ends_in_the_cluster_are_told_apart_and_an_address_changes_hands() {
    root_or_skip!();
    let _alone = alone();
    let cluster = Cluster::new();
    let first = pod("web-7d4b9c6f5-x2xvq", 1, "web-7d4b9c6f5");
    cluster.list("pods", std::slice::from_ref(&first));
    cluster.list(
        "nodes",
        &[json!({
            "metadata": {"name": "n1", "uid": uid(2), "resourceVersion": "2"},
            "status": {"addresses": [{"type": "InternalIP", "address": NODE}]},
        })],
    );
    cluster.list("services", &[service("front", 3, SERVICE), service("checkout", 6, BEHIND)]);
    cluster.list("endpointslices", &[slice("checkout", 7, 1)]);
    let agent = cluster.agent(&[NETWORK, WATCH], &[POD, NODE, SERVICE, BEHIND, ELSEWHERE], &[]);
    let exchanges = || exchanges(&agent);
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
    // Of a service it is said what answers there, as that calls itself, if it is one workload.
    let checkout = is("shop".into(), "web".into(), Value::Null, Value::Null);
    for (address, expected) in [(POD, &web), (SERVICE, &front), (NODE, &node), (BEHIND, &checkout)] {
        let last = || of(&exchanges(), address).last() == Some(expected);
        agent.wait_for(&format!("{address} is {expected:?}, not {:?}", of(&exchanges(), address).last()), LIMIT, last);
    }
    wait_until("an address of nobody's is asked", LIMIT, || !of(&exchanges(), ELSEWHERE).is_empty());
    let asked = exchanges().into_iter().rfind(|exchange| exchange["server"]["ip"] == BEHIND).expect("an exchange");
    let (workload, called) = (&asked["server"]["workload"], &asked["server"]["kubernetes_service"]);
    assert_eq!((workload, called), (&json!("web"), &json!("checkout")), "{asked}");
    // Once known, it stays; and of an address of nobody's nothing is said.
    let seen = exchanges();
    assert!(of(&seen, POD).iter().skip_while(|end| **end != web).all(|end| *end == web), "{:?}", of(&seen, POD));
    assert!(of(&seen, ELSEWHERE).iter().all(|end| end[..4].iter().all(Value::is_null) && end[4] == "external"));

    // The pod goes, and another one gets its address.
    let mut second = pod("cart-5c8f7d9b64-abcde", 4, "cart-5c8f7d9b64");
    let mut gone = first;
    gone["metadata"]["resourceVersion"] = "8".into();
    second["metadata"]["resourceVersion"] = "9".into();
    cluster.tell(&[("DELETED", &gone), ("ADDED", &second)]);
    let cart = is("shop".into(), "cart".into(), "cart-5c8f7d9b64-abcde".into(), "n1".into());
    wait_until("the other pod", LIMIT, || of(&exchanges(), POD).contains(&cart));
    let before = exchanges().len();
    wait_until("more of it", LIMIT, || of(exchanges().get(before..).unwrap_or_default(), POD).len() >= 3);
    let seen = exchanges();
    let all = of(&seen, POD);
    assert!(all.iter().skip_while(|end| **end != cart).all(|end| *end == cart), "{all:?}");
    assert!(all.contains(&web), "who was there before is not renamed");
}

/// What an agent in another network answers.
fn asked(agent: &Process, listen: u16, path: &str) -> String {
    let mut curl = command("nsenter");
    curl.arg(format!("--net=/proc/{}/ns/net", agent.pid())).args(["curl", "-s", "-f"]);
    run("curl", curl.arg(format!("http://127.0.0.1:{listen}{path}")), LIMIT).0
}

/// Both its exchanges and its connections: nothing that was counted stays under the address.
#[test]
fn a_pod_that_is_learnt_late_gets_what_was_counted_in_the_window() {
    root_or_skip!();
    let _alone = alone();
    let (cluster, listen) = (Cluster::new(), free_port());
    // The server is a process of this host, and is to be one of another.
    let identity = format!("identity: {{hosts_file: '', kubernetes: 'http://127.0.0.1:{}'}}", cluster.port);
    cluster.write("steth.yaml", &format!("{identity}\nselection: {{command_line: {{exclude: ['http\\.server']}}}}\n"));
    cluster.list("services", &[service("checkout", 6, BEHIND)]);
    cluster.list("endpointslices", &[slice("checkout", 7, 1)]);
    let agent = cluster.agent(&[NETWORK, COUNT], &[POD], &[("LISTEN", &listen.to_string())]);
    let metrics = || asked(&agent, listen, "/metrics");
    let lists = || metrics().contains(r#"steth_kubernetes_total{outcome="lists"} 6"#);
    wait_until("the cluster has been listed", LIMIT, lists);
    // All of it in one window: it begins early in one, when the one before has been handed over.
    let into_window = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() % 10_000;
    let begun = || (1_500..2_500).contains(&into_window());
    wait_until("a window has begun", LIMIT, begun);
    cluster.write("go", "");
    std::thread::sleep(Duration::from_millis(1_500));
    let under_address = |metrics: &str| {
        metrics.lines().filter(|line| line.contains(POD)).map(|line| format!("{line}\n")).collect::<String>()
    };
    let before = metrics();
    assert_eq!(under_address(&before), "", "a counter would go back if it got its name");
    let mut pod = pod("web-7d4b9c6f5-x2xvq", 1, "web-7d4b9c6f5");
    (pod["metadata"]["resourceVersion"], pod["status"]["startTime"]) = ("8".into(), "2026-01-01T00:00:00Z".into());
    cluster.tell(&[("ADDED", &pod)]);
    let joined = || metrics().contains(r#"steth_addresses_named_late_total{outcome="joined"} 1"#);
    wait_until("the pod has got what was counted", LIMIT, joined);
    assert!((2_500..9_500).contains(&into_window()), "too slow for one window: {} ms", into_window());
    wait_until("the pod is in the metrics", LIMIT, || metrics().contains("\"web\""));
    wait_until("that window is over, and handed over", LIMIT, begun);
    let metrics = metrics();
    assert_eq!(under_address(&metrics), "");
    let nodes = asked(&agent, listen, "/api/v1/map");
    assert!(!nodes.contains(POD) && nodes.contains("web"), "{nodes}");
}

/// An authority, and what it has signed for a server at 127.0.0.1.
fn certificates(dir: &Path, name: &str) {
    let file = |what: &str| dir.join(format!("{name}{what}"));
    let openssl = |arguments: &[&str], files: &[(&str, &str)]| {
        let mut openssl = command("openssl");
        openssl.args(arguments);
        files.iter().for_each(|(option, what)| _ = openssl.arg(option).arg(file(what)));
        run("openssl", &mut openssl, LIMIT);
    };
    let new = ["-newkey", "rsa:2048", "-nodes"];
    let authority = [&["req", "-x509", "-days", "2", "-subj", "/CN=authority"][..], &new].concat();
    openssl(&authority, &[("-keyout", "-ca.key"), ("-out", "-ca.crt")]);
    let name = "subjectAltName=IP:127.0.0.1";
    let request = [&["req", "-subj", "/CN=kubernetes", "-addext", name][..], &new].concat();
    openssl(&request, &[("-keyout", ".key"), ("-out", ".csr")]);
    let files = [("-in", ".csr"), ("-CA", "-ca.crt"), ("-CAkey", "-ca.key"), ("-out", ".crt")];
    openssl(&["x509", "-req", "-days", "2", "-CAcreateserial", "-copy_extensions", "copy"], &files);
}

/// A cluster whose API server has this certificate and takes this token, and an account in which an authority and a token are.
fn with_account(authority: &str, token: &str) -> Cluster {
    let cluster = Cluster::new();
    let dir = cluster.dir.path();
    certificates(dir, "server");
    certificates(dir, "other");
    std::fs::create_dir(dir.join("account")).expect("a directory");
    std::fs::copy(dir.join(format!("{authority}-ca.crt")), dir.join("account/ca.crt")).expect("a copy");
    cluster.write("account/namespace", "shop");
    cluster.write("account/token", token);
    cluster.write("accepted", token);
    cluster.write("steth.yaml", "identity: {hosts_file: '', containers: false}\n");
    cluster.list("pods", &[pod("web-7d4b9c6f5-x2xvq", 1, "web-7d4b9c6f5")]);
    cluster
}

/// The account of a pod: its authority and its token, over TLS; and the token is replaced.
#[test]
fn in_a_pod_its_account_reaches_the_api() {
    root_or_skip!();
    let _alone = alone();
    let cluster = with_account("server", "first");
    let agent = cluster.agent(&[IN_A_POD, NETWORK, WATCH], &[POD], &[]);
    let last = || exchanges(&agent).last().map(|exchange| exchange["server"]["service"].clone());
    agent.wait_for("the pod has its name", LIMIT, || last() == Some("web".into()));
    // The first one is good for nothing any more, also for what is under way.
    // As the kubelet does it: at once.
    cluster.write("account/next", "second");
    let account = cluster.dir.path().join("account");
    std::fs::rename(account.join("next"), account.join("token")).expect("it is renamed");
    cluster.write("accepted", "second");
    let mut gone = pod("web-7d4b9c6f5-x2xvq", 1, "web-7d4b9c6f5");
    let mut second = pod("cart-5c8f7d9b64-abcde", 4, "cart-5c8f7d9b64");
    (gone["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]) = ("8".into(), "9".into());
    std::thread::sleep(Duration::from_millis(300));
    cluster.tell(&[("DELETED", &gone), ("ADDED", &second)]);
    // The client itself reads a token again after fifty seconds.
    agent.wait_for("what came after that", Duration::from_secs(20), || last() == Some("cart".into()));
    assert!(std::fs::read_to_string(cluster.dir.path().join("refused")).expect("some were").contains("first"));
}

#[test]
fn a_server_that_the_account_s_authority_has_not_signed_is_not_believed_and_said_why() {
    root_or_skip!();
    let _alone = alone();
    let cluster = with_account("other", "first");
    let agent = cluster.agent(&[IN_A_POD, NETWORK, WATCH], &[POD], &[]);
    let said = "the Kubernetes API is not followed";
    agent.wait_for("it says so", LIMIT, || agent.errors().contains(said));
    let errors = agent.errors();
    assert!(errors.contains("invalid peer certificate") && errors.contains("compare ca.crt"), "{errors}");
    wait_until("exchanges are seen all the same", LIMIT, || exchanges(&agent).len() > 10);
    assert!(exchanges(&agent).iter().all(|exchange| exchange["server"]["service"].is_null()));
    assert_eq!(agent.errors().matches(said).count(), 1, "once");
    assert!(!cluster.dir.path().join("refused").exists(), "nobody but the right server sees the token");
}

const LIMIT: Duration = Duration::from_secs(30);
