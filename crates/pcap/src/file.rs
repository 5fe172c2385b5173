//! Packets out of a file: tells the formats apart, and reads pcap.
//!
//! pcap is `draft-ietf-opsawg-pcap`: a file header (section 4), then packet records (section 5), all in the byte order
//! of the machine that wrote them. Its magic number tells the order and the unit of the time stamps.

use crate::field::Endian;
use crate::packet::{FileError, Packet};
use crate::pcapng::Pcapng;

/// The packets of a file, in its order. An error is the last item.
#[derive(Debug)]
pub(crate) enum Packets<'a> {
    Pcap(Pcap<'a>),
    Pcapng(Pcapng<'a>),
}

impl<'a> Packets<'a> {
    /// Looks at the head of the file.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, FileError> {
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Err(FileError::Truncated { what: "file header", at: 0, needed: Pcap::HEADER, left: bytes.len() });
        };
        match *magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => Ok(Packets::Pcapng(Pcapng::new(bytes)?)),
            [0x1f, 0x8b, ..] => Err(FileError::Compressed("gzip -d")),
            [0x28, 0xb5, 0x2f, 0xfd] => Err(FileError::Compressed("zstd -d")),
            [0x04, 0x22, 0x4d, 0x18] => Err(FileError::Compressed("lz4 -d")),
            [0xfd, b'7', b'z', b'X'] => Err(FileError::Compressed("xz -d")),
            magic => Ok(Packets::Pcap(Pcap::new(bytes, magic)?)),
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, FileError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Packets::Pcap(file) => file.next(),
            Packets::Pcapng(file) => file.next(),
        }
    }
}

/// A pcap file.
#[derive(Debug)]
pub(crate) struct Pcap<'a> {
    bytes: &'a [u8],
    at: usize,
    endian: Endian,
    /// Nanoseconds per unit of the fractional time.
    unit: u64,
    /// Length of a packet record's header.
    record: usize,
    link_type: u16,
}

impl<'a> Pcap<'a> {
    const HEADER: usize = 24;
    const MICROSECONDS: u32 = 0xa1b2_c3d4;
    const NANOSECONDS: u32 = 0xa1b2_3c4d;
    /// Kuznetzov's variant (Linux 2.2 days): eight more bytes in each packet record, nothing of interest in them.
    const MODIFIED: u32 = 0xa1b2_cd34;

    fn new(bytes: &'a [u8], magic: [u8; 4]) -> Result<Self, FileError> {
        let known = |magic| match magic {
            Self::MICROSECONDS => Some((1000, 16)),
            Self::NANOSECONDS => Some((1, 16)),
            Self::MODIFIED => Some((1000, 24)),
            _ => None,
        };
        let (endian, (unit, record)) = if let Some(shape) = known(u32::from_le_bytes(magic)) {
            (Endian::Little, shape)
        } else if let Some(shape) = known(u32::from_be_bytes(magic)) {
            (Endian::Big, shape)
        } else {
            return Err(FileError::Magic(magic));
        };
        let (Some(major), Some(minor), Some(link)) =
            (endian.u16(bytes, 4), endian.u16(bytes, 6), endian.u32(bytes, 20))
        else {
            return Err(FileError::Truncated { what: "file header", at: 0, needed: Self::HEADER, left: bytes.len() });
        };
        if major != 2 {
            return Err(FileError::Version { format: "pcap", at: 0, major, minor, known: "2" });
        }
        // The upper half tells of frame check sequences; the IP length leaves them out anyway.
        let link_type = (link & 0xffff) as u16;
        Ok(Self { bytes, at: Self::HEADER, endian, unit, record, link_type })
    }

    #[inline]
    fn next(&mut self) -> Option<Result<Packet<'a>, FileError>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let field = |at| self.endian.u32(rest, at);
        let (at, left) = (self.at, rest.len());
        let header = (field(0), field(4), field(8), field(12));
        let ((Some(seconds), Some(fraction), Some(captured), Some(original)), true) = (header, left >= self.record)
        else {
            self.at = self.bytes.len();
            return Some(Err(FileError::Truncated { what: "packet header", at, needed: self.record, left }));
        };
        let needed = (captured as usize).saturating_add(self.record);
        let Some(data) = rest.get(self.record..needed) else {
            self.at = self.bytes.len();
            return Some(Err(FileError::Truncated { what: "packet", at, needed, left }));
        };
        self.at += needed;
        Some(Ok(Packet {
            // 32 bits of each: no overflow.
            time: u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.unit,
            interface: 0,
            link_type: Some(self.link_type),
            data,
            original: u64::from(original.max(captured)),
        }))
    }
}
