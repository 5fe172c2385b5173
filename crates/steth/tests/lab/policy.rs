//! Who may run a kernel test, and how many at once.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The environment variable that turns "needs root" from a failure into a skip.
pub const ALLOW_SKIP: &str = "STETH_TEST_ALLOW_SKIP";

/// True when this test may go on: the process is root. Without root it is a failure, unless [`ALLOW_SKIP`] is set, so
/// that a run which proves nothing never looks green. Use through [`root_or_skip!`](crate::root_or_skip).
pub fn root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os(ALLOW_SKIP).is_some_and(|v| !v.is_empty() && v != "0"),
        "this test attaches to the kernel and needs root: run it as root, or set {ALLOW_SKIP}=1 to skip it"
    );
    eprintln!("skipped: not root, and {ALLOW_SKIP} is set");
    false
}

/// Leaves the test when it may be skipped; fails it when it may not. See [`policy::root`](crate::lab::policy::root).
#[macro_export]
macro_rules! root_or_skip {
    () => {
        if !$crate::lab::policy::root() {
            return;
        }
    };
}

/// Held while a test uses the machine; see [`alone`] and [`together`].
#[derive(Debug)]
pub struct Held {
    _lock: Flock<File>,
    _process: MutexGuard<'static, ()>,
}

/// Waits until no other test holds the machine, and keeps the others waiting: for a test that loads it or measures time.
#[must_use]
pub fn alone() -> Held {
    hold(FlockArg::LockExclusive)
}

/// Waits until no test wants it alone: for one that hooks the kernel, and is right whatever else goes on: it watches its own ports or processes
/// only, and names nothing as another test does.
#[must_use]
pub fn together() -> Held {
    hold(FlockArg::LockShared)
}

/// The lock is a file lock, which ends with the guard, or the process. Who waits keeps whoever comes later behind it, by a second lock: those
/// who hold the machine together would otherwise never let it go. Within one process, where `cargo test` runs all tests of a binary, there is
/// one at a time: what they call their own by the process's number would be another one's, too.
fn hold(how: FlockArg) -> Held {
    static PROCESS: Mutex<()> = Mutex::new(());
    let process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let _turn = lock("turn", FlockArg::LockExclusive);
    Held { _lock: lock("lock", how), _process: process }
}

fn lock(name: &str, how: FlockArg) -> Flock<File> {
    let path = std::env::temp_dir().join(format!("steth-test-{}.{name}", nix::unistd::geteuid()));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Flock::lock(file, how).unwrap_or_else(|(_, e)| panic!("{}: {e}", path.display()))
}
