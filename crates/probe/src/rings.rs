//! All rings, read as one: records in the order of their time.
//!
//! A connection's records are in one ring and so in order anyhow. The order between rings matters where one record explains
//! another one's: an image before the process's first bytes, the client's announcement before the server's answer.

use crate::error::ProbeError;
use crate::own_rings::OwnRing;
use crate::ring::Ring;
use libbpf_rs::{MapHandle, MapType};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A drain ends after so many records even if more keep coming, so that the caller can look at the time.
const RECORDS: usize = 65_536;

/// A ring, whoever made it.
#[derive(Debug)]
pub(crate) enum Source {
    /// The kernel's.
    Kernel(Ring),
    /// Ours.
    Own(OwnRing),
}

/// What both can do.
macro_rules! either {
    ($source:expr, $ring:ident => $does:expr) => {
        match $source {
            Source::Kernel($ring) => $does,
            Source::Own($ring) => $does,
        }
    };
}

impl Source {
    #[inline]
    fn admit(&mut self) {
        either!(self, ring => ring.admit());
    }

    #[inline]
    fn look(&mut self) -> bool {
        either!(self, ring => ring.look())
    }

    #[inline]
    fn record(&mut self) -> &[u8] {
        either!(self, ring => ring.record())
    }

    #[inline]
    fn step(&mut self) {
        either!(self, ring => ring.step());
    }

    #[inline]
    fn give_back(&mut self) {
        either!(self, ring => ring.give_back());
    }
}

/// The rings of the kernel side.
#[derive(Debug)]
pub(crate) struct Rings {
    /// Edge-triggered: it returns when the kernel wakes us, not whenever a ring is not empty, which under load it never is.
    epoll: OwnedFd,
    rings: Vec<Source>,
    /// Time of each ring's next record; [`NONE`] without one.
    next: Vec<u64>,
}

const NONE: u64 = u64::MAX;

impl Rings {
    /// Takes these rings.
    pub(crate) fn new(rings: Vec<Source>) -> io::Result<Self> {
        let next = vec![NONE; rings.len()];
        Ok(Self { epoll: epoll(&rings)?, rings, next })
    }

    /// Waits until the kernel wakes us (much is waiting) or the time is over, or a signal comes.
    pub(crate) fn wait(&self, timeout: Duration) {
        if let [Source::Own(_), ..] = self.rings[..] {
            return self.wait_for_own(timeout);
        }
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: one valid event to be filled in.
        unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &raw mut event, 1, milliseconds) };
    }

    /// Nobody wakes us for these: they are looked at every two milliseconds.
    fn wait_for_own(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let filling = |ring: &Source| matches!(ring, Source::Own(own) if own.is_filling());
        while !self.rings.iter().any(filling) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(2)));
        }
    }

    /// Hands every record that is complete to `each`, by time. Returns how many there were.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let mut records = 0;
        while records < RECORDS {
            // What is written from now on waits for the next round: its cause may be in a ring whose end was read before.
            let until = now();
            for (ring, next) in self.rings.iter_mut().zip(&mut self.next) {
                ring.admit();
                *next = time(ring);
            }
            let before = records;
            while let Some((first, second)) = earliest(&self.next).filter(|_| self.next.iter().any(|at| *at <= until)) {
                let ring = &mut self.rings[first];
                // Up to where another ring goes on, this one needs no comparison.
                loop {
                    each(ring.record());
                    ring.step();
                    records += 1;
                    let at = time(ring);
                    if at > second.min(until) {
                        self.next[first] = at;
                        break;
                    }
                }
            }
            for ring in &mut self.rings {
                ring.give_back();
            }
            if records == before {
                break;
            }
        }
        records
    }
}

/// The ring that is first, and the time of the one that is second; `None` if all are empty.
#[inline]
fn earliest(next: &[u64]) -> Option<(usize, u64)> {
    let (mut first, mut time, mut second) = (0, NONE, NONE);
    for (n, at) in next.iter().enumerate() {
        if *at < time {
            (first, time, second) = (n, *at, time);
        } else if *at < second {
            second = *at;
        }
    }
    (time != NONE).then_some((first, second))
}

#[inline]
fn time(ring: &mut Source) -> u64 {
    if ring.look() { steth_event::time(ring.record()) } else { NONE }
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn epoll(rings: &[Source]) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
    for ring in rings {
        let Source::Kernel(ring) = ring else { continue };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: both descriptors are open and the event is valid for the call.
        if unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, ring.fd().as_raw_fd(), &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(epoll)
}

/// `RINGS_MAX` of `bpf/state.h`.
const RINGS_MAX: u32 = 8;
/// A smaller one would be full before the reader comes round.
const RING_MIN: u32 = 1 << 20;

/// How many rings share `bytes`: one for each CPU, so far as each is large enough and there are not too many.
pub(crate) fn how_many(bytes: u32, cpus: usize) -> u32 {
    let cpus = u32::try_from(cpus).unwrap_or(RINGS_MAX).clamp(1, RINGS_MAX);
    let wanted = cpus.min((bytes / RING_MIN).max(1));
    1 << wanted.ilog2()
}

/// Makes a ring and puts it where the programs find it; the kernel waits then until nobody can be using what was there before.
pub(crate) fn make(rings: BorrowedFd<'_>, n: u32, bytes: u32) -> Result<Source, ProbeError> {
    let refused = |error: libbpf_rs::Error| ProbeError::refused("a ring", &error);
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as libbpf_rs::libbpf_sys::size_t,
        ..Default::default()
    };
    let map = MapHandle::create(MapType::RingBuf, Some("ring"), 0, 0, bytes, &options).map_err(refused)?;
    let ring = map.as_fd().as_raw_fd();
    // SAFETY: key and value are as long as those of the map, an array of maps, and are there during the call.
    let error = unsafe {
        libbpf_rs::libbpf_sys::bpf_map_update_elem(
            rings.as_raw_fd(),
            (&raw const n).cast(),
            (&raw const ring).cast(),
            0,
        )
    };
    if error != 0 {
        return Err(refused(libbpf_rs::Error::from_raw_os_error(-error)));
    }
    let fd = map.as_fd().try_clone_to_owned().map_err(|e| ProbeError::broken(&format!("a ring: {e}")))?;
    let ring = Ring::map(fd, bytes as usize).map_err(|e| ProbeError::broken(&format!("mapping a ring: {e}")))?;
    Ok(Source::Kernel(ring))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_ring_and_how_long_it_stays_that() {
        assert_eq!(earliest(&[NONE, NONE]), None);
        assert_eq!(earliest(&[7]), Some((0, NONE)));
        assert_eq!(earliest(&[7, NONE, 3, 5]), Some((2, 5)));
        assert_eq!(earliest(&[3, 3]), Some((0, 3)));
    }
}
