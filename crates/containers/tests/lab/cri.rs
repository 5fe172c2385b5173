//! A small CRI client that makes pods and containers: what the kubelet does, without the kubelet.
//!
//! The messages have the field numbers of `pkg/apis/runtime/v1/api.proto` in kubernetes/cri-api, and their codec is
//! prost's, not the one under test.

use prost::Message;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

type Map = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodSandboxConfig {
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<PodSandboxMetadata>,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(btree_map = "string, string", tag = "6")]
    pub labels: Map,
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxPodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    #[prost(string, tag = "1")]
    pub image: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    pub image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub envs: Vec<KeyValue>,
    #[prost(btree_map = "string, string", tag = "9")]
    pub labels: Map,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Bytes {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
}

/// A client of the CRI behind a unix socket. Each call is a connection.
#[derive(Debug)]
pub struct CriClient {
    socket: std::path::PathBuf,
    runtime: Runtime,
}

impl CriClient {
    pub fn new(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor");
        Self { socket: socket.to_owned(), runtime }
    }

    /// Makes and starts a pod's sandbox; returns its id.
    pub fn run_pod(&self, config: &PodSandboxConfig) -> String {
        let request = RunPodSandboxRequest { config: Some(config.clone()) };
        self.id("RuntimeService/RunPodSandbox", &request)
    }

    /// Makes a container in a pod; returns its id.
    pub fn create(&self, sandbox: &str, pod: &PodSandboxConfig, config: &ContainerConfig) -> String {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config.clone()),
            sandbox_config: Some(pod.clone()),
        };
        self.id("RuntimeService/CreateContainer", &request)
    }

    pub fn start(&self, container: &str) {
        self.call("RuntimeService/StartContainer", &bytes(container)).unwrap_or_else(|e| panic!("StartContainer: {e}"));
    }

    /// Stops and removes a pod and what is in it.
    pub fn remove_pod(&self, sandbox: &str) {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            self.call(&format!("RuntimeService/{method}"), &bytes(sandbox)).unwrap_or_else(|e| panic!("{method}: {e}"));
        }
    }

    /// Whether the runtime answers.
    pub fn answers(&self) -> bool {
        self.call("RuntimeService/Version", &Bytes::default()).is_ok()
    }

    /// Whether it has this image.
    pub fn has_image(&self, image: &str) -> bool {
        let request = ImageStatusRequest { image: Some(ImageSpec { image: image.to_owned() }) };
        let answer = self.call("ImageService/ImageStatus", &request);
        answer.is_ok_and(|answer| !Bytes::decode(&*answer).expect("a message").first.is_empty())
    }

    fn id(&self, method: &str, request: &impl Message) -> String {
        let answer = self.call(method, request).unwrap_or_else(|e| panic!("{method}: {e}"));
        String::from_utf8(Bytes::decode(&*answer).expect("a message").first).expect("an id")
    }

    fn call(&self, method: &str, request: &impl Message) -> Result<Vec<u8>, String> {
        let message = request.encode_to_vec();
        let call = async {
            let stream = UnixStream::connect(&self.socket).await.map_err(|e| e.to_string())?;
            let (mut requests, connection) =
                h2::client::Builder::new().handshake::<_, Cursor<Vec<u8>>>(stream).await.map_err(|e| e.to_string())?;
            let connection = tokio::spawn(connection);
            let mut frame = vec![0];
            frame.extend((message.len() as u32).to_be_bytes());
            frame.extend(message);
            let request = http::Request::post(format!("http://localhost/runtime.v1.{method}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .expect("a request");
            let (response, mut body) = requests.send_request(request, false).map_err(|e| e.to_string())?;
            body.send_data(Cursor::new(frame), true).map_err(|e| e.to_string())?;
            let response = response.await.map_err(|e| e.to_string())?;
            let status = |headers: &http::HeaderMap| match headers.get("grpc-status") {
                Some(code) if code != "0" => Err(format!("{headers:?}")),
                _ => Ok(()),
            };
            status(response.headers())?;
            let (mut body, mut answer) = (response.into_body(), Vec::new());
            while let Some(data) = body.data().await {
                let data = data.map_err(|e| e.to_string())?;
                answer.extend_from_slice(&data);
                body.flow_control().release_capacity(data.len()).map_err(|e| e.to_string())?;
            }
            status(&body.trailers().await.map_err(|e| e.to_string())?.unwrap_or_default())?;
            connection.abort();
            Ok(answer.split_off(5.min(answer.len())))
        };
        self.runtime.block_on(async { timeout(Duration::from_secs(60), call).await.map_err(|e| e.to_string())? })
    }
}

fn bytes(id: &str) -> Bytes {
    Bytes { first: id.as_bytes().to_vec() }
}
