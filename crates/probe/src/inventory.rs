//! Which BPF objects are in the kernel, and which of them a process holds.
//!
//! Ids of programs, maps and links are given out in a circle of two thousand million, so an id that is gone stays gone for
//! as long as anybody looks.

use std::collections::BTreeSet;
use std::fs;
use std::io;

/// Ids of BPF objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Programs.
    pub programs: BTreeSet<u32>,
    /// Maps.
    pub maps: BTreeSet<u32>,
    /// Links: what holds a program at its hook.
    pub links: BTreeSet<u32>,
}

impl Inventory {
    /// All that this kernel holds.
    ///
    /// # Errors
    /// When the kernel does not tell (no CAP_SYS_ADMIN).
    pub fn of_kernel() -> io::Result<Self> {
        use libbpf_rs::libbpf_sys::{bpf_link_get_next_id, bpf_map_get_next_id, bpf_prog_get_next_id};
        Ok(Self {
            programs: ids(bpf_prog_get_next_id)?,
            maps: ids(bpf_map_get_next_id)?,
            links: ids(bpf_link_get_next_id)?,
        })
    }

    /// What a process holds through its descriptors (`prog_id`, `map_id`, `link_id` in /proc/PID/fdinfo).
    ///
    /// # Errors
    /// When there is no such process, or it may not be looked at.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A descriptor may be closed between the listing and the look.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
                let Ok(id) = value.trim().parse() else { continue };
                match key {
                    "prog_id" => found.programs.insert(id),
                    "map_id" => found.maps.insert(id),
                    "link_id" => found.links.insert(id),
                    _ => continue,
                };
            }
        }
        Ok(found)
    }

    /// What is in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self {
            programs: &self.programs & &other.programs,
            maps: &self.maps & &other.maps,
            links: &self.links & &other.links,
        }
    }

    /// Whether it holds nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.maps.is_empty() && self.links.is_empty()
    }
}

fn ids(next: unsafe extern "C" fn(u32, *mut u32) -> i32) -> io::Result<BTreeSet<u32>> {
    let (mut found, mut id) = (BTreeSet::new(), 0);
    loop {
        // SAFETY: the function writes one number through the pointer, which is valid for the call.
        let error = unsafe { next(id, &raw mut id) };
        match error {
            0 => found.insert(id),
            _ if -error == libc::ENOENT => return Ok(found),
            _ => return Err(io::Error::from_raw_os_error(-error)),
        };
    }
}
