//! What others know of the processes and addresses that are seen: looked for next to the drain, by threads that may wait as long
//! as they like. What they find becomes records of the stream.

use crate::configuration::Identity;
use std::time::Duration;
use steth_identity::HostsFile;

/// So long the start waits for what is known at once, so that the first exchanges have it.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Everybody who may know something.
pub(crate) struct Surroundings {
    hosts: Option<HostsFile>,
}

impl Surroundings {
    /// Begins to ask. What cannot be asked is said, and gone without.
    pub(crate) fn start(settings: &Identity) -> Self {
        let file = Some(&settings.hosts_file).filter(|file| !file.as_os_str().is_empty());
        let hosts = file.and_then(|file| match HostsFile::watch(file.clone()) {
            Ok(mut hosts) => {
                hosts.wait_for_first_look(FIRST_LOOK);
                Some(hosts)
            }
            Err(error) => {
                crate::say::say!("{} is not read: {error}", file.display());
                None
            }
        });
        Self { hosts }
    }

    /// Hands on what was found since the last call. Never waits.
    pub(crate) fn turn(&mut self, each: &mut impl FnMut(&[u8])) {
        for peer in self.hosts.iter_mut().flat_map(HostsFile::changes) {
            each(&peer.to_record());
        }
    }
}
