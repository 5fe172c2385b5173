//! Whether a file with type information is this kernel's: fields are read where it says, and must hold what is known to be in them.
//!
//! A file of another kernel would let the programs read whatever stands there, and nobody would notice.

use crate::error::ProbeError;
use crate::hooks::Core;
use crate::side;
use crate::types::TypesFile;
use libbpf_rs::{Object, ProgramInput};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

/// `enum described` of `bpf/one_by_one.h`, in words.
const WRONG: [&str; 4] = ["of the task that runs", "of the files of a task", "of a socket", "of a TCP connection"];
/// Comes in on the connection that is looked at.
const GREETING: [u8; 1234] = [b'.'; 1234];

/// Loads a few programs of the plain core and nothing else of it.
fn load(file: &TypesFile, names: &[&str]) -> libbpf_rs::Result<Object> {
    let mut open = side::open(Core::Plain, Some(&file.path), |name| names.contains(&name))?;
    side::leave_out_all_but(&mut open, &[".data.control", ".rodata"])?;
    open.load()
}

/// Runs one of them with these arguments.
pub(crate) fn run(object: &Object, name: &str, arguments: &[u64]) -> libbpf_rs::Result<u32> {
    let program = object.progs_mut().find(|program| program.name() == name);
    let program = program.ok_or_else(|| libbpf_rs::Error::from_raw_os_error(libc::ENOENT))?;
    let mut context: Vec<u8> = arguments.iter().flat_map(|argument| argument.to_ne_bytes()).collect();
    // An empty one is refused, unless it is none.
    let context_in = (!context.is_empty()).then_some(&mut context[..]);
    let input = ProgramInput { context_in, ..ProgramInput::default() };
    program.test_run(input).map(|output| output.return_value)
}

/// A connection with itself, and what came in on it.
fn connection() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.write_all(&GREETING)?;
    far.read_exact(&mut [0; GREETING.len()])?;
    Ok((far, near))
}

/// Refuses a file that is of another kernel, as far as that matters.
pub(crate) fn check(file: &TypesFile) -> Result<(), ProbeError> {
    let other = |what: String| ProbeError::BtfFile {
        file: file.name.clone(),
        cause: format!("it is of another kernel than {}: {what}", crate::doctor::release()),
    };
    // A field that the file does not have makes an instruction that no verifier takes.
    let object = load(file, &["described"])
        .map_err(|error| other(format!("what the programs read is not in it, or elsewhere ({error})")))?;
    // Without a loopback interface there is none.
    let connection = connection().ok();
    let arguments = connection.as_ref().and_then(|(far, _)| {
        let ports = u64::from(far.local_addr().ok()?.port()) << 16 | u64::from(far.peer_addr().ok()?.port());
        Some([far.as_raw_fd() as u64, ports, GREETING.len() as u64])
    });
    let result = run(&object, "described", &arguments.unwrap_or([u64::MAX, 0, 0]))
        .map_err(|error| ProbeError::refused("to look at a task by its fields", &error))?;
    match (result as usize).checked_sub(1) {
        None => Ok(()),
        Some(wrong) => {
            Err(other(format!("fields {} are elsewhere", WRONG.get(wrong).copied().unwrap_or("of the kernel"))))
        }
    }
}

/// How far above the beginning of its stack a task's registers end, where no helper tells.
pub(crate) fn registers_above(file: &TypesFile) -> Result<u32, ProbeError> {
    let refused = |error: libbpf_rs::Error| ProbeError::refused("to look for a task's registers", &error);
    let object = load(file, &["registers_end"]).map_err(refused)?;
    match run(&object, "registers_end", &[]).map_err(refused)? {
        0 => Err(ProbeError::broken("a task's registers are not where they were found on any kernel so far")),
        above => Ok(above),
    }
}
