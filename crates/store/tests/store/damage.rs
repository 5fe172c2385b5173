//! Files that are not what they should be, and who else uses them.

use crate::kit::{T, count, counted, open, options, range, window};
use crate::oracle::same_answers;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use steth_query::{Engine, Tier};
use steth_store::{OpenError, Store, VERSION};

fn files(directory: &Path, begin: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.file_name().unwrap().to_str().unwrap().starts_with(begin) && path.extension().unwrap_or_default() == "db"
    });
    files.sort();
    files
}

fn fill(directory: &Path, windows: std::ops::Range<u64>) -> Vec<std::sync::Arc<steth_window::Window>> {
    let (_, feed) = open(directory);
    let windows: Vec<_> = windows.map(|n| window(n, T + 10 * n)).collect();
    windows.iter().for_each(|window| feed.window_in_time(window.clone()));
    feed.close(None, None);
    windows
}

fn refused(directory: &Path) -> OpenError {
    Store::open(directory, options(64 << 20, None).0).err().expect("it is refused")
}

#[test]
fn only_the_owner_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (_store, feed) = open(&path);
    feed.window_in_time(window(1, T));
    feed.reached((T + 20) * 1_000_000_000);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    feed.close(None, None);
}

#[test]
fn a_second_agent_is_refused_with_the_number_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (store, feed) = open(dir.path());
    let said = refused(dir.path()).to_string();
    assert!(said.contains(&format!("pid {}", std::process::id())) && said.contains("store.data"), "{said}");
    feed.close(None, None);
    drop(store);
    open(dir.path());
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1..100);
    let file = files(dir.path(), "1m-").remove(0);
    let database = rusqlite::Connection::open(&file).unwrap();
    database.pragma_update(None, "user_version", VERSION + 1).unwrap();
    drop(database);
    let before: Vec<_> = files(dir.path(), "").iter().map(|file| fs::read(file).unwrap()).collect();
    let said = refused(dir.path()).to_string();
    assert!(said.contains("newer steth") && said.contains(&(VERSION + 1).to_string()), "{said}");
    let after: Vec<_> = files(dir.path(), "").iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(before == after, "something was changed");
}

#[test]
fn a_damaged_file_is_set_aside_when_it_is_opened_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let windows = fill(dir.path(), 300..400);
    let parts = files(dir.path(), "10s-");
    assert_eq!(parts.len(), 2, "an hour each");
    fs::write(&parts[0], vec![0x55; 50_000]).unwrap();
    let (options, said) = options(64 << 20, None);
    let (store, writer) = Store::open(dir.path(), options).unwrap();
    let feed = writer.start().unwrap();
    feed.window_in_time(window(400, T + 4000));
    feed.close(None, None);
    assert_eq!((store.status().damaged, store.status().written), (1, 1));
    assert!(said.lock().unwrap()[0].contains("set aside"), "{said:?}");
    assert_eq!(files(dir.path(), "damaged-10s-").len(), 1);
    let coverage = store.coverage().unwrap();
    assert_eq!(coverage.missing.len(), 1, "{coverage:?}");
    // It is said of the hour that the file was for, and the rest is there.
    let hour = range(T + 3600, T + 7200);
    assert_eq!(count(&store, Tier::Seconds10, hour), counted(&windows[60..]) + counted([&window(400, T + 4000)]));
    assert_eq!(count(&store, Tier::Minute, range(T + 3000, T + 3600)), counted(&windows[..60]), "rolled up before");
}

#[test]
fn a_file_that_is_found_damaged_while_it_is_read_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let windows = fill(dir.path(), 1..100);
    let file = files(dir.path(), "10s-").remove(0);
    // The first pages stay, so that it opens; the rows are noise.
    let mut bytes = fs::read(&file).unwrap();
    let length = bytes.len();
    assert!(length > 200_000, "{length}");
    bytes[120_000..].iter_mut().enumerate().for_each(|(n, byte)| *byte = (n * 31) as u8);
    fs::write(&file, bytes).unwrap();
    let (store, feed) = open(dir.path());
    // Whether at once or with this question: no wrong number comes of it.
    let found = count(&store, Tier::Seconds10, range(T, T + 1000));
    assert_eq!((found, store.status().damaged), (0, 1));
    assert_eq!(store.coverage().unwrap().missing.len(), 1);
    assert_eq!(
        count(&store, Tier::Minute, range(T, T + 960)),
        counted(windows.iter().filter(|w| w.start < (T + 960) * 1_000_000_000))
    );
    feed.window_in_time(window(100, T + 1000));
    feed.close(None, None);
    assert_eq!((store.status().written, store.status().failed), (1, 0));
}

#[test]
fn a_ledger_that_is_lost_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let windows = fill(dir.path(), 1..20);
    fs::write(dir.path().join("ledger.db"), "no database").unwrap();
    let (store, feed) = open(dir.path());
    feed.close(None, None);
    assert_eq!(store.status().damaged, 1);
    // Everybody is there again; since when is known to the step that is left.
    let all = store.entities(&steth_query::EntityScan { limit: 100, ..Default::default() }).unwrap();
    let first = windows[0].start / 1_000_000;
    assert!(all.len() >= 7 && all.iter().all(|who| who.seen.from_ms >= first - first % 600_000));
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/v1")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    // It was written of these, when nobody looked how long connections wait for `accept()`, nor who waits for them.
    let mut windows: Vec<_> = (355..=365).map(|n| window(n, T + 10 * n)).collect();
    for window in &mut windows {
        let window = std::sync::Arc::make_mut(window);
        window.edges.iter_mut().for_each(|row| row.totals.accept_wait.clear());
        window.listeners.clear();
    }
    let (store, feed) = open(dir.path());
    same_answers(&store, &windows, T, T + 7200);
    // And it goes on.
    windows.push(window(366, T + 3660));
    feed.window_in_time(windows[windows.len() - 1].clone());
    feed.close(None, None);
    same_answers(&store, &windows, T, T + 7200);
    for file in files(dir.path(), "") {
        let version: i64 = rusqlite::Connection::open(&file)
            .unwrap()
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, VERSION, "{}", file.display());
    }
}
