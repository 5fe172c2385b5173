//! Why the kernel side could not be attached, and what libbpf and the verifier have said of it.

use crate::hooks::Rung;
use libbpf_rs::PrintLevel;
use std::fmt;
use std::sync::Mutex;

/// Why the kernel side could not be attached. Each message names the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Neither x86-64 nor arm64.
    #[error("steth reads system-call registers of x86-64 and of arm64; this machine is {0}")]
    Architecture(&'static str),
    /// Missing privileges.
    #[error(
        "no permission to load BPF programs: {0}. Run as root, or give the binary CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE"
    )]
    Privileges(String),
    /// No kernel type information.
    #[error(
        "this kernel has no type information (/sys/kernel/btf/vmlinux is missing); it must be built with CONFIG_DEBUG_INFO_BTF=y, \
         or a file must have it: --btf"
    )]
    NoBtf,
    /// A file with type information that is not what it should be.
    #[error("the type information of {file} cannot be used: {cause}")]
    BtfFile {
        /// Its name.
        file: String,
        /// What is wrong.
        cause: String,
    },
    /// What a hook hangs on is missing.
    #[error("this kernel has no {0}, which tells of {1}")]
    Missing(String, &'static str),
    /// No family of hooks attaches, each for a reason of its own.
    #[error("no hooks attach on this kernel ({release}): {}. `steth doctor` tells more", .refusals.iter().map(Refusal::to_string).collect::<Vec<_>>().join("; "))]
    NoHooks {
        /// Of the kernel.
        release: String,
        /// What was tried, in that order.
        refusals: Vec<Refusal>,
    },
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

/// A rung of the ladder that was tried and does not hold.
#[derive(Debug)]
pub struct Refusal {
    /// What was tried.
    pub rung: Rung,
    /// Why it does not do.
    pub cause: Box<ProbeError>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rung, self.cause)
    }
}

impl ProbeError {
    pub(crate) fn refused(what: &'static str, error: &libbpf_rs::Error) -> Self {
        Self::Refused { what, cause: error.to_string(), log: last_log_lines() }
    }

    pub(crate) fn broken(cause: &str) -> Self {
        Self::Refused { what: "the setup", cause: cause.to_owned(), log: String::new() }
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

/// From here on libbpf speaks to the log, which is empty.
pub(crate) fn listen() {
    if let Ok(mut log) = LOG.lock() {
        log.clear();
    }
    libbpf_rs::set_print(Some((PrintLevel::Info, keep_log)));
}
