//! One message: "DNS message format" (RFC 1035, 4; RFC 9267 on what goes wrong there).
//!
//! The header, the question section and the outlines of all records are read. Of what records hold, only the addresses
//! and aliases that answer a question are, see `answer`.

use super::mnemonic;
use super::name::{self, Domain, ROOM};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

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
    opcode: u8,
    kind: u16,
    name: [u8; ROOM],
    length: usize,
    /// Of the above.
    spelling: u64,
    /// Of the above; of class and of further questions too.
    pub(super) hash: u64,
}

/// Not random: a capture is replayed to the same result. Who finds two questions with one hash harms only the pairing
/// of own lookups with the same id.
const HASHER: FixedState = FixedState::with_seed(0x646e_7321);

impl Question {
    /// One that [`Question::read`] has still to read.
    #[inline]
    pub(super) fn unread(header: Header) -> Self {
        Self { opcode: header.opcode(), kind: 0, name: [0; ROOM], length: 0, spelling: 0, hash: 0 }
    }

    /// Reads the question section: where the records begin. None if it is cut off or malformed. What is read is not
    /// returned by value: it would be copied several times over.
    #[inline]
    pub(super) fn read(&mut self, message: &[u8], header: Header) -> Option<usize> {
        if header.questions == 0 {
            // Nothing is asked (RFC 7873, 5.4; DNS stateful operations).
            self.spell();
            self.hash = self.spelling;
            return Some(HEADER);
        }
        // The first name is not compressed: there is nothing before it. Of further ones little is known to exist.
        let (class, mut at) = self.one(message, HEADER)?;
        self.hash = HASHER.hash_one((self.spelling, class));
        for n in 1..header.questions {
            at = self.further(message, at, n < QUESTIONS)?;
        }
        Some(at)
    }

    /// One question: its class, and where it ends.
    #[inline]
    fn one(&mut self, message: &[u8], at: usize) -> Option<(u16, usize)> {
        let (length, behind) = name::read(message, at, &mut self.name)?;
        let &[a, b, c, d] = message.get(behind..)?.first_chunk::<4>()?;
        (self.length, self.kind) = (length, u16::from_be_bytes([a, b]));
        self.spell();
        Some((u16::from_be_bytes([c, d]), behind + 4))
    }

    /// A further question: where it ends. Only that it is another one counts, if it does (`counts`).
    #[cold]
    fn further(&mut self, message: &[u8], at: usize, counts: bool) -> Option<usize> {
        if !counts {
            let end = name::skip(message, at)? + 4;
            return (end <= message.len()).then_some(end);
        }
        let mut next = Self { name: [0; ROOM], length: 0, ..*self };
        let (class, end) = next.one(message, at)?;
        self.hash = HASHER.hash_one((next.spelling, class, self.hash));
        Some(end)
    }

    #[inline]
    fn spell(&mut self) {
        let mut hasher = HASHER.build_hasher();
        hasher.write(self.name());
        hasher.write_u32(u32::from(self.opcode) << 16 | u32::from(self.kind));
        self.spelling = hasher.finish();
    }

    /// A hash of operation, type and name.
    pub(super) fn spelling(&self) -> u64 {
        self.spelling
    }

    /// The name as on the wire, in lower case; empty if nothing is asked.
    pub(super) fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or_default()
    }

    pub(super) fn opcode(&self) -> u8 {
        self.opcode
    }

    pub(super) fn kind(&self) -> u16 {
        self.kind
    }

    /// A question with nothing asked has no name, not even the root.
    pub(super) fn domain(&self) -> Option<Domain> {
        Domain::read(self.name(), 0)
    }
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
