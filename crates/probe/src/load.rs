//! Loading programs on several CPUs at once.
//!
//! What a start takes is the verifier's work, which is of one program alone and holds no lock for whoever has CAP_BPF (`bpf_check`). libbpf
//! loads the programs of an object one after another. So the same object is opened once for each CPU, each loads a share of the programs,
//! and all have the maps of the first.

use crate::error::ProbeError;
use libbpf_rs::{AsRawLibbpf as _, Object, OpenMapMut, OpenObject, libbpf_sys};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

/// More do not help: the largest two programs are two thirds of the work, and each further object reads the kernel's types anew.
const MOST: usize = 4;

/// Loads an object's programs, as far as they are wanted. `again` opens it anew, with the same programs wanted; sizes and settings are
/// taken from the first. That one's maps are the maps of all.
///
/// # Errors
/// When the kernel refuses a map or a program.
pub(crate) fn load(
    mut first: OpenObject,
    again: impl Fn() -> libbpf_rs::Result<OpenObject> + Sync,
) -> Result<Vec<Object>, ProbeError> {
    let refused = |error| ProbeError::refused("to load the programs", &error);
    prepare(&mut first).map_err(refused)?;
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let mut shares = shares(&mut first, cpus.min(MOST));
    let own = shares.remove(0);
    // Our own ones: the first object may be gone before the others are done, if it is refused.
    let maps: std::io::Result<Vec<_>> = first.maps_mut().map(|map| descriptor(&map)).collect();
    let maps = maps.map_err(|error| ProbeError::broken(&format!("a descriptor for each map: {error}")))?;
    let aside = |share: &BTreeSet<OsString>| {
        let mut open = again()?;
        only(&mut open, share);
        for (mut map, fd) in open.maps_mut().zip(&maps) {
            match fd {
                Some(fd) => map.reuse_fd(fd.as_fd())?,
                None => map.set_autocreate(false)?,
            }
        }
        open.load()
    };
    only(&mut first, &own);
    let loaded: libbpf_rs::Result<Vec<_>> = thread::scope(|scope| {
        let aside = &aside;
        let threads: Vec<_> = shares
            .iter()
            .map(|share| (share, thread::Builder::new().spawn_scoped(scope, move || aside(share))))
            .collect();
        let mut loaded = vec![first.load()];
        for (share, thread) in threads {
            // Where no thread is to be had, this one does it.
            loaded.push(match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => aside(share),
            });
        }
        loaded.into_iter().collect()
    });
    loaded.map_err(refused)
}

/// Makes the maps, and fits the programs to the kernel.
fn prepare(object: &mut OpenObject) -> libbpf_rs::Result<()> {
    // SAFETY: the object is open, and nobody else has it.
    match unsafe { libbpf_sys::bpf_object__prepare(object.as_libbpf_object().as_ptr()) } {
        0 => Ok(()),
        error => Err(libbpf_rs::Error::from_raw_os_error(-error)),
    }
}

/// A descriptor of a map, if it was made.
fn descriptor(map: &OpenMapMut<'_>) -> std::io::Result<Option<OwnedFd>> {
    // SAFETY: the map belongs to an open object.
    let fd = unsafe { libbpf_sys::bpf_map__fd(map.as_libbpf_object().as_ptr()) };
    if fd < 0 {
        return Ok(None);
    }
    // SAFETY: the object has it open, and is borrowed here.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().map(Some)
}

/// The wanted programs' names in so many shares or fewer, the first of which is never missing: the longest program goes where least is.
fn shares(object: &mut OpenObject, most: usize) -> Vec<BTreeSet<OsString>> {
    let wanted = object.progs_mut().filter(|program| program.autoload());
    let mut programs: Vec<_> = wanted.map(|program| (program.insn_cnt(), program.name().to_owned())).collect();
    programs.sort_by_key(|program| Reverse(program.0));
    let mut shares = vec![(0, BTreeSet::new()); most.clamp(1, programs.len().max(1))];
    for (length, name) in programs {
        let share = shares.iter_mut().min_by_key(|share| share.0).expect("there is one");
        share.0 += length;
        share.1.insert(name);
    }
    shares.into_iter().map(|share| share.1).collect()
}

/// Leaves all other programs out.
fn only(object: &mut OpenObject, share: &BTreeSet<OsString>) {
    for mut program in object.progs_mut() {
        let in_it = share.contains(program.name());
        program.set_autoload(in_it);
    }
}
