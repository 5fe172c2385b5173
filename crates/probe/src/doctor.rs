//! What this machine allows: the checks that `steth doctor` prints and that [`Probe::attach`](crate::Probe::attach)
//! makes before it loads anything.

use crate::hooks::{COMMON, Fallbacks, Hook, Need, On, Rung};
use crate::privileges::{Capabilities, Capability};
use crate::types::{self as described, TypesFile};
use crate::{Inventory, ProbeError, Settings};
use libbpf_rs::btf::{Btf, types};
use std::sync::OnceLock;

/// One line of `steth doctor`.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if nothing.
    pub fix: String,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As needed.
    Ok,
    /// The agent attaches without it, and is less than it could be.
    Note,
    /// The agent does not attach without it.
    Missing,
    /// Cannot be told before something else is there.
    Unknown,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), fix: String::new() }
    }

    fn missing(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Missing, found: found.into(), fix: fix.into() }
    }
}

/// All checks, in the order in which they matter.
#[must_use]
pub fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![architecture(std::env::consts::ARCH), kernel(), privileges(Capabilities::held())];
    let file = TypesFile::find(settings.btf.as_deref(), settings.without.types);
    checks.push(type_information(&file));
    // A file that was trimmed does not name them.
    if settings.without.here().types && file.is_ok() {
        return checks;
    }
    checks.extend(tracepoints(kernel_types().as_ref()));
    checks.push(preemption(settings.without.here()));
    checks
}

/// The same, as the error of the first one that fails.
pub(crate) fn preconditions(settings: &Settings) -> Result<(), ProbeError> {
    supported(std::env::consts::ARCH)?;
    let file = TypesFile::find(settings.btf.as_deref(), settings.without.types)?;
    if let Err(missing) = enough(Capabilities::held()) {
        return Err(ProbeError::Privileges(missing));
    }
    // Not once for each rung.
    file.as_ref().map_or(Ok(()), crate::described::check)
}

/// The hooks of this rung that the kernel has something for, and those that it has nothing for and that the family can do without. The
/// first of the others is the error.
pub(crate) fn present(
    rung: Rung,
    types: Option<&Btf<'_>>,
) -> Result<(Vec<&'static Hook>, Vec<&'static Hook>), ProbeError> {
    let btf = types.ok_or(ProbeError::NoBtf)?;
    let (present, absent): (Vec<&Hook>, Vec<&Hook>) = rung.all_hooks().partition(|hook| is_there(btf, hook));
    if let Some(hook) = absent.iter().find(|hook| hook.need == Need::Always) {
        let what = match hook.on {
            On::Tracepoint(name) | On::Event(_, name) => format!("tracepoint {name}"),
            On::Function(name) | On::Beginning(name) | On::End(name) => format!("function {name}"),
        };
        return Err(ProbeError::Missing(what, hook.purpose));
    }
    Ok((present, absent))
}

/// Whether there is what a program hangs on. Whether it can be hooked is known only once it is.
pub(crate) fn is_there(btf: &Btf<'_>, hook: &Hook) -> bool {
    match hook.on {
        On::Tracepoint(name) | On::Event(_, name) => has_tracepoint(btf, name),
        On::Function(name) | On::Beginning(name) | On::End(name) => btf.type_by_name::<types::Func<'_>>(name).is_some(),
    }
}

fn supported(architecture: &'static str) -> Result<(), ProbeError> {
    if ["x86_64", "aarch64"].contains(&architecture) { Ok(()) } else { Err(ProbeError::Architecture(architecture)) }
}

/// The processes that have an agent's programs in the kernel at this moment, this one excepted.
#[must_use]
pub fn agents() -> Vec<u32> {
    // Which every family has. The kernel keeps 15 characters of a name.
    let programs = libbpf_rs::query::ProgInfoIter::default().filter(|info| info.name == "inet_sock_set_s");
    let agents = Inventory { programs: programs.map(|info| info.id).collect(), ..Inventory::default() };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let holds = |pid: &u32| Inventory::of_process(*pid).is_ok_and(|its| !its.common(&agents).is_empty());
    let mut pids: Vec<u32> = pids.filter(|pid| *pid != std::process::id()).filter(holds).collect();
    pids.sort_unstable();
    pids
}

fn architecture(name: &'static str) -> Check {
    match supported(name) {
        Ok(()) => Check::ok("architecture", name),
        Err(_) => {
            Check::missing("architecture", name, "run it on x86-64 or arm64; registers of other machines are not read")
        }
    }
}

fn kernel() -> Check {
    Check::ok("kernel", release())
}

fn privileges(held: Capabilities) -> Check {
    let setcap = "run it with sudo, or: setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep $(command -v steth)";
    match enough(held) {
        Err(found) => Check::missing("privileges", found, setcap),
        Ok(found) if held.has(Capability::SysPtrace) => {
            Check::ok("privileges", format!("{found}; once attached, only {} is kept", Capability::SysPtrace.name()))
        }
        Ok(found) => Check {
            name: "privileges",
            state: State::Note,
            found: format!(
                "{found}, but not {}: some processes of other users go by the kernel's short name",
                Capability::SysPtrace.name()
            ),
            fix: setcap.into(),
        },
    }
}

fn type_information(file: &Result<Option<TypesFile>, ProbeError>) -> Check {
    let name = "type information (BTF)";
    let fix = "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y; in a container, mount /sys; or name a file: --btf";
    match file {
        Ok(None) => Check::ok(name, described::OWN),
        Ok(Some(file)) => Check::ok(name, format!("in {}", file.name)),
        Err(ProbeError::NoBtf) => Check::missing(name, format!("{} is not there", described::OWN), fix),
        Err(error) => Check::missing(name, error.to_string(), "name a file of this kernel's"),
    }
}

fn tracepoints(types: Option<&Btf<'_>>) -> Vec<Check> {
    let Some(types) = types else {
        let found = "cannot be told without type information".to_owned();
        return vec![Check { name: "tracepoints", state: State::Unknown, found, fix: String::new() }];
    };
    let missing: Vec<_> = (COMMON.iter().filter(|hook| !is_there(types, hook)))
        .map(|hook| {
            let found = format!("this kernel has no such tracepoint; it tells of {}", hook.purpose);
            Check::missing(hook.program, found, "boot Linux 5.10 or newer")
        })
        .collect();
    if missing.is_empty() {
        vec![Check::ok("tracepoints", format!("all {} are there that every family of hooks needs", COMMON.len()))]
    } else {
        missing
    }
}

fn preemption(without: Fallbacks) -> Check {
    if !without.steady {
        return Check::ok("preemption", "off in programs on tracepoints");
    }
    let found = if without.events {
        "programs on tracepoints may be preempted: transfers may be missed, which is counted"
    } else {
        "programs on tracepoints may be preempted: by perf they are not, which is tried first"
    };
    Check { name: "preemption", state: State::Note, found: found.into(), fix: String::new() }
}

/// Whether this kernel preempts programs on tracepoints: a46023d5616e ("tracing: Guard __DECLARE_TRACE() use of __DO_TRACE_CALL() with
/// SRCU-fast") took preempt_disable() away from around them. What it put there has two marks in the kernel's types: the data of `tracepoint_srcu`,
/// which kernels before 6.13 have too, for another purpose, and the guard that it takes it with, which those have not. Where nothing can be told,
/// the answer is yes, which costs a little where it is wrong.
pub(crate) fn tracepoints_are_preempted() -> bool {
    PREEMPTED.get().copied().unwrap_or_else(|| {
        drop(kernel_types());
        *PREEMPTED.get_or_init(|| true)
    })
}

/// Found out whenever the kernel's types are read, which takes 10 ms.
static PREEMPTED: OnceLock<bool> = OnceLock::new();

fn are_under_srcu(btf: &Btf<'_>) -> bool {
    btf.type_by_name::<types::Var<'_>>("tracepoint_srcu_srcu_data").is_some()
        && btf.type_by_name::<types::Typedef<'_>>("class_srcu_fast_notrace_t").is_some()
}

/// The kernel's type information. Nothing of what libbpf thinks of its absence goes to standard error: it is said here.
pub(crate) fn kernel_types() -> Option<Btf<'static>> {
    if !described::own() {
        return None;
    }
    let before = libbpf_rs::set_print(None);
    let types = Btf::from_vmlinux().ok();
    libbpf_rs::set_print(before);
    if let Some(types) = &types {
        PREEMPTED.get_or_init(|| are_under_srcu(types));
    }
    types
}

/// What we have, or what is missing.
fn enough(held: Capabilities) -> Result<String, String> {
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
    btf.type_by_name::<types::Typedef<'_>>(&type_name).is_some()
}

pub(crate) fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_architecture_is_refused_in_one_line_that_names_it() {
        for name in ["s390x", "riscv64"] {
            let error = supported(name).expect_err("its registers are not read").to_string();
            assert!(error.contains(name) && error.contains("x86-64") && error.lines().count() == 1, "{error}");
            let check = architecture(name);
            assert!(check.state == State::Missing && check.found == name && !check.fix.is_empty(), "{check:?}");
        }
        assert!(supported("x86_64").is_ok() && supported("aarch64").is_ok());
    }

    #[test]
    fn what_cannot_be_told_is_not_called_missing() {
        let checks = tracepoints(None);
        assert!(checks.len() == 1 && checks[0].state == State::Unknown, "{checks:?}");
    }

    #[test]
    fn the_last_privilege_is_for_names_only() {
        let with = |capabilities: &[Capability]| privileges(capabilities.iter().copied().collect());
        let states = [
            with(&[]),
            with(&[Capability::Bpf]),
            with(&[Capability::Bpf, Capability::Perfmon]),
            with(&[Capability::Bpf, Capability::Perfmon, Capability::SysPtrace]),
            with(&[Capability::SysAdmin, Capability::SysPtrace]),
        ]
        .map(|check| check.state);
        assert_eq!(states, [State::Missing, State::Missing, State::Note, State::Ok, State::Ok]);
    }
}
