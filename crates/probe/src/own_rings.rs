//! Rings of our own, for kernels without ring buffers: `bpf/own_rings.h`.

use crate::error::ProbeError;
use crate::rings::Source;
use libbpf_rs::{MapHandle, OpenObject};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A scratch has one user at a time, and so has a ring of its own one writer.
const CONTEXTS: usize = crate::attach::SCRATCHES as usize;
/// `OWN_RECORD_MAX` and `OWN_HEADER` of `bpf/own_rings.h`.
const RECORD_MAX: usize = 16384;
const HEADER: usize = 8;
/// Bytes of `struct own_ring` before its data, and where in them the reader's word is.
const HEAD: usize = 128;
const READ: usize = 64;
/// A smaller ring would be full before the reader comes round.
const BYTES_MIN: usize = 64 * 1024;

/// How many there are, and how long each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRings {
    count: usize,
    /// A power of two.
    pub(crate) bytes: u32,
}

impl OwnRings {
    /// Rings that share so many bytes.
    pub(crate) fn of(bytes: u32, cpus: usize) -> Self {
        let count = cpus.max(1) * CONTEXTS;
        let each = (bytes as usize / count).max(BYTES_MIN);
        Self { count, bytes: 1 << each.ilog2().min(30) }
    }

    /// Bytes of an element of the map.
    fn element(self) -> usize {
        HEAD + self.bytes as usize + RECORD_MAX + HEADER
    }

    /// Says so before the map is made.
    pub(crate) fn size(self, object: &mut OpenObject) -> libbpf_rs::Result<()> {
        for mut map in object.maps_mut().filter(|map| map.name() == "own_rings") {
            map.set_value_size(self.element() as u32)?;
            map.set_max_entries(self.count as u32)?;
        }
        Ok(())
    }

    /// Maps the map, once for all rings.
    pub(crate) fn map(self, map: &MapHandle) -> Result<Vec<Source>, ProbeError> {
        let memory = Memory::map(map, self.count * self.element());
        let memory = Arc::new(memory.map_err(|e| ProbeError::broken(&format!("mapping the rings: {e}")))?);
        let ring = |n| {
            let memory = Arc::clone(&memory);
            let at = n * self.element();
            Source::Own(OwnRing { memory, at, size: self.bytes as usize, position: 0, end: 0, length: 0 })
        };
        Ok((0..self.count).map(ring).collect())
    }
}

/// The map, as both sides have it.
#[derive(Debug)]
struct Memory {
    at: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread; through a shared reference only its atomic words and
// bytes that the kernel side does not touch are reached (`OwnRing::record`).
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn map(map: &MapHandle, length: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh shared mapping at an address of the kernel's choice.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, map.as_fd().as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(|at| Self { at, length }).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= self.length);
        // SAFETY: within the mapping, which lives as long as `self`; aligned; both sides access it as one word.
        unsafe { &*self.at.as_ptr().add(at).cast::<AtomicU64>() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped above with this length; nobody holds a reference any more.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.length) };
    }
}

/// The reader's end of one ring.
#[derive(Debug)]
pub(crate) struct OwnRing {
    memory: Arc<Memory>,
    at: usize,
    size: usize,
    /// Of the next record, and of the end of what may be read now.
    position: u64,
    end: u64,
    /// Bytes of the record that `look` has found.
    length: usize,
}

impl OwnRing {
    fn written(&self) -> u64 {
        self.memory.word(self.at).load(Ordering::Acquire)
    }

    /// Whether an eighth of it waits to be read.
    pub(crate) fn is_filling(&self) -> bool {
        self.written().wrapping_sub(self.position) as usize >= self.size / 8
    }

    /// Where the record at `position` is.
    fn place(&self) -> usize {
        self.at + HEAD + (self.position as usize & (self.size - 1))
    }

    /// Allows to read what has been written up to now.
    #[inline]
    pub(crate) fn admit(&mut self) {
        self.end = self.written();
    }

    /// Whether there is a next record, and [`OwnRing::record`] gives it.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        if self.position == self.end {
            return false;
        }
        // The kernel side writes no longer ones; whatever it was, nothing behind it is read.
        self.length = (self.memory.word(self.place()).load(Ordering::Relaxed) as usize).min(RECORD_MAX);
        true
    }

    /// The record, in place. One that begins at the end of the ring goes on behind it.
    #[inline]
    pub(crate) fn record(&mut self) -> &[u8] {
        // SAFETY: it begins within the ring and is no longer than what there is behind the ring; the kernel side does not touch it
        // before `read` has passed it, which takes `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.at.as_ptr().add(self.place() + HEADER), self.length) }
    }

    /// Leaves the record behind.
    #[inline]
    pub(crate) fn step(&mut self) {
        self.position = self.position.wrapping_add(((self.length + HEADER + 7) & !7) as u64);
    }

    /// Gives the space of all records that were left behind to the kernel side.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        self.memory.word(self.at + READ).store(self.position, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_share_what_they_are_given_and_are_never_too_small() {
        let rings = OwnRings::of(16 << 20, 2);
        assert_eq!((rings.count, rings.bytes), (12, 1 << 20));
        assert_eq!(OwnRings::of(64 << 10, 64).bytes as usize, BYTES_MIN);
        assert_eq!(rings.element() % 8, 0, "words are aligned in every element");
    }
}
