//! `kill -9` at any time.

use crate::kit::{Dice, T, count, counted, open, range, window};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use steth_query::Tier;

const ROUNDS: u64 = 200;

/// The process that is killed: writes windows from the number in its environment on, and says which of them are committed.
#[test]
#[ignore = "is started by the other test"]
fn child() {
    let Ok(directory) = std::env::var("STETH_STORE_CRASH") else { return };
    let first: u64 = std::env::var("STETH_STORE_FIRST").unwrap().parse().unwrap();
    let (store, feed) = open(Path::new(&directory));
    let mut out = std::io::stdout();
    for n in first.. {
        feed.window_in_time(window(n, T + 10 * n));
        writeln!(out, "\ncommitted {}", store.status().committed).unwrap();
        out.flush().unwrap();
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the child, kills it after a while, and returns the last window that it said was committed.
fn round(directory: &Path, first: u64, after: Duration) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("STETH_STORE_CRASH", directory)
        .env("STETH_STORE_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let pid = Pid::from_raw(child.0.id() as i32);
    let out = BufReader::new(child.0.stdout.take().unwrap());
    let killer = std::thread::spawn(move || {
        std::thread::sleep(after);
        kill(pid, Signal::SIGKILL).unwrap();
    });
    let said =
        out.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix("committed ")?.parse().ok()).last();
    killer.join().unwrap();
    said.unwrap_or(0)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_in_200_rounds() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut dice) = (1, Dice(7));
    let mut kept = Vec::new();
    for n in 0..ROUNDS {
        let committed = round(dir.path(), first, Duration::from_micros(20_000 + dice.below(120_000)));
        let (store, feed) = open(dir.path());
        feed.close(None, None);
        assert_eq!(store.status().damaged, 0, "round {n}");
        // Whole windows, in their order, up to one that is not before the last that was acknowledged.
        let mut there = 0;
        while first + there < 1_000_000 {
            let (at, window) = (T + 10 * (first + there), window(first + there, T + 10 * (first + there)));
            let found = count(&store, Tier::Seconds10, range(at, at + 10));
            if found == 0 {
                break;
            }
            assert_eq!(found, counted([&window]), "round {n}: window {}", first + there);
            kept.push(window);
            there += 1;
        }
        assert!(first + there > committed, "round {n}: {committed} was acknowledged, {} is there", first + there - 1);
        first += there;
        if n % 20 == 19 {
            let all = range(T, T + 10 * first).aligned(600_000);
            for tier in Tier::ALL {
                assert_eq!(count(&store, tier, all), counted(&kept), "round {n}, {tier:?}");
            }
        }
    }
    assert!(first > ROUNDS / 4, "{first} windows: it was killed too early to have written any");
}
