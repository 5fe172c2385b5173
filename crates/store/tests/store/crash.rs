//! `kill -9` at any time.

use crate::kit::{Dice, T, count, counted, options, range, window};
use crate::samples::all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use steth_query::{Coverage, Engine, Range, SampleScan, Tier};
use steth_samples::{Glance, Limits, Operation, Sample, Samples};
use steth_store::{Feed, Store};
use steth_window::{EntityId, Side, Window};

/// Seconds between two windows: steps of all tiers end all the time, and hourly files change every thirty windows.
const APART: u64 = 120;
/// So much that no file has to go.
const PLENTY: u64 = 64 << 20;
/// So little that files are removed to make room, again and again, those of a round's own windows too.
const LITTLE: u64 = 3 << 20;

fn open(directory: &Path, bytes: u64) -> (Store, Feed) {
    let (store, writer) = Store::open(directory, options(bytes, None).0).expect("it opens");
    (store, writer.start().expect("a thread"))
}

fn at(n: u64) -> u64 {
    T + APART * n
}

/// The process that is killed: writes windows from the number in its environment on, with a request each, and says which of them are
/// committed.
#[test]
#[ignore = "is started by the other test"]
fn child() {
    let Ok(directory) = std::env::var("STETH_STORE_CRASH") else { return };
    let first: u64 = std::env::var("STETH_STORE_FIRST").unwrap().parse().unwrap();
    let bytes = std::env::var("STETH_STORE_BYTES").unwrap().parse().unwrap();
    let (store, feed) = open(Path::new(&directory), bytes);
    let mut samples = Samples::new(Limits::default(), first);
    let mut out = std::io::stdout();
    for n in first.. {
        let of = Operation { server: EntityId::of("shop/cart"), operation: 1, side: Side::Server };
        let end = (at(n) + 1) * 1_000_000_000;
        if let Some(why) = samples.wants(&of, &Glance { end, duration_ns: n, failed: false, blocking: false }) {
            let json = format!(r#""exchange":{{"n":{n}}}"#).into();
            samples.keep(&of, why, Sample { end, duration_ns: n, json, ..Sample::default() });
        }
        if let Some(kept) = samples.snapshot() {
            feed.samples(kept, samples.forgotten());
        }
        feed.window_in_time(window(n, at(n)));
        feed.reached((at(n) + 10) * 1_000_000_000);
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

/// Starts the child, kills it a moment after so many windows, and returns the last window that it said was committed. Of no windows the
/// moment begins with the child, so that it is also killed while it opens what the one before has left.
fn round(directory: &Path, bytes: u64, first: u64, windows: u64, moment: Duration) -> u64 {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("STETH_STORE_CRASH", directory)
        .env("STETH_STORE_BYTES", bytes.to_string())
        .env("STETH_STORE_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let pid = Pid::from_raw(child.0.id() as i32);
    let out = BufReader::new(child.0.stdout.take().unwrap());
    let (begin, begun) = mpsc::sync_channel(1);
    let killer = std::thread::spawn(move || {
        // Without a word it has ended by itself.
        let _ = if windows > 0 { begun.recv() } else { Ok(()) };
        std::thread::sleep(moment);
        kill(pid, Signal::SIGKILL).unwrap();
    });
    let (mut said, mut words) = (0, 0);
    for line in out.lines().map_while(Result::ok) {
        if let Some(committed) = line.strip_prefix("committed ").and_then(|committed| committed.parse().ok()) {
            (said, words) = (committed, words + 1);
            if words == windows {
                let _ = begin.send(());
            }
        }
    }
    drop(begin);
    killer.join().unwrap();
    said
}

#[test]
fn nothing_that_was_acknowledged_is_lost_in_200_rounds() {
    assert_eq!(kill_again_and_again(200, PLENTY), 0, "something had to go");
}

#[test]
fn what_has_to_go_to_make_room_is_told_of_in_100_rounds() {
    assert!(kill_again_and_again(100, LITTLE) > 0, "nothing had to go");
}

/// Returns how often something had been removed when it looked.
fn kill_again_and_again(rounds: u64, bytes: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut dice) = (1, Dice(7));
    let mut kept: Vec<Arc<Window>> = Vec::new();
    let (mut removed, mut levels) = (0, BTreeSet::new());
    for n in 0..rounds {
        let (windows, moment) = (dice.below(9), Duration::from_micros(dice.below(60_000)));
        let committed = round(dir.path(), bytes, first, windows, moment);
        let (store, feed) = open(dir.path(), bytes);
        feed.close(None, None);
        assert_eq!(store.status().damaged, 0, "round {n}");
        // Whole windows, in their order, up to one that is not before the last that was acknowledged; but for what had to go again to make
        // room, which is told of: the tier begins behind it, or there is a gap.
        let Coverage { tiers, missing, .. } = store.coverage().unwrap();
        let begins = tiers.iter().find(|kept| kept.tier == Tier::Seconds10).map_or(0, |kept| kept.range.from_ms);
        let told_of = |at: u64| {
            let mut gaps = missing.iter().filter(|gap| gap.why.contains("at 10s "));
            at * 1000 < begins || gaps.any(|gap| (gap.range.from_ms..gap.range.to_ms).contains(&(at * 1000)))
        };
        let mut there = 0;
        while first + there < 1_000_000 {
            let (at, window) = (at(first + there), window(first + there, at(first + there)));
            let found = count(&store, Tier::Seconds10, range(at, at + 10));
            let gone = found == 0 && first + there <= committed && told_of(at);
            if found == 0 && !gone {
                break;
            }
            assert!(gone || found == counted([&window]), "round {n}: window {}", first + there);
            kept.push(window);
            there += 1;
        }
        assert!(first + there > committed, "round {n}: {committed} was acknowledged, {} is there", first + there - 1);
        first += there;
        for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
            levels
                .extend(entry.file_name().to_str().and_then(|name| name.split_once('-')).map(|(of, _)| of.to_owned()));
        }
        if n % 20 == 19 {
            removed += u64::from(!whole(&store, &kept, n));
        }
    }
    assert!(first > rounds / 4, "{first} windows: it was killed too early to have written any");
    // Of everything that can be interrupted, something was.
    for level in ["10s", "1m", "10m", "1h", "samples"] {
        assert!(levels.contains(level), "no {level} file in {rounds} rounds: {levels:?}");
    }
    let (store, _feed) = open(dir.path(), bytes);
    let found = store.samples(&SampleScan { limit: 1000, range: range(T, at(first + 1)), ..all() }).unwrap();
    assert!(found.matching > 0 && found.samples.iter().all(|kept| kept.json.starts_with("\"exchange\"")), "{found:?}");
    removed
}

/// Each tier has all windows of the time that it says it has; returns whether that is the whole time.
fn whole(store: &Store, kept: &[Arc<Window>], round: u64) -> bool {
    let Coverage { tiers, missing, .. } = store.coverage().unwrap();
    for stretch in &tiers {
        // The oldest step may have begun before what is left of it.
        let step = 3_600_000;
        let from_ms = stretch.range.from_ms.div_ceil(step) * step;
        let all = Range { from_ms, to_ms: stretch.range.to_ms }.aligned(step);
        let inside = |window: &&Arc<Window>| (all.from_ms..all.to_ms).contains(&(window.start / 1_000_000));
        // A file may have to go from the middle, where something has still to be made of an older one. That is declared; finer tiers
        // may have it nevertheless.
        let of_tier = format!("at {} ", stretch.tier.name());
        let declared = |window: &&Arc<Window>| {
            let at = window.start / 1_000_000;
            let gaps = missing.iter().filter(|gap| gap.why.contains(&of_tier));
            gaps.map(|gap| gap.range).any(|gap| (gap.from_ms..gap.to_ms).contains(&at))
        };
        let windows = || kept.iter().filter(inside);
        let (least, most) = (counted(windows().filter(|window| !declared(window))), counted(windows()));
        let found = count(store, stretch.tier, all);
        assert!((least..=most).contains(&found), "round {round}, {found} of {most}, {stretch:?}, {missing:?}");
    }
    let oldest = tiers.iter().map(|stretch| stretch.range.from_ms).max().unwrap_or(0);
    oldest <= T * 1000 + 3_600_000
}
