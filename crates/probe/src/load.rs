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
/// What another object takes before its first program is loaded, as instructions of programs: 12 ms where one takes 13 us.
const ANEW: usize = 1000;

/// Loads an object's programs, as far as they are wanted. `again` opens it anew, with the same programs wanted; sizes and settings are
/// taken from the first. That one's maps are the maps of all. `meanwhile` is what has to be done with them, and is mostly waiting.
///
/// # Errors
/// When the kernel refuses a map or a program.
pub(crate) fn load<T: Send>(
    mut first: OpenObject,
    again: impl Fn() -> libbpf_rs::Result<OpenObject> + Sync,
    meanwhile: impl Fn(&Maps) -> Result<T, ProbeError> + Sync,
) -> Result<(Vec<Object>, T), ProbeError> {
    let refused = |error| ProbeError::refused("to load the programs", &error);
    prepare(&mut first).map_err(refused)?;
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let mut shares = shares(&mut first, cpus.min(MOST));
    let own = shares.remove(0);
    let maps = Maps::of(&mut first)?;
    let aside = |share: &BTreeSet<OsString>| {
        let mut open = again()?;
        only(&mut open, share);
        for (mut map, (_, fd)) in open.maps_mut().zip(&maps.0) {
            match fd {
                Some(fd) => map.reuse_fd(fd.as_fd())?,
                None => map.set_autocreate(false)?,
            }
        }
        open.load()
    };
    only(&mut first, &own);
    thread::scope(|scope| {
        let (aside, meanwhile, maps) = (&aside, &meanwhile, &maps);
        // Where no thread is to be had, this one does it all.
        let waiting = thread::Builder::new().spawn_scoped(scope, move || meanwhile(maps)).ok();
        let threads: Vec<_> = shares
            .iter()
            .map(|share| (share, thread::Builder::new().spawn_scoped(scope, move || aside(share)).ok()))
            .collect();
        let mut loaded = vec![first.load()];
        for (share, thread) in threads {
            loaded.push(thread.map_or_else(|| aside(share), end));
        }
        let done = waiting.map_or_else(|| meanwhile(maps), end);
        let objects = loaded.into_iter().collect::<libbpf_rs::Result<_>>().map_err(refused)?;
        Ok((objects, done?))
    })
}

/// What a thread has come to.
fn end<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The maps of an object, in its order, with a descriptor of our own for each that was made: the object may be gone before the others are
/// done, if it is refused.
pub(crate) struct Maps(Vec<(OsString, Option<OwnedFd>)>);

impl Maps {
    fn of(object: &mut OpenObject) -> Result<Self, ProbeError> {
        let map = |map: OpenMapMut<'_>| Ok((map.name().to_owned(), descriptor(&map)?));
        let maps: std::io::Result<_> = object.maps_mut().map(map).collect();
        maps.map(Self).map_err(|error| ProbeError::broken(&format!("a descriptor for each map: {error}")))
    }

    /// One of them.
    pub(crate) fn get(&self, name: &str) -> Result<BorrowedFd<'_>, ProbeError> {
        let made = self.0.iter().filter(|map| map.0 == name).find_map(|map| map.1.as_ref());
        made.map(AsFd::as_fd).ok_or_else(|| ProbeError::broken(&format!("the object has no map {name}")))
    }
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
    let map = map.as_libbpf_object().as_ptr();
    // SAFETY: the map belongs to an open object. One that is left out has a descriptor too, which stands for no map.
    let (made, fd) = unsafe { (libbpf_sys::bpf_map__autocreate(map), libbpf_sys::bpf_map__fd(map)) };
    if !made || fd < 0 {
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
    let mut shares = vec![(ANEW, BTreeSet::new()); most.clamp(1, programs.len().max(1))];
    shares[0].0 = 0;
    for (length, name) in programs {
        let share = shares.iter_mut().min_by_key(|share| share.0).expect("there is one");
        share.0 += length;
        share.1.insert(name);
    }
    // To open an object for nothing would take longer than the few programs that it spares the others.
    let first = shares.remove(0).1;
    let others = shares.into_iter().map(|share| share.1).filter(|share| !share.is_empty());
    std::iter::once(first).chain(others).collect()
}

/// Leaves all other programs out.
fn only(object: &mut OpenObject, share: &BTreeSet<OsString>) {
    for mut program in object.progs_mut() {
        let in_it = share.contains(program.name());
        program.set_autoload(in_it);
    }
}
