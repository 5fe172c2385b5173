//! io_uring: its calls have no registers of their own. What it moves is declared unread until the agent follows its requests; then it is read out of these.
//! Where exits of system calls are all that is hooked, completions tell of it from the start.
#![allow(unsafe_code)]

use crate::lab::{Seen, Steth, alone, wait_until};
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, cqueue, opcode, types::Fd};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

const REQUEST: &[u8] = b"GET /ring HTTP/1.1\r\nHost: lab\r\n\r\n";
const OTHER: &[u8] = b"GET /none HTTP/1.1\r\nHost: lab\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
const NONE: &[u8] = b"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno\n";
const DECOY: &[u8; 41] = b"HTTP/1.1 500 Decoy\r\nContent-Length: 0\r\n\r\n";
const TWICE: &[u8] = b"GET /same HTTP/1.1\r\nHost: lab\r\n\r\n";
const EXCHANGES: usize = 20;
/// Neither HTTP nor anything else.
const NOTHING: &[u8] = b"\x01\x02\x03\x04";

/// How the client's bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A buffer.
    Whole,
    /// Two buffers, by a message.
    Vectors,
    /// Without a copy (`IORING_OP_SEND_ZC`), and the receive does not even try before it waits.
    ZeroCopy,
    /// One receive for all, into buffers that the kernel chooses from.
    Multishot,
    /// As of a file, whose position does not matter.
    Read,
    /// The same, with two buffers.
    ReadVectors,
    /// One read for all.
    ReadMultishot,
    /// A worker thread tries it at once.
    Async,
    /// The same, as of a file.
    ReadAsync,
    /// A thread of the kernel takes it from the queue.
    Polled,
}

const WAYS: [Way; 10] = [
    Way::Whole,
    Way::Vectors,
    Way::ZeroCopy,
    Way::Multishot,
    Way::Read,
    Way::ReadVectors,
    Way::ReadMultishot,
    Way::Async,
    Way::ReadAsync,
    Way::Polled,
];
const SENT: u64 = 1;
const RECEIVED: u64 = 2;
const PROVIDED: u64 = 3;
/// `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1;
/// Longer than an answer.
const ROOM: usize = 256;

/// Puts one operation into the ring, and what it is known by.
fn push(ring: &mut IoUring, entry: Entry, what: u64) {
    // SAFETY: every buffer named in an entry here lives until its completion was waited for.
    unsafe { ring.submission().push(&entry.user_data(what)) }.expect("the queue is longer than what is under way");
    ring.submit().expect("it is under way");
}

/// Waits for it; what the kernel says of a buffer that it needs no more is passed over.
fn done(ring: &mut IoUring, what: u64) -> (usize, u32) {
    loop {
        if let Some(done) = ring.completion().next() {
            if cqueue::notif(done.flags()) {
                continue;
            }
            let result = usize::try_from(done.result());
            assert_eq!(done.user_data(), what);
            return (result.unwrap_or_else(|_| panic!("{what}: error {}", -done.result())), done.flags());
        }
        ring.submit_and_wait(1).expect("a completion");
    }
}

/// Halves of a buffer, and a message of them.
struct Message {
    halves: Box<[libc::iovec; 2]>,
    header: Box<libc::msghdr>,
}

impl Message {
    fn of(at: *const u8, length: usize) -> Self {
        let part =
            |from: usize, length| libc::iovec { iov_base: at.wrapping_add(from).cast_mut().cast(), iov_len: length };
        let mut halves = Box::new([part(0, length / 2), part(length / 2, length - length / 2)]);
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        (header.msg_iov, header.msg_iovlen) = (halves.as_mut_ptr(), 2);
        Self { halves, header }
    }
}

fn send(way: Way, ring: &mut IoUring, stream: &TcpStream, bytes: &[u8]) {
    let (to, at, length) = (Fd(stream.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32);
    let message = Message::of(at, bytes.len());
    let entry = match way {
        Way::Vectors => opcode::SendMsg::new(to, &raw const *message.header).build(),
        Way::ZeroCopy => opcode::SendZc::new(to, at, length).build(),
        Way::Whole | Way::Multishot | Way::Polled => opcode::Send::new(to, at, length).build(),
        Way::Async => opcode::Send::new(to, at, length).build().flags(Flags::ASYNC),
        Way::Read | Way::ReadMultishot => opcode::Write::new(to, at, length).build(),
        Way::ReadAsync => opcode::Write::new(to, at, length).build().flags(Flags::ASYNC),
        Way::ReadVectors => opcode::Writev::new(to, message.halves.as_ptr(), 2).build(),
    };
    push(ring, entry, SENT);
    assert_eq!(done(ring, SENT).0, bytes.len(), "{way:?}");
}

/// Reads whole requests and answers each with ordinary calls.
fn serve(mut stream: TcpStream) {
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).is_ok() {
        // The client's receive is to find nothing at first, and to be completed later.
        std::thread::sleep(Duration::from_millis(2));
        stream.write_all(if request == REQUEST { ANSWER } else { NONE }).expect("a client");
    }
}

/// Connects to a server that answers until the client is gone.
fn connect(listener: &TcpListener) -> TcpStream {
    let stream = TcpStream::connect(address(listener)).expect("the listener");
    let (other, _) = listener.accept().expect("a client");
    std::thread::spawn(move || serve(other));
    stream
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("an address")
}

/// What the agent says once it follows.
const FOLLOWED: &str = "its payloads are read from now on";

/// A first transfer by io_uring, of which nothing can be read; after it the agent follows.
fn prime(steth: &Steth, listener: &TcpListener) {
    let stream = TcpStream::connect(address(listener)).expect("the listener");
    let (mut other, _) = listener.accept().expect("a client");
    send(Way::Whole, &mut IoUring::new(8).expect("io_uring"), &stream, NOTHING);
    other.read_exact(&mut [0; NOTHING.len()]).expect("what was sent");
    wait_until("it follows", Duration::from_secs(5), || steth.errors().contains(FOLLOWED));
}

/// The ring that goes with it.
fn ring(way: Way) -> IoUring {
    match way {
        Way::Polled => IoUring::builder().setup_sqpoll(50).build(8).expect("io_uring"),
        _ => IoUring::new(8).expect("io_uring"),
    }
}

/// One receive for all of them, with room for each.
fn receive_all(way: Way, ring: &mut IoUring, from: Fd, provided: &mut [u8]) {
    let all = opcode::ProvideBuffers::new(provided.as_mut_ptr(), ROOM as i32, EXCHANGES as u16, 7, 0);
    push(ring, all.build(), PROVIDED);
    done(ring, PROVIDED);
    let entry = match way {
        Way::ReadMultishot => opcode::ReadMulti::new(from, 0, 7).build(),
        _ => opcode::RecvMulti::new(from, 7).build(),
    };
    push(ring, entry, RECEIVED);
}

/// One receive of this way; none where there is one for all.
fn receive(way: Way, from: Fd, answer: &mut [u8], message: &mut Message) -> Option<Entry> {
    let (at, length) = (answer.as_mut_ptr(), answer.len() as u32);
    let whole = opcode::Recv::new(from, at, length);
    match way {
        Way::Whole | Way::Polled => Some(whole.build()),
        Way::Async => Some(whole.build().flags(Flags::ASYNC)),
        Way::ZeroCopy => Some(whole.ioprio(POLL_FIRST).build()),
        Way::Vectors => Some(opcode::RecvMsg::new(from, &raw mut *message.header).build()),
        Way::Read => Some(opcode::Read::new(from, at, length).build()),
        Way::ReadAsync => Some(opcode::Read::new(from, at, length).build().flags(Flags::ASYNC)),
        Way::ReadVectors => Some(opcode::Readv::new(from, message.halves.as_ptr(), 2).build()),
        Way::Multishot | Way::ReadMultishot => None,
    }
}

/// Exchanges on a connection of its own.
fn ask(way: Way, stream: &TcpStream) {
    let mut ring = ring(way);
    let mut provided = vec![0; ROOM * EXCHANGES];
    let from = Fd(stream.as_raw_fd());
    if matches!(way, Way::Multishot | Way::ReadMultishot) {
        receive_all(way, &mut ring, from, &mut provided);
    }
    let (mut pipe, mut end) = std::io::pipe().expect("a pipe");
    for n in 0..EXCHANGES {
        send(way, &mut ring, stream, REQUEST);
        let mut answer = [0; ROOM];
        let mut message = Message::of(answer.as_ptr(), ROOM);
        if let Some(entry) = receive(way, from, &mut answer, &mut message) {
            push(&mut ring, entry, RECEIVED);
        }
        if n % 2 == 1 {
            // The answer comes while this thread is in a read of something else: io_uring completes the receive when that read
            // returns, with its registers still there, and they name a buffer that looks like another exchange.
            let mut decoy = *DECOY;
            end.write_all(&decoy).expect("a pipe");
            std::thread::sleep(Duration::from_millis(10));
            pipe.read_exact(&mut decoy).expect("what was written");
        }
        let (length, flags) = done(&mut ring, RECEIVED);
        assert_eq!(length, ANSWER.len(), "{way:?}");
        let at = cqueue::buffer_select(flags).map(|buffer| usize::from(buffer) * ROOM);
        assert!(at.map_or(&answer[..], |at| &provided[at..]).starts_with(ANSWER), "{way:?}");
    }
}

/// Two reads of one connection wait at the same time, again and again. Which of them gets an answer only the kernel knows; what would be found in the other
/// one's buffer is an answer, too.
fn ask_twice(stream: &TcpStream) {
    let (mut ring, mut writer) = (IoUring::new(8).expect("io_uring"), stream);
    for _ in 0..EXCHANGES {
        let mut answers = [[0_u8; ROOM]; 2];
        for answer in &mut answers {
            answer[..DECOY.len()].copy_from_slice(DECOY);
            let read = opcode::Read::new(Fd(stream.as_raw_fd()), answer.as_mut_ptr(), ROOM as u32);
            push(&mut ring, read.build(), RECEIVED);
        }
        for _ in 0..2 {
            writer.write_all(TWICE).expect("the server");
            done(&mut ring, RECEIVED);
        }
        assert!(answers.iter().all(|answer| answer.starts_with(NONE)));
    }
}

/// Two connections of one ring wait at the same time, again and again.
fn ask_both(streams: [&TcpStream; 2]) {
    let mut ring = IoUring::new(8).expect("io_uring");
    for _ in 0..EXCHANGES {
        let mut answers = [[0_u8; ROOM]; 2];
        for (n, answer) in answers.iter_mut().enumerate() {
            let receive = opcode::Recv::new(Fd(streams[n].as_raw_fd()), answer.as_mut_ptr(), ROOM as u32);
            push(&mut ring, receive.build(), RECEIVED);
        }
        for (stream, request) in [(streams[1], OTHER), (streams[0], REQUEST)] {
            // By an ordinary call, so that the receives are all that the ring has.
            let mut stream = stream;
            stream.write_all(request).expect("the server");
        }
        done(&mut ring, RECEIVED);
        done(&mut ring, RECEIVED);
        assert!(answers[0].starts_with(ANSWER) && answers[1].starts_with(NONE));
    }
}

#[test]
fn what_io_uring_moves_is_read_out_of_its_requests_and_nothing_is_invented() {
    root_or_skip!();
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let steth = Steth::watch(&["--port", &address(&listener).port().to_string()]);
    prime(&steth, &listener);
    let seen = observe(steth, &listener);
    // Of those of the client whose buffer could be one of two, no more than that they were answered.
    everything_is_told(&seen, |one| (&one["status"], &one["truncated"]) == (&Value::Null, &true.into()));
    let counted = seen.ledger.pointer("/bytes/l4_only").and_then(Value::as_u64);
    assert_eq!(counted, Some(NOTHING.len() as u64), "what was before is counted: {}", seen.ledger);
}

#[test]
fn completions_tell_of_what_has_no_call() {
    root_or_skip!();
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let steth = Steth::watch(&["--hooks", "syscall", "--port", &address(&listener).port().to_string()]);
    assert!(!steth.errors().contains("io_uring"), "nothing is unread here: {}", steth.errors());
    let seen = observe(steth, &listener);
    // A completion names its request, and that its buffer.
    everything_is_told(&seen, |_| false);
    batch_is_told(&listener);
}

/// Two sends and then two more are handed over at once, and are all done by the time that anything is told of the first.
fn batch_is_told(listener: &TcpListener) {
    let steth = Steth::watch(&["--hooks", "syscall", "--port", &address(listener).port().to_string()]);
    let (stream, halves) = (connect(listener), [REQUEST.split_at(9), OTHER.split_at(20)]);
    let mut ring = IoUring::new(8).expect("io_uring");
    for half in halves.iter().flat_map(|(a, b)| [a, b]) {
        let entry = opcode::Send::new(Fd(stream.as_raw_fd()), half.as_ptr(), half.len() as u32);
        let entry = entry.build().flags(Flags::IO_LINK).user_data(SENT);
        // SAFETY: the bytes are static.
        unsafe { ring.submission().push(&entry) }.expect("the queue is longer");
    }
    assert_eq!(ring.submit_and_wait(4).expect("they are done"), 4);
    let (mut answers, mut stream) = (vec![0; ANSWER.len() + NONE.len()], stream);
    stream.read_exact(&mut answers).expect("the server");
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    let told = |side: &str| {
        seen.side(side).map(|one| (one["operation"].to_string(), one["status"].to_string())).collect::<Vec<_>>()
    };
    for side in ["client", "server"] {
        let expected = [("GET /ring", 200), ("GET /none", 404)].map(|(what, s)| (format!("{what:?}"), s.to_string()));
        assert_eq!(told(side), expected, "{side}: {}", seen.ledger);
    }
    for what in ["holes", "late", "unread"] {
        let bytes = seen.ledger.pointer(&format!("/bytes/{what}")).and_then(Value::as_u64);
        assert_eq!(bytes, Some(0), "{what}: {}", seen.ledger);
    }
}

/// All ways, each on a connection of its own.
fn observe(steth: Steth, listener: &TcpListener) -> Seen {
    for way in WAYS {
        ask(way, &connect(listener));
    }
    let both = [connect(listener), connect(listener)];
    ask_both([&both[0], &both[1]]);
    drop(both);
    ask_twice(&connect(listener));
    steth.settle(Duration::from_millis(300));
    steth.finish()
}

/// As it was said, at both ends; of what was asked twice at once, what may not be is up to the hooks.
fn everything_is_told(seen: &Seen, may_be_unread: impl Fn(&Value) -> bool) {
    for side in ["client", "server"] {
        let of = |operation: &str, status: u16| {
            let is = |exchange: &&Value| exchange["operation"] == operation && exchange["status"] == status;
            seen.side(side).filter(is).count()
        };
        let expected = ((WAYS.len() + 1) * EXCHANGES, EXCHANGES);
        assert_eq!((of("GET /ring", 200), of("GET /none", 404)), expected, "{side}: {}", seen.ledger);
        assert_eq!(seen.side(side).count(), expected.0 + expected.1 + 2 * EXCHANGES, "{side}: {}", seen.ledger);
    }
    let (twice, others): (Vec<_>, Vec<_>) = seen.exchanges.iter().partition(|one| one["operation"] == "GET /same");
    for exchange in twice {
        let unread = exchange["side"] == "client" && may_be_unread(exchange);
        assert!(exchange["status"] == 404 || unread, "{exchange}");
    }
    for exchange in others {
        let bytes = (&exchange["request_bytes"], &exchange["response_bytes"]);
        assert_eq!(bytes, (&REQUEST.len().into(), &ANSWER.len().into()), "{exchange}");
    }
    let number = |path: &str| seen.ledger.pointer(path).and_then(Value::as_u64).expect("a number");
    assert_eq!(number("/exchanges/lost"), 0, "{}", seen.ledger);
}

#[test]
fn what_cannot_be_read_is_counted_and_nothing_is_invented() {
    root_or_skip!();
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = address(&listener).port().to_string();
    let steth = Steth::watch_with(&["--port", &port], &[("STETH_WITHOUT", "io-uring")]);
    ask(Way::Whole, &connect(&listener));
    steth.settle(Duration::from_millis(300));
    let seen = steth.finish();
    for said in ["shows nothing of: payloads of io_uring", "its payloads are declared unread"] {
        assert!(seen.errors.contains(said), "{}", seen.errors);
    }
    assert_eq!((seen.side("client").count(), seen.side("server").count()), (0, EXCHANGES), "{}", seen.ledger);
    let number = |path: &str| seen.ledger.pointer(path).and_then(Value::as_u64).expect("a number");
    let moved = EXCHANGES * (REQUEST.len() + ANSWER.len());
    assert_eq!(number("/bytes/l4_only"), moved as u64, "all of the client's bytes are counted: {}", seen.ledger);
    assert_eq!(number("/exchanges/lost"), 0, "{}", seen.ledger);
}
