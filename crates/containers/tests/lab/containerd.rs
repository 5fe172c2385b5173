//! containerd with its CRI plugin, in namespaces of its own.
//!
//! It is the first process of a pid namespace, so whatever it starts, shims that have left its process group included, ends
//! with it; mounts go with its mount namespace, bridges with its network namespace, files with a temporary folder. Control
//! groups have no such owner and are removed by hand.

use super::cri::{ContainerConfig, ContainerMetadata, CriClient, ImageSpec, KeyValue};
use super::cri::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata};
use super::process::{Process, command, run, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The image of all pods and containers: a static busybox, which sleeps if it is told nothing else.
pub const IMAGE: &str = "steth.test/busybox:1";
const LIMIT: Duration = Duration::from_secs(60);

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    pub cri: CriClient,
    process: Option<Process>,
    dir: TempDir,
    /// Below which all its control groups are.
    cgroup: String,
}

/// A pod to be made.
#[derive(Clone, Debug, Default)]
pub struct PodPlan<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub uid: &'a str,
    pub labels: &'a [(&'a str, &'a str)],
}

/// A container to be made.
#[derive(Clone, Debug, Default)]
pub struct ContainerPlan<'a> {
    pub name: &'a str,
    /// Empty: what the image does, which is to sleep.
    pub command: &'a [&'a str],
    pub labels: &'a [(&'a str, &'a str)],
    pub environment: &'a [(&'a str, &'a str)],
}

/// A running pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The id of its sandbox.
    pub sandbox: String,
    config: PodSandboxConfig,
}

impl Containerd {
    /// Starts it; its CRI answers and has the image when this returns.
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("steth-lab-").tempdir().expect("a temporary directory");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cgroup = format!("steth-lab-{}-{number}", std::process::id());
        configure(dir.path());
        let cri = CriClient::new(&dir.path().join("containerd.sock"));
        let mut containerd = Self { cri, process: None, dir, cgroup };
        containerd.launch();
        let archive = image(containerd.dir.path());
        let mut import = command("ctr");
        import.arg("-a").arg(containerd.socket()).args(["-n", "k8s.io", "images", "import", "--snapshotter", "native"]);
        run("ctr", import.arg(&archive), LIMIT);
        wait_until("the CRI has the image", LIMIT, || containerd.cri.has_image(IMAGE));
        containerd
    }

    fn launch(&mut self) {
        let dir = self.dir.path().display();
        // What shims and runc keep in /run/containerd, and the CNI library in /var/lib/cni, is to go away too.
        let script = format!(
            "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && ip link set lo up && \
             exec containerd --config {dir}/config.toml"
        );
        let mut command = command("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script]);
        let process = Process::spawn("containerd", &mut command, self.dir.path());
        process.wait_for("its CRI answered", LIMIT, || self.cri.answers());
        self.process = Some(process);
    }

    /// Ends it, and with it all containers; what it has on disk stays.
    pub fn stop(&mut self) {
        self.process = None;
        let _ = fs::remove_file(self.socket());
    }

    /// Starts it anew, after [`stop`](Self::stop).
    pub fn start_again(&mut self) {
        self.launch();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("containerd.sock")
    }

    /// Makes a pod with a network of its own.
    pub fn pod(&self, plan: &PodPlan<'_>) -> Pod {
        let config = PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: plan.name.to_owned(),
                uid: plan.uid.to_owned(),
                namespace: plan.namespace.to_owned(),
                attempt: 0,
            }),
            hostname: plan.name.to_owned(),
            labels: plan.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}/kubepods/besteffort/pod{}", self.cgroup, plan.uid),
            }),
        };
        Pod { sandbox: self.cri.run_pod(&config), config }
    }

    /// Makes a container in a pod and starts it; returns its id.
    pub fn container(&self, pod: &Pod, plan: &ContainerPlan<'_>) -> String {
        let id = self.create(pod, plan);
        self.cri.start(&id);
        id
    }

    /// Makes a container in a pod, and leaves it there.
    pub fn create(&self, pod: &Pod, plan: &ContainerPlan<'_>) -> String {
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: plan.name.to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: IMAGE.to_owned() }),
            command: plan.command.iter().map(|word| word.to_string()).collect(),
            envs: (plan.environment.iter())
                .map(|(key, value)| KeyValue { key: key.to_string(), value: value.to_string() })
                .collect(),
            labels: plan.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        self.cri.create(&pod.sandbox, &pod.config, &config)
    }

    /// The processes, by this machine's ids, in whose control group this container id is.
    pub fn processes(&self, id: &str) -> Vec<u32> {
        let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id)))
            .collect()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.process = None;
        remove_groups_named(&self.cgroup);
    }
}

/// Removes a control group, and those in it, from every hierarchy.
pub fn remove_groups_named(name: &str) {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().filter_map(Result::ok);
    for tree in trees.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]) {
        remove_groups(&tree.join(name));
    }
}

/// Control groups are folders that can be removed once they are empty, the innermost first.
fn remove_groups(group: &Path) {
    let inner = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    for entry in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_groups(&entry.path());
    }
    for _ in 0..100 {
        // Busy until the kernel has buried the last of its processes.
        match fs::remove_dir(group) {
            Err(e) if e.raw_os_error() == Some(16) => std::thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
}

fn configure(dir: &Path) {
    let at = dir.display();
    let config = format!(
        r#"version = 2
root = "{at}/root"
state = "{at}/state"
[grpc]
address = "{at}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{at}/cni"
"#
    );
    let network = format!(
        r#"{{"cniVersion": "0.4.0", "name": "lab", "plugins": [{{"type": "bridge", "bridge": "lab0", "isGateway": true,
            "ipam": {{"type": "host-local", "dataDir": "{at}/addresses", "ranges": [[{{"subnet": "10.213.0.0/16"}}]],
                      "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}"#
    );
    fs::create_dir(dir.join("cni")).expect("a folder");
    fs::write(dir.join("cni/10-lab.conflist"), network).expect("a file");
    fs::write(dir.join("config.toml"), config).expect("a file");
}

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
