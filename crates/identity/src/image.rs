//! What a process was started as, for the rules: read from `/proc`, or told that it cannot be read.

use crate::procfs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::{fmt, fs};

/// Executable, arguments and environment of a running process. The environment is overwritten when the value goes.
pub struct Image {
    /// Path of the executable, in its own mount namespace; without the kernel's remark that the file was deleted.
    pub executable: Vec<u8>,
    /// Arguments, each behind the last one's NUL; empty unless they were asked for.
    pub command_line: Vec<u8>,
    /// Variables, likewise; empty unless it was asked for.
    pub environment: Vec<u8>,
}

/// What is looked at beside the executable. Of what nobody asks for, nothing is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The arguments.
    pub command_line: bool,
    /// The environment, which holds secrets.
    pub environment: bool,
}

/// Why a process could not be looked at.
#[derive(Debug)]
pub enum Unseen {
    /// It is not there, has ended, or is a thread of the kernel's, which has no image.
    NoImage,
    /// It is there and cannot be read: permissions, or memory that is not there.
    Unreadable(Error),
}

impl Image {
    /// Looks at a process: of each of these parts so many bytes.
    ///
    /// Another user's environment is read from that process's memory, as its names are: the file is its owner's alone.
    ///
    /// # Errors
    /// [`Unseen`]. What cannot be read is never taken for something empty.
    pub fn look(pid: u32, parts: Parts, limit: usize) -> Result<Self, Unseen> {
        let process = Path::new("/proc").join(pid.to_string());
        let executable = fs::read_link(process.join("exe")).map_err(unseen)?.into_os_string().into_encoded_bytes();
        let executable = executable.strip_suffix(b" (deleted)").unwrap_or(&executable).to_vec();
        let mut image = Self { executable, command_line: Vec::new(), environment: Vec::new() };
        if parts.command_line {
            image.command_line = procfs::head(&process.join("cmdline"), limit).map_err(unseen)?;
        }
        if parts.environment {
            image.environment = procfs::environment(pid, limit).map_err(unseen)?;
        }
        Ok(image)
    }
}

/// Which process an id stands for at this moment: whoever has the id later is another one, and not equal.
///
/// The kernel makes the directory of a process anew for each of them, with a number and a time of its own
/// (`proc_pid_make_inode`), and forgets it with the process (`pid_revalidate`). It may forget it before, when memory is short:
/// then one process is taken for two. To ask for these costs a fifth of reading `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    inode: u64,
    made: (i64, i64),
}

/// Which process has this id. `None`: nobody.
#[must_use]
pub fn which(pid: u32) -> Option<Which> {
    let directory = fs::metadata(format!("/proc/{pid}")).ok()?;
    Some(Which { inode: directory.ino(), made: (directory.ctime(), directory.ctime_nsec()) })
}

fn unseen(error: Error) -> Unseen {
    const ESRCH: i32 = 3;
    if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) {
        Unseen::NoImage
    } else {
        Unseen::Unreadable(error)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        procfs::wipe(&mut self.environment);
    }
}

/// Without the environment, which holds secrets.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("executable", &String::from_utf8_lossy(&self.executable)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_an_image_and_nobody_has_none() {
        const LIMIT: usize = 16_384;
        let all = Parts { command_line: true, environment: true };
        let me = Image::look(std::process::id(), all, LIMIT).unwrap();
        assert!(!me.executable.is_empty() && !me.command_line.is_empty() && !me.environment.is_empty());
        assert!(!format!("{me:?}").contains("PATH="));
        let me = Image::look(std::process::id(), Parts::default(), LIMIT).unwrap();
        assert!(me.command_line.is_empty() && me.environment.is_empty(), "nobody has asked for them");
        assert!(matches!(Image::look(u32::MAX, all, LIMIT), Err(Unseen::NoImage)));
    }

    #[test]
    fn a_process_is_itself_and_nobody_else() {
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (me, it) = (which(std::process::id()), which(other.id()));
        let again = (which(std::process::id()), which(other.id()));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(me.is_some() && it.is_some() && me != it);
        assert_eq!(again, (me, it));
        assert_eq!((which(other.id()), which(u32::MAX)), (None, None));
    }
}
