//! Measures a large cluster: `crowd [PODS]`, 100,000 if nothing is said. Serves the lists itself on loopback, follows them, and
//! prints the memory that a pod takes, how long the list took, and what look-ups cost meanwhile and afterwards.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};
use steth_kubernetes::{Access, Limits, Scope, State, Watcher};

const OF_A_DEPLOYMENT: usize = 10;
const OF_A_NODE: usize = 50;

/// A pod about as the API writes it: two containers, eight labels, and as much that is not read.
fn pod(n: usize) -> String {
    let (set, node, ip) = (n / OF_A_DEPLOYMENT, n / OF_A_NODE, address(n));
    let name = format!("service-{set}-5d9c7b6f4-{n:05x}");
    let unread = "x".repeat(3000);
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"team-{}","uid":"{n:08x}-0000-4000-8000-000000000001","resourceVersion":"{n}",
        "labels":{{"app":"service-{set}","app.kubernetes.io/name":"service-{set}","app.kubernetes.io/instance":"service-{set}-live",
        "app.kubernetes.io/part-of":"shop","app.kubernetes.io/managed-by":"Helm","pod-template-hash":"5d9c7b6f4","team":"team-{}","tier":"backend"}},
        "ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"service-{set}-5d9c7b6f4","uid":"{set:08x}-0000-4000-8000-000000000002","controller":true}}],
        "managedFields":[{{"manager":"{unread}"}}]}},
        "spec":{{"nodeName":"node-{node}","containers":[{{"name":"service","ports":[{{"containerPort":8080}}]}},{{"name":"proxy"}}]}},
        "status":{{"phase":"Running","hostIP":"10.200.0.1","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}],"startTime":"2026-01-01T00:00:00Z",
        "containerStatuses":[{{"name":"service","containerID":"containerd://{n:064x}","state":{{}},"lastState":{{}}}},
        {{"name":"proxy","containerID":"containerd://{n:063x}f","state":{{}},"lastState":{{}}}}]}}}}"#,
        set % 100,
        set % 100
    )
    .replace('\n', "")
}

fn set(n: usize) -> String {
    format!(
        r#"{{"metadata":{{"name":"service-{n}-5d9c7b6f4","namespace":"team-{}","uid":"{n:08x}-0000-4000-8000-000000000002",
        "ownerReferences":[{{"apiVersion":"apps/v1","kind":"Deployment","name":"service-{n}","uid":"{n:08x}-0000-4000-8000-000000000003","controller":true}}]}}}}"#,
        n % 100
    )
}

fn slice(n: usize) -> String {
    let all: Vec<_> = (n * OF_A_DEPLOYMENT..(n + 1) * OF_A_DEPLOYMENT)
        .map(|n| format!(r#"{{"addresses":["{}"],"targetRef":{{"kind":"Pod"}}}}"#, address(n)))
        .collect();
    format!(
        r#"{{"metadata":{{"name":"service-{n}-x","namespace":"team-{}","uid":"{n:08x}-0000-4000-8000-000000000004",
        "labels":{{"kubernetes.io/service-name":"service-{n}"}}}},"endpoints":[{}]}}"#,
        n % 100,
        all.join(",")
    )
}

fn address(n: usize) -> IpAddr {
    let n = u32::try_from(n).expect("fewer than 16 million");
    IpAddr::from((0x0a00_0000 | n).to_be_bytes())
}

fn serve(stream: TcpStream, pods: usize) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        if head.contains("watch=true") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            std::thread::sleep(Duration::from_secs(3600));
        }
        let (total, item): (usize, fn(usize) -> String) = if head.contains("/pods?") {
            (pods, pod)
        } else if head.contains("/replicasets?") {
            (pods / OF_A_DEPLOYMENT, set)
        } else if head.contains("/endpointslices?") {
            (pods / OF_A_DEPLOYMENT, slice)
        } else {
            (0, pod)
        };
        let from = head.split("continue=").nth(1).map_or(0, |rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        });
        let end = (from + 500).min(total);
        let next = if end < total { end.to_string() } else { String::new() };
        let items: Vec<_> = (from..end).map(item).collect();
        let items = items.join(",");
        let body = format!(r#"{{"metadata":{{"resourceVersion":"1","continue":"{next}"}},"items":[{items}]}}"#);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let pods: usize = words.next().map_or(Ok(100_000), |word| word.parse())?;
    // The server is a process of its own, so that its memory is not counted.
    if let Some(port) = words.next() {
        let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
        for stream in listener.incoming() {
            let stream = stream?;
            std::thread::spawn(move || serve(stream, pods));
        }
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server =
        std::process::Command::new(std::env::current_exe()?).args([pods.to_string(), port.to_string()]).spawn()?;
    let measured = measure(pods, port);
    server.kill()?;
    server.wait()?;
    measured
}

fn measure(pods: usize, port: u16) -> Result<(), Box<dyn std::error::Error>> {
    std::thread::sleep(Duration::from_millis(300));
    let (before, begun) = (resident(), Instant::now());
    let watcher = Watcher::start(Access::Url(format!("http://127.0.0.1:{port}")), Scope::Cluster, Limits::default())?;
    let directory = watcher.directory();
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_nanos());
    let (mut slowest, mut asked, mut n) = (Duration::ZERO, 0u64, 0);
    while directory.state() != State::Following {
        let at = u64::try_from(now()?)?;
        for _ in 0..1000 {
            let one = Instant::now();
            std::hint::black_box(directory.resolve(address(n % pods), at));
            slowest = slowest.max(one.elapsed());
            (n, asked) = (n + 7919, asked + 1);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("listed in {:?}; {asked} look-ups meanwhile, the slowest took {slowest:?}", begun.elapsed());
    println!("kept {:?}, {:?}", directory.sizes(), directory.counters());
    let grown = resident().saturating_sub(before);
    println!("{} MiB resident, {} bytes for each pod", grown >> 20, grown / u64::try_from(pods)?);
    let (at, begun) = (u64::try_from(now()?)?, Instant::now());
    let found = (0..1_000_000).filter(|_| {
        n += 7919;
        directory.resolve(address(n % pods), at).is_some()
    });
    let found = found.count();
    println!("{found} of a million look-ups found, {:?} each", begun.elapsed() / 1_000_000);
    Ok(())
}
