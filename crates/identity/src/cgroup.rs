//! The container id in a cgroup path.

/// The container id in the text of `/proc/PID/cgroup`: 64 hexadecimal digits in the last part of a path, bare (cgroupfs
/// driver: `/docker/ID`, `/kubepods/…/podUID/ID`) or dressed (systemd driver: `docker-ID.scope`, `cri-containerd-ID.scope`,
/// `crio-ID.scope`, `libpod-ID.scope`; `libpod-payload-ID` below one of these). The same on cgroup v1, v2 and hybrid.
#[must_use]
pub fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let id = part.rsplit(['-', ':']).next()?;
            (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::container_id;

    #[test]
    fn forms_of_all_drivers() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for path in [
            format!("12:pids:/docker/{id}"),
            format!("0::/system.slice/docker-{id}.scope"),
            format!("1:name=systemd:/kubepods/besteffort/pod8ab2/{id}\n0::/"),
            format!(
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8.slice/cri-containerd-{id}.scope"
            ),
            format!("0::/kubepods.slice/crio-{id}.scope"),
            format!("0::/machine.slice/libpod-{id}.scope/container"),
            format!("0::/system.slice/containerd.service/kubepods-pod8.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(container_id(&path), Some(id), "{path}");
        }
        for path in ["0::/", "0::/user.slice/user-0.slice/session-1.scope", "", "nonsense", "0::/docker/0123"] {
            assert_eq!(container_id(path), None, "{path}");
        }
    }
}
