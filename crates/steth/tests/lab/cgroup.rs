//! Cgroups named like those of containers, made by the test itself, in the hierarchies that are mounted and can be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Where hierarchies are mounted, of version 1 (controllers and named ones) and 2.
pub fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts can be read");
    let of_cgroups = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(place))
    };
    let writable = |place: &PathBuf| {
        let probe = place.join(format!("steth-test-{}", std::process::id()));
        let made = fs::create_dir(&probe).is_ok();
        let _ = fs::remove_dir(&probe);
        made
    };
    let found: Vec<_> = mounts.lines().filter_map(of_cgroups).filter(writable).collect();
    assert!(!found.is_empty(), "no hierarchy of cgroups can be written");
    found
}

/// An id that no other container has.
pub fn id(mark: u8) -> [u8; 32] {
    let mut id = [mark; 32];
    id[..4].copy_from_slice(&std::process::id().to_be_bytes());
    id
}

/// Its 64 digits.
pub fn digits(id: &[u8; 32]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cgroup of this name in some hierarchies; gone with the value.
#[derive(Debug)]
pub struct Cgroup {
    places: Vec<PathBuf>,
    tops: Vec<PathBuf>,
}

impl Cgroup {
    /// Makes it. The name may be a path of several parts, all of which are made.
    pub fn make(hierarchies: &[PathBuf], name: &str) -> Self {
        let mut cgroup = Self { places: Vec::new(), tops: Vec::new() };
        for top in hierarchies {
            let mut place = top.clone();
            for part in name.split('/') {
                place.push(part);
                fs::create_dir(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
                // A cpuset without CPUs takes nobody.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    if let Ok(value) = fs::read_to_string(place.join("..").join(file)) {
                        let _ = fs::write(place.join(file), value);
                    }
                }
            }
            cgroup.places.push(place);
            cgroup.tops.push(top.clone());
        }
        cgroup
    }

    /// Puts a process into it.
    pub fn take(&self, pid: u32) {
        self.places.iter().for_each(|place| put(place, pid));
    }

    /// Puts it back to the top of these hierarchies.
    pub fn release(&self, pid: u32) {
        self.tops.iter().for_each(|place| put(place, pid));
    }

    /// Where it is in the hierarchy of version 2, if that is one of them.
    pub fn unified(&self) -> Option<&Path> {
        self.places.iter().map(PathBuf::as_path).find(|place| place.join("cgroup.events").exists())
    }

    /// What a shell does to enter it.
    pub fn enter(&self) -> String {
        self.places.iter().map(|place| format!("echo $$ > '{}' && ", place.join("cgroup.procs").display())).collect()
    }
}

fn put(place: &Path, pid: u32) {
    let procs = place.join("cgroup.procs");
    fs::write(&procs, pid.to_string()).unwrap_or_else(|error| panic!("{}: {error}", procs.display()));
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for (place, top) in self.places.iter().zip(&self.tops) {
            let mut place = place.as_path();
            while place != top {
                // Whoever was in it may still be on the way out.
                for _ in 0..200 {
                    if fs::remove_dir(place).is_ok() || !place.exists() {
                        break;
                    }
                    sleep(Duration::from_millis(10));
                }
                let Some(parent) = place.parent() else { break };
                place = parent;
            }
        }
    }
}
