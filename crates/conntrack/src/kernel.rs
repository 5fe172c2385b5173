//! The netlink socket, and whether there is anybody to ask.

use crate::message::{self, NotPermitted};
use crate::{Answer, Question};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, socket,
};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

/// An entry takes 200 to 300 bytes, with a helper's or a label's attributes some more.
const BUFFER: usize = 8192;
/// Answers to earlier questions that are passed over before this one's is given up.
const OTHERS: usize = 8;

/// Whether this kernel tracks connections and can be asked of them without loading a module: what comes first of a subsystem that is not
/// there makes netlink load it (`request_module` in nfnetlink.c), and with it the tracking itself.
pub(crate) fn is_there() -> bool {
    is_there_in(Path::new("/"))
}

fn is_there_in(root: &Path) -> bool {
    let is = |path: &str| root.join(path).exists();
    if !is("proc/sys/net/netfilter/nf_conntrack_count") {
        return false;
    }
    // A module that is built in has no `initstate`, and no directory if it has no parameters. Where nothing can be loaded, asking is
    // harmless.
    is("sys/module/nf_conntrack_netlink")
        || !is("proc/modules")
        || (!is("sys/module/nf_conntrack/initstate") && is_built_in(root))
}

/// Whether the list that comes with the kernel has it.
fn is_built_in(root: &Path) -> bool {
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let list = root.join("lib/modules").join(release.trim()).join("modules.builtin");
    fs::read_to_string(list).is_ok_and(|list| list.lines().any(|line| line.ends_with("/nf_conntrack_netlink.ko")))
}

/// What can be asked.
pub(crate) struct Kernel {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8; BUFFER]>,
}

/// Why nothing more will be asked.
#[derive(Debug)]
pub(crate) struct Refused;

impl Kernel {
    /// Asks in the network namespace of this thread.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)?;
        // Only the kernel is heard.
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, buffer: Box::new([0; BUFFER]) })
    }

    /// One question, answered within the two calls.
    pub(crate) fn ask(&mut self, question: &Question) -> Result<Answer, Refused> {
        self.sequence = self.sequence.wrapping_add(1);
        let Some(message) = message::question(self.sequence, &question.tuple) else { return Ok(Answer::Untracked) };
        match send(self.socket.as_raw_fd(), &message, MsgFlags::empty()) {
            Ok(_) => {}
            Err(Errno::EPERM | Errno::EACCES) => return Err(Refused),
            Err(_) => return Ok(Answer::Failed),
        }
        for _ in 0..=OTHERS {
            let Ok(length) = recv(self.socket.as_raw_fd(), &mut self.buffer[..], MsgFlags::MSG_DONTWAIT) else { break };
            match message::answer(&self.buffer[..length.min(BUFFER)], self.sequence, &question.tuple) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(NotPermitted) => return Err(Refused),
            }
        }
        Ok(Answer::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kernels look like, by the paths that are there.
    #[test]
    fn nobody_is_asked_where_that_would_load_a_module() {
        const COUNT: &str = "proc/sys/net/netfilter/nf_conntrack_count";
        const TRACKS: &str = "sys/module/nf_conntrack/initstate";
        const NETLINK: &str = "sys/module/nf_conntrack_netlink/initstate";
        const MODULES: &str = "proc/modules";
        const RELEASE: (&str, &str) = ("proc/sys/kernel/osrelease", "6.1.0-1\n");
        const LIST: &str = "lib/modules/6.1.0-1/modules.builtin";
        let with = "kernel/net/netfilter/nf_conntrack.ko\nkernel/net/netfilter/nf_conntrack_netlink.ko\n";
        let without = "kernel/net/netfilter/nf_conntrack.ko\n";
        let empty = |path| (path, "");
        for (name, files, expected) in [
            ("nothing is tracked", vec![empty(MODULES)], false),
            ("nothing is tracked and nothing can be loaded", vec![], false),
            ("tracked, and nobody has asked yet", vec![empty(MODULES), empty(COUNT), empty(TRACKS)], false),
            ("tracked and asked", vec![empty(MODULES), empty(COUNT), empty(TRACKS), empty(NETLINK)], true),
            ("a kernel without modules", vec![empty(COUNT)], true),
            ("both built in", vec![empty(MODULES), empty(COUNT), RELEASE, (LIST, with)], true),
            ("one built in", vec![empty(MODULES), empty(COUNT), RELEASE, (LIST, without)], false),
            ("one built in and no list", vec![empty(MODULES), empty(COUNT), RELEASE], false),
        ] {
            let root = std::env::temp_dir().join(format!("steth-conntrack-{}", std::process::id()));
            for (path, text) in &files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            let is = is_there_in(&root);
            let _ = fs::remove_dir_all(&root);
            assert_eq!(is, expected, "{name}");
        }
    }
}
