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
    embed(&Path::new(&here).join("../../btf"), &out);
    let target = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets CARGO_CFG_TARGET_ARCH");
    // Those of other machines too: nothing else would tell that they do not compile any more.
    for (architecture, define) in [("x86_64", "-D__TARGET_ARCH_x86"), ("aarch64", "-D__TARGET_ARCH_arm64")] {
        // The core twice, see bpf/reach.h. The types of the settings are the same in both.
        let objects =
            [("steth", "steth", None), ("steth_plain", "steth", Some("-DSTETH_PLAIN")), ("whoami", "whoami", None)];
        for (name, source, defines) in objects {
            let native = architecture == target;
            let object = if native { format!("{name}.bpf.o") } else { format!("{name}.{architecture}.bpf.o") };
            let mut builder = SkeletonBuilder::new();
            builder
                .source(bpf.join(format!("{source}.bpf.c")))
                .obj(out.join(object))
                .clang(&clang)
                .clang_args(["-mcpu=v3", define, "-Wall", "-Werror"].into_iter().chain(defines));
            let built = match name {
                "steth" if native => builder.build_and_generate(out.join("steth.skel.rs")),
                _ => builder.build().map(|_| ()),
            };
            if let Err(error) = built {
                println!("cargo:error=compiling the BPF programs for {architecture} with {clang} failed: {error:#}");
                process::exit(1);
            }
        }
    }
}

/// The trimmed type information of kernels that have none (`make btf`): `RELEASE.btf` in this folder, which need not be there.
fn embed(folder: &Path, out: &Path) {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "btf"));
    files.sort();
    let row = |path: &PathBuf| {
        let path = path.canonicalize().expect("it was listed");
        let release = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        format!("    ({release:?}, include_bytes!({path:?})),\n")
    };
    let rows: String = files.iter().map(row).collect();
    let text = format!("pub(super) const FILES: &[(&str, &[u8])] = &[\n{rows}];\n");
    std::fs::write(out.join("embedded.rs"), text).expect("OUT_DIR can be written");
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
