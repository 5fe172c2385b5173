//! Loading, attaching, and talking to the kernel side.

use crate::ring::Ring;
use crate::rings::{self, Rings};
use crate::selection::{self, Selection};
use crate::skeleton::{SockTracepointsSkel, SockTracepointsSkelBuilder};
use crate::whoami;
use libbpf_rs::libbpf_sys::{bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Iter, Link, MapCore, MapFlags, MapHandle, MapType, OpenObject, PrintLevel, ProgramType};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Mutex;
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
    /// Which processes are observed. Those that run already are judged by the caller, with [`Probe::judge`]. If there are
    /// rules, whoever is not selected by them is not observed, `observe_all` or not.
    pub selection: Selection,
    /// Only connections with this port at either end; 0: all.
    pub port: u16,
    /// Select the children of this process, and theirs.
    pub adopt_children: bool,
    /// How far programs go: `enum stage` of `bpf/state.h`. For the benchmark.
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
            last_stage: STAGES - 1,
        }
    }
}

/// Why the kernel side could not be attached. Each message names the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Not x86-64.
    #[error("steth reads system-call registers of x86-64 only; this machine is {0}")]
    Architecture(&'static str),
    /// Missing privileges.
    #[error(
        "no permission to load BPF programs: {0}. Run as root, or give the binary CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"
    )]
    Privileges(String),
    /// No kernel type information.
    #[error(
        "this kernel has no type information (/sys/kernel/btf/vmlinux is missing); it must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The sock tracepoints are missing.
    #[error(
        "this kernel has no tracepoint {0}; the sock tracepoints need Linux 6.3 or newer (this is {1}). `steth doctor` tells more"
    )]
    NoTracepoint(&'static str, String),
    /// The kernel refused a program or a map.
    #[error("the kernel refused {what}: {cause}{log}")]
    Refused {
        /// Which step.
        what: &'static str,
        /// The error.
        cause: String,
        /// The last lines of the verifier's log, if there is one.
        log: String,
    },
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
    pub(crate) skel: SockTracepointsSkel<'static>,
    /// When accept() returned is known.
    accepts: bool,
    /// The ends of UDP sockets are known.
    releases: bool,
    possible_cpus: usize,
    same_pids: bool,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("hooks", &self.links.len()).finish_non_exhaustive()
    }
}

/// libbpf prints the verifier's log; it is kept here for the error message.
static LOG: Mutex<String> = Mutex::new(String::new());

const LOG_MAX: usize = 1 << 20;

fn keep_log(_: PrintLevel, text: String) {
    if let Ok(mut log) = LOG.lock() {
        log.push_str(&text);
        if log.len() > LOG_MAX {
            let from = log.ceil_char_boundary(log.len() - LOG_MAX / 2);
            log.drain(..from);
        }
    }
}

fn last_log_lines() -> String {
    let Ok(log) = LOG.lock() else { return String::new() };
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    if std::env::var_os("STETH_BPF_LOG").is_some() {
        return format!("\n{log}");
    }
    lines[lines.len().saturating_sub(6)..].iter().map(|line| format!("\n    {line}")).collect()
}

impl Probe {
    /// Loads and attaches everything, or nothing.
    ///
    /// # Errors
    /// When the architecture, the privileges, the kernel's type information or the tracepoints are not there, or the
    /// kernel refuses a program; each with the cause and the fix.
    pub fn attach(settings: &Settings) -> Result<Self, ProbeError> {
        crate::doctor::preconditions()?;
        libbpf_rs::set_print(Some((PrintLevel::Info, keep_log)));
        let refused = |what| move |error: libbpf_rs::Error| Self::refused(what, &error);

        // The skeleton borrows the object; both live as long as the process needs them, and there are few.
        let object: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let possible_cpus = libbpf_rs::num_possible_cpus().map_err(refused("the number of CPUs"))?;
        let mut open = SockTracepointsSkelBuilder::default().open(object).map_err(refused("the object"))?;
        let Some(rodata) = open.maps.rodata_data.as_deref_mut() else {
            return Err(Self::broken("the object has no settings section"));
        };
        rodata.capture_head = settings.capture_head.clamp(64, 1024);
        let rings = rings(settings.ring_bytes, possible_cpus);
        let ring_bytes = settings.ring_bytes / rings;
        rodata.ring_mask = rings - 1;
        rodata.wakeup_bytes = (ring_bytes / 8).clamp(4096, 128 * 1024);
        rodata.call_max = ring_bytes / 2;
        rodata.last_stage = settings.last_stage;
        // Before load, the agent's own number as the kernel counts is not known; a first load of `whoami` alone tells.
        let (tgid, jiffies) = whoami::whoami()?;
        rodata.self_tgid = tgid;
        rodata.jiffies_per_second = jiffies;
        rodata.jiffy_ns = whoami::jiffy_ns(jiffies);
        let cgroups = cgroup_root();
        open.progs.accepted4.set_autoload(cgroups.is_some());
        open.progs.accepted6.set_autoload(cgroups.is_some());
        open.progs.released.set_autoload(cgroups.is_some());
        let mut skel = open.load().map_err(refused("to load the programs"))?;

        if let Some(control) = skel.maps.data_control_data.as_deref_mut() {
            control.control.epoch = 1;
            control.control.default_verdict =
                if settings.observe_all && settings.selection.rules.is_empty() { CAPTURE } else { IGNORE };
            control.control.port = settings.port.into();
            control.control.adopt_children = settings.adopt_children.into();
        } else {
            return Err(Self::broken("the object has no control section"));
        }
        selection::put(&mut skel, &settings.selection)?;
        let rings = (0..rings).map(|n| ring(&skel.maps.rings, n, ring_bytes)).collect::<Result<Vec<_>, _>>()?;
        let rings = Rings::new(rings).map_err(|e| Self::broken(&format!("waiting for the rings: {e}")))?;

        let progs = &skel.progs;
        let links = [
            // Who it is and what state it is in comes before what it does, so that no first event is misread.
            &progs.sched_process_exec,
            &progs.sched_process_fork,
            &progs.sched_process_exit,
            &progs.cgroup_mkdir,
            &progs.cgroup_rmdir,
            &progs.cgroup_attach_task,
            &progs.inet_sock_set_state,
            &progs.tcp_destroy_sock,
            &progs.tcp_receive_reset,
            &progs.tcp_rcv_space_adjust,
            &progs.sock_recv_length,
            &progs.sock_send_length,
        ]
        .into_iter()
        .map(|program| program.attach_trace())
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused("to attach a program"))?;
        let (mut links, mut accepts, mut releases) = (links, false, false);
        if let Some(root) = &cgroups {
            // When accept() returned is good to know, and nothing depends on it.
            let both = [&progs.accepted4, &progs.accepted6].map(|program| program.attach_cgroup(root.as_raw_fd()).ok());
            accepts = both.iter().all(Option::is_some);
            links.extend(both.into_iter().flatten());
            // Without it, what short-lived UDP sockets have moved is not known.
            let released = progs.released.attach_cgroup(root.as_raw_fd()).ok();
            releases = released.is_some();
            links.extend(released);
        }
        let visit = progs.visit.attach_trace().map_err(refused("the iterator of open files"))?;
        let sweep = progs.sweep.attach_iter(skel.maps.connections.as_fd()).map_err(refused("the socket iterator"))?;
        if let Some(control) = skel.maps.data_control_data.as_deref_mut() {
            control.control.attached = rings::now();
        }
        let same_pids = tgid == std::process::id();
        Ok(Self {
            links,
            sweep: Some(sweep),
            visit: Some(visit),
            rings,
            skel,
            accepts,
            releases,
            possible_cpus,
            same_pids,
        })
    }

    pub(crate) fn refused(what: &'static str, error: &libbpf_rs::Error) -> ProbeError {
        ProbeError::Refused { what, cause: error.to_string(), log: last_log_lines() }
    }

    pub(crate) fn broken(cause: &str) -> ProbeError {
        ProbeError::Refused { what: "the setup", cause: cause.to_owned(), log: String::new() }
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
        let mut sum = [0u64; COUNTERS];
        for context in 0..2u32 {
            let Ok(Some(cpus)) = self.skel.maps.scratches.lookup_percpu(&context.to_ne_bytes(), MapFlags::ANY) else {
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
        self.skel.maps.demoted.update(&connection.to_ne_bytes(), &value.to_ne_bytes(), MapFlags::ANY).is_ok()
    }

    /// Whether some socket holds bytes back that only a sweep would report; asking takes the wish back.
    pub fn sweep_wanted(&mut self) -> bool {
        let Some(control) = self.skel.maps.data_control_data.as_deref_mut() else { return false };
        std::mem::take(&mut control.control.sweep_wanted) != 0
    }

    /// Walks over all observed sockets: each that holds bytes back tells them, and with `books` each alive one puts a progress
    /// record into the ring.
    ///
    /// # Errors
    /// When the iterator cannot be read.
    pub fn sweep(&mut self, books: bool) -> std::io::Result<()> {
        if let Some(control) = self.skel.maps.data_control_data.as_deref_mut() {
            control.control.sweep_books = books.into();
        }
        self.sweep.as_ref().map_or(Ok(()), walk)
    }

    /// Looks once at every open socket of every process, for the connections and the listening sockets that were there before: each
    /// puts what it is, and its books so far, into the ring. To be called once processes have been judged.
    ///
    /// # Errors
    /// When the iterator cannot be read.
    pub fn visit(&mut self) -> std::io::Result<()> {
        self.visit.take().as_ref().map_or(Ok(()), walk)
    }

    /// Names of the attached programs.
    pub fn hooks(&self) -> impl Iterator<Item = String> + '_ {
        let absent = |name: &std::ffi::OsStr| {
            name == "whoami"
                || (!self.accepts && name.to_string_lossy().starts_with("accepted"))
                || (!self.releases && name == "released")
        };
        self.skel.object().progs().filter(move |p| !absent(p.name())).map(|p| p.name().to_string_lossy().into_owned())
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
        self.skel.object().progs().filter_map(figures).collect()
    }

    /// Takes all hooks away. What is in the ring can still be drained.
    pub fn detach(&mut self) {
        // They go one by one, as they came.
        if let Some(control) = self.skel.maps.data_control_data.as_deref_mut() {
            control.control.attached = 0;
        }
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

/// Number of stages that a transfer goes through (`enum stage` of `bpf/state.h`).
pub const STAGES: u32 = 7;
/// `RINGS_MAX` of `bpf/state.h`.
const RINGS_MAX: u32 = 8;
/// A smaller one would be full before the reader comes round.
const RING_MIN: u32 = 1 << 20;

/// How many rings share `bytes`: one for each CPU, so far as each is large enough and there are not too many.
fn rings(bytes: u32, cpus: usize) -> u32 {
    let cpus = u32::try_from(cpus).unwrap_or(RINGS_MAX).clamp(1, RINGS_MAX);
    let wanted = cpus.min((bytes / RING_MIN).max(1));
    1 << wanted.ilog2()
}

/// Makes a ring and puts it where the programs find it.
fn ring(rings: &impl MapCore, n: u32, bytes: u32) -> Result<Ring, ProbeError> {
    let refused = |error: libbpf_rs::Error| Probe::refused("a ring", &error);
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as libbpf_rs::libbpf_sys::size_t,
        ..Default::default()
    };
    let map = MapHandle::create(MapType::RingBuf, Some("ring"), 0, 0, bytes, &options).map_err(refused)?;
    rings.update(&n.to_ne_bytes(), &map.as_fd().as_raw_fd().to_ne_bytes(), MapFlags::ANY).map_err(refused)?;
    let fd = map.as_fd().try_clone_to_owned().map_err(|e| Probe::broken(&format!("a ring: {e}")))?;
    Ring::map(fd, bytes as usize).map_err(|e| Probe::broken(&format!("mapping a ring: {e}")))
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
