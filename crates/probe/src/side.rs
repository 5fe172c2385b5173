//! The kernel side once it is loaded: its programs, its tables, and the settings that change while it runs.

use crate::error::ProbeError;
use crate::hooks::{Core, Hook, On};
use crate::perf;
use crate::skeleton::types;
use libbpf_rs::{
    AsRawLibbpf as _, Link, MapCore as _, MapHandle, Object, ObjectBuilder, OpenObject, ProgramAttachType, ProgramType,
};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;

/// The compiled core.
pub(crate) fn object(core: Core) -> &'static [u8] {
    match core {
        Core::Typed => include_bytes!(concat!(env!("OUT_DIR"), "/steth.bpf.o")),
        Core::Plain => include_bytes!(concat!(env!("OUT_DIR"), "/steth_plain.bpf.o")),
    }
}

/// Settings before load (`bpf/settings.h`): both objects have the same ones, which the test `layout` looks after.
pub(crate) type Settings = types::rodata;
/// Settings while it runs.
pub(crate) type Control = types::data_control;

/// Opens an object of which nothing but these programs is to be loaded. `types`: a file that describes the kernel in place of itself.
pub(crate) fn open(core: Core, types: Option<&Path>, wanted: impl Fn(&str) -> bool) -> libbpf_rs::Result<OpenObject> {
    let mut builder = ObjectBuilder::default();
    if let Some(path) = types {
        builder.btf_custom_path(path)?;
    }
    let mut object = builder.name("steth")?.open_memory(self::object(core))?;
    for mut program in object.progs_mut() {
        let only = program.name().to_str().is_some_and(&wanted);
        program.set_autoload(only);
    }
    Ok(object)
}

/// The types that its programs know, as they stand in it (BTF).
pub(crate) fn types(object: &OpenObject) -> Vec<u8> {
    let mut size = 0;
    // SAFETY: the object is open. It owns what is returned, which is copied before anybody changes it.
    let bytes = unsafe {
        let btf = libbpf_rs::libbpf_sys::bpf_object__btf(object.as_libbpf_object().as_ptr());
        if btf.is_null() { std::ptr::null() } else { libbpf_rs::libbpf_sys::btf__raw_data(btf, &raw mut size) }
    };
    if bytes.is_null() {
        return Vec::new();
    }
    // SAFETY: the function has just said how many bytes are there.
    unsafe { std::slice::from_raw_parts(bytes.cast(), size as usize) }.to_vec()
}

/// Its settings, to be changed before it is loaded.
pub(crate) fn settings(object: &mut OpenObject) -> Result<&mut Settings, ProbeError> {
    let absent = || ProbeError::broken("the object has no settings section");
    let map = object.maps_mut().find(|map| map.name().to_string_lossy().ends_with(".rodata")).ok_or_else(absent)?;
    let mut size = 0;
    // SAFETY: the map belongs to the object, which is open; the function tells where its value is and how long.
    let value =
        unsafe { libbpf_rs::libbpf_sys::bpf_map__initial_value(map.as_libbpf_object().as_ptr(), &raw mut size) };
    let value = NonNull::new(value.cast::<Settings>()).filter(|value| value.is_aligned()).ok_or_else(absent)?;
    if size as usize != size_of::<Settings>() {
        return Err(absent());
    }
    // SAFETY: it has the size and alignment of the type, which consists of integers; it lives as long as the open object,
    // which nobody else has while it is borrowed here.
    Ok(unsafe { &mut *value.as_ptr() })
}

/// Maps that are not made.
pub(crate) fn leave_out(object: &mut OpenObject, names: &[&str]) -> libbpf_rs::Result<()> {
    let left_out = |map: &libbpf_rs::OpenMapMut<'_>| names.iter().any(|name| map.name() == *name);
    object.maps_mut().filter(left_out).try_for_each(|mut map| map.set_autocreate(false))
}

/// A map that is made with so many elements.
pub(crate) fn size(object: &mut OpenObject, name: &str, elements: u32) -> libbpf_rs::Result<()> {
    object.maps_mut().filter(|map| map.name() == name).try_for_each(|mut map| map.set_max_entries(elements))
}

/// The same of all maps but those whose names have one of these in them.
pub(crate) fn leave_out_all_but(object: &mut OpenObject, sections: &[&str]) -> libbpf_rs::Result<()> {
    let needed = |name: &str| sections.iter().any(|section| name.contains(section));
    let left_out = |map: &libbpf_rs::OpenMapMut<'_>| !needed(&map.name().to_string_lossy());
    object.maps_mut().filter(left_out).try_for_each(|mut map| map.set_autocreate(false))
}

/// Hangs programs on raw tracepoints, whose arguments have no types, in place of typed ones.
pub(crate) fn without_types(object: &mut OpenObject) {
    for mut program in object.progs_mut().filter(|program| program.section().to_string_lossy().starts_with("tp_btf/")) {
        program.set_prog_type(ProgramType::RawTracepoint);
        // Which is that of the typed ones.
        program.set_attach_type(ProgramAttachType::CgroupInetIngress);
    }
}

/// A value that is mapped here and in the kernel.
#[derive(Debug)]
pub(crate) struct Mapped<T>(NonNull<T>);

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl<T> Send for Mapped<T> {}

impl<T> Mapped<T> {
    pub(crate) fn map(map: &impl AsFd) -> std::io::Result<Self> {
        // SAFETY: a fresh shared mapping at an address of the kernel's choice, which begins a page.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(Self).ok_or_else(|| std::io::ErrorKind::OutOfMemory.into())
    }
}

impl Mapped<Control> {
    pub(crate) fn get(&self) -> &Control {
        // SAFETY: mapped for the life of `self` with this type's size, page-aligned; all its fields are integers. What the kernel
        // side changes meanwhile are single integers, each read or written at once.
        unsafe { self.0.as_ref() }
    }

    /// The epoch that is stamped on the verdicts of sockets.
    pub(crate) fn epoch(&self) -> &AtomicU32 {
        // SAFETY: an aligned 32-bit integer within the mapping, which lives as long as `self`; whoever changes it while it runs, the
        // kernel side too, does so atomically.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.0.as_ptr()).control.epoch) }
    }

    pub(crate) fn get_mut(&mut self) -> &mut Control {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: mapped above with this length, and nobody holds a reference any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// A loaded object.
pub(crate) struct Side {
    /// The programs, each in one of them. The maps are those of the first.
    objects: Vec<Object>,
    control: Mapped<Control>,
    pub(crate) connections: MapHandle,
    pub(crate) scratches: MapHandle,
    /// Elements of `scratches`.
    pub(crate) contexts: u32,
    pub(crate) demoted: MapHandle,
    pub(crate) sent_to: MapHandle,
    pub(crate) verdicts: MapHandle,
    pub(crate) containers: MapHandle,
    pub(crate) automata: MapHandle,
    pub(crate) ports: MapHandle,
    pub(crate) remotes: MapHandle,
}

impl Side {
    /// What is loaded.
    pub(crate) fn of(objects: Vec<Object>) -> Result<Self, ProbeError> {
        let first = objects.first().ok_or_else(|| ProbeError::broken("nothing is loaded"))?;
        let map = |name| map(first, name);
        let control = Mapped::map(&map(".data.control")?);
        let contexts = first.maps().find(|map| map.name() == "scratches").map_or(0, |map| map.max_entries());
        Ok(Self {
            control: control.map_err(|error| ProbeError::broken(&format!("mapping the settings: {error}")))?,
            connections: map("connections")?,
            scratches: map("scratches")?,
            contexts,
            demoted: map("demoted")?,
            sent_to: map("sent_to")?,
            verdicts: map("verdicts")?,
            containers: map("containers")?,
            automata: map("automata")?,
            ports: map("ports")?,
            remotes: map("remotes")?,
            objects,
        })
    }

    /// The settings that change while it runs.
    pub(crate) fn control(&mut self) -> &mut Control {
        self.control.get_mut()
    }

    /// The same, to be looked at.
    pub(crate) fn control_now(&self) -> &Control {
        self.control.get()
    }

    /// The epoch of the sockets' verdicts.
    pub(crate) fn epoch(&self) -> &AtomicU32 {
        self.control.epoch()
    }

    /// A map that not every variant has.
    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, ProbeError> {
        map(&self.objects[0], name)
    }

    /// Every program that is loaded.
    pub(crate) fn programs(&self) -> impl Iterator<Item = libbpf_rs::Program<'_>> {
        self.objects.iter().flat_map(Object::progs).filter(libbpf_rs::Program::autoload)
    }

    /// Attaches a hook's program to what the hook names: a kprobe's may be on several functions.
    pub(crate) fn hang(&self, hook: &Hook) -> libbpf_rs::Result<Link> {
        let program = || self.program(hook.program).ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT));
        match hook.on {
            On::Tracepoint(_) | On::Function(_) => self.attach(hook.program),
            On::Event(system, name) => perf::attach(&program()?, system, name),
            On::Beginning(function) => program()?.attach_kprobe(false, function),
            On::End(function) => program()?.attach_kprobe(true, function),
        }
    }

    /// Attaches one of them to what it names.
    pub(crate) fn attach(&self, name: &str) -> libbpf_rs::Result<Link> {
        self.program(name).ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?.attach()
    }

    /// Attaches one of them to a tracepoint without the types of its arguments.
    pub(crate) fn attach_raw(&self, name: &str, tracepoint: &str) -> libbpf_rs::Result<Link> {
        let program = self.program(name).ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?;
        program.attach_raw_tracepoint(tracepoint)
    }

    /// Makes one of them an iterator over the states of sockets.
    pub(crate) fn iterate(&self, name: &str) -> libbpf_rs::Result<Link> {
        let program = self.program(name).ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?;
        program.attach_iter(self.connections.as_fd())
    }

    /// One of them, to be attached.
    pub(crate) fn program(&self, name: &str) -> Option<libbpf_rs::ProgramMut<'_>> {
        self.objects.iter().flat_map(Object::progs_mut).find(|program| program.name() == name && program.autoload())
    }
}

pub(crate) fn map(object: &Object, name: &str) -> Result<MapHandle, ProbeError> {
    let map = object.maps().find(|map| map.name() == name);
    let map = map.ok_or_else(|| ProbeError::broken(&format!("the object has no map {name}")))?;
    MapHandle::try_from(&map).map_err(|error| ProbeError::refused("a map", &error))
}
