//! Reading ahead.

use std::hint::black_box;

/// As much as is read ahead: a processor's nearest memory has twice that.
const MOST: usize = 16 << 10;
/// What comes from memory at once.
const LINE: usize = 64;

/// Has the processor fetch bytes that are about to be stepped through, of which each step tells where the next one is. Such steps wait for
/// memory one after another (the bytes were written by another processor), while these, which do not depend on each other, wait together.
#[inline]
pub(crate) fn fetch(bytes: &[u8]) {
    let lines = bytes.get(..MOST).unwrap_or(bytes).chunks(LINE);
    black_box(lines.fold(0, |all, line| all ^ line[0]));
}

/// From so many steps on it is worth it.
pub(crate) const WORTH: u64 = 4;
