//! Datagrams out of fragments (RFC 791, section 3.2; RFC 8200, section 4.5).
//!
//! The fragments of unfinished datagrams stay where they are, in the file; only a finished datagram is copied together.
//! So what is bounded is their number.

use crate::stats::{FragmentStats, Skip};
use crate::table::Table;
use std::collections::BTreeMap;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Whole {
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) id: u32,
    /// IPv6 fragments belong together whatever they say here (RFC 8200); 0 for them.
    pub(crate) protocol: u8,
    pub(crate) family: u8,
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    /// Where its payload stands in the datagram's.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) more: bool,
    /// What the payload begins with, if this is the first.
    pub(crate) protocol: u8,
    /// As much of the payload as was captured.
    pub(crate) data: &'a [u8],
}

/// A datagram's payload, put together.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) protocol: u8,
    /// Up to the first byte that was not captured.
    pub(crate) data: Vec<u8>,
    pub(crate) length: u32,
}

/// Unfinished datagrams.
#[derive(Debug)]
pub(crate) struct Fragments<'a> {
    table: Table<Whole, Partial<'a>>,
    /// Most fragments kept of one datagram.
    each: usize,
}

#[derive(Debug)]
struct Partial<'a> {
    born: u64,
    /// Disjoint, by offset: length and captured bytes.
    pieces: BTreeMap<u32, (u32, &'a [u8])>,
    have: u32,
    /// Known once the last fragment is there.
    total: Option<u32>,
    protocol: u8,
}

impl<'a> Fragments<'a> {
    /// RFC 8200 gives a datagram 60 seconds; RFC 791 proposes 15. IPv4's 16-bit ids come round fast, so the less.
    const PATIENCE: u64 = 15_000_000_000;
    /// Longest payload: what the 16-bit total length of IPv4 and payload length of IPv6 can say.
    const LONGEST: u32 = 65535;

    pub(crate) fn new(datagrams: usize, each: usize) -> Self {
        Self { table: Table::new(datagrams), each }
    }

    /// Takes a fragment; gives the datagram when this was the last one missing.
    pub(crate) fn add(
        &mut self,
        whole: Whole,
        fragment: Fragment<'a>,
        time: u64,
        stats: &mut FragmentStats,
    ) -> Result<Option<Joined>, Skip> {
        let Fragment { offset, length, more, .. } = fragment;
        let end = offset.saturating_add(length);
        // All but the last are multiples of 8 long, and a datagram longer than its length field is the ping of death.
        if end > Self::LONGEST || length == 0 || (more && !length.is_multiple_of(8)) {
            return Err(Skip::Malformed);
        }
        if self.table.get(&whole).is_some_and(|p| time.saturating_sub(p.born) > Self::PATIENCE) {
            self.table.remove(&whole);
            stats.incomplete += 1;
        }
        let known = self.table.get(&whole).is_some();
        if !known {
            let fresh = Partial { born: time, pieces: BTreeMap::new(), have: 0, total: None, protocol: 0 };
            if self.table.insert(whole, fresh).is_some() {
                stats.incomplete += 1;
            }
        }
        let Some(partial) = self.table.get(&whole) else { return Err(Skip::FragmentLimit) };
        if partial.pieces.get(&offset).is_some_and(|(l, _)| *l == length) {
            // The same again: the network, or the capture, has doubled it.
            stats.waited += 1;
            return Ok(None);
        }
        let before = partial.pieces.range(..=offset).next_back().map_or(0, |(o, (l, _))| o + l);
        let after = partial.pieces.range(offset..).next().map_or(u32::MAX, |(o, _)| *o);
        let beyond = partial.total.is_some_and(|total| end > total || !more);
        let short = !more && partial.pieces.last_key_value().is_some_and(|(o, (l, _))| o + l > end);
        if before > offset || after < end || beyond || short {
            self.table.remove(&whole);
            stats.incomplete += 1;
            return Err(Skip::FragmentOverlap);
        }
        if partial.pieces.len() >= self.each {
            return Err(Skip::FragmentLimit);
        }
        partial.pieces.insert(offset, (length, fragment.data));
        partial.have += length;
        if offset == 0 {
            partial.protocol = fragment.protocol;
        }
        if !more {
            partial.total = Some(end);
        }
        if partial.total != Some(partial.have) {
            stats.waited += 1;
            return Ok(None);
        }
        stats.reassembled += 1;
        Ok(self.table.remove(&whole).map(|(_, partial)| partial.join()))
    }

    /// Datagrams that are unfinished.
    pub(crate) fn waiting(&self) -> u64 {
        self.table.len() as u64
    }
}

impl Partial<'_> {
    fn join(&self) -> Joined {
        let mut data = Vec::with_capacity(self.have as usize);
        for (length, captured) in self.pieces.values() {
            data.extend_from_slice(captured);
            if captured.len() < *length as usize {
                break;
            }
        }
        Joined { protocol: self.protocol, data, length: self.have }
    }
}
