//! Which runtimes' sockets are there.

use crate::settings::{Api, Endpoint, Settings};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Sockets that are watched at a time; a host has one or two, and one for each user of rootless podman.
pub(crate) const ENDPOINTS: usize = 16;
/// Users whose runtimes are looked for.
const USERS: usize = 256;

/// Where runtimes put their sockets. The order is that of trust in names: the CRI's before Docker's.
const PLACES: [(Api, &str); 9] = [
    (Api::Cri, "/run/containerd/containerd.sock"),
    (Api::Cri, "/run/crio/crio.sock"),
    (Api::Cri, "/run/cri-dockerd.sock"),
    (Api::Cri, "/run/k3s/containerd/containerd.sock"), // k3s and RKE2
    (Api::Cri, "/run/k0s/containerd.sock"),
    (Api::Cri, "/var/snap/microk8s/common/run/containerd.sock"),
    (Api::Docker, "/run/docker.sock"),
    (Api::Docker, "/var/run/docker.sock"), // the same where /var/run is a link to /run
    (Api::Docker, "/run/podman/podman.sock"),
];
/// Below /run/user/UID.
const OF_USERS: [&str; 2] = ["podman/podman.sock", "docker.sock"];

/// A socket that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As the host calls it.
    pub(crate) endpoint: Endpoint,
    /// As this process reaches it.
    pub(crate) path: PathBuf,
    /// Device and inode: links lead to one runtime by several names.
    file: (u64, u64),
}

/// What a look has found.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// The sockets that are there, each once.
    pub(crate) found: Vec<Found>,
    /// How many there are beyond those.
    pub(crate) ignored: usize,
    /// Places that may not be looked at.
    pub(crate) out_of_reach: usize,
}

/// The sockets that are there now.
pub(crate) fn look(settings: &Settings) -> Sockets {
    let candidates =
        if settings.endpoints.is_empty() { known_places(&settings.root) } else { settings.endpoints.clone() };
    let (mut all, mut ignored, mut out_of_reach) = (Vec::<Found>::new(), 0, 0);
    for endpoint in candidates {
        let path = below(&settings.root, &endpoint.path);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // A user's own directory is that user's alone, and whether there is a socket in it is not known.
                out_of_reach += usize::from(error.kind() == ErrorKind::PermissionDenied);
                continue;
            }
        };
        let file = (metadata.dev(), metadata.ino());
        if !metadata.file_type().is_socket() || all.iter().any(|found| found.file == file) {
            continue;
        }
        if all.len() < ENDPOINTS {
            all.push(Found { endpoint, path, file });
        } else {
            ignored += 1;
        }
    }
    Sockets { found: all, ignored, out_of_reach }
}

fn known_places(root: &Path) -> Vec<Endpoint> {
    let mut places: Vec<Endpoint> =
        PLACES.iter().map(|(api, path)| Endpoint { api: *api, path: PathBuf::from(path) }).collect();
    let users = fs::read_dir(below(root, Path::new("/run/user")));
    let mut users: Vec<u32> = (users.into_iter().flatten().take(USERS))
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    users.sort_unstable();
    for user in users {
        for path in OF_USERS {
            places.push(Endpoint { api: Api::Docker, path: format!("/run/user/{user}/{path}").into() });
        }
    }
    places
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sockets_are_found_below_the_root_and_each_once() {
        let root = tempfile::tempdir().unwrap();
        let place = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let _sockets = ["run/containerd/containerd.sock", "run/podman/podman.sock", "run/user/1000/podman/podman.sock"]
            .map(|path| UnixListener::bind(place(path)).unwrap());
        fs::write(place("run/crio/crio.sock"), "a file").unwrap();
        fs::create_dir_all(place("run/user/nobody/podman")).unwrap();
        symlink("podman/podman.sock", place("run/docker.sock")).unwrap();
        let settings = Settings { root: root.path().into(), ..Settings::default() };
        let Sockets { found, ignored, out_of_reach } = look(&settings);
        let paths: Vec<_> = found.iter().map(|found| found.endpoint.path.to_str().unwrap()).collect();
        let expected = ["/run/containerd/containerd.sock", "/run/docker.sock", "/run/user/1000/podman/podman.sock"];
        assert_eq!(paths, expected);
        assert_eq!(found[0].path, root.path().join("run/containerd/containerd.sock"));
        assert_eq!((ignored, out_of_reach), (0, 0));

        let endpoints = vec!["docker:/run/user/1000/podman/podman.sock".parse().unwrap()];
        let found = look(&Settings { endpoints, ..settings }).found;
        assert_eq!(found.len(), 1, "if told where, only there");
    }

    #[test]
    fn places_that_may_not_be_looked_at_are_counted() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let private = root.path().join("run/user/1000");
        fs::create_dir_all(&private).unwrap();
        let _socket = UnixListener::bind(private.join("docker.sock")).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o000)).unwrap();
        let settings = Settings { root: root.path().into(), ..Settings::default() };
        // As the agent, which has given up what lets root look anywhere; of this thread alone.
        let looks = move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            look(&settings)
        };
        let Sockets { found, out_of_reach, .. } = std::thread::spawn(looks).join().unwrap();
        assert_eq!((found.len(), out_of_reach), (0, OF_USERS.len()));
        fs::set_permissions(&private, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn sockets_beyond_the_limit_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let mut sockets = Vec::new();
        for user in 0..20 {
            let folder = root.path().join(format!("run/user/{user}"));
            fs::create_dir_all(&folder).unwrap();
            sockets.push(UnixListener::bind(folder.join("docker.sock")).unwrap());
        }
        let Sockets { found, ignored, .. } = look(&Settings { root: root.path().into(), ..Settings::default() });
        assert_eq!((found.len(), ignored), (ENDPOINTS, 4));
    }
}
