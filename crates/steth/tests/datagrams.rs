//! Datagram sockets that several threads use at once, at both ends: the order in which a socket's transfers are seen is
//! then not the one in which they happened.

mod lab;

use lab::{Seen, Steth, alone};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
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
