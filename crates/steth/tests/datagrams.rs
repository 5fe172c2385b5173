//! Datagram sockets that several threads use at once, at both ends: the order in which a socket's transfers are seen is
//! then not the one in which they happened.

use crate::lab::{Seen, Steth, alone};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use nix::unistd::{Pid, gettid};
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A query for `name.test`, type A.
fn query(id: u16, name: &str) -> Vec<u8> {
    let label = [&[name.len() as u8][..], name.as_bytes()].concat();
    [&id.to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0", &label, b"\x04test\0\0\x01\0\x01"].concat()
}

/// The same as an answer without an address.
fn answer(to: &[u8]) -> Vec<u8> {
    let mut answer = to.to_vec();
    answer[2..4].copy_from_slice(b"\x81\x80");
    answer
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    socket
}

/// Watches this process alone: asks, and whoever answers, are threads of it.
fn seen(count: usize, name: &str, talk: impl FnOnce()) -> Seen {
    let steth = Steth::watch(&["--protocol", "dns"]);
    talk();
    let mut seen = steth.finish();
    let operation = format!("A {name}.test");
    seen.exchanges.retain(|e| e["operation"] == operation.as_str());
    for side in ["client", "server"] {
        assert_eq!(seen.count(side, "answered"), count as u64, "{side}: {}", seen.ledger);
        assert_eq!(seen.side(side).count(), count, "{side}: {}", seen.ledger);
        let me = std::process::id();
        assert!(seen.side(side).all(|e| e[side]["pid"] == me), "{side}");
    }
    let bytes = &seen.ledger["bytes"];
    assert_eq!((&bytes["late"], &bytes["lost"]), (&0.into(), &0.into()), "{}", seen.ledger);
    assert_eq!(seen.ledger["exchanges"]["lost"], 0, "{}", seen.ledger);
    seen
}

/// The first datagram of a socket is seen when the call that sends it returns. By then another thread may have read the
/// answer: both find a socket that nothing is known of yet.
#[test]
fn the_first_answer_of_a_socket_is_read_while_its_query_is_being_sent() {
    root_or_skip!();
    let _alone = alone();
    const SOCKETS: usize = 4000;
    let sockets: Vec<_> = (0..SOCKETS).map(|_| socket()).collect();
    let server = socket();
    let to = server.local_addr().expect("it is bound");
    let done = AtomicUsize::new(0);
    // Asleep, the other thread would be too late: it looks again and again.
    let receive = |socket: &UdpSocket, buffer: &mut [u8]| -> (usize, SocketAddr) {
        loop {
            if let Ok(got) = socket.recv_from(buffer) {
                return got;
            }
            std::hint::spin_loop();
        }
    };
    sockets.iter().chain([&server]).for_each(|socket| socket.set_nonblocking(true).expect("a socket can be polled"));
    let seen = seen(SOCKETS, "early", || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 512];
                for socket in &sockets {
                    let (length, from) = receive(&server, &mut buffer);
                    server.send_to(&answer(&buffer[..length]), from).expect("it is sent");
                    receive(socket, &mut buffer);
                    done.fetch_add(1, Ordering::Release);
                }
            });
            for (n, socket) in sockets.iter().enumerate() {
                socket.send_to(&query(n as u16, "early"), to).expect("it is sent");
                while done.load(Ordering::Acquire) <= n {
                    std::hint::spin_loop();
                }
            }
        });
    });
    let backwards = seen.side("client").filter(|e| e["duration_ns"].as_i64().is_some_and(|duration| duration < 0));
    assert_eq!(backwards.count(), 0);
}

#[test]
fn threads_that_share_a_socket_at_both_ends() {
    root_or_skip!();
    let _alone = alone();
    const THREADS: usize = 4;
    const EACH: usize = 2000;
    let (client, server) = (socket(), socket());
    let to = server.local_addr().expect("it is bound");
    let (asked, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    seen(THREADS * EACH, "shared", || {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut buffer = [0; 512];
                    for _ in 0..EACH {
                        let (length, from) = server.recv_from(&mut buffer).expect("a query comes");
                        server.send_to(&answer(&buffer[..length]), from).expect("it is sent");
                    }
                });
                scope.spawn(|| {
                    let mut buffer = [0; 512];
                    for _ in 0..EACH {
                        client.recv_from(&mut buffer).expect("an answer comes");
                        taken.fetch_add(1, Ordering::Release);
                    }
                });
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let n = asked.fetch_add(1, Ordering::AcqRel);
                        // More at once than a socket's buffer holds would be dropped by the kernel.
                        while n > taken.load(Ordering::Acquire) + 40 {
                            thread::yield_now();
                        }
                        client.send_to(&query(n as u16, "shared"), to).expect("it is sent");
                    }
                });
            }
        });
    });
}

/// Neither socket is connected: where they send is all that tells who is at the other end.
#[test]
fn both_ends_are_named_though_no_socket_is_connected() {
    root_or_skip!();
    let _alone = alone();
    const COUNT: u16 = 50;
    let everywhere = |address: &str| {
        let socket = UdpSocket::bind(address).expect("a port is free");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        socket
    };
    for (bound, to) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let (server, clients) = (everywhere(bound), [everywhere(bound), everywhere(bound)]);
        let to = SocketAddr::new(to.parse().expect("an address"), port(&server));
        let seen = seen(usize::from(COUNT), "named", || {
            let mut buffer = [0; 512];
            // In turn: each answer goes elsewhere than the one before.
            for (id, client) in (0..COUNT).zip(clients.iter().cycle()) {
                client.send_to(&query(id, "named"), to).expect("it is sent");
                let (length, from) = server.recv_from(&mut buffer).expect("a query comes");
                server.send_to(&answer(&buffer[..length]), from).expect("it is sent");
                client.recv_from(&mut buffer).expect("an answer comes");
            }
        });
        let me = std::process::id();
        for client in &clients {
            for side in ["client", "server"] {
                let of = seen.side(side).filter(|e| e["client"]["port"] == port(client));
                assert_eq!(of.count(), usize::from(COUNT / 2), "{bound}, {side}");
            }
        }
        for e in &seen.exchanges {
            assert_eq!((&e["client"]["pid"], &e["server"]["pid"]), (&me.into(), &me.into()), "{bound}: {e}");
            assert_eq!(e["server"]["port"], to.port(), "{bound}: {e}");
            let other = if e["side"] == "client" { "server" } else { "client" };
            assert_eq!(e[other]["ip"], to.ip().to_string(), "{bound}: {e}");
        }
    }
}

/// Each message of a vector is read where the one before ended. A task is moved to another CPU also within a call.
#[test]
fn a_task_that_changes_its_cpu_within_a_recvmmsg() {
    root_or_skip!();
    let _alone = alone();
    const VECTOR: usize = 32;
    const ROUNDS: usize = 300;
    let (client, server) = (socket(), socket());
    let to = server.local_addr().expect("it is bound");
    let (done, answering) = (AtomicBool::new(false), AtomicI32::new(0));
    let answer_all = || {
        answering.store(gettid().as_raw(), Ordering::Release);
        let mut buffers = vec![[0; 512]; VECTOR];
        let (mut received, mut sent) =
            (MultiHeaders::preallocate(VECTOR, None), MultiHeaders::preallocate(VECTOR, None));
        for _ in 0..ROUNDS {
            let mut into: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            // It waits until the vector is full.
            let flags = MsgFlags::empty();
            let got: Vec<(usize, Option<SockaddrIn>)> =
                recvmmsg(server.as_raw_fd(), &mut received, into.iter_mut(), flags, None)
                    .expect("queries come")
                    .map(|message| (message.bytes, message.address))
                    .collect();
            assert_eq!(got.len(), VECTOR);
            let answers: Vec<_> =
                buffers.iter().zip(&got).map(|(buffer, (length, _))| answer(&buffer[..*length])).collect();
            let from: Vec<_> = answers.iter().map(|answer| [IoSlice::new(answer)]).collect();
            let addresses: Vec<_> = got.iter().map(|(_, address)| *address).collect();
            let out = sendmmsg(server.as_raw_fd(), &mut sent, &from, addresses, [], flags).expect("they are sent");
            assert_eq!(out.count(), VECTOR);
        }
    };
    let seen = seen(VECTOR * ROUNDS, "moved", || {
        thread::scope(|scope| {
            scope.spawn(answer_all);
            scope.spawn(|| {
                let all = sched_getaffinity(Pid::from_raw(0)).expect("it is known");
                let cpus: Vec<_> = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap_or(false)).collect();
                for cpu in cpus.iter().cycle().take_while(|_| !done.load(Ordering::Acquire)) {
                    let mut one = CpuSet::new();
                    one.set(*cpu).expect("it is one of them");
                    let task = Pid::from_raw(answering.load(Ordering::Acquire));
                    if task.as_raw() != 0 && sched_setaffinity(task, &one).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_micros(20));
                }
            });
            let mut buffer = [0; 512];
            for round in 0..ROUNDS {
                for n in 0..VECTOR {
                    client.send_to(&query((round * VECTOR + n) as u16, "moved"), to).expect("it is sent");
                }
                for _ in 0..VECTOR {
                    client.recv(&mut buffer).expect("an answer comes");
                }
            }
            done.store(true, Ordering::Release);
        });
    });
    for e in &seen.exchanges {
        assert_eq!((&e["client"]["port"], &e["server"]["port"]), (&port(&client).into(), &to.port().into()), "{e}");
    }
}

/// One vector, used again and again, for more messages and for fewer.
#[test]
fn a_vector_of_messages_is_used_again() {
    root_or_skip!();
    let _alone = alone();
    const LENGTHS: [usize; 8] = [5, 7, 2, 8, 8, 1, 3, 6];
    const ROUNDS: usize = 20;
    let (client, server) = (socket(), socket());
    server.connect(client.local_addr().expect("it is bound")).expect("they are on one host");
    client.connect(server.local_addr().expect("it is bound")).expect("they are on one host");
    seen(LENGTHS.iter().sum::<usize>() * ROUNDS, "again", || {
        let mut headers = MultiHeaders::preallocate(8, None);
        let (mut buffer, mut id) = ([0; 512], 0);
        for length in LENGTHS.into_iter().cycle().take(LENGTHS.len() * ROUNDS) {
            let queries: Vec<_> = (0..length as u16).map(|n| query(id + n, "again")).collect();
            id += length as u16;
            let queries: Vec<_> = queries.iter().map(|query| [IoSlice::new(query)]).collect();
            let nowhere = vec![None::<SockaddrIn>; length];
            let sent = sendmmsg(client.as_raw_fd(), &mut headers, &queries, nowhere, [], MsgFlags::empty());
            assert_eq!(sent.expect("they are sent").count(), length);
            for _ in 0..length {
                let length = server.recv(&mut buffer).expect("a query comes");
                server.send(&answer(&buffer[..length])).expect("it is sent");
            }
            for _ in 0..length {
                client.recv(&mut buffer).expect("an answer comes");
            }
        }
    });
}

fn port(socket: &UdpSocket) -> u16 {
    socket.local_addr().expect("it is bound").port()
}
