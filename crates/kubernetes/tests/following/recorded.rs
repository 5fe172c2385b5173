//! What a real kube-apiserver said (`recordings/kubernetes`), over TCP, byte by byte.

use crate::api::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use steth_kubernetes::{ContainerId, Directory, Evidence, Following, Limits, Owner, State, Transport, Uid};

/// The recorded cluster; its watches wait for `go`, then say what was recorded, and then nothing more.
fn cluster(
    go: &Arc<AtomicBool>,
    change: impl Fn(&Request, usize) -> Option<Vec<Step>> + Send + Sync + 'static,
) -> Server {
    let go = go.clone();
    let tokens: Vec<_> =
        (1..=2).map(|page| content(&format!("pods-page-{page}"))["metadata"]["continue"].clone()).collect();
    Server::start(move |request, nth| {
        if let Some(steps) = change(request, nth) {
            return Some(steps);
        }
        let name = match &*request.path {
            "/apis/discovery.k8s.io/v1/endpointslices" => return recorded("endpointslices-v1-404"),
            "/apis/discovery.k8s.io/v1beta1/endpointslices" => "endpointslices-v1beta1",
            path => path.rsplit('/').next().expect("a last part"),
        };
        let name = name.to_string();
        if request.is_watch() && nth > 0 {
            return None;
        }
        if request.is_watch() {
            return Some(vec![Step::Until(go.clone()), Step::Send(recording(&format!("{name}-watch"))), Step::Hang]);
        }
        if name != "pods" {
            return recorded(&format!("{name}-list"));
        }
        let page = match request.value("continue") {
            None => 1,
            Some(token) => 2 + tokens.iter().position(|known| *known == token).expect("a token that was given"),
        };
        assert_eq!(request.value("limit").as_deref(), Some("4"));
        recorded(&format!("pods-page-{page}"))
    })
}

fn in_pages() -> Limits {
    Limits { items: 4, ..quick() }
}

fn on_port(directory: &Directory, ip: &str, port: u16) -> String {
    named(directory.resolve_port(ip.parse().expect("an address"), port, Transport::Tcp, now()))
}

#[test]
fn addresses_of_pods_services_and_nodes() {
    let go = Arc::new(AtomicBool::new(false));
    let server = cluster(&go, |_, _| None);
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.counters().lists == 6);

    for (ip, owner) in [
        ("10.1.0.5", "Deployment/cart cart-5d9c7b6f4-x0"),
        ("fd00:1::5", "Deployment/cart cart-5d9c7b6f4-x0"),
        ("::ffff:10.1.0.5", "Deployment/cart cart-5d9c7b6f4-x0"),
        ("10.1.1.5", "Deployment/cart cart-5d9c7b6f4-x1"),
        ("10.1.0.6", "StatefulSet/db db-0"),
        ("10.1.1.7", "ReplicationController/old old-1"),
        ("10.1.1.8", "KafkaNodePool/custom custom-0"),
        ("10.1.1.9", "Pod/bare bare"),
        ("10.1.1.6", ""), // had ended long before
        ("10.96.0.10", "service cart"),
        ("10.96.0.11", "service web"),
        ("198.51.100.7", ""), // of two services: only a port tells
        ("198.51.100.8", "service mqtt"),
        ("192.0.2.10", "service legacy"),
        ("10.0.0.11", "node node-a"),
        ("203.0.113.12", "node node-b"),
        ("10.9.9.9", ""),
    ] {
        assert_eq!(whose(&directory, ip, now()), owner, "{ip}");
    }
    for (ip, port, owner) in [
        ("10.1.0.5", 1, "Deployment/cart cart-5d9c7b6f4-x0"),
        ("10.96.0.10", 80, "service cart http"),
        ("10.96.0.10", 9000, "service cart admin"),
        ("10.96.0.10", 81, "service cart"),
        ("198.51.100.7", 443, "service web https"),
        ("198.51.100.7", 1883, "service mqtt mqtt"),
        ("198.51.100.7", 80, ""),
        ("10.0.0.12", 30443, "service web https"),
        ("10.0.0.11", 9100, "DaemonSet/exporter exporter-aa"),
        ("203.0.113.11", 9100, "DaemonSet/exporter exporter-aa"),
        ("10.0.0.11", 10256, "Pod/kube-proxy-node-a kube-proxy-node-a"),
        ("10.0.0.12", 9100, "node node-b"),
        ("10.0.0.11", 8080, "node node-a"),
    ] {
        assert_eq!(on_port(&directory, ip, port), owner, "{ip} {port}");
    }
    let udp = directory.resolve_port("10.0.0.11".parse().expect("an address"), 9100, Transport::Udp, now());
    assert_eq!(named(udp), "node node-a");
    for page in 1..=3 {
        for item in content(&format!("pods-page-{page}"))["items"].as_array().expect("items") {
            let uid = Uid::parse(item["metadata"]["uid"].as_str().expect("a uid")).expect("a UUID");
            let found = directory.pod_by_uid(uid).map(|found| found.pod.name.to_string());
            let ended = item["status"]["phase"] == "Succeeded";
            assert_eq!(found.as_deref(), item["metadata"]["name"].as_str().filter(|_| !ended));
        }
    }
    assert_eq!(directory.backends("shop", "cart").len(), 2);
    let behind = |ip: &str, port: u16| {
        let owner = directory.resolve_port(ip.parse().expect("an address"), port, Transport::Tcp, now());
        let Some(Owner::Service(service, name, _)) = owner else { panic!("{ip} is no service's: {owner:?}") };
        let behind = directory.behind(&service, Some((name.as_deref(), Transport::Tcp)))?;
        Some((behind.workload.kind.to_string(), behind.workload.name.to_string(), behind.port))
    };
    // The recorded slices were made by hand: they do not call the port as the service does.
    assert_eq!(behind("10.96.0.10", 80), Some(("Deployment".into(), "cart".into(), None)));
    assert_eq!(behind("10.96.0.11", 443), None, "nothing is listed behind it");
    assert_eq!(behind("10.96.0.13", 1521), None, "what is listed there is outside of the cluster");
    let whole = directory.resolve("10.1.0.5".parse().expect("an address"), now()).expect("a pod");
    let since = directory.since("10.1.0.5".parse().expect("an address"), &whole, now()).expect("it is known");
    assert!(since <= now() && since > 0 && now() - since > 1_000_000_000, "by its own word it began long ago: {since}");
    let services = |ip: &str| directory.services_of(ip.parse().expect("an address"));
    assert_eq!(services("10.1.0.5"), [("shop".into(), "cart".into())]);
    assert_eq!(services("192.0.2.10"), [("shop".into(), "legacy".into())]);
    assert!(services("10.1.1.9").is_empty());
}

#[test]
fn both_addresses_of_a_dual_stack_service() {
    let server = cluster(&Arc::default(), |_, _| None);
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.counters().lists == 6);
    let services = content("services-list");
    let cart = services["items"].as_array().expect("items").iter().find(|item| item["metadata"]["name"] == "cart");
    let addresses = cart.expect("cart")["spec"]["clusterIPs"].as_array().expect("addresses").clone();
    assert_eq!(addresses.len(), 2);
    for ip in addresses {
        assert_eq!(whose(&directory, ip.as_str().expect("text"), now()), "service cart");
    }
}

#[test]
fn what_naming_needs_of_a_pod() {
    let server = cluster(&Arc::default(), |_, _| None);
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.counters().lists == 6);
    let Some(Owner::Pod(cart, Evidence::Address)) = directory.resolve("10.1.0.5".parse().expect("an address"), now())
    else {
        panic!("a pod")
    };
    assert_eq!((&*cart.pod.namespace, cart.pod.node.as_deref()), ("shop", Some("node-a")));
    assert_eq!(cart.pod.service_name.as_deref(), Some("shop-cart"));
    assert_eq!(cart.pod.label("app.kubernetes.io/name"), Some("cart"));
    assert_eq!(cart.pod.label("app.kubernetes.io/instance"), Some("cart-live"));
    assert_eq!(cart.pod.label("app.kubernetes.io/part-of"), None);
    let names: Vec<_> = cart.pod.containers.iter().map(|container| &*container.name).collect();
    assert_eq!(names, ["cart", "proxy"]);
    let id = cart.pod.containers[1].id.expect("started");
    let (of, name) = directory.pod_by_container(id).expect("its pod");
    assert_eq!((&of, &*name), (&cart, "proxy"));
    let written = ContainerId::parse(&format!("containerd://{id}")).expect("an id");
    assert_eq!(directory.pod_by_container(written).map(|(of, _)| of), Some(cart));

    // By the uid in its cgroup, which is not the one in the API.
    let Some(Owner::Pod(fixed, Evidence::DeclaredPort)) =
        directory.resolve_port("10.0.0.11".parse().expect("an address"), 10256, Transport::Tcp, now())
    else {
        panic!("a pod")
    };
    let hash = fixed.pod.static_uid.expect("a static pod");
    assert_ne!(hash, fixed.pod.uid);
    assert_eq!(directory.pod_by_uid(hash), Some(fixed));
}

#[test]
fn what_a_watch_brings() {
    let go = Arc::new(AtomicBool::new(false));
    let server = cluster(&go, |_, _| None);
    let (_watcher, directory) = watch(&server, in_pages());
    until("watching", &directory, || directory.state() == State::Following && directory.counters().lists == 6);
    let (before, generation) = (now(), directory.generation());
    assert_eq!(whose(&directory, "10.1.1.7", before), "ReplicationController/old old-1");
    go.store(true, Ordering::Relaxed);
    // The recorded watches end in good order; the next ones go on from the last bookmark.
    until("the second watches", &directory, || directory.counters().watches == 12);
    assert!(directory.generation() > generation);
    assert!(directory.counters().bookmarks >= 6, "{:?}", directory.counters());
    assert_eq!(directory.counters().unusable, 0);

    let after = now();
    assert_eq!(whose(&directory, "10.1.1.7", after), "Deployment/cart cart-5d9c7b6f4-x9");
    let start = "2026-11-28T10:20:00Z".parse::<jiff::Timestamp>().expect("a time").as_nanosecond();
    let earlier = u64::try_from(start).expect("after 1970"); // old-1 had the address, x9 did not yet
    assert_eq!(whose(&directory, "10.1.1.7", earlier), "ReplicationController/old old-1");
    assert_eq!(whose(&directory, "10.1.1.9", before), "Pod/bare bare");
    assert_eq!(whose(&directory, "10.1.1.9", after + 1_000_000_000), "");
    assert_eq!(whose(&directory, "198.51.100.7", after + 1_000_000_000), "service web");
    assert_eq!(whose(&directory, "10.96.0.14", after), "service late");
    assert_eq!(whose(&directory, "10.0.0.13", after), "node node-c");
    assert!(directory.services_of("10.1.0.6".parse().expect("an address")).is_empty());

    let last = |path: &str| server.asked(path, true, |request| request.value("resourceVersion")).pop().flatten();
    let text = String::from_utf8(recording("pods-watch")).expect("UTF-8");
    let bookmark = text.lines().rfind(|line| line.contains("BOOKMARK")).expect("a bookmark");
    let version = last("/api/v1/pods").expect("a version");
    assert!(bookmark.contains(&format!(r#""resourceVersion":"{version}""#)), "{version}: {bookmark}");
    assert_eq!(server.asked("/api/v1/pods", false, |_| ()).len(), 3, "nothing was listed anew");
}

#[test]
fn metadata_alone_is_asked_for_of_replica_sets_and_jobs() {
    let server = cluster(&Arc::new(AtomicBool::new(true)), |_, _| None);
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.counters().watches >= 6);
    let accepts = |path: &str, watch, part: &str| {
        let mut found = server.asked(path, watch, |request| request.head.contains(part));
        found.dedup();
        found
    };
    for path in ["/apis/apps/v1/replicasets", "/apis/batch/v1/jobs"] {
        assert_eq!(accepts(path, false, "as=partialobjectmetadatalist;g=meta.k8s.io;v=v1"), [true]);
        assert_eq!(accepts(path, true, "as=partialobjectmetadata;g=meta.k8s.io;v=v1"), [true]);
    }
    assert_eq!(accepts("/api/v1/pods", true, "as=partial"), [false]);
}

#[test]
fn without_the_right_to_one_resource_the_others_go_on() {
    let server = cluster(&Arc::default(), |request, _| {
        (request.path == "/apis/apps/v1/replicasets").then(|| recorded("replicasets-403"))?
    });
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.state() == State::Following);
    let denied: Vec<_> =
        directory.resources().into_iter().filter(|resource| resource.following == Following::Denied).collect();
    assert_eq!((denied.len(), denied[0].resource), (1, "replicasets"));
    let error = denied[0].error.as_deref().expect("a reason");
    assert!(error.contains("403") && error.contains("cannot list resource"), "{error}");
    // The Deployment's own label names it all the same.
    assert_eq!(whose(&directory, "10.1.0.5", now()), "Deployment/cart cart-5d9c7b6f4-x0");
    until("asked again", &directory, || server.asked("/apis/apps/v1/replicasets", false, |_| ()).len() >= 2);
}

#[test]
fn a_token_that_is_not_accepted() {
    let server =
        cluster(&Arc::default(), |request, _| (request.path == "/api/v1/pods").then(|| recorded("pods-401"))?);
    let (_watcher, directory) = watch(&server, in_pages());
    until("following the rest", &directory, || directory.state() == State::Following);
    let pods = directory.resources().into_iter().find(|resource| resource.resource == "pods").expect("pods");
    assert_eq!(pods.following, Following::Denied);
    assert!(pods.error.as_deref().is_some_and(|error| error.contains("401")), "{pods:?}");
    assert_eq!(whose(&directory, "10.96.0.10", now()), "service cart");
}

#[test]
fn a_continue_token_that_expired_begins_the_list_anew() {
    let server = cluster(&Arc::default(), |request, nth| match (&*request.path, request.is_watch(), nth) {
        ("/api/v1/pods", false, 0) => recorded("pods-expiring-page-1"),
        ("/api/v1/pods", false, 1) => {
            let token = content("pods-expiring-page-1")["metadata"]["continue"].clone();
            assert_eq!(request.value("continue"), token.as_str().map(str::to_string));
            recorded("pods-list-410")
        }
        ("/api/v1/pods", false, _) => recorded("pods-relist"),
        _ => None,
    });
    let (_watcher, directory) = watch(&server, in_pages());
    until("following", &directory, || directory.state() == State::Following);
    assert_eq!(directory.counters().gone, 1);
    assert_eq!(
        server.asked("/api/v1/pods", false, |request| request.value("continue").is_some()),
        [false, true, false]
    );
    assert_eq!(whose(&directory, "10.1.1.7", now()), "Deployment/cart cart-5d9c7b6f4-x9");
}

#[test]
fn a_version_that_is_too_old_lists_anew_and_drops_nothing_until_the_list_is_whole() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let server = cluster(&Arc::default(), move |request, nth| match (&*request.path, request.is_watch(), nth) {
        ("/api/v1/pods", true, 0) => recorded("pods-watch-410"),
        ("/api/v1/pods", false, 3) => Some(vec![Step::Until(gate.clone()), Step::Send(recording("pods-relist"))]),
        _ => None,
    });
    let patient = Limits { answer: std::time::Duration::from_secs(20), ..in_pages() };
    let (_watcher, directory) = watch(&server, patient);
    until("410", &directory, || directory.counters().gone == 1);
    until("the second list", &directory, || server.asked("/api/v1/pods", false, |_| ()).len() == 4);
    assert_eq!(whose(&directory, "10.1.1.7", now()), "ReplicationController/old old-1");
    go.store(true, Ordering::Relaxed);
    until("the new list", &directory, || whose(&directory, "10.1.1.7", now()).starts_with("Deployment/cart"));
    assert_eq!(whose(&directory, "10.1.0.5", now()), "Deployment/cart cart-5d9c7b6f4-x0");
}
