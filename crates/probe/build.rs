//! Compiles `bpf/*.bpf.c` and writes the Rust skeleton. Needs clang 16 or newer; says so in one line if there is none.

use libbpf_cargo::SkeletonBuilder;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, process};

fn main() {
    // Read when it runs: compiled in, it would name another checkout that shares the target directory.
    let here = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let bpf = Path::new(&here).join("../../bpf");
    println!("cargo:rerun-if-changed={}", bpf.display());
    println!("cargo:rerun-if-env-changed=CLANG");
    let Some(clang) = clang() else {
        println!(
            "cargo:error=clang 16 or newer is needed to compile the BPF programs. On Debian: apt-get install clang-19; \
             or name one in the CLANG variable"
        );
        process::exit(1);
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    // Twice, see bpf/reach.h. The types of the settings are the same in both.
    for (name, defines) in [("steth", None), ("steth_plain", Some("-DSTETH_PLAIN"))] {
        let mut builder = SkeletonBuilder::new();
        builder
            .source(bpf.join("steth.bpf.c"))
            .obj(out.join(format!("{name}.bpf.o")))
            .clang(&clang)
            .clang_args(["-mcpu=v3", "-D__TARGET_ARCH_x86", "-Wall", "-Werror"].into_iter().chain(defines));
        let built = match defines {
            None => builder.build_and_generate(out.join("steth.skel.rs")),
            Some(_) => builder.build().map(|_| ()),
        };
        if let Err(error) = built {
            println!("cargo:error=compiling the BPF programs with {clang} failed: {error:#}");
            process::exit(1);
        }
    }
}

/// `$CLANG`, `clang`, or the newest versioned one. Before 16, clang loses the high half of 64-bit enum values.
fn clang() -> Option<String> {
    let versioned = (16..=23).rev().map(|n| format!("clang-{n}"));
    let named = env::var("CLANG").ok();
    named.into_iter().chain(["clang".to_owned()]).chain(versioned).find(|name| {
        let Ok(output) = Command::new(name).arg("-dumpversion").output() else { return false };
        let version = String::from_utf8_lossy(&output.stdout);
        version.split('.').next().and_then(|major| major.trim().parse::<u32>().ok()).is_some_and(|major| major >= 16)
    })
}
