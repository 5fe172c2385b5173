//! The live source: kernel side, drain, and the looks at the machine that turn its records into a whole stream.
//!
//! What it gives is exactly what a recording holds: the kernel's records, and between them the clock's offset, the
//! processes as they are first seen and looked up, ticks where the ring was empty, and the kernel's counters.

use crate::configuration::Identity;
use crate::surroundings::{Surroundings, Translations};
use anyhow::Context as _;
use std::time::{Duration, Instant};
use steth_event::{
    CGROUP_GONE, CGROUP_MADE, CHUNK_DESTINATION, Cgroup, Chunk, Clock, Counters, Event, IntoBytes as _, Tick, counter,
    kind,
};
use steth_identity::Resolver;
use steth_judge::{Counts, Judge, Judging};
use steth_probe::privileges::{self, Capabilities, Capability};
use steth_probe::{Demotion, Probe, Selection};

/// The drain looks at the ring at least this often; a record is reported within 50 ms at any rate.
const LOOK: Duration = Duration::from_millis(25);
/// How often every socket is asked how far it is: once in each window (`Windows::LENGTH`), and so long before its end.
const SWEEP: u64 = 10;
const BEFORE_THE_END: u64 = 1;
/// The same, when some socket holds back bytes that nothing else would report.
const SWEEP_SOON: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
/// Processes that the resolver remembers.
const PROCESSES: usize = 16_384;
/// At the end, so long for look-ups that are still under way.
const LAST_LOOK_UPS: Duration = Duration::from_millis(50);

/// What to say where /proc shows other process ids than the kernel has.
pub(crate) const OTHER_PIDS: &str = "this is a pid namespace of its own: processes have the kernel's ids and names here, \
    without container and command line; give the container the host's (docker run --pid=host, hostPID: true)";

/// The attached agent.
pub(crate) struct Agent {
    probe: Probe,
    resolver: Resolver,
    surroundings: Surroundings,
    judge: Judge,
    /// Processes that were selected and found no room, as it was last said.
    no_room: u64,
    /// Records of containers that have come and not been looked at.
    changes: Vec<Cgroup>,
    clock_read: Option<Instant>,
    counters_read: Instant,
    /// Number of the window in which every socket was asked last.
    swept: u64,
    flushed: Instant,
}

impl Agent {
    /// Takes over from here: gives up all privileges but those it still needs and `more`, then starts its threads.
    pub(crate) fn start(
        mut probe: Probe,
        identity: &Identity,
        judging: Judging,
        more: &[Capability],
    ) -> anyhow::Result<Self> {
        if let Err(error) = probe.visit() {
            crate::say::say!("open sockets could not be listed ({error}): those that say nothing are not in the books");
        }
        // Its threads keep a privilege that the others give up.
        let translations = identity.conntrack.then(Translations::start).flatten();
        // Everything else goes through descriptors that are open by now; only /proc asks again who is asking, and older kernels before tables are read.
        let keep = [&[Capability::SysPtrace], more, probe.needed_for_tables()].concat();
        if let Err(error) = privileges::keep_only(&keep) {
            crate::say::say!(
                "privileges could not be given up ({error}); the agent goes on with {}",
                Capabilities::held()
            );
        }
        let resolver = if probe.same_pids() {
            Resolver::start(PROCESSES)
        } else {
            crate::say::say!("{OTHER_PIDS}");
            Resolver::without_proc(PROCESSES)
        };
        let resolver = resolver.context("cannot start the thread that looks processes up")?;
        let no_room = judging.counts().processes_no_room;
        let judge = Judge::start(judging).context("cannot start the thread that judges processes")?;
        let now = Instant::now();
        Ok(Self {
            probe,
            resolver,
            surroundings: Surroundings::start(identity, translations),
            judge,
            no_room,
            changes: Vec::new(),
            clock_read: None,
            counters_read: now,
            swept: sweep_number(),
            flushed: now,
        })
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Observes whom these rules select: new images from now on, who is running once it [has been judged](Agent::is_judged).
    pub(crate) fn select(&mut self, selection: &Selection) -> anyhow::Result<()> {
        self.probe.apply(selection)?;
        self.judge.rules(&selection.rules);
        Ok(())
    }

    /// Whether everybody has the verdict of the rules in force.
    pub(crate) fn is_judged(&self) -> bool {
        self.judge.is_idle()
    }

    /// Whom else is asked.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Processes of which something was forgotten for want of room.
    pub(crate) fn processes_forgotten(&self) -> u64 {
        self.resolver.forgotten()
    }

    /// What was judged, and what could not be.
    pub(crate) fn judged(&self) -> Counts {
        self.judge.counts()
    }

    /// What others have found out.
    fn learn(&mut self, each: &mut impl FnMut(&[u8])) {
        let Self { surroundings, judge, .. } = self;
        surroundings.turn(each, &mut |id, facts| judge.known(id, facts));
        for id in judge.purged() {
            surroundings.gone(&id);
        }
    }

    /// Containers have come or gone, and processes have joined them.
    fn contain(&mut self, each: &mut impl FnMut(&[u8])) {
        for change in self.changes.drain(..) {
            match change.change {
                // One for each hierarchy.
                CGROUP_MADE => {
                    self.surroundings.made(&change.id, each);
                    self.judge.made(&change.id);
                }
                CGROUP_GONE => {
                    self.surroundings.gone(&change.id);
                    self.judge.gone(&change.id);
                }
                _ => self.judge.joined(change.tgid),
            }
        }
    }

    /// Says how many of the selected processes are not observed.
    fn say_no_room(&mut self) {
        let no_room = self.judge.counts().processes_no_room;
        if no_room > self.no_room {
            crate::selection::say_no_room(no_room - self.no_room);
            self.no_room = no_room;
        }
    }

    /// Gives connections up.
    pub(crate) fn demote(&mut self, demotions: impl Iterator<Item = (u64, Demotion)>) {
        for (connection, demotion) in demotions {
            self.probe.demote(connection, demotion);
        }
    }

    /// Waits a little, then hands on everything that has come. What was found out about processes comes before the tick, on
    /// which exchanges that wait for it go on.
    pub(crate) fn turn(&mut self, each: &mut impl FnMut(&[u8])) {
        self.probe.wait(LOOK);
        if self.clock_read.is_none_or(|at| at.elapsed() >= SECOND) {
            self.clock_read = Some(Instant::now());
            let clock = Clock { kind: kind::CLOCK, monotonic: monotonic(), offset: wall_offset(), ..Clock::default() };
            each(clock.as_bytes());
        }
        let mut now = monotonic();
        match self.probe.follow_uring() {
            Some(Ok(())) => crate::say::say!("io_uring is used on sockets: its payloads are read from now on"),
            Some(Err(why)) => crate::say::say!(
                "io_uring is used on sockets: its payloads are declared unread: {why} (docs/kernels.md)"
            ),
            None => {}
        }
        self.learn(each);
        self.drain(each);
        self.contain(each);
        let swept = sweep_number() != self.swept && self.sweep(each);
        if swept {
            now = monotonic();
        } else if self.flushed.elapsed() >= SWEEP_SOON && self.probe.sweep_wanted() {
            self.flushed = Instant::now();
            // Without books: what it finds comes with the next drain, and whoever is gone is found by the next whole one.
            let _ = self.probe.sweep(false);
        }
        if self.counters_read.elapsed() >= SECOND {
            self.counters_read = Instant::now();
            self.counters(each);
            self.say_no_room();
        }
        self.looked_up(Duration::ZERO, each);
        each(Tick { kind: kind::TICK, swept: swept.into(), time: now, ..Tick::default() }.as_bytes());
    }

    /// Asks all sockets, detaches, and hands on the rest.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(&[u8])) {
        self.drain(each);
        let swept = self.sweep(each);
        self.probe.detach();
        // More than one drain's worth may be waiting.
        while self.drain(each) > 0 {}
        self.counters(each);
        self.looked_up(LAST_LOOK_UPS, each);
        self.surroundings.finish(LAST_LOOK_UPS, each);
        let now = monotonic();
        each(Tick { kind: kind::TICK, swept: swept.into(), time: now, ..Tick::default() }.as_bytes());
    }

    fn drain(&mut self, each: &mut impl FnMut(&[u8])) -> usize {
        let Self { probe, resolver, surroundings, changes, .. } = self;
        probe.drain(|record| {
            enrich(resolver, surroundings, changes, record, each);
            each(record);
        })
    }

    /// Hands on who processes are, waiting so long in all for what is still being looked up.
    fn looked_up(&mut self, patience: Duration, each: &mut impl FnMut(&[u8])) {
        let until = Instant::now() + patience;
        while let Some(process) = self.resolver.answer(until.saturating_duration_since(Instant::now())) {
            self.surroundings.process(&process, each);
            each(&process.to_record());
        }
    }

    /// Whether every socket was asked and no answer was lost.
    fn sweep(&mut self, each: &mut impl FnMut(&[u8])) -> bool {
        self.swept = sweep_number();
        let before = self.probe.counters()[counter::DROPPED_RECORDS];
        let walked = self.probe.sweep(true).is_ok();
        // Behind the looks at the sockets, which are in the rings by now, and before their records.
        let Self { probe, surroundings, .. } = self;
        probe.take_sent(|sent| {
            surroundings.destination(sent.family, sent.port, sent.address, each);
            each(sent.as_bytes());
        });
        self.drain(each);
        walked && self.probe.counters()[counter::DROPPED_RECORDS] == before
    }

    fn counters(&self, each: &mut impl FnMut(&[u8])) {
        let counters = Counters {
            kind: kind::COUNTERS,
            reserved: [0; 7],
            missed: self.probe.statistics().iter().map(|program| program.missed).sum(),
            values: self.probe.counters(),
        };
        each(counters.as_bytes());
    }
}

/// Before the first record of a process goes a record that says who it is, as far as that is known by then.
#[inline]
fn enrich(
    resolver: &mut Resolver,
    surroundings: &mut Surroundings,
    changes: &mut Vec<Cgroup>,
    record: &[u8],
    each: &mut impl FnMut(&[u8]),
) {
    // The process id of a chunk stands where every chunk has it; only the other kinds are worth a parse.
    let process = match record {
        [kind::CHUNK, _, _, flags, a, b, c, d, ..] => {
            if flags & CHUNK_DESTINATION != 0
                && let Some((chunk, _)) = Chunk::in_place(record)
            {
                surroundings.datagram(chunk, record, each);
            }
            resolver.first_sight(u32::from_ne_bytes([*a, *b, *c, *d]), None)
        }
        [kind::OPEN | kind::LISTEN | kind::EXEC | kind::FORK | kind::EXIT | kind::CGROUP, ..] => {
            match Event::parse(record) {
                Ok(Event::Open(open)) => {
                    surroundings.connection(&open, each);
                    if let Some(peer) = resolver.first_sight(open.peer_tgid, None) {
                        surroundings.process(&peer, each);
                        each(&peer.to_record());
                    }
                    resolver.first_sight(open.tgid, Some(&open.comm))
                }
                Ok(Event::Listen(listen)) => resolver.first_sight(listen.tgid, Some(&listen.comm)),
                Ok(Event::Exec(exec, executable, command_line)) => {
                    resolver.exec(&exec, executable, command_line, exec.container(record).as_ref());
                    None
                }
                Ok(Event::Fork(fork)) => {
                    resolver.fork(&fork);
                    None
                }
                Ok(Event::Exit(exit)) => {
                    resolver.exit(exit.tgid);
                    None
                }
                Ok(Event::Cgroup(change)) => {
                    // One drain brings no more than the rings hold.
                    changes.push(change);
                    None
                }
                _ => None,
            }
        }
        _ => None,
    };
    if let Some(process) = process {
        surroundings.process(&process, each);
        each(&process.to_record());
    }
}

/// Changes when it is time to ask every socket. Windows begin at multiples of their length since 1970.
fn sweep_number() -> u64 {
    (clock(libc::CLOCK_REALTIME) / 1_000_000_000 + BEFORE_THE_END) / SWEEP
}

/// Nanoseconds of CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`.
pub(crate) fn monotonic() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// What to add to a monotonic time to get nanoseconds since 1970. The wall clock is read between two looks at the
/// monotonic one; the tightest of a few tries counts.
fn wall_offset() -> u64 {
    (0..3)
        .map(|_| {
            let (before, wall, after) = (monotonic(), clock(libc::CLOCK_REALTIME), monotonic());
            (after - before, wall.wrapping_sub(before + (after - before) / 2))
        })
        .min()
        .map_or(0, |(_, offset)| offset)
}

#[allow(unsafe_code)]
fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid clock id and a valid place for the answer; these clocks exist on every Linux.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
