//! The records of `bpf/event.h`, and the few that user space adds to a recording.

use crate::metadata::from_json_record;
use crate::{Container, Peer, Process};
use std::mem::offset_of;
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
    pub const SENT: u8 = 22;
    pub const TRANSLATION: u8 = 23;
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
pub const ROLE_SOURCE: [&str; 4] = ["unseen", "state", "request", "bound"];

/// [`Chunk::flags`]: first chunk of its direction since the other direction moved.
pub const CHUNK_TURN: u8 = 1;
/// [`Chunk::flags`]: the payload could not be read.
pub const CHUNK_UNREAD: u8 = 2;
/// [`Chunk::flags`]: several calls in one record.
pub const CHUNK_COALESCED: u8 = 4;
/// [`Chunk::flags`]: behind the captured bytes is a [`Destination`].
pub const CHUNK_DESTINATION: u8 = 8;
/// [`Chunk::flags`]: no hook ran for these bytes. `time` and `opposite` are of the call that found them moved.
pub const CHUNK_MISSED: u8 = 16;

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

/// [`Translation::state`]: the kernel is being asked, and another record will say what it has answered.
pub const TRANSLATION_ASKED: u8 = 1;
/// [`Translation::state`]: the connection leads to the address of this record.
pub const TRANSLATION_TO: u8 = 2;
/// [`Translation::state`]: it leads where its client went to, so far as is known.
pub const TRANSLATION_NONE: u8 = 3;
/// [`Translation::state`]: it was not asked, because too many others were.
pub const TRANSLATION_REFUSED: u8 = 4;

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
pub const COUNTERS: usize = counter::ENDS_MISSED + 1;

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
    pub const CROWDED_CHUNKS: usize = DROPPED_REQUESTS + super::PROTOCOLS;
    pub const CROWDED_BYTES: usize = CROWDED_CHUNKS + 1;
    pub const CROWDED_RUNS: usize = CROWDED_BYTES + 1;
    pub const ENDS_MISSED: usize = CROWDED_RUNS + 1;
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
                &[$((stringify!($field), offset_of!($name, $field), size_of::<$type>()),)*];
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
        began_sent: u32, began_received: u32,
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
        calls: u64, segments_out: u32, segments_in: u32, retransmitted: u32, srtt_us: u32, error: u32, congestion: u32,
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
        kind: u8, container_length: u8, undecided: u8, reserved: u8, tgid: u32, time: u64, started: u64,
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
    Cgroup { kind: u8, change: u8, undecided: u8, reserved: u8, tgid: u32, time: u64, id: [u8; CONTAINER_ID], }
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
    /// User space: what a UDP socket that is not connected has sent to one place since the last record of this kind about it. Comes
    /// before the books of the same sweep, and what it counts is read after them: it may tell of more than they do.
    Sent {
        kind: u8, reserved: u8, family: u16, port: u16, reserved2: u16, connection: u64, bytes: u64, datagrams: u64,
        address: [u8; 16],
    }
}
record! {
    /// User space: what the kernel's connection tracking says of a client's connection: where it really leads, and whom the server takes
    /// for the client.
    Translation {
        kind: u8, state: u8, family: u16, port: u16, client_port: u16, connection: u64, address: [u8; 16],
        client_address: [u8; 16],
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
    /// What went where from a socket that is not connected.
    Sent(Sent),
    /// Where a connection really leads.
    Translation(Translation),
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
        Some(&(kind::CHUNK | kind::SHUTDOWN | kind::CLOSE | kind::PROGRESS)) => offset_of!(Chunk, time),
        Some(&kind::OPEN) => offset_of!(Open, time),
        Some(&(kind::EXEC | kind::FORK | kind::EXIT | kind::CGROUP | kind::LISTEN)) => {
            offset_of!(Exec, time)
        }
        _ => return 0,
    };
    record.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

// One place for the time of several kinds.
const _: () = {
    assert!(offset_of!(Chunk, time) == offset_of!(Books, time));
    assert!(offset_of!(Chunk, time) == offset_of!(Shutdown, time));
    assert!(offset_of!(Exec, time) == offset_of!(Fork, time));
    assert!(offset_of!(Exec, time) == offset_of!(Exit, time));
    assert!(offset_of!(Exec, time) == offset_of!(Cgroup, time));
    assert!(offset_of!(Exec, time) == offset_of!(Listen, time));
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

/// Reads a record that has grown: one of before, which ends at one of these places, is as good, with zeros behind it. A frame of a recording is
/// padded; no length between two of them has ever been written.
macro_rules! grown {
    ($name:ident ended at $($end:expr),+) => {
        impl $name {
            const OLD: &'static [usize] = &[$($end),+];

            fn read(bytes: &[u8]) -> Option<Self> {
                if let Ok((whole, _)) = Self::read_from_prefix(bytes) {
                    return Some(whole);
                }
                let end = Self::OLD.iter().copied().find(|end| (*end..*end + 8).contains(&bytes.len()))?;
                let mut whole = [0; size_of::<Self>()];
                whole[..end].copy_from_slice(&bytes[..end]);
                Some(zerocopy::transmute!(whole))
            }
        }
    };
}
grown!(Open ended at offset_of!(Open, accepted), offset_of!(Open, began_sent));
grown!(Books ended at offset_of!(Books, bytes_sent));
grown!(Counters ended at values_before(counter::ENDS_MISSED), values_before(counter::CROWDED_CHUNKS));

const fn values_before(index: usize) -> usize {
    offset_of!(Counters, values) + 8 * index
}

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
            kind::SENT => Event::Sent(fixed!(Sent).0),
            kind::TRANSLATION => Event::Translation(fixed!(Translation).0),
            kind::TICK => Event::Tick(fixed!(Tick).0),
            kind::PROCESS => Event::Process(Box::new(from_json_record(bytes)?)),
            kind::CONTAINER => Event::Container(Box::new(from_json_record(bytes)?)),
            kind::PEER => Event::Peer(Box::new(from_json_record(bytes)?)),
            kind::COUNTERS => Event::Counters(Box::new(Counters::read(bytes).ok_or(short)?)),
            other => return Err(RecordError::Kind(other)),
        })
    }
}

#[cfg(test)]
mod tests;
