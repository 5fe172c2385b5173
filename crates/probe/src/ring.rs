//! The reader's end of one BPF ring buffer (`kernel/bpf/ringbuf.c`).
//!
//! libbpf has one too; this one lets the caller look at the next record before it takes it, which merging several rings
//! needs, and gives space back to the kernel once a batch instead of once a record.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;
/// Space is given back at least this often, so that writers do not wait for a whole drain.
const BATCH: usize = 64 * 1024;

/// A mapped ring.
#[derive(Debug)]
pub(crate) struct Ring {
    map: OwnedFd,
    /// One page, written by us: how far we have read.
    consumer: NonNull<u8>,
    /// One page, written by the kernel (how far it has written), and behind it the data. The kernel would map the data
    /// twice in a row, so that a record that wraps is contiguous; that counts twice as resident memory, so the one record
    /// in a few ten thousand that wraps is copied together instead.
    producer: NonNull<u8>,
    wrapped: Vec<u8>,
    page: usize,
    size: usize,
    /// Position of the next record, of what was last given back, and of the end of what may be read now.
    position: usize,
    given_back: usize,
    end: usize,
    /// Bytes of the record at `position`; meaningless before [`Ring::look`] has found one.
    length: usize,
}

// SAFETY: the mappings belong to this value alone and are not tied to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring buffer `map` of `size` bytes.
    pub(crate) fn map(map: OwnedFd, size: usize) -> io::Result<Self> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let consumer = mmap(&map, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = match mmap(&map, page + size, libc::PROT_READ, page) {
            Ok(producer) => producer,
            Err(error) => {
                // SAFETY: mapped above with this length, and not used any more.
                unsafe { libc::munmap(consumer.as_ptr().cast(), page) };
                return Err(error);
            }
        };
        let wrapped = Vec::new();
        Ok(Self { map, consumer, producer, wrapped, page, size, position: 0, given_back: 0, end: 0, length: 0 })
    }

    /// The descriptor that the kernel wakes.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.map
    }

    fn consumer(&self) -> &AtomicUsize {
        // SAFETY: the page is mapped for the life of `self`, aligned, and holds one word that both sides access atomically.
        unsafe { &*self.consumer.as_ptr().cast::<AtomicUsize>() }
    }

    /// Allows to read what the kernel has written up to now.
    #[inline]
    pub(crate) fn admit(&mut self) {
        // SAFETY: as for `consumer`; the kernel stores with release (smp_store_release).
        self.end = unsafe { &*self.producer.as_ptr().cast::<AtomicUsize>() }.load(Ordering::Acquire);
    }

    /// Whether there is a next record, and [`Ring::record`] gives it. A record that is still being written ends what may
    /// be read.
    #[inline]
    pub(crate) fn look(&mut self) -> bool {
        while self.position != self.end {
            let at = self.position & (self.size - 1);
            // SAFETY: `at` is below `size`, 8-aligned by the kernel, and the data area is mapped behind the page; the first
            // word of a record header is the kernel's atomic length word.
            let length =
                unsafe { &*self.producer.as_ptr().add(self.page + at).cast::<AtomicU32>() }.load(Ordering::Acquire);
            if length & BUSY != 0 {
                self.end = self.position;
                return false;
            }
            self.length = (length & !DISCARD) as usize;
            if length & DISCARD == 0 && self.length <= self.size {
                return true;
            }
            self.step();
        }
        false
    }

    /// The record that [`Ring::look`] has found, in place.
    #[inline]
    pub(crate) fn record(&mut self) -> &[u8] {
        let (at, length) = (self.position & (self.size - 1), self.length);
        // SAFETY: the data area is mapped behind the page, and the header (8 bytes, 8-aligned) never wraps.
        let data = unsafe { self.producer.as_ptr().add(self.page) };
        let first = self.size - at - HEADER;
        if length <= first {
            // SAFETY: the kernel wrote `length` bytes behind the header and will not touch them before the consumer position
            // passes them, which takes `&mut self`; they end inside the mapping, as just compared.
            return unsafe { std::slice::from_raw_parts(data.add(at + HEADER), length) };
        }
        self.wrapped.clear();
        // SAFETY: as above, in two parts: up to the end of the data area, and from its start.
        let parts = unsafe {
            (std::slice::from_raw_parts(data.add(at + HEADER), first), std::slice::from_raw_parts(data, length - first))
        };
        self.wrapped.extend_from_slice(parts.0);
        self.wrapped.extend_from_slice(parts.1);
        &self.wrapped
    }

    /// Leaves the record behind.
    #[inline]
    pub(crate) fn step(&mut self) {
        self.position = self.position.wrapping_add((self.length + HEADER + 7) & !7);
        if self.position.wrapping_sub(self.given_back) >= BATCH {
            self.give_back();
        }
    }

    /// Gives the space of all records that were left behind to the kernel.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        if self.position != self.given_back {
            self.given_back = self.position;
            self.consumer().store(self.position, Ordering::Release);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with these lengths; nobody holds a reference any more.
        unsafe {
            libc::munmap(self.consumer.as_ptr().cast(), self.page);
            libc::munmap(self.producer.as_ptr().cast(), self.page + self.size);
        }
    }
}

pub(crate) fn mmap(fd: &OwnedFd, length: usize, protection: i32, offset: usize) -> io::Result<NonNull<u8>> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a fresh shared mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}
