//! Looks a process up when it is first seen.

use crate::procfs;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use steth_event::{Exec, Process};

/// Finds out, on the live machine, who a process is: once, when one of its sockets first moves bytes.
#[derive(Debug)]
pub struct Resolver {
    known: HashSet<u32, FixedState>,
    /// What exec records said of processes that have not used a socket yet.
    images: HashMap<u32, Process, FixedState>,
    maximum: usize,
    /// Some of `known`, each at a place of its own: under load a few processes take turns.
    recent: [u32; RECENT],
}

const RECENT: usize = 64;

impl Resolver {
    /// Remembers at most `maximum` processes.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        let hasher = || FixedState::with_seed(0x6964);
        Self {
            known: HashSet::with_hasher(hasher()),
            images: HashMap::with_hasher(hasher()),
            maximum,
            recent: [0; RECENT],
        }
    }

    /// The process has a new image: what was known of it is void.
    pub fn exec(&mut self, exec: &Exec, executable: &[u8], command_line: &[u8]) {
        self.forget(exec.tgid);
        if self.images.len() >= self.maximum {
            // Most of them have ended without ever using a socket; the rest is found in /proc.
            self.images.clear();
        }
        let executable = String::from_utf8_lossy(executable).into_owned();
        let process = Process {
            pid: exec.tgid,
            started: exec.started,
            name: procfs::name(&executable, command_line, ""),
            executable,
            command_line: procfs::join(command_line),
            container: None,
        };
        self.images.insert(exec.tgid, process);
    }

    /// The process has ended; its id may be used again.
    pub fn exit(&mut self, tgid: u32) {
        self.forget(tgid);
        self.images.remove(&tgid);
    }

    fn forget(&mut self, tgid: u32) {
        self.known.remove(&tgid);
        let recent = &mut self.recent[tgid as usize % RECENT];
        if *recent == tgid {
            *recent = 0;
        }
    }

    /// Who this is, if it has not been asked before. `comm`: the kernel's name for the task, should nothing else be known.
    #[inline]
    pub fn first_sight(&mut self, tgid: u32, comm: Option<&[u8]>) -> Option<Process> {
        let recent = &mut self.recent[tgid as usize % RECENT];
        if tgid == *recent || tgid == 0 {
            return None;
        }
        *recent = tgid;
        if self.known.contains(&tgid) {
            return None;
        }
        self.look_up(tgid, comm)
    }

    #[cold]
    fn look_up(&mut self, tgid: u32, comm: Option<&[u8]>) -> Option<Process> {
        if self.known.len() >= self.maximum {
            // Asking again costs a read of /proc; keeping every process that ever was would have no end.
            self.known.clear();
            self.recent = [0; RECENT];
            self.recent[tgid as usize % RECENT] = tgid;
        }
        self.known.insert(tgid);
        let image = self.images.remove(&tgid);
        let live = procfs::read(tgid);
        match (live, image) {
            (Some(live), Some(image)) => Some(Process { started: image.started, ..live }),
            (Some(live), None) => Some(live),
            (None, Some(image)) => Some(image),
            (None, None) => {
                let name = comm.map(|comm| {
                    let end = comm.iter().position(|b| *b == 0).unwrap_or(comm.len());
                    String::from_utf8_lossy(&comm[..end]).into_owned()
                })?;
                Some(Process { pid: tgid, name, ..Process::default() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_gone_is_known_by_its_image_and_else_by_its_name() {
        let mut resolver = Resolver::new(10);
        let exec = Exec { tgid: u32::MAX - 1, started: 5, ..Exec::default() };
        resolver.exec(&exec, b"/usr/bin/curl", b"curl\0-s\0http://x/\0");
        let process = resolver.first_sight(u32::MAX - 1, None).unwrap();
        assert_eq!((process.name.as_str(), process.command_line.as_str()), ("curl", "curl -s http://x/"));
        let process = resolver.first_sight(u32::MAX - 2, Some(b"worker\0\0\0")).unwrap();
        assert_eq!(process.name, "worker");
    }

    #[test]
    fn a_reused_id_is_looked_up_again() {
        let mut resolver = Resolver::new(10);
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"a")).is_some());
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"a")).is_none());
        resolver.exit(u32::MAX - 1);
        assert!(resolver.first_sight(u32::MAX - 1, Some(b"b")).is_some());
    }
}
