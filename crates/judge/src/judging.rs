//! The work itself: looks at processes and writes their verdicts.
//!
//! While it looks, the kernel side goes on: processes fork and inherit verdicts that are about to change, and become other
//! images, which are judged there. So each verdict is looked at again once it is written, and all processes are gone
//! through until a round changes nothing.

use crate::containers::{Containers, Id};
use crate::desk::{Change, Orders};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read as _};
use steth_identity::{Image, Parts, Unseen, container_bytes, which};
use steth_probe::{Probe, ProbeError, Verdicts};
use steth_verdict::{Row, Rules};

/// Rounds after which a walk is given up: somebody forks faster than this can look. Nearly always it takes two.
const ROUNDS: usize = 64;
/// Looks at one process, which becomes another image each time.
const LOOKS: usize = 8;
const SEED: u64 = 0x6a75_6467;

/// What was judged, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Selected processes that found no room in the kernel side's table: they are not observed.
    pub processes_no_room: u64,
    /// Looks at processes that could not be read: they are not observed.
    pub unreadable: u64,
    /// Walks that came to no end: who was forked meanwhile may have the wrong verdict until its next image, or the next walk.
    pub unsettled: u64,
    /// Times that /proc could not be listed: who was not selected before is not observed.
    pub unlisted: u64,
    /// Containers that were heard of and found no room, here or in the kernel side's table: they stay undecided.
    pub containers_no_room: u64,
    /// Containers that are undecided now: nothing in them is observed, until it is known what they are called.
    pub containers_undecided: u64,
    /// What was said of containers that are gone.
    pub containers_late: u64,
    /// Containers that were forgotten because nothing runs in them, and the table was nearly full.
    pub containers_purged: u64,
    /// What was to be judged and found the queue full. Everything was judged anew instead.
    pub refused: u64,
}

/// The rules in force, and what is known of containers.
#[derive(Debug)]
pub struct Judging {
    verdicts: Verdicts,
    containers: Containers,
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unchanged,
    Selected,
    Deselected,
}

impl Judging {
    /// Judges everybody who is running, by rules that the attached kernel side has. Whoever starts meanwhile is judged there.
    ///
    /// # Errors
    /// When there is no handle of the kernel side's tables to be had.
    pub fn begin(probe: &mut Probe, rules: &Rules) -> Result<Self, ProbeError> {
        let containers = Containers::new(rules.clone());
        let mut judging = Self { verdicts: probe.verdicts()?, containers, counts: Counts::default() };
        if !rules.is_empty() {
            judging.walk(None);
        }
        Ok(judging)
    }

    /// What was judged so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            containers_no_room: self.containers.no_room(),
            containers_undecided: self.containers.undecided(),
            containers_late: self.containers.late(),
            containers_purged: self.containers.purged(),
            ..self.counts
        }
    }

    /// Does what has come together; one walk for all of it. Returns containers that were forgotten because nothing runs in them.
    pub(crate) fn work(&mut self, orders: Orders) -> Vec<Id> {
        let everybody = orders.rules.is_some() || orders.everybody;
        if let Some(rules) = orders.rules {
            self.containers.apply(&self.verdicts, *rules);
        }
        let mut changed = HashSet::with_hasher(FixedState::with_seed(SEED));
        for (id, change) in orders.containers {
            match change {
                Change::Made => self.containers.made(&self.verdicts, &id),
                Change::Known(facts) => {
                    if self.containers.known(&self.verdicts, &id, facts.as_deref()) {
                        changed.insert(id);
                    }
                }
                Change::Gone => self.containers.gone(&id),
            }
        }
        if everybody {
            self.walk(None);
        } else {
            if !changed.is_empty() {
                self.walk(Some(&changed));
            }
            let moved = orders.joined.into_iter().filter(|pid| self.settle(*pid) != Outcome::Unchanged).count();
            if moved > 0 {
                self.verdicts.judged();
            }
        }
        self.containers.purge(&self.verdicts, containers_running)
    }

    /// Judges everybody, or all processes of these containers.
    fn walk(&mut self, among: Option<&HashSet<Id, FixedState>>) {
        let within = |pid| among.is_none_or(|ids| matches!(container_of(pid), Ok(Some(id)) if ids.contains(&id)));
        // Whoever is not wanted any more hands his verdict on to his children until he has lost it, so a round that takes it
        // from somebody is followed by another one.
        let taken = |judging: &mut Self| {
            let mut any = false;
            for pid in judging.verdicts.selected().into_iter().filter(|pid| within(*pid)) {
                any |= judging.settle(pid) == Outcome::Deselected;
            }
            if any {
                judging.verdicts.judged();
            }
            any
        };
        let mut settled = (0..ROUNDS).any(|_| !taken(self));
        if !self.containers.rules().is_empty() {
            // Likewise, a child that was born before its parent was selected has no verdict. It is not among those that were listed
            // if its id is behind the one that was read last.
            let mut seen = HashMap::with_hasher(FixedState::with_seed(SEED));
            let mut given = |judging: &mut Self| {
                let Ok(pids) = pids() else {
                    judging.counts.unlisted += 1;
                    return false;
                };
                let mut any = false;
                for pid in pids {
                    let Some(who) = which(pid) else { continue };
                    if seen.insert(pid, who) != Some(who) && within(pid) {
                        any |= judging.settle(pid) == Outcome::Selected;
                    }
                }
                any
            };
            settled &= (0..ROUNDS).any(|_| !given(self));
        }
        self.counts.unsettled += u64::from(!settled);
        self.verdicts.judged();
    }

    /// Writes the verdict of a process until it is that of what the process is then: it may have become another image between the
    /// look and the verdict, which has undone the kernel side's own. What it becomes from here on, the kernel side judges after this.
    fn settle(&mut self, pid: u32) -> Outcome {
        let before = self.verdicts.has(pid);
        for _ in 0..LOOKS {
            let wanted = self.wants(pid);
            if wanted == self.verdicts.has(pid) {
                return match (before, wanted) {
                    (false, true) => Outcome::Selected,
                    (true, false) => Outcome::Deselected,
                    _ => Outcome::Unchanged,
                };
            }
            if self.verdicts.judge(pid, wanted).is_err() {
                self.counts.processes_no_room += 1;
                return Outcome::Unchanged;
            }
        }
        // The safe side.
        let _ = self.verdicts.judge(pid, false);
        if before { Outcome::Deselected } else { Outcome::Unchanged }
    }

    /// Whether the rules select a process by what it is now.
    fn wants(&mut self, pid: u32) -> bool {
        let rules = self.containers.rules();
        if rules.is_empty() {
            return false;
        }
        if rules.have_containers() {
            let Ok(id) = container_of(pid) else { return false };
            if !self.containers.select(id.as_ref()) {
                return false;
            }
        }
        let parts = Parts { command_line: rules.have(Row::CommandLine), environment: rules.have(Row::Environment) };
        match Image::look(pid, parts, Rules::TEXT) {
            Ok(Image { ref executable, ref command_line, ref environment }) => {
                rules.judge(&steth_verdict::Image { executable, command_line, environment }).selected
            }
            Err(Unseen::NoImage) => false,
            Err(Unseen::Unreadable(_)) => {
                self.counts.unreadable += 1;
                false
            }
        }
    }
}

/// The processes that there are.
fn pids() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The container of a process, if it is in one.
fn container_of(pid: u32) -> io::Result<Option<Id>> {
    // A file of /proc tells no size, and without one the standard library begins with 32 bytes.
    let mut hierarchies = String::with_capacity(4096);
    fs::File::open(format!("/proc/{pid}/cgroup"))?.take(u64::MAX).read_to_string(&mut hierarchies)?;
    Ok(container_bytes(&hierarchies))
}

/// The containers in which something runs.
fn containers_running() -> HashSet<Id, FixedState> {
    let pids = pids().unwrap_or_default().into_iter();
    pids.filter_map(|pid| container_of(pid).ok().flatten()).collect()
}
