//! What this kernel tells of the requests of io_uring, by its types.

use crate::doctor::is_there;
use crate::hooks::{Family, Hook, On, REQUESTS, Rung, URING};
use libbpf_rs::btf::{Btf, types};

/// The hooks for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uring {
    /// None: its payloads are not read. By functions that takes none.
    pub(crate) hooks: &'static [Hook],
    /// They are hung only once an observed socket has moved bytes by it.
    pub(crate) later: bool,
    /// A completion is handed over as the entry of its queue (`uring_entries` of `bpf/settings.h`).
    pub(crate) entries: bool,
    /// The number of `struct iov_iter` among the kernel's types (`iterator_type`).
    pub(crate) iterator: u32,
}

impl Uring {
    /// What there is for this rung.
    pub(crate) fn of(rung: Rung, types: Option<&Btf<'_>>) -> Self {
        let Some(types) = types else { return Self::default() };
        let there = |hooks: &&[Hook]| hooks.iter().all(|hook| is_there(types, hook));
        match rung.family {
            Family::Tracepoint => {
                let iterator =
                    types.type_by_name::<types::Struct<'_>>("iov_iter").map_or(0, |one| one.type_id().into());
                Self {
                    hooks: Some(&URING[..]).filter(there).unwrap_or_default(),
                    later: true,
                    iterator,
                    ..Self::default()
                }
            }
            Family::Function => Self::default(),
            Family::Syscall => {
                let hooks = REQUESTS.iter().map(|hooks| &hooks[..]).find(there).unwrap_or_default();
                let entries = hands_over(types, "io_uring_complete", COMPLETION, "io_uring_cqe");
                let typed = hooks.first().is_some_and(|hook| match hook.on {
                    On::Tracepoint(name) => hands_over(types, name, 1, "io_kiocb"),
                    _ => false,
                });
                Self { hooks: if typed { hooks } else { &[] }, later: false, entries, iterator: 0 }
            }
        }
    }

    /// Whether this rung reads payloads of io_uring by hooks of their own.
    pub(crate) fn needed(rung: Rung) -> bool {
        rung.family != Family::Function
    }
}

/// Which argument of `io_uring_complete` is the result, or has it.
const COMPLETION: usize = 3;

/// Whether a tracepoint's argument is a pointer to this type. The first one, which no program sees, has number 0.
fn hands_over(types: &Btf<'_>, tracepoint: &str, argument: usize, what: &str) -> bool {
    let handed = || {
        let alias = types.type_by_name::<types::Typedef<'_>>(&format!("btf_trace_{tracepoint}"))?;
        let prototype = types::FuncProto::try_from(types::Ptr::try_from(alias.next_type()?).ok()?.next_type()?).ok()?;
        let pointer = types.type_by_id::<types::Ptr<'_>>(prototype.get(argument)?.ty)?;
        let to = types::Struct::try_from(pointer.next_type()?.skip_mods_and_typedefs()).ok()?;
        Some(to.name()? == what)
    };
    handed().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tracepoint_hands_over_is_read_out_of_its_prototype() {
        let Some(types) = crate::doctor::kernel_types() else { return eprintln!("this kernel describes no types") };
        assert!(hands_over(&types, "inet_sock_set_state", 1, "sock"));
        for (argument, what) in [(0, "sock"), (1, "task_struct"), (2, "sock"), (9, "sock")] {
            assert!(!hands_over(&types, "inet_sock_set_state", argument, what), "{argument} {what}");
        }
        assert!(!hands_over(&types, "no_such_tracepoint", 1, "sock"));
    }
}
