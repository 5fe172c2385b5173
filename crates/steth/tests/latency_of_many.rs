//! Many requests on one connection: which part of the time is whose.

use crate::lab;
use crate::lab::process::command;
use crate::lab::runtimes::{programs, python};
use crate::lab::{Process, Steth, alone, free_port};
use crate::latency::{MILLISECOND, splits};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// The next requests are there already while the server works on one, and it reads them one by one. Their queue has begun when they
/// came; of several that came one after the other and are looked at together, the time of the last is known: the queue of the
/// first is at least that long.
#[test]
fn what_lies_behind_the_request_that_is_worked_on_has_a_queue() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let request = |n: u32| format!("GET /{n} HTTP/1.1\r\nHost: localhost\r\nX-Fill: {:0>40}\r\n\r\n", 0);
    let mut server = command(python());
    server.arg(programs().join("python/exact.py")).args([port.to_string(), request(1).len().to_string()]);
    let server = Process::spawn("one by one", &mut server, dir.path());
    server.wait_for_port(port);
    let steth = Steth::watch(&["--port", &port.to_string()]);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts");
    stream.set_nodelay(true).expect("it is set");
    let mut writer = stream.try_clone().expect("a descriptor");
    let mut ask = |requests: std::ops::Range<u32>| {
        let answers = requests.len() * b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n".len();
        std::thread::scope(|scope| {
            scope.spawn(|| stream.read_exact(&mut vec![0; answers]).expect("all are answered"));
            for n in requests {
                writer.write_all(request(n).as_bytes()).expect("the kernel takes it");
                std::thread::sleep(Duration::from_millis(15));
            }
        });
        std::thread::sleep(Duration::from_millis(100));
    };
    // One after the other, so that the connection is in use; two at a time; three.
    ask(1..2);
    ask(2..4);
    ask(4..7);
    steth.wait_for_exchanges(12, Duration::from_secs(10));
    let splits = splits(&steth.finish());
    assert_eq!(splits.len(), 6);
    let told = format!("{splits:#?}");
    let near = |what: i64, ms: i64| (what - ms * MILLISECOND).abs() < 12 * MILLISECOND;
    assert!(splits.iter().all(|split| near(split.service, 50)), "{told}");
    let [first, second, third, fourth, fifth, sixth] = &splits[..] else { panic!("{told}") };
    assert!([first, second, fourth].iter().all(|split| split.queue < 10 * MILLISECOND), "{told}");
    assert!(near(third.queue, 35) && near(third.rest(), 0), "{told}");
    // The sixth came 15 ms later than the fifth, and both were there when the fifth was read.
    assert!(near(fifth.queue, 20) && fifth.queue + fifth.service <= fifth.client + 5 * MILLISECOND, "{told}");
    assert!(near(sixth.queue, 70) && near(sixth.rest(), 0), "{told}");
}

/// Python reads three requests at once and answers one after the other: the later ones' service time has the answers before it in
/// it, and all that their client waits for is in it.
#[test]
fn pipelined_requests_that_are_read_together_wait_in_the_service_time() {
    root_or_skip!();
    let _alone = alone();
    let python = lab::Python::start();
    let steth = Steth::watch(&["--port", &python.port.to_string()]);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, python.port)).expect("Python accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is set");
    let requests = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3);
    stream.write_all(requests.as_bytes()).expect("Python reads");
    let mut answers = Vec::new();
    while String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count() < 3 || !answers.ends_with(b"slow\n") {
        let mut more = [0; 4096];
        let length = stream.read(&mut more).expect("Python answers");
        assert!(length > 0, "{}", String::from_utf8_lossy(&answers));
        answers.extend_from_slice(&more[..length]);
    }
    steth.wait_for_exchanges(6, Duration::from_secs(5));
    let seen = steth.finish();
    let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
    let mut servers: Vec<_> = seen.side("server").collect();
    servers.sort_by_key(|e| ns(e, "response_seq"));
    assert_eq!(servers.len(), 3);
    for (before, server) in servers.iter().enumerate() {
        let client = seen.side("client").find(|c| c["request_seq"] == server["request_seq"]).expect("its end");
        let (queue, service) = (ns(server, "queue_ns"), ns(server, "service_ns"));
        assert!(service >= (before as i64 + 1) * 50 * MILLISECOND, "{server}");
        let rest = ns(client, "first_byte_ns") - queue - service;
        assert!(rest.abs() < 20 * MILLISECOND, "{rest}: {server} {client}");
    }
}

/// A name, asked for by TCP.
fn lookup(id: u16, name: &str) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0"].concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend(b"\0\0\x01\0\x01");
    [&(message.len() as u16).to_be_bytes(), &message[..]].concat()
}

/// Lookups on one connection, answered as each one is known: the times of one hold nothing of those beside it.
#[test]
fn multiplexed_lookups_take_as_long_as_each_one_does() {
    root_or_skip!();
    let _alone = alone();
    let (dir, port) = (tempfile::tempdir().expect("a temporary directory"), free_port());
    let mut server = command(python());
    server.arg(programs().join("python/names_in_any_order.py")).arg(port.to_string());
    let server = Process::spawn("names in any order", &mut server, dir.path());
    server.wait_for_port(port);
    let steth = Steth::watch(&["--protocol", "dns", "--port", &port.to_string()]);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is set");
    let delays = [300u16, 0, 150, 1];
    // Else a query waits for the acknowledgement of the one before, which is on nobody's account but the network's.
    stream.set_nodelay(true).expect("it is set");
    let mut writer = stream.try_clone().expect("a descriptor");
    let order = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = || {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("it answers");
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut message).expect("it answers");
                u16::from_be_bytes([message[0], message[1]])
            };
            delays.map(|_| read())
        });
        for delay in delays {
            // Each with a read of its own.
            writer.write_all(&lookup(delay, &format!("{delay}.test"))).expect("it reads");
            std::thread::sleep(Duration::from_millis(5));
        }
        reader.join().expect("all are answered")
    });
    assert_eq!(order[2..], [150, 300], "answers in any order: {order:?}");
    steth.wait_for_exchanges(8, Duration::from_secs(5));
    let seen = steth.finish();
    assert_eq!((seen.side("client").count(), seen.side("server").count()), (4, 4), "{}", seen.ledger);
    for delay in delays {
        let operation = format!("A {delay}.test");
        let ends = ["client", "server"].map(|side| seen.side(side).find(|e| e["operation"] == operation).expect(side));
        let ns = |e: &Value, field: &str| e[field].as_i64().unwrap_or_else(|| panic!("no {field}: {e}"));
        let [client, server] = ends;
        assert_eq!(client["request_seq"], server["request_seq"]);
        let (queue, service) = (ns(server, "queue_ns"), ns(server, "service_ns"));
        let own = i64::from(delay) * MILLISECOND;
        // A millisecond less: the clock of the event loop is coarser than ours.
        assert!((own - MILLISECOND..own + 100 * MILLISECOND).contains(&service), "{operation}: {server}");
        let rest = ns(client, "duration_ns") - queue - service;
        assert!(rest.abs() < 20 * MILLISECOND, "{rest}: {server} {client}");
    }
}
