//! How far away the other end is.

use std::net::IpAddr;

/// Where the other end of a connection is, as seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Locality {
    /// At 127.0.0.0/8 or ::1.
    Loopback,
    /// On this host: a unix socket, one of its own addresses, or a container here.
    Host,
    /// A pod, service or node of the cluster.
    Cluster,
    /// Anywhere else.
    External,
}

impl Locality {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Locality::Loopback => "loopback",
            Locality::Host => "host",
            Locality::Cluster => "cluster",
            Locality::External => "external",
        }
    }

    /// Of a connection between these two addresses. `here`: the remote one is known to be of this host, by a socket that was
    /// seen there.
    #[must_use]
    pub fn of(local: IpAddr, remote: IpAddr, here: bool, in_cluster: bool) -> Self {
        let (local, remote) = (local.to_canonical(), remote.to_canonical());
        if remote.is_loopback() {
            Locality::Loopback
        } else if here || local == remote {
            Locality::Host
        } else if in_cluster {
            Locality::Cluster
        } else {
            Locality::External
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Locality;

    #[test]
    fn from_near_to_far() {
        for (local, remote, here, in_cluster, expected) in [
            ("127.0.0.1", "127.0.0.53", true, false, "loopback"),
            ("::1", "::ffff:127.0.0.1", false, false, "loopback"),
            ("10.0.0.5", "10.0.0.5", false, false, "host"),
            ("10.0.0.5", "172.17.0.2", true, true, "host"),
            ("10.0.0.5", "10.244.1.7", false, true, "cluster"),
            ("10.0.0.5", "192.0.2.1", false, false, "external"),
        ] {
            let of = Locality::of(local.parse().unwrap(), remote.parse().unwrap(), here, in_cluster);
            assert_eq!(of.name(), expected, "{local} to {remote}");
        }
    }
}
