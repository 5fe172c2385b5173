//! The ways in which bytes go in and out of sockets, each with exchanges of HTTP or DNS whose both ends are threads of this process.
#![allow(unsafe_code)]

use io_uring::{IoUring, opcode, types::Fd};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::ptr::null_mut;
use std::time::Duration;

/// How bytes go in and out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Read,
    Readv,
    Preadv2,
    Recv,
    Recvmsg,
    /// Both messages of one call.
    Recvmmsg,
    /// The head as `Read`, the body out of a file.
    Sendfile,
    /// The head as `Read`, the body out of a pipe, and into one at the other end.
    Splice,
    /// The client's.
    IoUring,
    /// Sends by `MSG_ZEROCOPY`; what the kernel says of them is taken from the error queue.
    Zerocopy,
    /// Through a TLS layer in the kernel. Only where [`has_tls`].
    Tls,
}

pub(crate) const WAYS: [Way; 11] = [
    Way::Read,
    Way::Readv,
    Way::Preadv2,
    Way::Recv,
    Way::Recvmsg,
    Way::Recvmmsg,
    Way::Sendfile,
    Way::Splice,
    Way::IoUring,
    Way::Zerocopy,
    Way::Tls,
];
/// Those that are tried on every kind of socket.
const BOTH: [Way; 2] = [Way::Read, Way::Recvmsg];
/// Exchanges of each.
pub(crate) const EACH: usize = 5;
const BODY: &[u8] = &[b'b'; 6000];

fn moved(result: isize) -> usize {
    usize::try_from(result).unwrap_or_else(|_| panic!("{}", std::io::Error::last_os_error()))
}

/// The two halves of a buffer.
fn vectors(at: *const u8, length: usize) -> [libc::iovec; 2] {
    let half = length / 2;
    // SAFETY: `half` is within the buffer.
    let second = unsafe { at.add(half) };
    let vector = |at: *const u8, length| libc::iovec { iov_base: at.cast_mut().cast(), iov_len: length };
    [vector(at, half), vector(second, length - half)]
}

/// A message without an address.
fn message(vectors: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (vectors.as_mut_ptr(), vectors.len());
    message
}

fn messages(vectors: &mut [libc::iovec]) -> Vec<libc::mmsghdr> {
    vectors.chunks_mut(1).map(|one| libc::mmsghdr { msg_hdr: message(one), msg_len: 0 }).collect()
}

/// Puts all of it into a stream.
fn put(way: Way, to: RawFd, bytes: &[u8]) {
    let (at, length) = (bytes.as_ptr(), bytes.len());
    let mut vectors = vectors(at, length);
    // SAFETY: buffer, vectors and messages live during the call, and their lengths are theirs.
    let sent = unsafe {
        match way {
            Way::Read | Way::Sendfile | Way::Splice | Way::IoUring => libc::write(to, at.cast(), length),
            Way::Readv => libc::writev(to, vectors.as_ptr(), 2),
            Way::Preadv2 => libc::pwritev2(to, vectors.as_ptr(), 2, -1, 0),
            Way::Recv | Way::Tls => libc::send(to, at.cast(), length, libc::MSG_NOSIGNAL),
            Way::Zerocopy => {
                let sent = libc::send(to, at.cast(), length, libc::MSG_NOSIGNAL | libc::MSG_ZEROCOPY);
                take_notices(to);
                sent
            }
            Way::Recvmsg => libc::sendmsg(to, &message(&mut vectors), libc::MSG_NOSIGNAL),
            Way::Recvmmsg => {
                let mut both = messages(&mut vectors);
                let done = libc::sendmmsg(to, both.as_mut_ptr(), 2, 0);
                assert_eq!(done, 2);
                both.iter().map(|one| one.msg_len as isize).sum()
            }
        }
    };
    assert_eq!(moved(sent), length, "{way:?}");
}

/// Takes what is there, at most `length`; looks at it before.
fn take(way: Way, from: RawFd, buffer: &mut [u8]) -> usize {
    let (at, length) = (buffer.as_mut_ptr(), buffer.len());
    let mut vectors = vectors(at, length);
    // SAFETY: as in `put`.
    unsafe {
        let looked = libc::recv(from, at.cast(), 1, libc::MSG_PEEK);
        if moved(looked) == 0 {
            return 0;
        }
        moved(match way {
            Way::Read | Way::Sendfile | Way::Splice | Way::IoUring => libc::read(from, at.cast(), length),
            Way::Readv => libc::readv(from, vectors.as_ptr(), 2),
            Way::Preadv2 => libc::preadv2(from, vectors.as_ptr(), 2, -1, 0),
            Way::Recv | Way::Zerocopy | Way::Tls => libc::recv(from, at.cast(), length, 0),
            Way::Recvmsg => libc::recvmsg(from, &mut message(&mut vectors), 0),
            Way::Recvmmsg => {
                // The first message takes all there is, or both take some.
                let mut both = messages(&mut vectors);
                let done = libc::recvmmsg(from, both.as_mut_ptr(), 2, libc::MSG_WAITFORONE as _, null_mut());
                let first = both[0].msg_len as usize;
                if done == 2 && first < length / 2 {
                    std::ptr::copy(at.add(length / 2), at.add(first), both[1].msg_len as usize);
                }
                both.iter().take(moved(done as isize)).map(|one| one.msg_len as isize).sum()
            }
        })
    }
}

/// What the kernel has said so far of buffers that it needs no more.
fn take_notices(from: RawFd) {
    let mut room = [0_u64; 32];
    let mut nothing = message(&mut []);
    (nothing.msg_control, nothing.msg_controllen) = (room.as_mut_ptr().cast(), size_of_val(&room));
    // SAFETY: the message and its room live during the call.
    while unsafe { libc::recvmsg(from, &mut nothing, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) } >= 0 {
        nothing.msg_controllen = size_of_val(&room);
    }
}

fn option(socket: RawFd, level: i32, name: i32, value: &[u8]) -> bool {
    // SAFETY: the value lives during the call, and its length is its own.
    unsafe { libc::setsockopt(socket, level, name, value.as_ptr().cast(), value.len() as u32) == 0 }
}

/// Puts the kernel's TLS layer on a connection, with a key that nobody has to guess.
fn encrypt(socket: RawFd) -> bool {
    /// `TLS_1_2_VERSION` and `TLS_CIPHER_AES_GCM_128`, then the vector, the key, the salt and a number: `tls12_crypto_info_aes_gcm_128`.
    const SECRET: [u8; 40] = {
        let mut secret = [7; 40];
        (secret[0], secret[1], secret[2], secret[3]) = (3, 3, 51, 0);
        secret
    };
    const TLS: i32 = 282;
    option(socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls\0")
        && [1, 2].into_iter().all(|direction| option(socket, TLS, direction, &SECRET))
}

/// Whether the kernel has such a layer.
pub(crate) fn has_tls() -> bool {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("the listener");
    encrypt(stream.as_raw_fd())
}

fn prepare(way: Way, stream: RawFd) {
    let prepared = match way {
        Way::Zerocopy => option(stream, libc::SOL_SOCKET, libc::SO_ZEROCOPY, &1_i32.to_ne_bytes()),
        Way::Tls => encrypt(stream),
        _ => true,
    };
    assert!(prepared, "{way:?}: {}", std::io::Error::last_os_error());
}

fn take_all(way: Way, from: RawFd, buffer: &mut [u8]) -> bool {
    let mut done = 0;
    while done < buffer.len() {
        match take(way, from, &mut buffer[done..]) {
            0 => return false,
            more => done += more,
        }
    }
    true
}

/// Through a pipe.
fn splice(from: RawFd, to: RawFd, length: usize) {
    let mut left = length;
    while left > 0 {
        // SAFETY: no buffers.
        left -= moved(unsafe { libc::splice(from, null_mut(), to, null_mut(), left, 0) });
    }
}

fn request(way: Way, n: usize) -> Vec<u8> {
    format!("GET /{way:?}/{n} HTTP/1.1\r\nHost: lab\r\nX-Pad: {}\r\n\r\n", "p".repeat(200)).into_bytes()
}

fn head() -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY.len()).into_bytes()
}

fn serve(way: Way, stream: RawFd) {
    prepare(way, stream);
    let mut asked = vec![0; request(way, 0).len()];
    while take_all(way, stream, &mut asked) {
        match way {
            Way::Sendfile => {
                put(way, stream, &head());
                let mut file = tempfile::tempfile().expect("a file");
                file.write_all(BODY).expect("room on the disk");
                // SAFETY: the offset lives during the call.
                let sent = unsafe { libc::sendfile(stream, file.as_raw_fd(), &mut 0, BODY.len()) };
                assert_eq!(moved(sent), BODY.len());
            }
            Way::Splice => {
                put(way, stream, &head());
                let (out, mut into) = std::io::pipe().expect("a pipe");
                into.write_all(BODY).expect("it holds as much");
                splice(out.as_raw_fd(), stream, BODY.len());
            }
            _ => put(way, stream, &[&head(), BODY].concat()),
        }
    }
}

fn ask(way: Way, stream: RawFd) {
    prepare(way, stream);
    let mut answer = vec![0; head().len() + BODY.len()];
    let mut ring = (way == Way::IoUring).then(|| IoUring::new(8).expect("io_uring"));
    for n in 0..EACH {
        let asked = request(way, n);
        if let Some(ring) = &mut ring {
            let mut one = |entry: io_uring::squeue::Entry| {
                // SAFETY: the buffers live until the completion, which is waited for here.
                unsafe { ring.submission().push(&entry) }.expect("the queue is longer than that");
                ring.submit_and_wait(1).expect("a completion");
                moved(ring.completion().next().expect("it was waited for").result() as isize)
            };
            let sent = one(opcode::Send::new(Fd(stream), asked.as_ptr(), asked.len() as u32).build());
            assert_eq!(sent, asked.len());
            let mut done = 0;
            while done < answer.len() {
                let rest = &mut answer[done..];
                done += one(opcode::Recv::new(Fd(stream), rest.as_mut_ptr(), rest.len() as u32).build());
            }
            continue;
        }
        put(way, stream, &asked);
        // The last one by a read: until then the tracepoints do not tell of what was spliced out.
        if way == Way::Splice && n + 1 < EACH {
            let (mut out, into) = std::io::pipe().expect("a pipe");
            let length = head().len();
            assert!(take_all(way, stream, &mut answer[..length]));
            splice(stream, into.as_raw_fd(), BODY.len());
            out.read_exact(&mut answer[length..]).expect("what was put in");
        } else {
            assert!(take_all(way, stream, &mut answer));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK") && answer.ends_with(BODY), "{way:?}");
    }
}

/// A transfer by io_uring, of which nothing can be told yet by hooks that first have to follow its requests.
pub(crate) fn prime() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("the listener");
    let mut ring = IoUring::new(8).expect("io_uring");
    let bytes = [1; 4];
    let send = opcode::Send::new(Fd(stream.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32).build();
    // SAFETY: the buffer lives until the completion, which is waited for here.
    unsafe { ring.submission().push(&send) }.expect("the queue is longer than that");
    ring.submit_and_wait(1).expect("a completion");
}

/// Both ends are threads of this process.
pub(crate) fn http() {
    let ipv4 = WAYS.map(|way| (IpAddr::from(Ipv4Addr::LOCALHOST), way));
    let ipv6 = BOTH.map(|way| (IpAddr::from(Ipv6Addr::LOCALHOST), way));
    let tls = has_tls();
    for (host, way) in ipv4.into_iter().chain(ipv6).filter(|(_, way)| tls || *way != Way::Tls) {
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (stream, _) = listener.accept().expect("a client");
                serve(way, stream.as_raw_fd());
            });
            let stream = TcpStream::connect(address).expect("the server");
            ask(way, stream.as_raw_fd());
        });
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("socket");
    for way in BOTH {
        let listener = UnixListener::bind(&path).expect("a name");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (stream, _) = listener.accept().expect("a client");
                serve(way, stream.as_raw_fd());
            });
            ask(way, UnixStream::connect(&path).expect("the server").as_raw_fd());
        });
        std::fs::remove_file(&path).expect("it was there");
    }
}

/// A query for `name.test`, type A, and an answer to it without an address.
fn query(id: usize, name: &str) -> Vec<u8> {
    let label = [&[name.len() as u8][..], name.as_bytes()].concat();
    [&(id as u16).to_be_bytes()[..], b"\x01\0\0\x01\0\0\0\0\0\0", &label, b"\x04test\0\0\x01\0\x01"].concat()
}

fn answer(to: &[u8]) -> Vec<u8> {
    [&to[..2], b"\x81\x80", &to[4..]].concat()
}

/// Datagrams of one call, each with its address.
fn send_many(socket: &UdpSocket, datagrams: &[(Vec<u8>, libc::sockaddr_in)]) {
    let mut vectors: Vec<_> = datagrams
        .iter()
        .map(|(bytes, _)| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() })
        .collect();
    let mut messages = messages(&mut vectors);
    for (message, (_, to)) in messages.iter_mut().zip(datagrams) {
        message.msg_hdr.msg_name = (&raw const *to).cast_mut().cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    }
    // SAFETY: all that the messages point to lives during the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as u32, 0) };
    assert_eq!(moved(sent as isize), datagrams.len());
}

/// So many datagrams, by as few calls as bring them.
fn receive_many(socket: &UdpSocket, count: usize) -> Vec<(Vec<u8>, libc::sockaddr_in)> {
    let mut received = Vec::new();
    while received.len() < count {
        let mut buffers = vec![vec![0_u8; 512]; count - received.len()];
        let mut vectors: Vec<_> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 512 })
            .collect();
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut from = vec![unsafe { std::mem::zeroed::<libc::sockaddr_in>() }; buffers.len()];
        let mut messages = messages(&mut vectors);
        for (message, from) in messages.iter_mut().zip(&mut from) {
            message.msg_hdr.msg_name = (&raw mut *from).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        // SAFETY: all that the messages point to lives during the call.
        let done = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as u32,
                libc::MSG_WAITFORONE as _,
                null_mut(),
            )
        };
        let lengths: Vec<_> = messages.iter().take(moved(done as isize)).map(|one| one.msg_len as usize).collect();
        for ((mut buffer, from), length) in buffers.into_iter().zip(from).zip(lengths) {
            buffer.truncate(length);
            received.push((buffer, from));
        }
    }
    received
}

fn socket(host: impl Into<IpAddr>) -> UdpSocket {
    let socket = UdpSocket::bind((host.into(), 0)).expect("a port is free");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    socket
}

pub(crate) fn dns() {
    let (client, server) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
    let Ok(SocketAddr::V4(to)) = server.local_addr() else { panic!("it is bound") };
    let to = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: SocketAddrV4::port(&to).to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
        sin_zero: [0; 8],
    };
    for round in 0..4 {
        let queries: Vec<_> = (0..8).map(|n| (query(round * 8 + n, &format!("many{n}")), to)).collect();
        send_many(&client, &queries);
        let answers: Vec<_> =
            receive_many(&server, 8).into_iter().map(|(asked, from)| (answer(&asked), from)).collect();
        send_many(&server, &answers);
        receive_many(&client, 8);
    }
    // And one that is connected; and that of IPv6.
    for (name, host) in [("one", IpAddr::from(Ipv4Addr::LOCALHOST)), ("six", IpAddr::from(Ipv6Addr::LOCALHOST))] {
        let (client, server) = (socket(host), socket(host));
        client.connect(server.local_addr().expect("it is bound")).expect("it is there");
        for n in 0..EACH {
            let mut buffer = [0; 512];
            client.send(&query(n, name)).expect("it is sent");
            let (length, from) = server.recv_from(&mut buffer).expect("a query");
            server.send_to(&answer(&buffer[..length]), from).expect("it is sent");
            client.recv(&mut buffer).expect("an answer");
        }
    }
}

/// So many threads wait for a query each, all of them at the same time, answer it, and wait for the next one.
pub(crate) fn crowd(threads: usize, rounds: usize) {
    let servers: Vec<_> = (0..threads).map(|_| socket(Ipv4Addr::LOCALHOST)).collect();
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| {
                let mut buffer = [0; 512];
                loop {
                    let (length, from) = server.recv_from(&mut buffer).expect("a query");
                    if length == 0 {
                        return;
                    }
                    server.send_to(&answer(&buffer[..length]), from).expect("it is sent");
                }
            });
        }
        let client = socket(Ipv4Addr::LOCALHOST);
        for round in 0..=rounds {
            // Whoever has answered waits again, some time later.
            std::thread::sleep(Duration::from_millis(300));
            for (n, server) in servers.iter().enumerate() {
                let asked = if round < rounds { query(n, "crowd") } else { Vec::new() };
                client.send_to(&asked, server.local_addr().expect("it is bound")).expect("it is sent");
                if !asked.is_empty() {
                    client.recv(&mut [0; 512]).expect("an answer");
                }
            }
        }
        // Whoever missed the end of the last call learns of it here.
        client.set_nonblocking(true).expect("a socket");
        client.recv(&mut [0; 512]).expect_err("there is none");
    });
}

/// A response and a datagram that come with `MSG_TRUNC`, of which nothing or not all is put into the caller's memory; something else stands there,
/// that reads like an HTTP error, and like a query for `wrong.test`.
pub(crate) fn cut() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut asked = vec![0; request(Way::Recv, 0).len()];
            assert!(take_all(Way::Recv, stream.as_raw_fd(), &mut asked));
            put(Way::Recv, stream.as_raw_fd(), &[&head(), BODY].concat());
        });
        let stream = TcpStream::connect(address).expect("the server");
        put(Way::Recv, stream.as_raw_fd(), &request(Way::Recv, 0));
        let mut lie = b"HTTP/1.1 500 Wrong\r\nContent-Length: 5952\r\n\r\n".to_vec();
        lie.resize(head().len() + BODY.len(), b'l');
        let (before, mut left) = (lie.clone(), lie.len());
        while left > 0 {
            // SAFETY: the buffer lives during the call and is as long as that.
            left -= moved(unsafe { libc::recv(stream.as_raw_fd(), lie.as_mut_ptr().cast(), left, libc::MSG_TRUNC) });
        }
        assert!(lie == before, "nothing was put there");
    });
    let (client, server) = (socket(Ipv4Addr::LOCALHOST), socket(Ipv4Addr::LOCALHOST));
    let whole = query(7, "whole");
    client.send_to(&whole, server.local_addr().expect("it is bound")).expect("it is sent");
    let mut memory = query(7, "wrong");
    // SAFETY: the buffer is longer than what may be written to it.
    let length = unsafe { libc::recv(server.as_raw_fd(), memory.as_mut_ptr().cast(), 14, libc::MSG_TRUNC) };
    assert_eq!(moved(length), whole.len());
    assert_eq!(memory[14..], query(7, "wrong")[14..]);
    server.send_to(&answer(&whole), client.local_addr().expect("it is bound")).expect("it is sent");
    client.recv(&mut [0; 512]).expect("an answer");
}
