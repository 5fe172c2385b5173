//! Compiles `bpf/infer.h` and `bpf/policy.h` for this machine.

fn main() {
    println!("cargo:rerun-if-changed=../../bpf");
    println!("cargo:rerun-if-changed=native/native.c");
    cc::Build::new()
        .file("native/native.c")
        .include("../../bpf")
        .flag("-Wno-unused-parameter")
        .warnings_into_errors(true)
        .compile("steth_infer_native");
}
