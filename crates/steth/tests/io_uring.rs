//! io_uring: its calls have no registers of their own, so their payload is declared unread, and nothing is invented.
#![allow(unsafe_code)]

use crate::lab::{Steth, alone};
use io_uring::{IoUring, opcode, types::Fd};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

const REQUEST: &[u8] = b"GET /ring HTTP/1.1\r\nHost: lab\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
const EXCHANGES: usize = 20;

/// Puts one operation into the ring.
fn push(ring: &mut IoUring, entry: &io_uring::squeue::Entry) {
    // SAFETY: every buffer named in an entry here lives on the caller's stack until its completion was waited for.
    unsafe { ring.submission().push(entry) }.expect("the queue is longer than what is under way");
}

fn done(ring: &mut IoUring) -> i32 {
    ring.submit_and_wait(1).expect("a completion");
    ring.completion().next().expect("one was waited for").result()
}

fn send(ring: &mut IoUring, stream: &TcpStream, bytes: &[u8]) {
    push(ring, &opcode::Send::new(Fd(stream.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32).build());
    assert_eq!(done(ring), bytes.len() as i32);
}

/// Reads whole requests and answers each with ordinary calls.
fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().expect("a client");
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).is_ok() {
        // The client's receive is to find nothing at first, and to be completed later.
        std::thread::sleep(Duration::from_millis(2));
        stream.write_all(ANSWER).expect("a client");
    }
}

#[test]
fn what_io_uring_moves_is_counted_and_nothing_is_invented() {
    root_or_skip!();
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let steth = Steth::watch(&["--port", &address.port().to_string()]);
    let server = std::thread::spawn(move || serve(&listener));
    let mut ring = IoUring::new(8).expect("io_uring");
    let stream = TcpStream::connect(address).expect("the server");
    let (mut pipe, mut end) = std::io::pipe().expect("a pipe");
    for n in 0..EXCHANGES {
        send(&mut ring, &stream, REQUEST);
        let mut answer = [0; 256];
        let receive = opcode::Recv::new(Fd(stream.as_raw_fd()), answer.as_mut_ptr(), answer.len() as u32).build();
        push(&mut ring, &receive);
        ring.submit().expect("the receive is under way");
        if n % 2 == 1 {
            // The answer comes while this thread is in a read of something else: io_uring completes the receive when that read
            // returns, with its registers still there, and they name a buffer that looks like another exchange.
            let mut decoy = *b"GET /decoy HTTP/1.1\r\nHost: lab\r\n\r\n";
            end.write_all(&decoy).expect("a pipe");
            std::thread::sleep(Duration::from_millis(10));
            pipe.read_exact(&mut decoy).expect("what was written");
        }
        assert_eq!(done(&mut ring), ANSWER.len() as i32);
        assert!(answer.starts_with(ANSWER));
    }
    drop(stream);
    server.join().expect("the server ends with its client");
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    assert_eq!(seen.side("server").count(), EXCHANGES, "{}", seen.ledger);
    for exchange in seen.side("server") {
        assert_eq!((&exchange["operation"], &exchange["status"]), (&"GET /ring".into(), &200.into()));
        let bytes = (&exchange["request_bytes"], &exchange["response_bytes"]);
        assert_eq!(bytes, (&REQUEST.len().into(), &ANSWER.len().into()));
    }
    assert_eq!(seen.side("client").count(), 0, "the client's bytes cannot be read, so its protocol is not known");
    let number = |path: &str| seen.ledger.pointer(path).and_then(serde_json::Value::as_u64).expect("a number");
    let moved = EXCHANGES * (REQUEST.len() + ANSWER.len());
    assert_eq!(number("/bytes/l4_only"), moved as u64, "and all of them are counted: {}", seen.ledger);
    assert_eq!(number("/exchanges/lost"), 0, "{}", seen.ledger);
}
