//! The reader's end of a BPF ring buffer (`kernel/bpf/ringbuf.c`).
//!
//! libbpf has one too; this one hands records to a closure without an indirect call for each, and gives space back to the
//! kernel once a batch instead of once a record.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;
/// Space is given back at least this often, so that writers do not wait for a whole drain.
const BATCH: usize = 64 * 1024;
/// A drain ends after so many records even if more keep coming, so that the caller can look at the time.
const RECORDS: usize = 65_536;

/// A mapped ring.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Edge-triggered: it returns when the kernel wakes us, not whenever the ring is not empty, which under load it never is.
    epoll: OwnedFd,
    /// Kept open: closing it would take it out of the epoll set.
    _map: OwnedFd,
    /// One page, written by us: how far we have read.
    consumer: NonNull<u8>,
    /// One page, written by the kernel (how far it has written), and behind it the data. The kernel would map the data
    /// twice in a row, so that a record that wraps is contiguous; that counts twice as resident memory, so the one record
    /// in a few ten thousand that wraps is copied together instead.
    producer: NonNull<u8>,
    wrapped: Vec<u8>,
    page: usize,
    size: usize,
}

// SAFETY: the mappings belong to this value alone and are not tied to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps the ring buffer `map` of `size` bytes.
    pub(crate) fn map(map: BorrowedFd<'_>, size: usize) -> io::Result<Self> {
        let fd = map.try_clone_to_owned()?;
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let consumer = mmap(&fd, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        match mmap(&fd, page + size, libc::PROT_READ, page) {
            Ok(producer) => {
                Ok(Self { epoll: epoll(&fd)?, _map: fd, consumer, producer, wrapped: Vec::new(), page, size })
            }
            Err(error) => {
                // SAFETY: mapped above with this length, and not used any more.
                unsafe { libc::munmap(consumer.as_ptr().cast(), page) };
                Err(error)
            }
        }
    }

    /// Waits until the kernel wakes us (much is waiting) or the time is over, or a signal comes.
    pub(crate) fn wait(&self, timeout: Duration) {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: one valid event to be filled in.
        unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &raw mut event, 1, milliseconds) };
    }

    /// Hands every record that is complete to `each`. Returns how many there were.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        // SAFETY: both pages are mapped for the life of `self`, aligned, and hold one word that both sides access
        // atomically (the kernel with smp_load_acquire and smp_store_release).
        let (consumer, producer) =
            unsafe { (&*self.consumer.as_ptr().cast::<AtomicUsize>(), &*self.producer.as_ptr().cast::<AtomicUsize>()) };
        let mut position = consumer.load(Ordering::Relaxed);
        let (mut given_back, mut records) = (position, 0);
        'more: loop {
            let end = producer.load(Ordering::Acquire);
            if position == end {
                break;
            }
            while position != end {
                let at = position & (self.size - 1);
                // SAFETY: `at` is below `size`, 8-aligned by the kernel, and the data area is mapped behind the page.
                let header = unsafe { self.producer.as_ptr().add(self.page + at) };
                // SAFETY: the first word of a record header is the kernel's atomic length word.
                let length = unsafe { &*header.cast::<AtomicU32>() }.load(Ordering::Acquire);
                if length & BUSY != 0 {
                    break 'more;
                }
                let bytes = (length & !DISCARD) as usize;
                if length & DISCARD == 0 && at + HEADER + bytes <= self.size {
                    // SAFETY: the kernel wrote `bytes` bytes behind the header and will not touch them before the
                    // consumer position passes them; they end inside the mapping, as just compared.
                    each(unsafe { std::slice::from_raw_parts(header.add(HEADER), bytes) });
                    records += 1;
                } else if length & DISCARD == 0 && bytes <= self.size {
                    // The header is 8 bytes, aligned to 8, so it never wraps itself.
                    let first = self.size - at - HEADER;
                    self.wrapped.clear();
                    // SAFETY: as above, in two parts: up to the end of the data area, and from its start.
                    let parts = unsafe {
                        let data = self.producer.as_ptr().add(self.page);
                        let first = std::slice::from_raw_parts(header.add(HEADER), first);
                        (first, std::slice::from_raw_parts(data, bytes - first.len()))
                    };
                    self.wrapped.extend_from_slice(parts.0);
                    self.wrapped.extend_from_slice(parts.1);
                    each(&self.wrapped);
                    records += 1;
                }
                position = position.wrapping_add((bytes + HEADER + 7) & !7);
                if records >= RECORDS {
                    break 'more;
                }
                if position.wrapping_sub(given_back) >= BATCH {
                    consumer.store(position, Ordering::Release);
                    given_back = position;
                }
            }
        }
        consumer.store(position, Ordering::Release);
        records
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

fn mmap(fd: &OwnedFd, length: usize, protection: i32, offset: usize) -> io::Result<NonNull<u8>> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a fresh shared mapping at an address of the kernel's choice.
    let at = unsafe { libc::mmap(ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(at.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

fn epoll(ring: &OwnedFd) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: no pointers.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
    // SAFETY: both descriptors are open and the event is valid for the call.
    if unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, ring.as_raw_fd(), &raw mut event) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(epoll)
}
