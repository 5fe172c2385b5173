//! Servers that are slow, broken or hostile, and what is kept meanwhile.

use crate::api::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use steth_kubernetes::{Access, Following, Limits, Scope, State, Watcher};

const PODS: &str = "/api/v1/pods";

/// A server with these answers for pods alone.
fn pods(answer: impl Fn(&Request, bool, usize) -> Option<Vec<Step>> + Send + Sync + 'static) -> Server {
    Server::start(move |request, nth| (request.path == PODS).then(|| answer(request, request.is_watch(), nth))?)
}

fn lists(server: &Server) -> usize {
    server.asked(PODS, false, |_| ()).len()
}

fn watched_from(server: &Server) -> Vec<String> {
    server.asked(PODS, true, |request| request.value("resourceVersion").expect("a version"))
}

fn bare(ip: &str) -> String {
    format!("Pod/{ip} {ip}").replace(ip, &format!("pod-{}", ip.rsplit('.').next().expect("a number")))
}

#[test]
fn a_stream_that_breaks_within_a_line_goes_on_behind_the_last_whole_one() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, _) => Some(list(&[pod(1, 5, "10.1.0.1")], "5", "")),
        (true, 0) => {
            let (whole, half) = (event("ADDED", &pod(2, 6, "10.1.0.2")), event("ADDED", &pod(3, 7, "10.1.0.3")));
            // The connection closes within a chunk, and within a line.
            let half = &half.as_bytes()[..half.len() / 2];
            let end = Step::Send([format!("{:x}\r\n", half.len() + 100).as_bytes(), half].concat());
            Some(vec![Step::Send(STREAM.into()), chunk(format!("{whole}\n").as_bytes()), end])
        }
        (true, 1) => {
            // The chunk and the stream end in order, the line does not.
            let half = event("ADDED", &pod(3, 7, "10.1.0.3"));
            let half = chunk(&half.as_bytes()[..half.len() / 2]);
            Some(vec![Step::Send(STREAM.into()), half, Step::Send(b"0\r\n\r\n".to_vec())])
        }
        _ => Some(events(&[event("ADDED", &pod(3, 7, "10.1.0.3"))], true)),
    });
    let (_watcher, directory) = watch(&server, quick());
    until("the third pod", &directory, || !whose(&directory, "10.1.0.3", now()).is_empty());
    for ip in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
        assert_eq!(whose(&directory, ip, now()), bare(ip));
    }
    assert_eq!(watched_from(&server), ["5", "6", "6"]);
    assert_eq!(lists(&server), 1);
}

#[test]
fn a_line_in_pieces_is_one_line() {
    let server = pods(|_, watch, _| {
        if !watch {
            return Some(list(&[], "1", ""));
        }
        let two = format!("{}\n\n{}\n", event("ADDED", &pod(1, 2, "10.1.0.1")), event("ADDED", &pod(2, 3, "10.1.0.2")));
        let mut steps = vec![Step::Send(STREAM.into())];
        steps.extend(two.as_bytes().chunks(7).map(chunk));
        steps.push(Step::Hang);
        Some(steps)
    });
    let (_watcher, directory) = watch(&server, quick());
    until("both", &directory, || !whose(&directory, "10.1.0.2", now()).is_empty());
    assert_eq!(whose(&directory, "10.1.0.1", now()), bare("10.1.0.1"));
}

#[test]
fn a_server_that_hangs_within_a_line_and_one_that_says_nothing() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, _) => Some(list(&[pod(1, 5, "10.1.0.1")], "5", "")),
        (true, 0) => Some(vec![Step::Send(STREAM.into()), chunk(b"{\"type\":\"ADD"), Step::Hang]),
        (true, 1) => Some(vec![Step::Send(STREAM.into()), Step::Hang]),
        (true, 2) => Some(vec![Step::Hang]),
        _ => Some(events(&[event("ADDED", &pod(2, 6, "10.1.0.2"))], true)),
    });
    let (_watcher, directory) = watch(&server, Limits { silence: Duration::from_secs(1), ..quick() });
    until("stale", &directory, || directory.state() == State::Stale);
    let asked = Instant::now();
    assert_eq!(whose(&directory, "10.1.0.1", now()), bare("10.1.0.1"));
    assert!(asked.elapsed() < Duration::from_millis(500), "not until it is silent: {:?}", asked.elapsed());
    until("the second pod", &directory, || !whose(&directory, "10.1.0.2", now()).is_empty());
    assert_eq!(directory.state(), State::Following);
    assert_eq!((lists(&server), watched_from(&server)), (1, vec!["5".to_string(); 4]));
}

#[test]
fn a_slow_answer_is_waited_for() {
    let server = pods(|_, watch, _| {
        if watch {
            return None;
        }
        let Some(Step::Send(bytes)) = list(&[pod(1, 5, "10.1.0.1")], "5", "").pop() else { panic!("bytes") };
        let pieces = bytes.chunks(bytes.len() / 4).map(|piece| Step::Send(piece.to_vec()));
        // Longer than the limit all in all, shorter each time.
        Some(pieces.flat_map(|piece| [Step::Pause(Duration::from_millis(250)), piece]).collect())
    });
    let (_watcher, directory) = watch(&server, quick());
    until("the list", &directory, || directory.state() == State::Following);
    assert_eq!((lists(&server), directory.counters().failures), (1, 0));
    assert_eq!(whose(&directory, "10.1.0.1", now()), bare("10.1.0.1"));
}

#[test]
fn garbage_lists_anew() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, 0) => Some(list(&[pod(1, 5, "10.1.0.1")], "5", "")),
        (true, 0) => Some(events(&[event("ADDED", &pod(2, 6, "10.1.0.2")), "\u{0}\u{7f}<html>".into()], true)),
        (false, _) => Some(list(&[pod(2, 6, "10.1.0.2"), pod(3, 7, "10.1.0.3")], "7", "")),
        (true, _) => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("a second list", &directory, || lists(&server) == 2 && directory.counters().watches >= 7);
    assert_eq!(whose(&directory, "10.1.0.3", now()), bare("10.1.0.3"));
    assert_eq!(whose(&directory, "10.1.0.1", now() + 1_000_000_000), "", "the list does not have it");
    assert_eq!(watched_from(&server), ["5", "7"]);
    assert_eq!(directory.counters().unusable, 1);
}

#[test]
fn an_answer_that_is_no_list_is_asked_for_again() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, 0) => Some(answer("200 OK", "", "<html>log in, please</html>")),
        (false, 1) => Some(answer("200 OK", "", r#"{"metadata":{},"items":null}"#)),
        (false, 2) => Some(answer("500 Internal Server Error", "", "")),
        (false, 3) => Some(vec![]),
        (false, 4) => Some(vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_vec())]),
        (false, 5) => Some(vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_vec()), Step::Hang]),
        (false, _) => Some(list(&[pod(1, 5, "10.1.0.1")], "5", "")),
        (true, _) => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("the list", &directory, || !whose(&directory, "10.1.0.1", now()).is_empty());
    assert_eq!((lists(&server), directory.counters().failures), (7, 6));
}

#[test]
fn a_line_of_10_megabytes_is_skipped_and_made_up_for_by_a_list() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, 0) => Some(list(&[], "5", "")),
        (true, 0) => {
            let big = pod(1, 6, "10.1.0.1")
                .replace("\"metadata\"", &format!("\"x\":\"{}\",\"metadata\"", "y".repeat(10 << 20)));
            Some(events(&[event("ADDED", &big), event("ADDED", &pod(2, 7, "10.1.0.2"))], false))
        }
        (false, _) => Some(list(&[pod(1, 6, "10.1.0.1"), pod(2, 7, "10.1.0.2")], "7", "")),
        (true, _) => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("what came behind it", &directory, || !whose(&directory, "10.1.0.2", now()).is_empty());
    until("a second list", &directory, || !whose(&directory, "10.1.0.1", now()).is_empty());
    assert_eq!(directory.counters().oversized, 1);
    assert_eq!(lists(&server), 2);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let server = pods(|request, watch, _| {
        if watch {
            return None;
        }
        let limit: u32 = request.value("limit")?.parse().ok()?;
        let from: u32 = request.value("continue").map_or(0, |token| token.parse().expect("a number"));
        let items: Vec<_> = (from..(from + limit).min(40)).map(|n| pod(n, 5, &format!("10.1.0.{n}"))).collect();
        let next = if from + limit < 40 { (from + limit).to_string() } else { String::new() };
        Some(list(&items, "5", &next))
    });
    let (_watcher, directory) = watch(&server, Limits { items: 16, page: 2000, ..quick() });
    until("the list", &directory, || directory.state() == State::Following);
    assert_eq!(directory.sizes()[0], 40);
    assert!(directory.counters().oversized >= 1);
}

#[test]
fn a_list_without_an_end_is_given_up() {
    let server = pods(|_, watch, _| (!watch).then(|| list(&[pod(1, 5, "10.1.0.1")], "5", "again")));
    let (_watcher, directory) = watch(&server, quick());
    let pods = || directory.resources().into_iter().find(|resource| resource.resource == "pods").expect("pods");
    until("an error", &directory, || pods().error.is_some_and(|error| error.contains("no end")));
    assert_eq!(pods().following, Following::Starting);
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, 0) => Some(answer("429 Too Many Requests", "Retry-After: 1\r\n", "")),
        (false, 1) => Some(answer("503 Service Unavailable", "Retry-After: 1\r\n", "")),
        _ => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("the list", &directory, || directory.state() == State::Following);
    let times = server.asked(PODS, false, |request| request.at);
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(1), "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn a_watch_that_ends_at_once_each_time_is_not_asked_for_without_a_pause() {
    let server = pods(|_, watch, _| watch.then(|| events(&[], false)));
    let (_watcher, directory) = watch(&server, quick());
    until("some watches", &directory, || watched_from(&server).len() >= 4);
    std::thread::sleep(Duration::from_secs(1));
    let watches = watched_from(&server).len();
    assert!(watches < 25, "{watches}");
    assert_eq!(lists(&server), 1);
}

#[test]
fn an_error_in_the_stream_that_is_not_410_goes_on_from_where_it_was() {
    let error = r#"{"kind":"Status","status":"Failure","message":"etcdserver: leader changed","code":500}"#;
    let server = pods(move |_, watch, nth| match (watch, nth) {
        (false, _) => Some(list(&[], "5", "")),
        (true, 0) => Some(events(&[event("ADDED", &pod(1, 6, "10.1.0.1")), event("ERROR", error)], false)),
        _ => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("a second watch", &directory, || watched_from(&server).len() == 2);
    assert_eq!(watched_from(&server), ["5", "6"]);
    assert_eq!(lists(&server), 1);
}

#[test]
fn objects_that_make_no_sense_are_counted_and_the_rest_is_read() {
    let odd = [
        "{}".to_string(),
        "null".into(),
        "17".into(),
        pod(1, 5, "10.1.0.1").replace("00000000-0000-4000", "not-a-uuid"),
        pod(2, 5, "10.1.0.2").replace("\"pod-2\"", &format!("\"{}\"", "n".repeat(5000))),
        pod(3, 5, "not an address"),
        pod(4, 5, "127.0.0.1"),
        pod(5, 5, "10.1.0.5").replace("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
        pod(6, 5, "10.1.0.6").replace("2026-01-01T00:00:00Z", "yesterday"),
    ];
    let server = pods(move |_, watch, _| (!watch).then(|| list(&odd, "5", "")));
    let (_watcher, directory) = watch(&server, quick());
    until("the list", &directory, || directory.state() == State::Following);
    assert_eq!(directory.counters().unusable, 5);
    assert_eq!(directory.sizes()[0], 4);
    assert_eq!(whose(&directory, "127.0.0.1", now()), "");
    // A start that is to come, or cannot be read, is when it was seen.
    assert_eq!(whose(&directory, "10.1.0.5", now()), bare("10.1.0.5"));
    assert_eq!(whose(&directory, "10.1.0.6", now()), bare("10.1.0.6"));
}

#[test]
fn a_full_table_refuses_what_is_new_and_keeps_what_it_has() {
    let items: Vec<_> = (0..50).map(|n| pod(n, 5, &format!("10.1.0.{n}"))).collect();
    let server = pods(move |_, watch, _| (!watch).then(|| list(&items, "5", "")));
    let (_watcher, directory) = watch(&server, Limits { pods: 20, ..quick() });
    until("the list", &directory, || directory.state() == State::Following);
    assert_eq!((directory.sizes()[0], directory.counters().refused), (20, 30));
    assert_eq!(whose(&directory, "10.1.0.19", now()), bare("10.1.0.19"));
    assert_eq!(whose(&directory, "10.1.0.20", now()), "");
}

#[test]
fn endpoint_slices_of_version_1() {
    // From the API's reference: the recorded server is older than this version.
    let slice = r#"{"metadata":{"name":"old-1","namespace":"shop","uid":"00000000-0000-4000-9000-000000000001",
        "labels":{"kubernetes.io/service-name":"old"}},"addressType":"IPv6","ports":[{"name":"","port":1521,"protocol":"TCP"}],
        "endpoints":[{"addresses":["2001:db8::10"],"conditions":{"ready":true,"serving":true,"terminating":false},
        "nodeName":"n","zone":"z","hints":{"forZones":[{"name":"z"}]}}]}"#;
    let service = r#"{"metadata":{"name":"old","namespace":"shop","uid":"00000000-0000-4000-9000-000000000002"},"spec":{"clusterIP":"None"}}"#;
    let server = Server::start(move |request, _| match (&*request.path, request.is_watch()) {
        ("/apis/discovery.k8s.io/v1/endpointslices", false) => Some(list(&[slice.into()], "1", "")),
        ("/api/v1/services", false) => Some(list(&[service.into()], "1", "")),
        _ => None,
    });
    let (_watcher, directory) = watch(&server, quick());
    until("the lists", &directory, || directory.state() == State::Following);
    assert_eq!(whose(&directory, "2001:db8::10", now()), "service old");
    assert!(server.asked("/apis/discovery.k8s.io/v1beta1/endpointslices", false, |_| ()).is_empty());
}

#[test]
fn one_nodes_pods_only() {
    let server = Server::start(|_, _| None);
    let scope = Scope::Node("node-a".into());
    let watcher = Watcher::start(Access::Url(server.url.clone()), scope, quick()).expect("a thread");
    until("the lists", &watcher.directory(), || watcher.directory().counters().watches == 6);
    for watch in [false, true] {
        let selectors = server.asked(PODS, watch, |request| request.value("fieldSelector"));
        assert_eq!(selectors, [Some("spec.nodeName=node-a".to_string())]);
        let others = server.asked("/api/v1/nodes", watch, |request| request.value("fieldSelector"));
        assert_eq!(others, [None]);
    }
}

#[test]
fn the_token_of_a_kubeconfig_is_sent() {
    let server = Server::start(|_, _| None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{}'}}}}]\nusers: [{{name: u, user: {{token: s3cret}}}}]\n",
        server.url
    );
    std::fs::write(&path, text).expect("written");
    let watcher = Watcher::start(Access::Kubeconfig(path), Scope::Cluster, quick()).expect("a thread");
    until("the lists", &watcher.directory(), || watcher.directory().state() == State::Following);
    assert_eq!(server.asked(PODS, false, |request| request.head.contains("authorization: bearer s3cret")), [true]);
}

#[test]
fn what_cannot_be_used_says_why_and_is_not_tried() {
    for (access, part) in [
        (Access::Url("ftp://somewhere".into()), "is not the URL"),
        (Access::Kubeconfig("/nowhere/config".into()), "/nowhere/config"),
    ] {
        let watcher = Watcher::start(access, Scope::Cluster, quick()).expect("a thread");
        let directory = watcher.directory();
        until("refused", &directory, || matches!(directory.state(), State::Unusable(why) if why.contains(part)));
    }
}

#[test]
fn a_server_that_is_not_there_is_starting_and_the_end_does_not_wait() {
    let watcher = Watcher::start(Access::Url("http://127.0.0.1:9".into()), Scope::Cluster, quick()).expect("a thread");
    let directory = watcher.directory();
    until("a failure", &directory, || directory.counters().failures >= 6);
    assert_eq!(directory.state(), State::Starting);
    let begun = Instant::now();
    drop(watcher);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(directory.state(), State::Stopped);
}

#[test]
fn it_ends_while_a_server_hangs() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let server = Server::start(move |_, _| {
        seen.store(true, Ordering::Relaxed);
        Some(vec![Step::Hang])
    });
    let (watcher, directory) = watch(&server, Limits::default());
    until("a request", &directory, || asked.load(Ordering::Relaxed));
    let begun = Instant::now();
    drop(watcher);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_token_that_is_renewed_is_tried_without_the_long_pause() {
    let server = pods(|_, watch, nth| match (watch, nth) {
        (false, 0 | 1) => Some(answer("401 Unauthorized", "", "")),
        _ => None,
    });
    let limits = Limits { pause_denied: Duration::from_secs(300), ..quick() };
    let (_watcher, directory) = watch(&server, limits);
    until("the list", &directory, || {
        directory.resources().iter().all(|resource| resource.following == Following::Current)
    });
    assert_eq!(lists(&server), 3);
}
