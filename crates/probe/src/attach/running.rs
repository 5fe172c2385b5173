//! What is done with a probe while it runs.

use super::{ACCEPTS, Demotion, Probe, ProgramStatistics, RELEASED, TALLY};
use crate::error::{ProbeError, Refusal};
use crate::hooks::{Fallbacks, Rung};
use crate::one_by_one;
use libbpf_rs::libbpf_sys::{bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{Iter, Link, MapCore as _, MapFlags};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::time::Duration;
use steth_event::COUNTERS;

/// `enum uring` of `bpf/settings.h`.
const URING_SEEN: u32 = 1;
const URING_FOLLOWED: u32 = 2;
const URING_LEFT: u32 = 3;

impl Probe {
    /// The rung that holds.
    #[must_use]
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// The rungs above it, and why they do not.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What it means that this kernel preempts programs on tracepoints; none: it does not.
    #[must_use]
    pub fn preempted(&self) -> Option<&'static str> {
        let missed = self.rung.may_miss(Fallbacks { steady: self.preempted, ..Fallbacks::default() });
        let what =
            if missed { "transfers may be missed for that, and are counted" } else { "no transfer is missed for that" };
        self.preempted.then_some(what)
    }

    /// What this rung would see, and does not on this kernel.
    #[must_use]
    pub fn unseen(&self) -> &[&'static str] {
        &self.unseen
    }

    /// Why it does not read what io_uring moves, where the kernel refused the programs for that.
    #[must_use]
    pub fn uring_refused(&self) -> Option<&ProbeError> {
        self.uring_refused.as_deref()
    }

    /// Waits until much is waiting in a ring, at most so long.
    pub fn wait(&self, timeout: Duration) {
        self.rings.wait(timeout);
    }

    /// Hands every record that is complete to `each`, in place. Returns how many there were.
    #[inline]
    pub fn drain(&mut self, each: impl FnMut(&[u8])) -> usize {
        self.rings.drain(each)
    }

    /// The kernel side's counters, summed over the CPUs (`steth_event::counter`).
    #[must_use]
    pub fn counters(&self) -> [u64; COUNTERS] {
        let tally = self.side.program(TALLY);
        let add_up = |tally| (0..self.side.contexts).try_for_each(|context| one_by_one::run(&tally, &[context.into()]));
        if tally.is_some_and(|tally| add_up(tally).is_ok()) {
            return self.side.control_now().control.tally;
        }
        let mut sum = [0u64; COUNTERS];
        for context in 0..self.side.contexts {
            let Ok(Some(cpus)) = self.side.scratches.lookup_percpu(&context.to_ne_bytes(), MapFlags::ANY) else {
                continue;
            };
            for cpu in cpus {
                for (total, bytes) in sum.iter_mut().zip(cpu.as_chunks::<8>().0) {
                    *total = total.wrapping_add(u64::from_ne_bytes(*bytes));
                }
            }
        }
        sum
    }

    /// Gives a connection up; takes effect at the next sweep. False: the table is full, and the connection goes on costing
    /// what it costs.
    pub fn demote(&mut self, connection: u64, demotion: Demotion) -> bool {
        let value: u32 = match demotion {
            Demotion::Opaque => 1,
            Demotion::InferAgain => 2,
        };
        self.side.demoted.update(&connection.to_ne_bytes(), &value.to_ne_bytes(), MapFlags::ANY).is_ok()
    }

    /// Whether some socket holds bytes back that only a sweep would report; asking takes the wish back.
    pub fn sweep_wanted(&mut self) -> bool {
        std::mem::take(&mut self.side.control().control.sweep_wanted) != 0
    }

    /// Hangs what notes the requests of io_uring, if an observed socket has moved bytes by it: then their payloads can be read from now on.
    /// Whoever uses it for files alone does not pay for that. Says once what came of it.
    ///
    /// # Errors
    /// Why they are not read: nothing tells of the requests here, or the kernel does not let it be hung.
    pub fn follow_uring(&mut self) -> Option<Result<(), String>> {
        if self.side.control_now().control.uring != URING_SEEN {
            return None;
        }
        let hung: Result<Vec<_>, _> = self.uring.iter().map(|hook| self.side.hang(hook)).collect();
        let hung = match hung {
            Ok(hung) if hung.is_empty() => Err("nothing tells of its requests here".to_owned()),
            Ok(hung) => Ok(hung),
            Err(error) => Err(error.to_string()),
        };
        self.side.control().control.uring = if hung.is_ok() { URING_FOLLOWED } else { URING_LEFT };
        Some(hung.map(|hung| self.links.extend(hung)))
    }

    /// Walks over all observed sockets: each that holds bytes back tells them, and with `books` each alive one puts a progress
    /// record into the ring.
    ///
    /// # Errors
    /// When the iterator cannot be read.
    pub fn sweep(&mut self, books: bool) -> std::io::Result<()> {
        self.side.control().control.sweep_books = books.into();
        match (&self.sweep, self.side.program("sweep_one")) {
            (Some(iterator), _) => walk(iterator),
            (None, Some(program)) => one_by_one::sweep(&program, &self.side.connections),
            (None, None) => Ok(()),
        }
    }

    /// Looks once at every open socket of every process, for the connections and the listening sockets that were there before: each
    /// puts what it is, and its books so far, into the ring. To be called once processes have been judged.
    ///
    /// # Errors
    /// When the iterator cannot be read.
    pub fn visit(&mut self) -> std::io::Result<()> {
        match (self.visit.take(), self.side.program("visit_one")) {
            (Some(iterator), _) => walk(&iterator),
            // Elsewhere /proc would tell of strangers.
            (None, Some(program)) if self.same_pids => one_by_one::visit(&program),
            (None, _) => Ok(()),
        }
    }

    /// Names of the attached programs.
    pub fn hooks(&self) -> impl Iterator<Item = String> + '_ {
        let followed = self.side.control_now().control.uring == URING_FOLLOWED;
        let absent = move |name: &str| {
            (!self.accepts && ACCEPTS.contains(&name))
                || (!self.releases && name == RELEASED)
                || (!followed && self.uring.iter().any(|hook| hook.program == name))
        };
        let names = self.side.programs().map(|program| program.name().to_string_lossy().into_owned());
        names.filter(move |name| !absent(name))
    }

    /// The kernel's figures of every program.
    #[must_use]
    pub fn statistics(&self) -> Vec<ProgramStatistics> {
        // By the descriptors that are held: to find programs by their ids would take CAP_SYS_ADMIN.
        let figures = |program: libbpf_rs::Program<'_>| {
            let info = information(program.as_fd())?;
            Some(ProgramStatistics {
                name: program.name().to_string_lossy().into_owned(),
                run_ns: info.run_time_ns,
                runs: info.run_cnt,
                missed: info.recursion_misses,
                verified_instructions: info.verified_insns,
            })
        };
        self.side.programs().filter_map(figures).collect()
    }

    /// Takes all hooks away. What is in the ring can still be drained.
    pub fn detach(&mut self) {
        // They go one by one, as they came.
        self.side.control().control.attached = 0;
        self.links.clear();
        (self.sweep, self.visit) = (None, None);
    }

    /// Whether a process has the same id in the records as in /proc. Not so in a container with a pid namespace of its own,
    /// where /proc/7 is another process than the kernel's number 7.
    #[must_use]
    pub fn same_pids(&self) -> bool {
        self.same_pids
    }

    /// Number of CPUs that the kernel may bring up.
    #[must_use]
    pub fn possible_cpus(&self) -> usize {
        self.possible_cpus
    }
}

/// Lets an iterator's program run over everything.
fn walk(link: &Link) -> std::io::Result<()> {
    let mut iter = Iter::new(link).map_err(std::io::Error::other)?;
    let mut buffer = [0u8; 64];
    while iter.read(&mut buffer)? > 0 {}
    Ok(())
}

fn information(program: BorrowedFd<'_>) -> Option<bpf_prog_info> {
    let mut length = size_of::<bpf_prog_info>() as u32;
    // SAFETY: all-zero is a valid value of this plain C struct, and asks for no further buffers; the kernel fills in at
    // most `length` bytes of it.
    unsafe {
        let mut info: bpf_prog_info = std::mem::zeroed();
        let error = bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length);
        (error == 0).then_some(info)
    }
}
