//! Each target has seeds, among them what once failed, and each of them passes as it is. Changed ones are the work of `mutate`.

use std::fs;
use std::path::Path;
use steth_fuzz::TARGETS;

#[test]
fn every_seed_passes() {
    for (name, target) in TARGETS {
        // Tests run in the folder of their package.
        let folder = Path::new("seeds").join(name);
        let seeds = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let paths: Vec<_> = seeds.map(|seed| seed.expect("a file of the folder").path()).collect();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        for path in paths {
            println!("{}", path.display()); // the last one is what a panic is about
            target(&fs::read(&path).expect("a readable seed"));
        }
    }
}

/// Those that come from recordings are what the recordings say.
#[test]
fn the_seeds_of_recordings_are_up_to_date() {
    let seeds = steth_fuzz::recorded::of_all(Path::new("../recordings")).expect("captures");
    for (folder, name, script) in &seeds {
        let kept = fs::read(Path::new("seeds").join(folder).join(name)).unwrap_or_default();
        assert!(kept == *script, "{folder}/{name}: run `cargo run -p steth-fuzz --example recorded`");
    }
    for protocol in ["http1", "redis", "mysql", "postgresql", "dns"] {
        assert!(seeds.iter().any(|(folder, ..)| *folder == protocol), "none of {protocol}");
    }
}
