//! What this machine allows: the checks that `steth doctor` prints and that [`Probe::attach`](crate::Probe::attach)
//! makes before it loads anything.

use crate::ProbeError;
use crate::privileges::{Capabilities, Capability};
use libbpf_rs::btf::Btf;
use std::path::Path;

/// One line of `steth doctor`.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it is as needed.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub fix: String,
}

/// Tracepoints of the first hook family, with what each is for.
pub const TRACEPOINTS: [(&str, &str); 9] = [
    ("sock_send_length", "every send on a socket"),
    ("sock_recv_length", "every receive on a socket"),
    ("tcp_rcv_space_adjust", "arrival of received bytes"),
    ("inet_sock_set_state", "TCP connects, accepts and closes"),
    ("tcp_destroy_sock", "end of a TCP socket"),
    ("tcp_receive_reset", "resets by the peer"),
    ("sched_process_exec", "new programs"),
    ("sched_process_fork", "children of selected processes"),
    ("sched_process_exit", "ends of processes"),
];

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// All checks, in the order in which they matter.
#[must_use]
pub fn checks() -> Vec<Check> {
    let mut checks = vec![architecture(), kernel(), privileges(), type_information()];
    let btf = Btf::from_vmlinux().ok();
    for (name, purpose) in TRACEPOINTS {
        let ok = btf.as_ref().is_some_and(|btf| has_tracepoint(btf, name));
        checks.push(Check {
            name,
            ok,
            found: if ok { format!("present: {purpose}") } else { format!("missing: {purpose}") },
            fix: if ok {
                String::new()
            } else {
                "boot Linux 6.3 or newer; the hook families for older kernels are not built yet".into()
            },
        });
    }
    checks
}

/// The same, as the error of the first one that fails.
pub(crate) fn preconditions() -> Result<(), ProbeError> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(ProbeError::Architecture(std::env::consts::ARCH));
    }
    if !Path::new(BTF).exists() {
        return Err(ProbeError::NoBtf);
    }
    if let Err(missing) = capabilities() {
        return Err(ProbeError::Privileges(missing));
    }
    let btf = Btf::from_vmlinux().map_err(|_| ProbeError::NoBtf)?;
    for (name, _) in TRACEPOINTS {
        if !has_tracepoint(&btf, name) {
            return Err(ProbeError::NoTracepoint(name, release()));
        }
    }
    Ok(())
}

/// How many agents have their programs in the kernel at this moment.
#[must_use]
pub fn agents() -> usize {
    // The kernel keeps 15 characters of a name.
    libbpf_rs::query::ProgInfoIter::default().filter(|info| info.name == "sock_send_lengt").count()
}

fn architecture() -> Check {
    let arch = std::env::consts::ARCH;
    let ok = arch == "x86_64";
    let fix = if ok { String::new() } else { "run it on x86-64; other registers are not read yet".into() };
    Check { name: "architecture", ok, found: arch.into(), fix }
}

fn kernel() -> Check {
    Check { name: "kernel", ok: true, found: release(), fix: String::new() }
}

fn privileges() -> Check {
    match capabilities() {
        Ok(found) => Check { name: "privileges", ok: true, found, fix: String::new() },
        Err(found) => Check {
            name: "privileges",
            ok: false,
            found,
            fix: "sudo steth …, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep $(which steth)".into(),
        },
    }
}

fn type_information() -> Check {
    let ok = Path::new(BTF).exists();
    let found = if ok { BTF.to_owned() } else { format!("{BTF} is missing") };
    let fix = if ok { String::new() } else { "use a kernel built with CONFIG_DEBUG_INFO_BTF=y".into() };
    Check { name: "type information (BTF)", ok, found, fix }
}

/// What we have, or what is missing.
fn capabilities() -> Result<String, String> {
    let held = Capabilities::held();
    if held.has(Capability::SysAdmin) {
        return Ok(Capability::SysAdmin.name().into());
    }
    let needed = [Capability::Bpf, Capability::Perfmon];
    let missing: Vec<_> = needed.into_iter().filter(|one| !held.has(*one)).map(Capability::name).collect();
    if missing.is_empty() {
        Ok(needed.map(Capability::name).join(" and "))
    } else {
        Err(format!("{} missing", missing.join(" and ")))
    }
}

fn has_tracepoint(btf: &Btf<'_>, name: &str) -> bool {
    let type_name = format!("btf_trace_{name}");
    btf.type_by_name::<libbpf_rs::btf::types::Typedef<'_>>(&type_name).is_some()
}

fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}
