//! Runs a target on changed seeds: `mutate TARGET [--executions N] [--seconds N] [--seed N|random]`, until either limit is
//! reached; or once: `mutate TARGET --input FILE`.
//!
//! Stable Rust, no coverage. A panic, or an input that takes longer than a second, ends the run with the input saved in
//! `fuzz/artifacts`. The same seed gives the same inputs in the same order, so with `--executions` a run is the same on
//! every machine; a slower one that runs into `--seconds` has tried the first of them.

mod mutation;

use mutation::{Random, mutate};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, panic, thread};
use steth_fuzz::TARGETS;

/// Longer than this for one input of 64 KiB is a fault of its own.
const SLOW: Duration = Duration::from_secs(1);
/// Longer than this is a hang: the run is ended from outside.
const HUNG: Duration = Duration::from_secs(20);

type Running = Arc<Mutex<(Instant, Vec<u8>)>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("mutate: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    let (name, target) = TARGETS.into_iter().find(|(known, _)| *known == name).ok_or(format!(
        "usage: mutate TARGET [--executions N] [--seconds N] [--seed N|random] [--input FILE]; targets: {names}"
    ))?;
    let (mut executions, mut seconds, mut seed) = (u64::MAX, 10, 1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or(format!("{argument} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{argument} {value}: {e}"));
        match argument.as_str() {
            "--executions" => executions = number()?,
            "--seconds" => seconds = number()?,
            "--seed" if value == "random" => seed = clock(),
            "--seed" => seed = number()?,
            "--input" => {
                target(&fs::read(&value).map_err(|e| format!("{value}: {e}"))?);
                println!("{name}: {value} passed");
                return Ok(());
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    attack(name, target, executions, Duration::from_secs(seconds), seed)
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
}

fn attack(name: &str, target: fn(&[u8]), most: u64, long: Duration, seed: u64) -> Result<(), String> {
    let seeds = seeds(name)?;
    let running: Running = Arc::new(Mutex::new((Instant::now(), Vec::new())));
    thread::spawn({
        let (running, name) = (Arc::clone(&running), name.to_string());
        move || watch(&name, &running)
    });
    let mut random = Random(seed);
    let begun = Instant::now();
    let mut executions = 0u64;
    for input in &seeds {
        execute(name, target, input, &running).map_err(|reason| format!("{reason} (an unchanged seed)"))?;
        executions += 1;
    }
    while executions < most && begun.elapsed() < long {
        let mut input = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut input, other, &mut random);
        execute(name, target, &input, &running).map_err(|reason| format!("{reason} (--seed {seed})"))?;
        executions += 1;
    }
    let (took, count) = (begun.elapsed().as_secs_f64(), seeds.len());
    println!("{name}: {executions} executions in {took:.1} s from {count} seeds, --seed {seed}");
    Ok(())
}

fn execute(name: &str, target: fn(&[u8]), input: &[u8], running: &Running) -> Result<(), String> {
    {
        let mut now = running.lock().expect("nothing panics with the lock");
        now.0 = Instant::now();
        now.1.clear();
        now.1.extend_from_slice(input);
    }
    let begun = Instant::now();
    if panic::catch_unwind(|| target(input)).is_err() {
        return Err(format!("{name} panicked; {}", save(name, "panic", input)));
    }
    match begun.elapsed() {
        took if took > SLOW => Err(format!("{name} took {took:?}; {}", save(name, "slow", input))),
        _ => Ok(()),
    }
}

/// Ends a run that hangs.
fn watch(name: &str, running: &Running) {
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = running.lock().expect("nothing panics with the lock");
        if now.0.elapsed() > HUNG {
            eprintln!("mutate: {name} hangs; {}", save(name, "hang", &now.1));
            std::process::abort();
        }
    }
}

fn seeds(name: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = home().join("seeds").join(name);
    let list = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = list.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort(); // the order of a folder is not the same everywhere
    let mut seeds = vec![Vec::new()];
    for path in paths {
        seeds.push(fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    Ok(seeds)
}

fn save(name: &str, what: &str, input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = home().join("artifacts").join(format!("{name}-{what}-{:016x}", hasher.finish()));
    let saved = fs::create_dir_all(home().join("artifacts")).and_then(|()| fs::write(&path, input));
    match saved {
        Ok(()) => format!("input saved: {}", path.display()),
        Err(e) => format!("input not saved, {}: {e}", path.display()),
    }
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
