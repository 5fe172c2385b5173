//! An API server to the letter: it says on real TCP what a test gives it, recordings above all, and breaks where it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use steth_kubernetes::{Access, Directory, Limits, Owner, Scope, Watcher};

/// A part of an answer.
pub(crate) enum Step {
    /// Bytes, as they are.
    Send(Vec<u8>),
    /// Nothing for a while.
    Pause(Duration),
    /// Nothing until the flag is up.
    Until(Arc<AtomicBool>),
    /// Nothing until the test is over.
    Hang,
}

/// A request.
pub(crate) struct Request {
    /// Path without the query.
    pub(crate) path: String,
    /// The query, escapes included.
    pub(crate) query: String,
    /// The head, in lower case.
    pub(crate) head: String,
    /// When it came.
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// A value of the query, without its escapes.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let pair = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        let mut bytes = Vec::new();
        let mut rest = pair.as_bytes();
        while let [first, more @ ..] = rest {
            if let (b'%', Some(hex)) = (first, more.get(..2)) {
                let hex = std::str::from_utf8(hex).expect("ASCII");
                bytes.push(u8::from_str_radix(hex, 16).expect("hexadecimal digits"));
                rest = &more[2..];
            } else {
                bytes.push(*first);
                rest = more;
            }
        }
        Some(String::from_utf8(bytes).expect("UTF-8"))
    }
}

/// What is said to a request, by how many came before on the same path and of the same kind (list or watch).
type Answer = dyn Fn(&Request, usize) -> Option<Vec<Step>> + Send + Sync;

/// The server; everything stops with it.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// What `answer` leaves to it is an empty list and a watch in which nothing happens.
    pub(crate) fn start(answer: impl Fn(&Request, usize) -> Option<Vec<Step>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (requests, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let shared = (requests.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let (requests, over) = shared;
            let answer: Arc<Answer> = Arc::new(answer);
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (answer, requests, over) = (answer.clone(), requests.clone(), over.clone());
                let stream = stream.expect("a connection");
                connections.push(std::thread::spawn(move || serve(stream, &*answer, &requests, &over)));
            }
            connections.into_iter().for_each(|connection| connection.join().expect("no failure while answering"));
        });
        Self { url, requests, over, thread: Some(thread) }
    }

    /// Values of the requests that came to `path`: lists or watches.
    pub(crate) fn asked<T>(&self, path: &str, watch: bool, value: impl Fn(&Request) -> T) -> Vec<T> {
        let requests = self.requests.lock().expect("no failure while answering");
        requests.iter().filter(|r| r.path == path && r.is_watch() == watch).map(value).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let joined = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            joined.expect("started").expect("no failure while answering");
        }
    }
}

fn serve(stream: TcpStream, answer: &Answer, requests: &Mutex<Vec<Request>>, over: &AtomicBool) {
    let mut lines = BufReader::new(&stream);
    let mut head = String::new();
    loop {
        let before = head.len();
        match lines.read_line(&mut head) {
            Ok(0) | Err(_) => return,
            Ok(_) if head[before..].trim().is_empty() => break,
            Ok(_) => {}
        }
    }
    let target = head.split(' ').nth(1).expect("a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request { path: path.into(), query: query.into(), head: head.to_lowercase(), at: Instant::now() };
    let (watch, path) = (request.is_watch(), request.path.clone());
    let mut all = requests.lock().expect("no failure while answering");
    let nth = all.iter().filter(|before| before.path == path && before.is_watch() == watch).count();
    let steps = answer(&request, nth).unwrap_or_else(|| if watch { events(&[], true) } else { list(&[], "1", "") });
    all.push(request);
    drop(all);
    for step in steps {
        let hung = match step {
            Step::Send(bytes) => {
                if (&stream).write_all(&bytes).is_err() {
                    return;
                }
                continue;
            }
            Step::Pause(pause) => wait_for(pause, || over.load(Ordering::Relaxed)),
            Step::Until(flag) => {
                wait_for(Duration::from_secs(60), || flag.load(Ordering::Relaxed) || over.load(Ordering::Relaxed))
            }
            Step::Hang => {
                stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
                // Until the client goes, or the test.
                let gone = || matches!((&stream).read(&mut [0]), Ok(0));
                wait_for(Duration::from_secs(60), || over.load(Ordering::Relaxed) || gone())
            }
        };
        if hung && over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn wait_for(time: Duration, condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// An answer that a real kube-apiserver gave, from its status line on.
pub(crate) fn recording(name: &str) -> Vec<u8> {
    let path = format!("{}/../../recordings/kubernetes/{name}.http", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(crate) fn recorded(name: &str) -> Option<Vec<Step>> {
    Some(vec![Step::Send(recording(name))])
}

/// The JSON of a recorded list.
pub(crate) fn content(name: &str) -> serde_json::Value {
    let bytes = recording(name);
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = &bytes[at..];
    // Large answers are chunked.
    if String::from_utf8_lossy(&bytes[..at]).contains("chunked") {
        let (mut whole, mut rest) = (Vec::new(), body);
        loop {
            let end = rest.iter().position(|byte| *byte == b'\r').expect("a chunk's length");
            let length = std::str::from_utf8(&rest[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
            let length = length.expect("hexadecimal digits");
            if length == 0 {
                return serde_json::from_slice(&whole).expect("JSON");
            }
            whole.extend_from_slice(&rest[end + 2..end + 2 + length]);
            rest = &rest[end + 4 + length..];
        }
    }
    serde_json::from_slice(body).expect("JSON")
}

/// An answer with a length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    vec![Step::Send((head + body).into_bytes())]
}

/// A list of these objects; `next`, if not empty, goes on.
pub(crate) fn list(items: &[String], version: &str, next: &str) -> Vec<Step> {
    let items = items.join(",");
    let body = format!(r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#);
    answer("200 OK", "", &body)
}

pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(crate) fn chunk(bytes: &[u8]) -> Step {
    Step::Send([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
}

/// A watch with these lines, which then is silent, or ends in good order.
pub(crate) fn events(lines: &[String], hang: bool) -> Vec<Step> {
    let mut steps = vec![Step::Send(STREAM.into())];
    steps.extend(lines.iter().map(|line| chunk(format!("{line}\n").as_bytes())));
    steps.push(if hang { Step::Hang } else { Step::Send(b"0\r\n\r\n".to_vec()) });
    steps
}

pub(crate) fn event(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

/// A running pod, as little of it as the API would give.
pub(crate) fn pod(number: u32, version: u32, ip: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"pod-{number}","namespace":"shop","uid":"00000000-0000-4000-8000-{number:012x}","resourceVersion":"{version}"}},
            "status":{{"phase":"Running","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"2026-01-01T00:00:00Z"}}}}"#
    )
    .replace('\n', "")
}

/// Short times, so that a test sees pauses pass.
pub(crate) fn quick() -> Limits {
    Limits {
        answer: Duration::from_millis(600),
        silence: Duration::from_secs(20),
        pause: (Duration::from_millis(20), Duration::from_millis(200)),
        pause_denied: Duration::from_millis(300),
        ..Limits::default()
    }
}

pub(crate) fn watch(server: &Server, limits: Limits) -> (Watcher, Directory) {
    let watcher = Watcher::start(Access::Url(server.url.clone()), Scope::Cluster, limits).expect("a thread");
    let directory = watcher.directory();
    (watcher, directory)
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

#[track_caller]
pub(crate) fn until(what: &str, directory: &Directory, condition: impl Fn() -> bool) {
    let met = wait_for(Duration::from_secs(20), condition);
    assert!(met, "not within 20 s: {what}\n{:#?}\n{:?}", directory.resources(), directory.counters());
}

/// `Kind/name of the workload, name of the pod`, or the service or node, or nothing.
pub(crate) fn whose(directory: &Directory, ip: &str, at: u64) -> String {
    named(directory.resolve(ip.parse().expect("an address"), at))
}

pub(crate) fn named(owner: Option<Owner>) -> String {
    match owner {
        None => String::new(),
        Some(Owner::Pod(of, _)) => format!("{}/{} {}", of.workload.kind, of.workload.name, of.pod.name),
        Some(Owner::Service(service, None, _)) => format!("service {}", service.name),
        Some(Owner::Service(service, Some(port), _)) => format!("service {} {port}", service.name),
        Some(Owner::Node(node)) => format!("node {}", node.name),
    }
}
