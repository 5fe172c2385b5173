//! What all DNS sessions share: the names of operations, few enough, and the addresses learnt.

use super::message::Question;
use super::mnemonic::{self, RCODES};
use super::name::Text;
use crate::{Name, Names, Share};
use hashbrown::HashTable;
use std::net::IpAddr;

/// Operations by question, so that one that comes again costs a hash; and addresses on their way from the answers to
/// whoever names peers by them.
#[derive(Debug)]
pub struct Domains {
    known: HashTable<Known>,
    bytes: usize,
    folded: u64,
    rcodes: [Name; RCODES.len()],
    learnt: Vec<Learnt>,
    learnt_names: String,
    unlearnt: u64,
    /// Bytes of answers that wait for their query, of all sockets.
    pub(super) early: usize,
}

/// A question and its names.
#[derive(Debug)]
struct Known {
    spelling: u64,
    opcode: u8,
    kind: u16,
    name: Box<[u8]>,
    asked: Asked,
}

impl Known {
    fn is(&self, question: &Question) -> bool {
        (self.spelling, self.opcode, self.kind) == (question.spelling(), question.opcode(), question.kind())
            && *self.name == *question.name()
    }
}

/// A question's names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// `A example.org`.
    pub(super) operation: Name,
    /// `example.org`; [`Name::OTHER`] beyond the limit, empty if nothing was asked.
    pub(super) name: Name,
}

/// An address that a name was found to have.
#[derive(Clone, Copy, Debug)]
struct Learnt {
    /// The name that was asked for; [`Name::OTHER`] if it is in `learnt_names`.
    name: Name,
    /// There its end; its beginning is the end of the one before.
    end: usize,
    address: IpAddr,
    ttl: u32,
    time: u64,
}

impl Domains {
    /// Questions that have an operation of their own; the names of others become `*`.
    pub const MAX: usize = 4096;
    /// Bytes of all these texts together: a part of what [`Names`] has room for.
    pub const MAX_BYTES: usize = 512 * 1024;
    /// Addresses that wait for [`Domains::drain`].
    pub const MAX_LEARNT: usize = 256;

    /// How the question is called. The type and the name are as on the wire, but for case; class and further questions
    /// have no part in it. One that nobody has asked before counts against a share.
    #[inline]
    pub(super) fn asked(&mut self, question: &Question, share: Share, names: &mut Names) -> Asked {
        match self.known.find(question.spelling(), |known| known.is(question)) {
            Some(known) => known.asked,
            None => self.insert(question, share, names),
        }
    }

    #[cold]
    fn insert(&mut self, question: &Question, share: Share, names: &mut Names) -> Asked {
        let domain = question.domain();
        let full = self.known.len() >= Self::MAX
            || self.bytes >= Self::MAX_BYTES
            || (domain.is_some() && !names.charge(share));
        self.folded += u64::from(full);
        let mut text = Text::new();
        if question.opcode() != mnemonic::QUERY || domain.is_none() {
            text.push(mnemonic::opcode(question.opcode()).unwrap_or("OPCODE").as_bytes());
        }
        let Some(domain) = domain else {
            return Asked { operation: names.intern(text.get()), name: Name::EMPTY };
        };
        if !text.get().is_empty() {
            text.push(b" ");
        }
        match mnemonic::kind(question.kind()) {
            Some(kind) => text.push(kind.as_bytes()),
            None if full => text.push(b"TYPE"),
            None => text.push(format!("TYPE{}", question.kind()).as_bytes()),
        }
        text.push(b" ");
        if full {
            text.push(b"*");
            return Asked { operation: names.intern(text.get()), name: Name::OTHER };
        }
        domain.write(&mut text);
        let mut name = Text::new();
        domain.write(&mut name);
        let asked = Asked { operation: names.intern(text.get()), name: names.intern(name.get()) };
        self.bytes += text.get().len() + name.get().len();
        let (opcode, kind, name) = (question.opcode(), question.kind(), question.name().into());
        let known = Known { spelling: question.spelling(), opcode, kind, name, asked };
        self.known.insert_unique(question.spelling(), known, |known| known.spelling);
        asked
    }

    /// The response code's name.
    #[inline]
    pub(super) fn rcode(&mut self, rcode: u16, names: &mut Names) -> Name {
        let at = usize::from(rcode);
        match self.rcodes.get_mut(at).zip(RCODES.get(at)) {
            Some((name, text)) => {
                if *name == Name::EMPTY {
                    *name = names.intern(text.as_bytes());
                }
                *name
            }
            None => names.intern(b"RCODE"),
        }
    }

    /// An address was found.
    pub(super) fn learn(&mut self, address: IpAddr) {
        if self.learnt.len() >= Self::MAX_LEARNT {
            self.unlearnt += 1;
            return;
        }
        let end = self.learnt_names.len();
        self.learnt.push(Learnt { name: Name::OTHER, end, address, ttl: 0, time: 0 });
    }

    /// How many addresses wait.
    pub(super) fn learning(&self) -> usize {
        self.learnt.len()
    }

    /// The addresses since the first `from` have the name that was asked for: `name`, or in full in the question if that is
    /// none.
    #[inline]
    pub(super) fn learnt(&mut self, from: usize, name: Name, question: &Question, ttl: u32, time: u64) {
        let Some(learnt) = self.learnt.get_mut(from..).filter(|learnt| !learnt.is_empty()) else { return };
        if name == Name::OTHER {
            spell(&mut self.learnt_names, question);
        }
        for learnt in learnt {
            (learnt.name, learnt.end, learnt.ttl, learnt.time) = (name, self.learnt_names.len(), ttl, time);
        }
    }

    /// The addresses since the first `from` are to be forgotten.
    pub(super) fn unlearn(&mut self, from: usize) {
        self.learnt.truncate(from);
    }

    /// Whether nothing waits for [`Domains::drain`].
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.learnt.is_empty()
    }

    /// Hands out what was learnt since the last call: the name that was asked for, an address that it was found to have,
    /// for how many seconds, and when that was.
    /// `names` are those that the sessions were fed with.
    #[inline]
    pub fn drain(&mut self, names: &Names, mut each: impl FnMut(&str, IpAddr, u32, u64)) {
        let (mut start, mut end) = (0, 0);
        for learnt in self.learnt.drain(..) {
            if learnt.end != end {
                (start, end) = (end, learnt.end);
            }
            let name = match learnt.name {
                Name::OTHER => self.learnt_names.get(start..end).unwrap_or_default(),
                name => names.get(name),
            };
            each(name, learnt.address, learnt.ttl, learnt.time);
        }
        self.learnt_names.clear();
    }

    /// Questions whose name became `*`, each time they were asked.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Addresses that came faster than they were taken.
    #[must_use]
    pub fn unlearnt(&self) -> u64 {
        self.unlearnt
    }
}

/// Appends a name that the table of names does not have.
#[cold]
fn spell(names: &mut String, question: &Question) {
    let mut text = Text::new();
    if let Some(domain) = question.domain() {
        domain.write(&mut text);
    }
    names.push_str(std::str::from_utf8(text.get()).unwrap_or_default());
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            known: HashTable::new(),
            bytes: 0,
            folded: 0,
            rcodes: [Name::EMPTY; RCODES.len()],
            learnt: Vec::new(),
            learnt_names: String::new(),
            unlearnt: 0,
            early: 0,
        }
    }
}
