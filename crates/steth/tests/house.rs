//! The rules of the house that a machine can check: the direction of dependencies, licences, duplicates, names, sizes, and
//! that the commands which the documentation shows exist. `deny.toml` and the `Makefile` are read, not repeated.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Which stage may depend on which. The tree is the data path: an arrow that is not here points backwards, or past a
/// stage that should stay ignorant. `steth` joins them all.
const MAY_DEPEND_ON: [(&str, &[&str]); 20] = [
    ("ledger", &[]),
    ("event", &[]),
    ("verdict", &[]),
    ("probe", &["event", "ledger", "verdict"]),
    ("pcap", &["event", "ledger"]),
    ("flow", &["event", "ledger"]),
    ("wire", &["ledger"]), // pure: neither processes nor events
    ("infer", &["wire"]),  // the kernel side natively, for tests
    ("identity", &["event", "ledger"]),
    ("judge", &["event", "identity", "probe", "verdict"]),
    ("conntrack", &[]), // asks the kernel where a connection leads
    ("containers", &[]),
    ("kubernetes", &[]), // asks the API server; knows no process
    ("window", &["ledger"]),
    ("samples", &["window"]),
    ("query", &["samples", "window"]),
    ("store", &["query", "samples", "window"]),
    ("server", &["ledger", "query", "samples", "window"]),
    (
        "steth",
        &[
            "conntrack",
            "containers",
            "event",
            "flow",
            "identity",
            "judge",
            "kubernetes",
            "ledger",
            "pcap",
            "probe",
            "query",
            "samples",
            "server",
            "store",
            "verdict",
            "window",
            "wire",
        ],
    ),
    ("fuzz", &["event", "infer", "ledger", "pcap", "query", "wire"]), // attacks whatever reads bytes from outside
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "misc"];

/// A source file beyond this wants to be two, or to stand here with a reason.
const LARGEST: u64 = 30_000;
const MAY_BE_LARGER: [&str; 0] = [];

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace")
});

/// `cargo metadata` for Linux on this machine's architecture.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--filter-platform", &platform])
        .current_dir(&*ROOT)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
});

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The packages that the build uses on this platform.
fn used_packages() -> Vec<&'static Value> {
    let used: BTreeSet<&str> = list(&METADATA["resolve"], "nodes").iter().map(|node| text(node, "id")).collect();
    list(&METADATA, "packages").iter().filter(|package| used.contains(text(package, "id"))).collect()
}

fn ours(package: &Value) -> bool {
    package["source"].is_null()
}

fn read(path: &str) -> String {
    fs::read_to_string(ROOT.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn stages_depend_forward_only() {
    let allowed: BTreeMap<_, _> = MAY_DEPEND_ON.into();
    let stage = |name: &str| name.strip_prefix("steth-").unwrap_or(name).to_string();
    for package in used_packages().into_iter().filter(|package| ours(package)) {
        let from = stage(text(package, "name"));
        let may = allowed.get(from.as_str()).unwrap_or_else(|| panic!("{from} has no place in MAY_DEPEND_ON"));
        for dependency in list(package, "dependencies") {
            let test_only = dependency["kind"] == "dev";
            if dependency["path"].is_null() || test_only {
                continue;
            }
            let to = stage(text(dependency, "name"));
            assert!(may.contains(&to.as_str()), "{from} must not depend on {to}");
        }
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let policy = read("deny.toml");
    let allowed = quoted(between(&policy, "\nallow = [", "\n]"));
    assert!(allowed.contains(&"Apache-2.0"), "deny.toml was not understood");
    for package in used_packages() {
        let (name, licence) = (text(package, "name"), text(package, "license"));
        assert!(licence_allowed(licence, &allowed), "{name} is under '{licence}', which deny.toml does not allow");
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
    for good in ["MIT", "MIT/GPL-3.0", "GPL-2.0 OR MIT", "(MIT OR GPL-2.0) AND Zlib", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(licence_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-2.0", "(MIT AND GPL-2.0) OR Apache-2.0", "MITX"] {
        assert!(!licence_allowed(bad, &allowed), "{bad}");
    }
}

#[test]
fn no_crate_comes_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in used_packages() {
        versions.entry(text(package, "name")).or_default().insert(text(package, "version"));
    }
    let policy = read("deny.toml");
    let mut excused: Vec<(&str, &str)> = Vec::new();
    for line in between(&policy, "\nskip = [", "\n]").lines().filter(|line| line.contains("name =")) {
        let values = quoted(line);
        assert!(line.contains("reason = ") && values.len() == 3, "name, version and reason, please: {line}");
        excused.push((values[0], values[1]));
    }
    let matches = |version: &str, wanted: &str| {
        version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let unexcused = versions.iter().filter(|v| !excused.iter().any(|(n, w)| n == name && matches(v, w)));
        assert!(unexcused.count() <= 1, "{name} is there as {versions:?}: agree on one, or excuse one in deny.toml");
    }
    for (name, version) in excused {
        let needed = versions.get(name).is_some_and(|v| v.len() > 1 && v.iter().any(|v| matches(v, version)));
        assert!(needed, "deny.toml excuses a second version of {name} ({version}) which is no longer there");
    }
}

#[test]
fn dependencies_come_from_one_registry() {
    let outside = used_packages().into_iter().filter(|package| !ours(package));
    let sources: BTreeSet<&str> = outside.map(|package| text(package, "source")).collect();
    assert!(sources.len() <= 1 && sources.iter().all(|s| s.starts_with("registry+")), "{sources:?}");
}

#[test]
fn names_say_what_is_inside() {
    for path in files() {
        for part in path.with_extension("").iter() {
            let part = part.to_string_lossy();
            assert!(!EMPTY_NAMES.contains(&part.as_ref()), "{}: '{part}' says nothing", path.display());
        }
    }
}

#[test]
fn source_files_stay_small_and_say_what_they_are() {
    for path in files() {
        let name = path.to_string_lossy().into_owned();
        let source = path.extension().is_some_and(|e| e == "rs" || e == "c" || e == "h");
        if !source || name.starts_with("fuzz/seeds") {
            continue;
        }
        let content = read(&name);
        assert!(content.len() as u64 <= LARGEST || MAY_BE_LARGER.contains(&&*name), "{name}: {} bytes", content.len());
        if name.starts_with("bpf/") {
            let licence = "SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)";
            assert!(content.lines().take(2).any(|line| line.contains(licence)), "{name} does not begin with {licence}");
        } else if name.starts_with("crates/") && name.contains("/src/") {
            assert!(content.starts_with("//!"), "{name} does not say what it is");
        }
    }
}

/// A name that a stranger chose stays text: no part of the page makes HTML or code of text.
#[test]
fn the_page_makes_no_html_of_text() {
    let sources = files().into_iter().filter(|path| path.starts_with("ui/src") || path.as_os_str() == "ui/index.html");
    let mut seen = 0;
    for path in sources.filter(|path| path.extension().is_some_and(|e| e == "ts" || e == "tsx" || e == "html")) {
        let text = read(&path.to_string_lossy());
        for bad in ["innerHTML", "InnerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=\""]
        {
            assert!(!text.contains(bad), "{}: {bad}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} sources only");
}

#[test]
fn scripts_can_be_run() {
    for path in [
        ".ci/run",
        "demo/run",
        "scripts/setup",
        "scripts/arm64/cargo",
        "scripts/arm64/rustc",
        "scripts/btf",
        "scripts/release",
        "scripts/screenshot",
        "ui/build",
        "ui/test/run-browser",
        "ui/test/run-unit",
    ] {
        let mode = fs::metadata(ROOT.join(path)).unwrap_or_else(|e| panic!("{path}: {e}")).permissions().mode();
        assert!(mode & 0o111 == 0o111, "{path} is not executable");
    }
}

#[test]
fn commands_in_the_documentation_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> =
        makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let path = path.to_string_lossy().into_owned();
        for command in commands(&read(&path)) {
            let words: Vec<&str> = command.split_whitespace().filter(|word| !word.contains('=')).collect();
            match words[..] {
                ["make", target, ..] => assert!(targets.contains(target), "{path}: there is no `make {target}`"),
                [script, ..]
                    if ["scripts/", ".ci/", "demo/", "ui/"].iter().any(|folder| script.starts_with(folder)) =>
                {
                    assert!(ROOT.join(script).exists(), "{path}: there is no {script}");
                }
                ["steth", command, ..] | ["sudo", "steth", command, ..] if is_word(command) => {
                    seen.insert((path.clone(), command.to_string()));
                }
                _ => {}
            }
        }
    }
    for (path, command) in seen {
        let output = Command::new(env!("CARGO_BIN_EXE_steth")).args([&command, "--help"]).output().expect("steth runs");
        assert!(output.status.success(), "{path}: there is no `steth {command}`");
    }
}

/// Paths that `docs/adding-a-protocol.md` names are there, and whatever else it calls by name is somewhere in the sources.
#[test]
fn the_walk_through_names_what_exists() {
    let text = read("docs/adding-a-protocol.md");
    // Every second piece between backticks; blocks of code are rows of a table, compared as they stand.
    let blocks: Vec<&str> = text.split("```").collect();
    let names: Vec<&str> = blocks.iter().step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect();
    let rows = blocks.iter().skip(1).step_by(2).map(|block| block.trim_start_matches("rust").trim());
    let sources: String = (files().iter())
        .filter(|path| !path.ends_with("docs/adding-a-protocol.md"))
        .filter_map(|path| fs::read_to_string(ROOT.join(path)).ok())
        .collect();
    assert!(names.len() > 40, "the page was not understood: {names:?}");
    for name in names.into_iter().chain(rows) {
        let is_path = name.contains('/') && !name.contains(' ');
        let exists = if is_path { ROOT.join(name).exists() } else { sources.contains(name) };
        assert!(exists, "docs/adding-a-protocol.md names {name:?}, which is not there");
    }
}

/// The page is complete: whatever names its example outside the example's own module is a place where a protocol is entered.
#[test]
fn the_walk_through_leaves_out_no_place_that_names_a_protocol() {
    let page = read("docs/adding-a-protocol.md");
    let mut places = 0;
    for path in files().iter().filter_map(|path| path.to_str()) {
        let source = path.ends_with(".rs") || path.ends_with(".h") || path == "fuzz/Cargo.toml";
        let apart = ["crates/wire/src/redis/", "/tests/", "/examples/", "/benches/", "fuzz/fuzz_targets/"];
        if !source || apart.iter().any(|part| path.contains(part)) {
            continue;
        }
        let text = read(path);
        let names = ["Protocol::Redis", "STETH_PROTOCOL_REDIS", "mod redis;", "redis::", "name = \"redis\""];
        if names.iter().any(|name| text.contains(name)) {
            places += 1;
            assert!(page.contains(&format!("`{path}`")), "docs/adding-a-protocol.md does not name {path}");
        }
    }
    assert!(places > 10, "{places} places only: what is looked for has another name");
}

/// The code spans and code lines of a Markdown text.
fn commands(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.trim().trim_start_matches("$ ").to_string());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_string));
        }
    }
    found
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Every file of the repository, relative to its root; neither what is built nor what a tool keeps.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(ROOT.join(&folder)).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.map(|entry| entry.expect("a folder can be listed")) {
            let path = folder.join(entry.file_name());
            let built = ["target", ".git", "node_modules", "artifacts", "corpus", "__pycache__"];
            match entry.file_type().expect("an entry has a type") {
                kind if kind.is_dir() && !built.iter().any(|name| path.ends_with(name)) => folders.push(path),
                kind if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("no {from:?}")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} after {from:?}")).0
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// True when the SPDX expression can be met with the allowed licences. `/` is the `OR` of old manifests.
fn licence_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = licence(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= licence(words, at, allowed);
    }
    met
}

fn licence(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(&word) = words.get(*at) else { return false };
    *at += 1;
    if word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1; // the closing one
        return met;
    }
    let mut name = word.to_string();
    if words.get(*at) == Some(&"WITH") {
        name = [word, "WITH", words.get(*at + 1).copied().unwrap_or_default()].join(" ");
        *at += 2;
    }
    allowed.contains(&name.as_str())
}
