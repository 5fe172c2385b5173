//! Finished windows on disk: JSON lines, one file an hour, oldest removed when they take too much room.
//!
//! A full or broken disk stops nothing: it is said once, counted, and tried again with the next window.

use anyhow::Context as _;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use steth_probe::privileges::{Capability, effective_user};
use steth_window::Window;

const HOUR: u64 = 3_600_000_000_000;

/// A directory of window files.
pub(crate) struct Store {
    directory: PathBuf,
    budget: u64,
    file: Option<(u64, File)>,
    /// Windows that could not be written.
    pub(crate) failed: u64,
    said: bool,
}

impl Store {
    /// Opens the directory, making it if need be, for its owner only.
    pub(crate) fn open(directory: &Path, budget: u64) -> anyhow::Result<Self> {
        let what = || format!("the data directory {}", directory.display());
        if !directory.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(what)?;
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).with_context(what)?;
        Ok(Self { directory: directory.to_owned(), budget, file: None, failed: 0, said: false })
    }

    /// What writing will need once privileges are given up. Root's own directory needs nothing.
    pub(crate) fn needs(&self) -> &'static [Capability] {
        let foreign = fs::metadata(&self.directory).is_ok_and(|directory| directory.uid() != effective_user());
        if foreign { &[Capability::DacOverride] } else { &[] }
    }

    /// Appends a window.
    pub(crate) fn write(&mut self, window: &Window) {
        match self.try_write(window) {
            Ok(()) => self.said = false,
            Err(error) => {
                self.failed += 1;
                self.file = None;
                if !std::mem::replace(&mut self.said, true) {
                    crate::say::say!("a window could not be kept in {}: {error}; trying on", self.directory.display());
                }
            }
        }
    }

    fn try_write(&mut self, window: &Window) -> std::io::Result<()> {
        let hour = window.start / HOUR;
        let mut line = serde_json::to_vec(window)?;
        line.push(b'\n');
        let file = match &mut self.file {
            Some((open, file)) if *open == hour => file,
            file => {
                let path = self.directory.join(format!("windows-{hour:08}.jsonl"));
                let opened = File::options().append(true).create(true).mode(0o600).open(path)?;
                &mut file.insert((hour, opened)).1
            }
        };
        file.write_all(&line)?;
        self.make_room()
    }

    /// Removes the oldest files until the rest is within the budget. The current one stays.
    fn make_room(&self) -> std::io::Result<()> {
        let mut files: Vec<_> = (fs::read_dir(&self.directory)?.flatten())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("windows-"))
            .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.len())))
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size)| size).sum();
        for (path, size) in files.iter().take(files.len().saturating_sub(1)) {
            if total <= self.budget {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_window::{Entities, Key, Limits, Observation, Protocol, Side, Status, Windows};

    fn window(at: u64) -> std::sync::Arc<Window> {
        let mut entities = Entities::default();
        let mut windows = Windows::new(Limits::default(), at);
        let key = Key {
            client: entities.intern("a", at),
            server: entities.intern("b", at),
            operation: 1,
            summary: None,
            namespace: 0,
            status: Status::code(200),
            error_type: 0,
            server_port: 80,
            side: Side::Server,
            protocol: Protocol::Http,
        };
        windows.record(at, &key, &Observation { duration_ns: 5, ..Observation::default() });
        windows.close(&mut entities, &|_| "GET /").expect("one window")
    }

    #[test]
    fn windows_are_appended_by_hour_and_the_oldest_hour_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let mut store = Store::open(&path, 700).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        for hour in 0..4 {
            store.write(&window((480_000 + hour) * HOUR));
        }
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert!(names.len() < 4 && names.last().unwrap().ends_with("00480003.jsonl"), "{names:?}");
        let line = fs::read_to_string(path.join(names.last().unwrap())).unwrap();
        let json: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
        assert_eq!(json["rows"][0]["operation"], "GET /");
    }

    #[test]
    fn a_disk_that_refuses_is_counted_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), 1 << 20).unwrap();
        let blocked = dir.path().join("windows-00480000.jsonl");
        fs::create_dir(&blocked).unwrap();
        store.write(&window(480_000 * HOUR));
        assert_eq!(store.failed, 1);
        fs::remove_dir(&blocked).unwrap();
        store.write(&window(480_000 * HOUR));
        assert_eq!((store.failed, blocked.is_file()), (1, true));
    }
}
