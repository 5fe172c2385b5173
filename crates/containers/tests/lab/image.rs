//! An image made by hand: a static busybox and nothing else, so that no registry is needed.

use super::process::{command, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Its name. It sleeps if it is told nothing else.
pub const IMAGE: &str = "steth.test/busybox:1";
const LIMIT: Duration = Duration::from_secs(60);

/// An archive as `docker save` makes it.
pub fn image(dir: &Path) -> PathBuf {
    let image = dir.join("image");
    let layer = image.join("files");
    fs::create_dir_all(layer.join("bin")).expect("a folder");
    for folder in ["dev", "proc", "sys", "tmp", "etc"] {
        fs::create_dir(layer.join(folder)).expect("a folder");
    }
    fs::copy("/bin/busybox", layer.join("bin/busybox"))
        .expect("busybox; `scripts/setup test` installs what tests need");
    for applet in ["sh", "sleep", "httpd", "wget", "nc"] {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).expect("a link");
    }
    let tar = |archive: &Path, folder: &Path, what: &[&str]| {
        run("tar", command("tar").arg("-cf").arg(archive).arg("-C").arg(folder).args(what), LIMIT);
    };
    tar(&image.join("layer.tar"), &layer, &["."]);
    let (digest, _) = run("sha256sum", command("sha256sum").arg(image.join("layer.tar")), LIMIT);
    let digest = digest.split_whitespace().next().expect("a digest");
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let config = format!(
        r#"{{"architecture": "{architecture}", "os": "linux",
            "config": {{"Cmd": ["/bin/sleep", "100000"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"]}},
            "rootfs": {{"type": "layers", "diff_ids": ["sha256:{digest}"]}}}}"#
    );
    let manifest = format!(r#"[{{"Config": "config.json", "RepoTags": ["{IMAGE}"], "Layers": ["layer.tar"]}}]"#);
    fs::write(image.join("config.json"), config).expect("a file");
    fs::write(image.join("manifest.json"), manifest).expect("a file");
    let archive = dir.join("image.tar");
    tar(&archive, &image, &["manifest.json", "config.json", "layer.tar"]);
    archive
}
