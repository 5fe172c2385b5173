//! Reads pcap and pcapng files into the records of the ring.
//!
//! What a capture shows is what the kernel side would have told, had it been there; so `steth replay` gives both to the
//! same stages:
//!
//! ```text
//! pcap, pcapng      link            ip                tcp | udp
//! bytes -> packets -> IP header -> whole datagrams -> byte streams ==[ records ]==> flow -> wire -> ...
//!                                                                        ^
//! kernel: hook -> verdict -> connection -> ring -> drain ----------------'
//! ```
//!
//! [`replay`] takes the whole file as bytes and gives each record to a function, in an order that depends on the file
//! alone. Four things are different from what a kernel tells:
//!
//! * Nobody's end is observed: the role is [`ROLE_NETWORK`](steth_event::ROLE_NETWORK), *local* is the client, and *sent*
//!   is client to server. The sender of the SYN is the client; without one the ports decide, then who sends first.
//! * Times are those of the packets, already wall-clock: the [`Clock`](steth_event::Clock) at the start has offset 0.
//! * Offsets of TCP are sequence numbers, extended to 64 bits. A hole in the capture shows as an offset that jumps, and
//!   before that in what the other direction says of this one. It is given up when the receiver has acknowledged it and
//!   bytes behind it come, when too much waits behind it, or at the end.
//! * The protocol is not named; that is left to the flow stage.
//!
//! Memory is bounded by [`Limits`], whatever the file holds: segments that wait point into the file.
//!
//! ```
//! use steth_event::Event;
//! use steth_pcap::{Limits, replay};
//! # let mut file = Vec::new();
//! # file.extend([0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0]);
//! # file.extend([1, 0, 0, 0, 0, 0, 0, 0, 33, 0, 0, 0, 33, 0, 0, 0]);
//! # file.extend([0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
//! # file.extend([0x9c, 0x40, 0, 53, 0, 13, 0, 0]);
//! # file.extend(b"hello");
//! // `file` holds one UDP datagram, from port 40000 to port 53.
//! let mut said = Vec::new();
//! let summary = replay(&file, &Limits::default(), &mut |record| match Event::parse(record).unwrap() {
//!     Event::Open(open) => said.push(format!("{} -> {}", open.local_port, open.remote_port)),
//!     Event::Chunk(chunk, data) => said.push(format!("{}: {}", chunk.offset, data.escape_ascii())),
//!     _ => {}
//! })?;
//! assert_eq!(said, ["40000 -> 53", "0: hello"]);
//! assert_eq!((summary.stats.packets, summary.ended_early), (1, None));
//! # Ok::<(), steth_pcap::FileError>(())
//! ```
#![forbid(unsafe_code)]

mod connection;
mod field;
mod file;
mod fragment;
mod ip;
mod limits;
mod link;
mod packet;
mod pcapng;
mod records;
mod stats;
mod stream;
mod table;
mod tcp;
mod tuple;
mod udp;

pub use limits::Limits;
pub use link::UnsupportedLink;
pub use packet::FileError;
pub use stats::{FragmentStats, Skipped, Stats, TcpStats, UdpStats};

use file::Packets;
use fragment::Fragments;
use packet::Packet;
use records::Records;
use stats::Skip;
use tcp::Tcp;
use udp::Udp;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All counts.
    pub stats: Stats,
    /// Why the rest of the file could not be read. What came before has been given out.
    pub ended_early: Option<FileError>,
    /// Interfaces whose packets were skipped, [`Summary::MOST_LINKS`] at most.
    pub unsupported: Vec<UnsupportedLink>,
}

impl Summary {
    /// A file with more unreadable interfaces than this is not worth a longer list.
    pub const MOST_LINKS: usize = 16;
}

/// Reads a capture, and gives out its records one by one: a [`Clock`](steth_event::Clock), then connections as they come,
/// with a [`Tick`](steth_event::Tick) wherever time has moved on and at the end. Connections that are open at the end of
/// the file stay open.
///
/// # Errors
/// When the file is not a capture, or its first header cannot be read. Damage further on ends the replay early, and is
/// told in the [`Summary`].
pub fn replay(bytes: &[u8], limits: &Limits, emit: &mut dyn FnMut(&[u8])) -> Result<Summary, FileError> {
    let packets = Packets::new(bytes)?;
    let mut replay = Replay::new(limits, emit);
    for packet in packets {
        match packet {
            Ok(packet) => replay.packet(&packet),
            Err(error) => replay.summary.ended_early = Some(error),
        }
    }
    Ok(replay.finish())
}

/// The stages, and what they share.
struct Replay<'a, 'e> {
    limits: &'e Limits,
    fragments: Fragments<'a>,
    tcp: Tcp<'a>,
    udp: Udp,
    records: Records<'e>,
    summary: Summary,
    /// The last packet's time.
    now: u64,
    /// The last tick's time. None: there has not been a packet.
    ticked: Option<u64>,
}

impl<'a, 'e> Replay<'a, 'e> {
    /// Time that passes without a tick. The kernel's drain looks about as often when little happens.
    const TICK: u64 = 100_000_000;

    fn new(limits: &'e Limits, emit: &'e mut dyn FnMut(&[u8])) -> Self {
        Self {
            limits,
            fragments: Fragments::new(limits.fragmented, limits.fragments),
            tcp: Tcp::new(limits),
            udp: Udp::new(limits),
            records: Records::new(emit),
            summary: Summary::default(),
            now: 0,
            ticked: None,
        }
    }

    fn packet(&mut self, packet: &Packet<'a>) {
        let stats = &mut self.summary.stats;
        stats.packets += 1;
        stats.bytes += packet.original;
        stats.captured += packet.data.len() as u64;
        self.now = packet.time;
        match self.ticked {
            None => {
                self.records.clock(packet.time);
                self.ticked = Some(packet.time);
            }
            // A capture's time may step back: packets of several interfaces, or the clock was set.
            Some(last) if packet.time.saturating_sub(last) > Self::TICK => {
                self.records.tick(packet.time);
                self.ticked = Some(packet.time);
            }
            Some(_) => {}
        }
        if let Err(why) = self.handle(packet) {
            self.summary.stats.skip(why);
            if why == Skip::LinkType {
                self.unsupported(packet);
            }
        }
    }

    fn handle(&mut self, packet: &Packet<'a>) -> Result<(), Skip> {
        let stats = &mut self.summary.stats;
        let (data, time) = (packet.data, packet.time);
        let network = link::network(packet.link_type.ok_or(Skip::Interface)?, data)?;
        let original = packet.original.saturating_sub((data.len() - network.len()) as u64);
        let datagram = ip::datagram(network, original, time, &mut self.fragments, &mut stats.fragments)?;
        let Some(datagram) = datagram else { return Ok(()) };
        match datagram.protocol {
            6 => self.tcp.segment(datagram, time, &mut self.records, &mut stats.tcp, self.limits),
            17 => self.udp.datagram(&datagram, time, &mut self.records, &mut stats.udp),
            _ => Err(Skip::Transport),
        }
    }

    fn unsupported(&mut self, packet: &Packet<'a>) {
        let (interface, Some(link_type)) = (packet.interface, packet.link_type) else { return };
        let known = &mut self.summary.unsupported;
        if let Some(link) = known.iter_mut().find(|link| link.interface == interface) {
            link.packets += 1;
        } else if known.len() < Summary::MOST_LINKS {
            known.push(UnsupportedLink { interface, link_type, packets: 1 });
        }
    }

    fn finish(mut self) -> Summary {
        if self.ticked.is_none() {
            self.records.clock(0);
        }
        self.tcp.finish(self.now, &mut self.records, &mut self.summary.stats.tcp, self.limits);
        self.records.tick(self.now);
        self.summary.stats.fragments.incomplete += self.fragments.waiting();
        self.summary.stats.records = self.records.count;
        self.summary
    }
}
