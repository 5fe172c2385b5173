//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, down to TCP or UDP.
//!
//! Not followed: tunnels (IP in IP, GRE, VXLAN), and ESP, which hides what it carries.

use crate::field;
use crate::fragment::{Fragment, Fragments, Whole};
use crate::stats::{FragmentStats, Skip};
use std::borrow::Cow;

pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

/// A whole datagram.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    pub(crate) family: u8,
    /// In network order; an IPv4 address is the first four bytes.
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) protocol: u8,
    /// From the transport's header on, as far as it was captured.
    pub(crate) payload: Cow<'a, [u8]>,
    /// How long that was on the wire.
    pub(crate) length: u64,
}

/// Reads the datagram at the start of `packet`, which was `original` bytes long on the wire (link layer padding
/// included). None: a fragment, which waits for others.
pub(crate) fn datagram<'a>(
    packet: &'a [u8],
    original: u64,
    time: u64,
    fragments: &mut Fragments<'a>,
    stats: &mut FragmentStats,
) -> Result<Option<Datagram<'a>>, Skip> {
    let header = match packet.first().ok_or(Skip::Truncated)? >> 4 {
        4 => v4(packet, original)?,
        6 => v6(packet, original)?,
        _ => return Err(Skip::Malformed),
    };
    let Header { family, source, destination, .. } = header;
    // IPv4 says in its header that this is a fragment, IPv6 behind some others.
    let Upper { protocol, at, part } = match header.part {
        Some(part) => Upper { protocol: part.protocol, at: 0, part: Some(part) },
        None => upper(family, header.protocol, header.payload)?,
    };
    let length = header.length.checked_sub(at as u64).ok_or(Skip::Malformed)?;
    let payload = header.payload.get(at..).ok_or(Skip::Truncated)?;
    let Some(part) = part else {
        return Ok(Some(Datagram { family, source, destination, protocol, payload: Cow::Borrowed(payload), length }));
    };
    let whole =
        Whole { source, destination, id: part.id, protocol: if family == AF_INET { part.protocol } else { 0 }, family };
    let fragment = Fragment {
        offset: part.offset,
        length: u32::try_from(length).map_err(|_| Skip::Malformed)?,
        more: part.more,
        protocol: part.protocol,
        data: payload,
    };
    let Some(mut joined) = fragments.add(whole, fragment, time, stats)? else { return Ok(None) };
    let upper = upper(family, joined.protocol, &joined.data)?;
    // A fragment header within a reassembled datagram has no use but to hide.
    if upper.part.is_some() || upper.at > joined.data.len() {
        return Err(Skip::Malformed);
    }
    Ok(Some(Datagram {
        family,
        source,
        destination,
        protocol: upper.protocol,
        payload: Cow::Owned(joined.data.split_off(upper.at)),
        length: u64::from(joined.length).saturating_sub(upper.at as u64),
    }))
}

/// The fixed header.
struct Header<'a> {
    family: u8,
    source: u128,
    destination: u128,
    protocol: u8,
    part: Option<Part>,
    /// As far as it was captured, without the link layer's padding.
    payload: &'a [u8],
    /// On the wire.
    length: u64,
}

/// What a fragment says of itself.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    offset: u32,
    more: bool,
    protocol: u8,
}

fn v4(packet: &[u8], original: u64) -> Result<Header<'_>, Skip> {
    let fixed: [u8; 20] = field::array(packet, 0).ok_or(Skip::Truncated)?;
    let header = usize::from(fixed[0] & 15) * 4;
    let (total, id) = (u16::from_be_bytes([fixed[2], fixed[3]]), u16::from_be_bytes([fixed[4], fixed[5]]));
    let flags = u16::from_be_bytes([fixed[6], fixed[7]]);
    // 0: longer than 16 bits can say, on its way to the card, which will cut it (TSO with "BIG TCP").
    let total = if total == 0 { original } else { u64::from(total) };
    if header < 20 || total < header as u64 || total > original {
        return Err(Skip::Malformed);
    }
    let end = usize::try_from(total).unwrap_or(usize::MAX).min(packet.len());
    let part = (flags & 0x3fff != 0).then_some(Part {
        id: u32::from(id),
        offset: u32::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
        protocol: fixed[9],
    });
    let address = |at| u128::from(field::u32(&fixed, at).unwrap_or(0)) << 96;
    Ok(Header {
        family: AF_INET,
        source: address(12),
        destination: address(16),
        protocol: fixed[9],
        part,
        payload: packet.get(header..end).ok_or(Skip::Truncated)?,
        length: total - header as u64,
    })
}

fn v6(packet: &[u8], original: u64) -> Result<Header<'_>, Skip> {
    const HEADER: usize = 40;
    let fixed: [u8; HEADER] = field::array(packet, 0).ok_or(Skip::Truncated)?;
    let length = u16::from_be_bytes([fixed[4], fixed[5]]);
    let room = original.saturating_sub(HEADER as u64);
    // 0: a jumbogram (RFC 2675), which is what Linux captures of "BIG TCP".
    let length = if length == 0 { room } else { u64::from(length) };
    if length > room {
        return Err(Skip::Malformed);
    }
    let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(HEADER).min(packet.len());
    let address = |at| u128::from_be_bytes(field::array(&fixed, at).unwrap_or_default());
    Ok(Header {
        family: AF_INET6,
        source: address(8),
        destination: address(24),
        protocol: fixed[6],
        part: None,
        payload: &packet[HEADER..end],
        length,
    })
}

/// The end of a chain of extension headers: what comes next and where, or the fragment header it ends in.
struct Upper {
    protocol: u8,
    at: usize,
    part: Option<Part>,
}

/// Steps over IPv6 extension headers (RFC 8200, section 4) and AH (RFC 4302), which IPv4 has too.
fn upper(family: u8, mut protocol: u8, bytes: &[u8]) -> Result<Upper, Skip> {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    const MOBILITY: u8 = 135;
    const HOST_IDENTITY: u8 = 139;
    const SHIM6: u8 = 140;
    /// Each at most once is the recommendation, and none is useful twice.
    const MOST: usize = 12;
    let mut at = 0;
    for _ in 0..MOST {
        let extension = match protocol {
            AUTHENTICATION => true,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM6 => family == AF_INET6,
            _ => false,
        };
        if !extension {
            return Ok(Upper { protocol, at, part: None });
        }
        let [next, length] = field::array(bytes, at).ok_or(Skip::Truncated)?;
        let kind = std::mem::replace(&mut protocol, next);
        let length = usize::from(length);
        at += match kind {
            AUTHENTICATION => (length + 2) * 4,
            FRAGMENT => {
                let flags = field::u16(bytes, at + 2).ok_or(Skip::Truncated)?;
                let id = field::u32(bytes, at + 4).ok_or(Skip::Truncated)?;
                let (offset, more) = (u32::from(flags & 0xfff8), flags & 1 != 0);
                // An atomic fragment is a whole datagram (RFC 6946).
                if offset != 0 || more {
                    return Ok(Upper { protocol, at: at + 8, part: Some(Part { id, offset, more, protocol }) });
                }
                8
            }
            _ => (length + 1) * 8,
        };
    }
    Err(Skip::Malformed)
}
