//! containerd with its CRI plugin, in namespaces of its own.
//!
//! Pods have addresses of a bridge in its network namespace; what is to reach them from elsewhere enters that.

use super::cri::{ContainerConfig, ContainerMetadata, CriClient, ImageSpec, KeyValue};
use super::cri::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata};
use super::image::{IMAGE, image};
use super::isolation::{isolated, remove_groups};
use super::process::{Process, command, run, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

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
        let mut command = isolated(&format!("containerd --config {dir}/config.toml"));
        let process = Process::spawn("containerd", &mut command, self.dir.path());
        process.wait_for("its CRI answered", LIMIT, || self.cri.answers());
        self.process = Some(process);
    }

    /// Ends it, and with it all containers; what it has on disk stays.
    pub fn stop(&mut self) {
        self.process = None;
        let _ = fs::remove_file(self.socket());
    }

    /// Lets the next pod have the first address again.
    pub fn forget_addresses(&self) {
        fs::remove_dir_all(self.dir.path().join("addresses")).expect("the addresses that were given away");
    }

    /// Starts it anew, after [`stop`](Self::stop).
    pub fn start_again(&mut self) {
        self.launch();
    }

    /// A process in its network.
    pub fn pid(&self) -> u32 {
        let started = self.process.as_ref().expect("it runs").pid();
        // What was started is still in the network of the test; its child is not.
        let children = fs::read_to_string(format!("/proc/{started}/task/{started}/children")).unwrap_or_default();
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(started)
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
        remove_groups(&self.cgroup);
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
