//! What the container runtimes say, as records and as facts for the rules.

use crate::configuration::Identity;
use foldhash::fast::FixedState;
use hashbrown::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use steth_containers::{Answer, Counters, Names, Pairs, Runtimes, Settings};
use steth_event::{Container, LookUp, Pod};
use steth_identity::{container_bytes_of, container_text, declared_by, workload_of_container, workload_of_pod};
use steth_judge::Id;
use steth_verdict::ContainerFacts;

/// Containers that are not asked for again. Beyond it, all are.
const ASKED: usize = 8192;
/// What a container may declare of itself.
const DECLARED: [&str; 2] = ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"];

/// The runtimes, and what was asked of them.
pub(super) struct Containers {
    runtimes: Runtimes,
    asked: HashSet<Box<str>, FixedState>,
}

impl Containers {
    pub(super) fn start(settings: &Identity) -> anyhow::Result<Self> {
        let (endpoints, environment) = (settings.endpoints()?, Names::exact(DECLARED));
        let settings = Settings { root: host_root(), endpoints, environment, ..Settings::default() };
        let asked = HashSet::with_hasher(FixedState::with_seed(0x636f));
        Ok(Self { runtimes: Runtimes::start(settings)?, asked })
    }

    pub(super) fn ask(&mut self, id: &str, each: &mut impl FnMut(&[u8])) {
        if self.asked.contains(id) {
            return;
        }
        if self.asked.len() >= ASKED {
            self.asked.clear();
        }
        // Without room it is asked when one of its processes is seen again.
        if self.runtimes.ask(id) {
            self.asked.insert(id.into());
            // Where there is no runtime, nobody need wait for one. Should one come, it tells by itself.
            if !self.runtimes.endpoints().is_empty() {
                let under_way = Container { id: id.to_owned(), look_up: LookUp::UnderWay, ..Container::default() };
                each(&under_way.to_record());
            }
        }
    }

    /// What is known of one container; waits for the answer.
    pub(super) fn wait_for(mut self, id: &Id) -> Option<ContainerFacts> {
        const PATIENCE: Duration = Duration::from_secs(6);
        let (id, until) = (container_text(id), Instant::now() + PATIENCE);
        self.runtimes.ask(&id);
        while let left @ 1.. = until.saturating_duration_since(Instant::now()).as_millis() {
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
            let Some(answer) = self.runtimes.answer(left) else { break };
            if *answer.id == *id {
                return facts(&answer);
            }
        }
        None
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// Hands on what was answered, as `complete` completes it.
    pub(super) fn turn(
        &mut self,
        mut complete: impl FnMut(Container) -> Container,
        each: &mut impl FnMut(&[u8]),
        known: &mut impl FnMut(&Id, Option<&ContainerFacts>),
    ) {
        while let Some(answer) = self.runtimes.answer(Duration::ZERO) {
            let container = record(&answer);
            if answer.container.is_some() {
                self.asked.insert(answer.id.as_ref().into());
            } else {
                // Asked again when another of its processes is seen.
                self.asked.remove(&*answer.id);
            }
            each(&complete(container).to_record());
            if let (Some(id), Some(facts)) = (container_bytes_of(&answer.id), facts(&answer)) {
                known(&id, Some(&facts));
            }
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.runtimes.counters()
    }
}

/// The root of the host, as this process reaches it: its own, or in a container with the host's process ids that of the first process.
fn host_root() -> PathBuf {
    let first = Path::new("/proc/1/root");
    let place = |path: &Path| std::fs::metadata(path.join(".")).ok().map(|root| (root.dev(), root.ino()));
    match (place(first), place(Path::new("/"))) {
        (Some(host), Some(own)) if host != own => first.to_owned(),
        _ => PathBuf::from("/"),
    }
}

/// Whoever runs a runtime of his own may say there that a container is part of any pod: that is not believed.
fn pod_of(container: &steth_containers::Container) -> Option<&steth_containers::Pod> {
    container.pod.as_deref().filter(|_| container.user == 0)
}

fn record(answer: &Answer) -> Container {
    let id = answer.id.to_string();
    let Some(container) = &answer.container else { return Container { id, ..Container::default() } };
    let pod = pod_of(container).map(|pod| Pod {
        name: pod.name.to_string(),
        namespace: pod.namespace.to_string(),
        uid: pod.uid.to_string(),
        node: String::new(),
    });
    let labels = [pod_of(container).map(|pod| &pod.labels), Some(&container.labels)];
    let label = |key: &str| labels.into_iter().flatten().find_map(|labels: &Pairs| labels.get(key));
    let workload = match &pod {
        _ if container.sandbox => None,
        Some(pod) => Some(workload_of_pod(pod, label)),
        None => workload_of_container(&container.name, label),
    };
    let declared = declared_by(container.environment.get(DECLARED[0]), container.environment.get(DECLARED[1]));
    Container {
        id,
        name: container.name.to_string(),
        image: container.image.to_string(),
        runtime: container.runtime.to_string(),
        sandbox: container.sandbox,
        workload,
        pod,
        declared,
        look_up: LookUp::Done,
    }
}

fn facts(answer: &Answer) -> Option<ContainerFacts> {
    let container = answer.container.as_ref()?;
    let pod = pod_of(container);
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let labels = [pod.map(|pod| &pod.labels), Some(&container.labels)];
    let labels = labels.into_iter().flatten().flat_map(Pairs::iter);
    Some(ContainerFacts {
        name: some(&container.name),
        image: some(&container.image),
        pod: pod.and_then(|pod| some(&pod.name)),
        namespace: pod.and_then(|pod| some(&pod.namespace)),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}
