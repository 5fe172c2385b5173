//! Integers at a place in bytes that may be too short for them.

/// Byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

impl Endian {
    #[inline]
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let field = array(bytes, at)?;
        Some(if self == Endian::Little { u16::from_le_bytes(field) } else { u16::from_be_bytes(field) })
    }

    #[inline]
    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let field = array(bytes, at)?;
        Some(if self == Endian::Little { u32::from_le_bytes(field) } else { u32::from_be_bytes(field) })
    }

    #[inline]
    pub(crate) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let field = array(bytes, at)?;
        Some(if self == Endian::Little { u64::from_le_bytes(field) } else { u64::from_be_bytes(field) })
    }
}

/// In network byte order.
#[inline]
pub(crate) fn u16(bytes: &[u8], at: usize) -> Option<u16> {
    Endian::Big.u16(bytes, at)
}

/// In network byte order.
#[inline]
pub(crate) fn u32(bytes: &[u8], at: usize) -> Option<u32> {
    Endian::Big.u32(bytes, at)
}

#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
