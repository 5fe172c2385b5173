//! The thread that keeps the picture up to date.

use crate::access::Access;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::directory::Directory;
use crate::follow::{Follower, now};
use crate::intern::Interner;
use crate::limits::Limits;
use crate::resource::{RESOURCES, Resource};
use crate::state::State;
use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Which pods are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All: a remote address is as often a pod's on another node as here.
    Cluster,
    /// Those of one node, by its name, for clusters whose API server could not bear that every node's agent watches all. Pods
    /// elsewhere are then addresses without a name, except by services and nodes.
    Node(String),
}

/// Follows a cluster on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    directory: Directory,
    stop: Option<oneshot::Sender<()>>,
    stopped: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts the thread and returns at once; [`Directory::state`] tells what became of it.
    ///
    /// # Errors
    /// If the system gives no thread or no event queue for it.
    pub fn start(access: Access, scope: Scope, limits: Limits) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let directory = Directory::new(Cluster::new(limits.clone()));
        let (stop, stopping) = oneshot::channel();
        let (told, stopped): (SyncSender<()>, _) = sync_channel(1);
        let writer = directory.clone();
        let thread = std::thread::Builder::new().name("steth-kube".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = follow(&writer, &access, &scope, &limits) => {}
                    _ = stopping => writer.states().settle(State::Stopped),
                }
            });
            // A name that is being resolved must not keep us.
            runtime.shutdown_background();
            drop(told);
        })?;
        Ok(Self { directory, stop: Some(stop), stopped, thread: Some(thread) })
    }

    /// Where to ask.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // `follow` may have ended by itself, then nobody listens.
        let _ = self.stop.take().map(|stop| stop.send(()));
        // A credential program of a kubeconfig blocks the thread for as long as it runs; the end of the agent does not wait for
        // that.
        let ended =
            self.stopped.recv_timeout(Duration::from_secs(2)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _ = thread.join();
        }
    }
}

async fn follow(directory: &Directory, access: &Access, scope: &Scope, limits: &Limits) {
    let connection = match Connection::find(access).await {
        Ok(None) => return directory.states().settle(State::Absent),
        Ok(Some(connection)) => connection,
        Err(e) => return directory.states().settle(State::Unusable(e.to_string())),
    };
    let interner = RefCell::new(Interner::new());
    let one = |resource: &'static Resource| {
        let selector = match scope {
            Scope::Node(name) if resource.name == "pods" => {
                let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
                format!("fieldSelector=spec.nodeName%3D{name}")
            }
            Scope::Node(_) | Scope::Cluster => String::new(),
        };
        Follower { resource, connection: &connection, directory, interner: &interner, limits, selector, path: 0 }.run()
    };
    let [nodes, pods, services, slices, sets, jobs] = RESOURCES.each_ref().map(one);
    tokio::join!(nodes, pods, services, slices, sets, jobs, expire(directory));
}

/// Lets go of what has ended, a little at a time.
async fn expire(directory: &Directory) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        while directory.write().expire(now(), 256) {
            tokio::task::yield_now().await;
        }
    }
}
