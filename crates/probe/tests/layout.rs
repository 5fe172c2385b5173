//! `bpf/event.h` as it was compiled, by the BTF of the object, against the Rust types that read what it writes: names,
//! offsets, sizes and numbers. Needs no privileges: the object is parsed, not loaded.

use libbpf_rs::btf::types::{Array, DataSec, Enum, Int, MemberAttr, Struct};
use libbpf_rs::btf::{Btf, BtfType, HasSize};
use std::collections::BTreeMap;
use steth_event::{Books, Cgroup, Chunk, Destination, Exec, Exit, Fork, Listen, Open, Shutdown, counter, kind};
use steth_probe::Core;
use steth_wire::Protocol;

fn btf() -> Btf<'static> {
    of(Core::Typed)
}

fn of(core: Core) -> Btf<'static> {
    Btf::from_raw("steth", steth_probe::object(core)).expect("the object can be parsed").expect("it has BTF")
}

/// The variables of a section, and where they are.
fn variables(core: Core, section: &str) -> Vec<(String, u32, usize)> {
    let btf = of(core);
    let section: DataSec<'_> = btf.type_by_name(section).unwrap_or_else(|| panic!("no section {section}"));
    let name = |ty| btf.type_by_id::<BtfType<'_>>(ty).and_then(|ty| Some(ty.name()?.to_string_lossy().into_owned()));
    section.iter().map(|variable| (name(variable.ty).expect("a name"), variable.offset, variable.size)).collect()
}

#[test]
fn both_objects_have_the_same_settings() {
    for section in [".rodata", ".data.control"] {
        let typed = variables(Core::Typed, section);
        assert!(!typed.is_empty());
        assert_eq!(typed, variables(Core::Plain, section), "{section}");
    }
}

/// Bytes of an integer or of an array of them; a record has nothing else.
fn bytes_of(ty: BtfType<'_>) -> usize {
    match Array::try_from(ty.skip_mods_and_typedefs()) {
        Ok(array) => array.capacity() * bytes_of(array.contained_type()),
        Err(other) => Int::try_from(other).expect("integers and arrays of integers").size(),
    }
}

/// Holds one struct against its twin: every field, nothing between them, nothing behind the last.
fn same_layout(name: &str, size: usize, layout: &[(&str, usize, usize)]) {
    let btf = btf();
    let ty: Struct<'_> =
        btf.type_by_name(name).unwrap_or_else(|| panic!("struct {name} is not in the BTF; mention it in bpf/state.h"));
    let mut end = 0;
    for (at, member) in ty.iter().enumerate() {
        let field = member.name.expect("fields have names").to_string_lossy();
        let MemberAttr::Normal { offset: bits } = member.attr else { panic!("{name}.{field} is a bit field") };
        let (offset, bytes) = (bits as usize / 8, bytes_of(btf.type_by_id(member.ty).expect("a field has a type")));
        assert_eq!(offset, end, "{name}: padding before {field} would carry kernel memory out");
        assert_eq!(layout.get(at), Some(&(&*field, offset, bytes)), "{name}.{field}");
        end = offset + bytes;
    }
    assert_eq!(ty.len(), layout.len(), "{name}: fields");
    assert_eq!((end, size), (ty.size(), ty.size()), "{name}: size");
}

#[test]
fn records_have_the_same_layout_on_both_sides() {
    same_layout("steth_open", size_of::<Open>(), Open::LAYOUT);
    same_layout("steth_chunk", size_of::<Chunk>(), Chunk::LAYOUT);
    same_layout("steth_destination", size_of::<Destination>(), Destination::LAYOUT);
    same_layout("steth_shutdown", size_of::<Shutdown>(), Shutdown::LAYOUT);
    same_layout("steth_books", size_of::<Books>(), Books::LAYOUT);
    same_layout("steth_exec", size_of::<Exec>(), Exec::LAYOUT);
    same_layout("steth_fork", size_of::<Fork>(), Fork::LAYOUT);
    same_layout("steth_exit", size_of::<Exit>(), Exit::LAYOUT);
    same_layout("steth_listen", size_of::<Listen>(), Listen::LAYOUT);
    same_layout("steth_cgroup", size_of::<Cgroup>(), Cgroup::LAYOUT);
}

/// Holds one enum against constants: the same names with the same numbers, none missing on either side.
fn same_numbers(name: &str, prefix: &str, constants: &[(&str, u64)]) {
    let btf = btf();
    let ty: Enum<'_> =
        btf.type_by_name(name).unwrap_or_else(|| panic!("enum {name} is not in the BTF; mention it in bpf/state.h"));
    let kernel: BTreeMap<String, u64> = ty
        .iter()
        .map(|member| {
            let value = member.name.expect("values have names").to_string_lossy();
            let short = value.strip_prefix(prefix).unwrap_or_else(|| panic!("{value} does not begin with {prefix}"));
            (short.to_owned(), u64::try_from(member.value).expect("no negative number"))
        })
        .collect();
    let ours = constants.iter().map(|(constant, number)| ((*constant).to_owned(), *number)).collect();
    assert_eq!(kernel, ours, "{name}: kernel side left, Rust right");
}

/// Constants of a module by their names, as numbers.
macro_rules! named {
    ($module:path: $($name:ident)*) => {{
        use $module as module;
        [$((stringify!($name), u64::try_from(module::$name).expect("a small number")),)*]
    }};
}

#[test]
fn kinds_are_the_same() {
    let kinds = named!(kind: OPEN CHUNK SHUTDOWN CLOSE PROGRESS EXEC EXIT CGROUP LISTEN FORK);
    same_numbers("steth_kind", "STETH_", &kinds);
    // What user space writes into recordings begins where the kernel side ends for good.
    assert!(named!(kind: CLOCK PROCESS COUNTERS TICK).iter().all(|(_, number)| *number >= 16));
}

#[test]
fn protocols_are_the_same() {
    let mut expected = vec![("UNKNOWN", 0), ("COUNT", steth_event::PROTOCOLS as u64)];
    expected.extend(Protocol::ALL.map(|protocol| {
        let name = match protocol {
            Protocol::Http1 => "HTTP1",
            Protocol::Redis => "REDIS",
            Protocol::Mysql => "MYSQL",
            Protocol::Postgresql => "POSTGRESQL",
            Protocol::Dns => "DNS",
        };
        (name, protocol as u64)
    }));
    same_numbers("steth_protocol", "STETH_PROTOCOL_", &expected);
}

#[test]
fn counters_are_the_same() {
    let mut expected = named!(counter:
        SEEN_CHUNKS SEEN_BYTES REPORTED_CHUNKS REPORTED_BYTES L4_CHUNKS L4_BYTES DROPPED_RECORDS DROPPED_CHUNKS
        DROPPED_BYTES UNREAD_CHUNKS UNREAD_BYTES SKIPPED_BYTES MAP_FULL MAP_FULL_BYTES PENDING_CHUNKS PENDING_BYTES
        UNSELECTED PEEKS VERDICTS_FULL OTHER_CHUNKS OTHER_BYTES DROPPED_REQUESTS CROWDED_CHUNKS CROWDED_BYTES
        CROWDED_RUNS ENDS_MISSED)
    .to_vec();
    expected.push(("COUNTERS", steth_event::COUNTERS as u64));
    same_numbers("steth_counter", "STETH_", &expected);
}

#[test]
fn directions_roles_and_flags_are_the_same() {
    same_numbers("steth_direction", "STETH_", &named!(steth_event: SEND RECEIVE));
    let roles = named!(steth_event: ROLE_UNKNOWN ROLE_CLIENT ROLE_SERVER);
    same_numbers("steth_role", "STETH_", &roles);
    let sources = steth_event::ROLE_SOURCE.map(str::to_uppercase);
    let sources: Vec<_> = sources.iter().map(String::as_str).zip(0..).collect();
    same_numbers("steth_role_source", "STETH_ROLE_", &sources);
    let chunk = named!(steth_event: CHUNK_TURN CHUNK_UNREAD CHUNK_COALESCED CHUNK_DESTINATION CHUNK_MISSED);
    same_numbers("steth_chunk_flags", "STETH_", &chunk);
    let close = named!(steth_event: CLOSE_RESET_BY_PEER CLOSE_RESET_BY_US CLOSE_TIMED_OUT CLOSE_FIN_SENT
        CLOSE_FIN_RECEIVED CLOSE_REFUSED);
    same_numbers("steth_close_flags", "STETH_", &close);
    let listen = named!(steth_event: LISTEN_BEGINS LISTEN_GOES_ON LISTEN_ENDS);
    same_numbers("steth_listen_change", "STETH_", &listen);
    let changes = named!(steth_event: CGROUP_MADE CGROUP_GONE CGROUP_JOINED);
    same_numbers("steth_cgroup_change", "STETH_", &changes);
}
