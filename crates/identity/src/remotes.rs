//! Who is behind a remote address.

use crate::hosts::Hosts;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use steth_event::{Peer, Remote};

/// What is known of an address that no process here is behind.
#[derive(Clone, Debug)]
pub enum Beyond {
    /// What an answer of DNS to this host called it.
    Dns(Arc<str>),
    /// What the cluster or `/etc/hosts` says.
    Told(Arc<Remote>),
}

impl Beyond {
    /// What it is called: its service, its node, or the name of the address.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Beyond::Dns(name) => name,
            Beyond::Told(remote) => match &**remote {
                Remote::Pod { declared: Some(name), .. } => name,
                Remote::Pod { workload, .. } => &workload.name,
                Remote::Service { name, .. } | Remote::Node { name } | Remote::Host { name } => name,
            },
        }
    }

    /// The namespace of a pod or service of the cluster.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Beyond::Told(remote) => match &**remote {
                Remote::Pod { pod, .. } => Some(&pod.namespace),
                Remote::Service { namespace, .. } => Some(namespace),
                Remote::Node { .. } | Remote::Host { .. } => None,
            },
            Beyond::Dns(_) => None,
        }
    }

    /// Whether the name is that of a service, which its port adds nothing to.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self, Beyond::Told(remote) if matches!(**remote, Remote::Pod { .. } | Remote::Service { .. }))
    }

    /// Whether it is a part of the cluster.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        matches!(self, Beyond::Told(remote) if !matches!(**remote, Remote::Host { .. }))
    }
}

/// Remote addresses and who has them. The cluster knows better than DNS, DNS better than `/etc/hosts`.
#[derive(Debug)]
pub struct Remotes {
    hosts: Hosts,
    /// By address and port; port 0 is any.
    told: HashMap<(IpAddr, u16), Arc<Remote>, FixedState>,
    /// In the order in which they came; some may have gone.
    order: VecDeque<(IpAddr, u16)>,
    maximum: usize,
    evicted: u64,
}

impl Remotes {
    /// At most `maximum` addresses of either source.
    #[must_use]
    pub fn new(maximum: usize) -> Self {
        Self {
            hosts: Hosts::new(maximum),
            told: HashMap::with_hasher(FixedState::with_seed(0x7065)),
            order: VecDeque::new(),
            maximum: maximum.max(1),
            evicted: 0,
        }
    }

    /// An answer of DNS: see [`Hosts::learn`].
    pub fn learn(&mut self, name: &str, address: IpAddr, ttl: u32, now: u64) {
        self.hosts.learn(name, address, ttl, now);
    }

    /// From now on this is who has the address.
    pub fn tell(&mut self, peer: Peer) {
        let end = (peer.address.to_canonical(), peer.port);
        let Some(who) = peer.who else {
            self.told.remove(&end);
            return;
        };
        if self.told.insert(end, Arc::new(who)).is_some() {
            return;
        }
        self.order.push_back(end);
        while self.told.len() > self.maximum {
            let Some(oldest) = self.order.pop_front() else { break };
            self.evicted += u64::from(self.told.remove(&oldest).is_some());
        }
        // Addresses that came and went leave their places behind.
        if self.order.len() > 2 * self.maximum {
            self.order.retain(|end| self.told.contains_key(end));
        }
    }

    /// Who has this address at `now`. `port`: the one that was connected to there; 0 for whoever has connected.
    #[must_use]
    pub fn who(&mut self, address: IpAddr, port: u16, now: u64) -> Option<Beyond> {
        let canonical = address.to_canonical();
        let told = self.told.get(&(canonical, port)).or_else(|| self.told.get(&(canonical, 0)));
        let of_cluster = told.filter(|remote| !matches!(***remote, Remote::Host { .. }));
        of_cluster
            .map(|remote| Beyond::Told(remote.clone()))
            .or_else(|| self.hosts.name(address, now).cloned().map(Beyond::Dns))
            .or_else(|| told.cloned().map(Beyond::Told))
    }

    /// Whether nothing is known of any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.told.is_empty()
    }

    /// Addresses that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hosts.len() + self.told.len()
    }

    /// What made room for others before its time was over.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.hosts.evicted() + self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use steth_event::{Pod, Workload};

    fn ip(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn name(remotes: &mut Remotes, address: IpAddr) -> Option<String> {
        remotes.who(address, 80, 1).map(|beyond| beyond.name().to_owned())
    }

    #[test]
    fn the_cluster_comes_before_dns_and_dns_before_the_file() {
        let mut remotes = Remotes::new(10);
        let host = Some(Remote::Host { name: "printer".into() });
        remotes.tell(Peer { address: "::ffff:192.0.2.1".parse().unwrap(), port: 0, who: host.clone() });
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("printer"), "IPv4 mapped into IPv6 is IPv4");
        remotes.learn("db.example", ip(1), 300, 0);
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("db.example"));
        let pod = Pod { name: "db-0".into(), namespace: "shop".into(), ..Pod::default() };
        let workload = Workload { kind: "StatefulSet".into(), name: "db".into() };
        remotes.tell(Peer { address: ip(1), port: 0, who: Some(Remote::Pod { pod, workload, declared: None }) });
        let who = remotes.who(ip(1), 80, 1).unwrap();
        assert_eq!((who.name(), who.namespace(), who.is_service()), ("db", Some("shop"), true));
        remotes.tell(Peer { address: ip(1), port: 0, who: None });
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("db.example"), "the pod is gone");
        let service = Some(Remote::Service { namespace: "shop".into(), name: "ingress".into() });
        remotes.tell(Peer { address: ip(9), port: 443, who: service });
        remotes.tell(Peer { address: ip(9), port: 0, who: Some(Remote::Node { name: "n1".into() }) });
        let mut at = |port| remotes.who(ip(9), port, 1).map(|beyond| beyond.name().to_owned());
        assert_eq!(
            (at(443).as_deref(), at(80).as_deref(), at(0).as_deref()),
            (Some("ingress"), Some("n1"), Some("n1"))
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut remotes = Remotes::new(3);
        let told = |n| Peer { address: ip(n), port: 0, who: Some(Remote::Node { name: format!("n{n}") }) };
        (0..4).for_each(|n| remotes.tell(told(n)));
        assert_eq!((remotes.len(), remotes.evicted(), name(&mut remotes, ip(0))), (3, 1, None));
        for n in 0..200 {
            remotes.tell(told(n));
            remotes.tell(Peer { address: ip(n), port: 0, who: None });
        }
        assert!(remotes.is_empty() && remotes.order.len() <= 7);
    }
}
