//! The hooks that tell of transfers, as a ladder: what comes first costs least, and what is taken is what attaches.
//!
//! ```text
//! family       core    since   how
//! tracepoint   typed   6.3     sock_send_length, sock_recv_length
//! tracepoint   plain           the same, where the typed core is refused: the state in a table
//! tracepoint   plain   7.0     the same by perf, before all others, where programs on tracepoints may be preempted
//! function     typed   5.17    ends of the sockets' functions, by their types
//! function     plain   5.10    the same, with the state in a table
//! function     plain           the same by kprobes, where functions cannot be hooked by their types
//! syscall      plain           sys_exit, and completions of io_uring
//! ```
//!
//! Version numbers decide nothing: they are here for whoever wonders.

use std::fmt;

/// Where transfers are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The tracepoints of sockets.
    Tracepoint,
    /// Functions of the socket layer.
    Function,
    /// Exits of system calls.
    Syscall,
}

impl Family {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Tracepoint, Self::Function, Self::Syscall];

    /// As `--hooks` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracepoint => "tracepoint",
            Self::Function => "function",
            Self::Syscall => "syscall",
        }
    }

    /// `enum hooks` of `bpf/settings.h`.
    pub(crate) fn number(self) -> u32 {
        self as u32
    }
}

/// How the core reaches what is the kernel's (`bpf/reach.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Core {
    /// Sockets have a type, and their state is in them.
    Typed,
    /// Sockets are addresses, and their state is in a table.
    Plain,
}

/// What is done without though the kernel has it. For tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// No socket storage, no typed sockets: the plain core.
    pub plain: bool,
    /// No ring buffers of the kernel's: rings of our own, which only the plain core has.
    pub ring_buffer: bool,
    /// No tracepoints of sockets.
    pub tracepoints: bool,
    /// No hooks on functions by their types: kprobes.
    pub trampolines: bool,
    /// No type information of the kernel's own: it is in a file, the programs are on raw tracepoints, and there are no iterators. Only the
    /// plain core does without.
    pub types: bool,
    /// No events of perf.
    pub events: bool,
    /// No tracepoints that keep preemption off: another program may begin in the middle of one.
    pub steady: bool,
    /// No scratch for programs that claim one, as if others were preempted in all of them.
    pub scratches: bool,
    /// No look at the requests of io_uring.
    pub uring: bool,
}

impl Fallbacks {
    /// What is done without on this kernel in any case, too.
    #[must_use]
    pub fn here(self) -> Self {
        let types = self.types || !crate::types::own();
        Self { types, steady: self.steady || crate::doctor::tracepoints_are_preempted(), ..self }
    }
}

/// What a program hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// A tracepoint, by its type (`tp_btf`).
    Tracepoint(&'static str),
    /// What perf is told at a tracepoint: the system that it belongs to, and its name.
    Event(&'static str, &'static str),
    /// The end of a function, by its type (`fexit`).
    Function(&'static str),
    /// The beginning of a function, by its name (`kprobe`).
    Beginning(&'static str),
    /// The end of one (`kretprobe`).
    End(&'static str),
}

/// Whether a family can do without a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It cannot.
    Always,
    /// It can, and sees nothing of what this hook tells of. Said when it attaches.
    Kinds,
    /// A kernel that lacks it does the same in another place, which is hooked.
    Some,
}

/// A program of the object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    /// Its name in `bpf/`.
    pub(crate) program: &'static str,
    pub(crate) on: On,
    pub(crate) need: Need,
    /// What it tells of.
    pub(crate) purpose: &'static str,
}

const fn tracepoint(name: &'static str, purpose: &'static str) -> Hook {
    Hook { program: name, on: On::Tracepoint(name), need: Need::Always, purpose }
}

/// What goes with every family. Who it is and what state it is in comes before what it does, so that no first event is misread.
pub(crate) const COMMON: [Hook; 10] = [
    tracepoint("sched_process_exec", "new programs"),
    tracepoint("sched_process_fork", "children of selected processes"),
    tracepoint("sched_process_exit", "ends of processes"),
    tracepoint("cgroup_mkdir", "new containers"),
    tracepoint("cgroup_rmdir", "ends of containers"),
    tracepoint("cgroup_attach_task", "processes that are put into a container"),
    tracepoint("inet_sock_set_state", "TCP connects, accepts and closes"),
    tracepoint("tcp_destroy_sock", "end of a TCP socket"),
    tracepoint("tcp_receive_reset", "resets by the peer"),
    tracepoint("tcp_rcv_space_adjust", "arrival of received bytes"),
];

const TRACEPOINTS: [Hook; 2] = [
    tracepoint("sock_recv_length", "every receive on a socket"),
    tracepoint("sock_send_length", "every send on a socket"),
];

/// What notes the requests of io_uring (`bpf/uring.h`). Hung when an observed socket has moved bytes by it, if the kernel has both.
pub(crate) const URING: [Hook; 2] = [
    tracepoint("io_uring_poll_arm", "requests of io_uring that wait"),
    tracepoint("io_uring_submit_req", "requests of io_uring"),
];

/// What tells of the requests of io_uring where only exits of system calls are hooked (`bpf/syscall_requests.h`); what begins one has another name
/// before 6.4.
pub(crate) const REQUESTS: [[Hook; 2]; 2] = [
    [request("request_begins", "io_uring_submit_req"), request("request_done", "io_uring_complete")],
    [request("entry_begins", "io_uring_submit_sqe"), request("request_done", "io_uring_complete")],
];

const fn request(program: &'static str, name: &'static str) -> Hook {
    Hook { program, on: On::Tracepoint(name), need: Need::Kinds, purpose: "requests of io_uring" }
}

const EVENTS: [Hook; 2] = [
    event("event_receive", "sock_recv_length", "every receive on a socket"),
    event("event_send", "sock_send_length", "every send on a socket"),
];

const fn event(program: &'static str, name: &'static str, purpose: &'static str) -> Hook {
    Hook { program, on: On::Event("sock", name), need: Need::Always, purpose }
}

/// Functions of the socket layer: by which program a kprobe stands at the beginning, and what it tells of.
macro_rules! functions {
    ($($name:literal $beginning:literal $need:ident $purpose:literal;)*) => {
        const FUNCTIONS: &[Hook] =
            &[$(Hook { program: $name, on: On::Function($name), need: Need::$need, purpose: $purpose },)*];
        // The end first: a beginning without one would be kept for nothing.
        const PROBES: &[Hook] = &[$(
            Hook { program: "probed_end", on: On::End($name), need: Need::$need, purpose: $purpose },
            Hook { program: $beginning, on: On::Beginning($name), need: Need::$need, purpose: $purpose },
        )*];
    };
}

functions! {
    "inet_recvmsg" "probed_take" Always "receives on TCP and UDP";
    "inet_sendmsg" "probed_send" Always "sends on TCP and UDP";
    "inet6_recvmsg" "probed_take" Kinds "receives on TCP and UDP over IPv6";
    "inet6_sendmsg" "probed_send" Kinds "sends on TCP and UDP over IPv6";
    "unix_stream_recvmsg" "probed_take" Kinds "receives on unix sockets";
    "unix_stream_sendmsg" "probed_send" Kinds "sends on unix sockets";
    "unix_dgram_recvmsg" "probed_datagram_take" Kinds "datagrams received on unix sockets";
    "unix_dgram_sendmsg" "probed_datagram_send" Kinds "datagrams sent on unix sockets";
    "unix_seqpacket_recvmsg" "probed_take" Kinds "packets received on unix sockets";
    "unix_seqpacket_sendmsg" "probed_send" Kinds "packets sent on unix sockets";
    "tcp_splice_read" "probed_splice" Kinds "what is spliced out of TCP";
    "unix_stream_splice_read" "probed_splice" Kinds "what is spliced out of unix sockets";
    "inet_sendpage" "probed_page" Some "files that are sent (before 6.5)";
    "unix_stream_sendpage" "probed_page" Some "files that are sent on unix sockets (before 6.5)";
}

const SYSCALLS: [Hook; 1] = [tracepoint("sys_exit", "every call of every process")];

/// One step of the ladder.
#[derive(Clone, Copy, Debug)]
pub struct Rung {
    /// Where transfers are seen.
    pub family: Family,
    /// What is behind that.
    pub core: Core,
    /// The programs that tell of transfers.
    pub(crate) hooks: &'static [Hook],
}

const LADDER: [Rung; 7] = [
    Rung { family: Family::Tracepoint, core: Core::Plain, hooks: &EVENTS },
    Rung { family: Family::Tracepoint, core: Core::Typed, hooks: &TRACEPOINTS },
    Rung { family: Family::Tracepoint, core: Core::Plain, hooks: &TRACEPOINTS },
    Rung { family: Family::Function, core: Core::Typed, hooks: FUNCTIONS },
    Rung { family: Family::Function, core: Core::Plain, hooks: FUNCTIONS },
    Rung { family: Family::Function, core: Core::Plain, hooks: PROBES },
    Rung { family: Family::Syscall, core: Core::Plain, hooks: &SYSCALLS },
];

impl Rung {
    /// The rungs that may be taken, the best one first. `only`: of this family.
    pub fn ladder(only: Option<Family>, without: Fallbacks) -> impl Iterator<Item = Self> {
        let allowed = move |rung: &Self| {
            only.is_none_or(|only| rung.family == only)
                && !((without.plain || without.ring_buffer || without.types) && rung.core == Core::Typed)
                && !(without.tracepoints && rung.family == Family::Tracepoint)
                && !(rung.by_events() && (without.events || !without.steady))
                && !((without.trampolines || without.types) && rung.by_types())
        };
        LADDER.into_iter().filter(allowed)
    }

    /// Whether the kernel may leave out runs of the programs that tell of transfers, because the same one is preempted on the CPU.
    #[must_use]
    pub fn may_miss(&self, without: Fallbacks) -> bool {
        without.steady && !self.by_events() && !self.probes()
    }

    /// All its programs.
    pub(crate) fn all_hooks(&self) -> impl Iterator<Item = &'static Hook> {
        COMMON.iter().chain(self.hooks)
    }

    /// Whether its programs hang on functions by their types.
    fn by_types(&self) -> bool {
        self.hooks.iter().any(|hook| matches!(hook.on, On::Function(_)))
    }

    /// Whether its programs are run by perf, which keeps preemption off.
    pub(crate) fn by_events(&self) -> bool {
        self.hooks.iter().any(|hook| matches!(hook.on, On::Event(..)))
    }

    /// Whether its programs hang on functions by their names.
    fn probes(&self) -> bool {
        self.hooks.iter().any(|hook| matches!(hook.on, On::Beginning(_)))
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name())?;
        match (self.family, self.core) {
            (Family::Syscall, _) => Ok(()),
            (Family::Function, Core::Plain) if self.probes() => f.write_str(" by kprobes"),
            (Family::Tracepoint, _) if self.by_events() => f.write_str(" by perf"),
            (_, Core::Plain) => f.write_str(", state in a table"),
            (_, Core::Typed) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: Option<Family>, without: Fallbacks) -> Vec<String> {
        Rung::ladder(only, without).map(|rung| rung.to_string()).collect()
    }

    #[test]
    fn the_cheapest_family_is_first_and_the_one_that_is_everywhere_last() {
        let all = names(None, Fallbacks::default());
        assert_eq!((&*all[0], &*all[all.len() - 1]), ("tracepoint", "syscall"), "{all:?}");
    }

    #[test]
    fn where_programs_on_tracepoints_are_preempted_perf_comes_first_and_else_not_at_all() {
        let steady = true;
        let all = names(None, Fallbacks { steady, ..Fallbacks::default() });
        assert_eq!(all[..3], ["tracepoint by perf", "tracepoint", "tracepoint, state in a table"]);
        assert_eq!(all[1..], names(None, Fallbacks::default()), "the others in the same order");
        let events = true;
        assert_eq!(all[1..], names(None, Fallbacks { steady, events, ..Fallbacks::default() }));
    }

    #[test]
    fn where_the_tracepoints_are_missing_functions_come_before_system_calls() {
        let tracepoints = true;
        let names = names(None, Fallbacks { tracepoints, ..Fallbacks::default() });
        assert_eq!(names, ["function", "function, state in a table", "function by kprobes", "syscall"]);
    }

    #[test]
    fn every_function_has_a_beginning_and_an_end_by_kprobes() {
        let rung = Rung::ladder(Some(Family::Function), Fallbacks::default()).last().expect("it is there");
        assert_eq!((rung.to_string(), rung.hooks.len()), ("function by kprobes".into(), 2 * FUNCTIONS.len()));
        for function in FUNCTIONS {
            let on = [On::End(function.program), On::Beginning(function.program)];
            assert!(on.iter().all(|on| rung.hooks.iter().any(|hook| hook.on == *on)), "{}", function.program);
        }
        let trampolines = true;
        let without = Fallbacks { trampolines, ..Fallbacks::default() };
        assert_eq!(names(Some(Family::Function), without), ["function by kprobes"]);
    }

    #[test]
    fn what_is_forced_leaves_the_rest_out() {
        assert_eq!(names(Some(Family::Syscall), Fallbacks::default()), ["syscall"]);
        let (plain, ring_buffer, types) = (true, true, true);
        for without in [
            Fallbacks { plain, ..Fallbacks::default() },
            Fallbacks { ring_buffer, ..Fallbacks::default() },
            Fallbacks { types, ..Fallbacks::default() },
        ] {
            assert_eq!(names(Some(Family::Tracepoint), without), ["tracepoint, state in a table"]);
        }
    }
}
