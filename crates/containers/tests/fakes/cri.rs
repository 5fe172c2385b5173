//! A CRI server that knows what a test wants, and answers as badly.

use super::Shared;
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::sync::oneshot;

type Map = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sandbox {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Metadata>,
    #[prost(int32, tag = "3")]
    pub state: i32,
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: Map,
}

#[derive(Clone, PartialEq, Message)]
pub struct Named {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Listed {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub sandbox: String,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<Named>,
    #[prost(int32, tag = "6")]
    pub state: i32,
    #[prost(btree_map = "string, string", tag = "8")]
    pub labels: Map,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListRequest {
    #[prost(message, optional, tag = "1")]
    filter: Option<Filter>,
}

#[derive(Clone, PartialEq, Message)]
struct Sandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Sandbox>,
}

#[derive(Clone, PartialEq, Message)]
struct Containers {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Listed>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusRequest {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, optional, tag = "8")]
    image: Option<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(btree_map = "string, string", tag = "2")]
    info: Map,
}

#[derive(Clone, PartialEq, Message)]
struct Version {
    #[prost(string, tag = "2")]
    runtime: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(int32, tag = "2")]
    pub kind: i32,
}

/// How the calls after `Version` are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Well,
    /// Takes the call and says nothing.
    Hangs,
    Slowly(Duration),
    /// Bytes that are no message.
    Garbage,
    /// A message of 64 MiB, sent as fast as it is read.
    Huge,
    /// Says that 4 GiB will come.
    SaysHuge,
    /// Claims to have compressed it.
    Compressed,
    /// A gRPC status.
    Status(u16),
    /// Ends in the middle of a message.
    BreaksOff,
    /// Ends without a status.
    NoStatus,
    /// Closes the connection.
    Closes,
}

/// What it knows.
#[derive(Clone, Debug)]
pub struct Knows {
    pub manner: Manner,
    pub sandboxes: Vec<Sandbox>,
    pub containers: Vec<Listed>,
    /// The OCI specification's environment of every container.
    pub environment: Vec<String>,
    /// The only version of the API that it serves.
    pub version: &'static str,
    /// Each call as it came: method, id, verbose.
    pub calls: Vec<(String, String, bool)>,
    /// Connections that stand.
    pub open: usize,
}

impl Default for Knows {
    fn default() -> Self {
        Self {
            manner: Manner::Well,
            sandboxes: Vec::new(),
            containers: Vec::new(),
            environment: Vec::new(),
            version: "v1",
            calls: Vec::new(),
            open: 0,
        }
    }
}

/// A server. It ends when it is dropped, and its socket with it.
pub struct FakeCri {
    pub knows: Shared<Knows>,
    events: broadcast::Sender<Event>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    path: PathBuf,
}

impl FakeCri {
    pub fn start(path: &Path, knows: Shared<Knows>) -> Self {
        let (events, _) = broadcast::channel(64);
        let (end, ended) = oneshot::channel::<()>();
        let (own, state, sender) = (path.to_owned(), knows.clone(), events.clone());
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let reactor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor");
            reactor.block_on(async {
                let listener = UnixListener::bind(&own).unwrap_or_else(|e| panic!("{}: {e}", own.display()));
                ready.send(()).expect("the test waits");
                let serve = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (state, sender) = (state.clone(), sender.clone());
                        tokio::spawn(async move {
                            state.with(|knows| knows.open += 1);
                            connection(stream, state.clone(), sender).await;
                            state.with(|knows| knows.open -= 1);
                        });
                    }
                };
                tokio::select! { () = serve => {}, _ = ended => {} }
            });
        });
        is_ready.recv().expect("it listens");
        Self { knows, events, end: Some(end), thread: Some(thread), path: path.to_owned() }
    }

    /// Tells all who listen; false if nobody does.
    pub fn event(&self, event: Event) -> bool {
        self.events.send(event).is_ok()
    }
}

impl Drop for FakeCri {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().expect("joined once").join();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn connection(stream: UnixStream, knows: Shared<Knows>, events: broadcast::Sender<Event>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let manner = knows.with(|knows| knows.manner);
        if manner == Manner::Closes && !request.uri().path().ends_with("/Version") {
            return;
        }
        tokio::spawn(call(request, respond, knows.clone(), events.subscribe()));
    }
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    knows: Shared<Knows>,
    mut events: broadcast::Receiver<Event>,
) {
    let path = request.uri().path().to_owned();
    let (_, method) = path.rsplit_once('/').expect("a path");
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        message.extend_from_slice(&data);
    }
    let message = &message[5..];
    let status_request = StatusRequest::decode(message).unwrap_or_default();
    let id = match method {
        "ContainerStatus" => status_request.id.clone(),
        _ => ListRequest::decode(message).ok().and_then(|request| request.filter).unwrap_or_default().id,
    };
    let state = knows.with(|knows| {
        knows.calls.push((method.to_owned(), id.clone(), status_request.verbose));
        knows.clone()
    });
    let matches = |one: &str| id.is_empty() || one == id;
    let manner = if method == "Version" { Manner::Well } else { state.manner };
    if !path.contains(&format!(".{}.", state.version)) {
        return trailers_only(&mut respond, 12);
    }
    match manner {
        Manner::Hangs => return std::future::pending().await,
        Manner::Slowly(delay) => tokio::time::sleep(delay).await,
        Manner::Status(code) => return trailers_only(&mut respond, code),
        _ => {}
    }
    let head = Response::builder().status(200).header("content-type", "application/grpc").body(()).expect("a head");
    let answer = match method {
        "Version" => Version { runtime: "fake".into() }.encode_to_vec(),
        "ListPodSandbox" => {
            let items = state.sandboxes.into_iter().filter(|sandbox| matches(&sandbox.id)).collect();
            Sandboxes { items }.encode_to_vec()
        }
        "ListContainers" => {
            let items = state.containers.into_iter().filter(|container| matches(&container.id)).collect();
            Containers { items }.encode_to_vec()
        }
        "ContainerStatus" => {
            let quoted: Vec<String> = state.environment.iter().map(|pair| format!("\"{pair}\"")).collect();
            let json = format!(r#"{{"runtimeSpec":{{"process":{{"env":[{}]}}}}}}"#, quoted.join(","));
            let info = if status_request.verbose { [("info".to_owned(), json)].into() } else { Map::new() };
            let image = Some(Named { name: "shop/image:1".into() });
            StatusResponse { status: Some(Status { image }), info }.encode_to_vec()
        }
        "GetContainerEvents" => {
            // Go's server sends nothing, not even the head, before the first event.
            let mut stream = None;
            while let Ok(event) = events.recv().await {
                let head = || Response::builder().status(200).body(()).expect("a head");
                let stream = stream.get_or_insert_with(|| respond.send_response(head(), false).expect("a stream"));
                if stream.send_data(frame(&event.encode_to_vec()), false).is_err() {
                    return;
                }
            }
            return;
        }
        _ => return trailers_only(&mut respond, 12),
    };
    let Ok(mut stream) = respond.send_response(head, false) else { return };
    let frame = match manner {
        Manner::Garbage => frame(&[0xff; 100]),
        Manner::Compressed => [&[1], &frame(&answer)[1..]].concat().into(),
        Manner::SaysHuge => Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]),
        Manner::BreaksOff => frame(&[0; 50]).slice(..20),
        Manner::Huge => return huge(stream).await,
        _ => frame(&answer),
    };
    let _ = stream.send_data(frame, manner == Manner::NoStatus);
    if manner != Manner::NoStatus {
        let _ = stream.send_trailers(HeaderMap::from_iter([(status_name(), HeaderValue::from_static("0"))]));
    }
}

async fn huge(mut stream: h2::SendStream<Bytes>) {
    let piece = Bytes::from_static(&[0x0a; 16_384]);
    let mut first = vec![0];
    first.extend((64_u32 << 20).to_be_bytes());
    let _ = stream.send_data(first.into(), false);
    for _ in 0..4096 {
        stream.reserve_capacity(piece.len());
        while stream.capacity() < piece.len() {
            match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
                Some(Ok(_)) => {}
                _ => return,
            }
        }
        if stream.send_data(piece.clone(), false).is_err() {
            return;
        }
    }
}

fn status_name() -> http::HeaderName {
    http::HeaderName::from_static("grpc-status")
}

fn trailers_only(respond: &mut SendResponse<Bytes>, code: u16) {
    let head = Response::builder().status(200).header("grpc-status", code).header("grpc-message", "no").body(());
    let _ = respond.send_response(head.expect("a head"), true);
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame.into()
}
