//! Lists the files of the page (`ui/dist`), so that they can be embedded.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where it is"));
    let page = root.join("../../ui/dist");
    println!("cargo:rerun-if-changed={}", page.display());
    let mut names = Vec::new();
    list(&page, "", &mut names);
    names.sort();
    let mut code = String::from("&[\n");
    for name in names {
        let path = page.join(&name);
        println!("cargo:rerun-if-changed={}", path.display());
        let _ = writeln!(code, "    ({name:?}, include_bytes!({path:?})),");
    }
    code.push_str("]\n");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to"));
    std::fs::write(out.join("page.rs"), code).expect("the list is written");
}

/// Names below a directory, which need not be there.
fn list(directory: &Path, before: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{name}/"), names);
        } else {
            names.push(name);
        }
    }
}
