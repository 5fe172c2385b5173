//! What a container is one of, from its labels: known without asking anybody, but less surely than the cluster knows it.

use steth_event::{Pod, Workload};

/// What controllers write into the pods that they make (Kubernetes: *Well-Known Labels, Annotations and Taints*).
const TEMPLATE_HASH: &str = "pod-template-hash";
const STATEFUL_SET_POD: &str = "statefulset.kubernetes.io/pod-name";
const REVISION_HASH: &str = "controller-revision-hash";
const JOB_NAMES: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
/// Docker Compose and Swarm.
const SERVICES: [&str; 2] = ["com.docker.compose.service", "com.docker.swarm.service.name"];

/// The workload of a pod with these labels: what its name is made of tells the owner's. A pod that nothing made is its own.
#[must_use]
pub fn workload_of_pod<'a>(pod: &Pod, label: impl Fn(&str) -> Option<&'a str>) -> Workload {
    let workload = |kind: &str, name: &str| Workload { kind: kind.to_owned(), name: name.to_owned() };
    // "web-7d4b9c6f5-x2xvq": a ReplicaSet's name and five characters.
    let without_suffix = |length: usize| {
        let (head, tail) = pod.name.rsplit_once('-')?;
        (!head.is_empty() && tail.len() == length && tail.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(head)
    };
    if let Some(job) = JOB_NAMES.iter().find_map(|name| label(name)) {
        return job_owner(job);
    }
    if let Some(hash) = label(TEMPLATE_HASH) {
        let name = without_suffix(5).and_then(|name| name.strip_suffix(hash)?.strip_suffix('-'));
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return workload("Deployment", name);
        }
    }
    if label(STATEFUL_SET_POD).is_some() {
        let numbered = |(name, number): &(&str, &str)| {
            !name.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        };
        if let Some((name, _)) = pod.name.rsplit_once('-').filter(numbered) {
            return workload("StatefulSet", name);
        }
    } else if label(REVISION_HASH).is_some()
        && let Some(name) = without_suffix(5)
    {
        return workload("DaemonSet", name);
    }
    workload("Pod", &pod.name)
}

/// The owner of a job, from its name: a CronJob's jobs are called after it and the minute for which they were due (at least eight digits,
/// since 1970).
#[must_use]
pub fn job_owner(job: &str) -> Workload {
    let due = |(name, minute): &(&str, &str)| {
        !name.is_empty() && minute.len() >= 8 && minute.bytes().all(|b| b.is_ascii_digit())
    };
    match job.rsplit_once('-').filter(due) {
        Some((name, _)) => Workload { kind: "CronJob".to_owned(), name: name.to_owned() },
        None => Workload { kind: "Job".to_owned(), name: job.to_owned() },
    }
}

/// The workload of a container outside of pods: its service of Compose or Swarm, else its own name, unless nobody has chosen that.
#[must_use]
pub fn workload_of_container<'a>(name: &str, label: impl Fn(&str) -> Option<&'a str>) -> Option<Workload> {
    if let Some(service) = SERVICES.iter().find_map(|key| label(key)).filter(|service| !service.is_empty()) {
        return Some(Workload { kind: "Service".to_owned(), name: service.to_owned() });
    }
    (!name.is_empty() && !is_generated(name)).then(|| Workload { kind: "Container".to_owned(), name: name.to_owned() })
}

/// The adjectives with which Docker and podman begin the names that they make up, in order.
const ADJECTIVES: [&str; 108] = [
    "admiring",
    "adoring",
    "affectionate",
    "agitated",
    "amazing",
    "angry",
    "awesome",
    "beautiful",
    "blissful",
    "bold",
    "boring",
    "brave",
    "busy",
    "charming",
    "clever",
    "compassionate",
    "competent",
    "condescending",
    "confident",
    "cool",
    "cranky",
    "crazy",
    "dazzling",
    "determined",
    "distracted",
    "dreamy",
    "eager",
    "ecstatic",
    "elastic",
    "elated",
    "elegant",
    "eloquent",
    "epic",
    "exciting",
    "fervent",
    "festive",
    "flamboyant",
    "focused",
    "friendly",
    "frosty",
    "funny",
    "gallant",
    "gifted",
    "goofy",
    "gracious",
    "great",
    "happy",
    "hardcore",
    "heuristic",
    "hopeful",
    "hungry",
    "infallible",
    "inspiring",
    "intelligent",
    "interesting",
    "jolly",
    "jovial",
    "keen",
    "kind",
    "laughing",
    "loving",
    "lucid",
    "magical",
    "modest",
    "musing",
    "mystifying",
    "naughty",
    "nervous",
    "nice",
    "nifty",
    "nostalgic",
    "objective",
    "optimistic",
    "peaceful",
    "pedantic",
    "pensive",
    "practical",
    "priceless",
    "quirky",
    "quizzical",
    "recursing",
    "relaxed",
    "reverent",
    "romantic",
    "sad",
    "serene",
    "sharp",
    "silly",
    "sleepy",
    "stoic",
    "strange",
    "stupefied",
    "suspicious",
    "sweet",
    "tender",
    "thirsty",
    "trusting",
    "unruffled",
    "upbeat",
    "vibrant",
    "vigilant",
    "vigorous",
    "wizardly",
    "wonderful",
    "xenodochial",
    "youthful",
    "zealous",
    "zen",
];

/// Docker and podman call what has no name `adjective_surname`, with a digit if that is taken; containerd takes the id.
fn is_generated(name: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let pair = |(adjective, surname): (&str, &str)| {
        ADJECTIVES.binary_search(&adjective).is_ok()
            && letters(surname.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(surname))
    };
    name.split_once('_').is_some_and(pair) || (name.len() >= 12 && name.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pod(name: &str, labels: &[(&'static str, &'static str)]) -> String {
        let pod = Pod { name: name.to_owned(), ..Pod::default() };
        let label = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let Workload { kind, name } = workload_of_pod(&pod, label);
        format!("{kind}/{name}")
    }

    #[test]
    fn the_owner_of_a_pod() {
        let hash = [("pod-template-hash", "7d4b9c6f5")];
        assert_eq!(of_pod("web-api-7d4b9c6f5-x2xvq", &hash), "Deployment/web-api");
        assert_eq!(of_pod("web-api-7d4b9c6f5-x2xvq", &[]), "Pod/web-api-7d4b9c6f5-x2xvq");
        assert_eq!(of_pod("7d4b9c6f5-x2xvq", &hash), "Pod/7d4b9c6f5-x2xvq", "no name is left");
        assert_eq!(of_pod("web", &hash), "Pod/web");
        let stateful = [("statefulset.kubernetes.io/pod-name", "db-0"), ("controller-revision-hash", "db-5c")];
        assert_eq!(of_pod("db-0", &stateful), "StatefulSet/db");
        assert_eq!(of_pod("proxy-abcde", &[("controller-revision-hash", "5c")]), "DaemonSet/proxy");
        assert_eq!(of_pod("backup-1-abcde", &[("job-name", "backup-1")]), "Job/backup-1");
        assert_eq!(of_pod("nightly-28912345-abcde", &[("job-name", "nightly-28912345")]), "CronJob/nightly");
        assert_eq!(of_pod("alone", &[]), "Pod/alone");
        assert_eq!(of_pod("", &hash), "Pod/");
    }

    #[test]
    fn a_container_that_nobody_named_has_no_workload() {
        let of = |name: &str, service: Option<&'static str>| {
            let label = |key: &str| service.filter(|_| key == "com.docker.compose.service");
            workload_of_container(name, label).map(|workload| workload.name)
        };
        assert_eq!(of("shop-cart-1", Some("cart")).as_deref(), Some("cart"));
        assert_eq!(of("cart", None).as_deref(), Some("cart"));
        for name in ["my_cart_1", "order_service", "my_db", "redis_cache", "great_Idea", "happy_path_api"] {
            assert_eq!(of(name, None).as_deref(), Some(name));
        }
        assert!(ADJECTIVES.is_sorted());
        for name in ["eager_knuth", "eager_knuth3", "admiring_bell", "zen_hopper", "0123456789abcdef", ""] {
            assert_eq!(of(name, None), None, "{name}");
        }
    }
}
