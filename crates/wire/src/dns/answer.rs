//! What a response says: the code, how many records, which addresses.

use super::message::{HEADER, Header, Question, Record, Records};
use super::mnemonic::{A, AAAA, CNAME, OPT, SOA};
use super::name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Aliases that are followed. Resolvers give up earlier.
const ALIASES: u8 = 16;

/// The addresses of an answer, as many as fit: 8 of IPv4 or 2 of IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    bytes: [u8; 32],
    count: u8,
    six: bool,
}

impl Addresses {
    fn push(&mut self, address: IpAddr) {
        let size = if self.six { 16 } else { 4 };
        let at = usize::from(self.count) * size;
        let Some(room) = self.bytes.get_mut(at..at + size) else { return };
        match address {
            IpAddr::V4(four) if !self.six => room.copy_from_slice(&four.octets()),
            IpAddr::V6(six) if self.six => room.copy_from_slice(&six.octets()),
            _ => return,
        }
        self.count += 1;
    }

    /// In the order of the answer.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let four = self.bytes.chunks_exact(4).filter_map(|c| Some(IpAddr::from(<[u8; 4]>::try_from(c).ok()?)));
        let six = self.bytes.chunks_exact(16).filter_map(|c| Some(IpAddr::from(<[u8; 16]>::try_from(c).ok()?)));
        let (four_count, six_count) = if self.six { (0, self.count) } else { (self.count, 0) };
        four.take(four_count.into()).chain(six.take(six_count.into()))
    }
}

/// What was read of one response.
pub(super) struct Answer {
    pub(super) rcode: u16,
    pub(super) addresses: Addresses,
    /// How long the shortest-lived part of the way to these addresses may be kept, in seconds.
    pub(super) ttl: u32,
    /// SOA records among the answers, and whether the last answer is one: so a zone transfer ends.
    pub(super) authorities: u32,
    pub(super) ends_with_authority: bool,
    /// All records that the header announces are there.
    pub(super) complete: bool,
}

impl Answer {
    /// Of a response that does not say what it answers: its records are of no use.
    pub(super) fn without_question(header: Header) -> Self {
        Self {
            rcode: header.rcode(),
            addresses: Addresses::default(),
            ttl: 0,
            authorities: 0,
            ends_with_authority: false,
            complete: header.records == [0; 3],
        }
    }
}

/// Reads the records of a response. `each` gets all addresses that answer the question, however many.
pub(super) fn read(
    message: &[u8],
    header: Header,
    asked: &Question,
    behind: usize,
    each: &mut dyn FnMut(IpAddr),
) -> Answer {
    let wants = asked.kind();
    let mut answer = Answer {
        rcode: header.rcode(),
        addresses: Addresses { six: wants == AAAA, ..Addresses::default() },
        ttl: u32::MAX,
        authorities: 0,
        ends_with_authority: false,
        complete: false,
    };
    let resolves = (wants == A || wants == AAAA) && asked.opcode() == 0 && header.questions == 1;
    // The name as it was asked for, then the aliases it turns out to have.
    let (mut looked_for, mut aliases) = (HEADER, 0);
    let mut records = Records::new(message, behind, header);
    for record in &mut records {
        let Record { section, owner, kind, class, ttl, at, data } = record;
        match (section, kind) {
            (0, SOA) => {
                answer.authorities += 1;
                answer.ends_with_authority = true;
                continue;
            }
            (0, CNAME) if resolves && class == 1 && aliases < ALIASES && name::same(message, owner, looked_for) => {
                (looked_for, aliases) = (at, aliases + 1);
                answer.ttl = answer.ttl.min(sane(ttl));
            }
            (0, A | AAAA) if resolves && kind == wants && class == 1 && name::same(message, owner, looked_for) => {
                let Some(address) = address(data) else { continue };
                answer.ttl = answer.ttl.min(sane(ttl));
                answer.addresses.push(address);
                each(address);
            }
            // "OPT": the upper eight bits of the code (RFC 6891, 6.1.3).
            (2, OPT) => answer.rcode |= (ttl >> 24 << 4) as u16,
            _ => {}
        }
        if section == 0 {
            answer.ends_with_authority = false;
        }
    }
    answer.complete = records.is_complete();
    answer
}

/// A TTL with the highest bit set means 0 (RFC 2181, 8).
fn sane(ttl: u32) -> u32 {
    if ttl >> 31 == 0 { ttl } else { 0 }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    match data.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
        _ => None,
    }
}
