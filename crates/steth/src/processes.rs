//! Which processes of a service are alive: asked by whoever looks at it, answered from what the pipeline knows and /proc.
//!
//! The agent's thread leaves the processes that it knows here when they have changed: as many pointers. All else, and every look
//! into /proc, is done by whoever asks.

use crate::naming::Naming;
use std::sync::{Arc, Mutex, PoisonError};
use steth_identity::Party;
use steth_query::tell::Process;
use steth_window::EntityId;

/// Ports of a process that are told.
const PORTS: usize = 16;
/// Processes of a service that are looked for in /proc.
const MOST_LOOKS: usize = 1000;
/// Clock ticks of /proc: USER_HZ is 100 on every architecture that we run on.
const TICK_NS: u64 = 10_000_000;

/// A process, and where it listens.
struct Known {
    party: Arc<Party>,
    listening: Vec<u16>,
}

/// The processes that are known.
#[derive(Clone, Default)]
pub(crate) struct Board {
    known: Arc<Mutex<Arc<Vec<Known>>>>,
}

impl Board {
    /// Leaves what is known now.
    pub(crate) fn put(&self, naming: &Naming) {
        let known = |party: &Arc<Party>| Known {
            party: party.clone(),
            listening: naming.listeners.ports(party.pid).take(PORTS).collect(),
        };
        let all = Arc::new(naming.all().map(known).collect());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Those of an entity that are alive.
    pub(crate) fn of(&self, entity: EntityId) -> Vec<Process> {
        let all = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let boot_ms = boot_ms();
        let of_it = all.iter().filter(|known| id(&known.party) == entity).take(MOST_LOOKS);
        of_it.filter(|known| is_alive(known.party.pid, known.party.started)).map(|known| told(known, boot_ms)).collect()
    }
}

fn id(party: &Party) -> EntityId {
    match party.namespace() {
        Some(namespace) => EntityId::of(&format!("{namespace}/{}", party.service())),
        None => EntityId::of(party.service()),
    }
}

fn told(Known { party, listening }: &Known, boot_ms: Option<u64>) -> Process {
    let container = party.container();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Process {
        pid: party.pid,
        name: party.name.clone(),
        executable: party.executable.clone(),
        unit: text(party.unit.as_deref()),
        // As the runtimes' own commands shorten it.
        container: party.process().container.as_deref().unwrap_or_default().chars().take(12).collect(),
        container_name: text(container.map(|container| &*container.name)),
        image: text(container.map(|container| &*container.image)),
        pod: text(container.and_then(|container| container.pod.as_ref()).map(|pod| &*pod.name)),
        listening: listening.clone(),
        started_ms: boot_ms.filter(|_| party.started > 0).map(|boot| boot + party.started / 1_000_000),
    }
}

/// Whether the process with this id is the one that began then: ids are used again. In another pid namespace it never is.
fn is_alive(pid: u32, started: u64) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // Behind the name, which may have anything in it: the state is field 3, the start field 22 (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
    let (state, start) = (fields.next(), fields.nth(18).and_then(|start| start.parse::<u64>().ok()));
    let same = started == 0 || start.is_some_and(|start| start.abs_diff(started / TICK_NS) <= 1);
    same && !matches!(state, Some("Z" | "X") | None)
}

/// When the machine began, milliseconds since 1970.
fn boot_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_identity::ServiceRules;

    /// When this process began, nanoseconds of CLOCK_BOOTTIME.
    fn own_start() -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").expect("our own");
        let field = stat.rsplit_once(')').expect("a name").1.split_ascii_whitespace().nth(19).expect("a start");
        field.parse::<u64>().expect("a number") * TICK_NS
    }

    #[test]
    fn only_those_that_are_alive_are_told() {
        let mut naming = Naming::new(10, ServiceRules::default());
        let process = |pid, started, service: &str| steth_event::Process {
            pid,
            started,
            name: "app".into(),
            service: service.into(),
            executable: "/usr/bin/app".into(),
            ..steth_event::Process::default()
        };
        let own = std::process::id();
        naming.insert(process(own, own_start(), "app"));
        // Beyond the largest id.
        naming.insert(process(1 << 23, 5, "app"));
        let board = Board::default();
        assert_eq!(board.of(EntityId::of("app")), []);
        board.put(&naming);
        let told = board.of(EntityId::of("app"));
        assert_eq!(told.iter().map(|process| (process.pid, &*process.name)).collect::<Vec<_>>(), [(own, "app")]);
        assert!(told[0].started_ms > Some(1_500_000_000_000), "{told:?}");
        assert_eq!(board.of(EntityId::of("other")), []);
        // Another one has this id by now.
        naming.insert(process(own, own_start() + 5_000_000_000, "app"));
        board.put(&naming);
        assert_eq!(board.of(EntityId::of("app")), []);
    }
}
