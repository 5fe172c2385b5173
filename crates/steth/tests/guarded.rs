//! An agent as the configuration file sets it up for others: with a token and TLS, and `steth top` that asks it.

use crate::lab::process::{command, run};
use crate::lab::{Agent, wait_until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const TOKEN: &str = "correct-horse-battery";
const SOON: Duration = Duration::from_secs(20);

/// A certificate that signs itself, and nothing else.
fn certificate(dir: &Path, name: &str) {
    let file = |end: &str| dir.join(format!("{name}.{end}"));
    let mut openssl = command("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(file("pem"))
        .arg("-keyout")
        .arg(file("key"));
    run("openssl", &mut openssl, SOON);
}

/// `steth COMMAND … --connect https://localhost:PORT`.
fn asked(agent: &Agent, arguments: &[&str], ca: &Path, token: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steth"));
    command.args(arguments).args(["--connect", &format!("https://localhost:{}/", agent.port)]);
    command.env("STETH_CA", ca).env("STETH_TOKEN", token).output().expect("steth runs")
}

#[test]
fn with_token_and_tls_of_the_configuration_only_who_knows_is_answered() {
    root_or_skip!();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name);
    certificate(dir.path(), "steth");
    certificate(dir.path(), "other");
    std::fs::write(path("token"), TOKEN).expect("written");
    std::fs::set_permissions(path("token"), std::fs::Permissions::from_mode(0o600)).expect("set");
    let [token, pem, key] = ["token", "steth.pem", "steth.key"].map(|name| path(name).display().to_string());
    let configuration = format!("server:\n  token_file: {token}\n  certificate: {pem}\n  key: {key}\n");
    std::fs::write(path("steth.yaml"), configuration).expect("written");
    let agent = Agent::with(&["--config", path("steth.yaml").to_str().expect("text")]);
    assert!(agent.errors().contains(&format!("https://127.0.0.1:{}/", agent.port)), "{}", agent.errors());
    let text = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let top = asked(&agent, &["top", "--once", "--json"], &path("steth.pem"), TOKEN);
    assert!(top.status.success(), "{}", text(&top));
    let top: Value = serde_json::from_slice(&top.stdout).expect("JSON");
    assert_eq!(top["by"], "services", "{top}");
    let map = asked(&agent, &["map", "--format", "json"], &path("steth.pem"), TOKEN);
    assert!(map.status.success() && map.stdout.starts_with(b"{\"meta\""), "{}", text(&map));
    // Each look at request records is written down.
    let requests = asked(&agent, &["top", "--by", "requests", "--once"], &path("steth.pem"), TOKEN);
    assert!(requests.status.success(), "{}", text(&requests));
    wait_until("the look is told", SOON, || agent.errors().contains("audit: requests were looked at from 127.0.0.1:"));
    assert!(agent.errors().contains("session token: "), "{}", agent.errors());

    let stranger = asked(&agent, &["top", "--once"], &path("other.pem"), TOKEN);
    assert!(!stranger.status.success() && text(&stranger).contains("not to be trusted"), "{}", text(&stranger));
    assert!(text(&stranger).contains("--ca FILE"), "{}", text(&stranger));
    let guess = asked(&agent, &["top", "--once"], &path("steth.pem"), "correct-horse-batterx");
    assert!(!guess.status.success() && text(&guess).contains("asks for a token"), "{}", text(&guess));
    let nothing = asked(&agent, &["top", "--once"], &path("token"), TOKEN);
    assert!(!nothing.status.success() && text(&nothing).contains("cannot read certificates"), "{}", text(&nothing));
    agent.finish();
}
