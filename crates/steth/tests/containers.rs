//! Pods of a real containerd talk to each other and to the host: both ends have the names that its CRI gives.

#[allow(dead_code, unreachable_pub)]
#[path = "../../containers/tests/lab/containerd.rs"]
mod containerd;
#[allow(dead_code, unreachable_pub)]
#[path = "../../containers/tests/lab/cri.rs"]
mod cri;
#[allow(dead_code, unreachable_pub)]
#[path = "../../containers/tests/lab/image.rs"]
mod image;
#[allow(dead_code, unreachable_pub)]
#[path = "../../containers/tests/lab/isolation.rs"]
mod isolation;
use crate::lab::process;

use crate::lab::process::{Process, command, run};
use crate::lab::runtimes::python;
use crate::lab::{Steth, curl, free_port, together, wait_until};
use containerd::{ContainerPlan, Containerd, Pod, PodPlan};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
/// What controllers write into the pods that they make.
const OF_DEPLOYMENT: &[(&str, &str)] = &[("app", "web"), ("pod-template-hash", "7d4b9c6f5")];
const OF_STATEFUL_SET: &[(&str, &str)] = &[("statefulset.kubernetes.io/pod-name", "api-0")];

/// Makes a web server's pod.
fn web(containerd: &Containerd, name: &str, namespace: &str) -> (Pod, u32, String) {
    let plan = PodPlan { name, namespace, uid: &format!("{namespace}-{name}"), labels: OF_DEPLOYMENT };
    let pod = containerd.pod(&plan);
    let serve = ["/bin/httpd", "-f", "-p", "80", "-h", "/etc"];
    let id = containerd.container(&pod, &ContainerPlan { name: "httpd", command: &serve, ..ContainerPlan::default() });
    let pid = *containerd.processes(&id).first().expect("a process of the container");
    let address = address(pid);
    (pod, pid, address)
}

/// The address of the pod that a process is in.
fn address(pid: u32) -> String {
    let mut ip = command("nsenter");
    ip.args(["--net", "--target", &pid.to_string(), "ip", "-4", "-o", "addr", "show", "dev", "eth0"]);
    let (text, _) = run("ip", &mut ip, LIMIT);
    let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1).expect("an address");
    address.split('/').next().expect("an address").to_owned()
}

/// A pod whose container asks this address again and again, with a variable more in its environment.
fn asking(containerd: &Containerd, name: &str, namespace: &str, address: &str, variable: (&str, &str)) {
    let labels = if name == "api-0" { OF_STATEFUL_SET } else { &[] };
    let pod = containerd.pod(&PodPlan { name, namespace, uid: &format!("{namespace}-{name}"), labels });
    let ask = format!("while sleep 0.1; do wget -q -O /dev/null http://{address}/passwd; done");
    let plan = ContainerPlan {
        name: "asker",
        command: &["/bin/sh", "-c", &ask],
        environment: &[("PASSWORD", "hunter2-correct-horse"), variable],
        ..ContainerPlan::default()
    };
    containerd.container(&pod, &plan);
}

const NO_VARIABLE: (&str, &str) = ("NOTHING", "x");
/// Exchanges of a pair that have to be seen, where one side asks again and again.
const SEVERAL: usize = 5;

/// Waits until these two have talked so often, as this agent prints it from its exchange `from` on; all that talks with this address has
/// the name of one of `expected`, the last of which is awaited, or, for a moment after its start, none that only the runtime knows.
fn wait_for(what: &str, steth: &Steth, from: usize, address: &str, expected: &[[String; 2]], times: usize) {
    let until = Instant::now() + LIMIT;
    let awaited = expected.last().expect("somebody is awaited");
    loop {
        let exchanges = steth.exchanges();
        let found = pairs(exchanges.get(from..).unwrap_or_default(), address);
        // Of an end that is not known yet there is neither namespace nor pod: another pod's name would be a wrong one.
        let right = |pair: &[String; 2]| {
            let ends_right = |expected: &[String; 2]| {
                pair.iter().zip(expected).all(|(end, expected)| end == expected || is_unknown(end))
            };
            expected.iter().any(ends_right)
        };
        let wrong: Vec<_> = found.iter().filter(|pair| !right(pair)).collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?} beside {expected:?}; {}", steth.errors());
        if found.iter().filter(|pair| *pair == awaited).count() >= times {
            let late = found.iter().filter(|pair| !expected.contains(pair)).count();
            println!("{what}: {late} of {} exchanges with an end that was not known yet", found.len());
            return;
        }
        assert!(Instant::now() < until, "{what}: {awaited:?} is not in {found:?}; {}", steth.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_unknown(end: &str) -> bool {
    end.starts_with("-/") && end.ends_with(" - -")
}

/// Client and server of each exchange with this address, as `namespace/service pod container`.
fn pairs(exchanges: &[Value], address: &str) -> Vec<[String; 2]> {
    let name = |end: &Value| {
        let text = |key: &str| end[key].as_str().unwrap_or("-").to_owned();
        format!("{}/{} {} {}", text("namespace"), text("service"), text("pod"), text("container_name"))
    };
    let there = exchanges.iter().filter(|exchange| exchange["server"]["ip"] == address);
    there.map(|exchange| [name(&exchange["client"]), name(&exchange["server"])]).collect()
}

fn pair(client: &str, server: &str) -> [String; 2] {
    [client.to_owned(), server.to_owned()]
}

fn configuration(dir: &Path, containerd: &Containerd) -> String {
    let file = dir.join("steth.yaml");
    let text = format!("identity: {{runtimes: ['cri:{}']}}\n", containerd.socket().display());
    std::fs::write(&file, text).expect("a file");
    file.to_str().expect("a path of this test").to_owned()
}

/// In the network that the pods' bridge is in.
fn beside(pid: u32, program: &str) -> std::process::Command {
    let mut command = command("nsenter");
    command.args([&format!("--net=/proc/{pid}/ns/net"), program]);
    command
}

#[test]
fn both_ends_have_the_names_of_their_pods() {
    root_or_skip!();
    let _together = together();
    let mut containerd = Containerd::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = configuration(dir.path(), &containerd);
    let (old, _, first) = web(&containerd, "web-7d4b9c6f5-x2xvq", "shop");
    asking(&containerd, "api-0", "back", &first, NO_VARIABLE);

    // What runs when the agent starts.
    let steth = Steth::watch(&["--config", &file]);
    let web_shop = "shop/web web-7d4b9c6f5-x2xvq httpd";
    let mut expected = vec![pair("back/api api-0 asker", web_shop)];
    wait_for("a pod asks a pod", &steth, 0, &first, &expected, SEVERAL);

    // The host asks a pod, and a pod the host.
    let outside = containerd.pid();
    let (_, errors) = run("curl", beside(outside, "curl").args(["-sv", &format!("http://{first}/passwd")]), LIMIT);
    assert!(errors.contains("HTTP/1"), "{errors}");
    expected.push(pair("-/curl - -", web_shop));
    wait_for("the host asks a pod", &steth, 0, &first, &expected, 1);
    let mut server = beside(outside, python().to_str().expect("a path"));
    let server =
        Process::spawn("server", server.args(["-m", "http.server", "8080"]).current_dir(dir.path()), dir.path());
    asking(&containerd, "alone", "back", "10.213.0.1:8080", NO_VARIABLE);
    let to_host = [pair("back/alone alone asker", "-/http.server - -")];
    wait_for("a pod asks the host", &steth, 0, "10.213.0.1", &to_host, SEVERAL);
    drop(server);

    // A container that says itself what it is.
    asking(&containerd, "named", "back", &first, ("OTEL_SERVICE_NAME", "till"));
    expected.push(pair("back/till named asker", web_shop));
    wait_for("a service that has named itself", &steth, 0, &first, &expected, SEVERAL);

    // Another pod gets the address of one that is gone.
    containerd.cri.remove_pod(&old.sandbox);
    containerd.forget_addresses();
    // What was under way is printed by then.
    steth.settle(Duration::from_millis(500));
    let from = steth.exchanges().len();
    let (_, _, again) = web(&containerd, "web-7d4b9c6f5-abcde", "test");
    assert_eq!(again, first, "the same address");
    // Who has asked the old one has its link address still.
    asking(&containerd, "again", "back", &first, NO_VARIABLE);
    let of_new = |client: &str| pair(client, "test/web web-7d4b9c6f5-abcde httpd");
    let clients = ["back/api api-0 asker", "back/till named asker", "back/again again asker"];
    wait_for("the new pod is asked", &steth, from, &first, &clients.map(of_new), SEVERAL);

    // The runtime is started anew, and the agent while it is away.
    let printed = serde_json::to_string(&steth.finish().exchanges).expect("text");
    containerd.stop();
    containerd.forget_addresses();
    let steth = Steth::watch(&["--config", &file]);
    containerd.start_again();
    let (_, _, third) = web(&containerd, "web-7d4b9c6f5-third", "shop");
    asking(&containerd, "late", "back", &third, NO_VARIABLE);
    let expected = [pair("back/late late asker", "shop/web web-7d4b9c6f5-third httpd")];
    wait_for("pods of the new runtime", &steth, 0, &third, &expected, SEVERAL);
    let printed = printed + &serde_json::to_string(&steth.finish().exchanges).expect("text");
    assert!(!printed.contains("hunter2"), "nothing of an environment is printed");
    let steth = Steth::watch(&["--config", &file]);
    wait_for("another agent", &steth, 0, &third, &expected, SEVERAL);
    steth.finish();
}

/// Runs the agent with rows for pods, and asks it which services it has seen.
#[test]
fn rows_of_pods_decide_by_what_the_runtime_says() {
    root_or_skip!();
    let _together = together();
    let containerd = Containerd::start();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (file, listen) = (dir.path().join("steth.yaml"), free_port());
    let rules = |namespace: &str| {
        let socket = containerd.socket();
        let selection = format!("selection: {{namespace: {{include: [^{namespace}$]}}}}");
        let text = format!("{selection}\nidentity: {{runtimes: ['cri:{}']}}\n", socket.display());
        std::fs::write(&file, text).expect("a file");
    };
    rules("shop");
    let (_, running, old) = web(&containerd, "web-7d4b9c6f5-old", "shop");
    asking(&containerd, "alone", "back", &old, NO_VARIABLE);
    let mut agent = command(env!("CARGO_BIN_EXE_steth"));
    agent.args(["run", "--listen", &format!("127.0.0.1:{listen}"), "--config"]).arg(&file);
    let mut agent = Process::spawn("run", &mut agent, dir.path());
    agent.wait_for("it is watching", LIMIT, || agent.errors().contains("watching"));

    let metrics = || {
        let body = curl(&[&format!("http://127.0.0.1:{listen}/metrics")]).body;
        String::from_utf8_lossy(&body).into_owned()
    };
    // By the side that was observed: the server's, in this namespace, and nobody's in the other.
    let seen = |family: &str, namespace: &str| {
        let labels = format!("{family}{{service_namespace=\"{namespace}\"");
        metrics().lines().any(|line| line.starts_with(&labels))
    };
    let (server, client) = ("http_server_request_duration_seconds_count", "http_client_request_duration_seconds_count");
    wait_until("what runs is observed", LIMIT, || seen(server, "shop"));
    // One that is started now is decided before its image runs, or at once when the runtime has told.
    let (_, _, new) = web(&containerd, "web-7d4b9c6f5-new", "test");
    asking(&containerd, "asker", "shop", &new, NO_VARIABLE);
    wait_until("a new pod is observed", LIMIT, || seen(client, "shop"));
    assert!(!seen(client, "back") && !seen(server, "test"), "{}", metrics());
    let explained = |pid: u32| {
        let mut doctor = command(env!("CARGO_BIN_EXE_steth"));
        run("doctor", doctor.args(["doctor", "--explain", &pid.to_string(), "--config"]).arg(&file), LIMIT).0
    };
    assert!(explained(running).contains("is selected"), "{}", explained(running));
    rules("back");
    assert!(explained(running).contains("selection.namespace.include has nothing for it"), "{}", explained(running));
    // The other rules hold for what is open.
    agent.signal(Signal::SIGHUP);
    wait_until("the other namespace is observed", LIMIT, || seen(client, "back"));
    agent.signal(Signal::SIGTERM);
    assert!(agent.wait_for_end(LIMIT).success(), "{}", agent.errors());
}
