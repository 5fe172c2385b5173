//! Loading, attaching, and talking to the kernel side.

use crate::described;
use crate::error::{self, ProbeError, Refusal};
use crate::hooks::{Fallbacks, Family, Hook, Need, On, Rung};
use crate::load;
use crate::one_by_one;
use crate::own_rings::OwnRings;
use crate::rings::{self, Rings};
use crate::selection::{self, Selection};
use crate::side::{self, Side};
use crate::types::TypesFile;
use crate::whoami;
use libbpf_rs::libbpf_sys::{bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{ErrorKind, Iter, Link, MapCore, MapFlags, ProgramType};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use steth_event::COUNTERS;

/// What is decided before the programs are loaded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of all rings together in bytes; a power of two, at least a page.
    pub ring_bytes: u32,
    /// Bytes copied of a response whose end is known from its head (`capture.head`), 64 to 1024.
    pub capture_head: u32,
    /// Observe every process but those ignored (`true`), or only selected ones.
    pub observe_all: bool,
    /// Which processes are observed. Those that run already are judged by the caller, with [`Verdicts`](crate::Verdicts). If there are
    /// rules, whoever is not selected by them is not observed, `observe_all` or not.
    pub selection: Selection,
    /// Only connections with this port at either end; 0: all.
    pub port: u16,
    /// Select the children of this process, and theirs.
    pub adopt_children: bool,
    /// Of this family only; none: the first rung of the ladder that holds.
    pub hooks: Option<Family>,
    /// What is done without though the kernel has it.
    pub without: Fallbacks,
    /// A file with the kernel's type information (BTF), or a folder with such files; none: the kernel's own, or what is found.
    pub btf: Option<PathBuf>,
    /// How far programs go: `enum stage` of `bpf/settings.h`. For the benchmark.
    pub last_stage: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring_bytes: 16 << 20,
            capture_head: 1024,
            observe_all: true,
            selection: Selection::default(),
            port: 0,
            adopt_children: false,
            hooks: None,
            without: Fallbacks::default(),
            btf: None,
            last_stage: STAGES - 1,
        }
    }
}

/// What happens to a connection that user space gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demotion {
    /// Never parse it again: L4 only.
    Opaque,
    /// Forget its protocol; the next messages may name another.
    InferAgain,
}

/// The kernel's own figures of one program.
#[derive(Clone, Debug)]
pub struct ProgramStatistics {
    /// Name of the program.
    pub name: String,
    /// Nanoseconds in the program, while the kernel measures (`bpf_stats_enabled`).
    pub run_ns: u64,
    /// Runs, while the kernel measures.
    pub runs: u64,
    /// Runs that were skipped because the same program was running on the CPU already: lost events.
    pub missed: u64,
    /// Instructions the verifier looked at.
    pub verified_instructions: u32,
}

/// The attached kernel side.
pub struct Probe {
    links: Vec<Link>,
    sweep: Option<Link>,
    visit: Option<Link>,
    rings: Rings,
    pub(crate) side: Side,
    rung: Rung,
    refusals: Vec<Refusal>,
    unseen: Vec<&'static str>,
    /// When accept() returned is known.
    accepts: bool,
    /// The ends of UDP sockets are known.
    releases: bool,
    possible_cpus: usize,
    same_pids: bool,
    /// Programs on tracepoints may be preempted.
    preempted: bool,
    /// What is hung once somebody uses io_uring for sockets.
    uring: &'static [Hook],
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("rung", &self.rung).field("hooks", &self.links.len()).finish_non_exhaustive()
    }
}

impl Probe {
    /// Loads and attaches everything, or nothing: the first rung of the ladder that holds.
    ///
    /// # Errors
    /// When the architecture, the privileges or the kernel's type information are not there, or no rung holds; each with the cause
    /// and the fix.
    pub fn attach(settings: &Settings) -> Result<Self, ProbeError> {
        error::listen();
        crate::doctor::preconditions(settings)?;
        let mut refusals = Vec::new();
        for rung in Rung::ladder(settings.hooks, settings.without.here()) {
            match Self::attach_rung(settings, rung) {
                Ok(probe) => return Ok(Self { refusals, ..probe }),
                Err(cause) => refusals.push(Refusal { rung, cause: Box::new(cause) }),
            }
        }
        Err(ProbeError::NoHooks { release: crate::doctor::release(), refusals })
    }

    /// The same of this rung alone.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn attach_rung(settings: &Settings, rung: Rung) -> Result<Self, ProbeError> {
        error::listen();
        let without = settings.without.here();
        let uring = if without.types || without.uring { &[] } else { crate::doctor::uring(rung) };
        let probe = Self::attach_hooks(settings, rung, uring).or_else(|cause| {
            // What a kernel hands over there may have changed, and that is not worth a rung.
            if uring.is_empty() { Err(cause) } else { Self::attach_hooks(settings, rung, &[]).map_err(|_| cause) }
        });
        probe.map(|mut probe| {
            if probe.uring.len() < uring.len() || without.uring && rung.family == Family::Tracepoint {
                probe.unseen.push("payloads of io_uring");
            }
            probe
        })
    }

    /// The same, with so much of what notes the requests of io_uring.
    fn attach_hooks(settings: &Settings, rung: Rung, uring: &'static [Hook]) -> Result<Self, ProbeError> {
        let refused = |what| move |error: libbpf_rs::Error| ProbeError::refused(what, &error);
        let without = settings.without.here();
        let types = TypesFile::find(settings.btf.as_deref(), without.types)?;
        let path = types.as_ref().map(|file| &*file.path);
        // Without types of the kernel's own, what is there is known only once it is hooked.
        let (hooks, mut lacking): (Vec<&Hook>, Vec<&Hook>) =
            if without.types { (rung.all_hooks().collect(), Vec::new()) } else { crate::doctor::present(rung)? };
        let cgroups = cgroup_root();
        let wanted = |name: &str| {
            // A release writes into the kernel's own kind of ring, which is older than its hook.
            let released = name == RELEASED && !settings.without.ring_buffer;
            let walk = if without.types { ONE_BY_ONE } else { ITERATORS };
            if name == TALLY {
                return rung.by_events();
            }
            let aside = walk.contains(&name) || (cgroups.is_some() && (ACCEPTS.contains(&name) || released));
            aside || hooks.iter().copied().chain(uring).any(|hook| hook.program == name)
        };
        let object = || {
            let mut open = side::open(rung.core, path, wanted)?;
            if without.types {
                side::without_types(&mut open);
            }
            Ok(open)
        };
        let mut open = object().map_err(refused("the object"))?;
        let possible_cpus = libbpf_rs::num_possible_cpus().map_err(refused("the number of CPUs"))?;
        let (tgid, jiffies) = whoami::whoami()?;
        let own = settings.without.ring_buffer.then(|| OwnRings::of(settings.ring_bytes, possible_cpus));
        match own {
            Some(own) => side::leave_out(&mut open, &["rings"]).and_then(|()| own.size(&mut open)),
            None => side::leave_out(&mut open, &["own_rings"]),
        }
        .map_err(refused("the size of a map"))?;
        let scratches = if rung.family == Family::Function || without.steady { SCRATCHES } else { IN_PREEMPTED };
        side::size(&mut open, "scratches", scratches).map_err(refused("the size of a map"))?;
        let rings = rings::how_many(settings.ring_bytes, possible_cpus);
        let ring_bytes = own.map_or(settings.ring_bytes / rings, |own| own.bytes);
        let before = side::settings(&mut open)?;
        before.hooks = rung.family.number();
        before.preempted = without.steady.into();
        before.runs_missed = rung.may_miss(without).into();
        before.scratches_made = if without.scratches { 0 } else { scratches };
        before.capture_head = settings.capture_head.clamp(64, 1024);
        before.ring_mask = rings - 1;
        before.own_ring_mask = own.map_or(0, |own| own.bytes - 1);
        before.wakeup_bytes = (ring_bytes / 8).clamp(4096, 128 * 1024);
        before.call_max = ring_bytes / 2;
        before.last_stage = settings.last_stage;
        before.self_tgid = tgid;
        if let Some(file) = types.as_ref().filter(|_| without.types) {
            before.own_types = 0;
            before.registers_above = described::registers_above(file)?;
        }
        before.jiffies_per_second = jiffies;
        before.jiffy_ns = whoami::jiffy_ns(jiffies);
        let (objects, made) = load::load(open, object, |maps| match own {
            Some(_) => Ok(Vec::new()),
            None => (0..rings).map(|n| rings::make(maps.get("rings")?, n, ring_bytes)).collect(),
        })?;
        let mut side = Side::of(objects)?;

        let control = &mut side.control().control;
        control.epoch = 1;
        control.default_verdict =
            if settings.observe_all && settings.selection.rules.is_empty() { CAPTURE } else { IGNORE };
        control.port = settings.port.into();
        control.adopt_children = settings.adopt_children.into();
        selection::put(&mut side, &settings.selection)?;
        let rings = match own {
            Some(own) => own.map(&side.map("own_rings")?)?,
            None => made,
        };
        let rings = Rings::new(rings).map_err(|e| ProbeError::broken(&format!("waiting for the rings: {e}")))?;

        let mut links = Vec::new();
        for hook in &hooks {
            let attached = match hook.on {
                On::Tracepoint(name) if without.types => side.attach_raw(hook.program, name),
                _ => side.hang(hook),
            };
            match attached {
                Ok(link) => links.push(link),
                // A function may be there by its type, and be one that cannot be hooked.
                Err(_) if hook.need != Need::Always => lacking.push(hook),
                Err(error) if without.types && error.kind() == ErrorKind::NotFound => {
                    return Err(ProbeError::Missing(format!("tracepoint {}", hook.program), hook.purpose));
                }
                Err(error) => return Err(ProbeError::refused("to attach a program", &error)),
            }
        }
        let (mut accepts, mut releases) = (false, false);
        if let Some(root) = &cgroups {
            // When accept() returned is good to know, and nothing depends on it.
            let both = ACCEPTS.map(|name| side.program(name)?.attach_cgroup(root.as_raw_fd()).ok());
            accepts = both.iter().all(Option::is_some);
            links.extend(both.into_iter().flatten());
            // Without it, what short-lived UDP sockets have moved is not known.
            let released = side
                .program(RELEASED)
                .filter(|_| !settings.without.ring_buffer)
                .and_then(|program| program.attach_cgroup(root.as_raw_fd()).ok());
            releases = released.is_some();
            links.extend(released);
        }
        let (mut visit, mut sweep) = (None, None);
        if !without.types {
            visit = Some(side.attach("visit").map_err(refused("the iterator of open files"))?);
            sweep = Some(side.iterate("sweep").map_err(refused("the iterator of sockets"))?);
        }
        side.control().control.attached = rings::now();
        let same_pids = tgid == std::process::id();
        Ok(Self {
            links,
            sweep,
            visit,
            rings,
            side,
            rung,
            refusals: Vec::new(),
            unseen: unseen(&lacking),
            accepts,
            releases,
            possible_cpus,
            same_pids,
            preempted: without.steady,
            uring,
        })
    }

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
    /// Whoever uses it for files alone does not pay for that.
    pub fn follow_uring(&mut self) {
        if self.side.control_now().control.uring != URING_SEEN {
            return;
        }
        let hung: Result<Vec<_>, _> = self.uring.iter().map(|hook| self.side.hang(hook)).collect();
        let hung = hung.unwrap_or_default();
        self.side.control().control.uring = if hung.is_empty() { URING_LEFT } else { URING_FOLLOWED };
        self.links.extend(hung);
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

/// Programs that walk over all there is, by iterators and without.
const ITERATORS: [&str; 2] = ["sweep", "visit"];
const ONE_BY_ONE: [&str; 2] = ["sweep_one", "visit_one"];
/// Scratches of each CPU, and the first of those that are there for programs which are preempted (`bpf/state.h`).
pub(crate) const SCRATCHES: u32 = 6;
const IN_PREEMPTED: u32 = 3;
/// The program that adds up the counters, where it is better not to read their map.
const TALLY: &str = "tally";
/// Number of stages that a transfer goes through (`enum stage` of `bpf/settings.h`).
pub const STAGES: u32 = 7;
/// Programs that tell when accept() returned.
const ACCEPTS: [&str; 2] = ["accepted4", "accepted6"];
/// The program that tells of the ends of UDP sockets.
const RELEASED: &str = "released";

/// What hooks tell of that are not there, each once. Where the kernel has something else in a hook's place, nothing is missing.
fn unseen(lacking: &[&Hook]) -> Vec<&'static str> {
    let mut purposes: Vec<_> =
        lacking.iter().filter(|hook| hook.need == Need::Kinds).map(|hook| hook.purpose).collect();
    purposes.dedup();
    purposes
}

/// The root of the hierarchy of version 2, if there is one and programs can be attached to it.
fn cgroup_root() -> Option<File> {
    let supported = ProgramType::CgroupSockAddr.is_supported().unwrap_or(false);
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists()).filter(|_| supported)?;
    File::open(root).ok()
}

/// Lets an iterator's program run over everything.
fn walk(link: &Link) -> std::io::Result<()> {
    let mut iter = Iter::new(link).map_err(std::io::Error::other)?;
    let mut buffer = [0u8; 64];
    while iter.read(&mut buffer)? > 0 {}
    Ok(())
}

/// `enum uring` of `bpf/settings.h`.
const URING_SEEN: u32 = 1;
const URING_FOLLOWED: u32 = 2;
const URING_LEFT: u32 = 3;

/// `enum verdict` of `bpf/state.h`.
pub(crate) const CAPTURE: u32 = 1;
pub(crate) const IGNORE: u32 = 2;

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
