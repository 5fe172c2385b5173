//! What a cgroup path tells: the container, or the systemd unit.

use steth_event::CONTAINER_ID;

/// The container id in the text of `/proc/PID/cgroup`: 64 hexadecimal digits in the last part of a path, bare (cgroupfs
/// driver: `/docker/ID`, `/kubepods/…/podUID/ID`) or dressed (systemd driver: `docker-ID.scope`, `cri-containerd-ID.scope`,
/// `crio-ID.scope`, `libpod-ID.scope`; `libpod-payload-ID` below one of these). Not the process that watches over a container:
/// `libpod-conmon-ID.scope`, `crio-conmon-ID.scope`. The same on cgroup v1, v2 and hybrid.
#[must_use]
pub fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let id = part.rsplit(['-', ':']).next()?;
            let monitor = part.strip_suffix(id).is_some_and(|dress| dress.ends_with("-conmon-"));
            (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) && !monitor).then_some(id)
        })
    })
}

/// The same as bytes, as the kernel's records have it.
#[must_use]
pub fn container_bytes(cgroup: &str) -> Option<[u8; CONTAINER_ID]> {
    container_bytes_of(container_id(cgroup)?)
}

/// An id as bytes, from its 64 digits.
#[must_use]
pub fn container_bytes_of(digits: &str) -> Option<[u8; CONTAINER_ID]> {
    if digits.len() != 2 * CONTAINER_ID {
        return None;
    }
    let mut bytes = [0; CONTAINER_ID];
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The 64 digits of an id.
#[must_use]
pub fn container_text(id: &[u8; CONTAINER_ID]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or('0');
    id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The systemd unit in the text of `/proc/PID/cgroup`: the innermost part of a path that ends in `.service`. A user's manager
/// (`user@1000.service`) is the house of that user's units, not one itself; a process right in it has none.
#[must_use]
pub fn unit(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let part = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        (part.len() > ".service".len() && !part.starts_with("user@")).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::{container_bytes, container_id, container_text, unit};

    #[test]
    fn units_of_the_system_and_of_users() {
        for (cgroup, expected) in [
            ("0::/system.slice/nginx.service", Some("nginx.service")),
            ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service", Some("postgresql@15-main.service")),
            ("2:cpu:/\n1:name=systemd:/system.slice/cron.service\n0::/system.slice/cron.service", Some("cron.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service", Some("shop.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", None),
            ("0::/user.slice/user-0.slice/session-1.scope", None),
            ("0::/.service", None),
            ("0::/", None),
            ("", None),
        ] {
            assert_eq!(unit(cgroup), expected, "{cgroup}");
        }
    }

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
            assert_eq!(container_bytes(&path).map(|bytes| container_text(&bytes)).as_deref(), Some(id), "{path}");
        }
        for path in ["0::/", "0::/user.slice/user-0.slice/session-1.scope", "", "nonsense", "0::/docker/0123"] {
            assert_eq!(container_id(path), None, "{path}");
        }
        for monitor in ["libpod", "crio"] {
            let path = format!("0::/machine.slice/{monitor}-conmon-{id}.scope");
            assert_eq!(container_id(&path), None, "{path}");
        }
        assert_eq!(container_id(&format!("0::/machine.slice/my-conmon:{id}.scope")), Some(id));
    }
}
