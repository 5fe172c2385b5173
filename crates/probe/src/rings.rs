//! All rings, read as one: records in the order of their time.
//!
//! A connection's records are in one ring and so in order anyhow. The order between rings matters where one record explains
//! another one's: an image before the process's first bytes, the client's announcement before the server's answer.

use crate::ring::Ring;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A drain ends after so many records even if more keep coming, so that the caller can look at the time.
const RECORDS: usize = 65_536;

/// The rings of the kernel side.
#[derive(Debug)]
pub(crate) struct Rings {
    /// Edge-triggered: it returns when the kernel wakes us, not whenever a ring is not empty, which under load it never is.
    epoll: OwnedFd,
    rings: Vec<Ring>,
    /// Time of each ring's next record; [`NONE`] without one.
    next: Vec<u64>,
}

const NONE: u64 = u64::MAX;

impl Rings {
    /// Takes these rings.
    pub(crate) fn new(rings: Vec<Ring>) -> io::Result<Self> {
        let next = vec![NONE; rings.len()];
        Ok(Self { epoll: epoll(&rings)?, rings, next })
    }

    /// Waits until the kernel wakes us (much is waiting) or the time is over, or a signal comes.
    pub(crate) fn wait(&self, timeout: Duration) {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: one valid event to be filled in.
        unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &raw mut event, 1, milliseconds) };
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
fn time(ring: &mut Ring) -> u64 {
    if ring.look() { steth_event::time(ring.record()) } else { NONE }
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer; this clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn epoll(rings: &[Ring]) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
    for ring in rings {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: both descriptors are open and the event is valid for the call.
        if unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, ring.fd().as_raw_fd(), &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(epoll)
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
