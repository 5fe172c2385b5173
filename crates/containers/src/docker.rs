//! Docker's API, and podman's, which has the same answers with more in them.
//!
//! <https://docs.docker.com/reference/api/engine/version/v1.41/>, <https://docs.podman.io/en/latest/_static/api.html>

use crate::container::{Bounds, Collected, Container, is_id, pod_of_labels};
use crate::counters::Count;
use crate::environment::{Names, pick};
use crate::http::{Body, get};
use crate::trouble::Trouble;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of an answer about one container.
const ONE: usize = 1 << 20;
/// Bytes of a listing: 1 to 4 KiB for each container.
const LISTING: usize = 8 << 20;
/// Bytes of an event: a line with the container's labels.
const EVENT: usize = 256 * 1024;
/// `{"type":["container"],"event":["create","start","rename"]}`
const FILTERS: &str =
    "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22start%22%2C%22rename%22%5D%7D";

/// A runtime behind Docker's API. Each question is a connection of its own.
pub(crate) struct Docker {
    path: PathBuf,
    runtime: Arc<str>,
    user: u32,
    /// Before each target: empty, or `/v4.3.1/libpod`.
    prefix: String,
    names: Names,
    count: Arc<Count>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    components: Vec<Component>,
    api_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(rename = "APIVersion", default)]
    api_version: String,
}

impl Docker {
    pub(crate) async fn connect(path: &Path, names: Names, count: Arc<Count>) -> Result<Self, Trouble> {
        let body = get(path, "/version", ONE).await?;
        let user = body.user;
        let version: Version = body.whole(|text| json(text)).await??;
        // Podman's own API tells infra containers from others; it has to be asked for by its version.
        let podman = version.components.iter().find(|component| component.name == "Podman Engine");
        let of_podman = podman.and_then(|podman| podman.details.as_ref()).map(|details| &details.api_version);
        let (runtime, prefix) = match of_podman {
            Some(version) if is_version(version) => ("podman", format!("/v{version}/libpod")),
            Some(_) => return Err(Trouble::Malformed("podman's version")),
            None if is_version(&version.api_version) => ("docker", String::new()),
            None => return Err(Trouble::Malformed("Docker's version")),
        };
        Ok(Self { path: path.to_owned(), runtime: runtime.into(), user, prefix, names, count })
    }

    pub(crate) fn runtime(&self) -> &Arc<str> {
        &self.runtime
    }

    pub(crate) fn user(&self) -> u32 {
        self.user
    }

    async fn get(&self, target: &str, maximum: usize) -> Result<Body, Trouble> {
        get(&self.path, &format!("{}{target}", self.prefix), maximum).await
    }

    /// The ids of the containers that run.
    pub(crate) async fn running(&self) -> Result<Vec<String>, Trouble> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "Id")]
            id: String,
        }
        let entries: Option<Vec<Entry>> =
            self.get("/containers/json", LISTING).await?.whole(|text| json(text)).await??;
        Ok(entries.unwrap_or_default().into_iter().map(|entry| entry.id).filter(|id| is_id(id)).collect())
    }

    /// The container with this id. `None`: this runtime does not have it.
    pub(crate) async fn look_up(&self, id: &str) -> Result<Option<Container>, Trouble> {
        match self.get(&format!("/containers/{id}/json"), ONE).await {
            Ok(body) => body.whole(|json| self.container(json)).await?.map(|found| found.filter(|c| &*c.id == id)),
            Err(Trouble::Status { code: 404, .. }) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn container(&self, text: &[u8]) -> Result<Option<Container>, Trouble> {
        let inspected: Inspected<'_> = json(text)?;
        let mut bounds = Bounds::default();
        let labels = inspected.config.labels.unwrap_or_default();
        let pod = pod_of_labels(&mut bounds, |name| labels.get(name));
        let kind = labels.get("io.kubernetes.docker.type");
        let (mut kept, mut environment) = (Collected::default(), Collected::default());
        for (Text(name), Text(value)) in &labels.0 {
            kept.push(&mut bounds, name, value);
        }
        pick(text, &["Config", "Env"], &self.names, &mut bounds, &mut environment);
        let sandbox = inspected.is_infra || kind.is_some_and(|kind| kind == "podsandbox");
        let named = pod.as_ref().and_then(|(_, container)| container.clone()).filter(|_| !sandbox);
        let name = match (&pod, named) {
            (_, Some(name)) => name,
            (Some((pod, _)), None) if sandbox => pod.name.clone(),
            _ => bounds.name(inspected.name.strip_prefix('/').unwrap_or(&inspected.name)),
        };
        let image = [&inspected.config.image, &inspected.image_name, &inspected.image];
        let image = bounds.name(image.into_iter().find(|name| !name.is_empty()).map_or("", |name| name));
        self.count.truncated(bounds.truncated);
        Ok(is_id(&inspected.id).then(|| Container {
            id: (&*inspected.id).into(),
            name,
            image,
            runtime: self.runtime.clone(),
            user: self.user,
            pod: pod.map(|(pod, _)| Arc::new(pod)),
            labels: kept.pairs(),
            environment: environment.pairs(),
            sandbox,
        }))
    }

    /// A line for each container that is created, started or renamed.
    pub(crate) async fn events(&self) -> Result<Body, Trouble> {
        self.get(&format!("/events?stream=true&filters={FILTERS}"), EVENT).await
    }
}

/// The id in an event.
pub(crate) fn begun(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Event<'a> {
        #[serde(borrow)]
        actor: Actor<'a>,
    }
    #[derive(Deserialize)]
    struct Actor<'a> {
        #[serde(rename = "ID", borrow)]
        id: Cow<'a, str>,
    }
    let event: Event<'_> = json(line).ok()?;
    is_id(&event.actor.id).then(|| event.actor.id.into_owned())
}

/// What is read of a container. All borrows from the answer, in which its whole environment stands too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    /// A digest.
    #[serde(borrow, default)]
    image: Cow<'a, str>,
    /// Podman's.
    #[serde(borrow, default)]
    image_name: Cow<'a, str>,
    /// Podman's.
    #[serde(default)]
    is_infra: bool,
    #[serde(borrow)]
    config: Config<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config<'a> {
    #[serde(borrow, default)]
    image: Cow<'a, str>,
    #[serde(borrow, default)]
    labels: Option<Labels<'a>>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Default)]
struct Labels<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'a> Labels<'a> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.iter().find(|(Text(key), _)| key == name).map(|(_, Text(value))| Cow::Borrowed(&**value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = Labels::default();
                while let Some(entry) = map.next_entry()? {
                    labels.0.push(entry);
                }
                Ok(labels)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn json<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, Trouble> {
    // serde_json's own message may quote the text, and the text may hold secrets.
    serde_json::from_slice(text).map_err(|_| Trouble::Malformed("not the JSON that is expected"))
}

fn is_version(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RECORDED: &str = include_str!("../tests/recorded/docker-inspect.json");
    const SECRET: &str = "hunter2-correct-horse-battery-staple";

    fn docker(names: Names) -> Docker {
        let count = Arc::new(Count::default());
        Docker { path: PathBuf::new(), runtime: "docker".into(), user: 0, prefix: String::new(), names, count }
    }

    fn read(json: &str, names: Names) -> Option<Container> {
        docker(names).container(json.as_bytes()).expect("JSON")
    }

    #[test]
    fn a_recorded_answer_is_read() {
        let container = read(RECORDED, Names::exact(["TEAM"])).unwrap();
        assert!(RECORDED.contains(SECRET) && !format!("{container:?}").contains(SECRET));
        assert_eq!((&*container.name, &*container.image), ("cart", "steth.test/busybox:1"));
        assert_eq!(container.labels.iter().collect::<Vec<_>>(), [("a", "b")]);
        assert_eq!(container.environment.iter().collect::<Vec<_>>(), [("TEAM", "y")]);
        assert!(!container.sandbox && container.pod.is_none());
        assert!(read(RECORDED, Names::none()).unwrap().environment.is_empty());
        let event = include_str!("../tests/recorded/docker-event.json");
        assert_eq!(begun(event.as_bytes()).as_deref(), Some(&*container.id));
        for bad in ["", "{}", r#"{"Actor":{"ID":"../x"}}"#, r#"{"Actor":null}"#] {
            assert_eq!(begun(bad.as_bytes()), None, "{bad}");
        }
    }

    /// Labels as dockershim and cri-dockerd set them:
    /// <https://github.com/Mirantis/cri-dockerd/blob/master/core/docker_service.go>
    #[test]
    fn pods_of_docker_are_told_by_their_labels_and_pause_containers_apart() {
        let json = |kind: &str, container: &str| {
            format!(
                r#"{{"Id":"{}","Name":"/k8s_{container}_web-1_shop_u1_0","Image":"sha256:0","Config":{{"Image":"","Labels":{{
                "io.kubernetes.docker.type":"{kind}","io.kubernetes.container.name":"{container}","app":"web",
                "io.kubernetes.pod.name":"web-1","io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.uid":"u1"}}}}}}"#,
                "0a".repeat(32)
            )
        };
        let container = read(&json("container", "nginx"), Names::none()).unwrap();
        let pod = container.pod.as_ref().unwrap();
        assert_eq!((&*pod.name, &*pod.namespace, &*pod.uid), ("web-1", "shop", "u1"));
        assert_eq!((&*container.name, &*container.image, container.sandbox), ("nginx", "sha256:0", false));
        assert_eq!(container.labels.get("app"), Some("web"));
        let pause = read(&json("podsandbox", "POD"), Names::none()).unwrap();
        assert!(pause.sandbox);
        assert_eq!(&*pause.name, "web-1");
    }

    #[test]
    fn versions_become_part_of_a_request_only_if_they_are_some() {
        assert!(is_version("1.41") && is_version("4.3.1"));
        for bad in ["", "4.3.1/../x", "4 HTTP/1.1", "4.3.1-dev\r\n", "11111111111111111"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_recorded_answer_that_was_damaged_is_an_error_or_a_container(at in 0..RECORDED.len(), byte: u8, cut: bool) {
            let mut json = RECORDED.as_bytes().to_vec();
            if cut { json.truncate(at) } else { json[at] = byte }
            if let Err(trouble) = docker(Names::matching(|_| true)).container(&json) {
                let said = trouble.to_string();
                prop_assert!(!said.contains("hunter2"), "{said}");
            }
        }
    }
}
