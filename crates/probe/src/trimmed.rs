//! The kernel's type information (BTF) without what the programs do not look at.
//!
//! libbpf compares each structure that a program reads with every type that the kernel has, for each object anew: 38 times 126,000, a fifth of all the
//! time that a start takes. So it is handed those structures alone, with what they hold; what they only point to is nothing.
//! <https://docs.kernel.org/bpf/btf.html>

use std::collections::{BTreeMap, BTreeSet};

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
/// A type's name, kind and size, in front of what belongs to its kind.
const HEAD: usize = 12;

/// `enum` of kinds (`uapi/linux/btf.h`).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Type information as it stands in a file or in the kernel.
struct Raw<'a> {
    /// Where each type begins, by its number less one.
    at: Vec<u32>,
    types: &'a [u8],
    strings: &'a [u8],
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Of a type, from its second word: its kind, and how many members it has.
fn information(word: u32) -> (u32, usize) {
    (word >> 24 & 0x1f, (word & 0xffff) as usize)
}

/// How long what belongs to a kind is; none: nobody knows.
fn behind(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        kind::PTR | kind::FWD | kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT => 0,
        kind::FUNC | kind::FLOAT | kind::TYPE_TAG => 0,
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * members,
        kind::ENUM | kind::FUNC_PROTO => 8 * members,
        _ => return None,
    })
}

impl<'a> Raw<'a> {
    /// None: it is of another kind, of another byte order, or cut.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let magic = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
        let header = number(bytes, 4)? as usize;
        if magic != MAGIC || bytes.get(2) != Some(&1) || header < HEADER {
            return None;
        }
        let part = |at: usize| {
            let from = header.checked_add(number(bytes, at)? as usize)?;
            bytes.get(from..from.checked_add(number(bytes, at + 4)? as usize)?)
        };
        let (types, strings) = (part(8)?, part(16)?);
        let (mut at, mut next) = (Vec::with_capacity(types.len() / 24), 0);
        while next < types.len() {
            let (kind, members) = information(number(types, next + 4)?);
            at.push(u32::try_from(next).ok()?);
            next = next + HEAD + behind(kind, members)?;
        }
        (next == types.len()).then_some(Self { at, types, strings })
    }

    /// A type by its number; number 0 is `void`, which is none.
    fn get(&self, number: u32) -> Option<&'a [u8]> {
        let index = (number as usize).checked_sub(1)?;
        let end = self.at.get(index + 1).map_or(self.types.len(), |at| *at as usize);
        self.types.get(*self.at.get(index)? as usize..end)
    }

    fn name(&self, offset: u32) -> Option<&'a [u8]> {
        self.strings.get(offset as usize..)?.split(|byte| *byte == 0).next()
    }

    /// Those that have a name and may be read: number and name.
    fn named(&self) -> impl Iterator<Item = (u32, &'a [u8])> + '_ {
        (1..).zip(&self.at).filter_map(|(id, at)| {
            let (name, kind) = (number(self.types, *at as usize)?, number(self.types, *at as usize + 4)?);
            let readable = [kind::STRUCT, kind::UNION, kind::ENUM, kind::ENUM64, kind::TYPEDEF, kind::FWD];
            let name = self.name(name).filter(|name| !name.is_empty())?;
            readable.contains(&information(kind).0).then_some((id, name))
        })
    }
}

/// What a program's own name for a type stands for: what is behind three underscores tells several of them apart.
fn essential(name: &[u8]) -> &[u8] {
    let end = name.windows(3).skip(1).position(|three| three == b"___");
    end.map_or(name, |end| &name[..=end])
}

/// What is left.
#[derive(Default)]
struct Kept<'a> {
    /// New numbers by the old ones.
    numbers: BTreeMap<u32, u32>,
    /// The old ones, in the order of the new ones.
    order: Vec<u32>,
    types: Vec<u8>,
    strings: Vec<u8>,
    offsets: BTreeMap<&'a [u8], u32>,
}

impl<'a> Kept<'a> {
    /// The number that a type is going to have.
    fn keep(&mut self, old: u32) -> u32 {
        if old == 0 {
            return 0;
        }
        *self.numbers.entry(old).or_insert_with(|| {
            self.order.push(old);
            self.order.len() as u32
        })
    }

    fn string(&mut self, text: &'a [u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        *self.offsets.entry(text).or_insert_with(|| {
            let at = self.strings.len() as u32;
            self.strings.extend_from_slice(text);
            self.strings.push(0);
            at
        })
    }

    /// Writes a type down, and keeps what it consists of.
    fn write(&mut self, raw: &Raw<'a>, type_: &'a [u8]) -> Option<()> {
        let mut words: Vec<u32> = (0..type_.len() / 4).map_while(|n| number(type_, 4 * n)).collect();
        let (kind, members) = information(words[1]);
        words[0] = self.string(raw.name(words[0])?);
        match kind {
            kind::PTR => words[2] = 0,
            kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                words[2] = self.keep(words[2]);
            }
            kind::ARRAY => (words[3], words[4]) = (self.keep(words[3]), self.keep(words[4])),
            kind::STRUCT | kind::UNION => {
                for member in words[3..].chunks_exact_mut(3) {
                    (member[0], member[1]) = (self.string(raw.name(member[0])?), self.keep(member[1]));
                }
            }
            kind::ENUM | kind::ENUM64 => {
                let each = (words.len() - 3).checked_div(members).unwrap_or(1);
                for value in words[3..].chunks_exact_mut(each) {
                    value[0] = self.string(raw.name(value[0])?);
                }
            }
            kind::INT | kind::FWD | kind::FLOAT => {}
            // Nothing that can be read consists of these.
            _ => return None,
        }
        self.types.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        Some(())
    }

    fn into_bytes(self) -> Option<Vec<u8>> {
        let (types, strings) = (u32::try_from(self.types.len()).ok()?, u32::try_from(self.strings.len()).ok()?);
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        bytes.extend([HEADER as u32, 0, types, types, strings].iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(self.types);
        bytes.extend(self.strings);
        Some(bytes)
    }
}

/// Of the kernel's type information what programs read that have these types of their own. None: one of the two cannot be understood.
pub(crate) fn trim(kernel: &[u8], programs: &[u8]) -> Option<Vec<u8>> {
    let (kernel, programs) = (Raw::of(kernel)?, Raw::of(programs)?);
    let wanted: BTreeSet<&[u8]> = programs.named().map(|(_, name)| essential(name)).collect();
    let mut kept = Kept { strings: vec![0], ..Kept::default() };
    for (number, _) in kernel.named().filter(|(_, name)| wanted.contains(name)) {
        kept.keep(number);
    }
    let mut next = 0;
    while let Some(old) = kept.order.get(next).copied() {
        kept.write(&kernel, kernel.get(old)?)?;
        next += 1;
    }
    kept.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Core;
    use crate::types::{OWN, TypesFile};
    use libbpf_rs::btf::{Btf, BtfKind, BtfType, types};

    fn programs(core: Core) -> Vec<u8> {
        crate::side::types(&crate::side::open(core, None, |_| true).expect("it opens"))
    }

    /// Name and place of each member, and what it is.
    fn members(btf: &Btf<'_>, of: &types::Struct<'_>) -> Vec<String> {
        let kind = |id| btf.type_by_id::<BtfType<'_>>(id).expect("it is there").kind();
        of.iter().map(|one| format!("{:?} {:?} {:?}", one.name, one.attr, kind(one.ty))).collect()
    }

    #[test]
    fn what_is_left_is_where_it_was() {
        let Ok(kernel) = std::fs::read(OWN) else { return eprintln!("this kernel describes no types") };
        for core in [Core::Typed, Core::Plain] {
            let trimmed = trim(&kernel, &programs(core)).expect("it is a kernel's");
            assert!(trimmed.len() * 10 < kernel.len(), "{} of {}", trimmed.len(), kernel.len());
            let file = TypesFile::in_memory("trimmed", &trimmed).expect("libbpf reads it");
            let (here, there) = (Btf::from_path(&file.path), Btf::from_path(OWN));
            let (here, there) = (here.expect("as before"), there.expect("the kernel's"));
            for name in ["task_struct", "sock", "tcp_sock", "iov_iter", "pt_regs", "io_kiocb"] {
                let [one, other] = [&here, &there].map(|btf| btf.type_by_name::<types::Struct<'_>>(name));
                let (Some(one), Some(other)) = (one, other) else { panic!("{core:?} {name}") };
                assert_eq!(members(&here, &one), members(&there, &other), "{core:?} {name}");
            }
            assert!(here.type_by_name::<types::Struct<'_>>("ext4_inode_info").is_none());
            let kinds = [BtfKind::Func, BtfKind::FuncProto];
            assert!((1..here.len()).all(|id| {
                here.type_by_id::<BtfType<'_>>((id as u32).into()).is_none_or(|one| !kinds.contains(&one.kind()))
            }));
        }
    }

    #[test]
    fn what_is_cut_or_of_another_kind_is_left_alone() {
        let programs = programs(Core::Typed);
        assert!(trim(&programs, &programs).is_some());
        for length in (0..programs.len()).step_by(97).chain([programs.len() - 1]) {
            assert!(trim(&programs[..length], &programs).is_none(), "{length}");
        }
        for at in (0..programs.len().min(4000)).step_by(3) {
            // Whatever it says then: no panic.
            let mut broken = programs.clone();
            broken[at] ^= 0xff;
            drop(trim(&broken, &programs));
        }
    }

    #[test]
    fn what_is_behind_three_underscores_is_no_part_of_a_name() {
        for (name, what) in [
            ("iov_iter___iov", "iov_iter"),
            ("bpf_iter__task_file", "bpf_iter__task_file"),
            ("___", "___"),
            ("a___b", "a"),
        ] {
            assert_eq!(essential(name.as_bytes()), what.as_bytes(), "{name}");
        }
    }
}
