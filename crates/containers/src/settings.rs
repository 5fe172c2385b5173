//! What can be chosen.

use crate::environment::Names;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How a runtime is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Kubernetes' Container Runtime Interface, over gRPC.
    Cri,
    /// Docker's API, which podman has too.
    Docker,
}

/// A runtime's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is spoken to.
    pub api: Api,
    /// Its path as the host sees it, absolute.
    pub path: PathBuf,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no endpoint of a container runtime; write cri:/run/containerd/containerd.sock or docker:/run/docker.sock"
)]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// `cri:PATH` or `docker:PATH`; podman's is the second.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (api, path) = match text.split_once(':') {
            Some(("cri", path)) => (Api::Cri, path),
            Some(("docker", path)) => (Api::Docker, path),
            _ => return Err(EndpointError(text.to_owned())),
        };
        let path = Path::new(path.strip_prefix("unix://").unwrap_or(path));
        if !path.is_absolute() {
            return Err(EndpointError(text.to_owned()));
        }
        Ok(Self { api, path: path.to_owned() })
    }
}

/// What can be chosen. The default finds the host's runtimes by itself and keeps no environment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the host's root is: `/`, or in a container `/proc/1/root` or where it is mounted. All endpoints are below it.
    pub root: PathBuf,
    /// Which sockets are used; none: the known places (`docs/containers.md`).
    pub endpoints: Vec<Endpoint>,
    /// Environment variables that are kept. If none, the CRI is not asked for what holds them.
    pub environment: Names,
    /// How long a call may take, 3 s. A runtime that misses it three times in a row is left alone for a while.
    pub deadline: Duration,
    /// How often it is looked for new sockets, 5 s.
    pub look_again: Duration,
    /// After how long an id that no runtime knows is asked for again: 50 ms, 200 ms, 800 ms, 3.2 s. A runtime lists a
    /// container a little after its cgroup is there.
    pub pauses: Vec<Duration>,
    /// For how long nobody is asked again about an id that certainly nobody knew, 60 s.
    pub unknown_for: Duration,
    /// Questions that may wait for their answers, 4096.
    pub questions: usize,
    /// Containers, and ids that nobody knew, that are remembered, 2048. Some 2 KiB each, 20 KiB at most.
    pub remembered: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            endpoints: Vec::new(),
            environment: Names::none(),
            deadline: Duration::from_secs(3),
            look_again: Duration::from_secs(5),
            pauses: [50, 200, 800, 3200].map(Duration::from_millis).to_vec(),
            unknown_for: Duration::from_secs(60),
            questions: 4096,
            remembered: 2048,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_api_and_path() {
        let cri = Endpoint { api: Api::Cri, path: "/run/x.sock".into() };
        assert_eq!("cri:/run/x.sock".parse(), Ok(cri.clone()));
        assert_eq!("cri:unix:///run/x.sock".parse(), Ok(cri));
        assert_eq!("docker:/d".parse(), Ok(Endpoint { api: Api::Docker, path: "/d".into() }));
        for bad in ["", "/run/x.sock", "cri:", "cri:run/x.sock", "unix:///run/x.sock", "tcp:127.0.0.1"] {
            let error = bad.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{bad}'")) && error.contains("write cri:/"), "{error}");
        }
    }
}
