//! pcapng: blocks, in sections, with an interface description behind every packet.
//!
//! `draft-ietf-opsawg-pcapng`: General Block Structure (3.1), Section Header Block (4.1), Interface Description Block
//! (4.2), Enhanced Packet Block (4.3), Simple Packet Block (4.4), the obsolete Packet Block (appendix A). All other blocks
//! are stepped over: name resolution, statistics, decryption secrets, custom blocks. Of the options only if_tsresol and
//! if_tsoffset are read.

use crate::field::Endian;
use crate::packet::{FileError, Packet};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// A pcapng file.
#[derive(Debug)]
pub(crate) struct Pcapng<'a> {
    bytes: &'a [u8],
    at: usize,
    endian: Endian,
    /// Of the current section.
    interfaces: Vec<Interface>,
    /// How many there were in earlier sections.
    before: usize,
    /// Time of the last packet: a Simple Packet Block has none of its own.
    time: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u16,
    /// Only Simple Packet Blocks need it. 0: unlimited.
    snap_length: u32,
    unit: Unit,
    /// Seconds to add.
    offset: i64,
}

/// What one step of a time stamp is.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many nanoseconds.
    Times(u64),
    /// One nanosecond divided by so many; 0 for too many to count.
    Over(u64),
    /// One second divided by this power of two.
    Binary(u8),
}

impl Interface {
    fn time(&self, ticks: u64) -> u64 {
        let nanoseconds = match self.unit {
            Unit::Times(n) => u128::from(ticks) * u128::from(n),
            Unit::Over(n) => u128::from(ticks.checked_div(n).unwrap_or(0)),
            Unit::Binary(power) => (u128::from(ticks) * 1_000_000_000) >> power,
        };
        // Below 2^94, and the offset below 2^93: no overflow.
        let shifted = nanoseconds as i128 + i128::from(self.offset) * 1_000_000_000;
        u64::try_from(shifted.max(0)).unwrap_or(u64::MAX)
    }
}

impl<'a> Pcapng<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, FileError> {
        let mut file = Self { bytes, at: 0, endian: Endian::Little, interfaces: Vec::new(), before: 0, time: 0 };
        // The caller has seen that the first block is a section header; without one nothing can be read.
        file.block()?;
        Ok(file)
    }

    pub(crate) fn next(&mut self) -> Option<Result<Packet<'a>, FileError>> {
        while self.at < self.bytes.len() {
            match self.block() {
                Ok(Some(packet)) => {
                    self.time = packet.time;
                    return Some(Ok(packet));
                }
                Ok(None) => {}
                Err(error) => {
                    self.at = self.bytes.len();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Reads one block, and steps over it.
    fn block(&mut self) -> Result<Option<Packet<'a>>, FileError> {
        const AROUND: usize = 12;
        let at = self.at;
        let rest = self.bytes.get(at..).unwrap_or_default();
        let truncated = |needed| FileError::Truncated { what: "block", at, needed, left: rest.len() };
        let damaged = |problem| FileError::Damaged { at, problem };

        let kind = self.endian.u32(rest, 0).ok_or(truncated(AROUND))?;
        if kind == SECTION {
            // The one block whose type reads the same in both orders; what follows its length tells the order.
            self.endian = match rest.get(8..12) {
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => Endian::Little,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => Endian::Big,
                Some(_) => return Err(damaged("no byte-order magic in a section header")),
                None => return Err(truncated(28)),
            };
        }
        let length = self.endian.u32(rest, 4).ok_or(truncated(AROUND))? as usize;
        if length < AROUND || !length.is_multiple_of(4) {
            return Err(damaged("its length is not a multiple of 4 from 12 up"));
        }
        let block = rest.get(..length).ok_or(truncated(length))?;
        if self.endian.u32(block, length - 4) != Some(length as u32) {
            return Err(damaged("the lengths at its two ends differ"));
        }
        let body = &block[8..length - 4];
        self.at += length;

        let packet = match kind {
            SECTION => {
                let (Some(major), Some(minor)) = (self.endian.u16(body, 4), self.endian.u16(body, 6)) else {
                    return Err(damaged("too short for a section header"));
                };
                if major != 1 {
                    return Err(FileError::Version { format: "pcapng", at, major, minor, known: "1" });
                }
                self.before += self.interfaces.len();
                self.interfaces.clear();
                return Ok(None);
            }
            INTERFACE => {
                let interface = self.interface(body).ok_or(damaged("too short for an interface description"))?;
                self.interfaces.push(interface);
                return Ok(None);
            }
            ENHANCED_PACKET => self.packet(body, self.endian.u32(body, 0)),
            PACKET => self.packet(body, self.endian.u16(body, 0).map(u32::from)),
            SIMPLE_PACKET => self.simple_packet(body),
            _ => return Ok(None),
        };
        packet.map(Some).ok_or(damaged("shorter than the packet in it"))
    }

    fn interface(&self, body: &[u8]) -> Option<Interface> {
        const END: u16 = 0;
        const TIME_RESOLUTION: u16 = 9;
        const TIME_OFFSET: u16 = 14;
        let mut interface = Interface {
            link_type: self.endian.u16(body, 0)?,
            snap_length: self.endian.u32(body, 4)?,
            unit: Unit::Times(1000),
            offset: 0,
        };
        // Options (3.5). A list that makes no sense ends where it stops making sense: the packets do not depend on it.
        let mut options = body.get(8..).unwrap_or_default();
        while let (Some(code), Some(length)) = (self.endian.u16(options, 0), self.endian.u16(options, 2)) {
            let length = usize::from(length);
            let Some(value) = options.get(4..4 + length).filter(|_| code != END) else { break };
            match code {
                TIME_RESOLUTION => {
                    interface.unit = match value.first() {
                        Some(&power) if power & 0x80 != 0 => Unit::Binary(power & 0x7f),
                        Some(&power @ 0..=9) => Unit::Times(10u64.pow(u32::from(9 - power))),
                        Some(&power) => Unit::Over(10u64.checked_pow(u32::from(power - 9)).unwrap_or(0)),
                        None => interface.unit,
                    }
                }
                TIME_OFFSET => interface.offset = self.endian.u64(value, 0).unwrap_or(0).cast_signed(),
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(interface)
    }

    /// Enhanced and obsolete packets differ in their first four bytes only.
    fn packet(&self, body: &'a [u8], interface: Option<u32>) -> Option<Packet<'a>> {
        let field = |at| self.endian.u32(body, at);
        let (number, high, low, captured, original) = (interface?, field(4)?, field(8)?, field(12)?, field(16)?);
        let data = body.get(20..)?.get(..captured as usize)?;
        let interface = self.interfaces.get(number as usize);
        let ticks = u64::from(high) << 32 | u64::from(low);
        Some(Packet {
            time: interface.map_or(self.time, |i| i.time(ticks)),
            interface: self.number(number),
            link_type: interface.map(|i| i.link_type),
            data,
            original: u64::from(original.max(captured)),
        })
    }

    /// From the section's first interface, without a time.
    fn simple_packet(&self, body: &'a [u8]) -> Option<Packet<'a>> {
        let original = self.endian.u32(body, 0)?;
        let interface = self.interfaces.first();
        let limit = interface.map(|i| i.snap_length).filter(|n| *n != 0).unwrap_or(u32::MAX);
        let data = body.get(4..)?.get(..original.min(limit) as usize)?;
        Some(Packet {
            time: self.time,
            interface: self.number(0),
            link_type: interface.map(|i| i.link_type),
            data,
            original: u64::from(original),
        })
    }

    fn number(&self, interface: u32) -> u32 {
        u32::try_from(self.before).unwrap_or(u32::MAX).saturating_add(interface)
    }
}
