//! The records of `bpf/event.h`, and the few that user space adds to a recording.

use crate::metadata::from_json_record;
use crate::{Container, Peer, Process};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Values of the first byte of a record.
pub mod kind {
    #![allow(missing_docs)] // the names are those of the Event variants
    pub const OPEN: u8 = 1;
    pub const CHUNK: u8 = 2;
    pub const SHUTDOWN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const PROGRESS: u8 = 5;
    pub const EXEC: u8 = 6;
    pub const EXIT: u8 = 7;
    pub const CGROUP: u8 = 8;
    pub const LISTEN: u8 = 9;
    pub const FORK: u8 = 10;
    pub const CLOCK: u8 = 16;
    pub const PROCESS: u8 = 17;
    pub const COUNTERS: u8 = 18;
    pub const TICK: u8 = 19;
    pub const CONTAINER: u8 = 20;
    pub const PEER: u8 = 21;
}

/// `direction` of bytes that the observed task sent.
pub const SEND: u8 = 0;
/// `direction` of bytes that the observed task received.
pub const RECEIVE: u8 = 1;

/// `role`: not known yet.
pub const ROLE_UNKNOWN: u8 = 0;
/// `role`: the observed end is the client.
pub const ROLE_CLIENT: u8 = 1;
/// `role`: the observed end is the server.
pub const ROLE_SERVER: u8 = 2;
/// `role`: nobody's end; the traffic was seen on the network (a pcap). `SEND` is then client to server.
pub const ROLE_NETWORK: u8 = 3;

/// `role_source`: how the role was learnt.
pub const ROLE_SOURCE: [&str; 3] = ["unseen", "state", "request"];

/// [`Chunk::flags`]: first chunk of its direction since the other direction moved.
pub const CHUNK_TURN: u8 = 1;
/// [`Chunk::flags`]: the payload could not be read.
pub const CHUNK_UNREAD: u8 = 2;
/// [`Chunk::flags`]: several calls in one record.
pub const CHUNK_COALESCED: u8 = 4;
/// [`Chunk::flags`]: behind the captured bytes is a [`Destination`].
pub const CHUNK_DESTINATION: u8 = 8;

/// [`Chunk::lag_us`]: not recorded.
pub const LAG_UNKNOWN: u32 = u32::MAX;

/// [`Books::flags`]: a RST came in.
pub const CLOSE_RESET_BY_PEER: u8 = 1;
/// [`Books::flags`]: a RST was sent.
pub const CLOSE_RESET_BY_US: u8 = 2;
/// [`Books::flags`]: the kernel gave up retransmitting.
pub const CLOSE_TIMED_OUT: u8 = 4;
/// [`Books::flags`]: this end has sent its FIN.
pub const CLOSE_FIN_SENT: u8 = 8;
/// [`Books::flags`]: the peer's FIN came in.
pub const CLOSE_FIN_RECEIVED: u8 = 16;
/// [`Books::flags`]: the connection attempt was refused.
pub const CLOSE_REFUSED: u8 = 32;

/// [`Listen::change`]: a socket has begun to wait for connections, or had before the agent came.
pub const LISTEN_BEGINS: u8 = 1;
/// [`Listen::change`]: a sweep has found it.
pub const LISTEN_GOES_ON: u8 = 2;
/// [`Listen::change`]: it is closed.
pub const LISTEN_ENDS: u8 = 3;

/// Bytes of a container's id, which is written as twice as many hexadecimal digits.
pub const CONTAINER_ID: usize = 32;
/// [`Cgroup::change`]: a cgroup of a container was made; one record for each hierarchy of cgroups.
pub const CGROUP_MADE: u8 = 1;
/// [`Cgroup::change`]: one was removed.
pub const CGROUP_GONE: u8 = 2;
/// [`Cgroup::change`]: a process was put into it, or with zeros for an id into none, and is to be judged anew.
pub const CGROUP_JOINED: u8 = 3;

/// Number of protocols, the unknown one included (`STETH_PROTOCOL_COUNT`).
pub const PROTOCOLS: usize = 6;

/// Number of kernel counters (`STETH_COUNTERS`).
pub const COUNTERS: usize = counter::DROPPED_REQUESTS + PROTOCOLS;

/// Index of each kernel counter, in the order of `enum steth_counter`, which says what each means.
pub mod counter {
    #![allow(missing_docs)]
    pub const SEEN_CHUNKS: usize = 0;
    pub const SEEN_BYTES: usize = 1;
    pub const REPORTED_CHUNKS: usize = 2;
    pub const REPORTED_BYTES: usize = 3;
    pub const L4_CHUNKS: usize = 4;
    pub const L4_BYTES: usize = 5;
    pub const DROPPED_RECORDS: usize = 6;
    pub const DROPPED_CHUNKS: usize = 7;
    pub const DROPPED_BYTES: usize = 8;
    pub const UNREAD_CHUNKS: usize = 9;
    pub const UNREAD_BYTES: usize = 10;
    pub const SKIPPED_BYTES: usize = 11;
    pub const MAP_FULL: usize = 12;
    pub const MAP_FULL_BYTES: usize = 13;
    pub const PENDING_CHUNKS: usize = 14;
    pub const PENDING_BYTES: usize = 15;
    pub const UNSELECTED: usize = 16;
    pub const PEEKS: usize = 17;
    pub const VERDICTS_FULL: usize = 18;
    pub const OTHER_CHUNKS: usize = 19;
    pub const OTHER_BYTES: usize = 20;
    pub const DROPPED_REQUESTS: usize = 21;
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[allow(missing_docs)] // fields are documented once, in bpf/event.h
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        impl $name {
            /// Name, offset and size of every field, for the comparison with the kernel side.
            pub const LAYOUT: &'static [(&'static str, usize, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field), size_of::<$type>()),)*];
        }
    };
}

record! {
    /// `struct steth_open`: a connection is announced; comes before its first chunk.
    Open {
        kind: u8, family: u8, transport: u8, role: u8, role_source: u8, untold: u8, joined: u8, counted: u8,
        tgid: u32, netns: u32,
        connection: u64, time: u64, established: u64, connect_started: u64, sent: u64, received: u64,
        local_port: u16, remote_port: u16, peer_tgid: u32,
        local_address: [u8; 16], remote_address: [u8; 16], comm: [u8; 16], accepted: u64,
    }
}
record! {
    /// `struct steth_chunk`: bytes moved between a task and a socket. The captured ones follow.
    Chunk {
        kind: u8, direction: u8, protocol: u8, flags: u8, tgid: u32, connection: u64, time: u64, offset: u64,
        opposite: u64, length: u32, captured: u16, role: u8, role_source: u8, lag_us: u32, calls: u32,
    }
}
record! {
    /// `struct steth_destination`: where a datagram was sent from a socket that is not connected.
    Destination { family: u16, port: u16, address: [u8; 16], }
}
record! {
    /// `struct steth_shutdown`: one direction has ended with a FIN.
    Shutdown { kind: u8, direction: u8, reserved: [u8; 6], connection: u64, time: u64, offset: u64, }
}
record! {
    /// `struct steth_books`: state of a connection at its end ([`Event::Close`]) or at a sweep ([`Event::Progress`]).
    Books {
        kind: u8, flags: u8, protocol: u8, role: u8, tgid: u32, connection: u64, time: u64, sent: u64, received: u64,
        calls: u64, segments_out: u32, segments_in: u32, retransmitted: u32, srtt_us: u32, error: u32, reserved: u32,
        bytes_sent: u64, bytes_received: u64, bytes_acked: u64, retransmitted_bytes: u64,
        busy_us: u64, receive_window_us: u64, send_buffer_us: u64, accepted: u64, established: u64,
        rtt_min_us: u32, rtt_deviation_us: u32, reordered: u32, lost: u32, duplicates: u32, unread: u32, unacked: u32,
        send_window: u32,
    }
}
record! {
    /// `struct steth_listen`: a TCP socket waits for connections ([`LISTEN_BEGINS`], [`LISTEN_GOES_ON`]), or does no more.
    Listen {
        kind: u8, change: u8, family: u8, reserved: u8, tgid: u32, time: u64, connection: u64, netns: u32, port: u16,
        reserved2: u16, backlog: u32, backlog_max: u32, drops: u32, reserved3: u32, address: [u8; 16], comm: [u8; 16],
    }
}
record! {
    /// `struct steth_exec`: a process has a new image. Executable, command line and the container's id follow.
    Exec {
        kind: u8, container_length: u8, reserved: [u8; 2], tgid: u32, time: u64, started: u64,
        executable_length: u16, command_line_length: u16, parent: u32,
    }
}
record! {
    /// `struct steth_fork`: a process has a child, which has its image until it gets one of its own.
    Fork { kind: u8, reserved: [u8; 3], tgid: u32, time: u64, started: u64, parent: u32, reserved_too: u32, }
}
record! {
    /// `struct steth_exit`: a process has ended.
    Exit { kind: u8, reserved: [u8; 3], tgid: u32, time: u64, }
}
record! {
    /// `struct steth_cgroup`: a container's cgroup comes or goes, or a process comes into it.
    Cgroup { kind: u8, change: u8, reserved: [u8; 2], tgid: u32, time: u64, id: [u8; CONTAINER_ID], }
}
record! {
    /// User space: what to add to a monotonic time to get nanoseconds since 1970.
    Clock { kind: u8, reserved: [u8; 7], monotonic: u64, offset: u64, }
}
record! {
    /// User space: the drain found the ring empty at this time. Whatever waits for an earlier event waits in vain.
    Tick {
        kind: u8,
        /// 1: a sweep has just ended; a connection that it did not report is gone.
        swept: u8,
        reserved: [u8; 6], time: u64,
    }
}
record! {
    /// User space: the kernel side's counters, summed over the CPUs.
    Counters {
        kind: u8, reserved: [u8; 7],
        /// Program runs that the kernel skipped because the same program was running on that CPU.
        missed: u64,
        values: [u64; COUNTERS],
    }
}

/// One record.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection is announced.
    Open(Open),
    /// Bytes moved; the slice is what was captured of them.
    Chunk(Chunk, &'a [u8]),
    /// One direction has ended.
    Shutdown(Shutdown),
    /// A connection has ended.
    Close(Books),
    /// A connection is alive.
    Progress(Books),
    /// A process has a new image: executable, command line (NUL-separated).
    Exec(Exec, &'a [u8], &'a [u8]),
    /// A process has a child.
    Fork(Fork),
    /// A process has ended.
    Exit(Exit),
    /// A container comes or goes.
    Cgroup(Cgroup),
    /// Somebody waits for connections.
    Listen(Listen),
    /// Offset from monotonic to wall time.
    Clock(Clock),
    /// The ring was empty.
    Tick(Tick),
    /// What is known of a process.
    Process(Box<Process>),
    /// What is known of a container.
    Container(Box<Container>),
    /// Who has an address.
    Peer(Box<Peer>),
    /// The kernel side's counters.
    Counters(Box<Counters>),
}

/// The `time` of a record of the kernel side, by which records of several rings are merged; 0 if it has none.
#[inline]
#[must_use]
pub fn time(record: &[u8]) -> u64 {
    let at = match record.first() {
        Some(&(kind::CHUNK | kind::SHUTDOWN | kind::CLOSE | kind::PROGRESS)) => std::mem::offset_of!(Chunk, time),
        Some(&kind::OPEN) => std::mem::offset_of!(Open, time),
        Some(&(kind::EXEC | kind::FORK | kind::EXIT | kind::CGROUP | kind::LISTEN)) => {
            std::mem::offset_of!(Exec, time)
        }
        _ => return 0,
    };
    record.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

// One place for the time of several kinds.
const _: () = {
    assert!(std::mem::offset_of!(Chunk, time) == std::mem::offset_of!(Books, time));
    assert!(std::mem::offset_of!(Chunk, time) == std::mem::offset_of!(Shutdown, time));
    assert!(std::mem::offset_of!(Exec, time) == std::mem::offset_of!(Fork, time));
    assert!(std::mem::offset_of!(Exec, time) == std::mem::offset_of!(Exit, time));
    assert!(std::mem::offset_of!(Exec, time) == std::mem::offset_of!(Cgroup, time));
    assert!(std::mem::offset_of!(Exec, time) == std::mem::offset_of!(Listen, time));
};

/// Why a record could not be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Shorter than its kind needs, or than its own length fields say.
    #[error("record of kind {kind} is cut short at {length} bytes")]
    Short {
        /// Its first byte.
        kind: u8,
        /// Its length.
        length: usize,
    },
    /// Not a kind this version knows.
    #[error("unknown record kind {0}; was it written by a newer steth?")]
    Kind(u8),
    /// The description of a process, a container or a peer is not what `to_record` writes.
    #[error("malformed record of kind {kind}: {error}")]
    Json {
        /// Its first byte.
        kind: u8,
        /// What the reader of its JSON says.
        error: String,
    },
}

impl Chunk {
    /// A chunk and what was captured of it, in place: the quick way for the kind that nearly all records are of. `None`:
    /// another kind, malformed, or not aligned as the ring and a recording align it; [`Event::parse`] then tells.
    #[inline]
    #[must_use]
    pub fn in_place(bytes: &[u8]) -> Option<(&Self, &[u8])> {
        let (chunk, rest) = Self::ref_from_prefix(bytes).ok()?;
        let data = rest.get(..usize::from(chunk.captured))?;
        (chunk.kind == kind::CHUNK && data.len() <= chunk.length as usize).then_some((chunk, data))
    }
}

/// Reads a record that has grown: one of before, whose further fields are 0, is as good. A frame of a recording is padded; no
/// length between the two has ever been written.
macro_rules! grown {
    ($name:ident, $since:ident) => {
        impl $name {
            const OLD: usize = std::mem::offset_of!(Self, $since);

            fn read(bytes: &[u8]) -> Option<Self> {
                if let Ok((whole, _)) = Self::read_from_prefix(bytes) {
                    return Some(whole);
                }
                let old = bytes.get(..Self::OLD).filter(|_| bytes.len() < Self::OLD + 8)?;
                let mut whole = [0; size_of::<Self>()];
                whole[..Self::OLD].copy_from_slice(old);
                Some(zerocopy::transmute!(whole))
            }
        }
    };
}
grown!(Open, accepted);
grown!(Books, bytes_sent);

impl Destination {
    /// What is behind the captured bytes of this chunk in its record, if anything is.
    #[inline]
    #[must_use]
    pub fn of(chunk: &Chunk, record: &[u8]) -> Option<Self> {
        if chunk.flags & CHUNK_DESTINATION == 0 {
            return None;
        }
        let behind = record.get(size_of::<Chunk>() + usize::from(chunk.captured)..)?;
        Some(Self::read_from_prefix(behind).ok()?.0)
    }
}

impl Exec {
    /// Id of the container that the process of this record is in; `None`: in none, or the record is of a time when it did not
    /// say.
    #[must_use]
    pub fn container(&self, record: &[u8]) -> Option<[u8; CONTAINER_ID]> {
        if usize::from(self.container_length) != CONTAINER_ID {
            return None;
        }
        let text = usize::from(self.executable_length) + usize::from(self.command_line_length);
        record.get(size_of::<Self>() + text..)?.first_chunk().copied()
    }
}

impl<'a> Event<'a> {
    /// Reads one record.
    ///
    /// # Errors
    /// When the bytes are not a whole record of a known kind.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let kind = *bytes.first().ok_or(RecordError::Short { kind: 0, length: 0 })?;
        let short = RecordError::Short { kind, length: bytes.len() };
        macro_rules! fixed {
            ($type:ty) => {
                match <$type>::read_from_prefix(bytes) {
                    Ok(pair) => pair,
                    Err(_) => return Err(short),
                }
            };
        }
        Ok(match kind {
            kind::CHUNK => {
                let (chunk, rest) = fixed!(Chunk);
                let data = rest.get(..usize::from(chunk.captured)).ok_or(short.clone())?;
                if data.len() > chunk.length as usize {
                    return Err(short);
                }
                Event::Chunk(chunk, data)
            }
            kind::OPEN => Event::Open(Open::read(bytes).ok_or(short)?),
            kind::SHUTDOWN => Event::Shutdown(fixed!(Shutdown).0),
            kind::CLOSE => Event::Close(Books::read(bytes).ok_or(short)?),
            kind::PROGRESS => Event::Progress(Books::read(bytes).ok_or(short)?),
            kind::EXEC => {
                let (exec, rest) = fixed!(Exec);
                let (executable, rest) =
                    rest.split_at_checked(usize::from(exec.executable_length)).ok_or(short.clone())?;
                let (line, rest) = rest.split_at_checked(usize::from(exec.command_line_length)).ok_or(short.clone())?;
                if rest.len() < usize::from(exec.container_length) {
                    return Err(short);
                }
                Event::Exec(exec, executable, line)
            }
            kind::FORK => Event::Fork(fixed!(Fork).0),
            kind::EXIT => Event::Exit(fixed!(Exit).0),
            kind::CGROUP => Event::Cgroup(fixed!(Cgroup).0),
            kind::LISTEN => Event::Listen(fixed!(Listen).0),
            kind::CLOCK => Event::Clock(fixed!(Clock).0),
            kind::TICK => Event::Tick(fixed!(Tick).0),
            kind::PROCESS => Event::Process(Box::new(from_json_record(bytes)?)),
            kind::CONTAINER => Event::Container(Box::new(from_json_record(bytes)?)),
            kind::PEER => Event::Peer(Box::new(from_json_record(bytes)?)),
            kind::COUNTERS => Event::Counters(Box::new(fixed!(Counters).0)),
            other => return Err(RecordError::Kind(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(kind: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[0] = kind;
        bytes
    }

    fn chunk(length: u32, captured: u16, data: &[u8]) -> Vec<u8> {
        let head = Chunk { kind: kind::CHUNK, length, captured, ..Chunk::default() };
        [head.as_bytes(), data].concat()
    }

    fn exec(executable_length: u16, command_line_length: u16, strings: &[u8]) -> Vec<u8> {
        let head = Exec { kind: kind::EXEC, executable_length, command_line_length, ..Exec::default() };
        [head.as_bytes(), strings].concat()
    }

    const FIXED: [(u8, usize); 8] = [
        (kind::SHUTDOWN, size_of::<Shutdown>()),
        (kind::LISTEN, size_of::<Listen>()),
        (kind::FORK, size_of::<Fork>()),
        (kind::EXIT, size_of::<Exit>()),
        (kind::CGROUP, size_of::<Cgroup>()),
        (kind::CLOCK, size_of::<Clock>()),
        (kind::COUNTERS, size_of::<Counters>()),
        (kind::TICK, size_of::<Tick>()),
    ];

    /// The kind that the variant stands for.
    fn kind_of(event: &Event<'_>) -> u8 {
        match event {
            Event::Open(_) => kind::OPEN,
            Event::Chunk(..) => kind::CHUNK,
            Event::Shutdown(_) => kind::SHUTDOWN,
            Event::Close(_) => kind::CLOSE,
            Event::Progress(_) => kind::PROGRESS,
            Event::Exec(..) => kind::EXEC,
            Event::Fork(_) => kind::FORK,
            Event::Exit(_) => kind::EXIT,
            Event::Cgroup(_) => kind::CGROUP,
            Event::Listen(_) => kind::LISTEN,
            Event::Clock(_) => kind::CLOCK,
            Event::Tick(_) => kind::TICK,
            Event::Process(_) => kind::PROCESS,
            Event::Container(_) => kind::CONTAINER,
            Event::Peer(_) => kind::PEER,
            Event::Counters(_) => kind::COUNTERS,
        }
    }

    #[test]
    fn each_kind_is_read_as_itself_and_refused_when_cut() {
        let fixed = FIXED.map(|(kind, size)| filled(kind, size));
        let process = Process { pid: 1, name: "a".to_owned(), ..Process::default() }.to_record();
        let strings = exec(3, 2, b"/ba\0b");
        for whole in fixed.into_iter().chain([chunk(9, 2, b"he"), strings]) {
            assert_eq!(Event::parse(&whole).map(|event| kind_of(&event)), Ok(whole[0]));
            let padded = [&whole[..], &[0; 7]].concat();
            assert_eq!(Event::parse(&padded).map(|event| kind_of(&event)), Ok(whole[0]), "a frame's padding");
            for end in 1..whole.len() {
                let short = RecordError::Short { kind: whole[0], length: end };
                assert_eq!(Event::parse(&whole[..end]).map(|_| ()), Err(short));
            }
        }
        assert!(matches!(Event::parse(&process), Ok(Event::Process(p)) if p.pid == 1 && p.name == "a"));
        assert!((1..process.len()).all(|end| Event::parse(&process[..end]).is_err()));
    }

    #[test]
    fn fields_come_from_their_places() {
        let mut bytes = filled(kind::SHUTDOWN, size_of::<Shutdown>());
        bytes[1] = RECEIVE;
        bytes[8..16].copy_from_slice(&7u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&8u64.to_le_bytes());
        bytes[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        let Ok(Event::Shutdown(shutdown)) = Event::parse(&bytes) else { panic!("a shutdown") };
        assert_eq!((shutdown.direction, shutdown.connection), (RECEIVE, 7));
        assert_eq!((shutdown.time, shutdown.offset), (8, u64::MAX));
    }

    #[test]
    fn books_of_old_recordings_are_read_and_books_that_are_cut_are_not() {
        for kind in [kind::CLOSE, kind::PROGRESS] {
            let whole = Books { kind, connection: 7, srtt_us: 8, bytes_sent: 9, send_window: 10, ..Books::default() };
            let bytes = whole.as_bytes();
            for (length, expected) in [
                (size_of::<Books>(), Some(whole)),
                (Books::OLD, Some(Books { bytes_sent: 0, send_window: 0, ..whole })),
                (Books::OLD - 1, None),
                (Books::OLD + 8, None),
                (size_of::<Books>() - 1, None),
            ] {
                let read = match Event::parse(&bytes[..length]) {
                    Ok(Event::Close(books) | Event::Progress(books)) => Some(books),
                    other => {
                        assert!(matches!(other, Err(RecordError::Short { .. })), "{other:?}");
                        None
                    }
                };
                assert_eq!(read, expected, "{length} bytes");
            }
        }
    }

    #[test]
    fn an_announcement_of_an_old_recording_is_read() {
        let whole = Open { kind: kind::OPEN, connection: 7, comm: [8; 16], accepted: 9, ..Open::default() };
        for (length, accepted) in [(size_of::<Open>(), Some(9)), (Open::OLD, Some(0)), (Open::OLD - 1, None)] {
            let read = match Event::parse(&whole.as_bytes()[..length]) {
                Ok(Event::Open(open)) => Some(open),
                _ => None,
            };
            assert_eq!(read, accepted.map(|accepted| Open { accepted, ..whole }), "{length} bytes");
        }
    }

    #[test]
    fn strings_of_an_exec_are_told_apart() {
        let bytes = exec(4, 5, b"/bina\0b c and more");
        assert!(matches!(Event::parse(&bytes), Ok(Event::Exec(_, b"/bin", b"a\0b c"))));
        assert!(matches!(Event::parse(&exec(0, 0, b"")), Ok(Event::Exec(_, b"", b""))));
    }

    #[test]
    fn the_container_of_an_exec_is_behind_its_strings() {
        let mut bytes = exec(4, 5, b"/bina\0b c");
        let Ok(Event::Exec(old, ..)) = Event::parse(&bytes) else { panic!("an exec of an old recording") };
        assert_eq!(old.container(&bytes), None);
        bytes[1] = CONTAINER_ID as u8;
        assert!(Event::parse(&bytes).is_err(), "an id that is cut");
        bytes.extend_from_slice(&[7; CONTAINER_ID]);
        let Ok(Event::Exec(new, b"/bin", b"a\0b c")) = Event::parse(&bytes) else { panic!("an exec") };
        assert_eq!(new.container(&bytes), Some([7; CONTAINER_ID]));
    }

    #[test]
    fn lengths_that_cannot_be_true_are_refused() {
        for (bytes, why) in [
            (chunk(4, 5, b"12345"), "more captured than moved"),
            (chunk(9, 5, b"1234"), "more captured than there is"),
            (chunk(0, u16::MAX, b""), "much more"),
            (exec(2, 0, b"a"), "an executable that is cut"),
            (exec(1, 2, b"ab"), "a command line that is cut"),
            (exec(u16::MAX, u16::MAX, b"ab"), "both"),
        ] {
            let short = RecordError::Short { kind: bytes[0], length: bytes.len() };
            assert_eq!(Event::parse(&bytes).map(|_| ()), Err(short), "{why}");
        }
        assert!(matches!(Event::parse(&chunk(5, 5, b"12345")), Ok(Event::Chunk(_, b"12345"))));
        assert!(matches!(Event::parse(&chunk(u32::MAX, 0, b"")), Ok(Event::Chunk(_, b""))));
    }

    #[test]
    fn what_is_no_record_is_named() {
        assert_eq!(Event::parse(b"").map(|_| ()), Err(RecordError::Short { kind: 0, length: 0 }));
        let known = FIXED.map(|(kind, _)| kind);
        let with_strings = [
            kind::OPEN,
            kind::CLOSE,
            kind::PROGRESS,
            kind::CHUNK,
            kind::EXEC,
            kind::PROCESS,
            kind::CONTAINER,
            kind::PEER,
        ];
        for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind) && !with_strings.contains(kind)) {
            assert_eq!(Event::parse(&filled(kind, 512)).map(|_| ()), Err(RecordError::Kind(kind)));
        }
        let process = [&filled(kind::PROCESS, 8)[..], b"{\"pid\":\"x\"}"].concat();
        assert!(matches!(Event::parse(&process), Err(RecordError::Json { kind: kind::PROCESS, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn any_bytes_are_a_record_or_an_error(kind in 0..24u8, mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            let in_place = Chunk::in_place(&bytes).map(|(chunk, data)| (*chunk, data));
            match Event::parse(&bytes) {
                Ok(Event::Chunk(chunk, data)) => {
                    // A vector of bytes may lie anywhere, though it hardly ever does.
                    let aligned = bytes.as_ptr().cast::<Chunk>().is_aligned();
                    prop_assert_eq!(in_place, aligned.then_some((chunk, data)));
                    prop_assert_eq!(data.len(), usize::from(chunk.captured));
                    prop_assert!(data.len() <= chunk.length as usize);
                }
                other => {
                    prop_assert_eq!(in_place, None);
                    prop_assert!(other.is_err() || other.is_ok_and(|event| kind_of(&event) == kind));
                }
            }
        }

        #[test]
        fn a_chunk_is_read_exactly_when_its_lengths_agree(
            length in prop_oneof![0..40u32, any::<u32>()], captured in 0..40u16, there in 0..40usize,
        ) {
            let bytes = chunk(length, captured, &vec![b'x'; there]);
            let agree = usize::from(captured) <= there && u32::from(captured) <= length;
            prop_assert_eq!(Event::parse(&bytes).is_ok(), agree);
        }

        #[test]
        fn a_chunk_survives_being_written(bytes in any::<[u8; size_of::<Chunk>()]>()) {
            let chunk = zerocopy::transmute!(bytes);
            let chunk = Chunk { kind: kind::CHUNK, captured: 0, ..chunk };
            let read = Event::parse(chunk.as_bytes()).map(|event| matches!(event, Event::Chunk(c, b"") if c == chunk));
            prop_assert_eq!(read, Ok(true));
        }
    }
}
