//! What exchanges become in windows, and what is kept of them one by one.

use super::*;
use crate::pipeline::{self, Pipeline, Selected};
use steth_event::{
    Books, CHUNK_TURN, Chunk, Container, IntoBytes as _, LISTEN_BEGINS, Listen, LookUp, Open, Pod, Process, RECEIVE,
    ROLE_SERVER, SEND, Tick, Workload, kind,
};

const SECOND: u64 = 1_000_000_000;

/// One exchange at a server that is a process in a container.
fn exchange(connection: u64, tgid: u32) -> [Vec<u8>; 3] {
    let open = Open { kind: kind::OPEN, role: ROLE_SERVER, tgid, connection, ..Open::default() };
    let chunk = |direction, bytes: &[u8], opposite| {
        let (length, captured) = (bytes.len() as u32, bytes.len() as u16);
        let head = Chunk {
            kind: kind::CHUNK,
            direction,
            protocol: 1,
            flags: CHUNK_TURN,
            tgid,
            connection,
            ..Chunk::default()
        };
        let chunk = Chunk { time: 1, opposite, length, captured, role: ROLE_SERVER, ..head };
        [chunk.as_bytes(), bytes].concat()
    };
    let (request, response) = (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n");
    [open.as_bytes().to_vec(), chunk(RECEIVE, request, 0), chunk(SEND, response, request.len() as u64)]
}

fn process(pid: u32, container: &str) -> Vec<u8> {
    Process { pid, name: "nginx".into(), container: Some(container.into()), ..Process::default() }.to_record()
}

fn container(id: &str, look_up: LookUp) -> Vec<u8> {
    let known = look_up == LookUp::Done;
    let pod = Pod { name: "web-1".into(), namespace: "shop".into(), ..Pod::default() };
    let workload = Workload { kind: "Deployment".into(), name: "web".into() };
    let container = Container { id: id.into(), look_up, ..Container::default() };
    Container { pod: known.then_some(pod), workload: known.then_some(workload), ..container }.to_record()
}

fn tick(milliseconds: u64) -> Vec<u8> {
    Tick { kind: kind::TICK, time: milliseconds * 1_000_000, ..Tick::default() }.as_bytes().to_vec()
}

#[test]
fn what_the_runtime_says_late_is_joined_before_the_window_closes() {
    let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
    let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter.with_requests(1));
    let records = |pipeline: &mut Pipeline<Counter>, records: Vec<Vec<u8>>| {
        records.iter().for_each(|record| pipeline.record(record));
    };
    // Two containers, of which one stays unknown; the first exchanges do not wait for ever.
    records(&mut pipeline, vec![container("c", LookUp::UnderWay), process(7, "c")]);
    records(&mut pipeline, vec![container("d", LookUp::UnderWay), process(8, "d")]);
    records(&mut pipeline, exchange(1, 7).into());
    records(&mut pipeline, exchange(2, 8).into());
    records(&mut pipeline, vec![tick(100), tick(200)]);
    let servers = |window: &Window| {
        let mut all: Vec<_> = window
            .rows
            .iter()
            .map(|row| (row.labels.server.to_string(), row.totals.count, row.labels.provisional))
            .collect();
        all.sort();
        all
    };
    let (counter, tables) = pipeline.observer_and_tables();
    let so_far = counter.snapshot(SECOND, tables);
    assert_eq!(servers(&so_far), [("nginx".to_owned(), 1, true), ("nginx".to_owned(), 1, true)]);
    let kept = |counter: &mut Counter, service: &str| {
        let kept = counter.requests(SECOND).and_then(Requests::snapshot).expect("some are new");
        kept.iter().filter(|kept| kept.sample.is_of(service)).count()
    };
    assert_eq!(kept(counter, "nginx"), 2);
    records(&mut pipeline, vec![container("c", LookUp::Done)]);
    records(&mut pipeline, exchange(3, 7).into());
    records(&mut pipeline, vec![tick(300)]);
    let (counter, tables) = pipeline.observer_and_tables();
    let window = counter.roll(11 * SECOND, tables).expect("a window");
    assert_eq!(kept(counter, "web"), 2, "that of before it was known, too");
    assert_eq!(servers(&window), [("nginx".to_owned(), 1, false), ("shop/web".to_owned(), 2, false)]);
    let ids = |row: &steth_window::Row| row.labels.key.server == EntityId::of(&row.labels.server);
    assert!(window.rows.iter().all(ids), "the id is that of the name");
}

#[test]
fn a_request_that_is_kept_has_the_state_of_its_connection_and_how_old_that_is() {
    let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
    let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter.with_requests(1));
    let [_, request, response] = exchange(1, 7);
    let open = Open {
        kind: kind::OPEN,
        role: ROLE_SERVER,
        tgid: 7,
        connection: 1,
        transport: 6,
        family: 2,
        ..Open::default()
    };
    // The exchange's times are 1.
    let books = Books {
        kind: kind::PROGRESS,
        connection: 1,
        srtt_us: 90,
        unacked: 5,
        congestion: 10 | 4 << 24,
        ..Books::default()
    };
    pipeline.record(open.as_bytes());
    pipeline.record(Books { time: 2, ..books }.as_bytes());
    [request, response].iter().for_each(|record| pipeline.record(record));
    pipeline.finish();
    let requests = pipeline.observer().requests(SECOND).expect("it keeps some");
    let kept = requests.snapshot().expect("some are new");
    let json: serde_json::Value = serde_json::from_str(&format!("{{{}}}", kept[0].sample.json)).expect("members");
    let tcp = &json["tcp"];
    assert_eq!((&tcp["srtt_us"], &tcp["unacked_bytes"]), (&90.into(), &5.into()));
    assert_eq!((&tcp["congestion_window"], &tcp["congestion"]), (&10.into(), &"recovery".into()));
    assert_eq!(tcp["age_ns"], -1, "the look came later than the request ended: {tcp}");
}

#[test]
fn a_request_that_is_kept_is_json_whatever_the_names_are() {
    let counter = Counter::new(0, Limits::default(), Thresholds::new(|_| std::time::Duration::from_secs(1)));
    let mut pipeline = Pipeline::new(&pipeline::Limits::default(), Selected::ALL, counter.with_requests(1));
    let name = "ng\"inx\\\n\u{1b}[2J";
    let process = Process { pid: 7, name: name.into(), look_up: LookUp::Done, ..Process::default() };
    pipeline.record(&process.to_record());
    for (connection, port) in [(80, 8080), (81, 80)] {
        let listen =
            Listen { kind: kind::LISTEN, change: LISTEN_BEGINS, tgid: 7, connection, port, ..Listen::default() };
        pipeline.record(listen.as_bytes());
    }
    exchange(1, 7).iter().chain(&exchange(2, 7)).for_each(|record| pipeline.record(record));
    pipeline.finish();
    let requests = pipeline.observer().requests(SECOND).expect("it keeps some");
    let kept = requests.snapshot().expect("some are new");
    let first = &kept.last().expect("the first is the slowest, and one by chance").sample;
    assert_eq!((&*first.operation, first.side, first.failed), ("GET /", Side::Server, false));
    let json: serde_json::Value = serde_json::from_str(&format!("{{{}}}", first.json)).expect("members of an object");
    assert_eq!(json["exchange"]["server"]["process"], name);
    assert_eq!(json["exchange"]["server"]["listening"], serde_json::json!([80, 8080]));
    assert_eq!(json["exchange"]["client"]["listening"], serde_json::Value::Null);
    assert_eq!(json["exchange"]["accept_wait_ns"], serde_json::Value::Null);
    assert_eq!(json["tcp"], serde_json::Value::Null, "it is of no connection that has books");
    assert_eq!(json["instants"]["end"], "1970-01-01T00:00:00.000000001Z");
    assert!(requests.snapshot().is_none(), "nothing new");
    assert!(requests.counters().iter().any(|counter| counter.name == "steth_request_samples" && counter.value >= 1.0));
}

#[test]
fn an_address_is_in_a_network_of_its_site() {
    let of = |ip: &str, port| super::network(ip.parse().expect("an address"), port);
    assert_eq!([of("203.0.113.77", 443), of("2001:db8:1:2::9", 0)], ["203.0.113.0/24:443", "2001:db8:1::/48"]);
}
