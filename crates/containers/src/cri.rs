//! The CRI: what containerd, CRI-O and cri-dockerd know of pods and containers.
//!
//! Methods and field numbers are those of `pkg/apis/runtime/v1/api.proto` in kubernetes/cri-api. `v1alpha2`, which
//! older runtimes serve, has the same ones in all messages that are read here.

use crate::container::{Bounds, Collected, Container, Pairs, Pod, is_id};
use crate::counters::Count;
use crate::environment::{Names, pick};
use crate::grpc::{Channel, Messages};
use crate::protobuf::{Fields, Value, bytes, put, put_true};
use crate::trouble::{NOT_FOUND, Trouble};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an answer about one container. With `verbose` it holds the container's whole specification.
const ONE: usize = 1 << 20;
/// Bytes of a listing: some 2 KiB for each container, so thousands of them.
const LISTING: usize = 8 << 20;
/// Entries of a listing that are read.
const LISTED: usize = 4096;
/// Pods that are remembered, so that each of its containers need not ask for it again.
const PODS: usize = 1024;

/// A connection to a CRI runtime.
pub(crate) struct Cri {
    channel: Channel,
    service: &'static str,
    runtime: Arc<str>,
    names: Names,
    /// By the id of their sandbox. What is read of a pod never changes.
    pods: Mutex<HashMap<Box<str>, Arc<Pod>, FixedState>>,
    count: Arc<Count>,
}

/// A container as a listing has it: all but its image's name and its environment.
pub(crate) struct Listed {
    pub(crate) id: Box<str>,
    sandbox: Box<str>,
    name: Box<str>,
    image: Box<str>,
    labels: Pairs,
    truncated: bool,
    running: bool,
}

impl Cri {
    pub(crate) async fn connect(path: &Path, names: Names, count: Arc<Count>) -> Result<Self, Trouble> {
        let channel = Channel::connect(path).await?;
        let mut service = "runtime.v1.RuntimeService";
        let version = match channel.call(&format!("/{service}/Version"), &[], ONE).await {
            Err(Trouble::NoCri) => {
                service = "runtime.v1alpha2.RuntimeService";
                channel.call(&format!("/{service}/Version"), &[], ONE).await?
            }
            version => version?,
        };
        // VersionResponse: runtime_name = 2.
        let runtime = Bounds::default().lossy(bytes(&version, 2));
        if runtime.is_empty() {
            return Err(Trouble::Malformed("a version without a runtime's name"));
        }
        let pods = Mutex::new(HashMap::with_hasher(FixedState::with_seed(0x706f64)));
        Ok(Self { channel, service, runtime: runtime.into(), names, pods, count })
    }

    pub(crate) fn runtime(&self) -> &Arc<str> {
        &self.runtime
    }

    pub(crate) fn user(&self) -> u32 {
        self.channel.user
    }

    pub(crate) fn ended(&self) -> bool {
        self.channel.ended()
    }

    fn method(&self, name: &str) -> String {
        format!("/{}/{name}", self.service)
    }

    /// Everything that runs, or is about to: sandboxes as containers of their own, and containers to be completed.
    pub(crate) async fn running(&self) -> Result<(Vec<Container>, Vec<Listed>), Trouble> {
        let sandboxes = self.sandboxes("").await?;
        let mut listed = self.list("").await?;
        listed.retain(|container| container.running);
        Ok((sandboxes, listed))
    }

    /// The container or sandbox with this id. `None`: this runtime does not have it.
    pub(crate) async fn look_up(&self, id: &str) -> Result<Option<Container>, Trouble> {
        match self.list(id).await?.into_iter().find(|listed| &*listed.id == id) {
            Some(listed) => self.complete(listed).await.map(Some),
            None => Ok(self.sandboxes(id).await?.into_iter().find(|sandbox| &*sandbox.id == id)),
        }
    }

    /// `ListContainers`, of one id or of all.
    async fn list(&self, id: &str) -> Result<Vec<Listed>, Trouble> {
        let answer = self.filtered("ListContainers", id).await?;
        let mut fields = Fields::of(&answer);
        // ListContainersResponse: containers = 1.
        let items = fields.by_ref().filter(|(number, _)| *number == 1).take(LISTED);
        let listed = items.map(|(_, item)| listed(item.bytes())).filter(|container| is_id(&container.id)).collect();
        well_formed(&fields)?;
        Ok(listed)
    }

    /// `ListPodSandbox`, of one id or of all; only those that are ready if of all.
    async fn sandboxes(&self, id: &str) -> Result<Vec<Container>, Trouble> {
        let answer = self.filtered("ListPodSandbox", id).await?;
        let mut fields = Fields::of(&answer);
        // ListPodSandboxResponse: items = 1.
        let items = fields.by_ref().filter(|(number, _)| *number == 1).take(LISTED);
        let sandboxes = items.filter_map(|(_, item)| self.sandbox(item.bytes(), id.is_empty())).collect();
        well_formed(&fields)?;
        Ok(sandboxes)
    }

    async fn filtered(&self, method: &str, id: &str) -> Result<crate::grpc::Answer, Trouble> {
        let (mut request, mut filter) = (Vec::new(), Vec::new());
        put(&mut filter, 1, id.as_bytes()); // ContainerFilter and PodSandboxFilter: id = 1
        put(&mut request, 1, &filter); // filter = 1
        self.channel.call(&self.method(method), &request, if id.is_empty() { LISTING } else { ONE }).await
    }

    /// What a listing does not have: the image as people name it, and with `verbose` the environment.
    pub(crate) async fn complete(&self, listed: Listed) -> Result<Container, Trouble> {
        let pod = self.pod(&listed.sandbox).await?;
        let mut request = Vec::new();
        put(&mut request, 1, listed.id.as_bytes()); // ContainerStatusRequest: container_id = 1, verbose = 2
        if self.names.any() {
            put_true(&mut request, 2);
        }
        let mut bounds = Bounds { truncated: listed.truncated };
        let (mut image, mut environment) = (listed.image, Collected::default());
        match self.channel.call(&self.method("ContainerStatus"), &request, ONE).await {
            Ok(answer) => self.status(&answer, &mut bounds, &mut image, &mut environment)?,
            Err(Trouble::Status { code: NOT_FOUND, .. }) => {} // gone since it was listed: what is known of it stays true
            Err(trouble) => return Err(trouble),
        }
        self.count.truncated(bounds.truncated);
        Ok(Container {
            id: listed.id,
            name: listed.name,
            image,
            runtime: self.runtime.clone(),
            user: self.user(),
            pod,
            labels: listed.labels,
            environment: environment.pairs(),
            sandbox: false,
        })
    }

    /// ContainerStatusResponse: status = 1, info = 2 (a map); ContainerStatus: image = 8.
    fn status(
        &self,
        answer: &[u8],
        bounds: &mut Bounds,
        image: &mut Box<str>,
        environment: &mut Collected,
    ) -> Result<(), Trouble> {
        let mut fields = Fields::of(answer);
        for (number, value) in &mut fields {
            match number {
                1 => {
                    let name = image_name(bytes(value.bytes(), 8), bounds);
                    if !name.is_empty() {
                        *image = name;
                    }
                }
                // The key under which containerd and CRI-O give a JSON document with the OCI specification.
                2 if bytes(value.bytes(), 1) == b"info" => {
                    let path = ["runtimeSpec", "process", "env"];
                    pick(bytes(value.bytes(), 2), &path, &self.names, bounds, environment);
                }
                _ => {}
            }
        }
        well_formed(&fields)
    }

    async fn pod(&self, sandbox: &str) -> Result<Option<Arc<Pod>>, Trouble> {
        if !is_id(sandbox) {
            return Ok(None);
        }
        let known = self.pods.lock().unwrap_or_else(PoisonError::into_inner).get(sandbox).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let sandboxes = self.sandboxes(sandbox).await?;
        Ok(sandboxes.into_iter().find(|pod| &*pod.id == sandbox).and_then(|pod| pod.pod))
    }

    /// PodSandbox: id = 1, metadata = 2, state = 3 (ready = 0), labels = 5;
    /// PodSandboxMetadata: name = 1, uid = 2, namespace = 3.
    fn sandbox(&self, item: &[u8], only_ready: bool) -> Option<Container> {
        let mut bounds = Bounds::default();
        let (mut id, mut pod, mut labels, mut ready) = (Box::default(), Pod::default(), Collected::default(), true);
        for (number, value) in Fields::of(item) {
            match (number, value) {
                (1, value) => id = bounds.lossy(value.bytes()),
                (2, metadata) => {
                    pod.name = bounds.lossy(bytes(metadata.bytes(), 1));
                    pod.uid = bounds.lossy(bytes(metadata.bytes(), 2));
                    pod.namespace = bounds.lossy(bytes(metadata.bytes(), 3));
                }
                (3, Value::Number(state)) => ready = state == 0,
                (5, entry) => label(&mut labels, &mut bounds, entry.bytes()),
                _ => {}
            }
        }
        if !is_id(&id) || (only_ready && !ready) {
            return None;
        }
        self.count.truncated(bounds.truncated);
        pod.labels = labels.pairs();
        let pod = self.remember(&id, pod);
        Some(Container {
            id,
            name: pod.name.clone(),
            image: Box::default(),
            runtime: self.runtime.clone(),
            user: self.user(),
            labels: pod.labels.clone(),
            pod: Some(pod),
            environment: Pairs::default(),
            sandbox: true,
        })
    }

    fn remember(&self, sandbox: &str, pod: Pod) -> Arc<Pod> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pods.get(sandbox).filter(|known| ***known == pod) {
            return known.clone();
        }
        if pods.len() >= PODS {
            pods.clear(); // a question more for each pod, and no order to keep
        }
        let pod = Arc::new(pod);
        pods.insert(sandbox.into(), pod.clone());
        pod
    }

    /// `GetContainerEvents`. Runtimes that do not have it say so, or send nothing.
    pub(crate) async fn events(&self) -> Result<Messages, Trouble> {
        self.channel.stream(&self.method("GetContainerEvents"), &[], ONE).await
    }
}

/// The id in an event that says that a container was created or started.
/// ContainerEventResponse: container_id = 1, container_event_type = 2 (created = 0, started = 1).
pub(crate) fn begun(event: &[u8]) -> Option<String> {
    let mut kinds = Fields::of(event).filter(|(number, _)| *number == 2);
    let begins = matches!(kinds.next(), None | Some((_, Value::Number(0 | 1))));
    let id = std::str::from_utf8(bytes(event, 1)).ok()?;
    (begins && is_id(id)).then(|| id.to_owned())
}

/// Container: id = 1, pod_sandbox_id = 2, metadata = 3, image = 4, image_ref = 5, state = 6 (created = 0, running = 1),
/// labels = 8; ContainerMetadata: name = 1.
fn listed(item: &[u8]) -> Listed {
    let mut bounds = Bounds::default();
    let (mut id, mut sandbox, mut name) = (Box::default(), Box::default(), Box::default());
    let (mut image, mut reference): (Box<str>, Box<str>) = (Box::default(), Box::default());
    let (mut labels, mut running) = (Collected::default(), true);
    for (number, value) in Fields::of(item) {
        match (number, value) {
            (1, value) => id = bounds.lossy(value.bytes()),
            (2, value) => sandbox = bounds.lossy(value.bytes()),
            (3, metadata) => name = bounds.lossy(bytes(metadata.bytes(), 1)),
            (4, value) => image = image_name(value.bytes(), &mut bounds),
            (5, value) => reference = bounds.lossy(value.bytes()),
            (6, Value::Number(state)) => running = state <= 1,
            (8, entry) => label(&mut labels, &mut bounds, entry.bytes()),
            _ => {}
        }
    }
    let image = if image.is_empty() { reference } else { image };
    Listed { id, sandbox, name, image, labels: labels.pairs(), truncated: bounds.truncated, running }
}

/// ImageSpec: image = 1, user_specified_image = 18. The kubelet puts a digest into the first, so the second is better.
fn image_name(spec: &[u8], bounds: &mut Bounds) -> Box<str> {
    let named = bytes(spec, 18);
    bounds.lossy(if named.is_empty() { bytes(spec, 1) } else { named })
}

/// An entry of a map of strings: key = 1, value = 2.
fn label(labels: &mut Collected, bounds: &mut Bounds, entry: &[u8]) {
    labels.push_lossy(bounds, bytes(entry, 1), bytes(entry, 2));
}

fn well_formed(fields: &Fields<'_>) -> Result<(), Trouble> {
    if fields.malformed() { Err(Trouble::Malformed("not a message of Protocol Buffers")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, value) in fields {
            put(&mut message, *number, value);
        }
        message
    }

    #[test]
    fn an_image_is_named_as_its_user_did_if_that_is_known() {
        let id = "0a".repeat(32);
        let with = |image: &[u8]| listed(&message(&[(1, id.as_bytes()), (4, image), (5, b"sha256:ref")])).image;
        assert_eq!(&*with(&[]), "sha256:ref");
        assert_eq!(&*with(&message(&[(1, b"sha256:digest")])), "sha256:digest");
        // Field 18 has a key of two bytes.
        let named = [&message(&[(1, b"sha256:digest")])[..], &[0x92, 0x01, 5], b"web:1"].concat();
        assert_eq!(&*with(&named), "web:1");
    }

    #[test]
    fn only_what_begins_is_an_event() {
        let id = "0a".repeat(32);
        let event = |kind: u8| [&message(&[(1, id.as_bytes())])[..], &[0x10, kind]].concat();
        assert_eq!(begun(&message(&[(1, id.as_bytes())])), Some(id.clone()), "created is the default, and not written");
        assert_eq!([0, 1, 2, 3].map(|kind| begun(&event(kind)).is_some()), [true, true, false, false]);
        assert_eq!(begun(&message(&[(1, b"../../etc")])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let container = listed(&bytes);
            prop_assert!(container.name.len() <= crate::container::NAME_BYTES);
            let _ = begun(&bytes);
        }
    }
}
