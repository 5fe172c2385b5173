//! Who is behind a remote address.

use crate::hosts::{Hosts, News, says_nothing};
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
    /// What the cluster, `/etc/hosts` or whoever it is says.
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
                Remote::Service { declared: Some(name), .. } => name,
                Remote::Pod { workload, .. } | Remote::Service { workload: Some(workload), .. } => &workload.name,
                Remote::Service { name, .. }
                | Remote::Node { name }
                | Remote::Host { name }
                | Remote::Process { name } => name,
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
                Remote::Node { .. } | Remote::Host { .. } | Remote::Process { .. } => None,
            },
            Beyond::Dns(_) => None,
        }
    }

    /// The port that was really connected to, where the address is a service's and it is known.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Beyond::Told(remote) => match **remote {
                Remote::Service { port, .. } => port,
                Remote::Pod { .. } | Remote::Node { .. } | Remote::Host { .. } | Remote::Process { .. } => None,
            },
            Beyond::Dns(_) => None,
        }
    }

    /// Whether the name is that of a service, which its port adds nothing to.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self, Beyond::Told(remote) if matches!(**remote, Remote::Pod { .. } | Remote::Service { .. } | Remote::Process { .. }))
    }

    /// Whether it is a part of the cluster.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        matches!(self, Beyond::Told(remote) if !matches!(**remote, Remote::Host { .. } | Remote::Process { .. }))
    }
}

#[derive(Clone, Debug)]
struct Told {
    who: Arc<Remote>,
    /// 0: any.
    netns: u32,
    /// Nanoseconds since 1970, if it is known.
    since: Option<u64>,
}

/// Remote addresses and who has them. Whoever is there and the cluster know better than DNS, DNS better than `/etc/hosts`.
#[derive(Debug)]
pub struct Remotes {
    hosts: Hosts,
    /// By address and port; port 0 is any.
    told: HashMap<(IpAddr, u16), Told, FixedState>,
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
    pub fn learn(&mut self, name: &str, address: IpAddr, ttl: u32, now: u64) -> Option<News> {
        self.hosts.learn(name, address, ttl, now)
    }

    /// Whether anybody may ever be known behind this address: not behind one that everybody has.
    #[must_use]
    pub fn may_know(address: IpAddr) -> bool {
        !says_nothing(address.to_canonical())
    }

    /// From now on this is who has the address.
    pub fn tell(&mut self, peer: Peer) {
        let end = (peer.address.to_canonical(), peer.port);
        let Some(who) = peer.who else {
            self.told.remove(&end);
            return;
        };
        if self.told.insert(end, Told { who: Arc::new(who), netns: peer.netns, since: peer.since }).is_some() {
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

    /// Who has this address in a network namespace at `now`. `port`: the one that was connected to there; 0 for whoever has connected.
    #[must_use]
    pub fn who(&mut self, address: IpAddr, port: u16, netns: u32, now: u64) -> Option<Beyond> {
        self.who_if(address, port, netns, now, |_| true)
    }

    /// The same for what was at `then` and had to wait: who has the address only since later than that is left out. `clock`: what to add to
    /// times of records to get nanoseconds since 1970.
    #[must_use]
    pub fn who_was(&mut self, address: IpAddr, port: u16, netns: u32, then: u64, clock: u64) -> Option<Beyond> {
        let at = then.wrapping_add(clock);
        self.who_if(address, port, netns, then, |told| told.since.is_some_and(|since| since <= at))
    }

    fn who_if(
        &mut self,
        address: IpAddr,
        port: u16,
        netns: u32,
        at: u64,
        holds: impl Fn(&Told) -> bool,
    ) -> Option<Beyond> {
        let canonical = address.to_canonical();
        // Whoever has it in another namespace only does not stand before whoever has it in any.
        let there = |port| self.told.get(&(canonical, port)).filter(|told| told.netns == 0 || told.netns == netns);
        let told = there(port).or_else(|| there(0)).filter(|told| holds(told)).map(|told| &told.who);
        let better = told.filter(|remote| !matches!(***remote, Remote::Host { .. }));
        better
            .map(|remote| Beyond::Told(remote.clone()))
            .or_else(|| self.hosts.name(address, at).cloned().map(Beyond::Dns))
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
        remotes.who(address, 80, 0, 1).map(|beyond| beyond.name().to_owned())
    }

    #[test]
    fn loopback_of_another_network_namespace_is_somebody_elses() {
        let mut remotes = Remotes::new(10);
        let who = Some(Remote::Process { name: "steth".into() });
        let address = IpAddr::from([127, 0, 0, 1]);
        remotes.tell(Peer { address, port: 7117, netns: 5, who, since: None });
        let mut at = |port, netns| remotes.who(address, port, netns, 1).map(|beyond| beyond.name().to_owned());
        assert_eq!(at(7117, 5).as_deref(), Some("steth"));
        assert_eq!([at(7117, 6), at(7117, 0), at(7118, 5)], [None, None, None]);
        let who = Some(Remote::Host { name: "localhost".into() });
        remotes.tell(Peer { address, port: 0, netns: 0, who, since: None });
        let mut at = |port, netns| remotes.who(address, port, netns, 1).map(|beyond| beyond.name().to_owned());
        assert_eq!([at(7117, 5).as_deref(), at(7117, 6).as_deref()], [Some("steth"), Some("localhost")]);
    }

    #[test]
    fn the_cluster_comes_before_dns_and_dns_before_the_file() {
        let mut remotes = Remotes::new(10);
        let host = Some(Remote::Host { name: "printer".into() });
        remotes.tell(Peer {
            address: "::ffff:192.0.2.1".parse().unwrap(),
            port: 0,
            netns: 0,
            who: host.clone(),
            since: None,
        });
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("printer"), "IPv4 mapped into IPv6 is IPv4");
        remotes.learn("db.example", ip(1), 300, 0);
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("db.example"));
        let pod = Pod { name: "db-0".into(), namespace: "shop".into(), ..Pod::default() };
        let workload = Workload { kind: "StatefulSet".into(), name: "db".into() };
        remotes.tell(Peer {
            address: ip(1),
            port: 0,
            netns: 0,
            who: Some(Remote::Pod { pod, workload, declared: None }),
            since: None,
        });
        let who = remotes.who(ip(1), 80, 0, 1).unwrap();
        assert_eq!((who.name(), who.namespace(), who.is_service()), ("db", Some("shop"), true));
        remotes.tell(Peer { address: ip(1), port: 0, netns: 0, who: None, since: None });
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("db.example"), "the pod is gone");
        let (namespace, name) = ("shop".to_owned(), "ingress".to_owned());
        let service = Some(Remote::Service { namespace, name, workload: None, declared: None, port: None });
        remotes.tell(Peer { address: ip(9), port: 443, netns: 0, who: service, since: None });
        remotes.tell(Peer {
            address: ip(9),
            port: 0,
            netns: 0,
            who: Some(Remote::Node { name: "n1".into() }),
            since: None,
        });
        let mut at = |port| remotes.who(ip(9), port, 0, 1).map(|beyond| beyond.name().to_owned());
        assert_eq!(
            (at(443).as_deref(), at(80).as_deref(), at(0).as_deref()),
            (Some("ingress"), Some("n1"), Some("n1"))
        );
    }

    #[test]
    fn a_process_of_this_host_is_a_service_and_no_part_of_a_cluster() {
        let mut remotes = Remotes::new(10);
        let who = Some(Remote::Process { name: "steth".into() });
        remotes.learn("localhost.example", ip(1), 300, 0);
        remotes.tell(Peer { address: ip(1), port: 80, netns: 0, who, since: None });
        let who = remotes.who(ip(1), 80, 0, 1).unwrap();
        assert_eq!((who.name(), who.namespace(), who.port()), ("steth", None, None));
        assert!(who.is_service() && !who.is_in_cluster());
        let other = remotes.who(ip(1), 81, 0, 1).map(|beyond| beyond.name().to_owned());
        assert_eq!(other.as_deref(), Some("localhost.example"), "at its own port only");
    }

    #[test]
    fn what_had_to_wait_is_not_called_by_whoever_came_later() {
        let mut remotes = Remotes::new(10);
        for (n, since) in [(1, Some(200)), (2, Some(150)), (3, None)] {
            remotes.tell(Peer {
                address: ip(n),
                port: 0,
                netns: 0,
                who: Some(Remote::Node { name: format!("n{n}") }),
                since,
            });
        }
        let mut was = |n| remotes.who_was(ip(n), 80, 0, 50, 100).map(|beyond| beyond.name().to_owned());
        assert_eq!([was(1), was(2), was(3)], [None, Some("n2".to_owned()), None]);
        assert_eq!(name(&mut remotes, ip(1)).as_deref(), Some("n1"), "from now on");
    }

    #[test]
    fn a_service_is_called_by_what_answers_there() {
        let name = |workload: Option<&str>, declared: Option<&str>| {
            let workload = workload.map(|name| Workload { kind: "Deployment".into(), name: name.into() });
            let (namespace, declared) = ("shop".to_owned(), declared.map(str::to_owned));
            let service = Remote::Service { namespace, name: "front".into(), workload, declared, port: Some(8080) };
            let beyond = Beyond::Told(Arc::new(service));
            assert!(beyond.is_service() && beyond.port() == Some(8080) && beyond.namespace() == Some("shop"));
            beyond.name().to_owned()
        };
        assert_eq!(
            [name(None, None), name(Some("web"), None), name(Some("web"), Some("cart"))],
            ["front", "web", "cart"]
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut remotes = Remotes::new(3);
        let told = |n| Peer {
            address: ip(n),
            port: 0,
            netns: 0,
            who: Some(Remote::Node { name: format!("n{n}") }),
            since: None,
        };
        (0..4).for_each(|n| remotes.tell(told(n)));
        assert_eq!((remotes.len(), remotes.evicted(), name(&mut remotes, ip(0))), (3, 1, None));
        for n in 0..200 {
            remotes.tell(told(n));
            remotes.tell(Peer { address: ip(n), port: 0, netns: 0, who: None, since: None });
        }
        assert!(remotes.is_empty() && remotes.order.len() <= 7);
    }
}
