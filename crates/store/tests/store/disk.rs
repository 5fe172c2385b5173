//! A full disk. Needs root: a small file system is mounted, in a mount namespace of the test's own.

use crate::kit::{self, T, count, counted, options, range, window};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use steth_query::{Engine, Tier};
use steth_store::Store;

#[test]
fn a_full_disk_is_said_once_declared_and_got_over() {
    let dir = tempfile::tempdir().unwrap();
    // Mounts are those of a thread and of the threads that it starts; they go with the last of these.
    let path = dir.path().to_owned();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).expect("root may");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        mount(Some("steth"), &path, Some("tmpfs"), MsFlags::empty(), Some("size=16m")).unwrap();
        let ballast = path.join("ballast");
        let (options, said) = options(64 << 20, None);
        let (store, writer) = Store::open(&path.join("data"), options).unwrap();
        let feed = writer.start().unwrap();
        let windows: Vec<_> = (1..=90).map(|n| window(n, T + 10 * n)).collect();
        let put = |from: usize, to: usize| {
            windows[from..to].iter().for_each(|window| feed.window_in_time(window.clone()));
            kit::settled(&store, to as u64)
        };
        put(0, 30);
        // Somebody else takes all the room that is left.
        let mut bytes = 16 << 20;
        while bytes > 0 {
            match fs::write(&ballast, vec![1; bytes]) {
                Ok(()) => break,
                Err(_) => bytes = fs::metadata(&ballast).map_or(0, |there| there.len() as usize).min(bytes - 4096),
            }
        }
        let full = put(30, 60);
        assert!(full.failed > 0, "{full:?}");
        assert_eq!(full.written + full.failed, 60);
        assert!(full.trouble.is_some(), "{full:?}");
        assert_eq!(said.lock().unwrap().len(), 1, "{said:?}");
        // While it is full, what is there is answered.
        let before = range(T, T + 310);
        assert_eq!(count(&store, Tier::Seconds10, before), counted(&windows[..30]));
        fs::remove_file(&ballast).unwrap();
        let again = put(60, 90);
        assert_eq!((again.failed, again.written), (full.failed, full.written + 30));
        feed.close(None, None);
        assert_eq!(store.status().trouble, None);
        assert_eq!(said.lock().unwrap().len(), 2, "{said:?}");
        // What is answered and what is declared missing is all that there was.
        let missing = store.coverage().unwrap().missing;
        assert!(missing.iter().all(|gap| gap.why.contains("full")), "{missing:?}");
        let mut lost = 0;
        for window in &windows {
            let at = window.start / 1_000_000;
            let found = count(&store, Tier::Seconds10, range(at / 1000, at / 1000 + 10));
            let declared = missing.iter().any(|gap| (gap.range.from_ms..gap.range.to_ms).contains(&at));
            assert_eq!(found, if declared { 0 } else { counted([window]) }, "at {at}");
            lost += u64::from(declared);
        }
        assert_eq!(lost, full.failed);
        for tier in Tier::ALL {
            assert_eq!(
                count(&store, tier, range(T, T + 1200)),
                count(&store, Tier::Seconds10, range(T, T + 1200)),
                "{tier:?}"
            );
        }
    })
    .join()
    .expect("the test");
}
