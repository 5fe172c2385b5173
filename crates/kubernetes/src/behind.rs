//! Who answers at a service's address: whoever asks it cannot see which pod that is, but often which workload.

use crate::directory::{Directory, pod_kept};
use crate::owner::{PodOwner, Service, Transport, Workload};
use crate::read::{Endpoint, EndpointPort};
use std::sync::Arc;

/// What all endpoints of a service have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// What all their pods belong to.
    pub workload: Workload,
    /// What all of these say that the service is called ([`crate::Pod::service_name`]).
    pub service_name: Option<Arc<str>>,
    /// Where they wait for what comes to the port that was asked for.
    pub port: Option<u16>,
}

/// Endpoints that are looked at. Of a service with more it is not said what they have in common: a look-up is not to take long.
const LOOKED_AT: usize = 256;

impl Directory {
    /// What answers at the addresses of `service`, as far as EndpointSlices say now: `None` without endpoints, or if one is no pod that
    /// is known, or of another workload than the others. `port`: the one of the service that is asked, as it is called there.
    #[must_use]
    pub fn behind(&self, service: &Service, port: Option<(Option<&str>, Transport)>) -> Option<Behind> {
        let cluster = self.read();
        let slices: Vec<_> = cluster.slices_of(&service.namespace, &service.name).collect();
        let mut common: Option<PodOwner> = None;
        for (looked_at, endpoint) in slices.iter().flat_map(|slice| slice.endpoints.iter()).enumerate() {
            let Endpoint { uid: Some(uid), .. } = endpoint else { return None };
            let kept = cluster.pod_of(*uid).filter(|_| looked_at < LOOKED_AT)?;
            let owner = pod_kept(&cluster, kept)?;
            match &mut common {
                None => common = Some(owner),
                Some(first) if first.workload != owner.workload => return None,
                Some(first) if first.pod.service_name != owner.pod.service_name => return None,
                Some(_) => {}
            }
        }
        let PodOwner { pod, workload } = common?;
        let port = port.and_then(|(name, transport)| {
            let called = |port: &&EndpointPort| port.name.as_deref() == name && port.transport == transport;
            let mut numbers = slices.iter().flat_map(|slice| slice.ports.iter()).filter(called).map(|port| port.number);
            let first = numbers.next()?;
            numbers.all(|number| number == first).then_some(first)
        });
        Some(Behind { workload, service_name: pod.service_name.clone(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;
    use crate::id::Uid;
    use crate::intern::Interner;
    use crate::limits::Limits;
    use crate::{object, read};

    /// A service `front` of port 80, called `web`, and pods: each with its workload and what it says that its service is called.
    struct Bench {
        directory: Directory,
        service: Service,
    }

    fn uid(n: usize) -> String {
        format!("{n:032x}")
    }

    impl Bench {
        fn new(pods: &[(&str, &str)]) -> Self {
            let mut cluster = Cluster::new(Limits::default());
            let mut interner = Interner::new();
            for (n, (workload, called)) in pods.iter().enumerate() {
                let json = format!(
                    r#"{{"metadata":{{"name":"p{n}","namespace":"shop","uid":"{}","annotations":{{"resource.opentelemetry.io/service.name":"{called}"}},
                        "ownerReferences":[{{"kind":"StatefulSet","name":"{workload}","uid":"{}","controller":true}}]}},
                        "status":{{"phase":"Running","podIPs":[{{"ip":"10.1.0.{}"}}]}}}}"#,
                    uid(n + 1),
                    uid(1000),
                    n % 250 + 1
                );
                let pod: object::Pod = serde_json::from_str(&json).expect("a pod");
                cluster.pod(read::pod(&pod, &mut interner).expect("usable"), 1);
            }
            let json = format!(
                r#"{{"metadata":{{"name":"front","namespace":"shop","uid":"{}"}},
                    "spec":{{"clusterIP":"10.96.0.7","ports":[{{"name":"web","port":80}}]}}}}"#,
                uid(2000)
            );
            let service: object::Service = serde_json::from_str(&json).expect("a service");
            let service = read::service(&service, &mut interner).expect("usable");
            Self { directory: Directory::new(cluster), service }
        }

        /// A slice of these pods, which wait for connections at this port.
        fn slice(&self, n: usize, pods: impl IntoIterator<Item = usize>, port: u16) {
            let of = |pod: usize| {
                format!(
                    r#"{{"addresses":["10.1.{}.{}"],"targetRef":{{"kind":"Pod","uid":"{}"}}}}"#,
                    pod / 250,
                    pod % 250 + 1,
                    uid(pod + 1)
                )
            };
            let endpoints: Vec<_> = pods.into_iter().map(of).collect();
            let json = format!(
                r#"{{"metadata":{{"name":"front-{n}","namespace":"shop","uid":"{}","labels":{{"kubernetes.io/service-name":"front"}}}},
                    "endpoints":[{}],"ports":[{{"name":"web","port":{port}}},{{"name":"admin","port":9000}}]}}"#,
                uid(3000 + n),
                endpoints.join(",")
            );
            let slice: object::EndpointSlice = serde_json::from_str(&json).expect("a slice");
            let read = read::slice(&slice, &mut Interner::new()).expect("usable").expect("of a service");
            self.directory.write().slice(Uid::parse(&uid(3000 + n)).expect("a uid"), read);
        }

        fn behind(&self) -> Option<(String, Option<String>, Option<u16>)> {
            let behind = self.directory.behind(&self.service, Some((Some("web"), Transport::Tcp)))?;
            Some((behind.workload.name.to_string(), behind.service_name.map(|name| name.to_string()), behind.port))
        }
    }

    #[test]
    fn all_pods_of_one_workload_answer_for_it() {
        let bench = Bench::new(&[("web", ""), ("web", "")]);
        assert_eq!(bench.behind(), None, "nobody is listed");
        bench.slice(1, [0], 8080);
        bench.slice(2, [1], 8080);
        assert_eq!(bench.behind(), Some(("web".into(), None, Some(8080))));
        bench.slice(2, [1], 8081);
        assert_eq!(bench.behind(), Some(("web".into(), None, None)), "not at one port");
        bench.slice(2, [7], 8080);
        assert_eq!(bench.behind(), None, "a pod that is not known may be anybody's");
    }

    #[test]
    fn pods_of_several_workloads_or_with_several_names_have_nothing_in_common() {
        let bench = Bench::new(&[("web", ""), ("canary", "")]);
        bench.slice(1, [0, 1], 8080);
        assert_eq!(bench.behind(), None);
        bench.slice(1, [1], 8080);
        assert_eq!(
            bench.behind().map(|(workload, ..)| workload).as_deref(),
            Some("canary"),
            "the other one is scaled down"
        );
        let bench = Bench::new(&[("web", "cart"), ("web", "cart"), ("web", "basket")]);
        bench.slice(1, [0, 1], 8080);
        assert_eq!(bench.behind(), Some(("web".into(), Some("cart".into()), Some(8080))));
        bench.slice(1, [0, 2], 8080);
        assert_eq!(bench.behind(), None);
    }

    #[test]
    fn of_more_endpoints_than_are_looked_at_nothing_is_said() {
        let bench = Bench::new(&vec![("web", ""); LOOKED_AT + 1]);
        bench.slice(1, 0..LOOKED_AT, 8080);
        assert!(bench.behind().is_some());
        bench.slice(2, [LOOKED_AT], 8080);
        assert_eq!(bench.behind(), None);
    }
}
