//! One message: "DNS message format" (RFC 1035, 4; RFC 9267 on what goes wrong there).
//!
//! The header, the question section and the outlines of all records are read. Of what records hold, only the addresses
//! and aliases that answer a question are, see `answer`.

use super::mnemonic;
use super::name::{self, Domain, LONGEST};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// Length of the header.
pub(super) const HEADER: usize = 12;

/// Questions that are looked at; further ones do not make a difference. Nobody sends more than one.
const QUESTIONS: u16 = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) id: u16,
    flags: u16,
    /// Questions; then records of the sections answer, authority, additional.
    pub(super) questions: u16,
    pub(super) records: [u16; 3],
}

impl Header {
    #[inline]
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = message.first_chunk::<HEADER>()?;
        let [id, flags, questions, answers, authority, additional] =
            [[a, b], [c, d], [e, f], [g, h], [i, j], [k, l]].map(u16::from_be_bytes);
        Some(Self { id, flags, questions, records: [answers, authority, additional] })
    }

    /// QR.
    pub(super) fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    pub(super) fn opcode(self) -> u8 {
        (self.flags >> 11 & 0xf) as u8
    }

    /// TC: the answer did not fit and is to be asked for over TCP.
    pub(super) fn is_truncated(self) -> bool {
        self.flags & 0x0200 != 0
    }

    /// The low four bits.
    pub(super) fn rcode(self) -> u16 {
        self.flags & 0xf
    }

    /// Whether a message may begin like this: the operation is known, and a question or another reason to exist is there.
    pub(super) fn makes_sense(self) -> bool {
        mnemonic::opcode(self.opcode()).is_some() && (self.is_response() || self.rcode() == 0)
    }
}

/// What is asked, in the form in which it is compared: operation, type, name in lower case.
pub(super) struct Question {
    bytes: [u8; 3 + LONGEST],
    length: usize,
    /// Of the above; of class and of further questions too.
    pub(super) hash: u64,
}

/// Not random: a capture is replayed to the same result. Who finds two questions with one hash harms only the pairing
/// of own lookups with the same id.
const HASHER: FixedState = FixedState::with_seed(0x646e_7321);

impl Question {
    /// Nothing is asked (RFC 7873, 5.4; DNS stateful operations).
    fn nothing(opcode: u8) -> Self {
        Self::new(opcode, 0, &[])
    }

    #[inline]
    fn new(opcode: u8, kind: u16, domain: &[u8]) -> Self {
        let mut bytes = [0; 3 + LONGEST];
        let [high, low] = kind.to_be_bytes();
        (bytes[0], bytes[1], bytes[2]) = (opcode, high, low);
        let length = 3 + domain.len();
        if let Some(room) = bytes.get_mut(3..length) {
            room.copy_from_slice(domain);
        }
        let hash = HASHER.hash_one(bytes.get(..length).unwrap_or_default());
        Self { bytes, length, hash }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(super) fn opcode(&self) -> u8 {
        self.bytes[0]
    }

    pub(super) fn kind(&self) -> u16 {
        u16::from_be_bytes([self.bytes[1], self.bytes[2]])
    }

    /// A question with nothing asked has no name, not even the root.
    pub(super) fn domain(&self) -> Option<Domain> {
        Domain::read(self.bytes(), 3)
    }
}

/// The question section: what is asked, and where the records begin. None if it is cut off or malformed.
#[inline]
pub(super) fn question(message: &[u8], header: Header) -> Option<(Question, usize)> {
    let mut at = HEADER;
    let mut asked: Option<Question> = None;
    for n in 0..header.questions {
        // The first name is not compressed: there is nothing before it. Of further ones little is known to exist.
        let behind = name::skip(message, at)?;
        let &[high, low, ..] = message.get(behind..)?.first_chunk::<4>()?;
        let class = u16::from_be_bytes([*message.get(behind + 2)?, *message.get(behind + 3)?]);
        if n < QUESTIONS {
            let domain = Domain::read(message, at)?;
            let next = Question::new(header.opcode(), u16::from_be_bytes([high, low]), domain.bytes());
            let hash = HASHER.hash_one((next.hash, class, asked.as_ref().map(|asked| asked.hash)));
            asked = Some(Question { hash, ..asked.unwrap_or(next) });
        }
        at = behind + 4;
    }
    Some((asked.unwrap_or_else(|| Question::nothing(header.opcode())), at))
}

/// One resource record.
pub(super) struct Record<'m> {
    /// 0 answer, 1 authority, 2 additional.
    pub(super) section: usize,
    /// Where the owner's name is.
    pub(super) owner: usize,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    /// Where the data is.
    pub(super) at: usize,
    pub(super) data: &'m [u8],
}

/// The records behind the question section, as far as they are there.
pub(super) struct Records<'m> {
    message: &'m [u8],
    at: usize,
    left: [u16; 3],
    section: usize,
}

impl<'m> Records<'m> {
    #[inline]
    pub(super) fn new(message: &'m [u8], at: usize, header: Header) -> Self {
        Self { message, at, left: header.records, section: 0 }
    }

    /// Whether all of them have been read.
    pub(super) fn is_complete(&self) -> bool {
        self.left == [0; 3]
    }
}

impl<'m> Iterator for Records<'m> {
    type Item = Record<'m>;

    #[inline]
    fn next(&mut self) -> Option<Record<'m>> {
        while *self.left.get(self.section)? == 0 {
            self.section += 1;
        }
        let owner = self.at;
        let behind = name::skip(self.message, owner)?;
        let &[a, b, c, d, e, f, g, h, i, j] = self.message.get(behind..)?.first_chunk::<10>()?;
        let at = behind + 10;
        let end = at + usize::from(u16::from_be_bytes([i, j]));
        let data = self.message.get(at..end)?;
        self.at = end;
        *self.left.get_mut(self.section)? -= 1;
        Some(Record {
            section: self.section,
            owner,
            kind: u16::from_be_bytes([a, b]),
            class: u16::from_be_bytes([c, d]),
            ttl: u32::from_be_bytes([e, f, g, h]),
            at,
            data,
        })
    }
}
