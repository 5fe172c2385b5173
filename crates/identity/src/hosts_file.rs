//! `/etc/hosts`: names of addresses that DNS was not asked for.

use crate::hosts::says_nothing;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use steth_event::{Peer, Remote};

/// Bytes of the file that are read.
const BYTES: u64 = 1 << 20;
/// Addresses that are kept, the first ones.
const ADDRESSES: usize = 4096;
/// How often the file is looked at.
const PAUSE: Duration = Duration::from_secs(10);

/// A thread that reads the file (hosts(5)), now and whenever it has changed: a file system may take its time.
#[derive(Debug)]
pub struct HostsFile {
    changes: Receiver<Vec<Peer>>,
    looked: Vec<Peer>,
    left_out: Arc<AtomicU64>,
    /// The thread ends when this is dropped.
    _stop: SyncSender<()>,
}

impl HostsFile {
    /// Reads the file from now on.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn watch(path: PathBuf) -> io::Result<Self> {
        Self::watch_every(path, PAUSE)
    }

    fn watch_every(path: PathBuf, pause: Duration) -> io::Result<Self> {
        let (send, changes) = sync_channel(1);
        let (stop, stopped) = sync_channel(0);
        let left_out = Arc::new(AtomicU64::new(0));
        let tell_left_out = left_out.clone();
        let work = move || {
            let mut before = Vec::new();
            let mut modified = None;
            let mut first = true;
            loop {
                if let Some((now, beyond)) = changed(&path, &mut modified) {
                    tell_left_out.store(beyond, Ordering::Relaxed);
                    let change = difference(&before, &now, modified.flatten());
                    before = now;
                    if (std::mem::take(&mut first) || !change.is_empty()) && send.send(change).is_err() {
                        return;
                    }
                }
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("steth-hosts".to_owned()).spawn(work)?;
        Ok(Self { changes, looked: Vec::new(), left_out, _stop: stop })
    }

    /// Waits so long for the first look, whose findings [`HostsFile::changes`] gives.
    pub fn wait_for_first_look(&mut self, patience: Duration) {
        self.looked = self.changes.recv_timeout(patience).unwrap_or_default();
    }

    /// Addresses of the file, as it was read last, that are not known because they are too many.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// What has changed since the last call. Never waits.
    pub fn changes(&mut self) -> Vec<Peer> {
        std::mem::take(&mut self.looked).into_iter().chain(self.changes.try_iter().flatten()).collect()
    }
}

/// The entries and how many found no room, if the file is another one than before. A file that is gone has none.
fn changed(path: &PathBuf, before: &mut Option<Option<SystemTime>>) -> Option<(Vec<(IpAddr, String)>, u64)> {
    let modified = path.metadata().and_then(|file| file.modified()).ok();
    if *before == Some(modified) {
        return None;
    }
    *before = Some(modified);
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(BYTES).read_to_end(&mut text);
    }
    Some(entries(&String::from_utf8_lossy(&text)))
}

/// Address and first name of each line; of an address that has several lines the first one counts. Addresses that everybody has,
/// or nobody, are left out. Behind them, how many lines were one too many.
fn entries(text: &str) -> (Vec<(IpAddr, String)>, u64) {
    let mut entries: Vec<(IpAddr, String)> = Vec::new();
    let mut left_out = 0;
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let (Some(address), Some(name)) = (words.next(), words.next()) else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        let address = address.to_canonical();
        if says_nothing(address) || name.len() > 253 || entries.iter().any(|(known, _)| *known == address) {
            continue;
        }
        if entries.len() == ADDRESSES {
            left_out += 1;
            continue;
        }
        entries.push((address, name.to_owned()));
    }
    (entries, left_out)
}

/// What has changed in the file, which was written at `written`.
fn difference(before: &[(IpAddr, String)], now: &[(IpAddr, String)], written: Option<SystemTime>) -> Vec<Peer> {
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_nanos() as u64);
    let gone = before.iter().filter(|(address, _)| !now.iter().any(|(other, _)| other == address));
    let gone = gone.map(|(address, _)| Peer { address: *address, port: 0, netns: 0, who: None, since: None });
    let new = now.iter().filter(|entry| !before.contains(entry));
    let who = |name: &String| Some(Remote::Host { name: name.clone() });
    let new = new.map(|(address, name)| Peer { address: *address, port: 0, netns: 0, who: who(name), since });
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn lines_of_a_hosts_file() {
        let text = "127.0.0.1 localhost\n192.0.2.1\tprinter printer.lan # upstairs\n#192.0.2.2 x\n::ffff:192.0.2.3 three\n\
                    2001:db8::1 six\nff02::1 all\nnonsense name\n192.0.2.1 again\n192.0.2.9\n0.0.0.0 ads.example\n";
        let expected = [("192.0.2.1", "printer"), ("192.0.2.3", "three"), ("2001:db8::1", "six")];
        assert_eq!(entries(text).0, expected.map(|(address, name)| (address.parse().unwrap(), name.to_owned())));
        let many: String = (0..5000).map(|n| format!("10.0.{}.{} h{n}\n", n / 250, n % 250)).collect();
        let (known, left_out) = entries(&many);
        assert_eq!((known.len(), left_out), (ADDRESSES, 5000 - ADDRESSES as u64));
    }

    #[test]
    fn a_change_of_the_file_is_told_and_so_is_its_end() {
        let path = std::env::temp_dir().join(format!("steth-hosts-{}", std::process::id()));
        std::fs::write(&path, "192.0.2.1 one\n192.0.2.2 two\n").unwrap();
        let mut file = HostsFile::watch_every(path.clone(), Duration::from_millis(5)).unwrap();
        let next = |file: &mut HostsFile| {
            let until = Instant::now() + Duration::from_secs(10);
            loop {
                let changes = file.changes();
                if !changes.is_empty() || Instant::now() > until {
                    return changes.iter().map(|p| (p.address.to_string(), p.who.is_some())).collect::<Vec<_>>();
                }
                thread::sleep(Duration::from_millis(1));
            }
        };
        let told = |address: &str, there| (address.to_owned(), there);
        assert_eq!(next(&mut file), [told("192.0.2.1", true), told("192.0.2.2", true)]);
        let later = SystemTime::now() + Duration::from_secs(5);
        std::fs::write(&path, "192.0.2.2 zwei\n").unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(next(&mut file), [told("192.0.2.1", false), told("192.0.2.2", true)]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next(&mut file), [told("192.0.2.2", false)]);
        let many: String = (0..=ADDRESSES).map(|n| format!("10.0.{}.{} h{n}\n", n / 250, n % 250)).collect();
        let beside = path.with_extension("new");
        std::fs::write(&beside, many).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        assert_eq!(next(&mut file).len(), ADDRESSES);
        assert_eq!(file.left_out(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}
