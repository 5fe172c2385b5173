//! Loading and attaching.

use crate::described;
use crate::error::{self, ProbeError, Refusal};
use crate::hooks::{Fallbacks, Family, Hook, Need, On, Rung};
use crate::load;
use crate::own_rings::OwnRings;
use crate::rings::{self, Rings};
use crate::selection::{self, Selection};
use crate::side::{self, Side};
use crate::types::TypesFile;
use crate::uring::Uring;
use crate::whoami;
use libbpf_rs::btf::Btf;
use libbpf_rs::{ErrorKind, Link, ProgramType};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

mod running;

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
    /// What the kernel said of that.
    uring_refused: Option<Box<ProbeError>>,
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
        let types = crate::doctor::kernel_types();
        let mut refusals = Vec::new();
        for rung in Rung::ladder(settings.hooks, settings.without.here()) {
            match Self::attach_by(settings, rung, types.as_ref()) {
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
        Self::attach_by(settings, rung, crate::doctor::kernel_types().as_ref())
    }

    /// The same, by the kernel's types as they have been read.
    fn attach_by(settings: &Settings, rung: Rung, types: Option<&Btf<'_>>) -> Result<Self, ProbeError> {
        error::listen();
        let without = settings.without.here();
        let uring = if without.types || without.uring { Uring::default() } else { Uring::of(rung, types) };
        // Without types of the kernel's own, what is there is known only once it is hooked.
        let (hooks, lacking) =
            if without.types { (rung.all_hooks().collect(), Vec::new()) } else { crate::doctor::present(rung, types)? };
        let attach = |uring| Self::attach_hooks(settings, rung, &hooks, lacking.clone(), uring);
        // What a kernel hands over there may have changed, and that is not worth a rung.
        let mut probe = match attach(uring) {
            Err(cause) if !uring.hooks.is_empty() => match attach(Uring::default()) {
                Ok(probe) => Self { uring_refused: Some(Box::new(cause)), ..probe },
                Err(_) => return Err(cause),
            },
            probe => probe?,
        };
        if Uring::needed(rung) && (uring.hooks.is_empty() || probe.uring_refused.is_some()) {
            probe.unseen.push("payloads of io_uring");
        }
        Ok(probe)
    }

    /// The same, with so much of what notes the requests of io_uring.
    fn attach_hooks(
        settings: &Settings,
        rung: Rung,
        hooks: &[&'static Hook],
        mut lacking: Vec<&'static Hook>,
        uring: Uring,
    ) -> Result<Self, ProbeError> {
        let refused = |what| move |error: libbpf_rs::Error| ProbeError::refused(what, &error);
        let without = settings.without.here();
        let types = TypesFile::find(settings.btf.as_deref(), without.types)?;
        // All of the kernel's own would do as well, and take longer.
        let own = || TypesFile::trimmed(&side::types(&side::open(rung.core, None, |_| false).ok()?));
        let trimmed = if types.is_none() { own() } else { None };
        let path = types.as_ref().or(trimmed.as_ref()).map(|file| &*file.path);
        let cgroups = cgroup_root();
        let wanted = |name: &str| {
            // A release writes into the kernel's own kind of ring, which is older than its hook.
            let released = name == RELEASED && !settings.without.ring_buffer;
            let walk = if without.types { ONE_BY_ONE } else { ITERATORS };
            if name == TALLY {
                return rung.by_events();
            }
            let aside = walk.contains(&name) || (cgroups.is_some() && (ACCEPTS.contains(&name) || released));
            aside || hooks.iter().copied().chain(uring.hooks).any(|hook| hook.program == name)
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
        before.uring_entries = uring.entries.into();
        before.iterator_type = uring.iterator;
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
        let now = if uring.later { &[] } else { uring.hooks };
        for hook in hooks.iter().copied().chain(now) {
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
            uring: if uring.later { uring.hooks } else { &[] },
            uring_refused: None,
        })
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

/// `enum verdict` of `bpf/state.h`.
pub(crate) const CAPTURE: u32 = 1;
pub(crate) const IGNORE: u32 = 2;
