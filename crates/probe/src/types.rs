//! Where the types of the running kernel are described, by which the programs are fitted to it: by the kernel itself, or in a file.
//!
//! A file does for the fields of structures. What hangs on a kernel's own types does not: programs with typed arguments and iterators. So without
//! those the plain core is taken, on raw tracepoints, and what iterators do is done one by one (`one_by_one`).

use crate::doctor::release;
use crate::error::ProbeError;
use libbpf_rs::btf::{Btf, types};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::path::{Path, PathBuf};

/// Where the kernel has its own.
pub(crate) const OWN: &str = "/sys/kernel/btf/vmlinux";

/// Trimmed files that this binary was built with (`make btf`), each by the release that it is of.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// Whether the kernel describes its types itself.
pub(crate) fn own() -> bool {
    Path::new(OWN).exists()
}

/// A file with type information that is used in place of the kernel's own.
#[derive(Debug)]
pub(crate) struct TypesFile {
    /// What libbpf is told.
    pub(crate) path: PathBuf,
    /// What a person is told.
    pub(crate) name: String,
    /// The memory that the path stands for, if it is no file.
    _memory: Option<File>,
}

impl TypesFile {
    /// The file that is to be used; none: the kernel's own. `given`: the file, or a folder with one that is called `RELEASE.btf`.
    pub(crate) fn find(given: Option<&Path>, without_own: bool) -> Result<Option<Self>, ProbeError> {
        let release = release();
        if let Some(given) = given {
            let path = if given.is_dir() { given.join(format!("{release}.btf")) } else { given.to_owned() };
            return Self::open(path).map(Some);
        }
        if own() && !without_own {
            return Ok(None);
        }
        if let Some(path) = places(&release).into_iter().find(|path| path.exists()) {
            return Self::open(path).map(Some);
        }
        let embedded = embedded::FILES.iter().find(|(of, _)| *of == release);
        match embedded {
            Some((_, bytes)) => Self::in_memory(&format!("{release}.btf of this binary"), bytes).map(Some),
            // What is done without for a test is a file like any other.
            None if own() => Self::open(OWN.into()).map(Some),
            None => Err(ProbeError::NoBtf),
        }
    }

    fn open(path: PathBuf) -> Result<Self, ProbeError> {
        check(&path).map_err(|cause| ProbeError::BtfFile { file: path.display().to_string(), cause })?;
        Ok(Self { name: path.display().to_string(), path, _memory: None })
    }

    /// What is left of the kernel's own for programs with these types. None: all of it is to be used.
    pub(crate) fn trimmed(programs: &[u8]) -> Option<Self> {
        let kernel = std::fs::read(OWN).ok()?;
        Self::in_memory("what is left of the kernel's types", &crate::trimmed::trim(&kernel, programs)?).ok()
    }

    pub(crate) fn in_memory(name: &str, bytes: &[u8]) -> Result<Self, ProbeError> {
        let name = name.to_owned();
        let failed = |error: std::io::Error| ProbeError::BtfFile { file: name.clone(), cause: error.to_string() };
        // SAFETY: a string that is there for good, and a flag.
        let fd = unsafe { libc::memfd_create(c"btf".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let mut memory = unsafe { File::from_raw_fd(fd) };
        memory.write_all(bytes).map_err(failed)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
        check(&path).map_err(|cause| ProbeError::BtfFile { file: name.clone(), cause })?;
        Ok(Self { path, name, _memory: Some(memory) })
    }
}

/// Where files are looked for, the first first. Behind our own, where libbpf and debuggers look for a kernel with debug information.
fn places(release: &str) -> Vec<PathBuf> {
    let ours = ["/etc/steth/btf", "/var/lib/steth/btf", "/usr/lib/steth/btf"];
    let ours = ours.map(|folder| format!("{folder}/{release}.btf"));
    let kernels = [
        format!("/boot/vmlinux-{release}"),
        format!("/lib/modules/{release}/vmlinux-{release}"),
        format!("/lib/modules/{release}/build/vmlinux"),
        format!("/usr/lib/modules/{release}/kernel/vmlinux"),
        format!("/usr/lib/debug/boot/vmlinux-{release}"),
        format!("/usr/lib/debug/boot/vmlinux-{release}.debug"),
        format!("/usr/lib/debug/lib/modules/{release}/vmlinux"),
    ];
    ours.into_iter().chain(kernels).map(PathBuf::from).collect()
}

/// What is wrong with a file, in a few words.
fn check(path: &Path) -> Result<(), String> {
    // libbpf tells of a missing file and of a broken one alike.
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size == 0 {
        return Err("it is empty".to_owned());
    }
    let before = libbpf_rs::set_print(None);
    let types = Btf::from_path(path);
    libbpf_rs::set_print(before);
    let types = types.map_err(|_| "it holds no type information (BTF), or a part of it".to_owned())?;
    match types.type_by_name::<types::Struct<'_>>("task_struct") {
        Some(_) => Ok(()),
        None => Err("it describes something else than a kernel: there is no task_struct in it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        TypesFile::find(Some(path), false).expect_err("it is no kernel's").to_string()
    }

    #[test]
    fn a_file_that_is_none_is_refused_by_its_name_and_with_the_cause() {
        let folder = std::env::temp_dir().join(format!("steth-types-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).expect("it can be written");
            path
        };
        for (path, cause) in [
            (put("text", b"hello"), "no type information"),
            (put("empty", b""), "empty"),
            // The head of a raw file, and nothing behind it.
            (
                put("cut", &[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                "or a part of it",
            ),
            (folder.join("none"), "No such file"),
            // Where a folder is named, this kernel's file is not in it.
            (folder.clone(), "No such file"),
        ] {
            let error = refusal(&path);
            assert!(error.contains(cause) && error.contains(&*folder.to_string_lossy()), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        std::fs::remove_dir_all(&folder).expect("it was made here");
    }
}
