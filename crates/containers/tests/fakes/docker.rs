//! Docker's API by hand: whatever bytes a test wants.

use super::Shared;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A server. It ends when it is dropped, and its socket with it.
pub struct FakeDocker {
    pub handler: Shared<Arc<Handler>>,
    path: std::path::PathBuf,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a request for a target is answered with.
type Handler = dyn Fn(&str, &mut UnixStream) + Send + Sync;

impl FakeDocker {
    pub fn start(path: &Path, handler: impl Fn(&str, &mut UnixStream) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let handler: Shared<Arc<Handler>> = Shared::new(Arc::new(handler));
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, end) = (handler.clone(), ended.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let handler = shared.with(|handler| handler.clone());
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
                    let request = lines.next().and_then(Result::ok).unwrap_or_default();
                    while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
                    handler(request.split(' ').nth(1).unwrap_or_default(), &mut stream);
                });
            }
        });
        Self { handler, path: path.to_owned(), ended, thread: Some(thread) }
    }

    /// One that knows these containers by name, and nothing else.
    pub fn knowing(path: &Path, names: &[(String, &str)]) -> Self {
        let names: Vec<(String, String)> = names.iter().map(|(id, name)| (id.clone(), name.to_string())).collect();
        Self::start(path, move |target, stream| well_behaved(target, stream, &names))
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        let _ = self.thread.take().expect("joined once").join();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The usual answers. Events: none, and the stream stays open.
pub fn well_behaved(target: &str, stream: &mut UnixStream, names: &[(String, String)]) {
    let asked = target.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json"));
    if target == "/version" {
        reply(stream, 200, br#"{"ApiVersion":"1.41","Components":[{"Name":"Engine"}]}"#);
    } else if target == "/containers/json" {
        reply(stream, 200, b"[]");
    } else if target.starts_with("/events") {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        let _ = std::io::copy(stream, &mut std::io::sink()); // until the other side goes
    } else if let Some((id, name)) = asked.and_then(|asked| names.iter().find(|(id, _)| id == asked)) {
        let body = format!(r#"{{"Id":"{id}","Name":"/{name}","Config":{{"Image":"shop/{name}:1"}}}}"#);
        reply(stream, 200, body.as_bytes());
    } else {
        reply(stream, 404, br#"{"message":"No such container"}"#);
    }
}

pub fn reply(stream: &mut UnixStream, status: u16, body: &[u8]) {
    let head =
        format!("HTTP/1.0 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.as_bytes(), body].concat()); // the other side may have had enough
}
